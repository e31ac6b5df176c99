/* SPDX-License-Identifier: MIT */
/* boot_info_normalise() against a brute-force oracle: small random maps are judged page by page,
 * then the edges of the number space and the full table by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <helix/boot_info.h>

#define PAGES   64
#define LIMIT   (1ull << 40)
#define TOP     0xfffffffffffff000ull
#define NO_KIND BOOT_REGION_KIND_COUNT

static struct boot_info info;
static u64 state = 0x9e3779b97f4a7c15;

static u32 random_below(u32 limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (u32)(state >> 32) % limit;
}

static void clear(void)
{
    memset(&info, 0, sizeof(info));
}

static void add(paddr_t base, u64 size, enum boot_region_kind kind)
{
    boot_info_add_region(&info, base, size, kind);
}

/* What <helix/boot_info.h> promises of every normalised map. */
static void check_form(u64 limit)
{
    assert_true(info.region_count <= BOOT_REGIONS_MAX);
    for (u32 i = 0; i < info.region_count; i++) {
        const struct boot_region *r = &info.regions[i];
        assert_true(r->size > 0 && r->base % HX_PAGE_SIZE == 0 && r->size % HX_PAGE_SIZE == 0);
        assert_true(r->base + r->size > r->base && r->base + r->size <= limit);
        assert_true(r->kind < BOOT_REGION_KIND_COUNT);
        if (i) {
            const struct boot_region *before = &info.regions[i - 1];
            assert_true(before->base + before->size <= r->base);
            assert_true(before->base + before->size < r->base || before->kind != r->kind);
        }
    }
}

static enum boot_region_kind kind_at(paddr_t pa)
{
    for (u32 i = 0; i < info.region_count; i++) {
        if (pa - info.regions[i].base < info.regions[i].size) {
            return info.regions[i].kind;
        }
    }
    return NO_KIND;
}

static void expect(u32 index, paddr_t base, u64 size, enum boot_region_kind kind)
{
    assert_true(index < info.region_count);
    assert_int_equal(info.regions[index].base, base);
    assert_int_equal(info.regions[index].size, size);
    assert_int_equal(info.regions[index].kind, kind);
}

static void random_maps_agree_with_page_by_page(void **unused)
{
    (void)unused;
    for (u32 round = 0; round < 20000; round++) {
        enum boot_region_kind want[PAGES];
        struct boot_region raw[12];
        u32 count = random_below(12), limit_pages = 1 + random_below(PAGES);
        u64 limit = limit_pages * HX_PAGE_SIZE + random_below(2) * random_below(HX_PAGE_SIZE);
        bool ram = false;
        clear();
        for (u32 i = 0; i < count; i++) {
            bool whole = random_below(2);
            raw[i].base = random_below(PAGES * HX_PAGE_SIZE);
            raw[i].size = random_below(16 * HX_PAGE_SIZE);
            raw[i].base -= whole ? raw[i].base % HX_PAGE_SIZE : 0;
            raw[i].size -= whole ? raw[i].size % HX_PAGE_SIZE : 0;
            raw[i].kind = random_below(BOOT_REGION_KIND_COUNT);
            add(raw[i].base, raw[i].size, raw[i].kind);
        }
        for (u32 page = 0; page < PAGES; page++) {
            u64 base = page * HX_PAGE_SIZE, end = base + HX_PAGE_SIZE;
            want[page] = NO_KIND;
            for (u32 i = 0; i < count && page < limit_pages; i++) {
                u64 raw_end = raw[i].base + raw[i].size;
                bool covers = raw[i].kind == BOOT_REGION_RAM
                                  ? raw[i].base <= base && raw_end >= end
                                  : raw[i].size && raw[i].base < end && raw_end > base;
                if (covers && (want[page] == NO_KIND || raw[i].kind > want[page])) {
                    want[page] = raw[i].kind;
                }
            }
            ram = ram || want[page] == BOOT_REGION_RAM;
        }
        assert_int_equal(boot_info_normalise(&info, limit), ram ? HX_OK : HX_ERR_NOT_FOUND);
        check_form(limit);
        for (u32 page = 0; page < PAGES; page++) {
            assert_int_equal(kind_at(page * HX_PAGE_SIZE), want[page]);
        }
    }
}

static void nothing_is_no_memory(void **unused)
{
    (void)unused;
    clear();
    assert_int_equal(boot_info_normalise(&info, LIMIT), HX_ERR_NOT_FOUND);
    assert_int_equal(info.region_count, 0);
    add(0x1000, 0, BOOT_REGION_RAM);
    assert_int_equal(info.region_count, 0);
    add(0x1001, 0x1ffe, BOOT_REGION_RAM); /* no whole page */
    assert_int_equal(boot_info_normalise(&info, LIMIT), HX_ERR_NOT_FOUND);
    assert_int_equal(info.region_count, 0);
    assert_int_equal(info.regions_dropped, 1);
}

static void the_end_of_the_number_space_does_not_wrap(void **unused)
{
    (void)unused;
    clear();
    add(0x100000, 0x100000, BOOT_REGION_RAM);
    add(UINT64_MAX, UINT64_MAX, BOOT_REGION_RAM);
    add(UINT64_MAX - 1, 5, BOOT_REGION_RESERVED);
    add(TOP, UINT64_MAX, BOOT_REGION_NVS);
    add(0x180000, UINT64_MAX, BOOT_REGION_RESERVED);
    assert_int_equal(boot_info_normalise(&info, UINT64_MAX), HX_OK);
    check_form(UINT64_MAX);
    expect(0, 0x100000, 0x80000, BOOT_REGION_RAM);
    assert_int_equal(kind_at(0x200000), BOOT_REGION_RESERVED);
}

