/* SPDX-License-Identifier: MIT */
/* stress realtime: task sets that fill a CPU as far as admission lets them, run for real.
 * Each set is one task that exchanges the policy of the fair layers every millisecond, periodic
 * ones with random periods, and last one that takes all the room that is left; beside them run two
 * that never block. They start together, when the last one has been admitted: the exact test of a
 * set that is nearly full can take longer than the set runs. A job that ends after its deadline is
 * lost.
 * Usage: stress realtime --count SETS; the word rtms= of the kernel command line is how many
 * ms each set runs (250).
 * The figures mean something under the instruction clock only: elsewhere the host's own scheduler
 * decides what is late.
 */
#include <core/cmdline.h>
#include <core/sched.h>
#include <core/shell.h>
#include <core/sync.h>
#include <core/time.h>
#include <dis/policy.h>
#include <dis/stats.h>
#include <dis/task.h>
#include <execution/stress.h>
#include <helix/bits.h>
#include <helix/string.h>

#include "dis_priv.h"

#define TASKS_MAX    12
#define MARGIN_NS    5000 /* of a job, for what it does before and after measuring itself */
#define EXCHANGE_NS  (30 * HX_NS_PER_US) /* the most that one takes */
#define START_WITHIN (5 * HX_NS_PER_MS)  /* all tasks sleep by then */

struct job {
    u64 wcet, period, phase; /* ns; releases are set.start + phase + n * period */
    bool exchanges;
    struct task *task;
    u64 late, worst, done; /* its own; worst: ns after a deadline */
};

static struct {
    struct job job[TASKS_MAX];
    u32 jobs;
    struct event admitted; /* all are; start and end are known */
    u64 start, end;        /* no releases from `end` on */
    u64 exchanges;         /* the exchanger's */
    bool stop;             /* a */
} set;

const struct dis_rights dis_rights_all = {
    .rt_permille = 1000, .prompt_permille = 1000, .burst_max = HX_NS_PER_SEC, .system = true};

enum hx_status dis_task_start(const char *name, const struct hx_intent *intent,
                              void (*entry)(void *arg), void *arg,
                              struct hx_intent_result *out_result, struct task **out_task)
{
    struct task *task;
    enum hx_status status = task_create(name, entry, arg, &task);
    if (status != HX_OK) {
        return status;
    }
    status = dis_intent_set(&task->own, intent, &dis_rights_all, out_result);
    if (status != HX_OK) {
        task_put(task);
        return status;
    }
    task_start(task);
    *out_task = task;
    return HX_OK;
}

/* Policies are exchanged, and all contexts handed to the new one, in the first task's jobs. */
static void exchange(void)
{
    static const struct sched_policy_ops *const policies[] = {
        &dis_policy_round_robin, &dis_policy_fifo, &dis_policy_edf_soft, &dis_policy_fair};
    set.exchanges += dis_policy_set(policies[set.exchanges % 4]) == HX_OK;
    dis_policy_settle();
}

static void job_main(void *arg)
{
    struct job *job = arg;
    struct task *self = task_current();
    if (event_wait(&set.admitted, WAIT_FOREVER) != HX_OK) {
        return;
    }
    for (u64 release = set.start + job->phase; release < set.end; release += job->period) {
        if (task_sleep_until(release) != HX_OK) {
            return;
        }
        u64 begin = sched_cpu_time_ns(self);
        if (job->exchanges) {
            exchange();
        } else {
            while (sched_cpu_time_ns(self) - begin + MARGIN_NS < job->wcet) {
                hal_cpu_relax();
            }
        }
        u64 end = time_now_ns();
        if (end > release + job->period) {
            job->late++;
            job->worst = hx_max_u64(job->worst, end - release - job->period);
        }
        job->done++;
    }
}

static void hog_main(void *arg)
{
    (void)arg;
    while (!HX_READ_ONCE(set.stop)) {
        hal_cpu_relax();
    }
}

static u64 draw(u64 *state, u64 n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (u64)(((u128)*state * n) >> 64);
}

