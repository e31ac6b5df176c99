/* SPDX-License-Identifier: MIT */
/* The switch from one task to another and the way to sleep, in line: for sched.c, and for wait.c,
 * whose frame would otherwise be a second one to save and restore at every wait.
 */
#ifndef CORE_SCHED_SWITCH_PRIV_H
#define CORE_SCHED_SWITCH_PRIV_H

#include <core/cpu.h>
#include <core/grace.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/spinlock.h>
#include <core/trace.h>
#include <helix/panic.h>

/* sched.c. The run queue of `cpu` is locked; all give it up, the last one if
 * it answers true, but not the second. */
void sched_finish_ended(struct cpu *cpu, struct task *previous);
bool sched_still_elsewhere(struct cpu *cpu, const struct task *to);
void sched_block_slow(struct cpu *cpu, struct task *task);
bool sched_block_ends(struct dis_rq *rq, struct task *task, u32 cancellable);

static inline struct spinlock *lock_of(struct dis_rq *rq)
{
    return (struct spinlock *)(void *)rq; /* its first member: <core/dis.h> */
}

static inline void switch_machine_state(struct task *from, struct task *to)
{
    if (from->fpu_used) {
        hal_fpu_save(from->fpu);
        hal_fpu_disable();
    }
    if (from->fpu && to->fpu) {
        hal_user_tls_switch(&from->user_tls, to->user_tls);
    } else if (from->fpu) {
        from->user_tls = hal_user_tls_get();
    } else {
        hal_user_tls_set(to->user_tls);
    }
    if (to->space != from->space) {
        space_activate(to->space);
    }
    if (to->fpu) {
        hal_kernel_stack_set(to->stack_top);
    }
    if (to->fpu_used) {
        hal_fpu_enable();
        hal_fpu_restore(to->fpu);
    }
}

static HX_ALWAYS_INLINE void finish_switch(void)
{
    struct cpu *cpu = cpu_this();
    struct task *previous = cpu->previous;
    if (hx_unlikely(previous->state & TASK_ENDED)) {
        sched_finish_ended(cpu, previous);
    } else {
        __atomic_store_n(&previous->on_cpu, false, __ATOMIC_RELEASE);
        spin_unlock(lock_of(cpu->rq));
    }
}

/* From one task to another. Queue locked; it is not on return. */
static HX_ALWAYS_INLINE void switch_tasks(struct cpu *cpu, struct task *from, struct task *to)
{
    trace(TRACE_SWITCH, from->state, from->id, to->id);
    to->on_cpu = true;
    cpu->previous = from;
    hal_current_set(to);
    if (from->fpu || to->fpu) { /* a kernel task has no user half to change */
        switch_machine_state(from, to);
    }
    hal_context_switch(&from->context, &to->context);
    finish_switch();
}

/* Goes on with who runs on `next` (NULL: nobody). As above. */
static HX_ALWAYS_INLINE void switch_to(struct cpu *cpu, struct task *from, struct sched_ctx *next)
{
    struct task *to = next ? next->runner->owner : cpu->idle;
    if (to != from && hx_unlikely(to->on_cpu) && sched_still_elsewhere(cpu, to)) {
        to = cpu->idle;
    }
    if (to == from) {
        spin_unlock(lock_of(cpu->rq));
    } else {
        switch_tasks(cpu, from, to);
    }
}

static HX_ALWAYS_INLINE void check_block(void)
{
    HX_DEBUG_ASSERT(!hal_irq_is_enabled());
#ifdef HX_DEBUG
    struct task *task = task_current();
    if (task->preempt_off) {
        panic("task %s: sleeping with preemption off", task->name);
    }
    const struct spinlock *held = lockdep_last();
    if (held) {
        panic("task %s: sleeping while %s (rank %u) is held", task->name, held->name, held->rank);
    }
#endif
}

/* The current task sleeps, unless it has been woken already. Interrupts masked. */
static HX_ALWAYS_INLINE void block(struct task *task, u32 cancellable)
{
    struct cpu *cpu = cpu_this();
    struct dis_rq *rq = cpu->rq;
    struct sched_ctx *ctx = &task->own, *next;
    spin_lock(lock_of(rq));
    /* Under the lock that a waker takes: task_kill() sets `killed` and then wakes. */
    if (hx_unlikely(task->state == TASK_RUNNING)) { /* woken already */
        spin_unlock(lock_of(rq));
        return;
    }
    if (hx_unlikely(HX_READ_ONCE(task->killed)) && sched_block_ends(rq, task, cancellable)) {
        return;
    }
    if (hx_likely(ctx == rq->curr && ctx->flags == 0 && cpu->attention == 0 &&
                  (next = dis_block_quick(rq, ctx, time_now_ns())) != NULL)) {
        /* What is quick is nobody else's, so it is the task's own. */
        struct task *to = HX_CONTAINER_OF(next, struct task, own);
        task->runner.ready = false;
        grace_quiescent(cpu);
        if (hx_unlikely(to->on_cpu) && sched_still_elsewhere(cpu, to)) {
            to = cpu->idle;
        }
        switch_tasks(cpu, task, to);
        return;
    }
    sched_block_slow(cpu, task);
}

#endif
