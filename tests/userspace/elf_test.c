/* SPDX-License-Identifier: MIT */
/* elf_check() on good, truncated, overlapping and huge programs: each is refused with its reason.
 * Every image lies at the end of a heap block of its size, so that the address sanitizer sees the
 * first byte read beyond it. Spec: System V gABI, chapters 4 and 5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <hal/layout.h>
#include <userspace/elf.h>

#define MACHINE    62
#define PHDRS_AT   64
#define PHDR_SIZE  56
#define IMAGE_SIZE 16384
#define PF_X       1u
#define PF_W       2u
#define PF_R       4u

static struct {
    u8 bytes[IMAGE_SIZE];
    size_t size;
} image;

static void put(size_t at, u64 value, u32 bytes)
{
    for (u32 i = 0; i < bytes; i++) {
        image.bytes[at + i] = (u8)(value >> 8 * i);
    }
}

static void phdr(u32 index, u32 type, u32 flags, u64 offset, u64 va, u64 file_size, u64 memory_size)
{
    size_t at = PHDRS_AT + (size_t)index * PHDR_SIZE;
    put(at, type, 4);
    put(at + 4, flags, 4);
    put(at + 8, offset, 8);
    put(at + 16, va, 8);
    put(at + 24, va, 8);
    put(at + 32, file_size, 8);
    put(at + 40, memory_size, 8);
    put(at + 48, 4096, 8);
}

/* A program of two segments: code at 0x400000, data with a zeroed tail at 0x402000. */
static void good(void)
{
    static const u8 ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    memset(&image, 0, sizeof(image));
    image.size = IMAGE_SIZE;
    memcpy(image.bytes, ident, sizeof(ident));
    put(16, 2, 2);
    put(18, MACHINE, 2);
    put(20, 1, 4);
    put(24, 0x400100, 8);
    put(32, PHDRS_AT, 8);
    put(52, 64, 2);
    put(54, PHDR_SIZE, 2);
    put(56, 2, 2);
    phdr(0, 1, PF_R | PF_X, 0, 0x400000, 0x1200, 0x1200);
    phdr(1, 1, PF_R | PF_W, 0x2010, 0x402010, 0x100, 0x3000);
}

static enum hx_status check(struct elf_plan *plan, const char **reason)
{
    u8 *exact = malloc(image.size ? image.size : 1);
    assert_non_null(exact);
    memcpy(exact, image.bytes, image.size);
    memset(plan, 0x5a, sizeof(*plan));
    *reason = NULL;
    enum hx_status status = elf_check(exact, image.size, MACHINE, plan, reason);
    free(exact);
    return status;
}

static void refused(enum hx_status want, const char *words)
{
    struct elf_plan plan;
    const char *reason;
    assert_int_equal(check(&plan, &reason), want);
    assert_non_null(reason);
    assert_non_null(strstr(reason, words));
    assert_int_equal(plan.count, 0x5a5a5a5a); /* untouched */
}

static void a_good_program_is_planned(void **state)
{
    (void)state;
    struct elf_plan plan;
    const char *reason;
    good();
    assert_int_equal(check(&plan, &reason), HX_OK);
    assert_int_equal(plan.count, 2);
    assert_int_equal(plan.entry, 0x400100);
    assert_int_equal(plan.segments[0].base, 0x400000);
    assert_int_equal(plan.segments[0].size, 0x2000);
    assert_int_equal(plan.segments[0].file_offset, 0);
    assert_int_equal(plan.segments[0].file_size, 0x1200);
    assert_true(plan.segments[0].execute && !plan.segments[0].write);
    assert_int_equal(plan.segments[1].base, 0x402000);
    assert_int_equal(plan.segments[1].size, 0x4000);
    assert_int_equal(plan.segments[1].file_offset, 0x2000);
    assert_int_equal(plan.segments[1].file_size, 0x110);
    assert_true(!plan.segments[1].execute && plan.segments[1].write);
}

static void another_format_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        u64 value;
        u32 bytes;
        const char *words;
    } cases[] = {
        {0, 'X', 1, "not an ELF file"},    {4, 1, 1, "64-bit"},
        {5, 2, 1, "little-endian"},        {6, 0, 1, "ELF"},
        {18, 183, 2, "another processor"}, {16, 3, 2, "static executable"},
        {16, 1, 2, "static executable"},
    };
    for (size_t i = 0; i < HX_ARRAY_SIZE(cases); i++) {
        good();
        put(cases[i].at, cases[i].value, cases[i].bytes);
        refused(HX_ERR_INVALID, cases[i].words);
    }
    good();
    phdr(1, 3, PF_R, 0, 0x403000, 16, 16);
    refused(HX_ERR_INVALID, "dynamic linker");
}

static void cut_anywhere_it_is_refused(void **state)
{
    (void)state;
    struct elf_plan plan;
    const char *reason;
    for (size_t size = 0; size < 0x2110; size++) {
        good();
        image.size = size;
        assert_int_not_equal(check(&plan, &reason), HX_OK);
        assert_non_null(reason);
    }
    good();
    image.size = 0x2110; /* all that is used */
    assert_int_equal(check(&plan, &reason), HX_OK);
}

