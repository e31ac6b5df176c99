/* SPDX-License-Identifier: MIT */
/* Run-time check of the lock order, debug variants only.
 * Owns:      a stack of held locks for each CPU.     Callers: <core/spinlock.h> only.
 * Context:   any but NMI; the per-CPU stack is touched with interrupts masked only, because a
 *            spinlock that interrupts take is always taken with them masked.
 * Invariant: (1) held[cpu] ascends strictly in rank from bottom to top of the stack, but for
 *            releases out of order, which leave it ascending, and for locks that were only tried:
 *            who does not wait cannot be in a circle of waiters.
 */
#include <core/spinlock.h>
#include <hal/smp.h>
#include <helix/panic.h>

#ifdef HX_DEBUG

#define HELD_MAX 16

static struct {
    struct {
        struct spinlock *held[HELD_MAX];
        u32 depth;
    } cpu[HAL_CPUS_MAX];
    bool off; /* set by the first report, so that the panic itself can take locks */
} lockdep;

static void acquire(struct spinlock *lock, bool waits)
{
    if (lockdep.off) {
        return;
    }
    u64 state = hal_irq_save();
    cpu_id_t cpu = hal_cpu_number();
    u32 depth = lockdep.cpu[cpu].depth;
    if (depth == HELD_MAX) {
        lockdep.off = true;
        panic("lockdep: more than %d locks held, the last is %s", HELD_MAX, lock->name);
    }
    if (depth) {
        struct spinlock *top = lockdep.cpu[cpu].held[depth - 1];
        if (waits && top->rank >= lock->rank) {
            lockdep.off = true;
            panic("lockdep: %s (rank %u) taken while %s (rank %u) is held", lock->name, lock->rank,
                  top->name, top->rank);
        }
    }
    lockdep.cpu[cpu].held[depth] = lock;
    lockdep.cpu[cpu].depth = depth + 1;
    hal_irq_restore(state);
}

void lockdep_acquire(struct spinlock *lock)
{
    acquire(lock, true);
}

void lockdep_acquire_tried(struct spinlock *lock)
{
    acquire(lock, false);
}

void lockdep_release(struct spinlock *lock)
{
    if (lockdep.off) {
        return;
    }
    u64 state = hal_irq_save();
    cpu_id_t cpu = hal_cpu_number();
    u32 depth = lockdep.cpu[cpu].depth;
    u32 i = depth;
    while (i > 0 && lockdep.cpu[cpu].held[i - 1] != lock) {
        i--;
    }
    if (i == 0) {
        lockdep.off = true;
        panic("lockdep: %s released by CPU %u, which does not hold it", lock->name, cpu);
    }
    for (; i < depth; i++) {
        lockdep.cpu[cpu].held[i - 1] = lockdep.cpu[cpu].held[i];
    }
    lockdep.cpu[cpu].depth = depth - 1;
    lock->holder = 0;
    hal_irq_restore(state);
}

bool lockdep_holds(const struct spinlock *lock)
{
    return lockdep.off || lock->holder == hal_cpu_number() + 1;
}

const struct spinlock *lockdep_last(void)
{
    cpu_id_t cpu = hal_cpu_number();
    u32 depth = lockdep.cpu[cpu].depth;
    return lockdep.off || depth == 0 ? NULL : lockdep.cpu[cpu].held[depth - 1];
}

#endif
