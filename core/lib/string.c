/* SPDX-License-Identifier: MIT */
/* Memory and strings.
 * Owns:      nothing.            Callers: everyone, the compiler itself included.
 * Context:   any, early included: no state, no locks, no page-table tricks.
 * Why C:     the loops move 32 bytes an iteration in plain 64-bit loads and stores, which costs the
 *            same number of instructions as hand-written assembly without SIMD, and the kernel
 *            uses no SIMD. `rep movsb` was rejected: it is fast on CPUs with ERMS only and is
 *            counted by the byte where cost is measured.
 * Built without link-time optimisation: the compiler emits calls to these after symbols are
 * resolved.
 */
#include <core/sanitize.h>
#include <helix/string.h>

typedef u64 __attribute__((may_alias, aligned(1))) u64_any;

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;
    kasan_check(src, n, false);
    kasan_check(dst, n, true);
    for (; n >= 32; n -= 32, d += 32, s += 32) {
        u64 a = ((const u64_any *)s)[0], b = ((const u64_any *)s)[1];
        u64 c = ((const u64_any *)s)[2], e = ((const u64_any *)s)[3];
        ((u64_any *)d)[0] = a;
        ((u64_any *)d)[1] = b;
        ((u64_any *)d)[2] = c;
        ((u64_any *)d)[3] = e;
    }
    for (; n >= 8; n -= 8, d += 8, s += 8) {
        *(u64_any *)d = *(const u64_any *)s;
    }
    while (n--) {
        *d++ = *s++;
        hx_compiler_barrier(); /* or the compiler turns the loop into a call to memcpy */
    }
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    u8 *d = dst;
    const u8 *s = src;
    kasan_check(src, n, false);
    kasan_check(dst, n, true);
    if ((uintptr_t)d - (uintptr_t)s >= n) { /* forward is safe: dst is below, or beyond the end */
        for (; n >= 8; n -= 8, d += 8, s += 8) {
            *(u64_any *)d = *(const u64_any *)s;
        }
        while (n--) {
            *d++ = *s++;
            hx_compiler_barrier();
        }
        return dst;
    }
    for (; n >= 8; n -= 8) {
        *(u64_any *)(d + n - 8) = *(const u64_any *)(s + n - 8);
    }
    while (n--) {
        d[n] = s[n];
        hx_compiler_barrier();
    }
    return dst;
}

void *memset(void *dst, int value, size_t n)
{
    u8 *d = dst;
    kasan_check(dst, n, true);
    u64 word = (u8)value * 0x0101010101010101ull;
    for (; n >= 32; n -= 32, d += 32) {
        ((u64_any *)d)[0] = word;
        ((u64_any *)d)[1] = word;
        ((u64_any *)d)[2] = word;
        ((u64_any *)d)[3] = word;
    }
    for (; n >= 8; n -= 8, d += 8) {
        *(u64_any *)d = word;
    }
    while (n--) {
        *d++ = (u8)value;
        hx_compiler_barrier();
    }
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n >= 8 && *(const u64_any *)x == *(const u64_any *)y; n -= 8) {
        x += 8;
        y += 8;
    }
    for (; n; n--, x++, y++) {
        if (*x != *y) {
            return *x - *y;
        }
    }
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const u8 *p = s; n; n--, p++) {
        if (*p == (u8)c) {
            return (void *)(uintptr_t)p;
        }
    }
    return NULL;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n]) {
        n++;
        hx_compiler_barrier();
    }
    return n;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n]) {
        n++;
    }
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (u8)*a - (u8)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++) {
        if (*a != *b || !*a) {
            return (u8)*a - (u8)*b;
        }
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c) {
            return (char *)(uintptr_t)s;
        }
        if (!*s) {
            return NULL;
        }
    }
}

char *strrchr(const char *s, int c)
{
    const char *found = NULL;
    for (;; s++) {
        if (*s == (char)c) {
            found = s;
        }
        if (!*s) {
            return (char *)(uintptr_t)found;
        }
    }
}

bool str_copy(char *dst, const char *src, size_t size)
{
    size_t n = strnlen(src, size);
    bool whole = n < size;
    if (!whole) {
        n = size - 1;
    }
    memcpy(dst, src, n);
    dst[n] = '\0';
    return whole;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

bool str_to_u64(const char *s, u64 *out)
{
    u64 base = 10, value = 0;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (!*s) {
        return false;
    }
    for (; *s; s++) {
        u64 digit = (u64)digit_value(*s);
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}

bool str_glob_match(const char *pattern, const char *s)
{
    /* One backtrack point is enough: a later star makes an earlier one's choice final. */
    const char *star = NULL, *resume = NULL;
    while (*s) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = s;
        } else if (*pattern == '?' || *pattern == *s) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star;
            s = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return !*pattern;
}
