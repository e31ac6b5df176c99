/* SPDX-License-Identifier: MIT */
/* spawner: processes that start processes; exit statuses, killing, waiting against a deadline.
 *   spawner tree DEPTH WIDTH   a tree of them; each exits with the number of its descendants
 *   spawner exit STATUS | sleep | spin | threads
 */
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/process.h>
#include <hx/thread.h>
#include "expect.h"

#define PROGRAM "bin/spawner"

static hx_handle_t start(const char *program, const char *a, const char *b, const char *c)
{
    const char *argv[] = {program, a, b, c};
    int argc = !a ? 1 : !b ? 2 : !c ? 3 : 4;
    hx_handle_t process = HX_HANDLE_NONE;
    EXPECT_STATUS(HX_OK, hx_process_spawn(program, argc, argv, &process));
    return process;
}

static u64 finish(hx_handle_t process)
{
    u64 status = UINT64_MAX, again = 0;
    EXPECT_STATUS(HX_OK, hx_process_wait(process, HX_DEADLINE_NEVER, &status));
    EXPECT_STATUS(HX_OK, hx_process_wait(process, 0, &again));
    EXPECT(status == again, "a second wait says %llu, the first %llu", (unsigned long long)again,
           (unsigned long long)status);
    EXPECT_STATUS(HX_OK, hx_handle_close(process));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_process_wait(process, 0, &again));
    return status;
}

static int tree(u64 depth, u64 width)
{
    u64 descendants = 0;
    hx_handle_t children[8];
    char below[4], wide[4];
    if (width > HX_ARRAY_SIZE(children)) {
        return 255;
    }
    if (depth) {
        below[0] = (char)('0' + (depth - 1) % 10);
        wide[0] = (char)('0' + width);
        below[1] = wide[1] = '\0';
        for (u64 i = 0; i < width; i++) {
            children[i] = start(PROGRAM, "tree", below, wide);
        }
        for (u64 i = 0; i < width; i++) {
            descendants += finish(children[i]) + 1;
        }
    }
    return expectations.failures ? 255 : (int)descendants;
}

static u64 sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;) {
        hx_sleep(HX_NS_PER_SEC);
    }
    return 0;
}

static int be(const char *what)
{
    struct hx_thread thread;
    if (str_equal(what, "sleep")) {
        sleep_for_ever(NULL);
    } else if (str_equal(what, "spin")) {
        for (;;) {
            hx_compiler_barrier();
        }
    } else if (str_equal(what, "threads")) { /* main's return ends them all */
        for (u32 i = 0; i < 8; i++) {
            EXPECT_STATUS(HX_OK, hx_thread_create(sleep_for_ever, NULL, &thread));
        }
        return expectations.failures ? 1 : 77;
    }
    return 2;
}

/* Kills a child that does `what`. */
static void kill_one(const char *what)
{
    hx_handle_t process = start(PROGRAM, what, NULL, NULL);
    u64 status = 0, before = hx_clock(HX_CLOCK_MONOTONIC);
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_process_wait(process, 0, &status));
    EXPECT_STATUS(HX_ERR_TIMED_OUT,
                  hx_process_wait(process, hx_deadline_after(20 * HX_NS_PER_MS), &status));
    EXPECT(hx_clock(HX_CLOCK_MONOTONIC) - before >= 20 * HX_NS_PER_MS, "the wait was shorter");
    EXPECT_STATUS(HX_OK, hx_process_kill(process));
    EXPECT_STATUS(HX_EXIT_KILLED, finish(process));
}

static void test_all(void)
{
    static const char *const numbers[] = {"0", "1", "2", "127", "128", "254", "255"};
    for (u32 i = 0; i < HX_ARRAY_SIZE(numbers); i++) {
        u64 wanted = 0;
        EXPECT(str_to_u64(numbers[i], &wanted), "%s", numbers[i]);
        EXPECT_STATUS(wanted, finish(start(PROGRAM, "exit", numbers[i], NULL)));
    }
    EXPECT_STATUS(0, finish(start("bin/true", NULL, NULL, NULL)));
    EXPECT_STATUS(1, finish(start("bin/false", NULL, NULL, NULL)));
    EXPECT_STATUS(HX_EXIT_FAULT, finish(start("bin/crash", "null-write", NULL, NULL)));
    EXPECT_STATUS(77, finish(start(PROGRAM, "threads", NULL, NULL)));
    EXPECT_STATUS(14, finish(start(PROGRAM, "tree", "3", "2"))); /* 2 + 4 + 8 */
    EXPECT_STATUS(84, finish(start(PROGRAM, "tree", "3", "4"))); /* 4 + 16 + 64 */
    kill_one("sleep");
    kill_one("spin");

    hx_handle_t ended = start("bin/true", NULL, NULL, NULL), process = HX_HANDLE_NONE;
    u64 status;
    EXPECT_STATUS(HX_OK, hx_process_wait(ended, HX_DEADLINE_NEVER, &status));
    EXPECT_STATUS(HX_OK, hx_process_kill(ended)); /* too late, and no harm */
    EXPECT_STATUS(0, finish(ended));

    const char *argv[] = {"x"};
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_process_spawn("bin/nosuch", 1, argv, &process));
    EXPECT_REFUSED(hx_process_spawn("bin", 1, argv, &process), "a folder was started");
    EXPECT_REFUSED(hx_process_spawn("", 1, argv, &process), "nothing was started");
    EXPECT(process == HX_HANDLE_NONE, "a handle from nowhere");
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_process_kill(HX_HANDLE_NONE));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_handle_close(0xfffffff0u));

    for (u32 i = 0; i < 100; i++) { /* nothing is used up */
        EXPECT_STATUS(0, finish(start("bin/true", NULL, NULL, NULL)));
    }
}

int main(int argc, char **argv)
{
    u64 first = 0, second = 0;
    bool numbers =
        argc >= 3 && str_to_u64(argv[2], &first) && (argc < 4 || str_to_u64(argv[3], &second));
    if (argc == 1) {
        test_all();
        return expect_result("spawner");
    }
    if (argc == 4 && numbers && str_equal(argv[1], "tree")) {
        return tree(first, second);
    }
    if (argc == 3 && numbers && str_equal(argv[1], "exit")) {
        return (int)first;
    }
    return be(argv[1]);
}
