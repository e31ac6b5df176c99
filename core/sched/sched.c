/* SPDX-License-Identifier: MIT */
/* Blocking, waking and switching tasks.
 * Owns:      who runs where; task.state and task.on_cpu. Which context a CPU runs next, and when it
 *            has to ask again, is the scheduler's choice (<core/dis.h>).
 * Callers:   task, wait queues, the idle loop, the way out of the kernel.
 * Locks:     the run queue of a CPU (rank RUNQUEUE), with interrupts masked. A switch is entered
 *            with the queue locked and left by the next task, which unlocks: so nobody can wake a
 *            task elsewhere before its registers are saved.
 * Invariant: (1) the state of a task that neither lends nor serves is guarded by the run queue that
 *            its own context belongs to; that of one that does, by the donation lock.
 *            (2) a context is given to a task that another CPU is still leaving only by donation or
 *            a move; that CPU then idles until on_cpu says that the task has left.  It waits on the
 *            idle task, so that two CPUs that swap their tasks do not wait for each other.
 *            (3) a state of BLOCKED or SLEEPING with a context that is not blocked is a task on its
 *            way to sleep, or one whose context others run on: its waker only sets the state.
 *            (4) what a task runs on is runner.own: its own context; NULL while it is lent_to
 *            another in a call; or the context of the first in a chain of callers. Such a context,
 *            and the own ones of all in the chain, stay on one CPU, whose queue guards the chain.
 */
#include <hal/irq.h>
#include <helix/panic.h>

#include "switch_priv.h"

void sched_kick(cpu_id_t cpu)
{
    __atomic_store_n(&cpus[cpu].resched, true, __ATOMIC_RELEASE);
    if (cpu != hal_cpu_number()) {
        hal_irq.send_ipi(cpu, IPI_RESCHEDULE);
    }
}

/* switching */

void sched_finish_ended(struct cpu *cpu, struct task *previous)
{
    previous->state = TASK_ZOMBIE;
    __atomic_store_n(&previous->on_cpu, false, __ATOMIC_RELEASE);
    spin_unlock(lock_of(cpu->rq));
    task_finish(previous);
}

void sched_finish_switch(void)
{
    finish_switch();
}

/* inv 2 */
bool sched_still_elsewhere(struct cpu *cpu, const struct task *to)
{
    if (!__atomic_load_n(&to->on_cpu, __ATOMIC_ACQUIRE)) {
        return false;
    }
    cpu->resched = true; /* look again */
    return true;
}

static HX_ALWAYS_INLINE void reschedule(struct cpu *cpu, struct task *from, enum dis_why why)
{
    cpu->resched = false;
    grace_quiescent(cpu);
    switch_to(cpu, from, dis_schedule(cpu->rq, time_now_ns(), why));
}

void task_yield(void)
{
    u64 irqs = hal_irq_save();
    struct cpu *cpu = cpu_this();
    spin_lock(lock_of(cpu->rq));
    cpu->resched = false;
    grace_quiescent(cpu);
    switch_to(cpu, task_current(), dis_yield(cpu->rq, time_now_ns()));
    hal_irq_restore(irqs);
}

static bool is_asleep(const struct task *task)
{
    return task->state & TASK_ASLEEP;
}

/* One that lends or serves by the donation graph, or runs on what is not its own any more. */
static HX_NOINLINE void block_donated(struct cpu *cpu, struct task *task)
{
    enum dis_why why = DIS_WHY_KICK; /* a donor's context leaves because it is held */
    if (task->state == TASK_TERMINATED) {
        dis_runner_fini(&task->runner);
    }
    dis_donation_lock();
    if (task->state == TASK_RUNNING) {
        dis_donation_unlock();
        return;
    }
    dis_runner_block_locked(&task->runner, time_now_ns());
    spin_lock(lock_of(cpu->rq));
    if (task->state == TASK_RUNNING) {
        /* The context has become plain since block() looked, so a waker came by the queue's lock
         * alone, after the look above. */
        spin_unlock(lock_of(cpu->rq));
        dis_runner_wake_locked(&task->runner, hal_cpu_number(), time_now_ns());
        dis_donation_unlock();
        return;
    }
    if (!task->runner.lent_to && cpu->rq->curr == task->runner.own) {
        why = DIS_WHY_BLOCK;
    }
    /* From here on the queue's lock keeps its waker off until it has left. */
    dis_donation_unlock();
    reschedule(cpu, task, why);
}

