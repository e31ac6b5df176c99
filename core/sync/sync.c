/* SPDX-License-Identifier: MIT */
/* Mutex, semaphore, event, condition variable, read-write lock.
 * Owns:      nothing; the objects are their users'.     Context: thread, or as the header says.
 * Locks:     the object's wait queue lock.
 * Mutex:     owner is the task, with bit 0 set while somebody waits.  (1) 0 -> task by compare and
 *            swap, and back, is all that an uncontended mutex costs.  (2) with bit 0 set, only the
 *            owner changes it, under the queue's lock, to the first waiter: ownership is handed
 *            over, never up for grabs, so nobody starves and no woken task finds it taken.
 */
#include <core/sched.h>
#include <core/sync.h>
#include <core/task.h>
#include <helix/panic.h>

#define MUTEX_CONTENDED 1ull

void mutex_init(struct mutex *mutex)
{
    mutex->owner = 0;
    wait_queue_init(&mutex->queue);
}

/* Inheritance: those that wait longest lend the owner what they run on. */
#define LENDERS_MAX 8

static bool waiters_below(struct wait_queue *queue, u32 limit)
{
    struct wait_entry *entry;
    LIST_FOREACH (&queue->waiters, entry, node) {
        if (limit-- == 1) {
            return false;
        }
    }
    return true;
}

/* The mutex has a new owner: those who still wait lend to that one from now on. */
static void lend_to_next(struct wait_queue *queue, struct task *next)
{
    struct wait_entry *entry;
    u32 left = LENDERS_MAX;
    LIST_FOREACH (&queue->waiters, entry, node) {
        if (left-- == 0) {
            break;
        }
        sched_donate_move(entry->task, next);
    }
}

static HX_NOINLINE enum hx_status mutex_acquire_slow(struct mutex *mutex, u64 deadline_ns,
                                                     bool cancellable)
{
    u64 self = (u64)task_current();
    if ((HX_READ_ONCE(mutex->owner) & ~MUTEX_CONTENDED) == self) {
        return HX_ERR_DEADLOCK;
    }
    enum hx_status status = HX_OK;
    u64 irqs = spin_lock_irq(&mutex->queue.lock);
    for (;;) {
        u64 owner = __atomic_load_n(&mutex->owner, __ATOMIC_RELAXED);
        u64 wanted = owner == 0 ? self : owner | MUTEX_CONTENDED;
        if (!__atomic_compare_exchange_n(&mutex->owner, &owner, wanted, false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED)) {
            continue;
        }
        if (wanted == self) {
            spin_unlock(&mutex->queue.lock);
            break;
        }
        if (waiters_below(&mutex->queue, LENDERS_MAX)) {
            HX_IGNORE(sched_donate((struct task *)(wanted & ~MUTEX_CONTENDED)),
                      "without it the wait may only be longer");
        }
        if (cancellable) {
            status = wait_locked(&mutex->queue, deadline_ns);
        } else {
            wait_locked_uncancellable(&mutex->queue);
        }
        if (hx_unlikely(task_current()->runner.lent_to)) { /* given up */
            sched_donate_end(task_current());
        }
        break; /* handed over, or given up */
    }
    hal_irq_restore(irqs);
    return status;
}

enum hx_status mutex_acquire_until(struct mutex *mutex, u64 deadline_ns)
{
    return mutex_acquire_try(mutex) ? HX_OK : mutex_acquire_slow(mutex, deadline_ns, true);
}

void mutex_acquire(struct mutex *mutex)
{
    if (hx_unlikely(!mutex_acquire_try(mutex))) {
        enum hx_status status = mutex_acquire_slow(mutex, WAIT_FOREVER, false);
        HX_ASSERT(status == HX_OK); /* it does not have the mutex already */
    }
}

