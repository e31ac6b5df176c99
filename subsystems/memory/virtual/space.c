/* SPDX-License-Identifier: MIT */
/* User address spaces.
 * Owns:      regions, user page tables, and the private pages in them (owner: the space's number).
 * Callers:   processes, page faults.      Context: thread.
 * Locks:     space.lock around regions and tables.  A fault takes it too, so it is never held over
 *            a copy to or from user memory.
 * Why a list: programs have tens of regions, the last one hit is remembered, and the cost of many
 *            falls on the process that made them; SPACE_REGIONS_MAX bounds it.
 * Invariant: (1) regions are sorted and disjoint, whole pages, inside [SPACE_LOWEST, USER_SPACE_END).
 *            (2) a mapped page lies in a region and allows no more than it.
 *            (3) a mapped frame is private (owned by the space, freed by it) or an object's (one
 *            reference for the mapping).
 *            (4) a frame is freed, or given back, after no CPU can have it in its TLB.
 *            (5) what can fail - memory for a split region - comes before any change.
 */
#include "space_priv.h"

#include <core/cpu.h>
#include <core/task.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/trap.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/frame.h>

#define SPACES_MAX 4096
#define BATCH 64 /* frames freed after one shootdown */
#define SWEPT_TABLE ((paddr_t)1) /* in a batch: a page table, not a page */

struct region {
    struct list_node node;
    vaddr_t base;
    u64 size;
    u32 flags;
    u32 head;           /* image: zero bytes before the data */
    const u8 *data;     /* image: where the bytes come from */
    u64 data_size;      /* image */
    struct memory_object *object;
    u64 offset; /* object: of the region's first byte. image: the same, for one that was split */
};

struct space {
    struct hal_space hal;
    struct mutex lock;
    struct list_node regions; /* l; inv 1 */
    struct region *last;      /* l: hit by the last lookup, or NULL */
    u32 region_count;         /* l */
    u32 owner;                /* I */
    u64 active;               /* a: CPUs on which it is current */
};

static struct {
    struct mutex lock;
    u64 used[SPACES_MAX / 64]; /* l: numbers in use */
    struct kmem_cache *regions, *spaces;
    struct space *current[HAL_CPUS_MAX]; /* c */
} all = {.lock = MUTEX_INIT(all.lock)};

/* numbers */

static enum hx_status number_take(u32 *out)
{
    enum hx_status status = HX_ERR_LIMIT;
    mutex_acquire(&all.lock);
    for (u32 i = 0; i < SPACES_MAX / 64; i++) {
        if (~all.used[i]) {
            u32 bit = (u32)__builtin_ctzll(~all.used[i]);
            all.used[i] |= 1ull << bit;
            *out = i * 64 + bit;
            status = HX_OK;
            break;
        }
    }
    mutex_release(&all.lock);
    return status;
}

static void number_return(u32 number)
{
    mutex_acquire(&all.lock);
    all.used[number / 64] &= ~(1ull << number % 64);
    mutex_release(&all.lock);
}

/* TLBs */

struct flush {
    vaddr_t va;
    u64 size;
};

static void flush_here(void *arg)
{
    struct flush *flush = arg;
    hal_mmu.flush(flush->va, flush->size);
}

/* Forgets translations of the range on every CPU that may have them. A CPU that makes the space
 * current later starts without any. */
static void space_flush(struct space *space, vaddr_t va, u64 size)
{
    struct flush flush = {va, size};
    preempt_disable();
    u64 active = __atomic_load_n(&space->active, __ATOMIC_SEQ_CST);
    bool elsewhere = active & ~(1ull << hal_cpu_number());
    if (active && (!elsewhere || hal_mmu.flush_broadcasts)) {
        flush_here(&flush);
        elsewhere = false;
    }
    preempt_enable();
    if (elsewhere) {
        cpu_call(active, flush_here, &flush);
    }
}

