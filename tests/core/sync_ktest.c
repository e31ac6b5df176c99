/* SPDX-License-Identifier: MIT */
/* Waiting: order of wake-ups, deadlines, and what each object promises.
 */
#include <core/cpu.h>
#include <core/sync.h>
#include <core/task.h>
#include <core/time.h>
#include <ktest.h>

#define WAITERS 5
#define SOON    (time_now_ns() + HX_NS_PER_MS)
#define LATER   (time_now_ns() + 5 * HX_NS_PER_SEC)

static struct {
    struct mutex mutex;
    struct semaphore semaphore;
    struct event event;
    struct condition condition;
    struct rwlock rwlock;
    struct task *tasks[WAITERS];
    u32 order[WAITERS];
    u32 count; /* a: how many are in `order` */
    volatile u32 condition_holds;
} test;

static void note(u32 index)
{
    test.order[__atomic_fetch_add(&test.count, 1, __ATOMIC_ACQ_REL)] = index;
}

/* Starts WAITERS tasks, each only after the one before has gone to sleep. */
static void start_all(void (*entry)(void *arg))
{
    test.count = 0;
    for (u32 i = 0; i < WAITERS; i++) {
        KTEST_STATUS(task_create("waiter", entry, (void *)(uintptr_t)i, &test.tasks[i]), HX_OK);
        task_start(test.tasks[i]);
        u64 end = LATER;
        while (test.tasks[i]->state != TASK_BLOCKED && time_now_ns() < end) {
            task_yield();
        }
    }
}

static void join_all(void)
{
    for (u32 i = 0; i < WAITERS; i++) {
        s64 value = -1;
        KTEST_STATUS(task_join(test.tasks[i], LATER, &value), HX_OK);
        KTEST_EQUAL(value, 0);
        task_put(test.tasks[i]);
    }
}

static void wait_for_count(u32 count)
{
    u64 end = LATER;
    while (__atomic_load_n(&test.count, __ATOMIC_ACQUIRE) < count && time_now_ns() < end) {
        task_yield();
    }
}

static void expect_fifo(void)
{
    KTEST_EQUAL(test.count, WAITERS);
    for (u32 i = 0; i < WAITERS; i++) {
        KTEST_EQUAL(test.order[i], i);
    }
}

static void take_mutex(void *arg)
{
    mutex_acquire(&test.mutex);
    note((u32)(uintptr_t)arg);
    mutex_release(&test.mutex);
}

KTEST(sync, a_mutex_goes_to_who_has_waited_longest)
{
    mutex_init(&test.mutex);
    KTEST_ASSERT(mutex_acquire_try(&test.mutex));
    KTEST_CALL(start_all(take_mutex));
    mutex_release(&test.mutex);
    /* Handed over: we cannot have it before all of them had. */
    KTEST_STATUS(mutex_acquire_until(&test.mutex, LATER), HX_OK);
    KTEST_EQUAL(test.count, WAITERS);
    mutex_release(&test.mutex);
    KTEST_CALL(join_all());
    expect_fifo();
}

KTEST(sync, a_mutex_knows_its_owner)
{
    mutex_init(&test.mutex);
    KTEST_ASSERT(!mutex_is_held(&test.mutex));
    mutex_acquire(&test.mutex);
    KTEST_ASSERT(mutex_is_held(&test.mutex));
    KTEST_ASSERT(!mutex_acquire_try(&test.mutex));
    KTEST_STATUS(mutex_acquire_until(&test.mutex, LATER), HX_ERR_DEADLOCK);
    KTEST_CALL(start_all(take_mutex));
    KTEST_STATUS(mutex_acquire_until(&test.mutex, LATER), HX_ERR_DEADLOCK);
    mutex_release(&test.mutex);
    KTEST_CALL(join_all());
    KTEST_ASSERT(mutex_acquire_try(&test.mutex));
    mutex_release(&test.mutex);
}

static void give_up_mutex(void *arg)
{
    (void)arg;
    enum hx_status status = mutex_acquire_until(&test.mutex, SOON);
    task_exit(status == HX_ERR_TIMED_OUT ? 0 : 1);
}

KTEST(sync, a_mutex_survives_waiters_that_give_up)
{
    mutex_init(&test.mutex);
    mutex_acquire(&test.mutex);
    KTEST_CALL(start_all(give_up_mutex));
    KTEST_CALL(join_all());
    mutex_release(&test.mutex);
    KTEST_ASSERT(mutex_acquire_try(&test.mutex));
    mutex_release(&test.mutex);
}