static void what_is_above_the_limit_goes(void **unused)
{
    (void)unused;
    clear();
    add(LIMIT - 0x2000, 0x10000, BOOT_REGION_RAM);
    add(LIMIT, 0x1000, BOOT_REGION_RAM);
    add(LIMIT + 0x1000, UINT64_MAX, BOOT_REGION_RAM);
    assert_int_equal(boot_info_normalise(&info, LIMIT), HX_OK);
    assert_int_equal(info.region_count, 1);
    expect(0, LIMIT - 0x2000, 0x2000, BOOT_REGION_RAM);
    assert_int_equal(info.regions_dropped, 2);
}

static void the_stronger_kind_wins_in_any_order(void **unused)
{
    (void)unused;
    for (int weak = 0; weak < BOOT_REGION_KIND_COUNT; weak++) {
        for (int strong = weak + 1; strong < BOOT_REGION_KIND_COUNT; strong++) {
            for (int order = 0; order < 2; order++) {
                clear();
                add(0x100000, 0x1000, BOOT_REGION_RAM);
                add(0x4000, 0x4000, order ? strong : weak);
                add(order ? 0x4000 : 0x5000, order ? 0x4000 : 0x1000, order ? weak : strong);
                assert_int_equal(boot_info_normalise(&info, LIMIT), HX_OK);
                assert_int_equal(kind_at(0x5000), strong);
                assert_int_equal(kind_at(0x4000), order ? strong : weak);
            }
        }
    }
}

/* Losing RAM costs memory; losing anything else could hand out what is not ours. */
static void a_full_table_gives_up_ram_first(void **unused)
{
    (void)unused;
    clear();
    for (u64 i = 0; i < BOOT_REGIONS_MAX; i++) {
        add(0x100000 + i * 0x10000, 0x1000 + (i == 77 ? 0 : 0x1000), BOOT_REGION_RAM);
    }
    assert_int_equal(info.regions_dropped, 0);
    add(0x100000 + 5 * 0x10000, 0x1000, BOOT_REGION_KERNEL);
    assert_int_equal(info.region_count, BOOT_REGIONS_MAX);
    assert_int_equal(info.regions_dropped, 1);
    add(0x80000000, 0x100000, BOOT_REGION_RAM); /* no room */
    assert_int_equal(info.regions_dropped, 2);
    HX_IGNORE(boot_info_normalise(&info, LIMIT), "either answer is right; the map is judged");
    check_form(LIMIT);
    assert_int_equal(kind_at(0x100000 + 77 * 0x10000), NO_KIND); /* the smallest went */
    assert_int_equal(kind_at(0x100000 + 5 * 0x10000), BOOT_REGION_KERNEL);
    assert_int_equal(kind_at(0x100000 + 5 * 0x10000 + 0x1000), BOOT_REGION_RAM);
    assert_int_equal(kind_at(0x80000000), NO_KIND);
}

/* One stretch of RAM with a hole in every second page needs more entries than there are. */
static void resolving_more_than_fits_is_said_and_safe(void **unused)
{
    (void)unused;
    clear();
    add(0, 0x1000 * 2 * BOOT_REGIONS_MAX, BOOT_REGION_RAM);
    for (u64 i = 0; i < BOOT_REGIONS_MAX - 1; i++) {
        add(0x1000 + i * 0x2000, 0x1000, BOOT_REGION_LOADER);
    }
    assert_int_equal(boot_info_normalise(&info, LIMIT), HX_ERR_NO_SPACE);
    check_form(LIMIT);
    assert_int_equal(info.region_count, BOOT_REGIONS_MAX);
    assert_true(info.regions_dropped > 0);
    for (u64 i = 0; i < BOOT_REGIONS_MAX - 1; i++) {
        assert_int_equal(kind_at(0x1000 + i * 0x2000), BOOT_REGION_LOADER);
    }
    /* With reserved holes instead, gaps say the same, and no RAM is lost. */
    clear();
    add(0, 0x1000 * 2 * BOOT_REGIONS_MAX, BOOT_REGION_RAM);
    for (u64 i = 0; i < BOOT_REGIONS_MAX - 1; i++) {
        add(0x1000 + i * 0x2000, 0x1000, BOOT_REGION_RESERVED);
    }
    assert_int_equal(boot_info_normalise(&info, LIMIT), HX_OK);
    check_form(LIMIT);
    for (u64 i = 0; i < BOOT_REGIONS_MAX - 1; i++) {
        assert_int_equal(kind_at(i * 0x2000), BOOT_REGION_RAM);
        assert_int_not_equal(kind_at(0x1000 + i * 0x2000), BOOT_REGION_RAM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_maps_agree_with_page_by_page),
        cmocka_unit_test(nothing_is_no_memory),
        cmocka_unit_test(the_end_of_the_number_space_does_not_wrap),
        cmocka_unit_test(what_is_above_the_limit_goes),
        cmocka_unit_test(the_stronger_kind_wins_in_any_order),
        cmocka_unit_test(a_full_table_gives_up_ram_first),
        cmocka_unit_test(resolving_more_than_fits_is_said_and_safe),
    };
    return cmocka_run_group_tests_name("boot_info", tests, NULL, NULL);
}
