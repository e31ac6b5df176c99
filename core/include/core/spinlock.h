/* SPDX-License-Identifier: MIT */
/* Ticket spinlocks: FIFO between CPUs, so no CPU starves. Nothing blocks, allocates or does I/O
 * under one. Every lock has a rank; a CPU takes locks in ascending rank only (<core/lock_rank.h>).
 */
#ifndef CORE_SPINLOCK_H
#define CORE_SPINLOCK_H

#include <core/lock_rank.h>
#include <hal/port.h>
#include <helix/compiler.h>
#include <helix/types.h>

struct HX_CAPABILITY("spinlock") spinlock {
    u32 next;    /* a: the ticket that the next taker draws */
    u32 serving; /* a: the ticket that holds the lock */
#ifdef HX_DEBUG
    const char *name; /* I */
    u32 rank;         /* I */
    u32 holder;       /* CPU number + 1 of the holder, 0 when free */
#endif
};

#ifdef HX_DEBUG
#define SPINLOCK_INIT(lock_name, lock_rank)                                                        \
    {                                                                                              \
        .name = (lock_name), .rank = (lock_rank)                                                   \
    }
/* Panics on a lock taken twice by its holder or below a held rank; core/debug/lockdep.c. */
void lockdep_acquire(struct spinlock *lock);
void lockdep_acquire_tried(struct spinlock *lock); /* of any rank: it did not wait */
void lockdep_release(struct spinlock *lock);
bool lockdep_holds(const struct spinlock *lock);
/* The lock that this CPU took last and still holds, or NULL. Interrupts masked. */
const struct spinlock *lockdep_last(void);
#else
#define SPINLOCK_INIT(lock_name, lock_rank)                                                        \
    {                                                                                              \
        .next = 0                                                                                  \
    }
#define lockdep_acquire(lock)       ((void)0)
#define lockdep_acquire_tried(lock) ((void)0)
#define lockdep_release(lock)       ((void)0)
#define lockdep_holds(lock)         true
#endif

/* Takes the lock; interrupts are masked already or never take it. Context: any but NMI. */
static inline void spin_lock(struct spinlock *lock) HX_ACQUIRES(lock)
{
    lockdep_acquire(lock);
    u32 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    if (hx_unlikely(__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket)) {
        do {
            hal_cpu_relax();
        } while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket);
    }
#ifdef HX_DEBUG
    lock->holder = hal_cpu_number() + 1;
#endif
}

static inline void spin_unlock(struct spinlock *lock) HX_RELEASES(lock)
{
    lockdep_release(lock);
    hal_release_increment(&lock->serving);
}

/* The same with interrupts masked in between; the state before goes to spin_unlock_irq. */
static inline u64 spin_lock_irq(struct spinlock *lock) HX_ACQUIRES(lock)
{
    u64 state = hal_irq_save();
    spin_lock(lock);
    return state;
}

static inline void spin_unlock_irq(struct spinlock *lock, u64 state) HX_RELEASES(lock)
{
    spin_unlock(lock);
    hal_irq_restore(state);
}

/* Takes the lock unless somebody has it. Interrupts are masked. */
static inline bool spin_lock_try(struct spinlock *lock)
{
    u32 serving = __atomic_load_n(&lock->serving, __ATOMIC_RELAXED);
    u32 expected = serving;
    if (!__atomic_compare_exchange_n(&lock->next, &expected, serving + 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED)) {
        return false;
    }
    lockdep_acquire_tried(lock);
#ifdef HX_DEBUG
    lock->holder = hal_cpu_number() + 1;
#endif
    return true;
}

#endif
