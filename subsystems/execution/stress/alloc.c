/* SPDX-License-Identifier: MIT */
/* stress alloc: everything that memory is got from.
 * Owns:      what the workers hold, filled with patterns; mailboxes, by which memory that one task
 *            got is given back by another, on another CPU.
 * Context:   the workers' tasks.
 * Locks:     mailbox.lock (LOCK_RANK_PROCESS) around its item.
 * What is checked: that memory is aligned, zeroed if asked for, and holds its pattern until it is
 *            given back, so that nobody has it twice; that limits and owners are kept; that spaces
 *            count their pages; that objects keep their contents. Allocations are made to fail at
 *            random, which may only cost a status.
 */
#include <core/memory.h>
#include <core/spinlock.h>
#include <core/trap.h>
#include <execution/stress.h>
#include <hal/layout.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/string.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory/object.h>
#include <memory/space.h>

#define ITEMS       6 /* held by a worker at most */
#define MAILBOXES   64
#define LARGE_MAX   HX_KIB(64)
#define ORDER_MAX   3
#define PAGES_MAX   8
#define SPACE_VA    0x40000000ul
#define RESERVE     2048 /* free frames below which a worker only gives back */
#define ONE_IN_FAIL 16   /* operations has allocations fail, its own and others' meanwhile */

enum item_kind {
    ITEM_NONE,
    ITEM_HEAP,
    ITEM_ZEROED,
    ITEM_CACHE,
    ITEM_FRAMES,
    ITEM_STACK,
    ITEM_OBJECT,
    ITEM_SPACE,
    ITEM_KINDS
};

struct item {
    enum item_kind kind;
    u32 detail; /* cache number, order, pages touched */
    u64 size;   /* bytes under the pattern */
    u64 seed;   /* of the pattern */
    union {
        void *p;
        paddr_t frame;
        struct memory_object *object;
        struct space *space;
    };
};

struct mailbox {
    struct spinlock lock;
    struct item item; /* l */
};

static const u16 cache_sizes[] = {24, 200, 712, 3000};

static struct {
    struct kmem_cache *caches[HX_ARRAY_SIZE(cache_sizes)];
    struct mailbox mailboxes[MAILBOXES];
} arena;

struct own {
    struct item items[ITEMS];
};

/* patterns */

static u64 pattern(u64 seed, u64 index)
{
    return (seed + index) * 0x9e3779b97f4a7c15ull;
}

static void fill(void *p, u64 size, u64 seed)
{
    u64 *words = p, count = size / 8;
    for (u64 i = 0; i < count; i++) {
        words[i] = pattern(seed, i);
    }
    for (u64 i = count * 8; i < size; i++) {
        ((u8 *)p)[i] = (u8)pattern(seed, i);
    }
}

static bool holds(const void *p, u64 size, u64 seed)
{
    const u64 *words = p;
    u64 count = size / 8;
    for (u64 i = 0; i < count; i++) {
        if (words[i] != pattern(seed, i)) {
            return false;
        }
    }
    for (u64 i = count * 8; i < size; i++) {
        if (((const u8 *)p)[i] != (u8)pattern(seed, i)) {
            return false;
        }
    }
    return true;
}

static bool is_zero(const void *p, u64 size)
{
    u64 i = 0;
    while (i < size && ((const u8 *)p)[i] == 0) {
        i++;
    }
    return i == size;
}

static void check_pattern(struct stress_worker *w, const struct item *item, const void *p,
                          const char *what)
{
    if (!holds(p, item->size, item->seed)) {
        stress_lost(w->run, "contents of %s at 0x%lx, %lu bytes", what, (vaddr_t)p, item->size);
    }
}

/* getting; each answers false when it was refused */

static bool get_heap(struct stress_worker *w, struct item *item)
{
    item->size = 1 + stress_below(w, 16u << stress_below(w, 10));
    if (stress_below(w, 32) == 0) {
        item->size = HEAP_SMALL_MAX + 1 + stress_below(w, LARGE_MAX - HEAP_SMALL_MAX);
    }
    item->p = item->kind == ITEM_ZEROED ? kzalloc(item->size) : kmalloc(item->size);
    if (!item->p) {
        return false;
    }
    if (!hx_is_aligned((vaddr_t)item->p, item->size < 64 ? 16 : 64)) {
        stress_lost(w->run, "%lu bytes at 0x%lx", item->size, (vaddr_t)item->p);
    }
    if (item->kind == ITEM_ZEROED && !is_zero(item->p, item->size)) {
        stress_lost(w->run, "kzalloc gave something else than zeroes");
    }
    fill(item->p, item->size, item->seed);
    return true;
}

static bool get_cache(struct stress_worker *w, struct item *item)
{
    item->detail = stress_below(w, HX_ARRAY_SIZE(cache_sizes));
    item->size = cache_sizes[item->detail];
    item->p = kmem_cache_alloc(arena.caches[item->detail]);
    if (item->p) {
        fill(item->p, item->size, item->seed);
    }
    return item->p != NULL;
}

