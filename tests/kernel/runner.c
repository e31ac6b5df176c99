/* SPDX-License-Identifier: MIT */
/* Runs the in-kernel units and ends the machine, when the command line says `ktest` or
 * `ktest=GLOB`, GLOB over "suite.name". What it prints is a protocol that the host reads:
 *     @ktest begin N
 *     @ktest ok SUITE.NAME
 *     @ktest FAIL SUITE.NAME: FILE:LINE: MESSAGE
 *     @ktest skip SUITE.NAME: REASON
 *     @ktest end
 * N lines of the middle kind; the exit status is 1 when one of them is a FAIL, or when N is 0.
 * Owns:      nothing.      Context: thread, the last init step. Each test begins confined to the
 * boot CPU; one that wants others lifts that. A test that hangs is killed by the host: a watchdog
 * here would be one more thing under test.
 */
#include <core/console.h>
#include <core/orchestrator.h>
#include <core/panic.h>
#include <core/sched.h>
#include <helix/cmdline.h>
#include <helix/format.h>
#include <ktest.h>

#define FULL_NAME_MAX 128

static bool is_wanted(const struct ktest *test, const char *glob)
{
    char name[FULL_NAME_MAX];
    format_buffer(name, sizeof(name), "%s.%s", test->suite, test->name);
    return !*glob || str_glob_match(glob, name);
}

static void report(const struct ktest *test, enum ktest_verdict verdict, const char *why)
{
    static const char *const words[] = {
        [KTEST_OK] = "ok", [KTEST_FAILED] = "FAIL", [KTEST_SKIPPED] = "skip"};
    console_printf("@ktest %s %s.%s%s%s\n", words[verdict], test->suite, test->name,
                   *why ? ": " : "", why);
}

static enum hx_status run_tests(void)
{
    const char *glob = cmdline_get("ktest");
    u32 wanted = 0, failed = 0;
    if (!glob) {
        return HX_OK;
    }
    HX_SET_FOREACH (ktests, it) {
        wanted += is_wanted(*it, glob);
    }
    console_printf("@ktest begin %u\n", wanted);
    HX_SET_FOREACH (ktests, it) {
        if (is_wanted(*it, glob)) {
            const char *why;
            HX_IGNORE(sched_affinity_set(task_current(), 1), "the boot CPU is online");
            enum ktest_verdict verdict = ktest_run(*it, &why);
            failed += verdict == KTEST_FAILED;
            report(*it, verdict, why);
        }
    }
    console_printf("@ktest end\n");
    machine_end(failed || !wanted ? 1 : 0);
}

COMPONENT(units, .name = "units", .version = "1.0", .needs = "*", .init = run_tests);
