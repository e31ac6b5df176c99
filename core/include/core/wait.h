/* SPDX-License-Identifier: MIT */
/* Wait queues: where tasks wait for something to become true. Everything that blocks is built on
 * them. FIFO order.
 */
#ifndef CORE_WAIT_H
#define CORE_WAIT_H

#include <core/spinlock.h>
#include <helix/list.h>
#include <helix/status.h>

#define WAIT_FOREVER UINT64_MAX

struct task;

struct wait_queue {
    struct spinlock lock;
    struct list_node waiters; /* l: struct wait_entry, on the waiters' stacks */
};

#define WAIT_QUEUE_INIT(q)                                                                         \
    {                                                                                              \
        .lock = SPINLOCK_INIT("wait queue", LOCK_RANK_WAIT), .waiters = LIST_INIT((q).waiters)     \
    }

void wait_queue_init(struct wait_queue *queue);

/* Waits on a queue whose lock the caller holds (interrupts masked): gives the lock up while it
 * waits, and does not have it afterwards; interrupts are masked as before.
 * Return: HX_OK, woken by wait_wake_*; HX_ERR_TIMED_OUT, the deadline (ns, WAIT_FOREVER: none)
 * passed; HX_ERR_CANCELLED, the task was killed. Context: thread. */
enum hx_status wait_locked(struct wait_queue *queue, u64 deadline_ns) HX_MUST_CHECK;

/* Wakes the first waiter, or all. Return: how many. The queue's lock is held. */
u32 wait_wake_one_locked(struct wait_queue *queue);
u32 wait_wake_all_locked(struct wait_queue *queue);

/* The same, taking the lock. Context: any but NMI. */
u32 wait_wake_one(struct wait_queue *queue);
u32 wait_wake_all(struct wait_queue *queue);

#endif
