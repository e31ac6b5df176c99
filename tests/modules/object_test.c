/* SPDX-License-Identifier: MIT */
/* Module objects: one that is good, and each way in which it may not be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hal/reloc.h>
#include <helix/bits.h>
#include <modules/object.h>
#include <stdlib.h>
#include <string.h>

#define MACHINE_X86_64  62
#define MACHINE_AARCH64 183

void machine_set(u16 machine);

enum { S_NULL, S_MANIFEST, S_MODULE, S_TEXT, S_RELA, S_SYMBOLS, S_STRINGS, S_NAMES, S_COUNT };

struct section {
    u32 name, type;
    u64 flags, address, offset, size;
    u32 link, info;
    u64 align, entry_size;
};

struct symbol {
    u32 name;
    u8 info, other;
    u16 section;
    u64 value, size;
};

struct rela {
    u64 offset, info;
    s64 addend;
};

/* The file, written as a compiler would. */
static struct image {
    u8 header[64];
    struct section sections[S_COUNT];
    struct module_manifest manifest;
    u32 pad;
    u8 module[sizeof(struct module_descriptor)];
    u8 text[32];
    struct rela rela[2];
    struct symbol symbols[3];
    char strings[24];
    char names[72];
} good, bad;

static struct module_plan plan;
static struct module_reason reason;

#define NAMES "\0.hx_manifest\0.hx_module\0.text\0.rela.text\0.symtab\0.strtab\0.shstrtab"

static void section_set(struct image *i, u32 n, const char *name, u32 type, u64 flags,
                        const void *data, u64 size)
{
    struct section *s = &i->sections[n];
    for (u32 at = 0; at < sizeof(i->names); at++) {
        if (strcmp(i->names + at, name) == 0) {
            s->name = at;
            break;
        }
    }
    s->type = type;
    s->flags = flags;
    s->offset = (u64)((const u8 *)data - (const u8 *)i);
    s->size = size;
    s->align = 8;
}

static int setup(void **state)
{
    (void)state;
    struct image *i = &good;
    memset(i, 0, sizeof(*i));
    memcpy(i->header, "\177ELF\2\1\1", 7);
    i->header[16] = 1;
    i->header[18] = MACHINE_X86_64;
    i->header[40] = 64;
    i->header[58] = 64;
    i->header[60] = S_COUNT;
    i->header[62] = S_NAMES;
    memcpy(i->names, NAMES, sizeof(NAMES));
    memcpy(i->strings, "\0start\0outside", 15);
    i->manifest = (struct module_manifest){.magic = MODULE_MAGIC,
                                           .abi = MODULE_ABI,
                                           .size = sizeof(i->manifest),
                                           .name = "unit",
                                           .version = {1, 2, 3}};
    section_set(i, S_MANIFEST, ".hx_manifest", 1, 2, &i->manifest, sizeof(i->manifest));
    section_set(i, S_MODULE, ".hx_module", 1, 2, i->module, sizeof(i->module));
    section_set(i, S_TEXT, ".text", 1, 6, i->text, sizeof(i->text));
    section_set(i, S_RELA, ".rela.text", 4, 0, i->rela, sizeof(i->rela));
    section_set(i, S_SYMBOLS, ".symtab", 2, 0, i->symbols, sizeof(i->symbols));
    section_set(i, S_STRINGS, ".strtab", 3, 0, i->strings, sizeof(i->strings));
    section_set(i, S_NAMES, ".shstrtab", 3, 0, i->names, sizeof(i->names));
    i->sections[S_RELA].link = S_SYMBOLS;
    i->sections[S_RELA].info = S_TEXT;
    i->sections[S_RELA].entry_size = i->sections[S_SYMBOLS].entry_size = 24;
    i->sections[S_SYMBOLS].link = S_STRINGS;
    i->symbols[1] = (struct symbol){.name = 1, .info = 2, .section = S_TEXT, .value = 4};
    i->symbols[2] = (struct symbol){.name = 7, .info = 16};
    i->rela[0] = (struct rela){.offset = 8, .info = 1ull << 32 | 1, .addend = 16};  /* R_64 */
    i->rela[1] = (struct rela){.offset = 20, .info = 2ull << 32 | 4, .addend = -4}; /* PLT32 */
    bad = good;
    machine_set(MACHINE_X86_64);
    return 0;
}

static enum hx_status check(const struct image *i, size_t size)
{
    reason.text[0] = 0;
    /* A copy of exactly this size: what reads past it is found. */
    void *copy = malloc(size + 1);
    memcpy(copy, i, size);
    enum hx_status status = module_object_check(copy, size, MACHINE_X86_64, &plan, &reason);
    free(copy);
    return status;
}

static enum hx_status resolve(void *ctx, const char *name, u32 crc, u64 *out_address)
{
    (void)crc;
    *out_address = *(const u64 *)ctx;
    return strcmp(name, "outside") == 0 ? HX_OK : HX_ERR_NOT_FOUND;
}

