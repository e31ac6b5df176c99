/* SPDX-License-Identifier: MIT */
/* Tasks and the scheduler: birth and death, kills in each kind of wait, preemption, affinity, calls
 * between CPUs, grace periods, and a policy that answers wrong.
 */
#include <core/cpu.h>
#include <core/grace.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/sync.h>
#include <core/task.h>
#include <core/time.h>
#include <dis/policy.h>
#include <hal/layout.h>
#include <helix/log.h>
#include <core/log.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory/trim.h>

#define MANY  50
#define LATER (time_now_ns() + 5 * HX_NS_PER_SEC) /* never reached by what works */

static struct {
    struct mutex mutex;
    struct semaphore semaphore;
    struct event event;
    struct condition condition;
    struct rwlock rwlock;
    struct task *other;
    volatile u32 flag, ready;
} test;

static void reset(void)
{
    memset(&test, 0, sizeof(test));
    mutex_init(&test.mutex);
    semaphore_init(&test.semaphore, 0);
    event_init(&test.event, false, false);
    condition_init(&test.condition);
    rwlock_init(&test.rwlock);
}

static struct task *start(void (*entry)(void *arg), void *arg)
{
    struct task *task;
    if (task_create("ktest", entry, arg, &task) != HX_OK) {
        ktest_fail(__FILE__, __LINE__, "no task");
        return NULL;
    }
    task_start(task);
    return task;
}

/* Joins, gives the reference up. */
static s64 end_of(struct task *task)
{
    s64 value = -1000;
    if (task) {
        enum hx_status status = task_join(task, LATER, &value);
        if (status != HX_OK) {
            ktest_fail(__FILE__, __LINE__, "join: %s", hx_status_name(status));
        }
        task_put(task);
    }
    return value;
}

static void exit_with(void *arg)
{
    task_exit(*(s64 *)arg);
}

static void come_back(void *arg)
{
    (void)arg;
}

KTEST(task, exit_value_reaches_every_joiner)
{
    s64 values[MANY], again;
    struct task *tasks[MANY];
    for (u32 i = 0; i < MANY; i++) {
        values[i] = (s64)i * 1000000007 - 5;
        tasks[i] = start(exit_with, &values[i]);
        KTEST_ASSERT(tasks[i]);
    }
    for (u32 i = 0; i < MANY; i++) {
        KTEST_STATUS(task_join(tasks[i], LATER, &again), HX_OK);
        KTEST_EQUAL(again, values[i]);
        KTEST_EQUAL(end_of(tasks[i]), values[i]);
    }
    KTEST_EQUAL(end_of(start(come_back, NULL)), 0);
}

KTEST(task, a_name_that_is_too_long_is_cut)
{
    struct task *task;
    KTEST_STATUS(task_create("a name of more than twenty-four bytes", come_back, NULL, &task),
                 HX_OK);
    KTEST_STRING(task->name, "a name of more than twe");
    task_start(task);
    end_of(task);
}

KTEST(task, joining_has_its_limits)
{
    s64 value;
    struct task *task;
    KTEST_STATUS(task_join(task_current(), LATER, &value), HX_ERR_DEADLOCK);
    KTEST_STATUS(task_create("unborn", come_back, NULL, &task), HX_OK);
    KTEST_STATUS(task_join(task, time_now_ns() + HX_NS_PER_MS, &value), HX_ERR_TIMED_OUT);
    task_start(task);
    KTEST_EQUAL(end_of(task), 0);
}

/* kills */

static void wait_event(void *arg)
{
    (void)arg;
    task_exit(event_wait(&test.event, WAIT_FOREVER));
}

static void wait_semaphore(void *arg)
{
    (void)arg;
    task_exit(semaphore_down(&test.semaphore, WAIT_FOREVER));
}

static void wait_mutex(void *arg)
{
    (void)arg;
    task_exit(mutex_acquire_until(&test.mutex, WAIT_FOREVER));
}

static void wait_condition(void *arg)
{
    (void)arg;
    struct mutex own;
    mutex_init(&own);
    mutex_acquire(&own);
    enum hx_status status = condition_wait(&test.condition, &own, WAIT_FOREVER);
    task_exit(mutex_is_held(&own) ? status : HX_ERR_BAD_STATE);
}

static void wait_reader(void *arg)
{
    (void)arg;
    task_exit(rwlock_read_acquire(&test.rwlock, WAIT_FOREVER));
}

static void wait_writer(void *arg)
{
    (void)arg;
    task_exit(rwlock_write_acquire(&test.rwlock, WAIT_FOREVER));
}

static void wait_asleep(void *arg)
{
    (void)arg;
    task_exit(task_sleep_until(WAIT_FOREVER));
}

