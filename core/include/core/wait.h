/* SPDX-License-Identifier: MIT */
/* Wait queues: where tasks wait for something to become true. Everything that blocks is built on
 * them. FIFO order.
 */
#ifndef CORE_WAIT_H
#define CORE_WAIT_H

#include <core/spinlock.h>
#include <core/time.h>
#include <helix/list.h>
#include <helix/panic.h>
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
 * waits, and does not have it afterwards; interrupts are masked as before. A queue outlives its
 * wakers: who is woken may not free it before they have left.
 * Return: HX_OK, woken by wait_wake_*; HX_ERR_TIMED_OUT, the deadline (ns, WAIT_FOREVER: none)
 * passed; HX_ERR_CANCELLED, the task was killed. Context: thread. */
enum hx_status wait_locked(struct wait_queue *queue, u64 deadline_ns) HX_MUST_CHECK;

/* The same, and says what for, to who looks at the queue with wait_first_tag_locked(). */
enum hx_status wait_locked_tagged(struct wait_queue *queue, u64 deadline_ns, u32 tag) HX_MUST_CHECK;

/* The same as wait_locked(), and restores the interrupt state that spin_lock_irq() gave. */
enum hx_status wait_locked_irq(struct wait_queue *queue, u64 deadline_ns, u64 irqs) HX_MUST_CHECK;

/* The same for waits that a kill must not end: the holder of what is waited for is in the kernel
 * and will let go. */
void wait_locked_uncancellable(struct wait_queue *queue);

/* One that waits, on its stack; for wait.c and what is in line here. */
struct wait_entry {
    struct list_node node;
    struct task *task;
    u32 tag;      /* of wait_locked_tagged(), otherwise 0 */
    bool woken;   /* a */
    bool expired; /* a */
    struct timer timer;
};

/* The task that wait_wake_one_locked() would wake, or NULL. The queue's lock is held. */
static inline struct task *wait_first_locked(struct wait_queue *queue)
{
    return list_is_empty(&queue->waiters)
               ? NULL
               : LIST_ENTRY(queue->waiters.next, struct wait_entry, node)->task;
}

/* In <core/sched.h>: a blocked task becomes ready. Interrupts masked. */
bool sched_wake_masked(struct task *task);

/* What the first waiter waits for. False: nobody waits. The queue's lock is held. */
static inline bool wait_first_tag_locked(const struct wait_queue *queue, u32 *out_tag)
{
    if (list_is_empty(&queue->waiters)) {
        return false;
    }
    *out_tag = LIST_ENTRY(queue->waiters.next, struct wait_entry, node)->tag;
    return true;
}

/* Wakes the first waiter and gives the task, or NULL. The queue's lock is held. In line: half of
 * what a wake-up costs would be the calls. */
static HX_ALWAYS_INLINE struct task *wait_wake_one_locked(struct wait_queue *queue)
{
    HX_DEBUG_ASSERT(lockdep_holds(&queue->lock));
    if (list_is_empty(&queue->waiters)) {
        return NULL;
    }
    struct wait_entry *entry = LIST_ENTRY(queue->waiters.next, struct wait_entry, node);
    struct task *task = entry->task;
    list_unlink(&entry->node);
    /* In this order: until `woken` is set the waiter cannot leave, so neither task nor entry can
     * vanish; one that looks too early waits for the lock. */
    sched_wake_masked(task);
    __atomic_store_n(&entry->woken, true, __ATOMIC_RELEASE);
    return task;
}

/* Wakes all. Return: how many. The queue's lock is held. */
u32 wait_wake_all_locked(struct wait_queue *queue);

/* The same, taking the lock. Context: any but NMI. */
u32 wait_wake_all(struct wait_queue *queue);

static inline bool wait_queue_is_empty_locked(const struct wait_queue *queue)
{
    return list_is_empty(&queue->waiters);
}

#endif
