/* SPDX-License-Identifier: MIT */
/* User address spaces: regions say what may be touched, page tables what has been.
 * Owns:      every struct space, its page tables and the frames of its number.
 * Callers:   processes and their system calls; the page-fault path; the scheduler (activate).
 * Context:   thread; space_activate(): interrupts masked.
 * Locks:     space->lock, a mutex: regions, tables and pages of one space. It is held across a TLB
 *            shootdown, so that nobody sees a half-made change; a spinlock could not be. Below it
 *            come an object's lock, the heap and the frames. Two spaces (copy) by ascending
 * address. Invariant: (1) a leaf's frame is one of three kinds. FRAME_FIRST_SPACE + number: this
 * space's own page, writable if its region is. FRAME_SHARED: copy-on-write, with a reference from
 *            each leaf, never writable. FRAME_OBJECT: an object's, which the region keeps alive;
 *            writable if the region is, and not private.
 *            (2) resident counts leaves of the first two kinds.
 *            (3) a frame or table leaves a space only after every CPU in `active` has flushed it; a
 *            CPU enters `active` before it loads the tables, and leaves it after it has loaded
 *            others, which flushes or renames what it had cached.
 *            (4) no leaf is writable and executable, none lies below SPACE_LOWEST.
 *            (5) no overcommit: `committed` is the pages of all regions that a touch gives a frame
 * of the space's own. A map that would raise it above what is free and what stands behind such
 * pages already (`backed`), less a reserve, is refused; so a touch does not fail later. The reserve
 * is for what is not counted: page tables, the kernel's own.
 *            (6) a large page is one leaf over LARGE_PAGES frames of the space's own, each with an
 *            entry of its own in the frame table. It is split before a part of it changes, so that
 *            what can fail has been done when the change begins; copy-on-write pages, objects'
 * pages and data are single.
 */
#include <core/cpu.h>
#include <core/sync.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/mmu.h>
#include <hal/trap.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/frame.h>
#include <memory/kernel_space.h>
#include <memory/space.h>

#include <memory/region.h>

#define GATHER_SHARED 32
#define LARGE_ORDER   9
#define LARGE_SIZE    HX_MIB(2)
#define LARGE_PAGES   (1u << LARGE_ORDER)
#define RESERVE_SHIFT 6   /* a 64th of the machine, and at least */
#define RESERVE_MIN   256 /* frames */

/* Marking: I immutable; l lock; a atomic. */
struct space {
    struct mutex lock;
    struct hal_space hal;  /* l; root I */
    u64 active;            /* a: CPUs to flush, where each has to be asked; inv 3 */
    struct region_map map; /* l */
    u64 resident, limit;   /* l; inv 2 */
    u64 committed;         /* l: its part of spaces.committed */
    bool large;            /* l: it has, or had, large pages; inv 6 */
    u32 owner;             /* I: FRAME_FIRST_SPACE + number */
    bool dying;            /* no CPU has its tables loaded, and none will */
};

_Static_assert(FRAME_FIRST_SPACE + SPACES_MAX <= FRAME_OWNER_END,
               "every space has an owner number");

static struct {
    u64 numbers[SPACES_MAX / 64]; /* a: in use */
    u64 committed, backed;        /* a: pages, frames; inv 5 */
} spaces;

/* Numbers */

static u32 number_alloc(void)
{
    for (u32 i = 0; i < SPACES_MAX / 64; i++) {
        u64 used = __atomic_load_n(&spaces.numbers[i], __ATOMIC_RELAXED);
        while (~used != 0) {
            u64 bit = ~used & (used + 1);
            used = __atomic_fetch_or(&spaces.numbers[i], bit, __ATOMIC_ACQUIRE);
            if (!(used & bit)) {
                return i * 64 + (u32)__builtin_ctzll(bit);
            }
        }
    }
    return SPACES_MAX;
}

static void number_free(u32 number)
{
    __atomic_fetch_and(&spaces.numbers[number / 64], ~(1ull << number % 64), __ATOMIC_RELEASE);
}

/* What is promised; inv 5 */

static bool region_is_committed(const struct region *r)
{
    return r->backing == SPACE_ANONYMOUS || r->backing == SPACE_DATA ||
           (r->backing == SPACE_OBJECT && (r->flags & SPACE_PRIVATE));
}

static u64 region_pages(const struct region *r)
{
    return region_is_committed(r) ? (r->end - r->start) >> HX_PAGE_SHIFT : 0;
}

static enum hx_status commit(struct space *space, u64 pages)
{
    u64 reserve = hx_max_u64(frame_total_count() >> RESERVE_SHIFT, RESERVE_MIN);
    u64 wanted = __atomic_add_fetch(&spaces.committed, pages, __ATOMIC_RELAXED) + reserve;
    u64 backed = __atomic_load_n(&spaces.backed, __ATOMIC_RELAXED);
    if (hx_unlikely(wanted > backed + frame_free_at_least()) &&
        wanted > backed + frame_free_count()) {
        __atomic_fetch_sub(&spaces.committed, pages, __ATOMIC_RELAXED);
        return HX_ERR_NO_MEMORY;
    }
    space->committed += pages;
    return HX_OK;
}

