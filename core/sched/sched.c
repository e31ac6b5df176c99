/* SPDX-License-Identifier: MIT */
/* Run queues, switching and balancing.
 * Owns:      who runs where; the set of runnable contexts; the account of CPU time.
 * Callers:   task, wait queues, the idle loop, the way out of the kernel.
 * Locks:     rq.lock (rank RUNQUEUE) of each CPU, taken with interrupts masked. A switch is entered
 *            with the queue locked and left by the next task, which unlocks: so nobody can wake a
 *            task elsewhere before its registers are saved. Two queues are never locked at once.
 * Invariant: (1) a context is on rq.runnable iff its task is ready or running on that CPU; idle
 *            tasks never are.  queue.nr is the length of that list.
 *            (2) task->cpu names the queue whose lock guards its state; it changes under that lock,
 *            and only while the task is in no queue.
 *            (3) every answer of the policy is checked against (1); a wrong one ejects it in favour
 *            of round robin, with every runnable context kept, because the list is not its own.
 * Slices:    the timer is armed only while somebody waits, and never re-armed for a switch that
 *            shortens nothing: it looks at the clock when it fires.
 */
#include "round_robin_priv.h"

#include <core/cpu.h>
#include <core/grace.h>
#include <core/memory.h>
#include <core/spinlock.h>
#include <hal/irq.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>

#define CONTEXTS_MAX 16384

struct run_queue {
    struct spinlock lock;
    struct sched_queue queue;           /* l: the policy's view */
    const struct sched_policy_ops *ops; /* l */
    bool built_in;                      /* l: ops is round robin, which is called in line */
    struct list_node runnable;          /* l: sched_ctx.run_node, inv 1 */
    struct task *running;               /* l */
    u64 started_ns;                     /* l: since when it runs */
    u64 slice_end_ns;                   /* l */
    struct timer slice;                 /* c */
} HX_ALIGNED(64);

static struct run_queue queues[HAL_CPUS_MAX];

static struct {
    struct spinlock lock;
    struct sched_ctx **by_id; /* CONTEXTS_MAX slots; a: read without the lock */
    u32 next_hint;            /* l */
} contexts = {.lock = SPINLOCK_INIT("context ids", LOCK_RANK_TASKS)};

static bool is_built_in(const struct run_queue *rq)
{
    return rq->built_in;
}

static void set_policy(struct run_queue *rq, const struct sched_policy_ops *ops)
{
    rq->ops = ops;
    rq->built_in = ops == &sched_round_robin;
}

/* inv 2: with the lock of the queue that guards the task, or before anybody can wake it. */
static void set_cpu(struct task *task, cpu_id_t cpu)
{
    task->cpu = task->sched->cpu = cpu;
    task->rq = &queues[cpu];
}

u32 sched_queue_length(cpu_id_t cpu)
{
    return HX_READ_ONCE(queues[cpu].queue.nr);
}

/* ids */

enum hx_status sched_ctx_init(struct sched_ctx *ctx, struct task *owner)
{
    memset(ctx, 0, sizeof(*ctx));
    ctx->weight = SCHED_WEIGHT_UNIT;
    ctx->inv_weight = 1ull << SCHED_INV_SHIFT;
    ctx->slice_ns = 3 * HX_NS_PER_MS;
    ctx->affinity = ~0ull;
    ctx->owner = owner;
    list_init(&ctx->run_node);
    set_cpu(owner, hal_cpu_number()); /* a moment old at worst: where it wakes first */
    u64 state = spin_lock_irq(&contexts.lock);
    enum hx_status status = HX_ERR_NO_SPACE;
    for (u32 i = 0; i < CONTEXTS_MAX; i++) {
        u32 id = (contexts.next_hint + i) % CONTEXTS_MAX;
        if (!contexts.by_id[id]) {
            ctx->id = id;
            __atomic_store_n(&contexts.by_id[id], ctx, __ATOMIC_RELEASE);
            contexts.next_hint = id + 1;
            status = HX_OK;
            break;
        }
    }
    spin_unlock_irq(&contexts.lock, state);
    return status;
}