static void wait_join(void *arg)
{
    (void)arg;
    s64 value;
    task_exit(task_join(test.other, WAIT_FOREVER, &value));
}

static void (*const waits[])(void *arg) = {wait_event,  wait_semaphore, wait_mutex,  wait_condition,
                                           wait_reader, wait_writer,    wait_asleep, wait_join};

static void kill_each_wait(bool asleep_first)
{
    reset();
    mutex_acquire(&test.mutex);
    KTEST_STATUS(rwlock_write_acquire(&test.rwlock, WAIT_FOREVER), HX_OK);
    KTEST_STATUS(task_create("never started", come_back, NULL, &test.other), HX_OK);
    for (u32 i = 0; i < HX_ARRAY_SIZE(waits); i++) {
        struct task *task = start(waits[i], NULL);
        while (asleep_first && task->state != TASK_BLOCKED && task->state != TASK_SLEEPING) {
            task_yield();
        }
        task_kill(task);
        s64 value = end_of(task);
        if (value != HX_ERR_CANCELLED) {
            ktest_fail(__FILE__, __LINE__, "wait %u ended with %ld", i, value);
        }
    }
    task_start(test.other);
    end_of(test.other);
    rwlock_write_release(&test.rwlock);
    mutex_release(&test.mutex);
}

KTEST(task, a_kill_ends_every_wait)
{
    KTEST_CALL(kill_each_wait(true));
    KTEST_ASSERT(mutex_acquire_try(&test.mutex));
    mutex_release(&test.mutex);
    KTEST_STATUS(rwlock_write_acquire(&test.rwlock, 0), HX_OK);
    rwlock_write_release(&test.rwlock);
}

KTEST(task, a_kill_that_comes_first_is_not_forgotten)
{
    KTEST_CALL(kill_each_wait(false));
}

static void lock_shortly(void *arg)
{
    (void)arg;
    mutex_acquire(&test.mutex);
    bool held = mutex_is_held(&test.mutex);
    mutex_release(&test.mutex);
    task_exit(held);
}

KTEST(task, a_kill_does_not_end_what_must_not_end)
{
    reset();
    mutex_acquire(&test.mutex);
    struct task *task = start(lock_shortly, NULL);
    KTEST_ASSERT(task);
    while (task->state != TASK_BLOCKED) {
        task_yield();
    }
    task_kill(task);
    s64 value;
    KTEST_STATUS(task_join(task, time_now_ns() + 2 * HX_NS_PER_MS, &value), HX_ERR_TIMED_OUT);
    mutex_release(&test.mutex);
    KTEST_EQUAL(end_of(task), true);
}

/* scheduling */

static void spin_until_flag(void *arg)
{
    (void)arg;
    test.ready = 1;
    while (!test.flag) {
        hal_cpu_relax();
    }
}

KTEST(sched, a_thread_that_never_yields_is_preempted)
{
    reset();
    struct task *spinners[2];
    cpu_id_t here = hal_cpu_number();
    KTEST_STATUS(sched_affinity_set(task_current(), 1ull << here), HX_OK);
    for (u32 i = 0; i < 2; i++) {
        KTEST_STATUS(task_create("spinner", spin_until_flag, NULL, &spinners[i]), HX_OK);
        HX_IGNORE(sched_affinity_set(spinners[i], 1ull << here), "this CPU is online");
        task_start(spinners[i]);
    }
    /* Both spin on this CPU: we get it back only by the end of a slice. */
    for (u32 i = 0; i < 3; i++) {
        task_yield();
    }
    u32 ready = test.ready;
    KTEST_STATUS(task_sleep_until(time_now_ns() + HX_NS_PER_MS), HX_OK);
    test.flag = 1;
    end_of(spinners[0]);
    end_of(spinners[1]);
    HX_IGNORE(sched_affinity_set(task_current(), ~0ull), "all CPUs");
    KTEST_EQUAL(ready, 1);
}

static void tell_cpu(void *arg)
{
    (void)arg;
    for (u32 i = 0; i < 20; i++) {
        task_yield();
    }
    task_exit((s64)hal_cpu_number());
}

KTEST(sched, a_confined_task_stays_on_its_cpu)
{
    for (u64 mask = cpu_online_mask(); mask; mask &= mask - 1) {
        u64 bit = mask & -mask;
        struct task *task;
        KTEST_STATUS(task_create("confined", tell_cpu, NULL, &task), HX_OK);
        KTEST_STATUS(sched_affinity_set(task, bit), HX_OK);
        task_start(task);
        KTEST_EQUAL(end_of(task), (u64)__builtin_ctzll(bit));
        KTEST_STATUS(sched_affinity_set(task_current(), bit), HX_OK);
        KTEST_EQUAL(hal_cpu_number(), (u64)__builtin_ctzll(bit));
    }
    KTEST_STATUS(sched_affinity_set(task_current(), 0), HX_ERR_INVALID);
    KTEST_STATUS(sched_affinity_set(task_current(), ~cpu_online_mask()), HX_ERR_INVALID);
    KTEST_STATUS(sched_affinity_set(task_current(), ~0ull), HX_OK);
}