void space_activate(struct space *space)
{
    cpu_id_t cpu = hal_cpu_number();
    struct space *before = all.current[cpu];
    if (before == space) {
        return;
    }
    if (space) {
        __atomic_fetch_or(&space->active, 1ull << cpu, __ATOMIC_SEQ_CST);
    }
    hal_mmu.activate(space ? &space->hal : &hal_kernel_space);
    all.current[cpu] = space;
    if (before) {
        __atomic_fetch_and(&before->active, ~(1ull << cpu), __ATOMIC_SEQ_CST);
    }
}

/* regions */

/* The first region that ends above `address`, or NULL. */
static struct region *region_from(struct space *space, vaddr_t address)
{
    struct region *last = space->last, *r;
    if (last && address >= last->base && address - last->base < last->size) {
        return last;
    }
    LIST_FOREACH(&space->regions, r, node)
    {
        if (address < r->base + r->size) {
            space->last = r;
            return r;
        }
    }
    return NULL;
}

static struct region *region_at(struct space *space, vaddr_t address)
{
    struct region *r = region_from(space, address);
    return r && r->base <= address ? r : NULL;
}

static struct region *region_next(struct space *space, struct region *r)
{
    return r->node.next == &space->regions ? NULL
                                           : LIST_ENTRY(r->node.next, struct region, node);
}

static void region_insert(struct space *space, struct region *region)
{
    struct region *after = region_from(space, region->base);
    list_add_tail(after ? &after->node : &space->regions, &region->node);
    space->region_count++;
}

static void region_remove(struct space *space, struct region *region)
{
    if (space->last == region) {
        space->last = NULL;
    }
    list_remove(&region->node);
    space->region_count--;
    if (region->object) {
        memory_object_put(region->object);
    }
    kmem_cache_free(all.regions, region);
}

/* Cuts a region in two at `at`, the upper part in `spare`. */
static void region_split(struct space *space, struct region *region, vaddr_t at,
                         struct region *spare)
{
    *spare = *region;
    spare->base = at;
    spare->size = region->base + region->size - at;
    spare->offset += at - region->base;
    region->size = at - region->base;
    if (spare->object) {
        memory_object_get(spare->object);
    }
    list_add_head(&region->node, &spare->node);
    space->region_count++;
}

static bool range_is_valid(vaddr_t base, u64 size)
{
    return size != 0 && hx_is_aligned(base | size, HX_PAGE_SIZE) && base >= SPACE_LOWEST &&
           hx_range_fits(base, size, USER_SPACE_END);
}

static bool gap_is_free(struct space *space, vaddr_t base, u64 size)
{
    struct region *r = region_from(space, base);
    return !r || r->base >= base + size;
}

/* The first gap of that size from `from` on. */
static bool gap_find(struct space *space, vaddr_t from, u64 size, vaddr_t *out)
{
    vaddr_t at = hx_max_u64(from, SPACE_CHOICE_BASE);
    for (struct region *r = region_from(space, at); r; r = region_next(space, r)) {
        if (r->base >= at && r->base - at >= size) {
            break;
        }
        at = hx_max_u64(at, r->base + r->size);
    }
    *out = at;
    return hx_range_fits(at, size, USER_SPACE_END);
}

/* Enters a copy of *plan, whose base is a wish unless FIXED. */
static enum hx_status region_add(struct space *space, const struct region *plan,
                                 vaddr_t *out_address)
{
    vaddr_t base = plan->base;
    if ((plan->flags & (SPACE_WRITE | SPACE_EXECUTE)) == (SPACE_WRITE | SPACE_EXECUTE) ||
        ((plan->flags & SPACE_FIXED) ? !range_is_valid(base, plan->size)
                                     : plan->size == 0 || (plan->size & HX_PAGE_MASK) ||
                                           plan->size > USER_SPACE_END)) {
        return HX_ERR_INVALID;
    }
    struct region *region = kmem_cache_alloc(all.regions);
    if (!region) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = HX_OK;
    mutex_acquire(&space->lock);
    if (space->region_count == SPACE_REGIONS_MAX) {
        status = HX_ERR_LIMIT;
    } else if (plan->flags & SPACE_FIXED) {
        status = gap_is_free(space, base, plan->size) ? HX_OK : HX_ERR_EXISTS;
    } else if (!range_is_valid(base, plan->size) || !gap_is_free(space, base, plan->size)) {
        bool near = range_is_valid(base, plan->size) && gap_find(space, base, plan->size, &base);
        status = near || gap_find(space, 0, plan->size, &base) ? HX_OK : HX_ERR_NO_SPACE;
    }
    if (status == HX_OK) {
        *region = *plan;
        region->base = base;
        region->flags &= ~SPACE_FIXED;
        region_insert(space, region);
        *out_address = base;
    }
    mutex_release(&space->lock);
    if (status != HX_OK) {
        kmem_cache_free(all.regions, region);
    }
    return status;
}

