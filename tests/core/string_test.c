/* SPDX-License-Identifier: MIT */
/* core/lib/string.c against this machine's C library. It is compiled with the standard names
 * prefixed by helix_, so that both are there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <helix/string.h>

#define SIZE 160 /* more than three rounds of the 32-byte loops, and every remainder */

void *helix_memcpy(void *restrict dst, const void *restrict src, size_t n);
void *helix_memmove(void *dst, const void *src, size_t n);
void *helix_memset(void *dst, int value, size_t n);
int helix_memcmp(const void *a, const void *b, size_t n);
void *helix_memchr(const void *s, int c, size_t n);
size_t helix_strlen(const char *s);
size_t helix_strnlen(const char *s, size_t max);
int helix_strcmp(const char *a, const char *b);
int helix_strncmp(const char *a, const char *b, size_t n);
char *helix_strchr(const char *s, int c);
char *helix_strrchr(const char *s, int c);

static u64 state = 0x9e3779b97f4a7c15;

static u32 random_below(u32 limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (u32)(state >> 32) % limit;
}

static void fill(u8 *at, size_t n, u32 alphabet)
{
    for (size_t i = 0; i < n; i++) {
        at[i] = (u8)random_below(alphabet);
    }
}

static int sign(int v)
{
    return v < 0 ? -1 : v > 0;
}

/* Every length and every offset from alignment, with guards on both sides. */
static void copy_and_set_touch_exactly_their_bytes(void **unused)
{
    (void)unused;
    u8 src[SIZE + 16], is[SIZE + 32], want[SIZE + 32];
    for (u32 n = 0; n <= SIZE; n++) {
        for (u32 offset = 0; offset < 8; offset++) {
            fill(src, sizeof(src), 256);
            fill(is, sizeof(is), 256);
            memcpy(want, is, sizeof(is));
            memcpy(want + offset, src + 7 - offset, n);
            assert_ptr_equal(helix_memcpy(is + offset, src + 7 - offset, n), is + offset);
            assert_memory_equal(is, want, sizeof(is));
            memset(want + offset, (int)(n + 0x100), n);
            assert_ptr_equal(helix_memset(is + offset, (int)(n + 0x100), n), is + offset);
            assert_memory_equal(is, want, sizeof(is));
        }
    }
}

static void move_is_right_for_every_overlap(void **unused)
{
    (void)unused;
    u8 is[3 * SIZE], want[3 * SIZE];
    for (u32 n = 0; n <= SIZE; n += n < 40 ? 1 : 7) {
        for (u32 from = 0; from <= 2 * SIZE; from += from < 50 ? 1 : 9) {
            fill(is, sizeof(is), 256);
            memcpy(want, is, sizeof(is));
            memmove(want + SIZE / 2, want + from, n);
            assert_ptr_equal(helix_memmove(is + SIZE / 2, is + from, n), is + SIZE / 2);
            assert_memory_equal(is, want, sizeof(is));
        }
    }
}

static void memory_compares_and_finds(void **unused)
{
    (void)unused;
    u8 a[SIZE], b[SIZE];
    for (u32 i = 0; i < 20000; i++) {
        u32 n = random_below(SIZE);
        fill(a, n, 2 + random_below(254));
        memcpy(b, a, n);
        if (n && random_below(3)) {
            b[random_below(n)] = (u8)random_below(256);
        }
        assert_int_equal(sign(helix_memcmp(a, b, n)), sign(memcmp(a, b, n)));
        int c = (int)random_below(256) - 128;
        assert_ptr_equal(helix_memchr(a, c, n), memchr(a, c, n));
    }
}

