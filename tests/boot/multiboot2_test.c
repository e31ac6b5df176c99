/* SPDX-License-Identifier: MIT */
/* multiboot2_read() on whole, cut and corrupted tags. Every input lies at the end of a heap block
 * of exactly its size, so that the address sanitizer sees the first byte read beyond it. Spec:
 * Multiboot2 1.6 section 3.6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <boot/multiboot2.h>

#define BYTES_MAX 8192

static struct {
    u8 bytes[BYTES_MAX];
    size_t size;
    size_t tags[32]; /* offset of each */
    u32 tag_count;
} mbi;

static struct boot_info info;
static u8 rsdp[ACPI_RSDP_SIZE_MAX];
static size_t rsdp_size;

static void put8(u8 v)
{
    assert_true(mbi.size < BYTES_MAX);
    mbi.bytes[mbi.size++] = v;
}

static void put32(u32 v)
{
    for (int i = 0; i < 4; i++) {
        put8((u8)(v >> 8 * i));
    }
}

static void put64(u64 v)
{
    put32((u32)v);
    put32((u32)(v >> 32));
}

static void set32(size_t at, u32 v)
{
    for (int i = 0; i < 4; i++) {
        mbi.bytes[at + (size_t)i] = (u8)(v >> 8 * i);
    }
}

static void put_text(const char *text)
{
    for (; *text; text++) {
        put8((u8)*text);
    }
    put8(0);
}

static void begin(void)
{
    memset(&mbi, 0, sizeof(mbi));
    put64(0); /* total size, reserved */
}

static size_t tag_begin(u32 type)
{
    while (mbi.size % 8) {
        put8(0);
    }
    mbi.tags[mbi.tag_count++] = mbi.size;
    put32(type);
    put32(0);
    return mbi.size - 8;
}

static void tag_end(void)
{
    size_t at = mbi.tags[mbi.tag_count - 1];
    set32(at + 4, (u32)(mbi.size - at));
}

static void finish(void)
{
    tag_begin(0);
    tag_end();
    set32(0, (u32)mbi.size);
}

static void put_cmdline(const char *text)
{
    tag_begin(1);
    put_text(text);
    tag_end();
}

static void put_module(u32 start, u32 end, const char *name)
{
    tag_begin(3);
    put32(start);
    put32(end);
    put_text(name);
    tag_end();
}

static void put_mmap_entry(u64 base, u64 length, u32 type)
{
    put64(base);
    put64(length);
    put32(type);
    put32(0);
}

static size_t mmap_begin(void)
{
    size_t at = tag_begin(6);
    put32(24);
    put32(0);
    return at;
}

static size_t put_framebuffer(void)
{
    size_t at = tag_begin(8);
    put64(0xfd000000);
    put32(3200);
    put32(800);
    put32(600);
    put8(32);
    put8(1);
    put8(0);
    put8(0);
    put8(16), put8(8), put8(8), put8(8), put8(0), put8(8);
    tag_end();
    return at;
}

/* All that the kernel reads, and tags that it does not. */
static void build(void)
{
    begin();
    put_cmdline("loglevel=debug exec=\"help\"");
    tag_begin(2);
    put_text("GRUB 2.06");
    tag_end();
    put_module(0x400000, 0x401234, "initrd");
    tag_begin(4); /* basic memory: not read */
    put64(0x123);
    tag_end();
    mmap_begin();
    put_mmap_entry(0, 0x9fc00, 1);
    put_mmap_entry(0x100000, 0x7f00000, 1);
    put_mmap_entry(0x8000000, 0x10000, 3);
    put_mmap_entry(0x8010000, 0x10000, 4);
    put_mmap_entry(0xf0000000, 0x10000, 2);
    put_mmap_entry(0xf1000000, 0x10000, 77);
    tag_end();
    put_framebuffer();
    tag_begin(14);
    for (u8 i = 0; i < 20; i++) {
        put8(i);
    }
    tag_end();
    tag_begin(15);
    for (u8 i = 0; i < 36; i++) {
        put8((u8)(100 + i));
    }
    tag_end();
    finish();
}

static void check_strings(void)
{
    assert_non_null(memchr(info.cmdline, 0, sizeof(info.cmdline)));
    assert_non_null(memchr(info.loader, 0, sizeof(info.loader)));
    assert_true(info.module_count <= BOOT_MODULES_MAX && info.region_count <= BOOT_REGIONS_MAX);
    for (u32 i = 0; i < info.module_count; i++) {
        assert_non_null(memchr(info.modules[i].name, 0, BOOT_NAME_MAX));
        assert_true(info.modules[i].size > 0);
    }
    assert_true(rsdp_size == 0 || rsdp_size == 20 || rsdp_size == 36);
}

