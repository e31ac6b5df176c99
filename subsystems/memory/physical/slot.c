/* SPDX-License-Identifier: MIT */
/* The slot frame.alloc: modules as frame allocators.
 * Owns:      two tables that stand in for a module's, so that its code is only entered guarded.
 * Context:   the tables: frame lock held, interrupts masked; the rest thread.
 * An allocator is an index over what is free; the frame table is the truth. So one that faults
 * needs no more than to be ejected: its stand-in gives a wrong answer when it is asked next, and
 * whoever asked is served by the bypass, without the lock being let go.
 */
#include <core/slot.h>
#include <hal/port.h>
#include <memory/frame_alloc.h>

#define WRONG_ANSWER (FRAME_NO_PFN - 1) /* no machine has this frame */

static struct slot_guest guests[SLOT_GUESTS];
static u32 last;
static const struct frame_alloc_ops *own;

/* `otherwise` is what a dead allocator answers. */
static HX_NOINLINE u64 enter(struct slot_guest *g, const void *fn, u64 a0, u64 a1, u64 a2,
                             u64 otherwise)
{
    return slot_enter(g, fn, a0, a1, a2, 0, otherwise);
}

#define FN(op) ((const void *)(uintptr_t)((const struct frame_alloc_ops *)s->table)->op)

/* The functions of table n. */
#define STAND_IN(n)                                                                                \
    static size_t footprint_##n(const struct frame_range *ranges, u32 count)                       \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return enter(s, FN(footprint), (u64)ranges, count, 0, HX_PAGE_SIZE);                       \
    }                                                                                              \
    static void init_##n(void *index, const struct frame_range *ranges, u32 count)                 \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        enter(s, FN(init), (u64)index, (u64)ranges, count, 0);                                     \
    }                                                                                              \
    static void add_##n(void *index, u32 first, u32 count)                                         \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        enter(s, FN(add), (u64)index, first, count, 0);                                            \
    }                                                                                              \
    static void remove_##n(void *index, u32 first, u32 count)                                      \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        enter(s, FN(remove), (u64)index, first, count, 0);                                         \
    }                                                                                              \
    static u32 alloc_##n(void *index, enum frame_zone zone, u32 order)                             \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return (u32)enter(s, FN(alloc), (u64)index, zone, order, WRONG_ANSWER);                    \
    }                                                                                              \
    static bool selfcheck_##n(void *index)                                                         \
    {                                                                                              \
        struct slot_guest *s = &guests[n];                                                         \
        return (u8)enter(s, FN(selfcheck), (u64)index, 0, 0, 1);                                   \
    }

#define TABLE(n)                                                                                   \
    {                                                                                              \
        .abi_version = FRAME_ALLOC_ABI, .size = sizeof(struct frame_alloc_ops),                    \
        .footprint = footprint_##n, .init = init_##n, .add = add_##n, .remove = remove_##n,        \
        .alloc = alloc_##n, .selfcheck = selfcheck_##n                                             \
    }

STAND_IN(0)
STAND_IN(1)

static struct frame_alloc_ops tables[SLOT_GUESTS] = {TABLE(0), TABLE(1)};

static enum hx_status check(const void *table)
{
    const struct frame_alloc_ops *ops = table;
    if (ops->abi_version != FRAME_ALLOC_ABI || ops->size != sizeof(*ops)) {
        return HX_ERR_ABI;
    }
    return ops->footprint && ops->init && ops->add && ops->remove && ops->alloc && ops->selfcheck
               ? HX_OK
               : HX_ERR_INVALID;
}

static enum hx_status exchange(const void *table, struct module_instance *m, u64 deadline_ns,
                               u64 *out_pause)
{
    (void)deadline_ns;
    if (!own) {
        own = frame_allocator();
    }
    const struct frame_alloc_ops *ops = own;
    if (m) {
        u32 n = (last + 1) % SLOT_GUESTS;
        guests[n] = (struct slot_guest){.table = table, .m = m};
        tables[n].name = m->manifest.name;
        last = n;
        ops = &tables[n];
    }
    enum hx_status status = frame_allocator_switch(ops);
    *out_pause = frame_allocator_pause();
    return status;
}

/* frame_allocator_switch() returns when nothing refers to the old one any more. */
static bool settled(void)
{
    return true;
}

static const char *serving(void)
{
    return frame_allocator()->name;
}

static const struct slot_ops frame_slot_ops = {
    .check = check, .exchange = exchange, .settled = settled, .serving = serving};

SLOT(frame_alloc, .name = "frame.alloc", .major = FRAME_ALLOC_ABI, .ops = &frame_slot_ops);