void sched_ctx_fini(struct sched_ctx *ctx)
{
    u64 state = spin_lock_irq(&contexts.lock);
    __atomic_store_n(&contexts.by_id[ctx->id], NULL, __ATOMIC_RELEASE);
    contexts.next_hint = ctx->id; /* the next task finds its slot at once */
    spin_unlock_irq(&contexts.lock, state);
}

/* the policy, checked */

/* Hands everything that is runnable here to the policy that the queue has got. */
static enum hx_status adopt_locked(struct run_queue *rq, const struct sched_policy_ops *ops)
{
    struct sched_queue old = rq->queue;
    memset(rq->queue.state, 0, sizeof(rq->queue.state));
    enum hx_status status = ops->init(&rq->queue);
    if (status != HX_OK) {
        rq->queue = old;
        return status;
    }
    set_policy(rq, ops);
    struct list_node *node;
    for (node = rq->runnable.next; node != &rq->runnable; node = node->next) {
        struct sched_ctx *ctx = HX_CONTAINER_OF(node, struct sched_ctx, run_node);
        memset(ctx->policy, 0, sizeof(ctx->policy));
        ops->enqueue(&rq->queue, ctx, 0);
        if (ctx->state == SCHED_CTX_RUNNING) {
            ops->start(&rq->queue, ctx);
        }
    }
    return HX_OK;
}

static void eject_locked(struct run_queue *rq, const char *why)
{
    log_error("sched", "policy %s on CPU %u ejected: %s", rq->ops->name, rq->queue.cpu, why);
    if (rq->ops == &sched_round_robin) {
        panic("the built-in scheduling policy failed: %s", why);
    }
    HX_IGNORE(adopt_locked(rq, &sched_round_robin), "the built-in cannot fail");
}

enum hx_status sched_policy_set(cpu_id_t cpu, const struct sched_policy_ops *ops)
{
    if (ops->abi_version != SCHED_POLICY_ABI || ops->size != sizeof(*ops)) {
        return HX_ERR_ABI;
    }
    struct run_queue *rq = &queues[cpu];
    u64 irqs = spin_lock_irq(&rq->lock);
    enum hx_status status = adopt_locked(rq, ops);
    spin_unlock_irq(&rq->lock, irqs);
    return status;
}

/* A waiting context of this queue, or NULL when none waits. inv 3 */
static HX_NOINLINE struct sched_ctx *pick_checked(struct run_queue *rq)
{
    for (;;) {
        u32 id = rq->ops->pick(&rq->queue);
        if (id == SCHED_ID_NONE) {
            if (rq->queue.nr == 0) {
                return NULL;
            }
            eject_locked(rq, "picked nothing although work waits");
            continue;
        }
        struct sched_ctx *ctx =
            id < CONTEXTS_MAX ? __atomic_load_n(&contexts.by_id[id], __ATOMIC_ACQUIRE) : NULL;
        if (hx_likely(ctx && ctx->state == SCHED_CTX_WAITING &&
                      ((struct task *)ctx->owner)->cpu == rq->queue.cpu)) {
            return ctx;
        }
        eject_locked(rq, "picked what does not wait here");
    }
}

static u64 start_checked(struct run_queue *rq, struct sched_ctx *ctx)
{
    u64 slice = rq->ops->start(&rq->queue, ctx);
    return hx_min_u64(hx_max_u64(slice, SCHED_SLICE_MIN_NS), SCHED_SLICE_MAX_NS);
}

static HX_ALWAYS_INLINE void enqueue_locked(struct run_queue *rq, struct sched_ctx *ctx, u32 flags)
{
    ctx->state = SCHED_CTX_WAITING;
    list_add_tail(&rq->runnable, &ctx->run_node);
    rq->queue.nr++;
    if (hx_likely(is_built_in(rq))) {
        rr_append(&rq->queue, ctx);
    } else {
        rq->ops->enqueue(&rq->queue, ctx, flags);
    }
}