static void down(void *arg)
{
    enum hx_status status = semaphore_down(&test.semaphore, LATER);
    note((u32)(uintptr_t)arg);
    task_exit(status);
}

KTEST(sync, a_semaphore_counts_and_wakes_in_order)
{
    semaphore_init(&test.semaphore, 2);
    KTEST_STATUS(semaphore_down(&test.semaphore, 0), HX_OK);
    KTEST_ASSERT(semaphore_down_try(&test.semaphore));
    KTEST_ASSERT(!semaphore_down_try(&test.semaphore));
    KTEST_STATUS(semaphore_down(&test.semaphore, SOON), HX_ERR_TIMED_OUT);
    KTEST_CALL(start_all(down));
    for (u32 i = 0; i < WAITERS; i++) {
        semaphore_up(&test.semaphore);
        wait_for_count(i + 1);
        KTEST_EQUAL(test.count, i + 1);
        KTEST_ASSERT(!semaphore_down_try(&test.semaphore)); /* it went to the waiter */
    }
    KTEST_CALL(join_all());
    expect_fifo();
}

static void wait_event(void *arg)
{
    enum hx_status status = event_wait(&test.event, LATER);
    note((u32)(uintptr_t)arg);
    task_exit(status);
}

KTEST(sync, an_event_wakes_all_and_stays_set)
{
    event_init(&test.event, false, false);
    KTEST_STATUS(event_wait(&test.event, SOON), HX_ERR_TIMED_OUT);
    KTEST_CALL(start_all(wait_event));
    event_set(&test.event);
    KTEST_CALL(join_all());
    KTEST_EQUAL(test.count, WAITERS);
    KTEST_STATUS(event_wait(&test.event, 0), HX_OK);
    KTEST_STATUS(event_wait(&test.event, 0), HX_OK);
    event_reset(&test.event);
    KTEST_STATUS(event_wait(&test.event, SOON), HX_ERR_TIMED_OUT);
}

KTEST(sync, an_event_with_auto_reset_wakes_one_at_a_time)
{
    event_init(&test.event, false, true);
    KTEST_CALL(start_all(wait_event));
    for (u32 i = 0; i < WAITERS; i++) {
        event_set(&test.event);
        wait_for_count(i + 1);
        HX_IGNORE(task_sleep_until(SOON), "time for a second one, if it were woken");
        KTEST_EQUAL(test.count, i + 1);
    }
    KTEST_CALL(join_all());
    expect_fifo();
    event_set(&test.event);
    event_set(&test.event);
    KTEST_STATUS(event_wait(&test.event, 0), HX_OK);
    KTEST_STATUS(event_wait(&test.event, SOON), HX_ERR_TIMED_OUT);
}

static void wait_condition(void *arg)
{
    enum hx_status status = HX_OK;
    mutex_acquire(&test.mutex);
    while (!test.condition_holds && status == HX_OK) {
        status = condition_wait(&test.condition, &test.mutex, LATER);
    }
    test.condition_holds = test.condition_holds - 1;
    note((u32)(uintptr_t)arg);
    mutex_release(&test.mutex);
    task_exit(status);
}

KTEST(sync, a_condition_wakes_one_or_all)
{
    mutex_init(&test.mutex);
    condition_init(&test.condition);
    test.condition_holds = 0;
    KTEST_CALL(start_all(wait_condition));
    mutex_acquire(&test.mutex);
    test.condition_holds = 1;
    condition_signal(&test.condition);
    mutex_release(&test.mutex);
    wait_for_count(1);
    HX_IGNORE(task_sleep_until(SOON), "time for a second one, if it were woken");
    KTEST_EQUAL(test.count, 1);
    mutex_acquire(&test.mutex);
    test.condition_holds = WAITERS - 1;
    condition_broadcast(&test.condition);
    mutex_release(&test.mutex);
    KTEST_CALL(join_all());
    KTEST_EQUAL(test.count, WAITERS);
    mutex_acquire(&test.mutex);
    KTEST_STATUS(condition_wait(&test.condition, &test.mutex, SOON), HX_ERR_TIMED_OUT);
    KTEST_ASSERT(mutex_is_held(&test.mutex));
    mutex_release(&test.mutex);
}

static void read_lock(void *arg)
{
    enum hx_status status = rwlock_read_acquire(&test.rwlock, LATER);
    note((u32)(uintptr_t)arg);
    if (status == HX_OK) {
        rwlock_read_release(&test.rwlock);
    }
    task_exit(status);
}

