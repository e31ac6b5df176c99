/* SPDX-License-Identifier: MIT */
/* The regions of an address space on the host, against a model that knows every page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <memory/region.h>

#define PAGES 128u
#define BASE  0x400000ul
#define OPS   300000u

static s64 references; /* to objects, all of them */
static s64 allocated;  /* heap blocks alive */
static u32 fail_after; /* 0: never */

void *kmalloc(size_t size)
{
    if (fail_after > 0 && --fail_after == 0) {
        return NULL;
    }
    allocated++;
    return malloc(size);
}

void kfree(void *p)
{
    allocated -= p != NULL;
    free(p);
}

void memory_object_get(struct memory_object *object)
{
    assert_non_null(object);
    references++;
}

static u64 random_state = 88172645463325252ull;

static u32 random_below(u32 n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (u32)(random_state >> 20) % n;
}

/* What each page is: its backing and flags, and where in its object or data it lies. */
static struct page {
    bool mapped;
    u8 backing, flags;
    u64 offset;
} model[PAGES];

static vaddr_t va_of(u32 page)
{
    return BASE + page * HX_PAGE_SIZE;
}

static void check(const struct region_map *map)
{
    s64 objects = 0;
    for (u32 i = 0; i < map->count; i++) {
        const struct region *r = map->list[i];
        assert_true(r->start < r->end && (i == 0 || map->list[i - 1]->end <= r->start));
        objects += r->object != NULL;
    }
    assert_int_equal(objects, references);
    for (u32 p = 0; p < PAGES; p++) {
        const struct region *r = region_at(map, va_of(p));
        assert_int_equal(r != NULL, model[p].mapped);
        if (r) {
            assert_int_equal(r->backing, model[p].backing);
            assert_int_equal(r->flags, model[p].flags);
            if (r->backing == SPACE_OBJECT) {
                assert_int_equal(r->offset + (va_of(p) - r->start), model[p].offset);
            }
        }
    }
}

static void map_random(struct region_map *map, u32 first, u32 count)
{
    static char object;
    struct region r = {.start = va_of(first),
                       .end = va_of(first + count),
                       .backing = (u8)random_below(SPACE_BACKINGS),
                       .flags = (u8)random_below(2)};
    if (!region_is_free(map, r.start, r.end)) {
        return;
    }
    if (r.backing == SPACE_OBJECT) {
        r.object = (struct memory_object *)&object;
        r.offset = (u64)random_below(1000) * HX_PAGE_SIZE;
        references++;
    }
    assert_int_equal(region_reserve(map, 1), HX_OK);
    region_add(map, &r);
    for (u32 i = 0; i < count; i++) {
        model[first + i] = (struct page){true, r.backing, r.flags, r.offset + i * HX_PAGE_SIZE};
    }
}

static void unmap(struct region_map *map, u32 first, u32 count)
{
    vaddr_t start = va_of(first), end = va_of(first + count);
    assert_int_equal(region_reserve(map, region_cuts(map, start, end)), HX_OK);
    region_cut(map, start);
    region_cut(map, end);
    u32 i = region_find(map, start);
    while (i < map->count && map->list[i]->start < end) {
        references -= map->list[i]->object != NULL;
        region_remove(map, i);
    }
    memset(&model[first], 0, count * sizeof(model[0]));
}

static bool gap_by_hand(u32 count, u32 *out)
{
    for (u32 first = 0; first + count <= PAGES; first++) {
        u32 n = 0;
        while (n < count && !model[first + n].mapped) {
            n++;
        }
        if (n == count) {
            *out = first;
            return true;
        }
    }
    return false;
}

static void random_changes_agree_with_the_model(void **state)
{
    (void)state;
    struct region_map map;
    region_map_init(&map);
    for (u32 op = 0; op < OPS; op++) {
        u32 first = random_below(PAGES), count = 1 + random_below(9);
        count = first + count > PAGES ? PAGES - first : count;
        if (random_below(2)) {
            map_random(&map, first, count);
        } else {
            unmap(&map, first, count);
        }
        if (op % 16 == 0) {
            check(&map);
        }
        u32 want = 0;
        vaddr_t gap = 0;
        bool found = region_gap(&map, BASE, va_of(PAGES), count * HX_PAGE_SIZE, &gap);
        assert_int_equal(found, gap_by_hand(count, &want));
        assert_true(!found || gap == va_of(want));
        bool covered = true;
        for (u32 i = first; i < first + count; i++) {
            covered &= model[i].mapped && model[i].backing != SPACE_GUARD;
        }
        assert_int_equal(region_covers(&map, va_of(first), va_of(first + count)), covered);
    }
    unmap(&map, 0, PAGES);
    assert_int_equal(map.count, 0);
    assert_int_equal(references, 0);
    region_map_fini(&map);
    assert_int_equal(allocated, 0);
}

static void anonymous_neighbours_are_one_region(void **state)
{
    (void)state;
    struct region_map map;
    region_map_init(&map);
    for (u32 i = 0; i < 10; i++) { /* evens, then odds between them */
        u32 page = i < 5 ? 2 * i : 2 * (i - 5) + 1;
        struct region r = {.start = va_of(page), .end = va_of(page + 1), .flags = SPACE_WRITE};
        assert_int_equal(region_reserve(&map, 1), HX_OK);
        region_add(&map, &r);
    }
    assert_int_equal(map.count, 1);
    assert_int_equal(map.list[0]->end, va_of(10));
    region_map_fini(&map);
    assert_int_equal(allocated, 0);
}

static void cut_data_keeps_its_bytes(void **state)
{
    (void)state;
    static const u8 data[2 * 4096 + 10];
    struct region_map map;
    region_map_init(&map);
    struct region r = {.start = va_of(0),
                       .end = va_of(5),
                       .backing = SPACE_DATA,
                       .data = data,
                       .data_size = sizeof(data)};
    assert_int_equal(region_reserve(&map, 1), HX_OK);
    region_add(&map, &r);
    for (u32 page = 1; page < 5; page++) {
        assert_int_equal(region_reserve(&map, 1), HX_OK);
        region_cut(&map, va_of(page));
    }
    assert_ptr_equal(map.list[2]->data, data + 2 * 4096);
    assert_int_equal(map.list[2]->data_size, 10);
    assert_null(map.list[3]->data);
    assert_null(map.list[4]->data);
    region_map_fini(&map);
}

static void reserving_fails_without_a_trace(void **state)
{
    (void)state;
    struct region_map map;
    region_map_init(&map);
    for (u32 n = 1; n < 4; n++) {
        fail_after = n;
        enum hx_status status = region_reserve(&map, 2);
        fail_after = 0;
        assert_int_equal(status, HX_ERR_NO_MEMORY);
        assert_int_equal(map.count, 0);
        region_map_fini(&map);
        assert_int_equal(allocated, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_the_model),
        cmocka_unit_test(anonymous_neighbours_are_one_region),
        cmocka_unit_test(cut_data_keeps_its_bytes),
        cmocka_unit_test(reserving_fails_without_a_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
