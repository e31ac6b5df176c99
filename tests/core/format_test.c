/* SPDX-License-Identifier: MIT */
/* core/lib/format.c against this machine's snprintf: a table, and every combination of flags,
 * width, precision, length and conversion over numbers of every magnitude.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <helix/format.h>
#include <helix/string.h>

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-security"

#define TEXT_MAX 512

/* Through a pointer, so that the compiler neither folds nor judges the formats. */
static size_t (*volatile format)(char *, size_t, const char *, ...) = format_buffer;
static int (*volatile reference)(char *, size_t, const char *, ...) = snprintf;

#define CHECK(...)                                                                                 \
    do {                                                                                           \
        char is_[TEXT_MAX], want_[TEXT_MAX];                                                       \
        memset(is_, 'x', sizeof(is_));                                                             \
        size_t n_ = format(is_, sizeof(is_), __VA_ARGS__);                                         \
        int m_ = reference(want_, sizeof(want_), __VA_ARGS__);                                     \
        assert_int_equal(n_, m_);                                                                  \
        assert_memory_equal(is_, want_, n_ + 1);                                                   \
    } while (0)

static u64 state = 0x9e3779b97f4a7c15;

static u64 random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void table(void **unused)
{
    (void)unused;
    int here = 0;
    CHECK("");
    CHECK("plain text, 100%%");
    CHECK("%d %i %u %x %X %o", 1, -2, 3u, 0xabcu, 0xabcu, 8u);
    CHECK("%d %d", INT32_MIN, INT32_MAX);
    CHECK("%ld %ld %lu", INT64_MIN, INT64_MAX, UINT64_MAX);
    CHECK("%lld %llu %zu %jd %td", INT64_MIN, UINT64_MAX, SIZE_MAX, INTMAX_MIN, (ptrdiff_t)-5);
    CHECK("%hhd %hhu %hd %hu", 0x1ff, 0x1ff, 0x1ffff, 0x1ffff);
    CHECK("%s|%10s|%-10s|%.2s|%10.2s|%-10.2s|", "abc", "abc", "abc", "abc", "abc", "abc");
    CHECK("%.0s|%s|%5s|", "abc", "", "");
    CHECK("%.3s", "abcdef");
    CHECK("%c%c|%5c|%-5c|", 'a', 'b', 'c', 'd');
    CHECK("%c|%3c|%-3c|", 0, 0, 0);
    CHECK("%p", &here);
    CHECK("%20p|%-20p|", &here, &here);
    CHECK("%*d|%-*d|%*d|", 8, 1, 8, 2, -8, 3);
    CHECK("%.*d|%.*s|%.*d|%.*s|", 4, 1, 2, "abc", -4, 1, -2, "abc");
    CHECK("%*.*d", 10, 5, -42);
    CHECK("%#x %#X %#o %#x %#o", 255u, 255u, 8u, 0u, 0u);
    CHECK("%#.5o|%#.2o|%#.0o|%#5.1o|", 8u, 8u, 0u, 7u);
    CHECK("%+d %+d % d % d %+ d", 1, -1, 1, -1, 1);
    CHECK("%05d|%-05d|%+05d|%05d|%05.2d|", 42, 42, 42, -42, 42);
    CHECK("%.0d|%.0u|%.0x|%.d|%5.0d|%+.0d|", 0, 0u, 0u, 0, 0, 0);
    CHECK("%300d|", 1);
    CHECK("%.300d|", 2);
}

static void what_c_leaves_open(void **unused)
{
    (void)unused;
    char is[64];
    assert_int_equal(format(is, sizeof(is), "%s", NULL), 6);
    assert_string_equal(is, "(null)");
    format(is, sizeof(is), "%p", NULL);
    assert_string_equal(is, "0x0");
    format(is, sizeof(is), "%q %d", 5); /* an unknown conversion takes no argument */
    assert_string_equal(is, "%q 5");
    format(is, sizeof(is), "a%");
    assert_string_equal(is, "a%");
    format(is, sizeof(is), "a%-08l");
    assert_string_equal(is, "a%-08l");
}

static void result_is_cut_and_terminated(void **unused)
{
    (void)unused;
    for (size_t size = 0; size < 20; size++) {
        char is[32], want[32];
        memset(is, 'x', sizeof(is));
        memset(want, 'x', sizeof(want));
        assert_int_equal(format(is, size, "%s-%d-%5x", "abc", -12345, 0xffu), 16);
        assert_int_equal(reference(want, size, "%s-%d-%5x", "abc", -12345, 0xffu), 16);
        assert_memory_equal(is, want, sizeof(is));
    }
    assert_int_equal(format(NULL, 0, "%d", 12345), 5);
}

struct pieces {
    char text[256];
    size_t used;
};

static void collect(void *ctx, const char *text, size_t n)
{
    struct pieces *p = ctx;
    assert_true(n > 0 && p->used + n < sizeof(p->text));
    memcpy(p->text + p->used, text, n);
    p->used += n;
}

static size_t to_sink(struct pieces *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t n = format_to(collect, p, fmt, args);
    va_end(args);
    return n;
}

static void sink_gets_everything_in_order(void **unused)
{
    (void)unused;
    struct pieces p = {.used = 0};
    assert_int_equal(to_sink(&p, "a%5db%sc%%%-4c|", 42, "xyz", 'q'), 17);
    assert_int_equal(p.used, 17);
    assert_string_equal(p.text, "a   42bxyzc%q   |");
}

static void check_random(const char *conversions, const char *length, const char *flags)
{
    for (u32 set = 0; set < 1u << strlen(flags); set++) {
        for (u32 i = 0; i < 60; i++) {
            char fmt[64];
            size_t n = 0;
            u64 random = random_number(), value = random_number() >> (random >> 40 & 63);
            fmt[n++] = '%';
            for (u32 f = 0; flags[f]; f++) {
                if (set >> f & 1) {
                    fmt[n++] = flags[f];
                }
            }
            if (random & 1) {
                n += (size_t)sprintf(fmt + n, "%u", (unsigned)(1 + (random >> 8 & 31)));
            }
            if (random & 2) {
                n += (size_t)sprintf(fmt + n, ".%u", (unsigned)(random >> 16 & 31));
            }
            sprintf(fmt + n, "%s%c", length, conversions[(random >> 24) % strlen(conversions)]);
            char is[TEXT_MAX], want[TEXT_MAX];
            size_t a = format(is, sizeof(is), fmt, value);
            int b = reference(want, sizeof(want), fmt, value);
            if (a != (size_t)b || strcmp(is, want) != 0) {
                fail_msg("%s of 0x%lx: \"%s\", want \"%s\"", fmt, value, is, want);
            }
        }
    }
}

static void random_numbers_agree(void **unused)
{
    (void)unused;
    static const char *const lengths[] = {"", "hh", "h", "l", "ll", "z", "j", "t"};
    for (size_t i = 0; i < HX_ARRAY_SIZE(lengths); i++) {
        check_random("di", lengths[i], "-0+ ");
        check_random("u", lengths[i], "-0");
        check_random("xXo", lengths[i], "-0#");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(what_c_leaves_open),
        cmocka_unit_test(result_is_cut_and_terminated),
        cmocka_unit_test(sink_gets_everything_in_order),
        cmocka_unit_test(random_numbers_agree),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