static HX_ALWAYS_INLINE void leave_locked(struct run_queue *rq, struct sched_ctx *ctx)
{
    ctx->run_node.prev->next = ctx->run_node.next;
    ctx->run_node.next->prev = ctx->run_node.prev;
    rq->queue.nr--;
}

/* The slice timer must fire by the end of the slice if somebody waits for it. */
static void arm_slice_locked(struct run_queue *rq)
{
    if (rq->queue.nr > 1 && (!rq->slice.armed || rq->slice.node.key > rq->slice_end_ns)) {
        timer_start(&rq->slice, rq->slice_end_ns);
    }
}

static void kick(cpu_id_t cpu)
{
    __atomic_store_n(&cpus[cpu].resched, true, __ATOMIC_RELEASE);
    if (cpu != hal_cpu_number()) {
        hal_irq.send_ipi(cpu, IPI_RESCHEDULE);
    }
}

void sched_kick(cpu_id_t cpu)
{
    kick(cpu);
}

u64 sched_cpu_time_ns(void)
{
    u64 irqs = hal_irq_save();
    struct task *task = task_current();
    u64 ns = task->cpu_ns + (time_now_ns() - cpu_this()->rq->started_ns);
    hal_irq_restore(irqs);
    return ns;
}

static void slice_over(struct timer *timer)
{
    struct run_queue *rq = HX_CONTAINER_OF(timer, struct run_queue, slice);
    spin_lock(&rq->lock);
    if (time_now_ns() >= rq->slice_end_ns) {
        cpu_this()->resched = true;
    } else {
        arm_slice_locked(rq);
    }
    spin_unlock(&rq->lock);
}

/* switching */

static void switch_machine_state(struct task *from, struct task *to)
{
    if (from->fpu_used) {
        hal_fpu_save(from->fpu);
        hal_fpu_disable();
    }
    if (from->fpu) {
        from->user_tls = hal_user_tls_get();
    }
    if (to->space != from->space) {
        space_activate(to->space);
    }
    if (to->fpu) {
        hal_user_tls_set(to->user_tls);
        hal_kernel_stack_set(to->stack_top);
    }
    if (to->fpu_used) {
        hal_fpu_enable();
        hal_fpu_restore(to->fpu);
    }
}

static HX_NOINLINE void finish_ended(struct run_queue *rq, struct task *previous)
{
    previous->state = TASK_ZOMBIE;
    spin_unlock(&rq->lock);
    task_finish(previous);
}

static HX_ALWAYS_INLINE void finish_switch(void)
{
    struct cpu *cpu = cpu_this();
    struct task *previous = cpu->previous;
    if (hx_unlikely(previous->state == TASK_TERMINATED)) {
        finish_ended(cpu->rq, previous);
    } else {
        spin_unlock(&cpu->rq->lock);
    }
}

void sched_finish_switch(void)
{
    finish_switch();
}