static void program_headers_outside_the_file_are_refused(void **state)
{
    (void)state;
    static const u64 places[] = {IMAGE_SIZE, IMAGE_SIZE - 1, UINT64_MAX, UINT64_MAX - 63,
                                 1ull << 63};
    for (size_t i = 0; i < HX_ARRAY_SIZE(places); i++) {
        good();
        put(32, places[i], 8);
        refused(HX_ERR_CORRUPT, "program headers");
    }
    good();
    put(56, 0xffff, 2);
    refused(HX_ERR_CORRUPT, "program headers");
    good();
    put(54, 32, 2);
    refused(HX_ERR_CORRUPT, "program headers");
}

static void segments_that_contradict_themselves_are_refused(void **state)
{
    (void)state;
    good();
    phdr(1, 1, PF_R | PF_W, 0x2010, 0x402010, 0x101, 0x100);
    refused(HX_ERR_CORRUPT, "larger in the file");
    good();
    phdr(1, 1, PF_R | PF_W, UINT64_MAX - 15, 0x402ff0, 0x100, 0x100);
    refused(HX_ERR_CORRUPT, "beyond the file");
    good();
    phdr(1, 1, PF_R | PF_W, 0x2010, 0x402020, 0x100, 0x100);
    refused(HX_ERR_CORRUPT, "aligned");
    good();
    phdr(1, 1, PF_R | PF_W | PF_X, 0x2010, 0x402010, 0x100, 0x100);
    refused(HX_ERR_CORRUPT, "writable and executable");
}

static void segments_outside_user_memory_are_refused(void **state)
{
    (void)state;
    static const struct {
        u64 va, size;
    } places[] = {
        {0, 0x1000},
        {0x10, 0x1000},
        {USER_SPACE_END, 0x1000},
        {USER_SPACE_END - 0x1000, 0x1000},
        {KERNEL_IMAGE_BASE, 0x1000},
        {UINT64_MAX - 0xfff, 0x1000},
        {0x402000, UINT64_MAX},
        {0x402000, UINT64_MAX - 0x402000 + 1},
        {0x402000, HX_GIB(1) + 1}, /* huge */
        {0x402000, 1ull << 46},
    };
    for (size_t i = 0; i < HX_ARRAY_SIZE(places); i++) {
        good();
        phdr(1, 1, PF_R | PF_W, 0, places[i].va, 0, places[i].size);
        refused(HX_ERR_CORRUPT, "outside user memory");
    }
}

static void overlapping_segments_are_refused(void **state)
{
    (void)state;
    static const u64 places[] = {0x400000, 0x401000, 0x401fff, 0x3ff000};
    for (size_t i = 0; i < HX_ARRAY_SIZE(places); i++) {
        good();
        phdr(1, 1, PF_R | PF_W, 0, places[i], 0, 0x2000);
        refused(HX_ERR_CORRUPT, "overlap");
    }
}

static void too_many_segments_are_refused(void **state)
{
    (void)state;
    struct elf_plan plan;
    const char *reason;
    good();
    for (u32 i = 1; i <= ELF_SEGMENTS_MAX; i++) {
        phdr(i, 1, PF_R, 0, 0x400000 + i * 0x10000, 0, 0x1000);
    }
    put(56, ELF_SEGMENTS_MAX, 2);
    assert_int_equal(check(&plan, &reason), HX_OK);
    assert_int_equal(plan.count, ELF_SEGMENTS_MAX);
    put(56, ELF_SEGMENTS_MAX + 1, 2);
    refused(HX_ERR_NO_SPACE, "too many");
}

static void an_entry_outside_code_is_refused(void **state)
{
    (void)state;
    static const u64 entries[] = {0, 0x3fffff, 0x402010, 0x402000, UINT64_MAX};
    for (size_t i = 0; i < HX_ARRAY_SIZE(entries); i++) {
        good();
        put(24, entries[i], 8);
        refused(HX_ERR_CORRUPT, "entry point");
    }
    good();
    put(56, 0, 2);
    refused(HX_ERR_CORRUPT, "entry point");
}

static void empty_segments_and_unknown_types_are_passed_over(void **state)
{
    (void)state;
    struct elf_plan plan;
    const char *reason;
    good();
    phdr(1, 0x6474e551, PF_R | PF_W | PF_X, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    phdr(2, 1, PF_R | PF_W | PF_X, UINT64_MAX, UINT64_MAX, 0, 0);
    put(56, 3, 2);
    assert_int_equal(check(&plan, &reason), HX_OK);
    assert_int_equal(plan.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_program_is_planned),
        cmocka_unit_test(another_format_is_refused),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(program_headers_outside_the_file_are_refused),
        cmocka_unit_test(segments_that_contradict_themselves_are_refused),
        cmocka_unit_test(segments_outside_user_memory_are_refused),
        cmocka_unit_test(overlapping_segments_are_refused),
        cmocka_unit_test(too_many_segments_are_refused),
        cmocka_unit_test(an_entry_outside_code_is_refused),
        cmocka_unit_test(empty_segments_and_unknown_types_are_passed_over),
    };
    return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