void sched_block_slow(struct cpu *cpu, struct task *task)
{
    struct sched_ctx *ctx = task->runner.own;
    if (cpu->irq_depth) {
        panic("task %s: sleeping in an interrupt handler", task->name);
    }
    if (cpu->rq->curr != ctx || !dis_ctx_is_plain(ctx)) {
        spin_unlock(lock_of(cpu->rq));
        block_donated(cpu, task);
    } else {
        task->runner.ready = false;
        reschedule(cpu, task, DIS_WHY_BLOCK);
    }
}

/* The task goes on after all. Whoever has seen it asleep writes its state under the queue's lock,
 * which is held and given up here, or the donation lock. */
static HX_NOINLINE void cancel_block(struct dis_rq *rq, struct task *task)
{
    bool plain = dis_ctx_is_plain(task->runner.own);
    task->state = TASK_RUNNING;
    spin_unlock(lock_of(rq));
    if (!plain) {
        dis_donation_lock();
        dis_donation_unlock();
    }
}

/* The task has been killed: a wait that a kill ends does not begin. */
bool sched_block_ends(struct dis_rq *rq, struct task *task, u32 cancellable)
{
    if (cancellable) {
        cancel_block(rq, task);
    }
    return cancellable;
}

static HX_NOINLINE void block_either(bool cancellable)
{
    block(task_current(), cancellable);
}

void sched_block(void)
{
    block_either(false);
}

void task_block(enum task_state state)
{
    (void)state;
    check_block();
    block_either(false);
}

void task_block_cancellable(enum task_state state)
{
    (void)state;
    check_block();
    block_either(true);
}

void sched_preempt(void)
{
    struct task *task = task_current();
    if (task->preempt_off == 0 && task->state == TASK_RUNNING) {
        struct cpu *cpu = cpu_this();
        spin_lock(lock_of(cpu->rq));
        reschedule(cpu, task, DIS_WHY_KICK);
    }
}

/* waking */

/* The run queue that guards the task, locked: its own context's. Interrupts masked. */
static HX_ALWAYS_INLINE struct dis_rq *lock_queue_of(const struct task *task)
{
    for (;;) {
        u32 cpu = __atomic_load_n(&task->own.cpu, __ATOMIC_ACQUIRE);
        struct dis_rq *rq = cpus[cpu].rq;
        spin_lock(lock_of(rq));
        if (hx_likely(HX_READ_ONCE(task->own.cpu) == cpu)) {
            return rq;
        }
        spin_unlock(lock_of(rq));
    }
}

static HX_NOINLINE bool wake_donated(struct task *task)
{
    dis_donation_lock();
    bool asleep = is_asleep(task);
    if (asleep) {
        task->state = TASK_RUNNING;
        if (task->runner.lent_to) {
            dis_donate_end_locked(&task->runner, true);
        } else if (!task->runner.ready) { /* inv 3 */
            dis_runner_wake_locked(&task->runner, hal_cpu_number(), time_now_ns());
        }
    }
    dis_donation_unlock();
    return asleep;
}

/* What sched_wake_masked() does not do in line. rq is the task's, locked; it is not on return. */
static HX_NOINLINE bool wake_slow(struct dis_rq *rq, struct task *task)
{
    u32 here = hal_cpu_number();
    for (;;) {
        struct sched_ctx *ctx;
        if (!is_asleep(task)) {
            spin_unlock(lock_of(rq));
            return false;
        }
        if (task->lent_to) {
            spin_unlock(lock_of(rq));
            sched_lend_end(task);
            rq = lock_queue_of(task);
            continue;
        }
        ctx = task->runner.own; /* a borrowed one is of the same queue: inv 4 */
        if (!dis_ctx_is_plain(ctx)) {
            spin_unlock(lock_of(rq));
            return wake_donated(task);
        }
        if (ctx->state != SCHED_CTX_BLOCKED) { /* inv 3 */
            task->state = TASK_RUNNING;
            task->runner.ready = true;
            break;
        }
        u64 now = time_now_ns();
        u32 cpu = ctx != &task->own ? ctx->cpu : dis_wake_cpu(ctx, here, now);
        trace(TRACE_WAKE, cpu, task->id, 0);
        if (cpu == ctx->cpu) {
            task->state = TASK_RUNNING;
            task->runner.ready = true;
            dis_wake_here(rq, ctx, here, now);
            break;
        }
        ctx->acct.migrations++;
        __atomic_store_n(&ctx->cpu, cpu, __ATOMIC_RELEASE); /* blocked: no queue knows it */
        spin_unlock(lock_of(rq));
        rq = lock_queue_of(task);
    }
    spin_unlock(lock_of(rq));
    return true;
}