/* Reads `size` bytes of what was built. */
static enum hx_status read_size(size_t size)
{
    u8 *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, mbi.bytes, size);
    memset(&info, 0, sizeof(info));
    memset(rsdp, 0xee, sizeof(rsdp));
    rsdp_size = 77;
    enum hx_status status = multiboot2_read(&info, copy, size, rsdp, &rsdp_size);
    free(copy);
    check_strings();
    return status;
}

static enum hx_status read_all(void)
{
    return read_size(mbi.size);
}

static void every_tag_is_read(void **unused)
{
    (void)unused;
    build();
    assert_int_equal(read_all(), HX_OK);
    assert_string_equal(info.cmdline, "loglevel=debug exec=\"help\"");
    assert_false(info.cmdline_cut);
    assert_string_equal(info.loader, "GRUB 2.06");
    assert_int_equal(info.module_count, 1);
    assert_int_equal(info.modules[0].base, 0x400000);
    assert_int_equal(info.modules[0].size, 0x1234);
    assert_string_equal(info.modules[0].name, "initrd");
    static const enum boot_region_kind kinds[] = {
        BOOT_REGION_LOADER, BOOT_REGION_RAM,      BOOT_REGION_RAM,     BOOT_REGION_RECLAIMABLE,
        BOOT_REGION_NVS,    BOOT_REGION_RESERVED, BOOT_REGION_RESERVED};
    assert_int_equal(info.region_count, HX_ARRAY_SIZE(kinds));
    for (u32 i = 0; i < info.region_count; i++) {
        assert_int_equal(info.regions[i].kind, kinds[i]);
    }
    assert_int_equal(info.regions[2].base, 0x100000);
    assert_int_equal(info.regions[2].size, 0x7f00000);
    assert_int_equal(info.framebuffer.kind, BOOT_PIXEL_RGB);
    assert_int_equal(info.framebuffer.base, 0xfd000000);
    assert_int_equal(info.framebuffer.pitch, 3200);
    assert_int_equal(info.framebuffer.width, 800);
    assert_int_equal(info.framebuffer.height, 600);
    assert_int_equal(info.framebuffer.bits_per_pixel, 32);
    assert_int_equal(info.framebuffer.red_shift, 16);
    assert_int_equal(info.framebuffer.green_shift, 8);
    assert_int_equal(info.framebuffer.blue_shift, 0);
    assert_int_equal(info.framebuffer.red_bits, 8);
    assert_int_equal(rsdp_size, 36); /* the newer root wins */
    assert_int_equal(rsdp[0], 100);
    assert_int_equal(rsdp[35], 135);
}

static void cut_anywhere_it_is_corrupt(void **unused)
{
    (void)unused;
    build();
    for (size_t size = 0; size < mbi.size; size++) {
        assert_int_equal(read_size(size), HX_ERR_CORRUPT);
    }
    /* The same when the header says so and the bytes are there. */
    for (u32 size = 0; size < mbi.size; size++) {
        set32(0, size);
        assert_int_equal(read_all(), HX_ERR_CORRUPT);
    }
    set32(0, UINT32_MAX); /* more than there is: what is there counts */
    assert_int_equal(read_all(), HX_OK);
}

static void every_corrupt_tag_size_is_survived(void **unused)
{
    (void)unused;
    build();
    for (u32 i = 0; i < mbi.tag_count; i++) {
        size_t at = mbi.tags[i] + 4;
        u32 good = mbi.bytes[at] | (u32)mbi.bytes[at + 1] << 8,
            rest = (u32)(mbi.size - mbi.tags[i]);
        bool is_end = i == mbi.tag_count - 1;
        for (u32 size = 0; size < mbi.size + 16; size++) {
            set32(at, size);
            enum hx_status status = read_all();
            if (!is_end && (size < 8 || size > rest)) {
                assert_int_equal(status, HX_ERR_CORRUPT);
            }
        }
        static const u32 huge[] = {0x7fffffff, 0x80000000, 0xfffffff0, 0xfffffff8, UINT32_MAX};
        for (u32 k = 0; k < HX_ARRAY_SIZE(huge); k++) {
            set32(at, huge[k]);
            assert_int_equal(read_all(), is_end ? HX_OK : HX_ERR_CORRUPT);
        }
        set32(at, good);
    }
    assert_int_equal(read_all(), HX_OK);
}

