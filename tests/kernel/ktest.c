/* SPDX-License-Identifier: MIT */
/* Verdict of the running test.
 * Owns:      the verdict and the message.      Callers: the checks of <ktest.h>; both runners.
 * Context:   thread; a check may also fail in a callback in IRQ context: tests run on one CPU, and
 *            a verdict that is set is not changed.
 * Invariant: (1) a failure beats a skip, and the first failure is the one kept.
 */
#include <helix/format.h>
#include <ktest.h>
#include <stdarg.h>

static struct {
    enum ktest_verdict verdict;
    char why[240];
} current;

enum ktest_verdict ktest_run(const struct ktest *test, const char **out_why)
{
    current.verdict = KTEST_OK;
    current.why[0] = '\0';
    test->run();
    *out_why = current.why;
    return current.verdict;
}

void ktest_fail(const char *file, int line, const char *fmt, ...)
{
    if (current.verdict == KTEST_FAILED) { /* inv 1 */
        return;
    }
    current.verdict = KTEST_FAILED;
    size_t used = format_buffer(current.why, sizeof(current.why), "%s:%d: ", file, line);
    if (used < sizeof(current.why)) {
        va_list args;
        va_start(args, fmt);
        format_buffer_va(current.why + used, sizeof(current.why) - used, fmt, args);
        va_end(args);
    }
}

void ktest_skip(const char *reason)
{
    if (current.verdict == KTEST_OK) { /* inv 1 */
        current.verdict = KTEST_SKIPPED;
        HX_IGNORE(str_copy(current.why, reason, sizeof(current.why)), "a cut reason is a reason");
    }
}

bool ktest_has_failed(void)
{
    return current.verdict == KTEST_FAILED;
}
