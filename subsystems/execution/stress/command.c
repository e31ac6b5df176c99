/* SPDX-License-Identifier: MIT */
/* The `stress` command, and the tasks that every stress run is made of.
 * Owns:      the workers of the run under way.      Callers: the shell; the runs.
 * Context:   thread.
 * Invariant: (1) a run's free frames before and after are counted at rest: the tasks that ended are
 *            freed, grace periods are over, no CPU keeps anything at hand, and the scheduler's
 *            tables have the size that so many tasks need.
 *            (2) a worker's memory is freed only after it has been joined.
 */
#include <core/cpu.h>
#include <core/grace.h>
#include <core/memory.h>
#include <core/random.h>
#include <core/shell.h>
#include <core/time.h>
#include <execution/stress.h>
#include <helix/format.h>
#include <helix/string.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory/trim.h>
#include <stdarg.h>

#define THREADS_DEFAULT 1000
#define THREADS_MAX     8192
#define WATCH_NS        (1 * HX_NS_PER_SEC)
#define STALL_NS        (30 * HX_NS_PER_SEC)
#define REST_SAME       3 /* looks in a row that find the same */
#define REST_TRIES      50
#define REST_NS         (10 * HX_NS_PER_MS)
#define PRINT_MAX       10 /* lines about what was lost, or hangs */

void stress_lost(struct stress_run *run, const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    format_buffer_va(text, sizeof(text), fmt, args);
    va_end(args);
    if (__atomic_fetch_add(&run->lost, 1, __ATOMIC_RELAXED) < PRINT_MAX) {
        shell_printf("  lost: %s\n", text);
    }
}

/* workers */

static void worker_main(void *arg)
{
    struct stress_worker *w = arg;
    while (w->left > 0) {
        stress_count(&w->run->attempted);
        w->body(w);
        HX_WRITE_ONCE(w->left, w->left - 1);
    }
    if (w->end) {
        w->end(w);
    }
}

static u64 left_in_all(const struct stress_worker *workers, u32 count)
{
    u64 left = 0;
    for (u32 i = 0; i < count; i++) {
        left += HX_READ_ONCE(workers[i].left);
    }
    return left;
}

static void report_stall(struct stress_run *run, const struct stress_worker *workers, u32 from,
                         u32 count)
{
    for (u32 i = from; i < count; i++) {
        const struct task *task = workers[i].task;
        if (task->state != TASK_ZOMBIE) {
            stress_lost(run, "%s hangs in %s: %s on CPU %u, %lu operations to go", task->name,
                        workers[i].doing ? workers[i].doing : "nothing",
                        task_state_name(task_state(task)), task_cpu(task), workers[i].left);
        }
    }
}

/* False when nothing moves any more. */
static bool join_all(struct stress_run *run, struct stress_worker *workers, u32 count)
{
    u64 left = left_in_all(workers, count), moved_ns = time_now_ns();
    for (u32 i = 0; i < count;) {
        s64 value;
        enum hx_status status = task_join(workers[i].task, time_now_ns() + WATCH_NS, &value);
        u64 now_left = left_in_all(workers, count);
        if (status == HX_OK || now_left != left) {
            left = now_left;
            moved_ns = time_now_ns();
        } else if (time_now_ns() - moved_ns > STALL_NS) {
            report_stall(run, workers, i, count);
            return false;
        }
        i += status == HX_OK;
    }
    return true;
}

/* Return: how many there are. */
static u32 create_workers(struct stress_run *run, struct stress_worker *workers, size_t own_size)
{
    u32 count = 0;
    for (; count < run->threads; count++) {
        struct stress_worker *w = &workers[count];
        char name[TASK_NAME_MAX];
        format_buffer(name, sizeof(name), "stress %u", count);
        w->index = count;
        w->run = run;
        w->random = run->seed + count * 0x100000001b3ull;
        w->own = kzalloc(own_size);
        if (!w->own || task_create(name, worker_main, w, &w->task) != HX_OK) {
            kfree(w->own);
            break;
        }
    }
    return count;
}

enum hx_status stress_workers_run(struct stress_run *run, size_t own_size,
                                  void (*body)(struct stress_worker *w),
                                  void (*end)(struct stress_worker *w))
{
    struct stress_worker *workers = kzalloc(run->threads * sizeof(*workers));
    u32 count = workers ? create_workers(run, workers, own_size) : 0;
    if (count == 0) {
        kfree(workers);
        return HX_ERR_NO_MEMORY;
    }
    if (count < run->threads) {
        shell_printf("  memory for %u threads only\n", count);
    }
    for (u32 i = 0; i < count; i++) {
        workers[i].body = body;
        workers[i].end = end;
        workers[i].left = run->count / count + (i < run->count % count);
        task_start(workers[i].task);
    }
    if (!join_all(run, workers, count)) {
        return HX_ERR_TIMED_OUT; /* inv 2 */
    }
    for (u32 i = 0; i < count; i++) {
        task_put(workers[i].task);
        kfree(workers[i].own);
    }
    kfree(workers);
    return HX_OK;
}

/* command */

static void drain_frames(void *arg)
{
    (void)arg;
    frame_cache_drain();
}

/* inv 1. A task that ended may still be leaving its stack on another CPU, so this looks until
 * nothing changes any more. */
static u64 free_frames_at_rest(struct frame_usage *out)
{
    u64 last = 0;
    for (u32 same = 0, tries = 0; same < REST_SAME && tries < REST_TRIES; tries++) {
        grace_wait();
        task_reap();
        memory_trim();
        cpu_call(cpu_online_mask(), drain_frames, NULL);
        u64 now = frame_free_count();
        same = now == last ? same + 1 : 0;
        last = now;
        HX_IGNORE(task_sleep_until(time_now_ns() + REST_NS), "a kill ends the run elsewhere");
    }
    frame_usage_read(out);
    return last;
}