static void uncommit(struct space *space, u64 pages)
{
    space->committed -= pages;
    __atomic_fetch_sub(&spaces.committed, pages, __ATOMIC_RELAXED);
}

static void back(u64 frames)
{
    __atomic_fetch_add(&spaces.backed, frames, __ATOMIC_RELAXED);
}

/* What the CPUs have loaded */

void space_activate(struct space *space)
{
    u32 cpu = hal_cpu_number();
    struct space *before = cpus[cpu].space;
    if (space == before) {
        return;
    }
    u64 bit = 1ull << cpu;
    if (!hal_mmu.flush_is_global && space) {
        __atomic_fetch_or(&space->active, bit, __ATOMIC_SEQ_CST); /* inv 3 */
    }
    hal_mmu.activate(space ? &space->hal : &hal_kernel_space);
    __atomic_store_n(&cpus[cpu].space, space, __ATOMIC_RELEASE);
    if (!hal_mmu.flush_is_global && before) {
        __atomic_fetch_and(&before->active, ~bit, __ATOMIC_SEQ_CST);
    }
}

void space_switch(struct cpu *cpu, struct space *from, struct space *to)
{
    u64 bit = 1ull << cpu->hal.number;
    if (!hal_mmu.flush_is_global) {
        __atomic_fetch_or(&to->active, bit, __ATOMIC_SEQ_CST); /* inv 3 */
    }
    hal_space_load(&to->hal);
    __atomic_store_n(&cpu->space, to, __ATOMIC_RELEASE);
    if (!hal_mmu.flush_is_global) {
        __atomic_fetch_and(&from->active, ~bit, __ATOMIC_SEQ_CST);
    }
}

/* The CPUs that have it loaded, once nothing can load it any more. */
static u64 loaded_on(const struct space *space)
{
    u64 mask = 0;
    for (u32 cpu = 0; cpu < HX_ARRAY_SIZE(cpus); cpu++) {
        if (__atomic_load_n(&cpus[cpu].space, __ATOMIC_ACQUIRE) == space) {
            mask |= 1ull << cpu;
        }
    }
    return mask;
}

struct shootdown {
    vaddr_t low, high;
};

static void shootdown_here(void *arg)
{
    const struct shootdown *s = arg;
    hal_mmu.flush(s->low, s->high - s->low);
}

/* Makes every CPU forget its translations of the range. The tables have been changed. */
static void flush(struct space *space, vaddr_t low, vaddr_t high)
{
    struct shootdown s = {low, high};
    if (space->dying) {
        return;
    }
    if (hal_mmu.flush_is_global) {
        hal_mmu.flush(low, high - low);
        return;
    }
    hal_mb(); /* the change before the question who may have cached it; inv 3 */
    u64 irqs = hal_irq_save();
    u64 self = 1ull << hal_cpu_number();
    u64 active = __atomic_load_n(&space->active, __ATOMIC_SEQ_CST);
    if (active & self) {
        hal_mmu.flush(low, high - low);
    }
    hal_irq_restore(irqs);
    if (active & ~self) {
        cpu_call(active, shootdown_here, &s); /* this CPU may be another one by now: all of them */
    }
}

static void leave_here(void *arg)
{
    if (cpu_this()->space == arg) {
        space_activate(NULL);
    }
}

/* Leaves that were taken out, and what waits for the flush. */
struct gather {
    struct space *space;
    vaddr_t low, high; /* what has to be flushed */
    u32 own;           /* own frames, linked by next */
    u32 shared_count;  /* copy-on-write frames, which others may have linked */
    paddr_t shared[GATHER_SHARED];
};

/* Not an initialiser, which would clear the array as well. */
static void gather_begin(struct gather *g, struct space *space)
{
    g->space = space;
    g->low = USER_SPACE_END;
    g->high = 0;
    g->own = FRAME_NO_PFN;
    g->shared_count = 0;
}

static void gather_end(struct gather *g)
{
    if (g->low < g->high) {
        flush(g->space, g->low, g->high);
    }
    u64 freed = 0;
    while (g->own != FRAME_NO_PFN) {
        u32 pfn = g->own;
        g->own = frame_table[pfn].next;
        frame_free(frame_address(pfn));
        freed++;
    }
    while (g->shared_count > 0) {
        freed += frame_put(g->shared[--g->shared_count]);
    }
    if (freed > 0) {
        back((u64)0 - freed);
    }
    g->low = USER_SPACE_END;
    g->high = 0;
}

/* An hal_update_fn that takes every leaf out. */
static u32 remove_leaf(void *ctx, const struct hal_mapping *m)
{
    struct gather *g = ctx;
    struct frame *f = frame_at(m->pa);
    if (f->owner == g->space->owner) {
        for (u64 i = m->size >> HX_PAGE_SHIFT; i-- > 0;) {
            f[i].next = g->own;
            g->own = frame_number(m->pa) + (u32)i;
        }
        g->space->resident -= m->size >> HX_PAGE_SHIFT;
    } else if (f->owner == FRAME_SHARED) {
        if (g->shared_count == GATHER_SHARED) {
            gather_end(g); /* this leaf is still in; those before it are not */
        }
        g->shared[g->shared_count++] = m->pa;
        g->space->resident--;
    }
    g->low = m->va < g->low ? m->va : g->low;
    g->high = m->va + m->size;
    return UPDATE_REMOVE;
}