static bool get_frames(struct stress_worker *w, struct item *item)
{
    u32 flags = stress_below(w, 3) == 0 ? FRAME_ZERO : 0;
    flags |= stress_below(w, 8) == 0 ? FRAME_BELOW_4G : 0;
    item->detail = stress_below(w, 2) ? 0 : stress_below(w, ORDER_MAX + 1);
    item->size = HX_PAGE_SIZE << item->detail;
    enum hx_status status = item->detail == 0
                                ? frame_alloc(flags, FRAME_TEST, &item->frame)
                                : frame_alloc_block(item->detail, flags, FRAME_TEST, &item->frame);
    if (status != HX_OK) {
        return false;
    }
    void *p = hal_phys_to_virt(item->frame);
    if (!hx_is_aligned(item->frame, item->size) ||
        (flags & FRAME_BELOW_4G && item->frame + item->size > HX_GIB(4))) {
        stress_lost(w->run, "frame 0x%lx, order %u, flags %u", item->frame, item->detail, flags);
    }
    if (flags & FRAME_ZERO && !is_zero(p, item->size)) {
        stress_lost(w->run, "a zeroed frame is not zero");
    }
    fill(p, item->size, item->seed);
    return true;
}

static bool get_stack(struct item *item)
{
    vaddr_t bottom;
    if (kernel_stack_alloc(&bottom) != HX_OK) {
        return false;
    }
    item->p = (void *)bottom;
    item->size = KERNEL_STACK_SIZE;
    fill(item->p, item->size, item->seed);
    return true;
}

static bool get_object(struct stress_worker *w, struct item *item)
{
    u64 words[8];
    item->detail = 1 + stress_below(w, PAGES_MAX);
    item->size = sizeof(words);
    if (memory_object_create(item->detail * HX_PAGE_SIZE, &item->object) != HX_OK) {
        return false;
    }
    fill(words, sizeof(words), item->seed);
    /* Over the border of two pages where there are two. */
    u64 offset = item->detail * HX_PAGE_SIZE / 2 & ~HX_PAGE_MASK;
    offset -= offset ? sizeof(words) / 2 : 0;
    if (memory_object_write(item->object, offset, words, sizeof(words)) != HX_OK) {
        memory_object_put(item->object);
        return false;
    }
    return true;
}

/* A space with some pages present, a guard, and a part unmapped again. */
static bool fill_space(struct stress_worker *w, struct item *item)
{
    u64 pages = 2 + stress_below(w, PAGES_MAX);
    struct space_request request = {
        .address = SPACE_VA + stress_below(w, 4) * HX_GIB(1),
        .size = pages * HX_PAGE_SIZE,
        .flags = SPACE_WRITE,
    };
    vaddr_t at, guard;
    const char *reason;
    if (space_map(item->space, &request, &at) != HX_OK) {
        return false;
    }
    for (u64 i = 0; i < pages; i++) {
        if (stress_below(w, 2) == 0) {
            continue;
        }
        if (space_touch(item->space, at + i * HX_PAGE_SIZE, ACCESS_WRITE, &reason) != HX_OK) {
            return false;
        }
        item->detail++;
    }
    if (space_resident_pages(item->space) != item->detail) {
        stress_lost(w->run, "a space counts %lu pages, not %u", space_resident_pages(item->space),
                    item->detail);
    }
    request = (struct space_request){.size = HX_PAGE_SIZE, .backing = SPACE_GUARD};
    if (space_map(item->space, &request, &guard) == HX_OK &&
        space_touch(item->space, guard, ACCESS_READ, &reason) != HX_ERR_FAULT) {
        stress_lost(w->run, "a guard page can be touched");
    }
    if (stress_below(w, 2) && space_unmap(item->space, at, pages * HX_PAGE_SIZE) == HX_OK) {
        item->detail = 0;
        if (space_resident_pages(item->space) != 0) {
            stress_lost(w->run, "pages of a space outlive their mapping");
        }
    }
    return true;
}

static bool get_space(struct stress_worker *w, struct item *item)
{
    item->detail = 0;
    if (space_create(1000, &item->space) != HX_OK) {
        return false;
    }
    if (!fill_space(w, item)) {
        space_destroy(item->space);
        return false;
    }
    return true;
}

static bool get(struct stress_worker *w, struct item *item)
{
    item->kind = 1 + stress_below(w, ITEM_KINDS - 1);
    item->seed = stress_random(&w->random);
    switch (item->kind) {
    case ITEM_CACHE:
        return get_cache(w, item);
    case ITEM_FRAMES:
        return get_frames(w, item);
    case ITEM_STACK:
        return get_stack(item);
    case ITEM_OBJECT:
        return get_object(w, item);
    case ITEM_SPACE:
        return get_space(w, item);
    default:
        return get_heap(w, item);
    }
}

/* giving back, after a last look */

