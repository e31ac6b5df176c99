/* SPDX-License-Identifier: MIT */
/* Queues of the fair layers, and every call that is made into a policy.
 * Owns:      struct dis_queue: the list of runnable contexts (the ground truth) and the policy
 *            that orders them.
 * Callers:   executor.c, group.c, balance.c.   Context: run queue locked; never blocks.
 * Idea:      the policy holds a second, ordered view of what the list holds. Whatever it answers
 *            is looked up in our tables, never dereferenced; a wrong answer costs a strike and is
 *            replaced by the head of the list. A policy that is exchanged leaves its contexts
 *            behind with its generation number; each pick moves a few over, so that the exchange
 *            itself costs the same for ten contexts and for a hundred thousand. A policy that is
 *            ejected is never called again: its contexts belong to no generation and are taken
 *            up as if new. The built-in FIFO has no state but the list, so it can always serve.
 * Invariant: (1) nr == length of `runnable` == attached + old_nr + those of no living generation.
 *            (2) weight == sum of weights over `runnable`.
 *            (3) at most one context of a queue is RUNNING.
 */
#include "dis_priv.h"

#define FIFO_SLICE_NS SCHED_SLICE_MAX_NS
#define LAG_MAX_NS    ((s64)SCHED_SLICE_MAX_NS) /* no fair policy owes or lends more */
#define STAYS         (DIS_CTX_GROUP | DIS_CTX_PINNED | DIS_CTX_HELD | DIS_CTX_BOUND | DIS_CTX_LENT)
#define AUDIT_BASE_NS (20 * HX_NS_PER_MS)

/* ---- the built-in FIFO: the order of the list ---- */

static struct dis_queue *fifo_queue(struct sched_queue *view)
{
    return (struct dis_queue *)(uintptr_t)view->state[0];
}

static enum hx_status fifo_init(struct sched_queue *view)
{
    (void)view;
    return HX_OK;
}

static void fifo_enqueue(struct sched_queue *view, struct sched_ctx *ctx, u32 flags)
{
    (void)view;
    (void)ctx;
    (void)flags;
}

static void fifo_dequeue(struct sched_queue *view, struct sched_ctx *ctx)
{
    (void)view;
    ctx->lag_ns = 0;
}

static u32 fifo_pick(struct sched_queue *view)
{
    struct sched_ctx *ctx;
    LIST_FOREACH (&fifo_queue(view)->runnable, ctx, run_node) {
        if (ctx->state == SCHED_CTX_WAITING) {
            return ctx->id;
        }
    }
    return SCHED_ID_NONE;
}

static u64 fifo_start(struct sched_queue *view, struct sched_ctx *ctx)
{
    (void)view;
    (void)ctx;
    return FIFO_SLICE_NS;
}

static void fifo_charge(struct sched_queue *view, struct sched_ctx *ctx, u64 ran_ns)
{
    (void)view;
    (void)ctx;
    (void)ran_ns;
}

static void fifo_put(struct sched_queue *view, struct sched_ctx *ctx, u64 ran_ns,
                     enum sched_put how)
{
    (void)ran_ns;
    if (how == SCHED_PUT_SLICE || how == SCHED_PUT_YIELD) {
        list_remove(&ctx->run_node);
        list_add_tail(&fifo_queue(view)->runnable, &ctx->run_node);
    } else if (how == SCHED_PUT_LEAVE) {
        ctx->lag_ns = 0;
    }
}

const struct sched_policy_ops dis_policy_builtin = {
    .abi_version = SCHED_POLICY_ABI,
    .size = sizeof(struct sched_policy_ops),
    .name = "builtin",
    .init = fifo_init,
    .enqueue = fifo_enqueue,
    .dequeue = fifo_dequeue,
    .pick = fifo_pick,
    .start = fifo_start,
    .charge = fifo_charge,
    .put = fifo_put,
};

/* ---- contexts and generations ---- */

static void lag_clamp(struct sched_ctx *e)
{
    if (e->lag_ns > LAG_MAX_NS) {
        e->lag_ns = LAG_MAX_NS;
    } else if (e->lag_ns < -LAG_MAX_NS) {
        e->lag_ns = -LAG_MAX_NS;
    }
}