/* Adds a task; with wcet 0 one that takes all that is left. */
static enum hx_status add(u64 period, u64 wcet, u64 phase)
{
    struct job *job = &set.job[set.jobs];
    struct hx_intent_result result = {0};
    struct hx_intent in = {.size = sizeof(in),
                           .cls = SCHED_CLASS_REALTIME,
                           .period = period,
                           .wcet = wcet != 0 ? wcet : period};
    *job =
        (struct job){.period = period, .wcet = in.wcet, .phase = phase, .exchanges = set.jobs == 0};
    enum hx_status status = dis_task_start("job", &in, job_main, job, &result, &job->task);
    if (status == HX_ERR_NO_FIT && wcet == 0 && result.max_wcet > 3 * MARGIN_NS) {
        in.wcet = job->wcet = result.max_wcet;
        status = dis_task_start("job", &in, job_main, job, &result, &job->task);
    }
    set.jobs += status == HX_OK;
    return status;
}

static enum hx_status join(struct task *task)
{
    s64 value;
    enum hx_status status = task_join(task, WAIT_FOREVER, &value);
    task_put(task);
    return status;
}

static enum hx_status run_set(struct stress_run *run, u64 *random, u64 ns, u64 *out_millionths)
{
    const struct hx_intent batch = {.size = sizeof(batch), .cls = SCHED_CLASS_BATCH};
    struct hx_intent_result result;
    struct task *hogs[2];
    u32 n = 0, wanted = 3 + (u32)draw(random, TASKS_MAX - 2);
    memset(&set, 0, sizeof(set));
    event_init(&set.admitted, false, false);
    enum hx_status status = add(HX_NS_PER_MS, EXCHANGE_NS, 0);
    while (status == HX_OK && set.jobs + 1 < wanted) { /* at most twice its share of the CPU each */
        u64 period = (1 + draw(random, 20)) * HX_NS_PER_MS + draw(random, HX_NS_PER_MS);
        u64 share = 20 + draw(random, 2 * 900 / wanted);
        if (add(period, period / 1000 * share, draw(random, period)) != HX_OK) {
            break;
        }
    }
    if (status == HX_OK) {
        status = add((2 + draw(random, 18)) * HX_NS_PER_MS, 0, 0);
    }
    if (status == HX_ERR_NO_FIT) {
        status = HX_OK; /* they have filled it already */
    }
    *out_millionths = 0;
    for (u32 i = 0; i < set.jobs; i++) {
        *out_millionths += set.job[i].task->own.split[0].runtime * 1000000 / set.job[i].period;
    }
    for (; n < 2 && status == HX_OK; n += status == HX_OK) {
        status = dis_task_start("hog", &batch, hog_main, NULL, &result, &hogs[n]);
    }
    set.start = time_now_ns() + START_WITHIN;
    set.end = status == HX_OK ? set.start + ns : 0;
    event_set(&set.admitted);
    for (u32 i = 0; i < set.jobs; i++) {
        enum hx_status joined = join(set.job[i].task);
        status = status == HX_OK ? joined : status;
        run->attempted += set.job[i].done;
        if (set.job[i].late != 0) {
            stress_lost(run, "%lu of %lu jobs late, by up to %lu ns: period %lu ns, wcet %lu ns",
                        set.job[i].late, set.job[i].done, set.job[i].worst, set.job[i].period,
                        set.job[i].wcet);
        }
    }
    HX_WRITE_ONCE(set.stop, true);
    for (u32 i = 0; i < n; i++) {
        enum hx_status joined = join(hogs[i]);
        status = status == HX_OK ? joined : status;
    }
    return status;
}

static enum hx_status realtime(struct stress_run *run)
{
    const char *word = cmdline_get("rtms");
    const struct sched_policy_ops *before = dis_policy_current();
    u64 ms = 250, random = run->seed * 0x9e3779b97f4a7c15ull + 1, exchanges = 0, least = 1000000;
    enum hx_status status = HX_OK;
    if (word && (!str_to_u64(word, &ms) || ms == 0 || ms > 100000)) {
        return HX_ERR_INVALID;
    }
    for (u64 i = 0; i < run->count && status == HX_OK; i++) {
        u64 used;
        status = run_set(run, &random, ms * HX_NS_PER_MS, &used);
        exchanges += set.exchanges;
        least = hx_min_u64(least, used);
    }
    shell_printf("  %lu sets of %lu ms, at least %lu.%lu %% reserved, %lu policy exchanges\n",
                 run->count, ms, least / 10000, least / 1000 % 10, exchanges);
    while (dis_policy_set(before) == HX_ERR_BUSY) {
        task_yield();
    }
    return status;
}

STRESS(realtime, "realtime", 3, realtime);
