/* SPDX-License-Identifier: MIT */
/* The intent scheduler in the kernel: answers to intents, the short paths against the long ones,
 * inheritance by mutexes, contexts that go along with calls, and a policy that is bad on purpose.
 */
#include <core/cpu.h>
#include <core/log.h>
#include <core/sched.h>
#include <core/sync.h>
#include <core/time.h>
#include <dis/policy.h>
#include <dis/task.h>
#include <ktest.h>

#define LATER (time_now_ns() + 5 * HX_NS_PER_SEC) /* never reached by what works */

static struct {
    struct mutex mutex;
    struct event event;
    struct task *server, *client;
    volatile u32 step, stop;
    u64 served, asked;
} test;

static struct task *start(void (*entry)(void *arg), u64 affinity)
{
    struct task *task;
    if (task_create("ktest", entry, NULL, &task) != HX_OK) {
        ktest_fail(__FILE__, __LINE__, "no task");
        return NULL;
    }
    if (affinity != 0 && sched_affinity_set(task, affinity) != HX_OK) {
        ktest_fail(__FILE__, __LINE__, "no such CPU");
    }
    task_start(task);
    return task;
}

static void end_of(struct task *task)
{
    s64 value;
    if (task && task_join(task, LATER, &value) != HX_OK) {
        ktest_fail(__FILE__, __LINE__, "it does not end");
    } else if (task) {
        task_put(task);
    }
}

static void nothing(void *arg)
{
    (void)arg;
}

KTEST(intent, too_much_is_refused_and_the_answer_says_what_fits)
{
    struct hx_intent in = {.size = sizeof(in),
                           .cls = HX_CLASS_REALTIME,
                           .flags = HX_INTENT_PINNED,
                           .affinity = 1,
                           .period = 10 * HX_NS_PER_MS,
                           .wcet = 6 * HX_NS_PER_MS};
    struct hx_intent_result result;
    struct task *first, *second;
    /* What others had reserved is theirs until their deadlines. */
    KTEST_STATUS(task_sleep_until(time_now_ns() + 100 * HX_NS_PER_MS), HX_OK);
    KTEST_STATUS(task_create("first", nothing, NULL, &first), HX_OK);
    KTEST_STATUS(task_create("second", nothing, NULL, &second), HX_OK);
    KTEST_STATUS(dis_intent_set(&first->own, &in, &dis_rights_all, &result), HX_OK);
    KTEST_EQUAL(result.verdict, HX_INTENT_ADMITTED);
    KTEST_EQUAL(result.cpu, 0);
    KTEST_STATUS(dis_intent_set(&second->own, &in, &dis_rights_all, &result), HX_ERR_NO_FIT);
    KTEST_EQUAL(result.verdict, HX_INTENT_REFUSED);
    KTEST_ASSERT(result.max_wcet > HX_NS_PER_MS && result.max_wcet < 4 * HX_NS_PER_MS);
    in.wcet = result.max_wcet + 1;
    KTEST_STATUS(dis_intent_set(&second->own, &in, &dis_rights_all, &result), HX_ERR_NO_FIT);
    in.wcet = result.max_wcet;
    KTEST_STATUS(dis_intent_set(&second->own, &in, &dis_rights_all, &result), HX_OK);
    task_start(first);
    task_start(second);
    end_of(first);
    end_of(second);
}

KTEST(intent, nonsense_is_refused_by_name)
{
    struct hx_intent good = {.size = sizeof(good),
                             .cls = HX_CLASS_REALTIME,
                             .period = 10 * HX_NS_PER_MS,
                             .wcet = HX_NS_PER_MS};
    struct hx_intent in;
    u32 reason;
    struct {
        size_t offset;
        u64 value;
        u32 size, reason;
    } wrong[] = {
        {offsetof(struct hx_intent, size), 79, 4, HX_REASON_FIELD},
        {offsetof(struct hx_intent, cls), HX_CLASS_COUNT, 4, HX_REASON_CLASS},
        {offsetof(struct hx_intent, flags), 4, 4, HX_REASON_FIELD},
        {offsetof(struct hx_intent, weight), 1, 4, HX_REASON_FIELD},
        {offsetof(struct hx_intent, period), 0, 8, HX_REASON_FIELD},
        {offsetof(struct hx_intent, period), UINT64_MAX, 8, HX_REASON_FIELD},
        {offsetof(struct hx_intent, deadline), 11 * HX_NS_PER_MS, 8, HX_REASON_FIELD},
        {offsetof(struct hx_intent, wcet), 11 * HX_NS_PER_MS, 8, HX_REASON_FIELD},
        {offsetof(struct hx_intent, wcet), 0, 8, HX_REASON_FIELD},
        {offsetof(struct hx_intent, latency), 1, 8, HX_REASON_FIELD},
        {offsetof(struct hx_intent, reserved), 1, 4, HX_REASON_FIELD},
        {offsetof(struct hx_intent, slice), 1, 8, HX_REASON_FIELD},
    };
    in = good;
    KTEST_STATUS(dis_intent_check(&in, &reason), HX_OK);
    for (u32 i = 0; i < HX_ARRAY_SIZE(wrong); i++) {
        in = good;
        memcpy((u8 *)&in + wrong[i].offset, &wrong[i].value, wrong[i].size);
        KTEST_STATUS(dis_intent_check(&in, &reason), HX_ERR_INVALID);
        KTEST_EQUAL(reason, wrong[i].reason);
    }
}

/* inheritance: a background task has a mutex, a hog keeps the CPU from it, a realtime task wants
 * the mutex. Without inheritance it waits until the background guard has let the owner through. */

#define HELD_NS (4 * HX_NS_PER_MS)

