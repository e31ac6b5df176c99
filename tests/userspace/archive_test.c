/* SPDX-License-Identifier: MIT */
/* archive_next() on whole, cut and corrupted cpio archives. Every archive lies at the end of a heap
 * block of its size. Spec: cpio(5), "New ASCII format".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <userspace/archive.h>

#define FIELD(n) (6 + 8 * (n))

static struct {
    u8 bytes[4096];
    size_t size;
} cpio;

static void entry(const char *name, const char *data)
{
    char header[256];
    size_t name_size = strlen(name) + 1, data_size = strlen(data);
    snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
             1, 0100755, 0, 0, 1, 0, data_size, 0, 0, 0, 0, name_size, 0);
    memcpy(cpio.bytes + cpio.size, header, 110);
    memcpy(cpio.bytes + cpio.size + 110, name, name_size);
    size_t at = (cpio.size + 110 + name_size + 3) & ~(size_t)3;
    memcpy(cpio.bytes + at, data, data_size);
    cpio.size = (at + data_size + 3) & ~(size_t)3;
}

static void good(void)
{
    memset(&cpio, 0, sizeof(cpio));
    entry("bin/true", "program");
    entry("empty", "");
    entry("etc/a longer name", "some text of its own");
    entry("TRAILER!!!", "");
}

/* Reads to the end. Return: the last status; *out_files, the entries before it. */
static enum hx_status read_all(u32 *out_files)
{
    u8 *exact = malloc(cpio.size ? cpio.size : 1);
    assert_non_null(exact);
    memcpy(exact, cpio.bytes, cpio.size);
    size_t cursor = 0, before = 0;
    struct archive_file file;
    enum hx_status status;
    *out_files = 0;
    while ((status = archive_next(exact, cpio.size, &cursor, &file)) == HX_OK) {
        assert_true(cursor > before);
        before = cursor;
        assert_true((const u8 *)file.name >= exact &&
                    (const u8 *)file.name + file.name_size < exact + cpio.size);
        assert_true((const u8 *)file.data >= exact &&
                    (const u8 *)file.data + file.size <= exact + cpio.size);
        (*out_files)++;
    }
    free(exact);
    return status;
}

static void every_entry_is_read(void **state)
{
    (void)state;
    static const char *const names[] = {"bin/true", "empty", "etc/a longer name"};
    static const char *const data[] = {"program", "", "some text of its own"};
    size_t cursor = 0;
    struct archive_file file;
    good();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(archive_next(cpio.bytes, cpio.size, &cursor, &file), HX_OK);
        assert_int_equal(file.name_size, strlen(names[i]));
        assert_memory_equal(file.name, names[i], file.name_size);
        assert_int_equal(file.size, strlen(data[i]));
        assert_memory_equal(file.data, data[i], file.size);
        assert_int_equal(file.mode, 0100755);
    }
    assert_int_equal(archive_next(cpio.bytes, cpio.size, &cursor, &file), HX_ERR_END);
}

static void an_empty_archive_ends_at_once(void **state)
{
    (void)state;
    u32 files;
    memset(&cpio, 0, sizeof(cpio));
    assert_int_equal(read_all(&files), HX_ERR_END);
    assert_int_equal(files, 0);
}

static void cut_anywhere_it_is_corrupt_or_ends(void **state)
{
    (void)state;
    good();
    size_t whole = cpio.size;
    u32 ends = 0;
    for (size_t size = 0; size < whole; size++) {
        u32 files;
        good();
        cpio.size = size;
        enum hx_status status = read_all(&files);
        assert_true(status == HX_ERR_CORRUPT || status == HX_ERR_END);
        ends += status == HX_ERR_END;
        assert_true(files < 4);
    }
    assert_true(ends < 20); /* only at the border of two entries, padding included */
}

static void sizes_beyond_the_archive_are_corrupt(void **state)
{
    (void)state;
    static const u32 fields[] = {6, 11}; /* file size, name size */
    static const char *const values[] = {"ffffffff", "fffffffc", "80000000", "00001000"};
    for (size_t f = 0; f < 2; f++) {
        for (size_t v = 0; v < 4; v++) {
            u32 files;
            good();
            memcpy(cpio.bytes + FIELD(fields[f]), values[v], 8);
            assert_int_equal(read_all(&files), HX_ERR_CORRUPT);
            assert_int_equal(files, 0);
        }
    }
}

static void what_is_no_number_or_no_header_is_corrupt(void **state)
{
    (void)state;
    static const u32 places[] = {0, 4, FIELD(1), FIELD(6) + 7, FIELD(11) + 3};
    for (size_t i = 0; i < 5; i++) {
        u32 files;
        good();
        cpio.bytes[places[i]] = 'g';
        assert_int_equal(read_all(&files), HX_ERR_CORRUPT);
    }
}

static void a_name_without_an_end_is_corrupt(void **state)
{
    (void)state;
    u32 files;
    good();
    cpio.bytes[110 + 8] = 'x';
    assert_int_equal(read_all(&files), HX_ERR_CORRUPT);
    good();
    memcpy(cpio.bytes + FIELD(11), "00000000", 8);
    assert_int_equal(read_all(&files), HX_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_is_read),
        cmocka_unit_test(an_empty_archive_ends_at_once),
        cmocka_unit_test(cut_anywhere_it_is_corrupt_or_ends),
        cmocka_unit_test(sizes_beyond_the_archive_are_corrupt),
        cmocka_unit_test(what_is_no_number_or_no_header_is_corrupt),
        cmocka_unit_test(a_name_without_an_end_is_corrupt),
    };
    return cmocka_run_group_tests_name("archive", tests, NULL, NULL);
}
