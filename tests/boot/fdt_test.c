/* SPDX-License-Identifier: MIT */
/* The device tree reader: trees are built with libfdt's sequential writer, then read back as the
 * boot path does. Each case names the behaviour that it demands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include <boot/fdt.h>
#include <helix/boot_info.h>
#include <port/dt.h>

#define TREE_SIZE 16384
#define LIMIT     (1ull << 40)
#define KERNEL    0x40200000ull
#define DTB       0x48000000ull

static _Alignas(8) char tree[TREE_SIZE];
static struct boot_info info;

static void tree_begin(uint32_t address_cells, uint32_t size_cells)
{
    assert_int_equal(fdt_create(tree, sizeof(tree)), 0);
    assert_int_equal(fdt_finish_reservemap(tree), 0);
    fdt_begin_node(tree, "");
    fdt_property_u32(tree, "#address-cells", address_cells);
    fdt_property_u32(tree, "#size-cells", size_cells);
}

static void node_memory(const char *name, const uint32_t *cells, uint32_t count)
{
    fdt32_t raw[16];
    for (uint32_t i = 0; i < count; i++) {
        raw[i] = cpu_to_fdt32(cells[i]);
    }
    fdt_begin_node(tree, name);
    fdt_property_string(tree, "device_type", "memory");
    fdt_property(tree, "reg", raw, (int)(4 * count));
    fdt_end_node(tree);
}

/* 128 MiB at 1 GiB, in two-cell form. */
static void node_memory_usual(void)
{
    node_memory("memory@40000000", (uint32_t[]){0, 0x40000000, 0, 0x8000000}, 4);
}

static void tree_end(void)
{
    fdt_end_node(tree);
    assert_int_equal(fdt_finish(tree), 0);
}

static enum hx_status tree_read(void)
{
    size_t size;
    assert_int_equal(dt_check(tree, sizeof(tree), &size), HX_OK);
    memset(&info, 0, sizeof(info));
    info.dtb = DTB;
    info.dtb_size = size;
    info.kernel_base = KERNEL;
    info.kernel_size = 0x100000;
    boot_fdt_read(&info, tree);
    return boot_info_normalise(&info, LIMIT);
}

static enum boot_region_kind kind_of(uint64_t address)
{
    for (uint32_t i = 0; i < info.region_count; i++) {
        const struct boot_region *r = &info.regions[i];
        if (address >= r->base && address - r->base < r->size) {
            return r->kind;
        }
    }
    return BOOT_REGION_KIND_COUNT;
}

static void memory_kernel_and_tree_become_regions(void **state)
{
    (void)state;
    tree_begin(2, 2);
    node_memory_usual();
    tree_end();
    assert_int_equal(tree_read(), HX_OK);
    assert_int_equal(kind_of(0x40000000), BOOT_REGION_RAM);
    assert_int_equal(kind_of(KERNEL), BOOT_REGION_KERNEL);
    assert_int_equal(kind_of(KERNEL + 0xfffff), BOOT_REGION_KERNEL);
    assert_int_equal(kind_of(KERNEL + 0x100000), BOOT_REGION_RAM);
    assert_int_equal(kind_of(DTB), BOOT_REGION_LOADER);
    assert_int_equal(kind_of(0x3ffff000), BOOT_REGION_KIND_COUNT);
    assert_int_equal(info.regions_dropped, 0);
}

static void one_cell_addresses_are_read(void **state)
{
    (void)state;
    tree_begin(1, 1);
    node_memory("memory@0", (uint32_t[]){0, 0x3b400000}, 2);
    tree_end();
    assert_int_equal(tree_read(), HX_OK);
    assert_int_equal(kind_of(0x1000), BOOT_REGION_RAM);
    assert_int_equal(kind_of(0x3b3ff000), BOOT_REGION_RAM);
    assert_int_equal(kind_of(0x3b400000), BOOT_REGION_KIND_COUNT);
}

static void illegal_cell_counts_give_no_memory(void **state)
{
    (void)state;
    static const uint32_t counts[][2] = {{0, 2}, {3, 2}, {2, 3}, {0xffffffff, 0xffffffff}, {2, 0}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        tree_begin(counts[i][0], counts[i][1]);
        node_memory_usual();
        tree_end();
        assert_int_equal(tree_read(), HX_ERR_NOT_FOUND);
    }
}

static void tree_without_memory_is_not_found(void **state)
{
    (void)state;
    tree_begin(2, 2);
    tree_end();
    assert_int_equal(tree_read(), HX_ERR_NOT_FOUND);
}

