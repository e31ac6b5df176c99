/* SPDX-License-Identifier: MIT */
/* The regions of an address space on the host, against a model that knows every page: what a page
 * is, and where in its object or data it lies. Changes are made in the order in which space.c makes
 * them, the short way (region_range, region_gap with its index) included.
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
        fail_after = 1; /* and all after it */
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

static struct page {
    bool mapped;
    u8 backing, flags;
    u64 offset;     /* into the object */
    const u8 *data; /* NULL: none is left for this page */
    u64 left;       /* bytes of it */
} model[PAGES];

static vaddr_t va_of(u32 page)
{
    return BASE + page * HX_PAGE_SIZE;
}

static void check_page(const struct page *p, const struct region *r, vaddr_t va)
{
    u64 skipped = va - r->start;
    assert_int_equal(r->backing, p->backing);
    assert_int_equal(r->flags, p->flags);
    if (r->backing == SPACE_OBJECT) {
        assert_int_equal(r->offset + skipped, p->offset);
    }
    bool has_data = r->data && skipped < r->data_size;
    assert_int_equal(has_data, p->data != NULL);
    if (has_data) {
        assert_ptr_equal(r->data + skipped, p->data);
        assert_int_equal(r->data_size - skipped, p->left);
    }
}

static void check(struct region_map *map)
{
    s64 objects = 0;
    assert_true(map->count <= map->capacity);
    for (u32 i = 0; i < map->count; i++) {
        const struct region *r = map->list[i];
        assert_true(r->start < r->end && (i == 0 || map->list[i - 1]->end <= r->start));
        objects += r->object != NULL;
    }
    assert_int_equal(objects, references);
    for (u32 n = 0, p = random_below(PAGES); n < PAGES; n++, p = (p + 37) % PAGES) {
        const struct region *r = region_at(map, va_of(p) + random_below(HX_PAGE_SIZE));
        assert_int_equal(r != NULL, model[p].mapped);
        if (r) {
            check_page(&model[p], r, va_of(p));
        }
    }
}

/* A region of any kind for `count` pages, without its place. */
static struct region region_of_any_kind(u32 count)
{
    static const u8 data[16 * HX_PAGE_SIZE];
    static char object;
    struct region r = {.backing = (u8)random_below(SPACE_BACKINGS), .flags = (u8)random_below(2)};
    if (r.backing == SPACE_OBJECT) {
        r.object = (struct memory_object *)&object;
        r.offset = (u64)random_below(1000) * HX_PAGE_SIZE;
        references++;
    } else if (r.backing == SPACE_DATA) {
        r.data_size = random_below(count * HX_PAGE_SIZE + 1);
        r.data = r.data_size ? data : NULL;
    }
    return r;
}

static void enter(struct region_map *map, u32 index, struct region *r, u32 first, u32 count)
{
    r->start = va_of(first);
    r->end = va_of(first + count);
    assert_int_equal(region_reserve(map, 1), HX_OK);
    if (random_below(2)) {
        region_add_at(map, index, r);
    } else {
        region_add(map, r);
    }
    for (u32 i = 0; i < count; i++) {
        u64 skipped = i * HX_PAGE_SIZE;
        bool has_data = r->data && skipped < r->data_size;
        model[first + i] = (struct page){.mapped = true,
                                         .backing = r->backing,
                                         .flags = r->flags,
                                         .offset = r->offset + skipped,
                                         .data = has_data ? r->data + skipped : NULL,
                                         .left = has_data ? r->data_size - skipped : 0};
    }
}

static void map_at(struct region_map *map, u32 first, u32 count)
{
    bool is_free = true;
    for (u32 i = first; i < first + count; i++) {
        is_free &= !model[i].mapped;
    }
    assert_int_equal(region_is_free(map, va_of(first), va_of(first + count)), is_free);
    if (is_free) {
        struct region r = region_of_any_kind(count);
        enter(map, region_find(map, va_of(first)), &r, first, count);
    }
}