static void put_frames(struct stress_worker *w, const struct item *item)
{
    check_pattern(w, item, hal_phys_to_virt(item->frame), "frames");
    for (u32 i = 0; i < 1u << item->detail; i++) {
        if (frame_at(item->frame + i * HX_PAGE_SIZE)->owner != FRAME_TEST) {
            stress_lost(w->run, "frame 0x%lx has another owner", item->frame);
        }
    }
    if (item->detail == 0) {
        frame_free(item->frame);
    } else {
        frame_free_run(item->frame, 1u << item->detail);
    }
}

static void put_object(struct stress_worker *w, const struct item *item)
{
    u64 words[8] = {0}, offset = item->detail * HX_PAGE_SIZE / 2 & ~HX_PAGE_MASK;
    offset -= offset ? sizeof(words) / 2 : 0;
    if (memory_object_read(item->object, offset, words, sizeof(words)) == HX_OK) {
        check_pattern(w, item, words, "an object");
    }
    memory_object_put(item->object);
}

static void put(struct stress_worker *w, struct item *item)
{
    switch (item->kind) {
    case ITEM_HEAP:
    case ITEM_ZEROED:
        check_pattern(w, item, item->p, "heap memory");
        kfree(item->p);
        break;
    case ITEM_CACHE:
        check_pattern(w, item, item->p, "a cache's object");
        kmem_cache_free(arena.caches[item->detail], item->p);
        break;
    case ITEM_FRAMES:
        put_frames(w, item);
        break;
    case ITEM_STACK:
        check_pattern(w, item, item->p, "a stack");
        kernel_stack_free((vaddr_t)item->p);
        break;
    case ITEM_OBJECT:
        put_object(w, item);
        break;
    case ITEM_SPACE:
        if (space_resident_pages(item->space) != item->detail) {
            stress_lost(w->run, "a space lost pages");
        }
        space_destroy(item->space);
        break;
    default:
        break;
    }
    item->kind = ITEM_NONE;
}

/* the run */

static void exchange(struct stress_worker *w, struct item *item)
{
    struct mailbox *box = &arena.mailboxes[stress_below(w, MAILBOXES)];
    u64 irqs = spin_lock_irq(&box->lock);
    struct item other = box->item;
    box->item = *item;
    *item = other;
    spin_unlock_irq(&box->lock, irqs);
}

static void do_one(struct stress_worker *w)
{
    struct item *item = &((struct own *)w->own)->items[stress_below(w, ITEMS)];
    bool fail = stress_below(w, ONE_IN_FAIL) == 0;
    if (fail && stress_below(w, 2)) {
        heap_fail_after(1 + stress_below(w, 5));
    } else if (fail) {
        frame_fail_after(1 + stress_below(w, 5));
    }
    if (stress_below(w, 4) == 0) {
        exchange(w, item);
    }
    if (item->kind != ITEM_NONE) {
        put(w, item);
    } else if (frame_free_count() >= RESERVE) {
        if (!get(w, item)) {
            stress_count(&w->run->failed);
            item->kind = ITEM_NONE;
        }
    }
    if (fail) {
        heap_fail_after(0);
        frame_fail_after(0);
    }
    if (stress_below(w, 8) == 0) {
        task_yield();
    }
}

static void give_all(struct stress_worker *w)
{
    for (u32 i = 0; i < ITEMS; i++) {
        put(w, &((struct own *)w->own)->items[i]);
    }
}

static enum hx_status stress_alloc(struct stress_run *run)
{
    struct stress_worker last = {.run = run};
    u64 frames_before = frame_count_owner(FRAME_TEST);
    enum hx_status status = HX_OK;
    memset(&arena, 0, sizeof(arena));
    for (u32 i = 0; i < HX_ARRAY_SIZE(cache_sizes); i++) {
        arena.caches[i] = kmem_cache_create("stress", cache_sizes[i], 16);
        status = arena.caches[i] ? status : HX_ERR_NO_MEMORY;
    }
    for (u32 i = 0; i < MAILBOXES; i++) {
        arena.mailboxes[i].lock = (struct spinlock)SPINLOCK_INIT("mailbox", LOCK_RANK_PROCESS);
    }
    if (status == HX_OK) {
        status = stress_workers_run(run, sizeof(struct own), do_one, give_all);
    }
    heap_fail_after(0);
    frame_fail_after(0);
    if (status == HX_ERR_TIMED_OUT) {
        return status;
    }
    for (u32 i = 0; i < MAILBOXES; i++) {
        put(&last, &arena.mailboxes[i].item);
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(cache_sizes); i++) {
        if (arena.caches[i] && kmem_cache_destroy(arena.caches[i]) != HX_OK) {
            stress_lost(run, "objects of %u bytes are left in their cache", cache_sizes[i]);
        }
    }
    u64 frames = frame_count_owner(FRAME_TEST) - frames_before;
    if (frames != 0) {
        stress_lost(run, "%lu frames have no holder", frames);
    }
    return status;
}

STRESS(alloc, "alloc", 200000, stress_alloc);