static void write_lock(void *arg)
{
    (void)arg;
    enum hx_status status = rwlock_write_acquire(&test.rwlock, LATER);
    u32 before = test.count;
    if (status == HX_OK) {
        rwlock_write_release(&test.rwlock);
    }
    task_exit(status == HX_OK ? (s64)before : status);
}

KTEST(sync, readers_share_and_a_waiting_writer_holds_new_ones_back)
{
    rwlock_init(&test.rwlock);
    KTEST_STATUS(rwlock_read_acquire(&test.rwlock, 0), HX_OK);
    KTEST_STATUS(rwlock_read_acquire(&test.rwlock, 0), HX_OK);
    KTEST_STATUS(rwlock_write_acquire(&test.rwlock, SOON), HX_ERR_TIMED_OUT);
    struct task *writer;
    KTEST_STATUS(task_create("writer", write_lock, NULL, &writer), HX_OK);
    task_start(writer);
    while (writer->state != TASK_BLOCKED) {
        task_yield();
    }
    KTEST_STATUS(rwlock_read_acquire(&test.rwlock, SOON), HX_ERR_TIMED_OUT);
    KTEST_CALL(start_all(read_lock));
    KTEST_EQUAL(test.count, 0);
    rwlock_read_release(&test.rwlock);
    rwlock_read_release(&test.rwlock);
    KTEST_CALL(join_all());
    s64 before = -1;
    KTEST_STATUS(task_join(writer, LATER, &before), HX_OK);
    task_put(writer);
    KTEST_EQUAL(before, 0); /* no reader went before it */
    KTEST_EQUAL(test.count, WAITERS);
    KTEST_STATUS(rwlock_write_acquire(&test.rwlock, 0), HX_OK);
    KTEST_STATUS(rwlock_read_acquire(&test.rwlock, SOON), HX_ERR_TIMED_OUT);
    rwlock_write_release(&test.rwlock);
}

KTEST(sync, a_sleep_never_ends_early)
{
    for (u32 i = 0; i < 50; i++) {
        u64 deadline = time_now_ns() + i * 20 * HX_NS_PER_US;
        KTEST_STATUS(task_sleep_until(deadline), HX_OK);
        KTEST_ASSERT(time_now_ns() >= deadline);
    }
    KTEST_STATUS(task_sleep_until(0), HX_OK);
}

static struct {
    u64 start;
} sleepers;

static void sleep_in_turn(void *arg)
{
    u32 index = (u32)(uintptr_t)arg;
    /* The later it was started, the sooner it wakes. */
    u64 deadline = sleepers.start + (WAITERS - index) * 5 * HX_NS_PER_MS;
    enum hx_status status = task_sleep_until(deadline);
    if (time_now_ns() < deadline) {
        status = HX_ERR_BAD_STATE;
    }
    note(index);
    task_exit(status);
}

/* Not the order in which they run: of two whose time has come, the policy chooses. */
KTEST(sync, sleepers_all_wake_and_none_too_early)
{
    test.count = 0;
    sleepers.start = time_now_ns() + 50 * HX_NS_PER_MS;
    for (u32 i = 0; i < WAITERS; i++) {
        KTEST_STATUS(task_create("sleeper", sleep_in_turn, (void *)(uintptr_t)i, &test.tasks[i]),
                     HX_OK);
        task_start(test.tasks[i]);
    }
    KTEST_CALL(join_all());
    KTEST_EQUAL(test.count, WAITERS);
}

/* The same deadline for a wake-up and its end: exactly one of the two counts. */
static void race(void *arg)
{
    (void)arg;
    u32 got = 0;
    while (!test.condition_holds) {
        got += semaphore_down(&test.semaphore, time_now_ns() + 30 * HX_NS_PER_US) == HX_OK;
    }
    task_exit(got);
}

KTEST(sync, of_a_wake_up_and_a_deadline_one_wins)
{
    struct task *task;
    s64 got = -1;
    u32 given = 0;
    semaphore_init(&test.semaphore, 0);
    test.condition_holds = 0;
    KTEST_STATUS(task_create("racer", race, NULL, &task), HX_OK);
    task_start(task);
    for (; given < 2000; given++) {
        HX_IGNORE(task_sleep_until(time_now_ns() + 29 * HX_NS_PER_US), "about the same moment");
        semaphore_up(&test.semaphore);
    }
    test.condition_holds = 1;
    KTEST_STATUS(task_join(task, LATER, &got), HX_OK);
    task_put(task);
    KTEST_EQUAL((u64)got + test.semaphore.count, given);
}
