/* SPDX-License-Identifier: MIT */
/* fs/block/gpt.c: tables that are whole, torn, and lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fs/gpt.h>

#define BLOCKS 2048u
#define BYTES  512u

static u8 disk[BLOCKS * BYTES];
static u8 scratch[GPT_SCRATCH];
static struct gpt gpt;
static u32 fail_at; /* the n-th read fails */

static enum hx_status read_blocks(void *ctx, u64 block, u32 count, void *buffer)
{
    (void)ctx;
    assert_true(block < BLOCKS && count <= BLOCKS - block && count * BYTES <= GPT_SCRATCH);
    if (fail_at && --fail_at == 0) {
        return HX_ERR_IO;
    }
    memcpy(buffer, disk + block * BYTES, (size_t)count * BYTES);
    return HX_OK;
}

static u32 crc(const u8 *bytes, size_t size)
{
    u32 value = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        value ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            value = value >> 1 ^ (0xedb88320u & -(value & 1));
        }
    }
    return ~value;
}

static void put32(u8 *at, u32 value)
{
    memcpy(at, &value, 4);
}

static void put64(u8 *at, u64 value)
{
    memcpy(at, &value, 8);
}

static u8 *header(bool backup)
{
    return disk + (backup ? BLOCKS - 1 : 1) * BYTES;
}

static u8 *entries(bool backup)
{
    return disk + (backup ? BLOCKS - 33 : 2) * BYTES;
}

static void sign(bool backup)
{
    u8 *h = header(backup);
    put32(h + 88, crc(entries(backup), 128 * 128));
    put32(h + 16, 0);
    put32(h + 16, crc(h, 92));
}

static void partition(u32 index, u64 first, u64 last)
{
    for (int backup = 0; backup < 2; backup++) {
        u8 *entry = entries(backup) + index * 128;
        memset(entry, 0x11, 32);
        put64(entry + 32, first);
        put64(entry + 40, last);
        memcpy(entry + 56, u"data", 10);
        sign(backup);
    }
}

static void build(void)
{
    memset(disk, 0, sizeof(disk));
    fail_at = 0;
    for (int backup = 0; backup < 2; backup++) {
        u8 *h = header(backup);
        memcpy(h, "EFI PART", 8);
        put32(h + 8, 0x10000);
        put32(h + 12, 92);
        put64(h + 24, backup ? BLOCKS - 1 : 1);
        put64(h + 32, backup ? 1 : BLOCKS - 1);
        put64(h + 40, 34);
        put64(h + 48, BLOCKS - 34);
        put64(h + 72, backup ? BLOCKS - 33 : 2);
        put32(h + 80, 128);
        put32(h + 84, 128);
        sign(backup);
    }
    partition(0, 100, 199);
    partition(5, 200, 200);
}

static enum hx_status parse(void)
{
    return gpt_parse(read_blocks, NULL, BLOCKS, BYTES, scratch, &gpt);
}

static void whole_table_is_read(void **state)
{
    (void)state;
    build();
    assert_int_equal(parse(), HX_OK);
    assert_int_equal(gpt.count, 2);
    assert_int_equal(gpt.partitions[1].first, 200);
    assert_int_equal(gpt.partitions[1].blocks, 1);
    assert_int_equal(gpt.partitions[1].number, 6);
    assert_string_equal(gpt.partitions[0].label, "data");
    assert_false(gpt.from_backup);
}

static void no_table_is_no_error(void **state)
{
    (void)state;
    memset(disk, 0, sizeof(disk));
    assert_int_equal(parse(), HX_ERR_NOT_FOUND);
    assert_int_equal(gpt_parse(read_blocks, NULL, 2, BYTES, scratch, &gpt), HX_ERR_NOT_FOUND);
    assert_int_equal(gpt_parse(read_blocks, NULL, BLOCKS, 511, scratch, &gpt), HX_ERR_NOT_FOUND);
    assert_int_equal(gpt_parse(read_blocks, NULL, BLOCKS, 8192, scratch, &gpt), HX_ERR_NOT_FOUND);
}

/* Every byte of the first header, its reserved rest apart, and every byte of the first entry. */
static void any_changed_byte_sends_to_the_backup(void **state)
{
    (void)state;
    for (u32 i = 0; i < 92 + 128; i++) {
        build();
        (i < 92 ? header(false) + i : entries(false) + i - 92)[0] ^= 0x40;
        assert_int_equal(parse(), HX_OK);
        assert_true(gpt.from_backup);
        assert_non_null(gpt.problem);
        assert_int_equal(gpt.count, 2);
    }
}