static void wrapping_memory_is_ignored_and_overlapping_is_merged(void **state)
{
    (void)state;
    tree_begin(2, 2);
    node_memory("memory@1", (uint32_t[]){0xffffffff, 0xfffff000, 0, 0x2000}, 4);
    node_memory("memory@2", (uint32_t[]){0, 0x50000000, 0, 0x200000, 0, 0x50100000, 0, 0x200000},
                8);
    tree_end();
    assert_int_equal(tree_read(), HX_OK);
    assert_int_equal(kind_of(0x50000000), BOOT_REGION_RAM);
    assert_int_equal(kind_of(0x502ff000), BOOT_REGION_RAM);
    assert_int_equal(kind_of(0xfffffffffffff000ull), BOOT_REGION_KIND_COUNT);
    for (uint32_t i = 1; i < info.region_count; i++) {
        assert_true(info.regions[i].base >= info.regions[i - 1].base + info.regions[i - 1].size);
    }
}

static void disabled_memory_is_ignored(void **state)
{
    (void)state;
    tree_begin(2, 2);
    fdt_begin_node(tree, "memory@40000000");
    fdt_property_string(tree, "device_type", "memory");
    fdt_property_string(tree, "status", "disabled");
    fdt_property(tree, "reg", "\0\0\0\0\x40\0\0\0\0\0\0\0\x10\0\0\0", 16);
    fdt_end_node(tree);
    tree_end();
    assert_int_equal(tree_read(), HX_ERR_NOT_FOUND);
}

static void chosen_with(const void *start, int start_size, const void *end, int end_size)
{
    fdt_begin_node(tree, "chosen");
    fdt_property_string(tree, "bootargs", "loglevel=debug exec=\"ls\"");
    fdt_property(tree, "linux,initrd-start", start, start_size);
    fdt_property(tree, "linux,initrd-end", end, end_size);
    fdt_end_node(tree);
}

static void initrd_of_four_or_eight_bytes_is_a_module(void **state)
{
    (void)state;
    static const struct {
        const char *start, *end;
        int size;
    } forms[] = {{"\x44\0\0\0", "\x44\0\x12\x34", 4},
                 {"\0\0\0\0\x44\0\0\0", "\0\0\0\0\x44\0\x12\x34", 8}};
    for (size_t i = 0; i < 2; i++) {
        tree_begin(2, 2);
        chosen_with(forms[i].start, forms[i].size, forms[i].end, forms[i].size);
        node_memory_usual();
        tree_end();
        assert_int_equal(tree_read(), HX_OK);
        assert_int_equal(info.module_count, 1);
        assert_int_equal(info.modules_dropped, 0);
        assert_int_equal(info.modules[0].base, 0x44000000);
        assert_int_equal(info.modules[0].size, 0x1234);
        assert_string_equal(info.modules[0].name, "initrd");
        assert_string_equal(info.cmdline, "loglevel=debug exec=\"ls\"");
        assert_false(info.cmdline_cut);
        assert_int_equal(kind_of(0x44001000), BOOT_REGION_LOADER);
    }
}

static void senseless_initrd_is_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *start, *end;
    } cases[] = {
        {"\0\0\0\0\x44\0\0\0", "\0\0\0\0\x44\0\0\0"},               /* empty */
        {"\0\0\0\0\x44\0\0\1", "\0\0\0\0\x44\0\0\0"},               /* backwards */
        {"\0\0\0\0\x20\0\0\0", "\0\0\0\0\x20\0\x10\0"},             /* outside memory */
        {"\0\0\0\0\x47\0\0\0", "\xff\xff\xff\xff\xff\xff\xff\xff"}, /* past its end */
        {"\0\0\0\0\x40\x10\0\0", "\0\0\0\0\x40\x20\0\1"},           /* into the kernel */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tree_begin(2, 2);
        chosen_with(cases[i].start, 8, cases[i].end, 8);
        node_memory_usual();
        tree_end();
        assert_int_equal(tree_read(), HX_OK);
        assert_int_equal(info.module_count, 0);
        assert_int_equal(info.modules_dropped, 1);
    }
    tree_begin(2, 2);
    chosen_with("\x44\0\0", 3, "\x45\0\0\0", 4);
    node_memory_usual();
    tree_end();
    assert_int_equal(tree_read(), HX_OK);
    assert_int_equal(info.modules_dropped, 1);
}