void sched_switch(enum sched_put why)
{
    struct cpu *cpu = cpu_this();
    struct run_queue *rq = cpu->rq;
    struct task *from = task_current();

    spin_lock(&rq->lock);
    cpu->resched = false;
    grace_quiescent(cpu);
    u64 now = time_now_ns(), ran = now - rq->started_ns;
    rq->started_ns = now;
    from->cpu_ns += ran;
    if (hx_likely(from != cpu->idle)) {
        struct sched_ctx *ctx = from->sched;
        if (from->state == TASK_RUNNING) {
            from->state = TASK_READY;
            ctx->state = SCHED_CTX_WAITING;
            if (hx_likely(is_built_in(rq))) {
                rr_append(&rq->queue, ctx);
            } else {
                rq->queue.now = now;
                rq->ops->put(&rq->queue, ctx, ran, why);
            }
        } else {
            ctx->state = SCHED_CTX_BLOCKED;
            if (hx_unlikely(!is_built_in(rq))) {
                rq->queue.now = now;
                rq->ops->put(&rq->queue, ctx, ran, SCHED_PUT_LEAVE);
            }
            leave_locked(rq, ctx);
        }
    } else {
        from->state = TASK_READY;
    }
    struct task *to = cpu->idle;
    struct sched_ctx *next = NULL;
    u64 slice = RR_SLICE_NS;
    if (hx_unlikely(!is_built_in(rq))) {
        next = pick_checked(rq);
        slice = next ? start_checked(rq, next) : 0;
    } else if (!list_is_empty(rr_head(&rq->queue))) {
        next = rr_take_first(&rq->queue);
    }
    if (next) {
        to = next->owner;
        next->state = SCHED_CTX_RUNNING;
        rq->slice_end_ns = now + slice;
        arm_slice_locked(rq);
    }
    to->state = TASK_RUNNING;
    if (to == from) {
        spin_unlock(&rq->lock);
        return;
    }
    rq->running = to;
    to->switches++;
    cpu->previous = from;
    hal_current_set(to);
    if (from->fpu || to->fpu) { /* a kernel task has no user half to change */
        switch_machine_state(from, to);
    }
    hal_context_switch(&from->context, &to->context);
    finish_switch();
}

void sched_preempt(void)
{
    struct task *task = task_current();
    if (task->preempt_off == 0 && task->state == TASK_RUNNING) {
        struct cpu *cpu = cpu_this();
        bool over = time_now_ns() >= cpu->rq->slice_end_ns;
        sched_switch(over ? SCHED_PUT_SLICE : SCHED_PUT_PREEMPT);
    }
}

/* waking */

static HX_NOINLINE cpu_id_t choose_among(const struct task *task, u64 allowed)
{
    cpu_id_t last = task->cpu;
    if ((allowed >> last & 1) && sched_queue_length(last) == 0) {
        return last;
    }
    for (u64 mask = allowed; mask; mask &= mask - 1) {
        cpu_id_t cpu = (cpu_id_t)__builtin_ctzll(mask);
        if (sched_queue_length(cpu) == 0) {
            return cpu;
        }
    }
    if (allowed >> last & 1 || !allowed) {
        return last;
    }
    return (cpu_id_t)__builtin_ctzll(allowed);
}

static HX_ALWAYS_INLINE cpu_id_t choose_cpu(const struct task *task)
{
    u64 allowed = task->sched->affinity & cpu_online_mask();
    return hx_likely(allowed == 1ull << task->cpu) ? task->cpu : choose_among(task, allowed);
}

/* Somebody waits for the running task's slice to end. */
static HX_NOINLINE void slice_wanted(struct run_queue *rq)
{
    if (rq == cpu_this()->rq) {
        arm_slice_locked(rq);
    } else {
        kick(rq->queue.cpu); /* its own CPU's timer is its own to arm */
    }
}

static HX_ALWAYS_INLINE void make_ready_locked(struct run_queue *rq, struct task *task, u32 flags)
{
    enqueue_locked(rq, task->sched, flags);
    if (hx_unlikely(rq->queue.nr == 1)) { /* it has been idle */
        kick(rq->queue.cpu);
        return;
    }
    if (hx_likely(is_built_in(rq))) {
        /* Slices are equal, so an armed timer is early enough. */
        if (hx_unlikely(!rq->slice.armed)) {
            slice_wanted(rq);
        }
        return;
    }
    if (rq->queue.nr == 2) { /* the running one has company: its slice counts from here on */
        slice_wanted(rq);
    }
    if (rq->ops->preempts && rq->ops->preempts(&rq->queue, rq->running->sched, task->sched)) {
        kick(rq->queue.cpu);
    }
}