static void holder(void *arg)
{
    (void)arg;
    mutex_acquire(&test.mutex);
    u64 end = LATER;
    test.step = 1;
    while (test.step != 2 && time_now_ns() < end) { /* the other is there */
        hal_cpu_relax();
    }
    u64 begin = sched_cpu_time_ns(task_current());
    while (sched_cpu_time_ns(task_current()) - begin < HELD_NS && time_now_ns() < end) {
        hal_cpu_relax();
    }
    mutex_release(&test.mutex);
}

static void hog(void *arg)
{
    (void)arg;
    u64 end = LATER;
    while (!test.stop && time_now_ns() < end) {
        hal_cpu_relax();
    }
}

static void wanter(void *arg)
{
    (void)arg;
    test.step = 2;
    mutex_acquire(&test.mutex);
    mutex_release(&test.mutex);
}

KTEST(donation, the_owner_of_a_mutex_runs_with_what_waits_for_it)
{
    const struct hx_intent background = {
        .size = sizeof(background), .cls = HX_CLASS_BACKGROUND, .affinity = 1};
    const struct hx_intent urgent = {.size = sizeof(urgent),
                                     .cls = HX_CLASS_REALTIME,
                                     .affinity = 1,
                                     .period = 20 * HX_NS_PER_MS,
                                     .wcet = 5 * HX_NS_PER_MS};
    struct hx_intent_result result;
    struct task *low, *high, *hogs[2];
    memset(&test, 0, sizeof(test));
    mutex_init(&test.mutex);
    KTEST_STATUS(dis_task_start("low", &background, holder, NULL, &result, &low), HX_OK);
    u64 end = LATER;
    while (!test.step && time_now_ns() < end) {
        HX_IGNORE(task_sleep_until(time_now_ns() + 100 * HX_NS_PER_US), "it looks again");
    }
    for (u32 i = 0; i < 2; i++) {
        hogs[i] = start(hog, 1);
    }
    enum hx_status status;
    do { /* what others had reserved is theirs until their deadlines */
        HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it tries again");
        status = dis_task_start("high", &urgent, wanter, NULL, &result, &high);
    } while (status == HX_ERR_NO_FIT && time_now_ns() < end);
    KTEST_STATUS(status, HX_OK);
    s64 value;
    KTEST_STATUS(task_join(high, LATER, &value), HX_OK);
    bool hogs_run = hogs[0]->state == TASK_RUNNING;
    u64 lent = high->own.acct.donated_out_ns;
    test.stop = 1;
    task_put(high);
    end_of(low);
    end_of(hogs[0]);
    end_of(hogs[1]);
    KTEST_ASSERT(hogs_run);
    KTEST_ASSERT(lent > 0); /* the owner ran at its waiter's expense */
}

/* Calls of kernel threads, which do not park: the reply is a wake-up. The replies of programs are
 * ipctest's. */

static void server(void *arg)
{
    (void)arg;
    for (;;) {
        u64 irqs = hal_irq_save();
        if (test.step == 1) {
            test.step = 0;
            test.served++;
            sched_wake_masked(test.client); /* which takes back what it lent */
        }
        task_current()->state = TASK_BLOCKED;
        sched_block();
        hal_irq_restore(irqs);
        if (test.stop) {
            return;
        }
    }
}

static void client(void *arg)
{
    (void)arg;
    test.client = task_current();
    struct sched_ctx *own = &task_current()->own;
    for (u32 i = 0; i < 1000; i++) {
        u64 irqs = hal_irq_save();
        struct cpu *cpu = cpu_this();
        if (sched_handoff_call_lock(cpu, task_current(), test.server, false)) {
            test.step = 1;
            sched_handoff_call(cpu, task_current(), test.server);
            test.asked++;
        }
        bool mine = task_current()->runner.own == own && own->runner == &task_current()->runner;
        hal_irq_restore(irqs);
        if (!mine) {
            ktest_fail(__FILE__, __LINE__, "its context did not come back");
            return;
        }
        task_yield();
    }
}

KTEST(donation, a_context_goes_along_with_a_call_and_comes_back)
{
    memset(&test, 0, sizeof(test));
    test.server = start(server, 1);
    KTEST_ASSERT(test.server);
    u64 end = LATER;
    while (test.server->state != TASK_BLOCKED && time_now_ns() < end) {
        task_yield();
    }
    struct task *task = start(client, 1);
    end_of(task);
    test.stop = 1;
    sched_wake(test.server);
    end_of(test.server);
    KTEST_ASSERT(test.asked > 500); /* the others found something more urgent */
    KTEST_EQUAL(test.asked, test.served);
}

/* a bad policy */

KTEST(policy, chaos_is_ejected_and_nobody_is_lost)
{
    struct task *hogs[6];
    enum log_level level = log_console_level(LOG_PANIC);
    memset(&test, 0, sizeof(test));
    for (u32 i = 0; i < HX_ARRAY_SIZE(hogs); i++) {
        hogs[i] = start(hog, 1);
    }
    u64 end = LATER;
    enum hx_status status;
    while ((status = sched_policy_set("chaos")) == HX_ERR_BUSY && time_now_ns() < end) {
        task_yield();
    }
    while (dis_policy_current() == &dis_policy_chaos && time_now_ns() < end) {
        HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it looks again");
    }
    test.stop = 1;
    for (u32 i = 0; i < HX_ARRAY_SIZE(hogs); i++) {
        end_of(hogs[i]);
    }
    bool ejected = dis_policy_current() == &dis_policy_builtin;
    while (sched_policy_set("fair") == HX_ERR_BUSY && time_now_ns() < end) {
        task_yield();
    }
    log_console_level(level);
    KTEST_STATUS(status, HX_OK);
    KTEST_ASSERT(ejected);
}