static void long_command_line_is_cut_and_said_so(void **state)
{
    (void)state;
    static char text[BOOT_CMDLINE_MAX + 100];
    memset(text, 'x', sizeof(text));
    tree_begin(2, 2);
    fdt_begin_node(tree, "chosen");
    fdt_property(tree, "bootargs", text, sizeof(text)); /* not terminated either */
    fdt_end_node(tree);
    node_memory_usual();
    tree_end();
    assert_int_equal(tree_read(), HX_OK);
    assert_true(info.cmdline_cut);
    assert_int_equal(strlen(info.cmdline), BOOT_CMDLINE_MAX - 1);
}

static void reservations_are_kept_off_but_tree_and_initrd_stay_modules(void **state)
{
    (void)state;
    assert_int_equal(fdt_create(tree, sizeof(tree)), 0);
    fdt_add_reservemap_entry(tree, 0x41000000, 0x1000);
    fdt_add_reservemap_entry(tree, DTB - 0x2000, 0x10000);
    fdt_add_reservemap_entry(tree, 0x44000000, 0x2000);
    fdt_add_reservemap_entry(tree, 0xfffffffffffff000ull, 0x5000);
    fdt_finish_reservemap(tree);
    fdt_begin_node(tree, "");
    fdt_property_u32(tree, "#address-cells", 2);
    fdt_property_u32(tree, "#size-cells", 2);
    node_memory("memory@40000000", (uint32_t[]){0, 0x40000000, 0, 0x10000000}, 4);
    chosen_with("\x44\0\0\0", 4, "\x44\0\x10\0", 4);
    fdt_begin_node(tree, "reserved-memory");
    fdt_property_u32(tree, "#address-cells", 2);
    fdt_property_u32(tree, "#size-cells", 2);
    fdt_property(tree, "ranges", NULL, 0);
    fdt_begin_node(tree, "secure@46000000");
    fdt_property(tree, "reg", "\0\0\0\0\x46\0\0\0\0\0\0\0\0\x10\0\0", 16);
    fdt_property(tree, "no-map", NULL, 0);
    fdt_end_node(tree);
    fdt_end_node(tree);
    tree_end();
    assert_int_equal(tree_read(), HX_OK);
    assert_int_equal(kind_of(0x41000000), BOOT_REGION_RESERVED);
    assert_int_equal(kind_of(0x41001000), BOOT_REGION_RAM);
    assert_int_equal(kind_of(DTB - 0x1000), BOOT_REGION_RESERVED);
    assert_int_equal(kind_of(DTB), BOOT_REGION_LOADER);
    assert_int_equal(kind_of(DTB + 0xd000), BOOT_REGION_RESERVED);
    assert_int_equal(kind_of(0x44000000), BOOT_REGION_LOADER);
    assert_int_equal(kind_of(0x44001000), BOOT_REGION_RESERVED);
    assert_int_equal(kind_of(0x46000000), BOOT_REGION_RESERVED);
    assert_int_equal(kind_of(0x460ff000), BOOT_REGION_RESERVED);
    assert_int_equal(kind_of(0x46100000), BOOT_REGION_RAM);
}

static void framebuffer_with(uint32_t width, uint32_t height, uint32_t stride, const char *format)
{
    tree_begin(2, 2);
    node_memory_usual();
    fdt_begin_node(tree, "chosen");
    fdt_property_u32(tree, "#address-cells", 2);
    fdt_property_u32(tree, "#size-cells", 2);
    fdt_property(tree, "ranges", NULL, 0);
    fdt_begin_node(tree, "framebuffer@3c100000");
    fdt_property_string(tree, "compatible", "simple-framebuffer");
    fdt_property(tree, "reg", "\0\0\0\0\x3c\x10\0\0\0\0\0\0\0\x20\0\0", 16); /* 2 MiB */
    fdt_property_u32(tree, "width", width);
    fdt_property_u32(tree, "height", height);
    fdt_property_u32(tree, "stride", stride);
    fdt_property_string(tree, "format", format);
    fdt_end_node(tree);
    fdt_end_node(tree);
    tree_end();
    assert_int_equal(tree_read(), HX_OK);
}