/* policies that answer wrong */

static u32 pick_none(struct sched_queue *q)
{
    (void)q;
    return SCHED_ID_NONE;
}

static u32 pick_nonsense(struct sched_queue *q)
{
    (void)q;
    return SCHED_ID_NONE - 1;
}

static u32 pick_somebody_else(struct sched_queue *q)
{
    (void)q;
    return test.other->own.id; /* never started: it waits on no queue */
}

static enum hx_status init_fails(struct sched_queue *q)
{
    q->state[0] = 1;
    return HX_ERR_BUSY;
}

/* An exchange is refused while the last one is under way. */
static void set_policy(const struct sched_policy_ops *ops)
{
    enum hx_status status;
    u64 end = LATER;
    do {
        task_yield();
        status = dis_policy_set(ops);
    } while (status == HX_ERR_BUSY && time_now_ns() < end);
    KTEST_STATUS(status, HX_OK);
}

static void run_through(const struct sched_policy_ops *ops)
{
    struct task *tasks[10];
    s64 total = 0;
    u64 cursor = log_next_sequence();
    cpu_id_t cpu = hal_cpu_number();
    for (u32 i = 0; i < HX_ARRAY_SIZE(tasks); i++) {
        KTEST_STATUS(task_create("judged", tell_cpu, NULL, &tasks[i]), HX_OK);
        KTEST_STATUS(sched_affinity_set(tasks[i], 1ull << cpu), HX_OK);
    }
    enum log_level level = log_console_level(LOG_PANIC);
    set_policy(ops);
    for (u32 i = 0; i < HX_ARRAY_SIZE(tasks); i++) {
        task_start(tasks[i]);
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(tasks); i++) {
        total += end_of(tasks[i]) == (s64)cpu;
    }
    log_console_level(level);
    KTEST_EQUAL(total, HX_ARRAY_SIZE(tasks)); /* all there, and all of them ended */
    static struct log_entry entry;
    bool said = false;
    while (log_read(&cursor, &entry)) {
        said |= strncmp(entry.text, "policy ejected on CPU", 21) == 0;
    }
    KTEST_ASSERT(said);
}

KTEST(sched, a_policy_that_answers_wrong_is_ejected_and_nobody_is_lost)
{
    static u32 (*const picks[])(struct sched_queue * q) = {pick_none, pick_nonsense,
                                                           pick_somebody_else};
    reset();
    KTEST_STATUS(task_create("never started", come_back, NULL, &test.other), HX_OK);
    for (u32 i = 0; i < HX_ARRAY_SIZE(picks); i++) {
        static struct sched_policy_ops liar;
        liar = dis_policy_round_robin;
        liar.name = "liar";
        liar.pick = picks[i];
        KTEST_CALL(run_through(&liar));
        KTEST_ASSERT(dis_policy_current() == &dis_policy_builtin);
        KTEST_CALL(set_policy(&dis_policy_fair));
    }
    task_start(test.other);
    end_of(test.other);
}

KTEST(sched, a_policy_that_does_not_fit_is_refused)
{
    struct sched_policy_ops ops = dis_policy_round_robin;
    const struct sched_policy_ops *before = dis_policy_current();
    ops.abi_version++;
    KTEST_STATUS(dis_policy_set(&ops), HX_ERR_ABI);
    ops = dis_policy_round_robin;
    ops.size--;
    KTEST_STATUS(dis_policy_set(&ops), HX_ERR_ABI);
    ops = dis_policy_round_robin;
    ops.pick = NULL;
    KTEST_STATUS(dis_policy_set(&ops), HX_ERR_INVALID);
    ops = dis_policy_round_robin;
    ops.init = init_fails;
    KTEST_STATUS(dis_policy_set(&ops), HX_ERR_BUSY);
    KTEST_STATUS(sched_policy_set("no such policy"), HX_ERR_NOT_FOUND);
    task_yield(); /* the old one still serves, with its state */
    KTEST_ASSERT(dis_policy_current() == before);
}

static void mark_cpu(void *arg)
{
    __atomic_fetch_or((u64 *)arg, 1ull << hal_cpu_number(), __ATOMIC_RELAXED);
}

