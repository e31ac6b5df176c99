/* SPDX-License-Identifier: MIT */
/* Processes: starting one while memory ends, and what is left of one that has ended.
 */
#include <core/grace.h>
#include <core/memory.h>
#include <core/task.h>
#include <core/time.h>
#include <execution/process.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory/trim.h>

#define LATER (time_now_ns() + 20 * HX_NS_PER_SEC)

static const char arguments[] = "true"; /* its NUL ends the one argument */

static u64 free_at_rest(void)
{
    grace_wait();
    task_reap();
    memory_trim();
    return frame_free_count();
}

static enum hx_status spawn(const char *name, struct process **out_process)
{
    return process_spawn(name, arguments, sizeof(arguments), NULL, out_process);
}

/* Waits until the process is gone and its threads are free. */
static void end(struct process *process, s64 want)
{
    s64 status = -1;
    KTEST_STATUS(process_wait(process, LATER, &status), HX_OK);
    KTEST_EQUAL(status, want);
    process_put(process);
}

/* Free frames, once the threads that ended have been reaped. */
static bool comes_back_to(u64 before)
{
    u64 deadline = LATER;
    while (free_at_rest() != before && time_now_ns() < deadline) {
        HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it looks again anyway");
    }
    return frame_free_count() == before;
}

static void spawn_with_failures(void (*fail_after)(u32 n))
{
    struct process *process = NULL;
    KTEST_STATUS(spawn("bin/true", &process), HX_OK);
    KTEST_CALL(end(process, 0));
    HX_IGNORE(task_sleep_until(time_now_ns() + 20 * HX_NS_PER_MS), "its thread is on its way out");
    u64 before = free_at_rest();
    u32 failures = 0;
    for (u32 n = 1;; n++) {
        memory_trim(); /* so that there is something to allocate */
        u32 count = process_count();
        fail_after(n);
        enum hx_status status = spawn("bin/true", &process);
        fail_after(0);
        if (status == HX_OK) {
            s64 ended;
            /* The failure may still have met the program itself: then a fault ended it. */
            KTEST_STATUS(process_wait(process, LATER, &ended), HX_OK);
            process_put(process);
            if (ended == 0 && n > failures + 20) {
                break;
            }
        } else {
            failures++;
            KTEST_STATUS(status, HX_ERR_NO_MEMORY);
            KTEST_EQUAL(process_count(), count);
        }
        KTEST_ASSERT(n < 300);
    }
    KTEST_ASSERT(failures > 0);
    KTEST_ASSERT(comes_back_to(before));
}

KTEST(process, starting_survives_the_failure_of_any_heap_allocation)
{
    spawn_with_failures(heap_fail_after);
}

KTEST(process, starting_survives_the_failure_of_any_frame_allocation)
{
    spawn_with_failures(frame_fail_after);
}

KTEST(process, what_is_no_program_is_refused)
{
    struct process *process = NULL;
    KTEST_STATUS(spawn("bin/nosuch", &process), HX_ERR_NOT_FOUND);
    KTEST_STATUS(spawn("", &process), HX_ERR_NOT_FOUND);
    KTEST_ASSERT(process == NULL);
}

KTEST(process, ended_processes_leave_nothing)
{
    u64 before = free_at_rest();
    for (u32 i = 0; i < 20; i++) {
        struct process *process;
        KTEST_STATUS(spawn(i % 2 ? "bin/true" : "bin/false", &process), HX_OK);
        KTEST_CALL(end(process, i % 2 ? 0 : 1));
    }
    KTEST_ASSERT(comes_back_to(before));
}

KTEST(process, a_killed_process_ends_with_the_status_of_the_kill)
{
    struct process *process;
    u64 before = free_at_rest();
    static const char spin[] =
        "spawner\0spin"; /* unknown words end it soon; the kill comes first */
    KTEST_STATUS(process_spawn("bin/spawner", spin, sizeof(spin), NULL, &process), HX_OK);
    process_kill(process, HX_EXIT_KILLED);
    KTEST_CALL(end(process, HX_EXIT_KILLED));
    KTEST_ASSERT(comes_back_to(before));
}