static void a_good_object_is_linked(void **state)
{
    (void)state;
    u64 kernel = 0xffffffff80200000ull;
    u8 code[128], constant[1024], data[8];
    struct module_symbol symbols[3];
    struct module_memory memory[PART_COUNT] = {
        {code, 0xffffffffa0001000ull}, {constant, 0xffffffffa0003000ull}, {data, 0}};
    assert_int_equal(module_object_check(&good, sizeof(good), MACHINE_X86_64, &plan, &reason),
                     HX_OK);
    assert_int_equal(plan.undefined, 1);
    assert_true(plan.size[PART_CODE] <= sizeof(code));
    assert_int_equal(module_link(&plan, memory, symbols, resolve, &kernel, &reason), HX_OK);
    assert_true(hx_load_le64(code + 8) == 0xffffffffa0001004ull + 16);
    assert_int_equal((s32)hx_load_le32(code + 20),
                     (s32)(kernel - 4 - (0xffffffffa0001000ull + 20)));
}

static void a_branch_that_does_not_reach_goes_by_a_veneer(void **state)
{
    (void)state;
    u64 kernel = 0x100000000000ull;
    u8 code[128], constant[1024], data[8];
    struct module_symbol symbols[3];
    struct module_memory memory[PART_COUNT] = {
        {code, 0xffffffffa0001000ull}, {constant, 0xffffffffa0003000ull}, {data, 0}};
    assert_int_equal(module_object_check(&good, sizeof(good), MACHINE_X86_64, &plan, &reason),
                     HX_OK);
    assert_int_equal(module_link(&plan, memory, symbols, resolve, &kernel, &reason), HX_OK);
    u64 target = 24 + (u64)(s64)(s32)hx_load_le32(code + 20);
    assert_int_equal(target, plan.veneers);
    assert_int_equal(hx_load_le64(code + plan.veneers + 6), kernel);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < offsetof(struct image, names); size++) {
        assert_int_not_equal(check(&good, size), HX_OK);
    }
}

static void no_byte_makes_it_read_out_of_bounds(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof(bad); at++) {
        for (u32 bit = 0; bit < 8; bit++) {
            ((u8 *)&bad)[at] ^= (u8)(1u << bit);
            HX_IGNORE(check(&bad, sizeof(bad)), "the sanitizer judges");
            ((u8 *)&bad)[at] ^= (u8)(1u << bit);
        }
    }
}

#define REFUSED(change, status, words)                                                             \
    do {                                                                                           \
        bad = good;                                                                                \
        change;                                                                                    \
        assert_int_equal(check(&bad, sizeof(bad)), status);                                        \
        assert_non_null(strstr(reason.text, words));                                               \
    } while (0)

static void each_crime_has_its_reason(void **state)
{
    (void)state;
    REFUSED(bad.header[0] = 0, HX_ERR_INVALID, "not an ELF");
    REFUSED(bad.header[16] = 2, HX_ERR_INVALID, "not a relocatable");
    REFUSED(bad.header[18] = MACHINE_AARCH64, HX_ERR_INVALID, "another processor");
    REFUSED(bad.header[60] = 200, HX_ERR_CORRUPT, "sections");
    REFUSED(bad.header[41] = 0xff, HX_ERR_CORRUPT, "section table");
    REFUSED(bad.sections[S_TEXT].flags = 7, HX_ERR_NOT_SUPPORTED, "writable and executable");
    REFUSED(bad.sections[S_TEXT].flags = 0x406, HX_ERR_NOT_SUPPORTED, "thread-local");
    REFUSED(bad.sections[S_TEXT].align = 3, HX_ERR_CORRUPT, "aligned");
    REFUSED(bad.sections[S_TEXT].align = 1u << 20, HX_ERR_CORRUPT, "aligned");
    REFUSED(bad.sections[S_TEXT].size = 1u << 20, HX_ERR_CORRUPT, "beyond the file");
    REFUSED(bad.sections[S_TEXT].offset = ~0ull, HX_ERR_CORRUPT, "beyond the file");
    REFUSED(bad.sections[S_TEXT].offset = bad.sections[S_MODULE].offset, HX_ERR_CORRUPT, "overlap");
    REFUSED(bad.sections[S_TEXT].type = 14, HX_ERR_NOT_SUPPORTED, "type 14");
    REFUSED(bad.sections[S_RELA].type = 9, HX_ERR_CORRUPT, "make no sense");
    REFUSED(bad.sections[S_RELA].info = S_MANIFEST, HX_ERR_CORRUPT, "make no sense");
    REFUSED(bad.sections[S_RELA].size = 25, HX_ERR_CORRUPT, "make no sense");
    REFUSED(bad.sections[S_SYMBOLS].type = 1, HX_ERR_CORRUPT, "no symbol table");
    REFUSED(bad.sections[S_SYMBOLS].link = 99, HX_ERR_CORRUPT, "symbol table");
    REFUSED(bad.sections[S_STRINGS].size = 10, HX_ERR_CORRUPT, "names do not end");
    REFUSED(bad.symbols[1].section = 77, HX_ERR_CORRUPT, "not there");
    REFUSED(bad.symbols[1].value = 33, HX_ERR_CORRUPT, "outside its section");
    REFUSED(bad.symbols[1].name = 24, HX_ERR_CORRUPT, "name outside");
    REFUSED(bad.symbols[1].info = 6, HX_ERR_NOT_SUPPORTED, "thread-local");
    REFUSED(bad.symbols[1].info = 10, HX_ERR_NOT_SUPPORTED, "chosen at run time");
    REFUSED(bad.symbols[2].info = 0, HX_ERR_CORRUPT, "neither here nor named");
    REFUSED(bad.rela[0].info = 1ull << 32 | 5, HX_ERR_NOT_SUPPORTED, "type 5 is unknown");
    REFUSED(bad.rela[0].info = 3ull << 32 | 1, HX_ERR_CORRUPT, "symbol 3 of 3");
    REFUSED(bad.rela[0].offset = 25, HX_ERR_CORRUPT, "outside its section");
    REFUSED(bad.rela[0].offset = ~0ull, HX_ERR_CORRUPT, "outside its section");
    REFUSED(bad.manifest.magic++, HX_ERR_INVALID, "not one");
    REFUSED(bad.manifest.abi++, HX_ERR_ABI, "manifest of version 2");
    REFUSED(bad.manifest.name[0] = 'A', HX_ERR_INVALID, "plain text");
    REFUSED(memset(bad.manifest.name, 'a', MODULE_NAME_MAX), HX_ERR_INVALID, "plain text");
    REFUSED(bad.manifest.capabilities = 1u << 31, HX_ERR_INVALID, "unknown");
    REFUSED(bad.manifest.provides[1].name[0] = '\n', HX_ERR_INVALID, "no proper name");
    REFUSED(bad.sections[S_MANIFEST].size--, HX_ERR_INVALID, "no manifest");
    REFUSED(bad.sections[S_MODULE].size--, HX_ERR_INVALID, "no descriptor");
}

