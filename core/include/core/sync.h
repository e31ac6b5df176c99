/* SPDX-License-Identifier: MIT */
/* Blocking synchronisation between tasks: mutex, semaphore, event, condition variable, read-write
 * lock. All waits take a deadline in ns since boot, or WAIT_FOREVER.
 * Context of all: thread, no spinlock held, unless it says otherwise.
 */
#ifndef CORE_SYNC_H
#define CORE_SYNC_H

#include <core/wait.h>

/* Mutex. Its owner releases it; it goes to the task that has waited longest, so a releaser that
 * wants it again at once cannot starve the others. */
struct mutex {
    u64 owner; /* a: struct task *, bit 0: somebody waits */
    struct wait_queue queue;
};

#define MUTEX_INIT(m)                                                                              \
    {                                                                                              \
        .queue = WAIT_QUEUE_INIT((m).queue)                                                        \
    }

void mutex_init(struct mutex *mutex);
/* Return: HX_OK; HX_ERR_TIMED_OUT; HX_ERR_CANCELLED; HX_ERR_DEADLOCK, the caller has it. */
enum hx_status mutex_acquire_until(struct mutex *mutex, u64 deadline_ns) HX_MUST_CHECK;
/* Without a deadline, not ended by a kill: for short sections inside the kernel. */
void mutex_acquire(struct mutex *mutex);
bool mutex_acquire_try(struct mutex *mutex);
void mutex_release(struct mutex *mutex);
bool mutex_is_held(const struct mutex *mutex); /* by the caller */

/* Counting semaphore. */
struct semaphore {
    u32 count; /* queue.lock */
    struct wait_queue queue;
};

void semaphore_init(struct semaphore *semaphore, u32 count);
enum hx_status semaphore_down(struct semaphore *semaphore, u64 deadline_ns) HX_MUST_CHECK;
bool semaphore_down_try(struct semaphore *semaphore); /* any context but NMI */
void semaphore_up(struct semaphore *semaphore);       /* any context but NMI */

/* Event: set wakes all waiters (or, with auto-reset, one, and resets itself). */
struct event {
    bool set, auto_reset; /* queue.lock */
    struct wait_queue queue;
};

void event_init(struct event *event, bool set, bool auto_reset);
enum hx_status event_wait(struct event *event, u64 deadline_ns) HX_MUST_CHECK;
void event_set(struct event *event);   /* any context but NMI */
void event_reset(struct event *event); /* any context but NMI */

/* Condition variable, with the mutex that guards the condition. */
struct condition {
    u32 signals; /* queue.lock; ever given */
    struct wait_queue queue;
};

void condition_init(struct condition *condition);
/* The mutex is held again on return, whatever the status. May return HX_OK without a signal of its
 * own: check the condition again. */
enum hx_status condition_wait(struct condition *condition, struct mutex *mutex,
                              u64 deadline_ns) HX_MUST_CHECK;
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

/* Read-write lock, given out in the order of asking: a waiting writer holds new readers back. */
struct rwlock {
    s32 readers; /* queue.lock; -1: a writer has it */
    struct wait_queue queue;
};

void rwlock_init(struct rwlock *lock);
enum hx_status rwlock_read_acquire(struct rwlock *lock, u64 deadline_ns) HX_MUST_CHECK;
void rwlock_read_release(struct rwlock *lock);
enum hx_status rwlock_write_acquire(struct rwlock *lock, u64 deadline_ns) HX_MUST_CHECK;
void rwlock_write_release(struct rwlock *lock);

#endif