bool mutex_acquire_try(struct mutex *mutex)
{
    u64 expected = 0;
    return __atomic_compare_exchange_n(&mutex->owner, &expected, (u64)task_current(), false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static HX_NOINLINE void mutex_release_slow(struct mutex *mutex)
{
    u64 irqs = spin_lock_irq(&mutex->queue.lock);
    HX_ASSERT(mutex_is_held(mutex));
    struct task *next = wait_first_locked(&mutex->queue);
    /* The waiter may have given up; then nobody waits any more. */
    bool more = next && mutex->queue.waiters.next->next != &mutex->queue.waiters;
    __atomic_store_n(&mutex->owner, (u64)next | (more ? MUTEX_CONTENDED : 0), __ATOMIC_RELEASE);
    if (next) {
        wait_wake_one_locked(&mutex->queue); /* which takes back what it lent us */
        lend_to_next(&mutex->queue, next);
    }
    spin_unlock_irq(&mutex->queue.lock, irqs);
}

void mutex_release(struct mutex *mutex)
{
    u64 expected = (u64)task_current();
    if (hx_unlikely(!__atomic_compare_exchange_n(&mutex->owner, &expected, 0, false,
                                                 __ATOMIC_RELEASE, __ATOMIC_RELAXED))) {
        mutex_release_slow(mutex);
    }
}

bool mutex_is_held(const struct mutex *mutex)
{
    return (__atomic_load_n(&mutex->owner, __ATOMIC_RELAXED) & ~MUTEX_CONTENDED) ==
           (u64)task_current();
}

void semaphore_init(struct semaphore *semaphore, u32 count)
{
    semaphore->count = count;
    wait_queue_init(&semaphore->queue);
}

enum hx_status semaphore_down(struct semaphore *semaphore, u64 deadline_ns)
{
    u64 irqs = spin_lock_irq(&semaphore->queue.lock);
    if (semaphore->count == 0) {
        return wait_locked_irq(&semaphore->queue, deadline_ns, irqs);
    }
    semaphore->count--;
    spin_unlock_irq(&semaphore->queue.lock, irqs);
    return HX_OK;
}

bool semaphore_down_try(struct semaphore *semaphore)
{
    u64 irqs = spin_lock_irq(&semaphore->queue.lock);
    bool taken = semaphore->count > 0;
    semaphore->count -= taken;
    spin_unlock_irq(&semaphore->queue.lock, irqs);
    return taken;
}

void semaphore_up(struct semaphore *semaphore)
{
    u64 irqs = spin_lock_irq(&semaphore->queue.lock);
    if (!wait_wake_one_locked(&semaphore->queue)) {
        semaphore->count++;
    }
    spin_unlock_irq(&semaphore->queue.lock, irqs);
}

void event_init(struct event *event, bool set, bool auto_reset)
{
    event->set = set;
    event->auto_reset = auto_reset;
    wait_queue_init(&event->queue);
}

enum hx_status event_wait(struct event *event, u64 deadline_ns)
{
    u64 irqs = spin_lock_irq(&event->queue.lock);
    if (!event->set) {
        return wait_locked_irq(&event->queue, deadline_ns, irqs);
    }
    event->set = !event->auto_reset;
    spin_unlock_irq(&event->queue.lock, irqs);
    return HX_OK;
}

void event_set(struct event *event)
{
    u64 irqs = spin_lock_irq(&event->queue.lock);
    if (!event->auto_reset) {
        event->set = true;
        wait_wake_all_locked(&event->queue);
    } else if (wait_queue_is_empty_locked(&event->queue)) {
        event->set = true;
    } else {
        wait_wake_one_locked(&event->queue); /* it was not set, or nobody would wait */
    }
    spin_unlock_irq(&event->queue.lock, irqs);
}

void event_reset(struct event *event)
{
    u64 irqs = spin_lock_irq(&event->queue.lock);
    event->set = false;
    spin_unlock_irq(&event->queue.lock, irqs);
}

void condition_init(struct condition *condition)
{
    condition->signals = 0;
    wait_queue_init(&condition->queue);
}

enum hx_status condition_wait(struct condition *condition, struct mutex *mutex, u64 deadline_ns)
{
    /* A signal between the release and the wait must not be lost, and both queues' locks have one
     * rank: so the count of signals says whether to wait at all. */
    u64 irqs = spin_lock_irq(&condition->queue.lock);
    u32 before = condition->signals;
    spin_unlock_irq(&condition->queue.lock, irqs);
    mutex_release(mutex);

    enum hx_status status = HX_OK;
    irqs = spin_lock_irq(&condition->queue.lock);
    if (condition->signals == before) {
        status = wait_locked(&condition->queue, deadline_ns);
    } else {
        spin_unlock(&condition->queue.lock);
    }
    hal_irq_restore(irqs);
    mutex_acquire(mutex);
    return status;
}

void condition_signal(struct condition *condition)
{
    u64 irqs = spin_lock_irq(&condition->queue.lock);
    condition->signals++;
    wait_wake_one_locked(&condition->queue);
    spin_unlock_irq(&condition->queue.lock, irqs);
}

void condition_broadcast(struct condition *condition)
{
    u64 irqs = spin_lock_irq(&condition->queue.lock);
    condition->signals++;
    wait_wake_all_locked(&condition->queue);
    spin_unlock_irq(&condition->queue.lock, irqs);
}

/* Read-write lock: readers counts who has it, -1 is a writer. Like the mutex it is handed over in
 * the order of asking, so that nobody starves and no crowd is woken to find it taken: who comes
 * while others wait, waits behind them. */
enum { RWLOCK_READER, RWLOCK_WRITER };

void rwlock_init(struct rwlock *lock)
{
    lock->readers = 0;
    wait_queue_init(&lock->queue);
}

/* Gives the lock to the first waiter, and to the readers right behind it, as far as it is free. */
static void rwlock_grant_locked(struct rwlock *lock)
{
    u32 kind;
    while (lock->readers >= 0 && wait_first_tag_locked(&lock->queue, &kind)) {
        if (kind == RWLOCK_WRITER && lock->readers > 0) {
            return;
        }
        lock->readers = kind == RWLOCK_WRITER ? -1 : lock->readers + 1;
        wait_wake_one_locked(&lock->queue);
    }
}

static enum hx_status rwlock_acquire(struct rwlock *lock, u32 kind, u64 deadline_ns)
{
    enum hx_status status = HX_OK;
    u64 irqs = spin_lock_irq(&lock->queue.lock);
    bool free = kind == RWLOCK_WRITER ? lock->readers == 0 : lock->readers >= 0;
    if (free && wait_queue_is_empty_locked(&lock->queue)) {
        lock->readers = kind == RWLOCK_WRITER ? -1 : lock->readers + 1;
        spin_unlock(&lock->queue.lock);
    } else {
        status = wait_locked_tagged(&lock->queue, deadline_ns, kind);
        if (status != HX_OK) {
            spin_lock(&lock->queue.lock);
            rwlock_grant_locked(lock); /* readers that a writer held back, now that it gives up */
            spin_unlock(&lock->queue.lock);
        }
    }
    hal_irq_restore(irqs);
    return status;
}

enum hx_status rwlock_read_acquire(struct rwlock *lock, u64 deadline_ns)
{
    return rwlock_acquire(lock, RWLOCK_READER, deadline_ns);
}

enum hx_status rwlock_write_acquire(struct rwlock *lock, u64 deadline_ns)
{
    return rwlock_acquire(lock, RWLOCK_WRITER, deadline_ns);
}

void rwlock_read_release(struct rwlock *lock)
{
    u64 irqs = spin_lock_irq(&lock->queue.lock);
    HX_ASSERT(lock->readers > 0);
    lock->readers--;
    rwlock_grant_locked(lock);
    spin_unlock_irq(&lock->queue.lock, irqs);
}

void rwlock_write_release(struct rwlock *lock)
{
    u64 irqs = spin_lock_irq(&lock->queue.lock);
    HX_ASSERT(lock->readers == -1);
    lock->readers = 0;
    rwlock_grant_locked(lock);
    spin_unlock_irq(&lock->queue.lock, irqs);
}