KTEST(cpu, a_call_runs_on_every_cpu_of_the_mask_and_on_no_other)
{
    u64 all = cpu_online_mask(), ran = 0;
    cpu_call(all, mark_cpu, &ran);
    KTEST_EQUAL(ran, all);
    for (u64 mask = all; mask; mask &= mask - 1) {
        ran = 0;
        cpu_call(mask & -mask, mark_cpu, &ran);
        KTEST_EQUAL(ran, mask & -mask);
    }
    ran = 0;
    cpu_call(0, mark_cpu, &ran);
    KTEST_EQUAL(ran, 0);
}

struct cpu_timer {
    struct timer timer;
    volatile u32 fired_on; /* CPU + 1 */
};

static void cpu_timer_fired(struct timer *timer)
{
    HX_CONTAINER_OF(timer, struct cpu_timer, timer)->fired_on = hal_cpu_number() + 1;
}

KTEST(cpu, every_cpu_has_its_timer)
{
    static struct cpu_timer timers[HAL_CPUS_MAX];
    memset(timers, 0, sizeof(timers));
    for (u64 mask = cpu_online_mask(); mask; mask &= mask - 1) {
        u32 cpu = (u32)__builtin_ctzll(mask);
        KTEST_STATUS(sched_affinity_set(task_current(), 1ull << cpu), HX_OK);
        timers[cpu].timer.expired = cpu_timer_fired;
        timer_start(&timers[cpu].timer, time_now_ns() + HX_NS_PER_MS);
    }
    KTEST_STATUS(sched_affinity_set(task_current(), ~0ull), HX_OK);
    for (u64 mask = cpu_online_mask(); mask; mask &= mask - 1) {
        u32 cpu = (u32)__builtin_ctzll(mask);
        u64 end = LATER;
        while (!timers[cpu].fired_on && time_now_ns() < end) {
            task_yield();
        }
        KTEST_EQUAL(timers[cpu].fired_on, cpu + 1);
    }
}

/* grace periods */

static struct {
    struct grace_callback callback;
    volatile u32 reading, over, over_while_reading;
} grace;

static void grace_over(struct grace_callback *callback)
{
    (void)callback;
    grace.over_while_reading = grace.reading;
    __atomic_store_n(&grace.over, 1, __ATOMIC_RELEASE);
}

static void reader(void *arg)
{
    (void)arg;
    preempt_disable();
    grace.reading = 1;
    u64 end = time_now_ns() + 20 * HX_NS_PER_MS;
    while (time_now_ns() < end) {
        hal_cpu_relax();
    }
    grace.reading = 0;
    preempt_enable();
}

KTEST(grace, a_callback_waits_for_every_reader)
{
    memset(&grace, 0, sizeof(grace));
    for (u64 mask = cpu_online_mask(); mask; mask &= mask - 1) {
        struct task *task;
        grace.over = grace.reading = 0;
        KTEST_STATUS(task_create("reader", reader, NULL, &task), HX_OK);
        KTEST_STATUS(sched_affinity_set(task, mask & -mask), HX_OK);
        task_start(task);
        while (!grace.reading && !(task->state == TASK_ZOMBIE)) {
            task_yield();
        }
        grace_call(&grace.callback, grace_over);
        end_of(task);
        u64 end = LATER;
        while (!__atomic_load_n(&grace.over, __ATOMIC_ACQUIRE) && time_now_ns() < end) {
            task_yield();
        }
        KTEST_EQUAL(grace.over, 1);
        KTEST_EQUAL(grace.over_while_reading, 0);
    }
    grace_wait();
}

/* allocation failures */

static u64 free_at_rest(void)
{
    grace_wait();
    task_reap();
    memory_trim();
    return frame_free_count();
}

static void create_with_failures(void (*fail_after)(u32 n))
{
    u32 failures = 0;
    u64 before = free_at_rest();
    for (u32 n = 1;; n++) {
        struct task *task;
        memory_trim(); /* so that there is something to allocate */
        fail_after(n);
        enum hx_status status = task_create("short of memory", come_back, NULL, &task);
        fail_after(0);
        if (status == HX_OK) {
            task_start(task);
            end_of(task);
            break;
        }
        failures++;
        KTEST_STATUS(status, HX_ERR_NO_MEMORY);
        KTEST_ASSERT(n < 100);
    }
    KTEST_ASSERT(failures > 0);
    KTEST_EQUAL(free_at_rest(), before);
}

KTEST(task, creation_survives_the_failure_of_any_heap_allocation)
{
    create_with_failures(heap_fail_after);
}

KTEST(task, creation_survives_the_failure_of_any_frame_allocation)
{
    create_with_failures(frame_fail_after);
}