/* The run queue that guards the task's state, locked: inv 2. Interrupts masked. */
static HX_ALWAYS_INLINE struct run_queue *lock_queue_of(const struct task *task)
{
    for (;;) {
        struct run_queue *rq = HX_READ_ONCE(task->rq);
        spin_lock(&rq->lock);
        if (hx_likely(task->rq == rq)) {
            return rq;
        }
        spin_unlock(&rq->lock);
    }
}

bool sched_wake_masked(struct task *task)
{
    struct run_queue *rq = lock_queue_of(task);
    bool asleep = task->state == TASK_BLOCKED || task->state == TASK_SLEEPING;
    if (asleep && hx_unlikely(rq->running == task)) {
        task->state = TASK_RUNNING; /* on its way to sleep; sched_switch() will see it */
    } else if (asleep) {
        task->state = TASK_READY;
        cpu_id_t cpu = choose_cpu(task);
        if (hx_unlikely(cpu != task->cpu)) {
            set_cpu(task, cpu);
            task->sched->acct.migrations++;
            spin_unlock(&rq->lock);
            rq = &queues[cpu];
            spin_lock(&rq->lock);
        }
        make_ready_locked(rq, task, SCHED_ENQ_WAKE);
    }
    spin_unlock(&rq->lock);
    return asleep;
}

void task_block_cancel(void)
{
    struct task *task = task_current();
    struct run_queue *rq = lock_queue_of(task);
    task->state = TASK_RUNNING;
    spin_unlock(&rq->lock);
}

bool sched_wake(struct task *task)
{
    u64 irqs = hal_irq_save();
    bool woken = sched_wake_masked(task);
    hal_irq_restore(irqs);
    return woken;
}

/* balancing */

/* Takes one waiting task from `from` that may run on `cpu`; it is then in no queue. */
static struct task *steal(struct run_queue *from, cpu_id_t cpu)
{
    struct task *found = NULL;
    spin_lock(&from->lock);
    struct list_node *node;
    for (node = from->runnable.prev; node != &from->runnable; node = node->prev) {
        struct sched_ctx *ctx = HX_CONTAINER_OF(node, struct sched_ctx, run_node);
        if (ctx->state == SCHED_CTX_WAITING && (ctx->affinity >> cpu & 1)) {
            from->queue.now = time_now_ns();
            from->ops->dequeue(&from->queue, ctx);
            leave_locked(from, ctx);
            ctx->state = SCHED_CTX_BLOCKED; /* nobody's until it is enqueued again */
            found = ctx->owner;
            set_cpu(found, cpu);
            break;
        }
    }
    spin_unlock(&from->lock);
    return found;
}

/* Pulls from the longest queue if it is longer than ours by two. Interrupts masked. */
static bool pull(cpu_id_t cpu)
{
    u32 longest = sched_queue_length(cpu) + 1;
    struct run_queue *from = NULL;
    for (u64 mask = cpu_online_mask(); mask; mask &= mask - 1) {
        cpu_id_t other = (cpu_id_t)__builtin_ctzll(mask);
        if (other != cpu && sched_queue_length(other) > longest) {
            longest = sched_queue_length(other);
            from = &queues[other];
        }
    }
    struct task *task = from ? steal(from, cpu) : NULL;
    if (!task) {
        return false;
    }
    if (hx_unlikely(!(task->sched->affinity >> cpu & 1))) {
        cpu = choose_cpu(task); /* confined while it was on its way */
        set_cpu(task, cpu);
    }
    struct run_queue *rq = &queues[cpu];
    spin_lock(&rq->lock);
    task->sched->acct.migrations++;
    make_ready_locked(rq, task, 0);
    spin_unlock(&rq->lock);
    return true;
}

void sched_balance(void)
{
    u64 irqs = hal_irq_save();
    pull(hal_cpu_number());
    hal_irq_restore(irqs);
}

