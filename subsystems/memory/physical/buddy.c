/* SPDX-License-Identifier: MIT */
/* The buddy allocator: free blocks of 2^0 to 2^10 frames, a list for each zone and order.
 * Owns:      the lists; mark, next and prev of the free frames on them.    Callers: frame.c.
 * Context:   frame lock held.
 * A block is split in halves until it fits; a freed block joins its buddy, the other half of the
 * block twice its size, as long as that is free and whole. Both are O(orders).
 * Invariant: (1) the first frame of a free block has mark = order + 1 and is on the list of its
 *            zone and order; every other free frame has mark 0.  (2) a block is aligned to its
 * size, so it lies in one zone and in one block of the largest order.  (3) no two buddies of one
 * order below the largest are both free blocks.
 */
#include <helix/bits.h>
#include <memory/frame_alloc.h>

#define ORDERS (FRAME_ORDER_MAX + 1)

struct buddy {
    u32 first[FRAME_ZONE_COUNT][ORDERS]; /* FRAME_NO_PFN: empty */
    u32 present[FRAME_ZONE_COUNT];       /* bit n: the list of order n has a block */
    const struct frame_range *ranges;
    u32 range_count;
};

static void block_insert(struct buddy *b, u32 pfn, u32 order)
{
    enum frame_zone zone = frame_zone_of(pfn);
    struct frame *f = &frame_table[pfn];
    u32 next = b->first[zone][order];
    f->mark = (u8)(order + 1);
    f->next = next;
    f->prev = FRAME_NO_PFN;
    if (next != FRAME_NO_PFN) {
        frame_table[next].prev = pfn;
    }
    b->first[zone][order] = pfn;
    b->present[zone] |= 1u << order;
}

static void block_remove(struct buddy *b, u32 pfn, u32 order)
{
    enum frame_zone zone = frame_zone_of(pfn);
    struct frame *f = &frame_table[pfn];
    f->mark = 0;
    if (f->next != FRAME_NO_PFN) {
        frame_table[f->next].prev = f->prev;
    }
    if (f->prev != FRAME_NO_PFN) {
        frame_table[f->prev].next = f->next;
    } else {
        b->first[zone][order] = f->next;
        if (f->next == FRAME_NO_PFN) {
            b->present[zone] &= ~(1u << order);
        }
    }
}

static void block_free(struct buddy *b, u32 pfn, u32 order)
{
    for (; order < FRAME_ORDER_MAX; order++) {
        u32 other = pfn ^ 1u << order;
        const struct frame *f = &frame_table[other];
        if (f->owner != FRAME_FREE || f->mark != order + 1) { /* inv 1 */
            break;
        }
        block_remove(b, other, order);
        pfn &= ~(1u << order);
    }
    block_insert(b, pfn, order);
}

static size_t buddy_footprint(const struct frame_range *ranges, u32 count)
{
    (void)ranges;
    (void)count;
    return sizeof(struct buddy);
}

static void buddy_init(void *index, const struct frame_range *ranges, u32 count)
{
    struct buddy *b = index;
    for (u32 zone = 0; zone < FRAME_ZONE_COUNT; zone++) {
        b->present[zone] = 0;
        for (u32 order = 0; order < ORDERS; order++) {
            b->first[zone][order] = FRAME_NO_PFN;
        }
    }
    b->ranges = ranges;
    b->range_count = count;
}

static void buddy_add(void *index, u32 first, u32 count)
{
    while (count > 0) {
        u32 order = hx_log2_floor(count);
        u32 aligned = first == 0 ? FRAME_ORDER_MAX : (u32)__builtin_ctz(first);
        order = order < aligned ? order : aligned;
        order = order < FRAME_ORDER_MAX ? order : FRAME_ORDER_MAX;
        block_free(index, first, order);
        first += 1u << order;
        count -= 1u << order;
    }
}

static void buddy_remove(void *index, u32 first, u32 count)
{
    const struct frame *table = frame_table, *end = table + first + count;
    for (const struct frame *f = table + first; f < end;) {
        u32 step = 1;
        if (f->owner == FRAME_FREE && f->mark != 0) {
            u32 order = f->mark - 1u;
            block_remove(index, (u32)(f - table), order);
            step = 1u << order;
        }
        f += step;
    }
}

static u32 buddy_alloc(void *index, enum frame_zone zone, u32 order)
{
    struct buddy *b = index;
    u32 fitting = b->present[zone] & ~0u << order;
    if (fitting == 0) {
        return FRAME_NO_PFN;
    }
    u32 have = (u32)__builtin_ctz(fitting);
    u32 pfn = b->first[zone][have];
    block_remove(b, pfn, have);
    while (have > order) { /* the upper half stays free */
        have--;
        block_insert(b, pfn + (1u << have), have);
    }
    return pfn;
}

/* Each free frame of the table lies in exactly one listed block, and no block could be larger. */
static bool buddy_selfcheck(void *index)
{
    struct buddy *b = index;
    u64 in_lists = 0, in_table = 0;
    for (u32 zone = 0; zone < FRAME_ZONE_COUNT; zone++) {
        for (u32 order = 0; order < ORDERS; order++) {
            u32 before = FRAME_NO_PFN;
            for (u32 at = b->first[zone][order]; at != FRAME_NO_PFN; at = frame_table[at].next) {
                const struct frame *f = &frame_table[at], *other = &frame_table[at ^ 1u << order];
                if (f->owner != FRAME_FREE || f->mark != order + 1 || f->prev != before ||
                    frame_zone_of(at) != zone || !hx_is_aligned(at, 1u << order)) {
                    return false; /* inv 1, 2 */
                }
                if (order < FRAME_ORDER_MAX && other->owner == FRAME_FREE &&
                    other->mark == order + 1) {
                    return false; /* inv 3 */
                }
                for (u32 i = 1; i < 1u << order; i++) {
                    if (f[i].owner != FRAME_FREE || f[i].mark != 0) {
                        return false;
                    }
                }
                in_lists += 1u << order;
                before = at;
            }
        }
    }
    for (u32 r = 0; r < b->range_count; r++) {
        for (u32 at = b->ranges[r].first; at < b->ranges[r].end; at++) {
            in_table += frame_table[at].owner == FRAME_FREE;
        }
    }
    return in_lists == in_table;
}

const struct frame_alloc_ops frame_buddy_ops = {
    .abi_version = FRAME_ALLOC_ABI,
    .size = sizeof(struct frame_alloc_ops),
    .name = "buddy",
    .footprint = buddy_footprint,
    .init = buddy_init,
    .add = buddy_add,
    .remove = buddy_remove,
    .alloc = buddy_alloc,
    .selfcheck = buddy_selfcheck,
};