static void each_byte_may_be_anything(void **unused)
{
    (void)unused;
    build();
    for (size_t at = 0; at < mbi.size; at++) {
        u8 good = mbi.bytes[at];
        static const u8 values[] = {0, 1, 0x7f, 0x80, 0xff};
        for (u32 k = 0; k < HX_ARRAY_SIZE(values); k++) {
            mbi.bytes[at] = values[k];
            HX_IGNORE(read_all(), "surviving is the test");
            HX_IGNORE(boot_info_normalise(&info, 1ull << 40), "so is this");
        }
        mbi.bytes[at] = good;
    }
}

static void tags_before_the_fault_are_taken(void **unused)
{
    (void)unused;
    build();
    set32(mbi.tags[3] + 4, 3);
    assert_int_equal(read_all(), HX_ERR_CORRUPT);
    assert_string_equal(info.loader, "GRUB 2.06");
    assert_int_equal(info.module_count, 1);
    assert_int_equal(info.region_count, 1);
    assert_int_equal(info.framebuffer.kind, BOOT_PIXEL_NONE);
}

static void without_an_end_tag_it_is_corrupt(void **unused)
{
    (void)unused;
    begin();
    put_cmdline("x");
    set32(0, (u32)mbi.size);
    assert_int_equal(read_all(), HX_ERR_CORRUPT);
    assert_string_equal(info.cmdline, "x");
}

static void impossible_modules_are_counted(void **unused)
{
    (void)unused;
    begin();
    put_module(0x2000, 0x1000, "inverted");
    put_module(0x2000, 0x2000, "empty");
    for (u32 i = 0; i < BOOT_MODULES_MAX + 3; i++) {
        put_module(0x100000 + i * 0x1000, 0x101000 + i * 0x1000, "m");
    }
    finish();
    assert_int_equal(read_all(), HX_OK);
    assert_int_equal(info.module_count, BOOT_MODULES_MAX);
    assert_int_equal(info.modules_dropped, 2 + 3);
    assert_int_equal(info.modules[0].base, 0x100000);
}

static void overlapping_modules_are_kept_and_merge_in_the_map(void **unused)
{
    (void)unused;
    begin();
    mmap_begin();
    put_mmap_entry(0, 0x1000000, 1);
    tag_end();
    put_module(0x100000, 0x103000, "a");
    put_module(0x102000, 0x105000, "b");
    finish();
    assert_int_equal(read_all(), HX_OK);
    assert_int_equal(info.module_count, 2);
    assert_int_equal(boot_info_normalise(&info, 1ull << 40), HX_OK);
    assert_int_equal(info.region_count, 3);
    assert_int_equal(info.regions[1].kind, BOOT_REGION_LOADER);
    assert_int_equal(info.regions[1].base, 0x100000);
    assert_int_equal(info.regions[1].size, 0x5000);
}

static void long_strings_are_cut_and_terminated(void **unused)
{
    (void)unused;
    static char text[3000];
    memset(text, 'a', sizeof(text) - 1);
    begin();
    put_cmdline(text);
    put_module(0x1000, 0x2000, text);
    finish();
    assert_int_equal(read_all(), HX_OK);
    assert_true(info.cmdline_cut);
    assert_int_equal(strlen(info.cmdline), BOOT_CMDLINE_MAX - 1);
    assert_int_equal(strlen(info.modules[0].name), BOOT_NAME_MAX - 1);
    text[BOOT_CMDLINE_MAX - 1] = '\0'; /* as long as it may be */
    begin();
    put_cmdline(text);
    finish();
    assert_int_equal(read_all(), HX_OK);
    assert_false(info.cmdline_cut);
    assert_int_equal(strlen(info.cmdline), BOOT_CMDLINE_MAX - 1);
}

static void a_string_without_an_end_stops_at_its_tag(void **unused)
{
    (void)unused;
    begin();
    tag_begin(1);
    put8('a'), put8('b'), put8('c');
    tag_end();
    tag_begin(2);
    put8('d');
    tag_end();
    finish();
    assert_int_equal(read_all(), HX_OK);
    assert_string_equal(info.cmdline, "abc");
    assert_string_equal(info.loader, "d");
}

static void memory_map_entries_of_other_sizes(void **unused)
{
    (void)unused;
    static const u32 bad[] = {0, 8, 16, 23, 25, 28, UINT32_MAX, UINT32_MAX - 7};
    begin();
    size_t at = mmap_begin();
    put_mmap_entry(0x100000, 0x100000, 1);
    put64(0); /* entries may grow: what is behind the known part is skipped */
    put_mmap_entry(0x300000, 0x100000, 1);
    put64(0);
    tag_end();
    finish();
    set32(at + 8, 32);
    assert_int_equal(read_all(), HX_OK);
    assert_int_equal(info.region_count, 2);
    assert_int_equal(info.regions[1].base, 0x300000);
    for (u32 i = 0; i < HX_ARRAY_SIZE(bad); i++) {
        set32(at + 8, bad[i]);
        enum hx_status status = read_all();
        assert_int_equal(status, bad[i] % 8 || bad[i] < 24 ? HX_ERR_CORRUPT : HX_OK);
        assert_int_equal(info.region_count, 0);
    }
}