/* Frees the tables that a map which failed had begun. */
static void drop_tables(struct space *space, vaddr_t low, vaddr_t high)
{
    if (space->hal.freed) {
        flush(space, low, high);
        tables_release(&space->hal.freed);
    }
}

static void update_pages(struct space *space, vaddr_t start, vaddr_t end, hal_update_fn *fn,
                         void *ctx)
{
    enum hx_status status = hal_mmu.update(&space->hal, start, end - start, fn, ctx);
    HX_ASSERT(status == HX_OK); /* no large page reaches out of the range: inv 6 */
}

/* Makes both ends of a range the borders of pages. Return: HX_OK, HX_ERR_NO_MEMORY. */
static HX_NOINLINE enum hx_status split_ends(struct space *space, vaddr_t start, vaddr_t end)
{
    enum hx_status status = hal_mmu.split(&space->hal, start);
    return status == HX_OK && end < USER_SPACE_END ? hal_mmu.split(&space->hal, end) : status;
}

static HX_ALWAYS_INLINE enum hx_status split_for(struct space *space, vaddr_t start, vaddr_t end)
{
    return hx_likely(!space->large) ? HX_OK : split_ends(space, start, end);
}

/* The same as remove_pages() for a single page, which it nearly always is. False: it is absent, or
 * there is more to do. */
static HX_ALWAYS_INLINE bool remove_page(struct space *space, vaddr_t page)
{
    paddr_t pa;
    if (hx_unlikely(hal_mmu.page_unmap(&space->hal, page, &pa) != HX_OK)) {
        return false;
    }
    flush(space, page, page + HX_PAGE_SIZE);
    u32 owner = frame_at(pa)->owner;
    if (hx_likely(owner == space->owner)) {
        space->resident--;
        frame_free(pa);
        back((u64)-1);
    } else if (owner == FRAME_SHARED) {
        space->resident--;
        back((u64)0 - frame_put(pa));
    }
    return true;
}

static HX_NOINLINE void remove_pages(struct space *space, vaddr_t start, vaddr_t end)
{
    struct gather g;
    gather_begin(&g, space);
    update_pages(space, start, end, remove_leaf, &g);
    gather_end(&g);
    tables_release(&space->hal.freed);
}

/* Creation and end */

HX_COLD enum hx_status space_create(u64 limit_pages, struct space **out_space)
{
    struct space *space = kzalloc(sizeof(*space));
    if (!space) {
        return HX_ERR_NO_MEMORY;
    }
    u32 number = number_alloc();
    enum hx_status status = HX_ERR_LIMIT;
    if (number < SPACES_MAX) {
        status = hal_mmu.space_init(&space->hal);
        if (status != HX_OK) {
            number_free(number);
        }
    }
    if (status != HX_OK) {
        kfree(space);
        return status;
    }
    mutex_init(&space->lock);
    region_map_init(&space->map);
    space->limit = limit_pages;
    space->owner = FRAME_FIRST_SPACE + number;
    *out_space = space;
    return HX_OK;
}

HX_COLD void space_destroy(struct space *space)
{
    u64 loaded = loaded_on(space);
    if (loaded) {
        cpu_call(loaded, leave_here, space);
    }
    space->dying = true;
    struct gather g;
    gather_begin(&g, space);
    for (u32 i = 0; i < space->map.count; i++) { /* region by region: the space is mostly holes */
        const struct region *r = space->map.list[i];
        update_pages(space, r->start, r->end, remove_leaf, &g);
    }
    gather_end(&g);
    tables_release(&space->hal.freed);
    HX_ASSERT(space->resident == 0 && loaded_on(space) == 0); /* inv 2 */
    for (u32 i = 0; i < space->map.count; i++) {
        if (space->map.list[i]->object) {
            memory_object_put(space->map.list[i]->object);
        }
    }
    uncommit(space, space->committed);
    region_map_fini(&space->map);
    hal_mmu.space_fini(&space->hal);
    HX_DEBUG_ASSERT(frame_count_owner(space->owner) == 0); /* the count walks all of memory */
    number_free(space->owner - FRAME_FIRST_SPACE);
    kfree(space);
}

u64 space_resident_pages(const struct space *space)
{
    return __atomic_load_n(&space->resident, __ATOMIC_RELAXED);
}

u64 space_committed_pages(const struct space *space)
{
    return __atomic_load_n(&space->committed, __ATOMIC_RELAXED);
}

u32 space_owner(const struct space *space)
{
    return space->owner;
}

/* Regions */