static void both_torn_is_corrupt(void **state)
{
    (void)state;
    build();
    header(false)[50] ^= 1;
    header(true)[50] ^= 1;
    assert_int_equal(parse(), HX_ERR_CORRUPT);
    assert_int_equal(gpt.count, 0);
    assert_string_equal(gpt.problem, "wrong checksum of the header");
}

static void expect_lie(const char *problem)
{
    assert_int_equal(parse(), HX_ERR_CORRUPT);
    assert_string_equal(gpt.problem, problem);
    assert_int_equal(gpt.count, 0);
}

static void lie32(u32 offset, u32 value)
{
    build();
    for (int backup = 0; backup < 2; backup++) {
        put32(header(backup) + offset, value);
        put32(header(backup) + 16, 0);
        put32(header(backup) + 16, crc(header(backup), 92));
    }
}

static void lie64(u32 offset, u64 value)
{
    build();
    for (int backup = 0; backup < 2; backup++) {
        put64(header(backup) + offset, value);
        put32(header(backup) + 16, 0);
        put32(header(backup) + 16, crc(header(backup), 92));
    }
}

static void consistent_lies_are_found(void **state)
{
    (void)state;
    lie32(12, 91);
    expect_lie("unknown revision or size of the header");
    lie32(12, 0xfffffff0u);
    expect_lie("unknown revision or size of the header");
    lie64(24, 7);
    expect_lie("the header says that it lies elsewhere");
    lie64(48, UINT64_MAX);
    expect_lie("the usable blocks are not on the device");
    lie64(40, 0);
    expect_lie("the usable blocks are not on the device");
    lie32(80, 0);
    expect_lie("more or larger entries than are read here");
    lie32(80, 129);
    expect_lie("more or larger entries than are read here");
    lie32(80, 0x02000000u); /* times 128: 2 to the 32nd */
    expect_lie("more or larger entries than are read here");
    lie32(84, 96);
    expect_lie("more or larger entries than are read here");
    lie64(72, BLOCKS - 1);
    expect_lie("the entries are not on the device, or among the partitions");
    lie64(72, UINT64_MAX - 3);
    expect_lie("the entries are not on the device, or among the partitions");
    lie64(72, 100);
    expect_lie("the entries are not on the device, or among the partitions");
    build();
    partition(1, 150, 300);
    expect_lie("partitions overlap");
    build();
    partition(1, 1900, UINT64_MAX);
    expect_lie("a partition reaches out of what is usable");
    build();
    partition(1, 400, 300);
    expect_lie("a partition reaches out of what is usable");
}

static void labels_are_text_whatever_they_hold(void **state)
{
    static const u16 name[36] = {0x1b, 0xd800, 0x7f, 'a', 0xe9, 0x20ac};
    (void)state;
    build();
    for (int backup = 0; backup < 2; backup++) {
        memcpy(entries(backup) + 56, name, sizeof(name));
        sign(backup);
    }
    assert_int_equal(parse(), HX_OK);
    assert_string_equal(gpt.partitions[0].label, "???a\xc3\xa9\xe2\x82\xac");
    build();
    for (int backup = 0; backup < 2; backup++) {
        memset(entries(backup) + 56, 0x20, 72);
        sign(backup);
    }
    assert_int_equal(parse(), HX_OK);
    assert_true(strlen(gpt.partitions[0].label) < GPT_LABEL_MAX);
}

static void reads_that_fail_are_said(void **state)
{
    (void)state;
    build();
    fail_at = 1;
    assert_int_equal(parse(), HX_OK);
    assert_true(gpt.from_backup);
    header(true)[0] = 0;
    fail_at = 2;
    assert_int_equal(parse(), HX_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_table_is_read),
        cmocka_unit_test(no_table_is_no_error),
        cmocka_unit_test(any_changed_byte_sends_to_the_backup),
        cmocka_unit_test(both_torn_is_corrupt),
        cmocka_unit_test(consistent_lies_are_found),
        cmocka_unit_test(labels_are_text_whatever_they_hold),
        cmocka_unit_test(reads_that_fail_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
