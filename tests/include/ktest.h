/* SPDX-License-Identifier: MIT */
/* Unit tests that run inside the kernel. A test is a function in the linker set `ktests`; the
 * kernel's command line word `ktest` runs them (tests/kernel/runner.c). Those that need no hardware
 * are also linked into a program of the build machine, over the do-nothing port
 * (tests/hal/contract_test.c).
 *
 *     KTEST(timer, fires_in_order_of_deadlines)
 *     {
 *         KTEST_STATUS(thing_create(&thing), HX_OK);
 *         KTEST_EQUAL(thing.count, 3);
 *     }
 *
 * A check that fails records where and what, and returns from the function that it stands in. A
 * test leaves things as it found them when it passes; after a failure the rest of the run may
 * suffer, and says so by failing.
 */
#ifndef KTEST_H
#define KTEST_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/string.h>
#include <helix/types.h>

struct ktest {
    const char *suite, *name;
    void (*run)(void);
};
HX_SET_DECLARE(ktests, struct ktest);

enum ktest_verdict { KTEST_OK, KTEST_FAILED, KTEST_SKIPPED };

/* Runs a test. Return: its verdict; *out_why is the message of a failure or the reason of a skip,
 * valid until the next run. Context: thread, interrupts enabled. */
enum ktest_verdict ktest_run(const struct ktest *test, const char **out_why);

/* Ends the running test's hope; the first failure is the one that is reported. */
void ktest_fail(const char *file, int line, const char *fmt, ...) HX_PRINTF(3, 4);
void ktest_skip(const char *reason);
bool ktest_has_failed(void);

#define KTEST(suite_, name_)                                                                       \
    static void ktest_##suite_##_##name_(void);                                                    \
    static const struct ktest ktest_of_##suite_##_##name_ = {#suite_, #name_,                      \
                                                             ktest_##suite_##_##name_};            \
    HX_SET_ADD(ktests, ktest_of_##suite_##_##name_);                                               \
    static void ktest_##suite_##_##name_(void)

#define KTEST_ASSERT(expr)                                                                         \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            ktest_fail(__FILE__, __LINE__, "not true: %s", #expr);                                 \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define KTEST_EQUAL(is, want)                                                                      \
    do {                                                                                           \
        u64 ktest_is_ = (u64)(is), ktest_want_ = (u64)(want);                                      \
        if (ktest_is_ != ktest_want_) {                                                            \
            ktest_fail(__FILE__, __LINE__, "%s is 0x%lx, want 0x%lx", #is, ktest_is_,              \
                       ktest_want_);                                                               \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define KTEST_STRING(is, want)                                                                     \
    do {                                                                                           \
        const char *ktest_is_ = (is), *ktest_want_ = (want);                                       \
        if (!ktest_is_ || !str_equal(ktest_is_, ktest_want_)) {                                    \
            ktest_fail(__FILE__, __LINE__, "%s is \"%s\", want \"%s\"", #is,                       \
                       ktest_is_ ? ktest_is_ : "(null)", ktest_want_);                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define KTEST_STATUS(expr, want)                                                                   \
    do {                                                                                           \
        enum hx_status ktest_is_ = (expr), ktest_want_ = (want);                                   \
        if (ktest_is_ != ktest_want_) {                                                            \
            ktest_fail(__FILE__, __LINE__, "%s gives %s, want %s", #expr,                          \
                       hx_status_name(ktest_is_), hx_status_name(ktest_want_));                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* Calls a helper that checks; returns if a check in it failed. */
#define KTEST_CALL(call)                                                                           \
    do {                                                                                           \
        call;                                                                                      \
        if (ktest_has_failed()) {                                                                  \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define KTEST_SKIP(reason)                                                                         \
    do {                                                                                           \
        ktest_skip(reason);                                                                        \
        return;                                                                                    \
    } while (0)

#endif
