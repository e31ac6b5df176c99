/* SPDX-License-Identifier: MIT */
/* The allocator without an index: a cursor for each zone that walks up the frame table and takes
 * the first free run that fits. It is the floor that every other allocator falls back to: there is
 * nothing in it that could be wrong but the table itself.
 * Owns:      three cursors.      Callers: frame.c.       Context: frame lock held; O(frames).
 * Invariant: (1) whatever the table says is free will be found: a search goes once around.
 */
#include <helix/bits.h>
#include <memory/frame_alloc.h>

struct bump {
    const struct frame_range *ranges;
    u32 range_count;
    u32 cursor[FRAME_ZONE_COUNT];
};

static size_t bump_footprint(const struct frame_range *ranges, u32 count)
{
    (void)ranges;
    (void)count;
    return sizeof(struct bump);
}

static void bump_init(void *index, const struct frame_range *ranges, u32 count)
{
    struct bump *b = index;
    b->ranges = ranges;
    b->range_count = count;
    for (u32 zone = 0; zone < FRAME_ZONE_COUNT; zone++) {
        b->cursor[zone] = frame_zone_range(zone).first;
    }
}

static void bump_nothing(void *index, u32 first, u32 count)
{
    (void)index;
    (void)first;
    (void)count;
}

/* The lowest free block of 2^order in [first, end) of one range, aligned to its size. */
static u32 search_range(u32 first, u32 end, u32 order)
{
    u32 size = 1u << order;
    u64 at = hx_align_up(first, size);
    while (at + size <= end) {
        u32 i = size;
        while (i > 0 && frame_table[at + i - 1].owner == FRAME_FREE) {
            i--;
        }
        if (i == 0) {
            return (u32)at;
        }
        at = hx_align_up(at + i, size); /* nothing that holds the taken frame fits */
    }
    return FRAME_NO_PFN;
}

static u32 search(const struct bump *b, struct frame_range within, u32 order)
{
    for (u32 r = 0; r < b->range_count; r++) {
        u32 first = (u32)hx_max_u64(b->ranges[r].first, within.first);
        u32 end = (u32)hx_min_u64(b->ranges[r].end, within.end);
        u32 found = first < end ? search_range(first, end, order) : FRAME_NO_PFN;
        if (found != FRAME_NO_PFN) {
            return found;
        }
    }
    return FRAME_NO_PFN;
}

static u32 bump_alloc(void *index, enum frame_zone zone, u32 order)
{
    struct bump *b = index;
    struct frame_range all = frame_zone_range(zone);
    u32 found = search(b, (struct frame_range){b->cursor[zone], all.end}, order);
    if (found == FRAME_NO_PFN && b->cursor[zone] != all.first) {
        found = search(b, all, order); /* inv 1: a block may straddle the cursor */
    }
    if (found != FRAME_NO_PFN) {
        b->cursor[zone] = found + (1u << order);
    }
    return found;
}

static bool bump_selfcheck(void *index)
{
    const struct bump *b = index;
    for (u32 zone = 0; zone < FRAME_ZONE_COUNT; zone++) {
        struct frame_range all = frame_zone_range(zone);
        if (b->cursor[zone] < all.first || b->cursor[zone] > all.end) {
            return false;
        }
    }
    return true;
}

const struct frame_alloc_ops frame_bump_ops = {
    .abi_version = FRAME_ALLOC_ABI,
    .size = sizeof(struct frame_alloc_ops),
    .name = "bump",
    .footprint = bump_footprint,
    .init = bump_init,
    .add = bump_nothing,
    .remove = bump_nothing,
    .alloc = bump_alloc,
    .selfcheck = bump_selfcheck,
};