enum hx_status space_map(struct space *space, vaddr_t wish, u64 size, u32 flags,
                         vaddr_t *out_address)
{
    struct region plan = {.base = wish, .size = size, .flags = flags & ~SPACE_PRIVATE};
    return region_add(space, &plan, out_address);
}

enum hx_status space_map_image(struct space *space, vaddr_t base, u64 size, u32 flags,
                               const void *data, u64 data_size, u32 head)
{
    struct region plan = {.base = base,
                          .size = size,
                          .flags = flags | SPACE_FIXED,
                          .head = head,
                          .data = data,
                          .data_size = data_size};
    vaddr_t address;
    if (head >= HX_PAGE_SIZE || !hx_range_fits(head, data_size, size)) {
        return HX_ERR_INVALID;
    }
    return region_add(space, &plan, &address);
}

enum hx_status space_map_object(struct space *space, vaddr_t wish, u64 size, u32 flags,
                                struct memory_object *object, u64 offset, vaddr_t *out_address)
{
    struct region plan = {
        .base = wish, .size = size, .flags = flags, .object = object, .offset = offset};
    if ((offset & HX_PAGE_MASK) || !hx_range_fits(offset, size, memory_object_size(object))) {
        return HX_ERR_INVALID;
    }
    memory_object_get(object);
    enum hx_status status = region_add(space, &plan, out_address);
    if (status != HX_OK) {
        memory_object_put(object);
    }
    return status;
}

/* pages */

static u32 map_flags(const struct region *region)
{
    return MAP_USER | (region->flags & SPACE_WRITE ? MAP_WRITE : 0) |
           (region->flags & SPACE_EXECUTE ? MAP_EXEC : 0);
}

struct sweep {
    struct space *space;
    vaddr_t va; /* what has been swept since the last flush begins here */
    vaddr_t end;
    u32 count;
    paddr_t frames[BATCH];
};

static void sweep_release(struct sweep *sweep)
{
    if (sweep->count) {
        space_flush(sweep->space, sweep->va, sweep->end - sweep->va); /* inv 4 */
    }
    for (u32 i = 0; i < sweep->count; i++) {
        if (sweep->frames[i] & SWEPT_TABLE) {
            hal_event_table_free(sweep->frames[i] & ~SWEPT_TABLE);
        } else if (frame_at(sweep->frames[i])->owner == sweep->space->owner) { /* inv 3 */
            frame_free(sweep->frames[i]);
        } else {
            frame_put(sweep->frames[i]);
        }
    }
    sweep->count = 0;
    sweep->va = sweep->end;
}

static enum hx_status sweep_visit(void *ctx, const struct hal_mapping *mapping)
{
    struct sweep *sweep = ctx;
    bool table = mapping->flags & MAP_TABLE;
    sweep->frames[sweep->count++] = mapping->pa | (table ? SWEPT_TABLE : 0);
    if (!table) {
        sweep->end = mapping->va + mapping->size;
    }
    if (sweep->count == BATCH) {
        sweep_release(sweep);
    }
    return HX_OK;
}

static void pages_drop(struct space *space, vaddr_t base, u64 size)
{
    struct sweep sweep;
    sweep.space = space;
    sweep.va = sweep.end = base;
    sweep.count = 0;
    HX_IGNORE(hal_mmu.sweep(&space->hal, base, size, sweep_visit, &sweep),
              "the visitor never ends it");
    sweep_release(&sweep);
}

/* Up to two spare regions for the splits of a change, got before the lock is taken. inv 5 */
struct spares {
    struct region *region[2];
};

