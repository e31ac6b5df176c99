/* SPDX-License-Identifier: MIT */
/* Grace periods.
 * Owns:      callbacks that wait.         Callers: whoever unlinks what lock-free readers may see.
 * Method:    one task takes all callbacks that have come in, notes every CPU's count of quiescent
 *            states, makes CPUs that have not moved on reschedule, and runs the callbacks when all
 *            counts have changed. A CPU that idles counts on each wake-up, which the interrupt
 *            that asks it to reschedule causes.
 * Locks:     grace.lock around the list.
 * Invariant: (1) a callback runs after every CPU that was online when it was taken has passed a
 *            quiescent state that began after the callback was handed in.
 */
#include <core/grace.h>
#include <core/sync.h>
#include <core/task.h>
#include <hal/irq.h>

#define LOOK_AGAIN_NS (100 * HX_NS_PER_US)

static struct {
    struct spinlock lock;
    struct grace_callback *first, **last; /* l */
    u32 lazy;                             /* l: of those, nobody has asked for */
    struct event wanted;
} grace = {.lock = SPINLOCK_INIT("grace callbacks", LOCK_RANK_GRACE), .last = &grace.first};

static void call(struct grace_callback *callback, void (*run)(struct grace_callback *callback),
                 bool lazy)
{
    callback->run = run;
    callback->next = NULL;
    u64 state = spin_lock_irq(&grace.lock);
    *grace.last = callback;
    grace.last = &callback->next;
    bool wake = !lazy || ++grace.lazy == GRACE_LAZY_MAX;
    spin_unlock_irq(&grace.lock, state);
    if (wake) {
        event_set(&grace.wanted);
    }
}

void grace_call(struct grace_callback *callback, void (*run)(struct grace_callback *callback))
{
    call(callback, run, false);
}

void grace_call_lazy(struct grace_callback *callback, void (*run)(struct grace_callback *callback))
{
    call(callback, run, true);
}

static void wait_for_all_cpus(void)
{
    static u32 before[HAL_CPUS_MAX]; /* one task runs this */
    u64 online = cpu_online_mask();
    for (u64 mask = online; mask; mask &= mask - 1) {
        cpu_id_t cpu = (cpu_id_t)__builtin_ctzll(mask);
        before[cpu] = __atomic_load_n(&cpus[cpu].quiescent, __ATOMIC_ACQUIRE);
        __atomic_store_n(&cpus[cpu].resched, true, __ATOMIC_RELEASE);
        if (cpu != hal_cpu_number()) { /* being moved meanwhile costs one needless interrupt */
            hal_irq.send_ipi(cpu, IPI_RESCHEDULE);
        }
    }
    task_yield();
    for (u64 mask = online; mask; mask &= mask - 1) {
        cpu_id_t cpu = (cpu_id_t)__builtin_ctzll(mask);
        while (__atomic_load_n(&cpus[cpu].quiescent, __ATOMIC_ACQUIRE) == before[cpu] &&
               cpu_is_online(cpu)) {
            HX_IGNORE(task_sleep_until(time_now_ns() + LOOK_AGAIN_NS), "it looks again anyway");
        }
    }
}

static void grace_main(void *arg)
{
    (void)arg;
    for (;;) {
        HX_IGNORE(event_wait(&grace.wanted, WAIT_FOREVER), "nobody kills this task");
        u64 state = spin_lock_irq(&grace.lock);
        struct grace_callback *callback = grace.first;
        grace.first = NULL;
        grace.last = &grace.first;
        grace.lazy = 0;
        spin_unlock_irq(&grace.lock, state);
        if (callback) {
            wait_for_all_cpus();
        }
        while (callback) {
            struct grace_callback *next = callback->next; /* run() may free it */
            callback->run(callback);
            callback = next;
        }
    }
}

struct waiter {
    struct grace_callback callback;
    struct event done;
};

static void waiter_done(struct grace_callback *callback)
{
    event_set(&HX_CONTAINER_OF(callback, struct waiter, callback)->done);
}

void grace_wait(void)
{
    struct waiter waiter;
    event_init(&waiter.done, false, false);
    grace_call(&waiter.callback, waiter_done);
    while (event_wait(&waiter.done, WAIT_FOREVER) != HX_OK) {
        /* Killed: the callback still points here, so there is no way out but the end. */
        task_yield();
    }
    /* The waker may still be inside event_set(); taking its lock waits until it has left. */
    u64 state = spin_lock_irq(&waiter.done.queue.lock);
    spin_unlock_irq(&waiter.done.queue.lock, state);
}

enum hx_status grace_init(void)
{
    struct task *task;
    event_init(&grace.wanted, false, true);
    enum hx_status status = task_create("grace", grace_main, NULL, &task);
    if (status == HX_OK) {
        task_start(task);
    }
    return status;
}