static HX_ALWAYS_INLINE bool flags_are_valid(u32 flags, u32 allowed)
{
    return !(flags & ~allowed) &&
           (flags & (SPACE_WRITE | SPACE_EXEC)) != (SPACE_WRITE | SPACE_EXEC);
}

/* Rounds a range to pages and checks that user memory holds it. */
static HX_ALWAYS_INLINE bool range_is_valid(vaddr_t address, u64 *size)
{
    return *size > 0 && hx_align_up_checked(*size, HX_PAGE_SIZE, size) &&
           hx_is_aligned(address, HX_PAGE_SIZE) && hx_range_fits(address, *size, USER_SPACE_END);
}

static bool backing_is_valid(const struct space_request *r, u64 size)
{
    switch (r->backing) {
    case SPACE_OBJECT:
        return r->object && hx_is_aligned(r->offset, HX_PAGE_SIZE) &&
               hx_range_fits(r->offset, size, memory_object_size(r->object));
    case SPACE_DATA:
        return r->data_size <= size && (r->data || r->data_size == 0);
    case SPACE_ANONYMOUS:
    case SPACE_GUARD:
        return true;
    default:
        return false;
    }
}

/* Finds the place for a region of `size` bytes at `start`, or anywhere if that is 0, and reserves
 * what is needed to add it at *out_index. */
static HX_ALWAYS_INLINE enum hx_status place_find(struct space *space, u64 size, u32 flags,
                                                  vaddr_t *start, u32 *out_index)
{
    struct region_map *map = &space->map;
    if (hx_unlikely(*start != 0)) {
        *out_index = region_find(map, *start);
        if (*out_index < map->count && map->list[*out_index]->start < *start + size) {
            return HX_ERR_EXISTS;
        }
    } else {
        bool large = hx_unlikely(flags & SPACE_LARGE) && size >= LARGE_SIZE;
        u64 room = large ? LARGE_SIZE - HX_PAGE_SIZE : 0;
        if (!hx_add_checked(size, room, &room) ||
            !region_gap(map, SPACE_CHOOSE_FIRST, USER_SPACE_END, room, start, out_index)) {
            return HX_ERR_NO_SPACE;
        }
        if (large) {
            *start = hx_align_up(*start, LARGE_SIZE);
        }
    }
    return region_reserve(map, 1);
}

/* The rest of space_map(). `r` has all but its place. */
static HX_ALWAYS_INLINE enum hx_status map_region(struct space *space, struct region *r, u64 size,
                                                  vaddr_t *out_address)
{
    mutex_acquire(&space->lock);
    u32 index;
    enum hx_status status = place_find(space, size, r->flags, &r->start, &index);
    r->end = r->start + size;
    if (hx_likely(status == HX_OK) && region_is_committed(r)) {
        status = commit(space, size >> HX_PAGE_SHIFT);
    }
    if (hx_likely(status == HX_OK)) {
        if (r->object) {
            memory_object_get(r->object);
        }
        region_add_at(&space->map, index, r);
        *out_address = r->start;
    }
    mutex_release(&space->lock);
    return status;
}

static bool place_is_valid(vaddr_t address, u64 *size)
{
    return range_is_valid(address, size) && (address == 0 || address >= SPACE_LOWEST);
}

enum hx_status space_map(struct space *space, const struct space_request *request,
                         vaddr_t *out_address)
{
    u64 size = request->size;
    if (!place_is_valid(request->address, &size) || !backing_is_valid(request, size) ||
        !flags_are_valid(request->flags, SPACE_WRITE | SPACE_EXEC | SPACE_PRIVATE)) {
        return HX_ERR_INVALID;
    }
    struct region r = {
        .start = request->address, .backing = (u8)request->backing, .flags = (u8)request->flags};
    if (request->backing == SPACE_OBJECT) {
        r.object = request->object;
        r.offset = request->offset;
    } else if (request->backing == SPACE_DATA && request->data_size > 0) {
        r.data = request->data;
        r.data_size = request->data_size;
    }
    return map_region(space, &r, size, out_address);
}

enum hx_status space_map_anonymous(struct space *space, vaddr_t address, u64 size, u32 flags,
                                   vaddr_t *out_address)
{
    if (hx_unlikely(!place_is_valid(address, &size) ||
                    !flags_are_valid(flags, SPACE_WRITE | SPACE_EXEC | SPACE_LARGE))) {
        return HX_ERR_INVALID;
    }
    struct region r = {.start = address, .backing = SPACE_ANONYMOUS, .flags = (u8)flags};
    return map_region(space, &r, size, out_address);
}

/* Splits what the ends of a range lie in, pages first: a split page changes nothing. */
static HX_NOINLINE enum hx_status cut_locked(struct space *space, struct region_range *range,
                                             vaddr_t start, vaddr_t end)
{
    enum hx_status status = region_reserve(&space->map, range->cuts);
    if (status == HX_OK) {
        status = split_for(space, start, end);
    }
    if (status == HX_OK) {
        region_range_cut(&space->map, range, start, end);
    }
    return status;
}