/* Hands e, which no policy holds, to the present one. */
static void queue_attach(struct dis_queue *q, struct sched_ctx *e, u32 flags, u64 now)
{
    e->gen = q->gen;
    e->served_mark = q->served_ns; /* a policy answers for the time since it got it */
    q->view->nr = ++q->attached;
    q->view->now = now;
    q->ops->enqueue(q->view, e, flags);
}

/* Takes e, which waits, from whichever policy holds it. */
static HX_COLD void queue_detach(struct dis_queue *q, struct sched_ctx *e, u64 now)
{
    if (hx_likely(e->gen == q->gen)) {
        q->view->now = now;
        q->ops->dequeue(q->view, e);
        q->view->nr = --q->attached;
        lag_clamp(e);
    } else if (q->old_ops != NULL && e->gen == q->old_gen) {
        q->old_view->now = now;
        q->old_ops->dequeue(q->old_view, e);
        q->old_view->nr = --q->old_nr;
        lag_clamp(e);
        if (q->old_nr == 0) {
            q->old_ops = NULL;
        }
    } else {
        e->lag_ns = 0;
    }
    e->gen = 0;
}

/* e runs and belongs to a policy of the past: takes it from there without asking the present. */
static void queue_abandon_running(struct dis_queue *q, struct sched_ctx *e, u64 ran, u64 now)
{
    if (q->old_ops != NULL && e->gen == q->old_gen) {
        q->old_view->now = now;
        q->old_ops->put(q->old_view, e, ran, SCHED_PUT_LEAVE);
        q->old_view->nr = --q->old_nr;
        lag_clamp(e);
        if (q->old_nr == 0) {
            q->old_ops = NULL;
        }
    } else {
        e->lag_ns = 0;
    }
    e->gen = 0;
}

static void queue_unlink(struct dis_queue *q, struct sched_ctx *e)
{
    if (q->audit == &e->run_node) {
        q->audit = e->run_node.next;
    }
    list_remove(&e->run_node);
    q->nr--;
    q->weight -= e->weight;
}

static void queue_strike(struct dis_queue *q, u32 id, const char *why, u64 now)
{
    dis.strikes++;
    dis_port_trace(q->rq->cpu, now, DIS_EVENT_STRIKE, id, dis.strikes);
    if (dis.strikes >= DIS_STRIKES) {
        dis_policy_eject(why);
        dis_policy_follow(q->rq, now);
    }
}

void dis_queue_strike(struct dis_queue *q, u32 id, u64 now)
{
    queue_strike(q, id, "its answers were wrong three times", now);
}

/* Puts e into a fit state to be started by the present policy. */
static void queue_take_over(struct dis_queue *q, struct sched_ctx *e, u64 now)
{
    if (e->gen != q->gen) {
        queue_detach(q, e, now);
        queue_attach(q, e, 0, now);
    }
}

static struct sched_ctx *queue_oldest(struct dis_queue *q)
{
    struct sched_ctx *e;
    LIST_FOREACH (&q->runnable, e, run_node) {
        if (e->state == SCHED_CTX_WAITING) {
            return e;
        }
    }
    return NULL;
}

/* A context the policy may name: of this queue, held by it, and waiting. */
static HX_COLD struct sched_ctx *queue_check(struct dis_queue *q, u32 id)
{
    struct sched_ctx *e = dis_id_lookup(id);
    if (hx_likely(e != NULL && e->queue == q && e->gen == q->gen &&
                  e->state == SCHED_CTX_WAITING)) {
        return e;
    }
    return NULL;
}

void dis_queue_init(struct dis_queue *q, struct dis_rq *rq, struct dis_group *group,
                    struct dis_queue *parent)
{
    list_init(&q->runnable);
    list_init(&q->throttled_node);
    q->audit = &q->runnable;
    q->rq = rq;
    q->group = group;
    q->parent = parent;
    q->view = &q->views[0];
    q->view->cpu = rq->cpu;
    q->ops = &dis_policy_builtin;
    q->gen = rq->policy_gen;
    q->view->state[0] = (u64)(uintptr_t)q;
    list_add_tail(&rq->queues, &q->rq_node);
}

void dis_queue_add(struct dis_queue *q, struct sched_ctx *e, u32 flags, u64 now)
{
    HX_DEBUG_ASSERT(!list_node_is_linked(&e->run_node));
    e->queue = q;
    e->state = SCHED_CTX_WAITING;
    list_add_tail(&q->runnable, &e->run_node);
    q->nr++;
    q->weight += e->weight;
    queue_attach(q, e, flags, now);
}

