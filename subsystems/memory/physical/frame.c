/* SPDX-License-Identifier: MIT */
/* Frames: the table, the CPUs' caches in front of the allocator, and the exchange of allocators.
 * Owns:      the frame table; which allocator serves.    Callers: everything that needs memory.
 * Context:   thread or interrupts masked; never blocks.
 * Locks:     frames.lock (LOCK_RANK_FRAME), interrupts masked: the allocators, `free`, `moved`, and
 *            every change of a frame to or from FRAME_FREE. A CPU's cache is touched by that CPU
 *            alone with interrupts masked, which is why a call that the cache serves needs no lock.
 * Invariant: (1) a frame is free in exactly one place: FRAME_FREE in one allocator's index, or
 *            FRAME_CACHED in one CPU's cache; among the zeroed there it holds nothing but zeroes.
 * (2) free is the number of FRAME_FREE frames of the table.  (3) while allocators are exchanged,
 * `next` holds what is free below `moved` and `ops` what is above; blocks never cross it, as it
 * moves by largest blocks. What an allocator answers is checked against the table before it is
 * believed: it may be a module with a bug. A wrong answer ejects it; `bump` then serves from the
 * table alone.
 */
#include <core/spinlock.h>
#include <hal/mmu.h>
#include <hal/smp.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <memory/frame.h>
#include <memory/frame_alloc.h>

#define CHUNK       (1u << FRAME_ORDER_MAX)
#define CACHE_MAX   31 /* frames at hand for a CPU; with its count two cache lines */
#define CACHE_ORDER 4  /* filled by blocks of up to this order */
#define CACHE_BATCH (1u << CACHE_ORDER)
#define ZEROED_MAX  15 /* emptied page tables, which the next page table is made of */

/* Marking: c its own CPU with interrupts masked. */
struct frame_cache {
    u32 count;              /* c */
    u32 pfn[CACHE_MAX];     /* c */
    u32 zeroed_count;       /* c */
    u32 zeroed[ZEROED_MAX]; /* c: inv 1 */
} HX_ALIGNED(64);

_Static_assert(sizeof(struct frame_cache) == 192, "two lines, and one for page tables");

/* Marking: l frames.lock; I immutable after frame_allocator_start(); a atomic. */
static struct {
    struct spinlock lock;
    const struct frame_alloc_ops *ops, *next; /* l */
    void *index, *next_index;                 /* l */
    u32 index_frames;                         /* l: what the index occupies */
    u32 moved;                                /* l: inv 3 */
    const struct frame_range *ranges;         /* I */
    u32 range_count;                          /* I */
    u64 total;                                /* I */
    u64 free;                                 /* l: inv 2 */
    void *stale;                              /* l: the index of one that was ejected */
    u32 stale_frames;                         /* l */
    u64 pause;                                /* l: longest step of the last switch, cycles */
    u32 fail_after;                           /* a: 0 off */
    struct frame_cache caches[HAL_CPUS_MAX];
} frames = {.lock = SPINLOCK_INIT("frames", LOCK_RANK_FRAME)};

struct frame *frame_table;

static u64 bump_storage[8]; /* of the bypass, which must not need memory */

static const char *const owner_names[] = {
    [FRAME_NONE] = "none",         [FRAME_FREE] = "free",
    [FRAME_CACHED] = "cached",     [FRAME_KERNEL] = "kernel",
    [FRAME_BOOT] = "boot",         [FRAME_FIRMWARE] = "firmware",
    [FRAME_TABLE] = "frame-table", [FRAME_EARLY] = "early",
    [FRAME_INDEX] = "frame-index", [FRAME_PAGE_TABLE] = "page-table",
    [FRAME_HEAP] = "heap",         [FRAME_STACK] = "stack",
    [FRAME_OBJECT] = "object",     [FRAME_SHARED] = "shared",
    [FRAME_FILE] = "file",         [FRAME_DRIVER] = "driver",
    [FRAME_TEST] = "test",
};
_Static_assert(HX_ARRAY_SIZE(owner_names) == FRAME_OWNER_COUNT, "an owner without a name");

const char *frame_owner_name(u32 owner)
{
    return owner < FRAME_OWNER_COUNT ? owner_names[owner] : "?";
}