static enum hx_status unmap_locked(struct space *space, vaddr_t start, vaddr_t end)
{
    struct region_range range = region_range(&space->map, start, end);
    if (range.first == range.last) {
        return HX_ERR_NOT_FOUND;
    }
    bool trim = region_range_is_trim(&range);
    if (range.cuts > 0) {
        enum hx_status status =
            trim ? split_for(space, start, end) : cut_locked(space, &range, start, end);
        if (status != HX_OK) {
            return status;
        }
    }
    if (end - start != HX_PAGE_SIZE || !remove_page(space, start)) {
        remove_pages(space, start, end);
    }
    u64 pages = 0;
    if (trim) { /* off one side of a region, which stays */
        const struct region *r = space->map.list[range.first];
        pages = region_pages(r);
        region_trim(&space->map, range.first, start, end);
        uncommit(space, pages - region_pages(r));
        return HX_OK;
    }
    for (u32 i = range.last; i-- > range.first;) {
        struct memory_object *object = space->map.list[i]->object;
        pages += region_pages(space->map.list[i]);
        region_remove(&space->map, i);
        if (object) {
            memory_object_put(object);
        }
    }
    uncommit(space, pages);
    return HX_OK;
}

enum hx_status space_unmap(struct space *space, vaddr_t address, u64 size)
{
    if (!range_is_valid(address, &size)) {
        return HX_ERR_INVALID;
    }
    mutex_acquire(&space->lock);
    enum hx_status status = unmap_locked(space, address, address + size);
    mutex_release(&space->lock);
    return status;
}

/* What a leaf of the region may be: inv 1 and 4. */
static u32 leaf_flags(const struct space *space, const struct region *r, paddr_t frame)
{
    u32 owner = frame_at(frame)->owner;
    bool writable =
        (r->flags & SPACE_WRITE) &&
        (owner == space->owner || (owner == FRAME_OBJECT && !(r->flags & SPACE_PRIVATE)));
    return MAP_USER | (writable ? MAP_WRITE : 0) | (r->flags & SPACE_EXEC ? MAP_EXEC : 0);
}

struct protect {
    struct space *space;
    struct region_map *map;
    u32 at;            /* region of the leaf before */
    vaddr_t low, high; /* what has to be flushed */
};

static u32 protect_leaf(void *ctx, const struct hal_mapping *m)
{
    struct protect *p = ctx;
    while (p->map->list[p->at]->end <= m->va) {
        p->at++;
    }
    u32 flags = leaf_flags(p->space, p->map->list[p->at], m->pa);
    if ((flags & MAP_EXEC) && !(m->flags & MAP_EXEC)) {
        hal_cpu.sync_icache((vaddr_t)hal_phys_to_virt(m->pa), m->size);
    }
    if (m->flags &
        ~flags) { /* what only grew needs no flush: a stale entry faults, and is mended */
        p->low = m->va < p->low ? m->va : p->low;
        p->high = m->va + m->size;
    }
    return flags;
}

static enum hx_status protect_locked(struct space *space, vaddr_t start, vaddr_t end, u32 flags)
{
    struct region_range range = region_range(&space->map, start, end);
    if (!range.whole) {
        return HX_ERR_NOT_FOUND;
    }
    if (range.cuts > 0) {
        enum hx_status status = cut_locked(space, &range, start, end);
        if (status != HX_OK) {
            return status;
        }
    }
    for (u32 i = range.first; i < range.last; i++) {
        struct region *r = space->map.list[i];
        r->flags = (u8)((r->flags & (SPACE_PRIVATE | SPACE_LARGE)) | flags);
    }
    struct protect p = {
        .space = space, .map = &space->map, .at = range.first, .low = USER_SPACE_END};
    update_pages(space, start, end, protect_leaf, &p);
    if (p.low < p.high) {
        flush(space, p.low, p.high);
    }
    for (u32 i = range.last; i-- > (range.first > 0 ? range.first - 1 : 0);) {
        region_join(&space->map, i);
    }
    return HX_OK;
}

enum hx_status space_protect(struct space *space, vaddr_t address, u64 size, u32 flags)
{
    if (!range_is_valid(address, &size) || !flags_are_valid(flags, SPACE_WRITE | SPACE_EXEC)) {
        return HX_ERR_INVALID;
    }
    mutex_acquire(&space->lock);
    enum hx_status status = protect_locked(space, address, address + size, flags);
    mutex_release(&space->lock);
    return status;
}

enum hx_status space_query(struct space *space, vaddr_t address, struct space_info *out)
{
    mutex_acquire(&space->lock);
    u32 i = region_find(&space->map, address);
    bool found = i < space->map.count;
    if (found) {
        const struct region *r = space->map.list[i];
        *out = (struct space_info){
            .start = r->start, .size = r->end - r->start, .flags = r->flags, .backing = r->backing};
    }
    mutex_release(&space->lock);
    return found ? HX_OK : HX_ERR_NOT_FOUND;
}

enum hx_status space_page_query(struct space *space, vaddr_t address, struct space_page *out)
{
    struct hal_mapping m;
    mutex_acquire(&space->lock);
    enum hx_status status = hal_mmu.query(&space->hal, address, &m);
    mutex_release(&space->lock);
    if (status == HX_OK) {
        *out = (struct space_page){.frame = m.pa, .size = m.size};
    }
    return status;
}