static void simple_framebuffer_is_taken(void **state)
{
    (void)state;
    framebuffer_with(800, 600, 3200, "a8r8g8b8");
    assert_int_equal(info.framebuffer.kind, BOOT_PIXEL_RGB);
    assert_int_equal(info.framebuffer.base, 0x3c100000);
    assert_int_equal(info.framebuffer.bits_per_pixel, 32);
    assert_int_equal(info.framebuffer.red_shift, 16);
    framebuffer_with(800, 600, 1600, "r5g6b5");
    assert_int_equal(info.framebuffer.bits_per_pixel, 16);
    assert_int_equal(info.framebuffer.green_bits, 6);
}

static void framebuffer_that_does_not_fit_is_ignored(void **state)
{
    (void)state;
    static const struct {
        uint32_t width, height, stride;
        const char *format;
    } cases[] = {{800, 600, 3199, "a8r8g8b8"},       {0, 600, 3200, "a8r8g8b8"},
                 {800, 0, 3200, "a8r8g8b8"},         {800, 600, 3200, "yuv"},
                 {800, 1000, 3200, "a8r8g8b8"},      {0x40000000, 1, 0, "a8r8g8b8"},
                 {800, 0x80000001, 3200, "a8r8g8b8"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        framebuffer_with(cases[i].width, cases[i].height, cases[i].stride, cases[i].format);
        assert_int_equal(info.framebuffer.kind, BOOT_PIXEL_NONE);
    }
}

static void bad_headers_are_refused(void **state)
{
    (void)state;
    size_t size;
    tree_begin(2, 2);
    tree_end();
    size_t real = fdt_totalsize(tree);
    assert_int_equal(dt_check(tree, real, &size), HX_OK);
    assert_int_equal(size, real);
    assert_int_equal(dt_check(tree, real - 1, &size), HX_ERR_CORRUPT);
    assert_int_equal(dt_check(tree, 8, &size), HX_ERR_NOT_FOUND);
    fdt_set_totalsize(tree, 39);
    assert_int_equal(dt_check(tree, sizeof(tree), &size), HX_ERR_CORRUPT);
    fdt_set_totalsize(tree, DT_SIZE_MAX + 8);
    assert_int_equal(dt_check(tree, DT_SIZE_MAX + 16, &size), HX_ERR_CORRUPT);
    fdt_set_totalsize(tree, (uint32_t)real);
    fdt_set_off_dt_struct(tree, (uint32_t)real + 4);
    assert_int_equal(dt_check(tree, real, &size), HX_ERR_CORRUPT);
    tree_begin(2, 2);
    tree_end();
    fdt_set_version(tree, 3);
    assert_int_equal(dt_check(tree, real, &size), HX_ERR_CORRUPT);
    fdt_set_magic(tree, 0);
    assert_int_equal(dt_check(tree, real, &size), HX_ERR_NOT_FOUND);
}

static void broken_structure_keeps_what_came_before(void **state)
{
    (void)state;
    tree_begin(2, 2);
    node_memory_usual();
    fdt_begin_node(tree, "later");
    fdt_property_u32(tree, "x", 1);
    fdt_end_node(tree);
    tree_end();
    int node = fdt_path_offset(tree, "/later");
    uint32_t bad = 0xffffffff;
    memcpy(tree + fdt_off_dt_struct(tree) + (uint32_t)node + 12, &bad, sizeof(bad));
    assert_int_equal(tree_read(), HX_OK);
    assert_int_equal(kind_of(0x40000000), BOOT_REGION_RAM);
    assert_true(info.regions_dropped > 0);
}

struct found {
    const char *name;
    uint64_t base, size;
    int visits;
};

static void visit_find(void *ctx, const struct dt_walk *walk)
{
    struct found *found = ctx;
    found->visits++;
    if (strcmp(dt_node(walk)->name, found->name) == 0 &&
        !dt_reg(walk, 0, &found->base, &found->size)) {
        found->base = found->size = UINT64_MAX;
    }
}

static void soc_with_ranges(const void *ranges, int size)
{
    tree_begin(1, 1);
    fdt_begin_node(tree, "soc");
    fdt_property_u32(tree, "#address-cells", 1);
    fdt_property_u32(tree, "#size-cells", 1);
    if (ranges != NULL) {
        fdt_property(tree, "ranges", ranges, size);
    }
    fdt_begin_node(tree, "serial@7e201000");
    fdt_property(tree, "reg", "\x7e\x20\x10\0\0\0\2\0", 8);
    fdt_end_node(tree);
    fdt_end_node(tree);
    tree_end();
}

static void addresses_are_translated_through_ranges(void **state)
{
    (void)state;
    struct found found = {.name = "serial@7e201000"};
    soc_with_ranges("\x7e\0\0\0\x3f\0\0\0\1\0\0\0", 12);
    assert_int_equal(dt_walk(tree, visit_find, &found), HX_OK);
    assert_int_equal(found.base, 0x3f201000);
    assert_int_equal(found.size, 0x200);
    assert_int_equal(found.visits, 3);
    static const struct {
        const char *bytes;
        int size;
        uint64_t base;
    } cases[] = {
        {"", 0, 0x7e201000},                                  /* identity */
        {NULL, 0, UINT64_MAX},                                /* not on the CPU's bus */
        {"\x7e\0\0\0\x3f\0\0\0\0\x20\x10\0", 12, UINT64_MAX}, /* ends before it */
        {"\x7f\0\0\0\x3f\0\0\0\1\0\0\0", 12, UINT64_MAX},     /* begins after it */
        {"\x7e\0\0\0\x3f\0\0\0\1\0\0", 11, UINT64_MAX},       /* cut */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        soc_with_ranges(cases[i].bytes, cases[i].size);
        assert_int_equal(dt_walk(tree, visit_find, &found), HX_OK);
        assert_int_equal(found.base, cases[i].base);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct found found = {.name = "none"};
    tree_begin(2, 2);
    for (int i = 0; i < 40; i++) {
        fdt_begin_node(tree, "n");
    }
    for (int i = 0; i < 40; i++) {
        fdt_end_node(tree);
    }
    tree_end();
    assert_int_equal(dt_walk(tree, visit_find, &found), HX_OK);
    assert_int_equal(found.visits, DT_DEPTH_MAX);
}

static void stdout_path_follows_one_alias_and_never_a_loop(void **state)
{
    (void)state;
    static const struct {
        const char *path, *alias;
        int found;
    } cases[] = {{"/serial", "/x", 1},     {"/serial:115200n8", "/x", 1},
                 {"s:9600", "/serial", 1}, {"s", "s", 0},
                 {"t", "/serial", 0},      {"/gone", "/serial", 0},
                 {"", "/serial", 0},       {":", "/serial", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tree_begin(2, 2);
        fdt_begin_node(tree, "aliases");
        fdt_property_string(tree, "s", cases[i].alias);
        fdt_end_node(tree);
        fdt_begin_node(tree, "chosen");
        fdt_property_string(tree, "stdout-path", cases[i].path);
        fdt_end_node(tree);
        fdt_begin_node(tree, "serial");
        fdt_end_node(tree);
        tree_end();
        int wanted = cases[i].found ? fdt_path_offset(tree, "/serial") : -1;
        int got = dt_stdout(tree);
        assert_int_equal(got < 0 ? -1 : got, wanted);
    }
}

static void string_lists_need_terminated_strings(void **state)
{
    (void)state;
    struct dt_prop list = {(const uint8_t *)"a\0bc\0d", 6};
    assert_int_equal(dt_prop_index(&list, "a"), 0);
    assert_int_equal(dt_prop_index(&list, "bc"), 1);
    assert_int_equal(dt_prop_index(&list, "d"), -1);
    assert_int_equal(dt_prop_index(&list, "b"), -1);
    assert_int_equal(dt_prop_index(&(struct dt_prop){0}, "a"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_kernel_and_tree_become_regions),
        cmocka_unit_test(one_cell_addresses_are_read),
        cmocka_unit_test(illegal_cell_counts_give_no_memory),
        cmocka_unit_test(tree_without_memory_is_not_found),
        cmocka_unit_test(wrapping_memory_is_ignored_and_overlapping_is_merged),
        cmocka_unit_test(disabled_memory_is_ignored),
        cmocka_unit_test(initrd_of_four_or_eight_bytes_is_a_module),
        cmocka_unit_test(senseless_initrd_is_dropped),
        cmocka_unit_test(long_command_line_is_cut_and_said_so),
        cmocka_unit_test(reservations_are_kept_off_but_tree_and_initrd_stay_modules),
        cmocka_unit_test(simple_framebuffer_is_taken),
        cmocka_unit_test(framebuffer_that_does_not_fit_is_ignored),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(broken_structure_keeps_what_came_before),
        cmocka_unit_test(addresses_are_translated_through_ranges),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(stdout_path_follows_one_alias_and_never_a_loop),
        cmocka_unit_test(string_lists_need_terminated_strings),
    };
    return cmocka_run_group_tests_name("boot_fdt", tests, NULL, NULL);
}