static void a_memory_map_entry_that_wraps_is_not_free(void **unused)
{
    (void)unused;
    begin();
    mmap_begin();
    put_mmap_entry(0x100000, 0x100000, 1);
    put_mmap_entry(0x180000, UINT64_MAX - 0x1000, 1);
    tag_end();
    finish();
    assert_int_equal(read_all(), HX_OK);
    assert_int_equal(info.regions_dropped, 1);
    assert_int_equal(boot_info_normalise(&info, 1ull << 40), HX_OK);
    assert_int_equal(info.regions[0].base, 0x100000);
    assert_int_equal(info.regions[0].size, 0x80000);
    assert_int_equal(info.regions[1].kind, BOOT_REGION_RESERVED);
}

/* Offset in the tag, width in bytes, and a value there that makes the framebuffer unusable. */
static void nonsense_framebuffers_are_left_out(void **unused)
{
    (void)unused;
    static const struct {
        u32 offset, bytes, value;
    } nonsense[] = {
        {16, 4, 0},          {16, 4, 3199},  {16, 4, UINT32_MAX}, {20, 4, 0},          {20, 4, 801},
        {20, 4, UINT32_MAX}, {20, 4, 16385}, {24, 4, 0},          {24, 4, UINT32_MAX}, {28, 1, 0},
        {28, 1, 8},          {28, 1, 15},    {28, 1, 64},         {28, 1, 255},        {29, 1, 0},
        {29, 1, 2},          {29, 1, 255},   {32, 1, 25},         {32, 1, 255},        {33, 1, 0},
        {33, 1, 9},          {33, 1, 255},   {35, 1, 0},          {37, 1, 0},          {36, 1, 32},
        {4, 4, 37},
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(nonsense); i++) {
        begin();
        size_t at = put_framebuffer();
        finish();
        for (u32 b = 0; b < nonsense[i].bytes; b++) {
            mbi.bytes[at + nonsense[i].offset + b] = (u8)(nonsense[i].value >> 8 * b);
        }
        HX_IGNORE(read_all(), "a wrong tag size is another test's");
        if (info.framebuffer.kind != BOOT_PIXEL_NONE || info.framebuffer.width != 0) {
            fail_msg("case %u is believed", i);
        }
    }
    begin();
    size_t at = put_framebuffer();
    finish();
    memset(mbi.bytes + at + 8, 0xff, 8); /* base + size wraps */
    assert_int_equal(read_all(), HX_OK);
    assert_int_equal(info.framebuffer.kind, BOOT_PIXEL_NONE);
}

static void the_old_acpi_root_serves_alone(void **unused)
{
    (void)unused;
    for (int order = 0; order < 3; order++) {
        begin();
        for (int k = 0; k < 2; k++) {
            bool is_new = order == k;
            if (order == 2 && k == 1) {
                break;
            }
            tag_begin(is_new ? 15 : 14);
            for (u8 i = 0; i < (is_new ? 36 : 20); i++) {
                put8(is_new ? 2 : 1);
            }
            tag_end();
        }
        finish();
        assert_int_equal(read_all(), HX_OK);
        assert_int_equal(rsdp_size, order == 2 ? 20 : 36);
        assert_int_equal(rsdp[0], order == 2 ? 1 : 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tag_is_read),
        cmocka_unit_test(cut_anywhere_it_is_corrupt),
        cmocka_unit_test(every_corrupt_tag_size_is_survived),
        cmocka_unit_test(each_byte_may_be_anything),
        cmocka_unit_test(tags_before_the_fault_are_taken),
        cmocka_unit_test(without_an_end_tag_it_is_corrupt),
        cmocka_unit_test(impossible_modules_are_counted),
        cmocka_unit_test(overlapping_modules_are_kept_and_merge_in_the_map),
        cmocka_unit_test(long_strings_are_cut_and_terminated),
        cmocka_unit_test(a_string_without_an_end_stops_at_its_tag),
        cmocka_unit_test(memory_map_entries_of_other_sizes),
        cmocka_unit_test(a_memory_map_entry_that_wraps_is_not_free),
        cmocka_unit_test(nonsense_framebuffers_are_left_out),
        cmocka_unit_test(the_old_acpi_root_serves_alone),
    };
    return cmocka_run_group_tests_name("multiboot2", tests, NULL, NULL);
}
