/* SPDX-License-Identifier: MIT */
/* Commands about processes, and their part in shutting down.
 * Owns:      nothing.      Context: thread.
 */
#include <core/execution.h>
#include <core/orchestrator.h>
#include <core/sched.h>
#include <core/shell.h>
#include <execution/process.h>
#include <execution/thread.h>
#include <helix/format.h>
#include <helix/string.h>

/* The process of the task with the number `id`, with a reference. */
struct search {
    u64 id;
    struct process *found;
};

static void look_at(struct task *task, void *ctx)
{
    struct search *search = ctx;
    struct thread *thread = task->owner;
    /* A thread that ends goes with a grace period, and here interrupts are masked. */
    if (task->id == search->id && thread && object_get_try(&thread->process->object)) {
        search->found = thread->process;
    }
}

static int command_end(int argc, char **argv)
{
    struct search search = {0};
    if (argc != 2 || !str_to_u64(argv[1], &search.id)) {
        return shell_usage("end");
    }
    task_for_each(look_at, &search);
    if (!search.found) {
        shell_printf("end: no task of a process has the number %s\n", argv[1]);
        return SHELL_FAILED;
    }
    process_kill(search.found, HX_EXIT_KILLED);
    process_put(search.found);
    return SHELL_OK;
}

static int command_fault(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return shell_usage("fault");
    }
    shell_printf("%s\n", execution_last_fault());
    return SHELL_OK;
}

SHELL_COMMAND_ADMIN(end, "end", "TASK", "end the process of a task", "", command_end);
SHELL_COMMAND(fault, "fault", "", "the fault that ended a process last", "", command_fault);

static void kill_one(struct process *process, void *ctx)
{
    struct process **found = ctx;
    if (!*found) {
        *found = process;
        object_get(&process->object);
    }
}

/* Ends all processes: one after the other, since ending one may wait for its threads. */
static enum hx_status processes_shutdown(u64 deadline_ns)
{
    for (;;) {
        struct process *process = NULL;
        s64 ignored;
        process_for_each(kill_one, &process);
        if (!process) {
            return HX_OK;
        }
        process_kill(process, HX_EXIT_KILLED);
        enum hx_status status = process_wait(process, deadline_ns, &ignored);
        process_put(process);
        if (status != HX_OK) {
            return status;
        }
    }
}

static void processes_stats(void (*report)(void *ctx, const char *name, u64 value), void *ctx)
{
    report(ctx, "processes", process_count());
}

COMPONENT(processes, .name = "processes", .version = "1.0", .needs = "vfs",
          .shutdown = processes_shutdown, .stats = processes_stats);