enum hx_status sched_affinity_set(struct task *task, u64 mask)
{
    if (!(mask & cpu_online_mask())) {
        return HX_ERR_INVALID;
    }
    u64 irqs = hal_irq_save();
    struct run_queue *rq = lock_queue_of(task);
    struct sched_ctx *ctx = task->sched;
    ctx->affinity = mask;
    bool misplaced = !(mask >> task->cpu & 1);
    if (misplaced && ctx->state == SCHED_CTX_WAITING) {
        rq->ops->dequeue(&rq->queue, ctx);
        leave_locked(rq, ctx);
        ctx->state = SCHED_CTX_BLOCKED;
        set_cpu(task, choose_cpu(task));
        spin_unlock(&rq->lock);
        rq = &queues[task->cpu];
        spin_lock(&rq->lock);
        make_ready_locked(rq, task, 0);
    }
    bool running = misplaced && rq->running == task;
    spin_unlock(&rq->lock);
    hal_irq_restore(irqs);
    enum hx_status status = HX_OK;
    /* Sleep for a moment: waking is what chooses a CPU. A moment that was over before the sleep
     * began has moved nobody; the next one is longer. */
    for (u64 ns = 10 * HX_NS_PER_US; running && task == task_current() && status == HX_OK &&
                                     !(ctx->affinity >> HX_READ_ONCE(task->cpu) & 1);
         ns *= 2) {
        status = task_sleep_until(time_now_ns() + ns);
    }
    return status; /* one that runs elsewhere moves when it next wakes */
}

/* CPUs */

void sched_adopt_boot(struct task *boot, struct task *idle)
{
    u64 irqs = hal_irq_save();
    struct run_queue *rq = &queues[0];
    spin_lock(&rq->lock);
    cpus[0].idle = idle;
    cpus[0].rq = rq;
    set_cpu(boot, 0);
    set_cpu(idle, 0);
    boot->state = TASK_READY;
    enqueue_locked(rq, boot->sched, 0);
    boot->state = TASK_RUNNING;
    boot->sched->state = SCHED_CTX_RUNNING;
    rq->running = boot;
    rq->started_ns = time_now_ns();
    rq->slice_end_ns = rq->started_ns + rq->ops->start(&rq->queue, boot->sched);
    spin_unlock(&rq->lock);
    hal_irq_restore(irqs);
}

void sched_cpu_online(struct task *idle)
{
    struct cpu *cpu = cpu_this();
    struct run_queue *rq = &queues[cpu->hal.number];
    set_cpu(idle, (cpu_id_t)cpu->hal.number);
    idle->state = TASK_RUNNING;
    cpu->idle = idle;
    cpu->rq = rq;
    rq->running = idle;
    rq->started_ns = time_now_ns();
}

void sched_idle(void)
{
    struct cpu *cpu = cpu_this();
    cpu_id_t number = (cpu_id_t)cpu->hal.number;
    hal_irq_disable();
    for (;;) {
        if (sched_queue_length(number) > 0 || pull(number)) {
            sched_switch(SCHED_PUT_YIELD);
        } else {
            grace_quiescent(cpu);
            if (!HX_READ_ONCE(cpu->resched)) {
                hal_cpu_wait();
            }
            cpu->resched = false;
            /* What was pending is taken here: waiting leaves it so on some ports. */
            hal_irq_enable();
            hal_irq_disable();
        }
    }
}

enum hx_status sched_init(const struct sched_policy_ops *policy)
{
    contexts.by_id = kzalloc(CONTEXTS_MAX * sizeof(struct sched_ctx *));
    if (!contexts.by_id) {
        return HX_ERR_NO_MEMORY;
    }
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        struct run_queue *rq = &queues[cpu];
        rq->lock = (struct spinlock)SPINLOCK_INIT("run queue", LOCK_RANK_RUNQUEUE);
        list_init(&rq->runnable);
        rq->queue.cpu = cpu;
        set_policy(rq, policy);
        rq->slice.expired = slice_over;
        enum hx_status status = policy->init(&rq->queue);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}
