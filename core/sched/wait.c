/* SPDX-License-Identifier: MIT */
/* Wait queues.
 * Owns:      the entries, which live on the stacks of those who wait.    Callers: sync, ipc, task.
 * Locks:     queue.lock; below it the run queue's and the timers'.
 * Invariant: (1) an entry is on the queue iff nobody has woken it; taking it off and saying so
 *            (`woken`) happen together under the lock, so of a wake and a timeout exactly one wins.
 *            (2) a task may be woken for no reason (its timer, a kill): it looks at (1) under the
 *            lock and goes back to sleep if nothing of that holds.
 */
#include <core/task.h>
#include <core/wait.h>
#include <helix/panic.h>

#include "switch_priv.h"

void wait_queue_init(struct wait_queue *queue)
{
    queue->lock = (struct spinlock)SPINLOCK_INIT("wait queue", LOCK_RANK_WAIT);
    list_init(&queue->waiters);
}

static void wait_expired(struct timer *timer)
{
    struct wait_entry *entry = HX_CONTAINER_OF(timer, struct wait_entry, timer);
    __atomic_store_n(&entry->expired, true, __ATOMIC_RELEASE);
    task_wake(entry->task);
}

/* The task has slept, and was woken for no reason, or with its timer armed (a deadline). */
static HX_NOINLINE enum hx_status wait_more(struct wait_queue *queue, struct wait_entry *entry,
                                            u64 deadline_ns, bool cancellable)
{
    struct task *task = entry->task;
    enum hx_status status = HX_OK;
    while (!__atomic_load_n(&entry->woken, __ATOMIC_ACQUIRE)) {
        spin_lock(&queue->lock);
        if (entry->woken) {
            spin_unlock(&queue->lock);
            break;
        }
        if (HX_READ_ONCE(entry->expired)) {
            status = HX_ERR_TIMED_OUT;
        } else if (cancellable && HX_READ_ONCE(task->killed)) {
            status = HX_ERR_CANCELLED;
        }
        if (status != HX_OK) {
            list_remove(&entry->node);
            spin_unlock(&queue->lock);
            break;
        }
        task->state = TASK_BLOCKED;
        spin_unlock(&queue->lock);
        if (cancellable) {
            task_block_cancellable(TASK_BLOCKED);
        } else {
            task_block(TASK_BLOCKED);
        }
    }
    if (deadline_ns != WAIT_FOREVER) {
        timer_cancel(&entry->timer); /* the entry is about to vanish */
    }
    return status;
}

/* irqs: the interrupt state to leave. Out of line: all the ways in share its one switch. */
static HX_NOINLINE enum hx_status wait_on(struct wait_queue *queue, u64 deadline_ns, u64 irqs,
                                          u32 tag, u32 cancellable)
{
    HX_DEBUG_ASSERT(lockdep_holds(&queue->lock));
    struct task *task = task_current();
    struct wait_entry entry;
    enum hx_status status = HX_OK;
    entry.task = task;
    entry.tag = tag;
    entry.woken = false;
    entry.expired = false;
    list_add_tail(&queue->waiters, &entry.node);
    if (deadline_ns != WAIT_FOREVER) {
        entry.timer = (struct timer){.expired = wait_expired};
        timer_start(&entry.timer, deadline_ns);
    }
    /* Before the lock is given up: a waker that comes next finds a task to wake. */
    task->state = TASK_BLOCKED;
    spin_unlock(&queue->lock);
    check_block();
    block(task, cancellable);
    if (hx_unlikely(!__atomic_load_n(&entry.woken, __ATOMIC_ACQUIRE) ||
                    deadline_ns != WAIT_FOREVER)) {
        status = wait_more(queue, &entry, deadline_ns, cancellable);
    }
    hal_irq_restore(irqs);
    return status;
}

enum hx_status wait_locked(struct wait_queue *queue, u64 deadline_ns)
{
    return wait_on(queue, deadline_ns, hal_irq_save(), 0, true);
}

enum hx_status wait_locked_tagged(struct wait_queue *queue, u64 deadline_ns, u32 tag)
{
    return wait_on(queue, deadline_ns, hal_irq_save(), tag, true);
}

enum hx_status wait_locked_irq(struct wait_queue *queue, u64 deadline_ns, u64 irqs)
{
    return wait_on(queue, deadline_ns, irqs, 0, true);
}

void wait_locked_uncancellable(struct wait_queue *queue)
{
    HX_IGNORE(wait_on(queue, WAIT_FOREVER, hal_irq_save(), 0, false),
              "it has no deadline and cannot be cancelled");
}

u32 wait_wake_all_locked(struct wait_queue *queue)
{
    u32 count = 0;
    while (wait_wake_one_locked(queue)) {
        count++;
    }
    return count;
}

u32 wait_wake_all(struct wait_queue *queue)
{
    u64 state = spin_lock_irq(&queue->lock);
    u32 count = wait_wake_all_locked(queue);
    spin_unlock_irq(&queue->lock, state);
    return count;
}