/* Faults */

static const char *const reason_limit = "the process's memory limit is reached";
static const char *const reason_memory = "the system is out of memory";

/* A frame of the space's own. */
static enum hx_status own_frame(struct space *space, u32 flags, paddr_t *out_frame,
                                const char **out_reason)
{
    if (space->resident >= space->limit) {
        *out_reason = reason_limit;
        return HX_ERR_LIMIT;
    }
    enum hx_status status = frame_alloc(flags, space->owner, out_frame);
    if (hx_unlikely(status != HX_OK)) {
        *out_reason = reason_memory;
        return status;
    }
    back(1);
    return HX_OK;
}

/* Copies what the region's data has for this page, and zeroes the rest. */
static void fill_from_data(const struct region *r, vaddr_t page, paddr_t frame)
{
    u8 *to = hal_phys_to_virt(frame);
    u64 skipped = page - r->start;
    u64 left = r->data && skipped < r->data_size ? r->data_size - skipped : 0;
    size_t n = hx_min_u64(left, HX_PAGE_SIZE);
    if (n > 0) {
        memcpy(to, r->data + skipped, n);
    }
    memset(to + n, 0, HX_PAGE_SIZE - n);
}

/* The frame for an absent page of the region. */
static enum hx_status frame_make(struct space *space, const struct region *r, vaddr_t page,
                                 bool write, paddr_t *out_frame, const char **out_reason)
{
    paddr_t object_frame = 0;
    if (r->backing == SPACE_OBJECT) {
        u64 index = (r->offset + (page - r->start)) >> HX_PAGE_SHIFT;
        enum hx_status status = memory_object_frame(r->object, index, &object_frame);
        *out_reason = reason_memory;
        if (status != HX_OK || !(write && (r->flags & SPACE_PRIVATE))) {
            *out_frame = object_frame;
            return status;
        }
    }
    bool zero = r->backing == SPACE_ANONYMOUS;
    enum hx_status status = own_frame(space, zero ? FRAME_ZERO : 0, out_frame, out_reason);
    if (status == HX_OK && object_frame) {
        hal_page_copy(hal_phys_to_virt(*out_frame), hal_phys_to_virt(object_frame));
    } else if (status == HX_OK && !zero) {
        fill_from_data(r, page, *out_frame);
    }
    return status;
}

/* Maps a frame; one of the space's own that cannot be mapped is freed again. */
static enum hx_status page_enter(struct space *space, vaddr_t page, paddr_t frame, u32 flags,
                                 bool own, const char **out_reason)
{
    enum hx_status status = hal_mmu.map(&space->hal, page, frame, HX_PAGE_SIZE, flags);
    if (hx_likely(status == HX_OK)) {
        space->resident += own;
        return HX_OK;
    }
    if (own) {
        frame_free(frame);
        back((u64)-1);
    }
    drop_tables(space, page, page + HX_PAGE_SIZE);
    *out_reason = reason_memory;
    return status;
}

static enum hx_status page_add(struct space *space, const struct region *r, vaddr_t page,
                               bool write, const char **out_reason)
{
    paddr_t frame;
    enum hx_status status = frame_make(space, r, page, write, &frame, out_reason);
    if (status != HX_OK) {
        return status;
    }
    if (r->flags & SPACE_EXEC) {
        hal_cpu.sync_icache((vaddr_t)hal_phys_to_virt(frame), HX_PAGE_SIZE);
    }
    bool own = frame_at(frame)->owner == space->owner;
    return page_enter(space, page, frame, leaf_flags(space, r, frame), own, out_reason);
}

/* A write to a page that is there, of a region that allows it: it is copied, or taken over by the
 * last that has it. */
static enum hx_status page_unshare(struct space *space, const struct region *r,
                                   const struct hal_mapping *m, const char **out_reason)
{
    struct frame *f = frame_at(m->pa);
    if (f->owner == FRAME_SHARED && __atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) == 1) {
        f->owner = (u16)space->owner;
        /* Permissions only grow: a CPU that still has the old ones faults, and finds this done. */
        enum hx_status status =
            hal_mmu.protect(&space->hal, m->va, HX_PAGE_SIZE, leaf_flags(space, r, m->pa));
        HX_ASSERT(status == HX_OK); /* it is mapped, by a leaf of its own */
        hal_mmu.flush(m->va, HX_PAGE_SIZE);
        return HX_OK;
    }
    paddr_t copy;
    enum hx_status status = own_frame(space, 0, &copy, out_reason);
    if (status != HX_OK) {
        return status;
    }
    hal_page_copy(hal_phys_to_virt(copy), hal_phys_to_virt(m->pa));
    struct gather g;
    gather_begin(&g, space);
    paddr_t old = m->pa;
    bool counted = f->owner == FRAME_SHARED;
    status = hal_mmu.replace(&space->hal, m->va, copy, leaf_flags(space, r, copy));
    HX_ASSERT(status == HX_OK); /* it is mapped, by a leaf of its own */
    if (counted) {
        g.shared[g.shared_count++] = old;
    } else {
        space->resident++;
    }
    g.low = m->va;
    g.high = m->va + HX_PAGE_SIZE;
    gather_end(&g);
    return HX_OK;
}