bool sched_wake_masked(struct task *task)
{
    struct dis_rq *rq = lock_queue_of(task);
    struct sched_ctx *ctx = &task->own;
    const struct sched_ctx *curr = rq->curr;
    if (hx_likely(is_asleep(task) && rq->calm == DIS_CALM_SINGLE && !task->lent_to &&
                  dis_wake_quick(rq, ctx, time_now_ns()))) {
        trace(TRACE_WAKE, rq->cpu, task->id, 0);
        task->state = TASK_RUNNING;
        task->runner.ready = true;
        if (!curr) {
            cpu_this()->resched = true;
        }
        spin_unlock(lock_of(rq));
        return true;
    }
    return wake_slow(rq, task);
}

bool sched_wake(struct task *task)
{
    u64 irqs = hal_irq_save();
    bool woken = sched_wake_masked(task);
    hal_irq_restore(irqs);
    return woken;
}

void task_block_cancel(void)
{
    struct task *task = task_current();
    cancel_block(lock_queue_of(task), task);
}

/* Calls: a context goes along with a synchronous call, inv 4. */

static void switch_fpu(struct task *from, struct task *to)
{
    if (from->fpu_used) {
        hal_fpu_save(from->fpu);
        hal_fpu_disable();
    }
    if (to->fpu_used) {
        hal_fpu_enable();
        hal_fpu_restore(to->fpu);
    }
}

/* The last question: whether both are in their states. What is rare is the FPU; `park` is how the
 * switch will go, which leaves that part of it to this. */
static HX_NOINLINE bool can_hand_over_slow(struct task *from, struct task *to, bool park)
{
    if (HX_READ_ONCE(from->killed) || to->state != TASK_BLOCKED) {
        return false;
    }
    if (park) {
        switch_fpu(from, to);
    }
    return true;
}

static HX_ALWAYS_INLINE bool can_hand_over(struct cpu *cpu, struct dis_rq *rq, struct task *from,
                                           struct task *to, bool park)
{
    const struct sched_ctx *ctx = rq->curr;
    return to->own.cpu == rq->cpu && ctx == from->runner.own && cpu->attention == 0 &&
           ((ctx->flags | to->own.flags) & DIS_CTX_BUSY) == 0 && ctx->pieces <= 1 &&
           ((HX_READ_ONCE(from->glance) == TASK_RUNNING &&
             HX_READ_ONCE(to->glance) == TASK_BLOCKED) ||
            can_hand_over_slow(from, to, park));
}

bool sched_handoff_call_lock(struct cpu *cpu, struct task *from, struct task *to, bool park)
{
    struct dis_rq *rq = cpu->rq;
    spin_lock(lock_of(rq));
    if (hx_likely(to->own.state == SCHED_CTX_BLOCKED && can_hand_over(cpu, rq, from, to, park))) {
        return true;
    }
    spin_unlock(lock_of(rq));
    return false;
}

bool sched_handoff_reply_lock(struct cpu *cpu, struct task *from, struct task *to)
{
    struct dis_rq *rq = cpu->rq;
    spin_lock(lock_of(rq));
    if (hx_likely(to->lent_to == from && can_hand_over(cpu, rq, from, to, true))) {
        return true;
    }
    spin_unlock(lock_of(rq));
    return false;
}