/* Whose frames are more or fewer than before. */
static void print_owners(const struct frame_usage *before, const struct frame_usage *after)
{
    for (u32 i = FRAME_KERNEL; i < FRAME_OWNER_COUNT; i++) {
        if (before->owners[i] != after->owners[i]) {
            shell_printf("  %s: %lu frames before, %lu after\n", frame_owner_name(i),
                         before->owners[i], after->owners[i]);
        }
    }
    if (before->spaces != after->spaces) {
        shell_printf("  user spaces: %lu frames before, %lu after\n", before->spaces,
                     after->spaces);
    }
}

static void nothing_main(void *arg)
{
    (void)arg;
}

/* As many tasks at once as a run can have, each worker with a child: what the scheduler's tables
 * then grow by stays theirs, and is no leak. */
static void grow_tables(u32 threads)
{
    u32 most = 2 * threads + HAL_CPUS_MAX, count = 0;
    struct task **tasks = kzalloc(most * sizeof(struct task *));
    while (tasks && count < most &&
           task_create("stress table", nothing_main, NULL, &tasks[count]) == HX_OK) {
        count++;
    }
    for (u32 i = 0; i < count; i++) {
        s64 value;
        task_start(tasks[i]);
        HX_IGNORE(task_join(tasks[i], WAIT_FOREVER, &value), "a kill ends the run elsewhere");
        task_put(tasks[i]);
    }
    kfree(tasks);
}

static bool run_one(const struct stress *stress, struct stress_run *run)
{
    struct frame_usage usage_before, usage_after;
    grow_tables(run->threads);
    u64 before = free_frames_at_rest(&usage_before), start = time_now_ns();
    struct heap_total heap_before = heap_total_read();
    shell_printf("stress %s: seed %lu, %lu operations, %u threads, %u CPUs\n", stress->name,
                 run->seed, run->count, run->threads, cpu_online_count());
    enum hx_status status = stress->run(run);
    u64 end = time_now_ns(), after = free_frames_at_rest(&usage_after);
    /* Of the heap what is handed out counts: a slab stays while one of its objects does. */
    before += usage_before.owners[FRAME_HEAP];
    after += usage_after.owners[FRAME_HEAP];
    s64 leaked = (s64)(before - after) +
                 ((s64)heap_total_read().bytes - (s64)heap_before.bytes) / (s64)HX_PAGE_SIZE;
    shell_printf("  attempted %lu, failed %lu, lost %lu, leaked %ld frames; %lu.%03lu s\n",
                 run->attempted, run->failed, run->lost, leaked, (end - start) / HX_NS_PER_SEC,
                 (end - start) / HX_NS_PER_MS % 1000);
    if (leaked != 0) {
        print_owners(&usage_before, &usage_after);
    }
    if (status != HX_OK) {
        shell_printf("stress: %s: %s\n", stress->name, hx_status_words(status));
    }
    return status == HX_OK && run->lost == 0 && leaked == 0 && run->attempted == run->count;
}

/* The number behind `option`; true when it is absent, or there and in [least, most]. */
static bool number_option(int argc, char **argv, const char *option, u64 least, u64 most,
                          u64 *out_value)
{
    for (int i = 1; i < argc; i++) {
        if (str_equal(argv[i], option)) {
            return i + 1 < argc && str_to_u64(argv[i + 1], out_value) && *out_value >= least &&
                   *out_value <= most;
        }
    }
    return true;
}

static bool name_is_known(const char *name)
{
    HX_SET_FOREACH (stresses, it) {
        if (str_equal((*it)->name, name)) {
            return true;
        }
    }
    return false;
}

static bool takes_number(const char *word)
{
    return str_equal(word, "--count") || str_equal(word, "--seed") || str_equal(word, "--threads");
}

static int command_stress(int argc, char **argv)
{
    u64 count = 0, seed = random_u64() >> 32, threads = THREADS_DEFAULT;
    const char *name = NULL;
    for (int i = 1; i < argc; i++) {
        if (takes_number(argv[i])) {
            i++;
        } else if (argv[i][0] == '-' || name) {
            return shell_usage("stress");
        } else {
            name = argv[i];
        }
    }
    if (!number_option(argc, argv, "--count", 1, UINT64_MAX, &count) ||
        !number_option(argc, argv, "--seed", 0, UINT64_MAX, &seed) ||
        !number_option(argc, argv, "--threads", 1, THREADS_MAX, &threads)) {
        return shell_usage("stress");
    }
    if (name && !name_is_known(name)) {
        shell_printf("stress: this kernel has no run called %s\n", name);
        return SHELL_FAILED;
    }
    int result = SHELL_OK;
    HX_SET_FOREACH (stresses, it) {
        struct stress_run run = {
            .seed = seed, .count = count ? count : (*it)->count, .threads = (u32)threads};
        if ((!name || str_equal((*it)->name, name)) && !run_one(*it, &run)) {
            result = SHELL_FAILED;
        }
    }
    return result;
}

SHELL_COMMAND(stress, "stress", "[sched | alloc] [--count N] [--seed S] [--threads N]",
              "many tasks on all CPUs do random things and count them on both sides",
              "No name: every run. Prints what was attempted, what was refused (failed), what is "
              "missing (lost)\nand the frames that did not come back; fails when anything was lost "
              "or leaked.",
              command_stress);