/* The large page around `page` where the region has room for it, nothing of it is there, and there
 * is a block of frames for it. */
static HX_COLD HX_NOINLINE bool large_page_add(struct space *space, const struct region *r,
                                               vaddr_t page)
{
    vaddr_t start = hx_align_down(page, LARGE_SIZE);
    paddr_t block;
    if (start < r->start || r->end - start < LARGE_SIZE ||
        space->limit - space->resident < LARGE_PAGES || space->limit < space->resident ||
        frame_alloc_block(LARGE_ORDER, FRAME_ZERO, space->owner, &block) != HX_OK) {
        return false;
    }
    u32 flags = leaf_flags(space, r, block);
    if (hal_mmu.map(&space->hal, start, block, LARGE_SIZE, flags) != HX_OK) {
        frame_free_run(block, LARGE_PAGES); /* a single page of it was there, or no table */
        drop_tables(space, start, start + LARGE_SIZE);
        return false;
    }
    back(LARGE_PAGES);
    space->resident += LARGE_PAGES;
    space->large = true;
    return true;
}

/* An absent page of anonymous memory: what programs fault for most. Return: as page_add(). */
static HX_ALWAYS_INLINE enum hx_status anonymous_add(struct space *space, const struct region *r,
                                                     vaddr_t page, const char **out_reason)
{
    paddr_t frame;
    enum hx_status status = own_frame(space, FRAME_ZERO, &frame, out_reason);
    if (hx_unlikely(status != HX_OK)) {
        return status;
    }
    u32 flags = MAP_USER | (r->flags & SPACE_WRITE ? MAP_WRITE : 0);
    status = hal_mmu.page_map(&space->hal, page, frame, flags);
    if (hx_unlikely(status != HX_OK)) {
        return page_enter(space, page, frame, flags, true, out_reason);
    }
    space->resident++;
    return HX_OK;
}

static enum hx_status resolve_locked(struct space *space, vaddr_t address, u32 access,
                                     bool maybe_present, const char **out_reason)
{
    struct region *r = region_at(&space->map, address);
    vaddr_t page = hx_align_down(address, HX_PAGE_SIZE);
    if (!r) {
        *out_reason = address < SPACE_LOWEST ? "null pointer" : "nothing is mapped there";
        return HX_ERR_FAULT;
    }
    if (r->backing == SPACE_GUARD) {
        *out_reason = "guard page: a stack or a buffer overflowed";
        return HX_ERR_FAULT;
    }
    if (access == ACCESS_WRITE && !(r->flags & SPACE_WRITE)) {
        *out_reason = "the memory is read-only";
        return HX_ERR_FAULT;
    }
    if (access == ACCESS_EXECUTE && !(r->flags & SPACE_EXEC)) {
        *out_reason = "the memory is not executable";
        return HX_ERR_FAULT;
    }
    struct hal_mapping m;
    if (hx_likely(!maybe_present && r->backing == SPACE_ANONYMOUS)) {
        if (hx_unlikely(r->flags & SPACE_LARGE) && large_page_add(space, r, page)) {
            return HX_OK;
        }
        if (hx_likely(!(r->flags & SPACE_EXEC))) {
            enum hx_status status = anonymous_add(space, r, page, out_reason);
            if (hx_likely(status != HX_ERR_EXISTS)) {
                return status;
            }
        }
    } else if (!maybe_present) {
        enum hx_status status = page_add(space, r, page, access == ACCESS_WRITE, out_reason);
        if (hx_likely(status != HX_ERR_EXISTS)) {
            return status;
        }
    }
    if (hal_mmu.query(&space->hal, page, &m) != HX_OK) {
        return page_add(space, r, page, access == ACCESS_WRITE, out_reason);
    }
    if (access == ACCESS_WRITE && !(m.flags & MAP_WRITE)) {
        return page_unshare(space, r, &m, out_reason);
    }
    hal_mmu.flush(page, HX_PAGE_SIZE); /* another thread was first; this CPU had the old entry */
    return HX_OK;
}

bool space_fault(struct space *space, vaddr_t address, u32 access, bool present,
                 const char **out_reason)
{
    if (address >= USER_SPACE_END) {
        *out_reason = "the address is not user memory";
        return false;
    }
    if (!space) {
        *out_reason = "there is no user memory here";
        return false;
    }
    mutex_acquire(&space->lock);
    enum hx_status status = resolve_locked(space, address, access, present, out_reason);
    mutex_release(&space->lock);
    return status == HX_OK;
}

HX_COLD enum hx_status space_touch(struct space *space, vaddr_t address, u32 access,
                                   const char **out_reason)
{
    return space_fault(space, address, access, true, out_reason) ? HX_OK : HX_ERR_FAULT;
}

/* Copying */

