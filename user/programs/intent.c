/* SPDX-License-Identifier: MIT */
/* intent: says what it is for, with and without the right to be Realtime, and checks the answers.
 * The first process has the right (`init=intent`); others, unless it is handed on, have not.
 */
#include <hx/clock.h>
#include <hx/intent.h>
#include <hx/io.h>

static int failures;

static void expect(bool good, const char *what)
{
    if (!good) {
        hx_printf("intent: %s\n", what);
        failures++;
    }
}

static enum hx_status ask(enum hx_class cls, u64 period, u64 wcet, u64 latency, hx_handle_t right,
                          struct hx_intent_result *result)
{
    struct hx_intent intent = {
        .size = sizeof(intent), .cls = cls, .period = period, .wcet = wcet, .latency = latency};
    result->verdict = HX_INTENT_REFUSED;
    return hx_intent_set(HX_HANDLE_NONE, &intent, right, result);
}

int main(int argc, char **argv)
{
    (void)argc, (void)argv;
    struct hx_intent_result result = {0};
    struct hx_sched_stats stats = {0};
    hx_handle_t right = hx_intent_right();
    const u64 period = 10 * HX_NS_PER_MS;
    enum hx_status with_right = right ? HX_OK : HX_ERR_ACCESS;

    expect(ask(HX_CLASS_INTERACTIVE, 0, 0, HX_NS_PER_MS, 0, &result) == HX_OK &&
               result.verdict == HX_INTENT_ADMITTED,
           "Interactive is not admitted");
    expect(ask(HX_CLASS_REALTIME, period, 2 * HX_NS_PER_MS, 0, right, &result) == with_right,
           "Realtime within the right");
    if (right) {
        expect(result.verdict == HX_INTENT_ADMITTED && result.slack > 0, "no slack");
        expect(ask(HX_CLASS_REALTIME, period, 19 * HX_NS_PER_MS / 2, 0, right, &result) ==
                   HX_ERR_LIMIT,
               "Realtime beyond the right");
        expect(result.max_wcet == 9 * HX_NS_PER_MS, "the largest wcet within the right");
    }
    expect(ask(HX_CLASS_SYSTEM, 0, 0, 0, 0, &result) == HX_ERR_ACCESS, "System is refused");
    expect(ask(HX_CLASS_COUNT, 0, 0, 0, 0, &result) == HX_ERR_INVALID, "no such class");
    expect(ask(HX_CLASS_BATCH, 0, 0, 0, 0x12345, &result) == HX_ERR_BAD_HANDLE, "a bad handle");
    expect(hx_sys_intent_set(0, (const void *)8, &result, 0) == HX_ERR_FAULT, "a bad pointer");
    expect(ask(HX_CLASS_BATCH, 0, 0, 0, 0, &result) == HX_OK, "back to Batch");
    expect(hx_sys_sched_stats(&stats, sizeof(stats)) == sizeof(stats) &&
               stats.version == HX_SCHED_STATS_VERSION && stats.size == sizeof(stats) &&
               stats.cpus > 0 && stats.admitted > 0,
           "statistics");
    hx_printf(right ? "with the right: %d wrong\n" : "without the right: %d wrong\n", failures);
    return failures != 0;
}