static enum hx_status spares_get(struct spares *spares, u32 count)
{
    spares->region[0] = spares->region[1] = NULL;
    for (u32 i = 0; i < count; i++) {
        spares->region[i] = kmem_cache_alloc(all.regions);
        if (!spares->region[i]) {
            if (i > 0) {
                kmem_cache_free(all.regions, spares->region[0]);
            }
            return HX_ERR_NO_MEMORY;
        }
    }
    return HX_OK;
}

static void spares_return(struct spares *spares)
{
    for (u32 i = 0; i < 2; i++) {
        if (spares->region[i]) {
            kmem_cache_free(all.regions, spares->region[i]);
        }
    }
}

/* Makes region borders at both ends of the range, as far as regions cross them. */
static enum hx_status make_borders(struct space *space, vaddr_t base, u64 size,
                                   struct spares *spares)
{
    struct region *low = region_at(space, base), *high = region_at(space, base + size - 1);
    bool cut_low = low && low->base < base;
    bool cut_high = high && high->base + high->size > base + size;
    if (space->region_count + cut_low + cut_high > SPACE_REGIONS_MAX) {
        return HX_ERR_LIMIT;
    }
    if (cut_low) {
        region_split(space, low, base, spares->region[0]);
        high = low == high ? spares->region[0] : high;
        spares->region[0] = NULL;
    }
    if (cut_high) {
        region_split(space, high, base + size, spares->region[1]);
        spares->region[1] = NULL;
    }
    return HX_OK;
}

/* True when the range begins and ends where regions do: no spares are needed. A guess without the
 * lock would be wrong at worst in asking for too many, so it is made with it. */
static u32 spares_wanted(struct space *space, vaddr_t base, u64 size)
{
    struct region *low = region_at(space, base), *high = region_at(space, base + size - 1);
    bool cut = (low && low->base < base) || (high && high->base + high->size > base + size);
    return cut ? 2 : 0;
}

/* Locks the space with the borders of the range made. */
static enum hx_status lock_with_borders(struct space *space, vaddr_t base, u64 size)
{
    struct spares spares = {{NULL, NULL}};
    mutex_acquire(&space->lock);
    u32 wanted = spares_wanted(space, base, size);
    enum hx_status status = HX_OK;
    if (wanted) {
        mutex_release(&space->lock);
        status = spares_get(&spares, wanted);
        if (status != HX_OK) {
            return status;
        }
        mutex_acquire(&space->lock);
    }
    status = wanted || !spares_wanted(space, base, size)
                 ? make_borders(space, base, size, &spares)
                 : HX_ERR_BUSY;
    if (status != HX_OK) {
        mutex_release(&space->lock);
    }
    spares_return(&spares);
    return status;
}

enum hx_status space_unmap(struct space *space, vaddr_t base, u64 size)
{
    if (!range_is_valid(base, size)) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = lock_with_borders(space, base, size);
    if (status != HX_OK) {
        return status;
    }
    struct region *r = region_from(space, base);
    while (r && r->base < base + size) {
        struct region *next = region_next(space, r);
        pages_drop(space, r->base, r->size);
        region_remove(space, r);
        r = next;
    }
    mutex_release(&space->lock);
    return HX_OK;
}

/* Every byte of the range is in a region that is no guard. */
static bool range_is_covered(struct space *space, vaddr_t base, u64 size)
{
    vaddr_t at = base;
    struct region *r = region_at(space, base);
    while (r && r->base <= at && !(r->flags & SPACE_GUARD)) {
        at = r->base + r->size;
        if (at >= base + size) {
            return true;
        }
        r = region_next(space, r);
    }
    return false;
}