void dis_queue_del(struct dis_queue *q, struct sched_ctx *e, u64 now)
{
    queue_detach(q, e, now);
    queue_unlink(q, e);
    e->state = SCHED_CTX_BLOCKED;
}

/* No policy can make a stint too short to be worth it, or longer than the kernel allows. */
u64 dis_queue_slice_clamp(struct dis_queue *q, u64 slice)
{
    slice = hx_min_u64(hx_max_u64(slice, SCHED_SLICE_MIN_NS), SCHED_SLICE_MAX_NS);
    q->slice_max = hx_max_u64(q->slice_max, slice);
    return slice;
}

HX_COLD u64 dis_queue_start(struct dis_queue *q, struct sched_ctx *e, u64 now)
{
    queue_take_over(q, e, now);
    e->state = SCHED_CTX_RUNNING;
    q->view->now = now;
    return dis_queue_slice_clamp(q, q->ops->start(q->view, e));
}

/* Queue not empty, nothing of it running. Never fails: the list knows a context. */
struct sched_ctx *dis_queue_pick(struct dis_queue *q, u64 now, u64 *out_slice)
{
    struct sched_ctx *e;
    if (hx_unlikely(q->attached != q->nr) && q->ops != &dis_policy_builtin) {
        dis_queue_drain(q, DIS_DRAIN, now);
    }
    q->view->now = now;
    u32 id = q->ops->pick(q->view);
    e = queue_check(q, id);
    if (hx_unlikely(e == NULL)) {
        if (q->ops != &dis_policy_builtin) { /* that one names contexts it has not taken yet */
            dis_queue_strike(q, id, now);
        }
        e = queue_oldest(q);
        HX_ASSERT(e != NULL); /* inv 1, 3 */
    }
    *out_slice = dis_queue_start(q, e, now);
    return e;
}

void dis_queue_charge(struct dis_queue *q, struct sched_ctx *e, u64 ran, u64 now)
{
    if (hx_likely((e->flags & DIS_CTX_FORCED) == 0)) {
        q->served_ns += hx_min_u64(ran, q->slice_max); /* a late timer is not its fault */
    }
    if (hx_likely(e->gen == q->gen)) {
        q->view->now = now;
        q->ops->charge(q->view, e, ran);
    } else if (q->old_ops != NULL && e->gen == q->old_gen) {
        q->old_view->now = now;
        q->old_ops->charge(q->old_view, e, ran);
    }
}

void dis_queue_put(struct dis_queue *q, struct sched_ctx *e, u64 ran, enum sched_put how, u64 now)
{
    if (hx_likely((e->flags & DIS_CTX_FORCED) == 0)) {
        q->served_ns += hx_min_u64(ran, q->slice_max); /* a late timer is not its fault */
    }
    e->flags &= (u8)~DIS_CTX_FORCED;
    e->served_mark = q->served_ns;
    e->state = how == SCHED_PUT_LEAVE ? SCHED_CTX_BLOCKED : SCHED_CTX_WAITING;
    if (hx_likely(e->gen == q->gen)) {
        q->view->now = now;
        q->ops->put(q->view, e, ran, how);
        if (how == SCHED_PUT_LEAVE) {
            q->view->nr = --q->attached;
            e->gen = 0;
            lag_clamp(e);
        }
    } else {
        queue_abandon_running(q, e, ran, now);
        if (how != SCHED_PUT_LEAVE) {
            queue_attach(q, e, 0, now);
        }
    }
    if (how == SCHED_PUT_LEAVE) {
        queue_unlink(q, e);
    }
}

bool dis_queue_preempts(struct dis_queue *q, struct sched_ctx *running, struct sched_ctx *woken,
                        u64 now)
{
    if (q->ops->preempts == NULL || running->gen != q->gen || woken->gen != q->gen) {
        return false;
    }
    q->view->now = now;
    return q->ops->preempts(q->view, running, woken);
}

static bool steal_is_legal(const struct sched_ctx *e, u32 to_cpu, u64 below)
{
    return e != NULL && e->weight < below && e->state == SCHED_CTX_WAITING &&
           (e->flags & STAYS) == 0 && !dis_ctx_is_out(e) && (e->affinity & HX_BIT(to_cpu)) != 0;
}