/* Each field at the ends of its range, and one beyond. */
static void fields_hold_what_fits_and_nothing_else(void **state)
{
    (void)state;
    u8 place[8];
    machine_set(MACHINE_X86_64);
    assert_int_equal(hal_reloc_apply(10, place, 0, 0xffffffff, 0), HX_OK);
    assert_int_equal(hal_reloc_apply(10, place, 0, 0x100000000, 0), HX_ERR_OVERFLOW);
    assert_int_equal(hal_reloc_apply(11, place, 0, 0xffffffff80000000, 0), HX_OK);
    assert_int_equal(hal_reloc_apply(11, place, 0, 0x80000000, 0), HX_ERR_OVERFLOW);
    assert_int_equal(hal_reloc_apply(2, place, 0x1000, 0x80000fff, 0), HX_OK);
    assert_int_equal(hal_reloc_apply(2, place, 0x1000, 0x80001000, 0), HX_ERR_OVERFLOW);
    assert_int_equal(hal_reloc_apply(99, place, 0, 0, 0), HX_ERR_NOT_SUPPORTED);
    machine_set(MACHINE_AARCH64);
    const u64 va = 0x40000000;
    const struct {
        u32 type;
        s64 low, high, step;
    } ranges[] = {
        {283, -(1 << 27), (1 << 27) - 4, 4},    {280, -(1 << 20), (1 << 20) - 4, 4},
        {279, -(1 << 15), (1 << 15) - 4, 4},    {273, -(1 << 20), (1 << 20) - 4, 4},
        {274, -(1 << 20), (1 << 20) - 1, 1},    {275, -(1ll << 32), (1ll << 32) - 4096, 4096},
        {261, -(1ll << 31), (1ll << 31) - 1, 1}};
    for (u32 i = 0; i < HX_ARRAY_SIZE(ranges); i++) {
        u32 type = ranges[i].type;
        assert_int_equal(hal_reloc_apply(type, place, va, va, ranges[i].low), HX_OK);
        assert_int_equal(hal_reloc_apply(type, place, va, va, ranges[i].high), HX_OK);
        assert_int_equal(hal_reloc_apply(type, place, va, va, ranges[i].low - ranges[i].step),
                         HX_ERR_OVERFLOW);
        assert_int_equal(hal_reloc_apply(type, place, va, va, ranges[i].high + ranges[i].step),
                         HX_ERR_OVERFLOW);
    }
    assert_int_equal(hal_reloc_apply(283, place, va, va, 2), HX_ERR_OVERFLOW); /* not aligned */
    assert_int_equal(hal_reloc_apply(286, place, va, 0x1004, 0), HX_ERR_OVERFLOW);
    assert_int_equal(hal_reloc_apply(281, place, va, va, 0), HX_ERR_NOT_SUPPORTED);
    machine_set(MACHINE_X86_64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_good_object_is_linked, setup),
        cmocka_unit_test_setup(a_branch_that_does_not_reach_goes_by_a_veneer, setup),
        cmocka_unit_test_setup(every_prefix_is_refused, setup),
        cmocka_unit_test_setup(no_byte_makes_it_read_out_of_bounds, setup),
        cmocka_unit_test_setup(each_crime_has_its_reason, setup),
        cmocka_unit_test_setup(fields_hold_what_fits_and_nothing_else, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