static void pages_protect(struct space *space, const struct region *region)
{
    for (u64 done = 0; done < region->size; done += HX_PAGE_SIZE) {
        struct hal_mapping mapping;
        vaddr_t va = region->base + done;
        if (hal_mmu.query(&space->hal, va, &mapping) != HX_OK) {
            continue;
        }
        u32 flags = map_flags(region);
        if (region->object && (region->flags & SPACE_PRIVATE) &&
            frame_at(mapping.pa)->owner != space->owner) {
            flags &= ~MAP_WRITE; /* still the object's page: the write makes the copy */
        }
        HX_IGNORE(hal_mmu.protect(&space->hal, va, HX_PAGE_SIZE, flags),
                  "it is mapped, and pages of user space are never split");
        if (flags & MAP_EXEC) {
            hal_cpu.sync_icache((vaddr_t)hal_phys_to_virt(mapping.pa), HX_PAGE_SIZE);
        }
    }
}

enum hx_status space_protect(struct space *space, vaddr_t base, u64 size, u32 flags)
{
    if (!range_is_valid(base, size) || (flags & ~(SPACE_WRITE | SPACE_EXECUTE)) ||
        flags == (SPACE_WRITE | SPACE_EXECUTE)) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = lock_with_borders(space, base, size);
    if (status != HX_OK) {
        return status;
    }
    if (!range_is_covered(space, base, size)) {
        mutex_release(&space->lock);
        return HX_ERR_NOT_FOUND;
    }
    for (struct region *r = region_from(space, base); r && r->base < base + size;
         r = region_next(space, r)) {
        r->flags = (r->flags & ~(SPACE_WRITE | SPACE_EXECUTE)) | flags;
        pages_protect(space, r);
    }
    space_flush(space, base, size);
    mutex_release(&space->lock);
    return HX_OK;
}

/* faults */

static enum hx_status page_from_image(struct space *space, const struct region *r, vaddr_t va,
                                      paddr_t *out)
{
    enum hx_status status = frame_alloc(FRAME_ZERO, space->owner, out);
    if (status != HX_OK) {
        return status;
    }
    /* Where the page lies in the stream of head, data, zeroes. */
    u64 start = va - r->base + r->offset, data_end = r->head + r->data_size;
    u64 from = hx_max_u64(start, r->head), to = hx_min_u64(start + HX_PAGE_SIZE, data_end);
    if (from < to) {
        memcpy((u8 *)hal_phys_to_virt(*out) + (from - start), r->data + (from - r->head),
               to - from);
    }
    return HX_OK;
}

static enum hx_status page_fill(struct space *space, const struct region *r, vaddr_t va,
                                bool write, paddr_t *out_frame, u32 *out_flags)
{
    *out_flags = map_flags(r);
    if (r->data) {
        return page_from_image(space, r, va, out_frame);
    }
    if (!r->object) {
        return frame_alloc(FRAME_ZERO, space->owner, out_frame);
    }
    paddr_t shared;
    enum hx_status status =
        memory_object_page(r->object, (va - r->base + r->offset) >> HX_PAGE_SHIFT, &shared);
    if (status != HX_OK || !(r->flags & SPACE_PRIVATE) || !write) {
        if (r->flags & SPACE_PRIVATE) {
            *out_flags &= ~MAP_WRITE;
        }
        *out_frame = shared;
        return status;
    }
    status = frame_alloc(0, space->owner, out_frame);
    if (status == HX_OK) {
        hal_page_copy(hal_phys_to_virt(*out_frame), hal_phys_to_virt(shared));
    }
    frame_put(shared);
    return status;
}

static enum hx_status page_in(struct space *space, const struct region *r, vaddr_t va, bool write)
{
    struct hal_mapping mapping;
    if (hal_mmu.query(&space->hal, va, &mapping) == HX_OK) {
        if (!write || (mapping.flags & MAP_WRITE)) {
            return HX_OK; /* another thread was faster, or the TLB was stale */
        }
        pages_drop(space, va, HX_PAGE_SIZE); /* the object's page makes way for a copy */
    }
    paddr_t frame;
    u32 flags;
    enum hx_status status = page_fill(space, r, va, write, &frame, &flags);
    if (status != HX_OK) {
        return status;
    }
    if (flags & MAP_EXEC) {
        hal_cpu.sync_icache((vaddr_t)hal_phys_to_virt(frame), HX_PAGE_SIZE);
    }
    status = hal_mmu.map(&space->hal, va, frame, HX_PAGE_SIZE, flags);
    if (status != HX_OK) {
        if (frame_at(frame)->owner == space->owner) {
            frame_free(frame);
        } else {
            frame_put(frame);
        }
    }
    return status;
}

