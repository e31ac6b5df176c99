/* SPDX-License-Identifier: MIT */
/* `ps` and `top`: the tasks, as they were at one moment.
 * Owns:      nothing.      Context: thread. What is listed is copied under the lock of the task
 * list and printed after it, since printing may block.
 */
#include <core/memory.h>
#include <core/sched.h>
#include <core/shell.h>
#include <core/task.h>
#include <helix/bits.h>
#include <helix/string.h>

struct task_line {
    u64 id, cpu_ns, switches;
    u64 used_ns; /* `top`: since the list before */
    u32 state, cpu;
    char name[TASK_NAME_MAX];
};

struct snapshot {
    struct task_line *lines;
    u32 room, count;
    u64 time_ns;
};

static void count_task(struct task *task, void *ctx)
{
    (void)task;
    (*(u32 *)ctx)++;
}

static void copy_task(struct task *task, void *ctx)
{
    struct snapshot *snapshot = ctx;
    if (snapshot->count < snapshot->room) {
        struct task_line *line = &snapshot->lines[snapshot->count++];
        *line = (struct task_line){
            .id = task->id,
            .cpu_ns = sched_cpu_time_ns(task),
            .switches = task->own.acct.switches,
            .state = task_state(task),
            .cpu = task_cpu(task),
        };
        memcpy(line->name, task->name, sizeof(line->name));
    }
}

static enum hx_status take_snapshot(struct snapshot *out)
{
    u32 count = 0;
    task_for_each(count_task, &count);
    *out = (struct snapshot){.room = count + 8}; /* some may begin in between */
    out->lines = kmalloc(out->room * sizeof(struct task_line));
    if (!out->lines) {
        return HX_ERR_NO_MEMORY;
    }
    out->time_ns = time_now_ns();
    task_for_each(copy_task, out);
    return HX_OK;
}

static int fail(const char *command, enum hx_status status)
{
    shell_printf("%s: %s\n", command, hx_status_words(status));
    return SHELL_FAILED;
}

static int command_ps(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    struct snapshot tasks;
    enum hx_status status = take_snapshot(&tasks);
    if (status != HX_OK) {
        return fail("ps", status);
    }
    if (!json) {
        shell_printf("%6s %-10s %3s %14s %10s  %s\n", "id", "state", "cpu", "cpu-ns", "switches",
                     "name");
    }
    for (u32 i = 0; i < tasks.count; i++) {
        const struct task_line *line = &tasks.lines[i];
        shell_printf(json ? "{\"id\":%lu,\"state\":\"%s\",\"cpu\":%u,\"cpu_ns\":%lu,"
                            "\"switches\":%lu,\"name\":\"%s\"}\n"
                          : "%6lu %-10s %3u %14lu %10lu  %s\n",
                     line->id, task_state_name(line->state), line->cpu, line->cpu_ns,
                     line->switches, line->name);
    }
    kfree(tasks.lines);
    return SHELL_OK;
}

/* CPU time of a task before, 0 for one that is new. Ids only grow, and so do the lists. */
static u64 time_before(const struct snapshot *before, u64 id)
{
    for (u32 i = 0; i < before->count; i++) {
        if (before->lines[i].id == id) {
            return before->lines[i].cpu_ns;
        }
    }
    return 0;
}

static void print_round(const struct snapshot *before, struct snapshot *now, bool json)
{
    u64 passed = hx_max_u64(now->time_ns - before->time_ns, 1);
    for (u32 i = 0; i < now->count; i++) {
        struct task_line *line = &now->lines[i];
        u64 was = time_before(before, line->id);
        line->used_ns = line->cpu_ns > was ? line->cpu_ns - was : 0;
    }
    if (!json) {
        shell_printf("%6s %6s %-10s %3s  %s\n", "id", "cpu-%", "state", "cpu", "name");
    }
    for (;;) {
        struct task_line *most = NULL;
        for (u32 i = 0; i < now->count; i++) {
            struct task_line *line = &now->lines[i];
            most = line->used_ns && (!most || line->used_ns > most->used_ns) ? line : most;
        }
        if (!most) {
            return;
        }
        u64 permille = most->used_ns * 1000 / passed;
        if (json) {
            shell_printf("{\"id\":%lu,\"cpu_permille\":%lu,\"state\":\"%s\",\"cpu\":%u,"
                         "\"name\":\"%s\"}\n",
                         most->id, permille, task_state_name(most->state), most->cpu, most->name);
        } else {
            shell_printf("%6lu %4lu.%lu %-10s %3u  %s\n", most->id, permille / 10, permille % 10,
                         task_state_name(most->state), most->cpu, most->name);
        }
        most->used_ns = 0;
    }
}

static int command_top(int argc, char **argv)
{
    u64 rounds = 1, ms = 1000;
    bool json = false;
    for (int i = 1; i < argc; i++) {
        bool valued = i + 1 < argc;
        if (str_equal(argv[i], "--json")) {
            json = true;
        } else if (!(valued && str_equal(argv[i], "-n") && str_to_u64(argv[++i], &rounds)) &&
                   !(valued && str_equal(argv[i], "--ms") && str_to_u64(argv[++i], &ms))) {
            return shell_usage("top");
        }
    }
    struct snapshot before = {0}, now;
    enum hx_status status = take_snapshot(&before);
    for (; status == HX_OK && rounds > 0; rounds--) {
        status = task_sleep_until(before.time_ns + hx_min_u64(ms, 3600000) * HX_NS_PER_MS);
        if (status == HX_OK) {
            status = take_snapshot(&now);
        }
        if (status == HX_OK) {
            print_round(&before, &now, json);
            kfree(before.lines);
            before = now;
        }
    }
    kfree(before.lines);
    return status == HX_OK ? SHELL_OK : fail("top", status);
}

SHELL_COMMAND(ps, "ps", "[--json]", "tasks, their states and the CPU time they have used", "",
              command_ps);
SHELL_COMMAND(top, "top", "[-n ROUNDS] [--ms MS] [--json]",
              "which tasks use the CPUs: a list every MS milliseconds (1000)", "", command_top);