/* A waiting context with a weight below `below` that may go to to_cpu; NULL if there is none among
 * the first few. */
struct sched_ctx *dis_queue_steal(struct dis_queue *q, u32 to_cpu, u64 below, u64 now)
{
    struct sched_ctx *e;
    u32 tries = 0;
    if (q->nr == 0) {
        return NULL;
    }
    if (q->ops->steal != NULL) {
        q->view->now = now;
        e = queue_check(q, q->ops->steal(q->view, to_cpu));
        if (steal_is_legal(e, to_cpu, below)) {
            return e;
        }
    }
    LIST_FOREACH (&q->runnable, e, run_node) {
        if (steal_is_legal(e, to_cpu, below)) {
            return e;
        }
        if (++tries == 16) { /* bounded work under two run queue locks */
            break;
        }
    }
    return NULL;
}

/* Moves up to max contexts of past generations to the present policy. New arrivals go to the end
 * of the list, so the old ones are at its head. */
HX_COLD void dis_queue_drain(struct dis_queue *q, u32 max, u64 now)
{
    struct sched_ctx *e, *tmp;
    u32 seen = 0;
    LIST_FOREACH_SAFE (&q->runnable, e, tmp, run_node) {
        if (q->attached == q->nr || seen == max) {
            break;
        }
        seen++;
        if (e->state == SCHED_CTX_WAITING && e->gen != q->gen) {
            queue_take_over(q, e, now);
        }
        /* To the end, or the next call would see the same ones again. */
        if (q->audit == &e->run_node) {
            q->audit = e->run_node.next;
        }
        list_remove(&e->run_node);
        list_add_tail(&q->runnable, &e->run_node);
    }
}

/* Looks at two contexts, in turn: has the policy forgotten one? The bound is in time that this
 * queue was served, so nobody above it counts. Under EEVDF a context waits at most for twice the
 * largest slice times the sum of the weights over its own; the third time is for arrivals. */
void dis_queue_audit(struct dis_queue *q, u64 now)
{
    for (u32 i = 0; i < 2 && q->nr != 0; i++) {
        struct sched_ctx *e;
        u64 share, bound;
        if (q->audit == &q->runnable) {
            q->audit = q->runnable.next;
        }
        e = LIST_ENTRY(q->audit, struct sched_ctx, run_node);
        q->audit = q->audit->next;
        if (e->state != SCHED_CTX_WAITING || e->gen != q->gen || q->attached != q->nr) {
            continue;
        }
        share = hx_max_u64(q->nr, q->weight / e->weight + 1);
        bound = AUDIT_BASE_NS + (3 * share + 1) * q->slice_max;
        if (q->served_ns - e->served_mark > bound) {
            e->served_mark = q->served_ns;
            dis.strikes = DIS_STRIKES - 1; /* it had many turns to do better: no second chance */
            queue_strike(q, e->id, "it forgot a context", now);
        }
    }
}

/* Brings all queues of this CPU to the generation that policy.c published. */
void dis_policy_follow(struct dis_rq *rq, u64 now)
{
    const struct sched_policy_ops *ops = dis.policy;
    u32 gen = dis.policy_gen;
    struct dis_queue *q;
    LIST_FOREACH (&rq->queues, q, rq_node) {
        if (q->gen == gen) {
            continue;
        }
        q->old_ops = NULL;
        if (q->attached != 0 && !dis.policy_dead && q->ops != &dis_policy_builtin) {
            q->old_ops = q->ops;
            q->old_view = q->view;
            q->old_gen = q->gen;
            q->old_nr = q->attached;
        }
        q->view = q->view == &q->views[0] ? &q->views[1] : &q->views[0];
        q->view->cpu = rq->cpu;
        q->view->nr = 0;
        q->attached = 0;
        q->slice_max = SCHED_SLICE_MIN_NS;
        q->gen = gen;
        q->ops = ops;
        if (ops == &dis_policy_builtin) {
            q->view->state[0] = (u64)(uintptr_t)q;
        }
    }
    rq->policy_gen = gen;
    rq->quiet = false;
    dis_port_trace(rq->cpu, now, DIS_EVENT_POLICY, SCHED_ID_NONE, gen);
}
