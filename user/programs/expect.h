/* SPDX-License-Identifier: MIT */
/* How the test programs judge: a line for each thing that is not as it must be, naming where, and
 * the exit status 1. A program that ends with expect_result() has said how much it looked at.
 */
#ifndef PROGRAMS_EXPECT_H
#define PROGRAMS_EXPECT_H

#include <helix/status.h>
#include <hx/io.h>

static struct {
    u32 checks, failures; /* a */
} expectations;

/* Counts a check; when it fails, prints the words. */
#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        __atomic_fetch_add(&expectations.checks, 1, __ATOMIC_RELAXED);                             \
        if (!(condition)) {                                                                        \
            __atomic_fetch_add(&expectations.failures, 1, __ATOMIC_RELAXED);                       \
            hx_printf("FAIL line %d: ", __LINE__);                                                 \
            hx_printf(__VA_ARGS__);                                                                \
            hx_printf("\n");                                                                       \
        }                                                                                          \
    } while (0)

/* That `expression` is the status (or value) `wanted`. */
#define EXPECT_STATUS(wanted, expression)                                                          \
    do {                                                                                           \
        s64 got_ = (s64)(expression);                                                              \
        EXPECT(got_ == (s64)(wanted), "%s: %lld (%s), expected %s", #expression, (long long)got_,  \
               got_ < 0 ? hx_status_name((enum hx_status)got_) : "no failure", #wanted);           \
    } while (0)

/* That it is some failure of the list. */
#define EXPECT_REFUSED(expression, ...)                                                            \
    do {                                                                                           \
        s64 got_ = (s64)(expression);                                                              \
        EXPECT(got_ < 0 && got_ >= -HX_STATUS_LAST, __VA_ARGS__);                                  \
    } while (0)

/* The last line, and main()'s result. */
static inline int expect_result(const char *name)
{
    hx_printf("%s: %u checks, %u failures\n", name, expectations.checks, expectations.failures);
    return expectations.failures || !expectations.checks ? 1 : 0;
}

#endif