/* The current task sleeps from now on, and `to` runs on what it ran on. */
static HX_ALWAYS_INLINE void hand_over(struct cpu *cpu, struct dis_rq *rq, struct task *from,
                                       struct task *to)
{
    struct sched_ctx *ctx = rq->curr;
    from->state = TASK_BLOCKED;
    from->runner.ready = false;
    to->state = TASK_RUNNING;
    to->runner.ready = true;
    to->runner.own = ctx;
    ctx->home = ctx->runner = &to->runner;
    grace_quiescent(cpu);
}

static HX_ALWAYS_INLINE void hand_over_call(struct cpu *cpu, struct dis_rq *rq, struct task *from,
                                            struct task *to)
{
    from->runner.own = NULL;
    from->lent_to = to;
    to->caller = from;
    to->own.state = SCHED_CTX_AWAY;
    hand_over(cpu, rq, from, to);
}

static HX_ALWAYS_INLINE void hand_over_reply(struct cpu *cpu, struct dis_rq *rq, struct task *from,
                                             struct task *to)
{
    from->runner.own = &from->own;
    from->own.state = SCHED_CTX_BLOCKED;
    from->caller = NULL;
    to->lent_to = NULL;
    hand_over(cpu, rq, from, to);
}

void sched_handoff_call(struct cpu *cpu, struct task *from, struct task *to)
{
    hand_over_call(cpu, cpu->rq, from, to);
    switch_tasks(cpu, from, to);
}

/* The last part of a switch between two threads of processes, the first of which parks; the FPU has
 * been seen to. */
static HX_ALWAYS_INLINE void park(struct cpu *cpu, struct task *from, struct task *to)
{
    to->on_cpu = true;
    hal_current_set(to);
    hal_user_tls_switch(&from->user_tls, to->user_tls);
    if (hx_likely(to->space != from->space)) {
        space_switch(cpu, from->space, to->space);
    }
    hal_kernel_stack_set(to->stack_top);
    from->context.sp = hal_context_parked(from->stack_top);
}

static HX_ALWAYS_INLINE HX_NORETURN void park_for_user(struct cpu *cpu, struct dis_rq *rq,
                                                       struct task *from, struct task *to,
                                                       u64 header, u64 source)
{
    park(cpu, from, to);
    lockdep_release(lock_of(rq));
    hal_message_leave(from->stack_top, to->stack_top, header, source, &from->on_cpu,
                      &lock_of(rq)->serving);
}

static HX_ALWAYS_INLINE HX_NORETURN void park_for_kernel(struct cpu *cpu, struct task *from,
                                                         struct task *to)
{
    trace(TRACE_SWITCH, from->state, from->id, to->id);
    park(cpu, from, to);
    cpu->previous = from;
    hal_context_continue(from->stack_top, &to->context);
}

void sched_handoff_call_user(struct cpu *cpu, struct task *from, struct task *to, u64 header,
                             u64 source)
{
    struct dis_rq *rq = cpu->rq;
    hand_over_call(cpu, rq, from, to);
    park_for_user(cpu, rq, from, to, header, source);
}

void sched_handoff_reply_user(struct cpu *cpu, struct task *from, struct task *to, u64 header,
                              u64 source)
{
    struct dis_rq *rq = cpu->rq;
    hand_over_reply(cpu, rq, from, to);
    park_for_user(cpu, rq, from, to, header, source);
}

void sched_handoff_call_park(struct cpu *cpu, struct task *from, struct task *to)
{
    hand_over_call(cpu, cpu->rq, from, to);
    park_for_kernel(cpu, from, to);
}

void sched_handoff_reply_park(struct cpu *cpu, struct task *from, struct task *to)
{
    hand_over_reply(cpu, cpu->rq, from, to);
    park_for_kernel(cpu, from, to);
}

void sched_lend_end(struct task *lender)
{
    dis_donation_lock();
    struct dis_rq *rq = lock_queue_of(lender);
    struct task *borrower = lender->lent_to, *last = borrower;
    if (!borrower) {
        spin_unlock(lock_of(rq)); /* it has been given back meanwhile */
        dis_donation_unlock();
        return;
    }
    while (last->lent_to) {
        last = last->lent_to;
    }
    lender->lent_to = NULL;
    borrower->caller = NULL;
    struct sched_ctx *lent = last->runner.own;
    dis_runner_own(&last->runner, &borrower->own);
    dis_runner_own(&lender->runner, lent);
    spin_unlock(lock_of(rq));
    u64 now = time_now_ns();
    dis_runner_refresh_locked(&last->runner, now);
    dis_runner_refresh_locked(&lender->runner, now);
    dis_donation_unlock();
}

