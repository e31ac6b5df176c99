/* SPDX-License-Identifier: MIT */
/* The frame allocators on the host, over a frame table of their own: a million random calls each,
 * every answer compared with the table, which is the model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <memory/frame_alloc.h>

#define FRAMES 8192u /* entries of the table: 16 MiB zone, then some of the next */
#define OPS    1000000u
#define HELD   700u
#define OWNED  FRAME_TEST
#define BRUTE  97u /* one refusal in so many is checked by searching the table */

struct frame *frame_table;

/* A hole, ranges that share a chunk, one that crosses the border of a zone. */
static const struct frame_range ranges[] = {
    {1, 300}, {310, 1000}, {2048, 3000}, {3500, 6001}, {7168, 8000}};
#define RANGES (sizeof(ranges) / sizeof(ranges[0]))

static u64 random_state;

static u32 random_below(u32 n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (u32)(random_state >> 20) % n;
}

static void *start(const struct frame_alloc_ops *ops, bool all_free)
{
    void *index = aligned_alloc(4096, (ops->footprint(ranges, RANGES) + 4095) / 4096 * 4096);
    assert_non_null(index);
    for (u32 i = 0; i < FRAMES; i++) {
        frame_table[i] = (struct frame){.owner = FRAME_NONE};
    }
    ops->init(index, ranges, RANGES);
    for (u32 r = 0; r < RANGES; r++) {
        for (u32 i = ranges[r].first; i < ranges[r].end; i++) {
            frame_table[i].owner = all_free ? FRAME_FREE : OWNED;
        }
        if (all_free) {
            ops->add(index, ranges[r].first, ranges[r].end - ranges[r].first);
        }
    }
    return index;
}

static bool is_free_block(u32 first, u32 order)
{
    for (u32 i = 0; i < 1u << order; i++) {
        if (frame_table[first + i].owner != FRAME_FREE) {
            return false;
        }
    }
    return true;
}

static bool table_has(enum frame_zone zone, u32 order)
{
    for (u32 at = 0; at + (1u << order) <= FRAMES; at += 1u << order) {
        if (frame_zone_of(at) == zone && is_free_block(at, order)) {
            return true;
        }
    }
    return false;
}

/* What the kernel does with an answer, checked. */
static u32 take(const struct frame_alloc_ops *ops, void *index, enum frame_zone zone, u32 order,
                bool search)
{
    u32 pfn = ops->alloc(index, zone, order);
    if (pfn == FRAME_NO_PFN) {
        if (search) {
            assert_false(table_has(zone, order));
        }
        return pfn;
    }
    assert_true(pfn + (1u << order) <= FRAMES && pfn % (1u << order) == 0);
    assert_int_equal(frame_zone_of(pfn), zone);
    assert_true(is_free_block(pfn, order));
    for (u32 i = 0; i < 1u << order; i++) {
        frame_table[pfn + i] = (struct frame){.owner = OWNED};
    }
    return pfn;
}

static void give(const struct frame_alloc_ops *ops, void *index, u32 first, u32 count)
{
    for (u32 i = 0; i < count; i++) {
        frame_table[first + i] = (struct frame){.owner = FRAME_FREE};
    }
    ops->add(index, first, count);
}

static void churn(const struct frame_alloc_ops *ops, u32 count)
{
    static struct {
        u32 first, order;
        bool used;
    } held[HELD];
    void *index = start(ops, true);
    random_state = 0x9e3779b97f4a7c15ull;
    for (u32 op = 0; op < count; op++) {
        u32 i = random_below(HELD);
        if (held[i].used) { /* back whole, or in two parts */
            u32 size = 1u << held[i].order, cut = random_below(size);
            if (cut > 0) {
                give(ops, index, held[i].first, cut);
            }
            give(ops, index, held[i].first + cut, size - cut);
            held[i].used = false;
        } else {
            u32 order = random_below(4) ? random_below(4) : random_below(FRAME_ORDER_MAX + 1);
            held[i].order = order;
            held[i].first = take(ops, index, random_below(2), order, random_below(BRUTE) == 0);
            held[i].used = held[i].first != FRAME_NO_PFN;
        }
        if (op % 50000 == 0) {
            assert_true(ops->selfcheck(index));
        }
    }
    for (u32 i = 0; i < HELD; i++) {
        if (held[i].used) {
            give(ops, index, held[i].first, 1u << held[i].order);
            held[i].used = false;
        }
    }
    assert_true(ops->selfcheck(index));
    for (u32 order = FRAME_ORDER_MAX + 1; order-- > 0;) { /* all of it can be had again */
        for (u32 zone = 0; zone < FRAME_ZONE_COUNT; zone++) {
            while (take(ops, index, zone, order, true) != FRAME_NO_PFN) {
            }
        }
    }
    for (u32 i = 0; i < FRAMES; i++) {
        assert_int_not_equal(frame_table[i].owner, FRAME_FREE);
    }
    free(index);
}