static bool gap_by_hand(u32 from, u32 count, u32 *out)
{
    for (u32 first = from; first + count <= PAGES; first++) {
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

/* Mostly from the same place on, as a space does, so that what was found dense is made use of. */
static void map_in_gap(struct region_map *map, u32 count)
{
    u32 from = random_below(8) ? 3 : random_below(PAGES), want = 0, index = 0;
    vaddr_t gap = 0;
    bool found = region_gap(map, va_of(from), va_of(PAGES), count * HX_PAGE_SIZE, &gap, &index);
    assert_int_equal(found, gap_by_hand(from, count, &want));
    if (found) {
        assert_int_equal(gap, va_of(want));
        assert_int_equal(index, region_find(map, gap));
        struct region r = region_of_any_kind(count);
        enter(map, index, &r, want, count);
    }
}

/* Cuts the range out of what is there and says what it found. */
static struct region_range take(struct region_map *map, u32 first, u32 count)
{
    vaddr_t start = va_of(first), end = va_of(first + count);
    bool whole = true, any = false;
    for (u32 i = first; i < first + count; i++) {
        whole &= model[i].mapped && model[i].backing != SPACE_GUARD;
        any |= model[i].mapped;
    }
    struct region_range range = region_range(map, start, end);
    assert_int_equal(range.whole, whole);
    assert_int_equal(range.first < range.last, any);
    if (range.cuts > 0) {
        assert_true(any);
        assert_int_equal(region_reserve(map, range.cuts), HX_OK);
        region_range_cut(map, &range, start, end);
        assert_int_equal(range.cuts, 0);
    }
    for (u32 i = range.first; i < range.last; i++) {
        assert_true(map->list[i]->start >= start && map->list[i]->end <= end);
    }
    return range;
}

static void unmap(struct region_map *map, u32 first, u32 count)
{
    struct region_range range = region_range(map, va_of(first), va_of(first + count));
    if (region_range_is_trim(&range)) {
        region_trim(map, range.first, va_of(first), va_of(first + count));
        memset(&model[first], 0, count * sizeof(model[0]));
        return;
    }
    range = take(map, first, count);
    for (u32 i = range.last; i-- > range.first;) {
        references -= map->list[i]->object != NULL;
        region_remove(map, i);
    }
    memset(&model[first], 0, count * sizeof(model[0]));
}

static void protect(struct region_map *map, u32 first, u32 count)
{
    struct region_range range = take(map, first, count);
    u8 flags = (u8)random_below(2);
    for (u32 i = range.first; i < range.last; i++) {
        map->list[i]->flags = flags;
    }
    for (u32 i = first; i < first + count; i++) {
        model[i].flags = flags;
    }
    for (u32 i = range.last; i-- > (range.first > 0 ? range.first - 1 : 0);) {
        region_join(map, i);
    }
}

static void random_changes_agree_with_the_model(void **state)
{
    (void)state;
    struct region_map map;
    region_map_init(&map);
    for (u32 op = 0; op < OPS; op++) {
        u32 first = random_below(PAGES), count = 1 + random_below(9);
        count = first + count > PAGES ? PAGES - first : count;
        switch (random_below(4)) {
        case 0:
            map_at(&map, first, count);
            break;
        case 1:
            map_in_gap(&map, count);
            break;
        case 2:
            protect(&map, first, count);
            break;
        default:
            unmap(&map, first, count);
            break;
        }
        map.hint = random_below(8) ? map.hint : random_below(PAGES); /* any number will do */
        if (op % 16 == 0) {
            check(&map);
        }
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

static void reserving_fails_without_a_trace(void **state)
{
    (void)state;
    struct region_map map;
    region_map_init(&map);
    static const u32 failing[] = {1, 2, 2}; /* the array; the first region; the second */
    for (u32 i = 0; i < 3; i++) {
        fail_after = failing[i];
        assert_int_equal(region_reserve(&map, 2), HX_ERR_NO_MEMORY);
        fail_after = 0;
        assert_int_equal(map.count, 0);
    }
    assert_int_equal(region_reserve(&map, 2), HX_OK);
    fail_after = 1; /* what is reserved is there */
    for (u32 i = 0; i < 2; i++) {
        struct region r = {.start = va_of(2 * i), .end = va_of(2 * i + 1)};
        region_add(&map, &r);
    }
    fail_after = 0;
    assert_int_equal(map.count, 2);
    region_map_fini(&map);
    assert_int_equal(allocated, 0);
}

static void the_number_of_regions_is_limited(void **state)
{
    (void)state;
    struct region_map map;
    region_map_init(&map);
    for (u32 i = 0; i < SPACE_REGIONS_MAX; i++) {
        struct region r = {.start = va_of(2 * i), .end = va_of(2 * i + 1)};
        assert_int_equal(region_reserve(&map, 1), HX_OK);
        region_add(&map, &r);
    }
    assert_int_equal(map.count, SPACE_REGIONS_MAX);
    assert_int_equal(region_reserve(&map, 1), HX_ERR_LIMIT);
    region_remove(&map, 7);
    assert_int_equal(region_reserve(&map, 1), HX_OK); /* a spare, and a place */
    assert_int_equal(region_reserve(&map, 2), HX_ERR_LIMIT);
    region_map_fini(&map);
    assert_int_equal(allocated, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_agree_with_the_model),
        cmocka_unit_test(anonymous_neighbours_are_one_region),
        cmocka_unit_test(reserving_fails_without_a_trace),
        cmocka_unit_test(the_number_of_regions_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