struct copying {
    struct space *from, *to;
    struct region_map *map; /* the copies of the regions, in `to` */
    u32 at;
    struct gather g; /* of `from`: its pages become read-only */
    enum hx_status status;
};

/* Shares one private page of `from` with `to`. Objects' pages appear in `to` at the first touch. */
static u32 share_leaf(void *ctx, const struct hal_mapping *m)
{
    struct copying *c = ctx;
    struct frame *f = frame_at(m->pa);
    if (c->status != HX_OK || (f->owner != c->from->owner && f->owner != FRAME_SHARED)) {
        return UPDATE_KEEP;
    }
    while (c->map->list[c->at]->end <= m->va) {
        c->at++;
    }
    if (c->to->resident >= c->to->limit) {
        c->status = HX_ERR_LIMIT;
        return UPDATE_KEEP;
    }
    u32 flags = m->flags & ~MAP_WRITE;
    c->status = hal_mmu.map(&c->to->hal, m->va, m->pa, HX_PAGE_SIZE, flags);
    if (c->status != HX_OK) {
        return UPDATE_KEEP;
    }
    f->owner = FRAME_SHARED; /* with one reference already, from `from` */
    frame_get(m->pa);
    c->to->resident++;
    c->g.low = m->va < c->g.low ? m->va : c->g.low;
    c->g.high = m->va + m->size;
    return flags;
}

/* Splits every large page of a region: what is shared is shared page by page. */
static enum hx_status split_all(struct space *space, const struct region *r)
{
    if (!space->large || !(r->flags & SPACE_LARGE)) {
        return HX_OK;
    }
    for (vaddr_t at = hx_align_up(r->start, LARGE_SIZE); at < r->end; at += LARGE_SIZE) {
        enum hx_status status = hal_mmu.split(&space->hal, at + HX_PAGE_SIZE);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

/* Copies of the parts of regions that lie in the range. */
static enum hx_status copy_regions(struct space *from, struct space *to, vaddr_t start, vaddr_t end)
{
    for (u32 i = region_find(&from->map, start);
         i < from->map.count && from->map.list[i]->start < end; i++) {
        /* One to add, and two for cutting what is added off its neighbours again. */
        enum hx_status status = region_reserve(&to->map, 3);
        if (status != HX_OK) {
            return status;
        }
        struct region r = *from->map.list[i];
        status = split_all(from, &r);
        if (status != HX_OK) {
            return status;
        }
        u64 skipped = r.start < start ? start - r.start : 0;
        r.start += skipped;
        r.end = hx_min_u64(r.end, end);
        r.offset += skipped;
        r.data = r.data && skipped < r.data_size ? r.data + skipped : NULL;
        r.data_size = r.data ? r.data_size - skipped : 0;
        status = commit(to, region_pages(&r));
        if (status != HX_OK) {
            return status;
        }
        if (r.object) {
            memory_object_get(r.object);
        }
        region_add(&to->map, &r);
    }
    return HX_OK;
}

static enum hx_status copy_locked(struct space *from, struct space *to, vaddr_t start, vaddr_t end)
{
    if (!region_is_free(&to->map, start, end)) {
        return HX_ERR_EXISTS;
    }
    if (region_is_free(&from->map, start, end)) {
        return HX_ERR_NOT_FOUND;
    }
    struct copying c = {.from = from, .to = to, .map = &to->map};
    gather_begin(&c.g, from);
    c.status = copy_regions(from, to, start, end);
    if (c.status == HX_OK) {
        c.at = region_find(&to->map, start);
        HX_IGNORE(hal_mmu.update(&from->hal, start, end - start, share_leaf, &c),
                  "user leaves are single pages: no large page reaches out of the range");
        gather_end(&c.g);
    }
    if (c.status != HX_OK && !region_is_free(&to->map, start, end)) {
        HX_IGNORE(unmap_locked(to, start, end), "what it needs has been reserved");
    }
    drop_tables(to, start, end);
    return c.status;
}

enum hx_status space_copy(struct space *from, struct space *to, vaddr_t address, u64 size)
{
    if (!range_is_valid(address, &size) || from == to) {
        return HX_ERR_INVALID;
    }
    struct space *first = from < to ? from : to, *second = from < to ? to : from;
    mutex_acquire(&first->lock);
    mutex_acquire(&second->lock);
    enum hx_status status = copy_locked(from, to, address, address + size);
    mutex_release(&second->lock);
    mutex_release(&first->lock);
    return status;
}

/* Copies by the kernel. No lock: what is absent is filled in by the faults on the way. */

enum hx_status user_copy_in(void *dst, vaddr_t user, size_t n)
{
    return hx_range_fits(user, n, USER_SPACE_END) && hal_user_copy_in(dst, user, n) == 0
               ? HX_OK
               : HX_ERR_FAULT;
}

enum hx_status user_copy_out(vaddr_t user, const void *src, size_t n)
{
    return hx_range_fits(user, n, USER_SPACE_END) && hal_user_copy_out(user, src, n) == 0
               ? HX_OK
               : HX_ERR_FAULT;
}