/* donation */

/* Whether `to` would inherit anything. */
static bool has_to_lend(const struct task *from, const struct task *to)
{
    return from->own.cls != SCHED_CLASS_BATCH || to->own.cls != SCHED_CLASS_BATCH ||
           !list_is_empty(&from->runner.donors);
}

enum hx_status sched_donate(struct task *to)
{
    struct task *from = task_current();
    return has_to_lend(from, to) ? dis_donate_begin(&from->runner, &to->runner) : HX_OK;
}

void sched_donate_end(struct task *from)
{
    dis_donate_end(&from->runner);
}

void sched_donate_move(struct task *from, struct task *to)
{
    if (!HX_READ_ONCE(from->runner.lent_to) && !has_to_lend(from, to)) {
        return;
    }
    dis_donation_lock();
    if (!from->runner.ready && is_asleep(from)) { /* or it is about to find what it waited for */
        dis_donate_end_locked(&from->runner, false);
        HX_IGNORE(dis_donate_begin_locked(&from->runner, &to->runner), "it then only waits");
    }
    dis_donation_unlock();
}

/* tasks and CPUs */

HX_COLD u64 sched_cpu_time_ns(struct task *task)
{
    struct sched_account *acct = &task->own.acct;
    u64 irqs = hal_irq_save();
    struct dis_rq *rq = lock_queue_of(task);
    if (rq->curr == &task->own) {
        dis_account(rq, time_now_ns());
    }
    u64 ns = acct->exec_ns - acct->donated_out_ns + acct->donated_in_ns;
    spin_unlock(lock_of(rq));
    hal_irq_restore(irqs);
    return ns;
}

HX_COLD enum hx_status sched_affinity_set(struct task *task, u64 mask)
{
    enum hx_status status = dis_affinity_set(&task->own, mask);
    /* The context is confined now; the caller moves as soon as it lets go of this CPU. */
    while (status == HX_OK && task == task_current() && !(mask >> hal_cpu_number() & 1)) {
        task_yield();
    }
    return status;
}

static void cpu_begin(struct cpu *cpu, struct task *idle)
{
    idle->state = TASK_RUNNING;
    idle->own.cpu = cpu->hal.number;
    cpu->idle = idle;
    __atomic_store_n(&cpu->rq, dis_rq_of(cpu->hal.number), __ATOMIC_RELEASE);
}

void sched_adopt_boot(struct task *boot, struct task *idle)
{
    u64 irqs = hal_irq_save();
    struct cpu *cpu = cpu_this();
    cpu_begin(cpu, idle);
    boot->state = TASK_BLOCKED;
    boot->on_cpu = true;
    sched_wake_masked(boot);
    spin_lock(lock_of(cpu->rq));
    struct sched_ctx *first = dis_schedule(cpu->rq, time_now_ns(), DIS_WHY_KICK);
    HX_ASSERT(first == &boot->own); /* there is no other */
    cpu->resched = false;
    spin_unlock(lock_of(cpu->rq));
    hal_irq_restore(irqs);
}

void sched_cpu_online(struct task *idle)
{
    idle->on_cpu = true;
    cpu_begin(cpu_this(), idle);
}

void sched_idle(void)
{
    struct cpu *cpu = cpu_this();
    hal_irq_disable();
    for (;;) {
        if (HX_READ_ONCE(cpu->resched)) {
            spin_lock(lock_of(cpu->rq));
            reschedule(cpu, task_current(), DIS_WHY_KICK);
        } else {
            grace_quiescent(cpu);
            cpu->idle_since = hal_cycles_read();
            hal_cpu_wait();
            cpu_idle_ends(cpu);
        }
        /* What was pending is taken here: waiting leaves it so on some ports. */
        hal_irq_enable();
        hal_irq_disable();
    }
}