static void strings_compare_and_find(void **unused)
{
    (void)unused;
    char a[SIZE], b[SIZE];
    for (u32 i = 0; i < 20000; i++) {
        u32 n = random_below(24), m = random_below(30);
        fill((u8 *)a, n, 1 + random_below(255)); /* zeros in it end it early */
        a[n] = '\0';
        memcpy(b, a, n + 1);
        if (n && random_below(3)) {
            b[random_below(n)] = (char)random_below(256);
        }
        assert_int_equal(helix_strlen(a), strlen(a));
        assert_int_equal(helix_strnlen(a, m), strnlen(a, m));
        assert_int_equal(sign(helix_strcmp(a, b)), sign(strcmp(a, b)));
        assert_int_equal(sign(helix_strncmp(a, b, m)), sign(strncmp(a, b, m)));
        int c = (int)random_below(256) - 128;
        assert_ptr_equal(helix_strchr(a, c), strchr(a, c));
        assert_ptr_equal(helix_strrchr(a, c), strrchr(a, c));
        assert_ptr_equal(helix_strrchr(a, 0), a + strlen(a));
    }
    assert_int_equal(helix_strnlen("abc", 0), 0);
}

static void str_copy_always_terminates(void **unused)
{
    (void)unused;
    char dst[8];
    memset(dst, 'x', sizeof(dst));
    assert_true(str_copy(dst, "1234567", 8));
    assert_string_equal(dst, "1234567");
    assert_false(str_copy(dst, "12345678", 8));
    assert_string_equal(dst, "1234567");
    assert_true(str_copy(dst, "", 1));
    assert_string_equal(dst, "");
    assert_false(str_copy(dst, "a", 1));
    assert_string_equal(dst, "");
    assert_int_equal(dst[1], '2'); /* nothing beyond */
    assert_true(str_has_prefix("abc", "ab") && str_has_prefix("abc", ""));
    assert_false(str_has_prefix("ab", "abc"));
    assert_true(str_equal("a", "a") && !str_equal("a", "b") && !str_equal("a", "ab"));
}

static void numbers_are_parsed_whole_or_not_at_all(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        bool good;
        u64 value;
    } cases[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"00012", true, 12},
        {"0x0", true, 0},
        {"0xfF", true, 255},
        {"0X10", true, 16},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"0xffffffffffffffff", true, UINT64_MAX},
        {"0x10000000000000000", false, 0},
        {"", false, 0},
        {"0x", false, 0},
        {"a", false, 0},
        {"1a", false, 0},
        {"1 ", false, 0},
        {" 1", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {"0xg", false, 0},
        {"1.0", false, 0},
        {"0x@", false, 0},
        {"0x`", false, 0},
        {"\x11", false, 0},
        {"\x10", false, 0},
        {"0x1\x19", false, 0},
    };
    for (size_t i = 0; i < HX_ARRAY_SIZE(cases); i++) {
        u64 value = 77;
        if (str_to_u64(cases[i].text, &value) != cases[i].good ||
            value != (cases[i].good ? cases[i].value : 77)) {
            fail_msg("\"%s\" gives %lu", cases[i].text, value);
        }
    }
}

/* The definition, in its slowest form. */
static bool glob_oracle(const char *pattern, const char *s)
{
    if (*pattern == '*') {
        return glob_oracle(pattern + 1, s) || (*s && glob_oracle(pattern, s + 1));
    }
    if (!*pattern || !*s) {
        return *pattern == *s;
    }
    return (*pattern == '?' || *pattern == *s) && glob_oracle(pattern + 1, s + 1);
}

static void globs_agree_with_the_definition(void **unused)
{
    (void)unused;
    u32 matched = 0;
    for (u32 i = 0; i < 200000; i++) {
        char pattern[8], s[10];
        u32 n = random_below(8), m = random_below(10);
        for (u32 k = 0; k < n; k++) {
            pattern[k] = "ab*?"[random_below(4)];
        }
        for (u32 k = 0; k < m; k++) {
            s[k] = "ab"[random_below(2)];
        }
        pattern[n] = s[m] = '\0';
        bool want = glob_oracle(pattern, s);
        matched += want;
        if (str_glob_match(pattern, s) != want) {
            fail_msg("\"%s\" on \"%s\"", pattern, s);
        }
    }
    assert_true(matched > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_and_set_touch_exactly_their_bytes),
        cmocka_unit_test(move_is_right_for_every_overlap),
        cmocka_unit_test(memory_compares_and_finds),
        cmocka_unit_test(strings_compare_and_find),
        cmocka_unit_test(str_copy_always_terminates),
        cmocka_unit_test(numbers_are_parsed_whole_or_not_at_all),
        cmocka_unit_test(globs_agree_with_the_definition),
    };
    return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