bool space_fault(struct space *space, vaddr_t address, u32 access, bool present,
                 const char **out_reason)
{
    (void)present; /* what is there now counts, not what was there at the time of the fault */
    mutex_acquire(&space->lock);
    struct region *r = region_at(space, address);
    const char *reason = NULL;
    if (!r) {
        reason = address < HX_PAGE_SIZE ? "null pointer" : "nothing is mapped there";
    } else if (r->flags & SPACE_GUARD) {
        reason = "guard page: stack overflow";
    } else if (access == ACCESS_WRITE && !(r->flags & SPACE_WRITE)) {
        reason = "write to read-only memory";
    } else if (access == ACCESS_EXECUTE && !(r->flags & SPACE_EXECUTE)) {
        reason = "execution of data";
    } else if (page_in(space, r, hx_align_down(address, HX_PAGE_SIZE), access == ACCESS_WRITE) !=
               HX_OK) {
        reason = "out of memory";
    }
    mutex_release(&space->lock);
    *out_reason = reason;
    return !reason;
}

enum hx_status user_copy_in(void *dst, vaddr_t user, size_t n)
{
    if (!hx_range_fits(user, n, USER_SPACE_END)) {
        return HX_ERR_FAULT;
    }
    return hal_user_copy_in(dst, user, n) == 0 ? HX_OK : HX_ERR_FAULT;
}

enum hx_status user_copy_out(vaddr_t user, const void *src, size_t n)
{
    if (!hx_range_fits(user, n, USER_SPACE_END)) {
        return HX_ERR_FAULT;
    }
    return hal_user_copy_out(user, src, n) == 0 ? HX_OK : HX_ERR_FAULT;
}

/* life */

static enum hx_status caches_create(void)
{
    enum hx_status status = HX_OK;
    mutex_acquire(&all.lock);
    if (!all.regions) {
        all.regions = kmem_cache_create("region", sizeof(struct region), 16);
        all.spaces = kmem_cache_create("space", sizeof(struct space), 64);
        if (!all.regions || !all.spaces) {
            status = HX_ERR_NO_MEMORY;
        }
    }
    mutex_release(&all.lock);
    return status;
}

enum hx_status space_create(struct space **out_space)
{
    if (hx_unlikely(!all.spaces)) {
        enum hx_status status = caches_create();
        if (status != HX_OK) {
            return status;
        }
    }
    struct space *space = kmem_cache_alloc(all.spaces);
    if (!space) {
        return HX_ERR_NO_MEMORY;
    }
    memset(space, 0, sizeof(*space));
    mutex_init(&space->lock);
    list_init(&space->regions);
    u32 number;
    enum hx_status status = number_take(&number);
    if (status != HX_OK) {
        goto out_free;
    }
    space->owner = FRAME_FIRST_SPACE + number;
    status = hal_mmu.space_init(&space->hal);
    if (status != HX_OK) {
        goto out_return_number;
    }
    *out_space = space;
    return HX_OK;

out_return_number:
    number_return(number);
out_free:
    kmem_cache_free(all.spaces, space);
    return status;
}

void space_destroy(struct space *space)
{
    struct region *r;
    while ((r = LIST_FIRST(&space->regions, struct region, node))) {
        pages_drop(space, r->base, r->size);
        region_remove(space, r);
    }
    HX_ASSERT(space->active == 0);
    hal_mmu.space_fini(&space->hal);
    number_return(space->owner - FRAME_FIRST_SPACE);
    kmem_cache_free(all.spaces, space);
}

u32 space_owner(const struct space *space)
{
    return space->owner;
}

void space_for_each(struct space *space,
                    void (*visit)(const struct space_region_info *r, void *ctx), void *ctx)
{
    struct region *r;
    mutex_acquire(&space->lock);
    LIST_FOREACH(&space->regions, r, node)
    {
        struct space_region_info info = {.base = r->base, .size = r->size, .flags = r->flags};
        visit(&info, ctx);
    }
    mutex_release(&space->lock);
}