bool frame_is_ram(paddr_t address)
{
    u64 pfn = address >> HX_PAGE_SHIFT;
    for (u32 i = 0; i < frames.range_count; i++) {
        if (pfn >= frames.ranges[i].first && pfn < frames.ranges[i].end) {
            return true;
        }
    }
    return false;
}

/* Owner, mark, kind and reference count in one store. */
static HX_ALWAYS_INLINE void set_owner(struct frame *f, u32 owner, u32 refs)
{
    typedef u64 __attribute__((may_alias)) word;
    *(word *)f = (u64)refs << (8 * offsetof(struct frame, refs)) | owner;
}

_Static_assert(offsetof(struct frame, owner) == 0 && offsetof(struct frame, refs) == 4 &&
                   __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "set_owner() writes both at once");

/* Fault injection */

void frame_fail_after(u32 n)
{
    __atomic_store_n(&frames.fail_after, n, __ATOMIC_RELAXED);
}

static HX_NOINLINE bool fails_now(void)
{
    u32 left = __atomic_load_n(&frames.fail_after, __ATOMIC_RELAXED);
    while (left > 1 && !__atomic_compare_exchange_n(&frames.fail_after, &left, left - 1, false,
                                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return left == 1;
}

/* The allocators, frames.lock held */

/* Is the answer a free block of that size in that zone? */
static bool answer_is_right(u32 pfn, enum frame_zone zone, u32 order)
{
    u32 size = 1u << order;
    if (!hx_is_aligned(pfn, size) || frame_zone_of(pfn) != zone ||
        !frame_is_ram(frame_address(pfn))) {
        return false;
    }
    const struct frame *f = &frame_table[pfn], *end = f + size; /* a block's entries are mapped */
    while (f < end && f->owner == FRAME_FREE) {
        f++;
    }
    return f == end;
}

/* The allocator is not believed any more. The table is the truth, and bump needs nothing else. */
static HX_COLD void eject_locked(const struct frame_alloc_ops *guilty, u32 pfn)
{
    log_error("memory", "frame allocator %s gave away frame 0x%x, which is not free: ejected",
              guilty->name, pfn);
    if (frames.index_frames > 0) { /* not freed here, under its own lock: the next switch does */
        frames.stale = frames.index;
        frames.stale_frames = frames.index_frames;
    }
    frames.ops = &frame_bump_ops;
    frames.index = bump_storage;
    frames.index_frames = 0;
    frames.next = NULL;
    frames.moved = 0;
    frame_bump_ops.init(frames.index, frames.ranges, frames.range_count);
    for (u32 i = 0; i < frames.range_count; i++) { /* what it wrote there would mislead the next */
        struct frame *end = frame_table + frames.ranges[i].end;
        for (struct frame *f = frame_table + frames.ranges[i].first; f < end; f++) {
            if (f->owner == FRAME_FREE) {
                f->mark = 0;
            }
        }
    }
}

static u32 ask_locked(enum frame_zone zone, u32 order)
{
    for (;;) {
        const struct frame_alloc_ops *asked = frames.ops;
        u32 pfn = FRAME_NO_PFN;
        if (frames.next) {
            asked = frames.next;
            pfn = asked->alloc(frames.next_index, zone, order);
        }
        if (pfn == FRAME_NO_PFN) {
            asked = frames.ops;
            pfn = asked->alloc(frames.index, zone, order);
        }
        if (pfn == FRAME_NO_PFN || hx_likely(answer_is_right(pfn, zone, order))) {
            return pfn;
        }
        eject_locked(asked, pfn);
    }
}

/* Takes a block for `owner` from the highest zone that the flags allow. */
static u32 take_locked(u32 order, u32 flags, u32 owner)
{
    u32 zone = flags & FRAME_BELOW_16M  ? FRAME_ZONE_16M
               : flags & FRAME_BELOW_4G ? FRAME_ZONE_4G
                                        : FRAME_ZONE_REST;
    for (u32 z = zone + 1; z-- > 0;) {
        u32 pfn = ask_locked(z, order);
        if (pfn != FRAME_NO_PFN) {
            for (u32 i = 0; i < 1u << order; i++) {
                set_owner(&frame_table[pfn + i], owner, 1);
            }
            frames.free -= 1u << order;
            return pfn;
        }
    }
    return FRAME_NO_PFN;
}

/* Frames in a row become free; the part below `moved` is the next allocator's (inv 3). */
static void give_locked(u32 first, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        set_owner(&frame_table[first + i], FRAME_FREE, 0);
    }
    frames.free += count;
    u32 low = first >= frames.moved ? 0 : (u32)hx_min_u64(count, frames.moved - first);
    if (low > 0) {
        frames.next->add(frames.next_index, first, low);
    }
    if (low < count) {
        frames.ops->add(frames.index, first + low, count - low);
    }
}

/* The CPU's cache, interrupts masked */

/* One block, as large as there is, makes a batch: asking once is cheaper than sixteen times. */
static HX_NOINLINE bool cache_fill(struct frame_cache *cache)
{
    u32 order = CACHE_ORDER;
    spin_lock(&frames.lock);
    u32 pfn = take_locked(order, 0, FRAME_CACHED);
    while (pfn == FRAME_NO_PFN && order > 0) {
        pfn = take_locked(--order, 0, FRAME_CACHED);
    }
    spin_unlock(&frames.lock);
    if (pfn == FRAME_NO_PFN) {
        return false;
    }
    for (u32 i = 1u << order; i-- > 0;) {
        cache->pfn[cache->count++] = pfn + i; /* handed out in ascending order */
    }
    return true;
}

static HX_NOINLINE void cache_flush(struct frame_cache *cache, u32 down_to)
{
    spin_lock(&frames.lock);
    while (cache->count > down_to) {
        u32 first = cache->pfn[--cache->count], end = first + 1;
        for (; cache->count > down_to; cache->count--) { /* what lies together goes together */
            u32 pfn = cache->pfn[cache->count - 1];
            if (pfn + 1 == first) {
                first--;
            } else if (pfn == end) {
                end++;
            } else {
                break;
            }
        }
        give_locked(first, end - first);
    }
    spin_unlock(&frames.lock);
}

static void zeroed_flush(struct frame_cache *cache)
{
    spin_lock(&frames.lock);
    while (cache->zeroed_count > 0) {
        give_locked(cache->zeroed[--cache->zeroed_count], 1);
    }
    spin_unlock(&frames.lock);
}

HX_COLD void frame_cache_drain(void)
{
    u64 state = hal_irq_save();
    struct frame_cache *cache = &frames.caches[hal_cpu_number()];
    cache_flush(cache, 0);
    zeroed_flush(cache);
    hal_irq_restore(state);
}

static HX_NOINLINE enum hx_status alloc_slow(u32 order, u32 flags, u32 owner, u32 *out_pfn)
{
    if (fails_now()) {
        return HX_ERR_NO_MEMORY;
    }
    u64 state = hal_irq_save();
    struct frame_cache *cache = &frames.caches[hal_cpu_number()];
    u32 pfn = FRAME_NO_PFN;
    if (order == 0 && !(flags & (FRAME_BELOW_16M | FRAME_BELOW_4G))) {
        if (cache->count > 0 || cache_fill(cache)) {
            pfn = cache->pfn[--cache->count];
        } else if (cache->zeroed_count > 0) { /* the last there are */
            pfn = cache->zeroed[--cache->zeroed_count];
        }
        if (pfn != FRAME_NO_PFN) {
            set_owner(&frame_table[pfn], owner, 1);
        }
    } else {
        spin_lock(&frames.lock);
        pfn = take_locked(order, flags, owner);
        spin_unlock(&frames.lock);
        if (pfn == FRAME_NO_PFN && cache->count + cache->zeroed_count > 0) {
            cache_flush(cache, 0); /* what it lacks may be at hand here */
            zeroed_flush(cache);
            spin_lock(&frames.lock);
            pfn = take_locked(order, flags, owner);
            spin_unlock(&frames.lock);
        }
    }
    hal_irq_restore(state);
    *out_pfn = pfn;
    return pfn == FRAME_NO_PFN ? HX_ERR_NO_MEMORY : HX_OK;
}

static HX_ALWAYS_INLINE enum hx_status finish(u32 pfn, u32 order, u32 flags, paddr_t *out_frame)
{
    *out_frame = frame_address(pfn);
    for (u32 i = 0; flags & FRAME_ZERO && i < 1u << order; i++) {
        hal_page_zero(hal_phys_to_virt(*out_frame + ((u64)i << HX_PAGE_SHIFT)));
    }
    return HX_OK;
}

static HX_NOINLINE enum hx_status alloc_one_slow(u32 flags, u32 owner, paddr_t *out_frame)
{
    u32 pfn;
    enum hx_status status = alloc_slow(0, flags, owner, &pfn);
    return status == HX_OK ? finish(pfn, 0, flags, out_frame) : status;
}

enum hx_status frame_alloc(u32 flags, u32 owner, paddr_t *out_frame)
{
    HX_DEBUG_ASSERT(owner > FRAME_CACHED && owner < FRAME_OWNER_END);
    u64 state = hal_irq_save();
    struct frame_cache *cache = &frames.caches[hal_cpu_number()];
    u32 count = cache->count;
    if (hx_unlikely(count == 0 || (flags & ~FRAME_ZERO) || frames.fail_after != 0)) {
        hal_irq_restore(state);
        return alloc_one_slow(flags, owner, out_frame);
    }
    cache->count = --count;
    u32 pfn = cache->pfn[count];
    set_owner(&frame_table[pfn], owner, 1);
    hal_irq_restore(state);
    return finish(pfn, 0, flags, out_frame);
}

enum hx_status frame_alloc_zeroed(u32 owner, paddr_t *out_frame)
{
    u64 state = hal_irq_save();
    struct frame_cache *cache = &frames.caches[hal_cpu_number()];
    if (hx_likely(cache->zeroed_count > 0 && frames.fail_after == 0)) {
        u32 pfn = cache->zeroed[--cache->zeroed_count];
        set_owner(&frame_table[pfn], owner, 1);
        hal_irq_restore(state);
        *out_frame = frame_address(pfn);
        return HX_OK;
    }
    hal_irq_restore(state);
    return frame_alloc(FRAME_ZERO, owner, out_frame);
}

enum hx_status frame_alloc_block(u32 order, u32 flags, u32 owner, paddr_t *out_first)
{
    u32 pfn;
    if (order > FRAME_ORDER_MAX || owner <= FRAME_CACHED || owner >= FRAME_OWNER_END) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = alloc_slow(order, flags, owner, &pfn);
    return status == HX_OK ? finish(pfn, order, flags, out_first) : status;
}

static HX_NOINLINE void free_slow(paddr_t frame)
{
    u64 state = hal_irq_save();
    cache_flush(&frames.caches[hal_cpu_number()], CACHE_MAX - CACHE_BATCH);
    hal_irq_restore(state);
    frame_free(frame); /* an interrupt may have filled it again: then once more */
}

void frame_free(paddr_t frame)
{
    struct frame *f = frame_at(frame);
    HX_ASSERT(f->owner > FRAME_CACHED); /* inv 1: it is not free already */
    u64 state = hal_irq_save();
    struct frame_cache *cache = &frames.caches[hal_cpu_number()];
    u32 count = cache->count;
    if (hx_unlikely(count == CACHE_MAX)) {
        hal_irq_restore(state);
        free_slow(frame);
        return;
    }
    set_owner(f, FRAME_CACHED, 0);
    cache->pfn[count] = frame_number(frame);
    cache->count = count + 1;
    hal_irq_restore(state);
}

#ifdef HX_DEBUG
static void check_zeroed(paddr_t frame)
{
    const u64 *words = hal_phys_to_virt(frame);
    for (u32 i = 0; i < HX_PAGE_SIZE / sizeof(*words); i++) {
        HX_ASSERT(words[i] == 0); /* inv 1 */
    }
}
#else
#define check_zeroed(frame) ((void)0)
#endif

void frame_free_zeroed(paddr_t frame)
{
    u32 pfn = frame_number(frame);
    HX_ASSERT(frame_table[pfn].owner > FRAME_CACHED); /* inv 1: it is not free already */
    check_zeroed(frame);
    u64 state = hal_irq_save();
    struct frame_cache *cache = &frames.caches[hal_cpu_number()];
    if (hx_unlikely(cache->zeroed_count == ZEROED_MAX)) {
        hal_irq_restore(state);
        frame_free(frame);
        return;
    }
    set_owner(&frame_table[pfn], FRAME_CACHED, 0);
    cache->zeroed[cache->zeroed_count++] = pfn;
    hal_irq_restore(state);
}

void frame_free_run(paddr_t first, u32 count)
{
    u32 pfn = frame_number(first);
    for (u32 i = 0; i < count; i++) {
        HX_ASSERT(frame_table[pfn + i].owner > FRAME_CACHED); /* inv 1 */
    }
    while (count > 0) { /* in pieces, to keep interrupts masked for a bounded time */
        u32 n = (u32)hx_min_u64(count, CHUNK);
        u64 state = spin_lock_irq(&frames.lock);
        give_locked(pfn, n);
        spin_unlock_irq(&frames.lock, state);
        pfn += n;
        count -= n;
    }
}

bool frame_put(paddr_t frame)
{
    u32 before = __atomic_fetch_sub(&frame_at(frame)->refs, 1, __ATOMIC_ACQ_REL);
    HX_ASSERT(before > 0);
    if (before == 1) {
        frame_free(frame);
    }
    return before == 1;
}

/* Accounting */

u64 frame_free_count(void)
{
    u64 count = __atomic_load_n(&frames.free, __ATOMIC_RELAXED);
    for (u32 cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        count += __atomic_load_n(&frames.caches[cpu].count, __ATOMIC_RELAXED);
        count += __atomic_load_n(&frames.caches[cpu].zeroed_count, __ATOMIC_RELAXED);
    }
    return count;
}

u64 frame_free_at_least(void)
{
    return __atomic_load_n(&frames.free, __ATOMIC_RELAXED);
}

u64 frame_total_count(void)
{
    return frames.total;
}

static HX_COLD void for_each_frame(void (*visit)(void *ctx, u32 pfn), void *ctx)
{
    for (u32 i = 0; i < frames.range_count; i++) {
        for (u32 pfn = frames.ranges[i].first; pfn < frames.ranges[i].end; pfn++) {
            visit(ctx, pfn);
        }
    }
}

static void usage_visit(void *ctx, u32 pfn)
{
    struct frame_usage *usage = ctx;
    u32 owner = HX_READ_ONCE(frame_table[pfn].owner);
    if (owner < FRAME_OWNER_COUNT) {
        usage->owners[owner]++;
    } else if (owner >= FRAME_FIRST_SPACE) {
        usage->spaces++;
    } else {
        usage->modules++;
    }
}

HX_COLD void frame_usage_read(struct frame_usage *out)
{
    *out = (struct frame_usage){.total = frames.total};
    for_each_frame(usage_visit, out);
    out->free = out->owners[FRAME_FREE] + out->owners[FRAME_CACHED];
}

struct owner_count {
    u32 owner;
    u64 count;
};

static void owner_visit(void *ctx, u32 pfn)
{
    struct owner_count *c = ctx;
    c->count += HX_READ_ONCE(frame_table[pfn].owner) == c->owner;
}

HX_COLD u64 frame_count_owner(u32 owner)
{
    struct owner_count c = {.owner = owner};
    for_each_frame(owner_visit, &c);
    return c.count;
}

static void reclaim_visit(void *ctx, u32 pfn)
{
    struct owner_count *c = ctx;
    if (frame_table[pfn].owner == c->owner) {
        frame_free(frame_address(pfn));
        c->count++;
    }
}

u64 frame_reclaim_owner(u32 owner)
{
    HX_ASSERT(owner >= FRAME_OWNER_COUNT && owner < FRAME_OWNER_END);
    struct owner_count c = {.owner = owner};
    for_each_frame(reclaim_visit, &c);
    return c.count;
}

/* Exchange of allocators */

const struct frame_alloc_ops *frame_allocator(void)
{
    return __atomic_load_n(&frames.ops, __ATOMIC_ACQUIRE);
}

/* Hands the free runs of one chunk to the next allocator. */
static void move_chunk_locked(u32 first, struct frame_range range)
{
    u32 low = (u32)hx_max_u64(first, range.first);
    u32 high = (u32)hx_min_u64((u64)first + CHUNK, range.end);
    const struct frame *table = frame_table, *end = table + high;
    for (const struct frame *at = table + low; at < end;) {
        const struct frame *run = at;
        while (run < end && run->owner == FRAME_FREE) {
            run++;
        }
        if (run > at) {
            frames.next->add(frames.next_index, (u32)(at - table), (u32)(run - at));
        }
        at = run + 1;
    }
}

/* Two ranges may share a chunk, so the old allocator forgets it once and every range that reaches
 * into it is searched. False when the switch has been called off. */
static bool move_chunk(u32 first)
{
    u64 state = spin_lock_irq(&frames.lock);
    u64 begin = hal_cycles_read();
    bool going_on = frames.next != NULL;
    if (going_on) {
        frames.ops->remove(frames.index, first, CHUNK);
        for (u32 i = 0; i < frames.range_count; i++) {
            if (frames.ranges[i].first < first + CHUNK && frames.ranges[i].end > first) {
                move_chunk_locked(first, frames.ranges[i]);
            }
        }
        frames.moved = first + CHUNK;
    }
    frames.pause = hx_max_u64(frames.pause, hal_cycles_read() - begin);
    spin_unlock_irq(&frames.lock, state);
    return going_on;
}

static u32 storage_order(size_t bytes)
{
    return bytes <= HX_PAGE_SIZE ? 0 : hx_log2_floor((bytes - 1) >> HX_PAGE_SHIFT) + 1;
}

HX_COLD enum hx_status frame_allocator_switch(const struct frame_alloc_ops *ops)
{
    if (ops->abi_version != FRAME_ALLOC_ABI || ops->size != sizeof(*ops)) {
        return HX_ERR_ABI;
    }
    u32 order = storage_order(ops->footprint(frames.ranges, frames.range_count));
    paddr_t storage;
    enum hx_status status = frame_alloc_block(order, 0, FRAME_INDEX, &storage);
    if (status != HX_OK) {
        return status == HX_ERR_INVALID ? HX_ERR_NO_MEMORY : status;
    }
    void *index = hal_phys_to_virt(storage);
    ops->init(index, frames.ranges, frames.range_count);

    u64 state = spin_lock_irq(&frames.lock);
    bool busy = frames.next != NULL;
    if (!busy) {
        frames.pause = 0;
        frames.next_index = index;
        frames.next = ops;
    }
    spin_unlock_irq(&frames.lock, state);
    if (busy) {
        frame_free_run(storage, 1u << order);
        return HX_ERR_BUSY;
    }
    u32 moved = 0;
    for (u32 i = 0; i < frames.range_count; i++) {
        u32 at = (u32)hx_max_u64(moved, frames.ranges[i].first & ~(CHUNK - 1));
        for (; at < frames.ranges[i].end && move_chunk(at); at += CHUNK) {
            moved = at + CHUNK;
        }
    }
    state = spin_lock_irq(&frames.lock);
    void *old = frames.index;
    u32 old_frames = frames.index_frames;
    if (frames.next) {
        frames.ops = ops;
        frames.index = index;
        frames.index_frames = 1u << order;
        frames.next = NULL;
        frames.moved = 0;
    } else {
        old = index; /* ejected meanwhile: bump serves */
        old_frames = 1u << order;
        status = HX_ERR_BAD_STATE;
    }
    void *stale = frames.stale;
    u32 stale_frames = frames.stale_frames;
    frames.stale_frames = 0;
    spin_unlock_irq(&frames.lock, state);
    if (old_frames > 0) {
        frame_free_run(hal_virt_to_phys(old), old_frames);
    }
    if (stale_frames > 0) {
        frame_free_run(hal_virt_to_phys(stale), stale_frames);
    }
    return status;
}

u64 frame_allocator_pause(void)
{
    return frames.pause;
}

HX_COLD bool frame_allocator_check(void)
{
    u64 state = spin_lock_irq(&frames.lock);
    u64 count = 0;
    for (u32 i = 0; i < frames.range_count; i++) {
        for (u32 pfn = frames.ranges[i].first; pfn < frames.ranges[i].end; pfn++) {
            count += frame_table[pfn].owner == FRAME_FREE;
        }
    }
    bool right = count == frames.free && /* inv 2 */
                 (frames.next != NULL || frames.ops->selfcheck(frames.index));
    spin_unlock_irq(&frames.lock, state);
    return right;
}

HX_COLD void frame_allocator_start(const struct frame_alloc_ops *ops, void *storage,
                                   const struct frame_range *ranges, u32 range_count,
                                   const struct frame_range *free, u32 free_count)
{
    frames.ranges = ranges;
    frames.range_count = range_count;
    for (u32 i = 0; i < range_count; i++) {
        frames.total += ranges[i].end - ranges[i].first;
    }
    frames.ops = ops;
    frames.index = storage;
    frames.index_frames = 1u << storage_order(ops->footprint(ranges, range_count));
    ops->init(storage, ranges, range_count);
    for (u32 i = 0; i < free_count; i++) {
        ops->add(storage, free[i].first, free[i].end - free[i].first);
        frames.free += free[i].end - free[i].first;
    }
}