static void buddy_agrees_with_the_table(void **state)
{
    (void)state;
    churn(&frame_buddy_ops, OPS);
}

static void bitmap_agrees_with_the_table(void **state)
{
    (void)state;
    churn(&frame_bitmap_ops, OPS);
}

static void bump_agrees_with_the_table(void **state)
{
    (void)state;
    churn(&frame_bump_ops, OPS / 20); /* it searches */
}

/* Largest blocks first, and every order down to single frames. */
static void buddy_joins_what_was_split(void **state)
{
    (void)state;
    void *index = start(&frame_buddy_ops, true);
    u32 whole = take(&frame_buddy_ops, index, FRAME_ZONE_4G, FRAME_ORDER_MAX, true);
    assert_int_not_equal(whole, FRAME_NO_PFN);
    for (u32 i = 0; i < 1u << FRAME_ORDER_MAX; i++) { /* odd ones first */
        u32 step = i < 512 ? 2 * i + 1 : 2 * (i - 512);
        give(&frame_buddy_ops, index, whole + step, 1);
    }
    assert_true(frame_buddy_ops.selfcheck(index));
    assert_int_equal(take(&frame_buddy_ops, index, FRAME_ZONE_4G, FRAME_ORDER_MAX, true), whole);
    free(index);
}

/* remove forgets a chunk, whatever the pattern in it; another index can then have it. */
static void chunks_move_from_index_to_index(void **state)
{
    (void)state;
    const struct frame_alloc_ops *const all[] = {&frame_buddy_ops, &frame_bitmap_ops};
    for (u32 a = 0; a < 2; a++) {
        for (u32 b = 0; b < 2; b++) {
            void *from = start(all[a], true);
            void *to = aligned_alloc(4096, 65536);
            all[b]->init(to, ranges, RANGES);
            for (u32 i = 0; i < 2000; i++) {
                HX_IGNORE(take(all[a], from, random_below(2), random_below(3), false), "any");
            }
            for (u32 chunk = 0; chunk < FRAMES; chunk += 1u << FRAME_ORDER_MAX) {
                all[a]->remove(from, chunk, 1u << FRAME_ORDER_MAX);
                for (u32 i = chunk; i < chunk + (1u << FRAME_ORDER_MAX); i++) {
                    if (frame_table[i].owner == FRAME_FREE) {
                        assert_int_equal(frame_table[i].mark, 0);
                        all[b]->add(to, i, 1);
                    }
                }
            }
            assert_true(all[b]->selfcheck(to));
            assert_int_equal(all[a]->alloc(from, FRAME_ZONE_16M, 0), FRAME_NO_PFN);
            free(from);
            free(to);
        }
    }
}

static void selfcheck_notices_a_wrong_index(void **state)
{
    (void)state;
    void *index = start(&frame_buddy_ops, true);
    frame_table[2500].owner = OWNED;
    assert_false(frame_buddy_ops.selfcheck(index));
    free(index);
    index = start(&frame_bitmap_ops, true);
    frame_table[2500].owner = OWNED;
    assert_false(frame_bitmap_ops.selfcheck(index));
    free(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buddy_agrees_with_the_table),
        cmocka_unit_test(bitmap_agrees_with_the_table),
        cmocka_unit_test(bump_agrees_with_the_table),
        cmocka_unit_test(buddy_joins_what_was_split),
        cmocka_unit_test(chunks_move_from_index_to_index),
        cmocka_unit_test(selfcheck_notices_a_wrong_index),
    };
    frame_table = calloc(FRAMES, sizeof(*frame_table));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
