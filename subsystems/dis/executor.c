/* SPDX-License-Identifier: MIT */
/* The executor: what runs on a CPU now, until when, and who pays.
 * Owns:      struct dis_rq: the current context, its stint, the timer.
 * Callers:   the kernel's switch path, wake-ups and timer interrupt; the simulator.
 * Context:   run queue locked, own CPU, unless a function says otherwise. Never blocks.
 * Order:     stop; then servers by deadline (Realtime, groups' minima, Interactive with tokens,
 *            the guard of what is below); then the fair layer; then the idle layer, which now and
 *            then goes before the fair one so that it never starves.
 * Timer:     one shot, for the earliest of: slice end, budget end, next replenishment. It is not
 *            pulled back when that moves to later: a yield storm must not pay for re-arming, and
 *            a firing too early only arms again.
 * Invariant: (1) curr is RUNNING and on no tree of a policy; its server, if it runs by one, stays
 *            in `edf`. (2) everything up to exec_start is charged. (3) the entity of a group's
 *            queue is in its parent's queue iff the queue is not empty and not out of its maximum.
 */
#include "dis_priv.h"

struct dis_state dis;

struct dis_rq *dis_rq_of(u32 cpu)
{
    return dis.rq[cpu];
}

void dis_rq_lock(struct dis_rq *rq)
{
    dis_port_lock(&rq->lock);
}

void dis_rq_unlock(struct dis_rq *rq)
{
    dis_port_unlock(&rq->lock);
}

void dis_rq_init(struct dis_rq *rq, u32 cpu)
{
    rq->cpu = cpu;
    dis_port_lock_init(&rq->lock, DIS_RANK_RUNQUEUE);
    dis_port_lock_init(&rq->inbox_lock, DIS_RANK_INBOX);
    rq->timer_at = DIS_NEVER;
    rq->slice_end = DIS_NEVER;
    rq->throttled_until = DIS_NEVER;
    rq->bg_left = DIS_BG_QUANTUM;
    rq->single = dis.config.cpus == 1;
    list_init(&rq->queues);
    list_init(&rq->throttled);
    list_init(&rq->inbox);
}

/* ---- membership of the fair layers ---- */

static void fair_leaves(struct dis_queue *q, const struct sched_ctx *ctx, int delta)
{
    for (; q != NULL; q = q->parent) {
        q->leaves += (u32)delta;
        q->load += delta > 0 ? ctx->weight : -(u64)ctx->weight;
    }
}

/* q went from empty to not, or its budget returned: shows it to its parents. */
HX_COLD void dis_fair_show(struct dis_rq *rq, struct dis_queue *q, u32 flags, u64 now)
{
    while (!q->throttled) {
        if (q->min.runtime != 0 && q->parent != NULL) {
            dis_server_start(rq, &q->min, now);
        }
        if (q->parent == NULL) {
            break;
        }
        dis_queue_add(q->parent, &q->ent, flags, now);
        q = q->parent;
        if (q->nr > 1) { /* it was there before */
            break;
        }
    }
}

/* The reverse, after q became empty or ran out of its maximum. */
static void fair_hide(struct dis_rq *rq, struct dis_queue *q, u64 now)
{
    for (;;) {
        if (q->min.runtime != 0) {
            dis_server_stop(rq, &q->min);
        }
        if (q->parent == NULL) {
            break;
        }
        dis_group_return(q);
        if (q->ent.state != SCHED_CTX_WAITING) { /* running: the chain of puts takes it out */
            break;
        }
        dis_queue_del(q->parent, &q->ent, now);
        q = q->parent;
        if (q->nr != 0 || q->throttled) {
            break;
        }
    }
}

void dis_fair_add(struct dis_rq *rq, struct sched_ctx *ctx, u32 flags, u64 now)
{
    struct dis_queue *q = ctx->layer == DIS_LAYER_IDLE ? rq->idle : ctx->group->queue[rq->cpu];
    dis_queue_add(q, ctx, flags, now);
    fair_leaves(q, ctx, 1);
    rq->quiet = rq->quiet && q == rq->root;
    if (q->nr == 1) {
        if (q == rq->idle) {
            rq->bg_due = now + DIS_BG_PERIOD;
            rq->bg_left = DIS_BG_QUANTUM;
        }
        dis_fair_show(rq, q, flags, now);
    }
}

/* ctx waits in its queue. */
void dis_fair_del(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    struct dis_queue *q = ctx->queue;
    dis_queue_del(q, ctx, now);
    fair_leaves(q, ctx, -1);
    rq->quiet = false;
    if (q->nr == 0 && !q->throttled) {
        fair_hide(rq, q, now);
    }
}

/* Makes a blocked context of this CPU wait in the layer of its class. */
void dis_rq_enqueue(struct dis_rq *rq, struct sched_ctx *ctx, u32 flags, u64 now)
{
    ctx->state = SCHED_CTX_WAITING;
    if (hx_likely(ctx->cls == SCHED_CLASS_BATCH || ctx->cls == SCHED_CLASS_SYSTEM)) {
        ctx->layer = ctx->layer == DIS_LAYER_STOP ? DIS_LAYER_STOP : DIS_LAYER_FAIR;
    }
    if (hx_unlikely(ctx->layer == DIS_LAYER_STOP)) {
        /* Before everything: a deadline in the past that no other server can have. */
        ctx->server.deadline = now - (DIS_NEVER >> 2);
        ctx->server.release = now;
        ctx->server.period = DIS_NEVER >> 2;
        ctx->server.budget = INT64_MAX;
        dis_server_resume(rq, &ctx->server);
        return;
    }
    switch (ctx->cls) {
    case SCHED_CLASS_REALTIME: {
        u64 was = ctx->server.release;
        ctx->layer = DIS_LAYER_DEADLINE;
        if (ctx->piece == 0) {
            dis_server_start(rq, &ctx->server, now);
            if (ctx->server.release != was) {
                ctx->job_deadline =
                    now + (ctx->pieces > 1 ? ctx->split[ctx->pieces - 1].rel_deadline
                                           : ctx->server.rel_deadline);
                ctx->job_budget = 0;
                for (u32 i = 0; i < ctx->pieces; i++) {
                    ctx->job_budget += ctx->split[i].runtime;
                }
            } else if (ctx->server.state == DIS_SERVER_THROTTLED) {
                ctx->job_deadline = 0;
            }
        } else {
            dis_server_resume(rq, &ctx->server);
        }
        return;
    }
    case SCHED_CLASS_INTERACTIVE:
        if (dis_prompt_grant(rq, ctx, now)) {
            ctx->layer = DIS_LAYER_PROMPT;
            return;
        }
        ctx->layer = DIS_LAYER_FAIR;
        break;
    case SCHED_CLASS_BACKGROUND:
        ctx->layer = DIS_LAYER_IDLE;
        break;
    default:
        break;
    }
    dis_fair_add(rq, ctx, flags, now);
}

/* A waiting context leaves the queues and is blocked. */
void dis_rq_dequeue(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    if (dis_layer_is_fair(ctx->layer)) {
        dis_fair_del(rq, ctx, now);
    } else {
        dis_server_stop(rq, &ctx->server);
    }
    ctx->state = SCHED_CTX_BLOCKED;
}

/* ---- charging ---- */

static void stint_end_bg(struct dis_rq *rq, u64 ran, u64 now)
{
    if (rq->bg_boost) {
        rq->bg_left -= (s64)ran;
        if (rq->bg_left > 0) {
            return;
        }
    }
    rq->bg_due = now + DIS_BG_PERIOD;
    rq->bg_left = DIS_BG_QUANTUM;
}

/* A split context has used up its piece: the next one is on another CPU. */
static void piece_next(struct dis_rq *rq, struct sched_ctx *ctx)
{
    u64 release = ctx->server.release;
    dis_server_stop(rq, &ctx->server);
    ctx->piece++;
    ctx->server.release = release;
    ctx->server.runtime = ctx->split[ctx->piece].runtime;
    ctx->server.rel_deadline = ctx->split[ctx->piece].rel_deadline;
    ctx->server.budget += (s64)ctx->server.runtime;
    ctx->server.deadline = release + ctx->server.rel_deadline;
}

static void piece_first(struct sched_ctx *ctx)
{
    u64 release = ctx->server.release;
    ctx->piece = 0;
    ctx->server.runtime = ctx->split[0].runtime;
    ctx->server.rel_deadline = ctx->split[0].rel_deadline;
    ctx->server.deadline = release + ctx->server.rel_deadline;
    ctx->server.budget = 0;
}

/* `ends`: ctx is about to leave, and a budget used up to the last ns is no overrun. */
static void charge_server(struct dis_rq *rq, struct sched_ctx *ctx, u64 ran, bool ends, u64 now)
{
    struct sched_server *s = &ctx->server;
    if (ctx->layer == DIS_LAYER_DEADLINE && s->state == DIS_SERVER_READY) {
        ctx->job_budget -= hx_min_u64(ctx->job_budget, ran);
        if (ends && s->budget >= (s64)ran) {
            s->budget -= (s64)ran;
        } else if (ctx->pieces <= 1) {
            dis_server_charge(rq, s, ran, now);
        } else if (s->budget <= (s64)ran) {
            s->budget -= (s64)ran;
            if (ctx->piece + 1 < ctx->pieces) {
                piece_next(rq, ctx);
            } else { /* a split context always waits for its next release */
                dis_server_stop(rq, s);
                dis_server_overrun(rq, s, now);
                piece_first(ctx);
            }
            ctx->flags |= DIS_CTX_MOVING;
        } else {
            s->budget -= (s64)ran;
        }
    } else if (ctx->layer == DIS_LAYER_PROMPT) {
        ctx->token_ns -= hx_min_u64(ctx->token_ns, ran);
        s->budget -= (s64)ran;
        if (s->budget <= 0 && !ends && !dis_prompt_grant(rq, ctx, now)) {
            dis_server_stop(rq, s);
        }
    }
}

/* Servers and limits of the queues above a context of a fair layer. */
static void charge_groups(struct dis_rq *rq, struct dis_queue *q, u64 ran, u64 now)
{
    for (; q != NULL; q = q->parent) {
        if (q->min.state == DIS_SERVER_READY) {
            dis_server_charge(rq, &q->min, ran, now);
        }
        if (q->parent != NULL && dis_group_charge(q, ran, now) && q->min.runtime != 0) {
            dis_server_stop(rq, &q->min);
        }
    }
}

/* Charges the current context up to now for everything but its queues' policies.
 * Return: the ns that those are still to be told of. */
static u64 rq_charge(struct dis_rq *rq, struct sched_ctx *ctx, bool ends, u64 now)
{
    u64 ran = now - rq->exec_start;
    if (hx_unlikely(ran > DIS_RAN_MAX)) {
        ran = dis_time_before(now, rq->exec_start) ? 0 : DIS_RAN_MAX;
    }
    rq->exec_start = now;
    ctx->acct.exec_ns += ran;
    if (hx_unlikely((ctx->flags & DIS_CTX_LENT) != 0)) {
        ctx->acct.donated_out_ns += ran;
        if (ctx->runner->own != NULL) {
            ctx->runner->own->acct.donated_in_ns += ran;
        }
    }
    rq->stats.busy_ns[ctx->layer] += ran;
    if (hx_likely(dis_layer_is_fair(ctx->layer))) {
        struct dis_queue *q = ctx->queue;
        if (q->parent != NULL || q->min.state != DIS_SERVER_IDLE) {
            charge_groups(rq, q, ran, now);
        }
        if (hx_unlikely(ctx->layer == DIS_LAYER_IDLE)) {
            stint_end_bg(rq, ran, now);
            if (rq->root->min.state == DIS_SERVER_READY) {
                dis_server_charge(rq, &rq->root->min, ran, now);
            }
        }
    } else {
        charge_server(rq, ctx, ran, ends, now);
    }
    return ran;
}

/* ---- calm ---- */

/* What the short paths do not count as they go. `now`: up to when something has run. */
static void stats_flush(struct dis_rq *rq, u64 now)
{
    rq->stats.busy_ns[DIS_LAYER_FAIR] += now - rq->calm_start;
    rq->stats.switches[DIS_LAYER_FAIR] += rq->quick_switches;
    rq->calm_start = now;
    rq->quick_switches = 0;
}

void dis_learn(struct sched_ctx *ctx, u64 woken_ns, u64 now)
{
    ctx->acct.max_wake_ns = hx_max_u64(ctx->acct.max_wake_ns, now - woken_ns);
    dis_opt_block(ctx, woken_ns);
    ctx->slept_ns = woken_ns - ctx->stop_ns;
    dis_opt_wake(ctx, woken_ns);
}

/* Nothing waits but, maybe, rq->next: the current context, which is the only one of the fair layer
 * or none, leaves its queue and runs without one. */
static void rq_calm_down(struct dis_rq *rq, struct sched_ctx *curr, u64 now)
{
    if (rq->edf.first != NULL || rq->waiting.first != NULL || rq->idle->nr != 0 ||
        rq->throttled_until != DIS_NEVER || !list_is_empty(&rq->throttled)) {
        return;
    }
    rq->calm_start = now;
    if (curr == NULL) {
        rq->calm = rq->root->nr != 0 ? DIS_CALM_NOT : rq->single ? DIS_CALM_SINGLE : DIS_CALM;
        return;
    }
    if (curr->special || curr->flags != 0 || rq->root->nr != 1 || !dis_layer_is_fair(curr->layer)) {
        return;
    }
    dis_queue_put(rq->root, curr, 0, SCHED_PUT_LEAVE, now);
    fair_leaves(rq->root, curr, -1);
    curr->state = SCHED_CTX_RUNNING;
    rq->slice_end = DIS_NEVER;
    rq->calm = rq->single ? DIS_CALM_SINGLE : DIS_CALM;
}

/* Puts the current context and the one that was woken where they belong, as of when that was. */
static HX_NOINLINE void leave_calm(struct dis_rq *rq, u64 now)
{
    struct sched_ctx *curr = rq->curr, *next = rq->next;
    struct dis_queue *q = rq->root;
    u64 at = next != NULL ? rq->next_ns : now;
    rq->calm = DIS_CALM_NOT;
    rq->next = NULL;
    if (curr == NULL) {
        stats_flush(rq, rq->calm_start); /* nothing has run since */
    } else {
        if (dis_time_before(at, rq->exec_start)) {
            at = rq->exec_start; /* another CPU's clock is a little behind */
        }
        curr->acct.exec_ns += at - rq->exec_start; /* until then it had no company */
        rq->exec_start = at;
        stats_flush(rq, at);
        dis_queue_add(q, curr, 0, at);
        fair_leaves(q, curr, 1);
        rq->slice_ns = dis_queue_start(q, curr, at);
        rq->slice_end = next != NULL ? at + rq->slice_ns : DIS_NEVER;
    }
    if (next != NULL) {
        next->layer = DIS_LAYER_FAIR;
        next->acct.wakes_switches++;
        next->slept_ns = at - next->stop_ns;
        next->stop_ns = at;
        next->wake_ns = at + 1;
        dis_opt_wake(next, at);
        next->burst_start_ns = next->acct.exec_ns;
        dis_queue_add(q, next, SCHED_ENQ_WAKE, at);
        fair_leaves(q, next, 1);
    }
}

static inline void rq_settle(struct dis_rq *rq, u64 now)
{
    if (rq->calm != DIS_CALM_NOT) {
        leave_calm(rq, now);
    }
}

void dis_rq_settle(struct dis_rq *rq, u64 now)
{
    rq_settle(rq, now);
}

void dis_account(struct dis_rq *rq, u64 now)
{
    struct sched_ctx *ctx = rq->curr;
    u64 ran;
    rq_settle(rq, now);
    if (ctx == NULL) {
        rq->stats.busy_ns[DIS_LAYER_NONE] += now - rq->exec_start;
        rq->exec_start = now;
        return;
    }
    ran = rq_charge(rq, ctx, false, now);
    if (dis_layer_is_fair(ctx->layer)) {
        struct sched_ctx *e = ctx;
        for (struct dis_queue *q = ctx->queue; q != NULL; q = q->parent) {
            dis_queue_charge(q, e, ran, now);
            e = &q->ent;
            if (q->parent != NULL && e->state != SCHED_CTX_RUNNING) {
                break; /* see put_fair() */
            }
        }
    }
}

/* ---- the end of a stint ---- */

static void job_done(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    u64 late;
    if (ctx->job_deadline == 0) {
        return;
    }
    if (dis_time_before(ctx->job_deadline, now)) {
        late = now - ctx->job_deadline;
        ctx->acct.misses++;
        ctx->acct.last_miss_ns = now;
        ctx->acct.max_tardiness_ns = hx_max_u64(ctx->acct.max_tardiness_ns, late);
        dis.misses++;
        dis.last_miss_ns = now;
        dis.last_miss_id = ctx->id;
        dis_port_trace(rq->cpu, now, DIS_EVENT_MISS, ctx->id, late);
    } else if (ctx->hist != NULL) {
        ctx->hist->slack[dis_hist_bucket(ctx->job_deadline - now)]++;
    }
}

static void ctx_blocked(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    ctx->state = SCHED_CTX_BLOCKED;
    ctx->stop_ns = now;
    if (ctx->cls == SCHED_CLASS_REALTIME) {
        job_done(rq, ctx, now);
        if (ctx->piece != 0) {
            piece_first(ctx);
        }
    }
    ctx->flags &= (u8)~DIS_CTX_MOVING; /* its wake-up will find the way */
    dis_opt_block(ctx, now);
    dis_port_trace(rq->cpu, now, DIS_EVENT_BLOCK, ctx->id, 0);
}

static void put_fair(struct dis_rq *rq, struct sched_ctx *ctx, u64 ran, enum sched_put how, u64 now)
{
    struct dis_queue *q = ctx->queue;
    struct sched_ctx *e = ctx;
    bool gone = how == SCHED_PUT_LEAVE;
    if (gone) {
        fair_leaves(q, ctx, -1);
    }
    for (;;) {
        if (hx_unlikely((e->flags & DIS_CTX_FORCED) != 0 && how != SCHED_PUT_LEAVE)) {
            /* Its server gave it more than its share, perhaps without end. Leaving and coming back
             * bounds what it owes: a debt of seconds would distort its peers' shares. */
            dis_queue_put(q, e, ran, SCHED_PUT_LEAVE, now);
            dis_queue_add(q, e, 0, now);
        } else {
            dis_queue_put(q, e, ran, how, now);
        }
        if (hx_likely(q->parent == NULL)) {
            break;
        }
        e = &q->ent;
        if (hx_unlikely(e->state != SCHED_CTX_RUNNING)) {
            break; /* started in a queue that had just been throttled: not shown to the parent */
        }
        if (q->nr == 0 || q->throttled) {
            how = SCHED_PUT_LEAVE;
            if (!q->throttled) {
                dis_group_return(q);
                if (q->min.runtime != 0) {
                    dis_server_stop(rq, &q->min);
                }
            }
        } else if (how != SCHED_PUT_SLICE) {
            how = SCHED_PUT_PREEMPT;
        }
        q = q->parent;
    }
}

static void put_prev(struct dis_rq *rq, struct sched_ctx *ctx, u64 now, enum dis_why why)
{
    u64 ran = rq_charge(rq, ctx, why != DIS_WHY_KICK, now);
    bool leave = why >= DIS_WHY_BLOCK || (ctx->flags & (DIS_CTX_MOVING | DIS_CTX_HELD)) != 0;

    rq->curr = NULL;
    if (hx_likely(dis_layer_is_fair(ctx->layer))) {
        enum sched_put how = leave                  ? SCHED_PUT_LEAVE
                             : why == DIS_WHY_YIELD ? SCHED_PUT_YIELD
                             : now < rq->slice_end  ? SCHED_PUT_PREEMPT
                                                    : SCHED_PUT_SLICE;
        put_fair(rq, ctx, ran, how, now);
        rq->bg_boost = false;
    } else {
        ctx->state = SCHED_CTX_WAITING;
        if (leave) {
            dis_server_stop(rq, &ctx->server);
        } else if (ctx->layer == DIS_LAYER_PROMPT && ctx->server.state != DIS_SERVER_READY) {
            ctx->layer = DIS_LAYER_FAIR; /* out of tokens */
            dis_fair_add(rq, ctx, 0, now);
        } else if (why == DIS_WHY_YIELD && ctx->layer == DIS_LAYER_DEADLINE && ctx->pieces <= 1) {
            /* Done for this period: the deadline analysis has no other meaning for a yield. */
            job_done(rq, ctx, now);
            ctx->job_deadline = 0;
            if (ctx->server.state == DIS_SERVER_READY) {
                ctx->server.budget = 0;
                dis_server_stop(rq, &ctx->server);
                dis_server_start(rq, &ctx->server, now);
            }
        }
    }
    if (hx_unlikely(leave)) {
        if (why >= DIS_WHY_BLOCK) {
            ctx_blocked(rq, ctx, now);
        } else if ((ctx->flags & DIS_CTX_MOVING) != 0) {
            dis_ctx_push(ctx, ctx->cls == SCHED_CLASS_REALTIME
                                  ? ctx->split[ctx->piece].cpu
                                  : dis_balance_cpu_for_wake(ctx, rq->cpu, now));
        } else { /* held: its runner is busy elsewhere */
            ctx->state = SCHED_CTX_BLOCKED;
            ctx->stop_ns = now;
        }
    } else {
        ctx->stop_ns = now;
        if (why == DIS_WHY_YIELD) {
            ctx->acct.yields++;
        }
    }
}

/* ---- the choice ---- */

static struct sched_ctx *pick_down(struct dis_rq *rq, struct dis_queue *q, u64 now)
{
    for (;;) {
        struct sched_ctx *e = dis_queue_pick(q, now, &rq->slice_ns);
        if (hx_likely((e->flags & DIS_CTX_GROUP) == 0)) {
            return e;
        }
        q = dis_queue_of_ent(e);
    }
}

static struct sched_ctx *pick_fair(struct dis_rq *rq, u64 now)
{
    struct sched_ctx *ctx;
    if (hx_likely(rq->idle->nr == 0)) {
        return rq->root->nr == 0 ? NULL : pick_down(rq, rq->root, now);
    }
    if (rq->root->nr != 0) {
        if (now < rq->bg_due) {
            return pick_down(rq, rq->root, now);
        }
        rq->bg_boost = true;
    }
    ctx = pick_down(rq, rq->idle, now);
    if (rq->bg_boost) {
        rq->slice_ns = hx_min_u64(rq->slice_ns, (u64)rq->bg_left);
    }
    return ctx;
}

/* The queue of a group's server: its ancestors run with it, so that they are charged. */
static struct sched_ctx *pick_server(struct dis_rq *rq, struct sched_server *s, u64 now)
{
    struct dis_queue *q = HX_CONTAINER_OF(s, struct dis_queue, min);
    struct sched_ctx *ctx = pick_down(rq, q, now);
    for (; q->parent != NULL; q = q->parent) {
        HX_IGNORE(dis_queue_start(q->parent, &q->ent, now), "the leaf's slice counts");
        q->ent.flags |= DIS_CTX_FORCED;
    }
    return ctx;
}

static struct sched_ctx *rq_pick(struct dis_rq *rq, u64 now)
{
    struct sched_server *guard = &rq->root->min;
    struct sched_server *s = dis_server_first(rq);
    struct sched_ctx *ctx;
    if (hx_likely(s == NULL)) {
        return pick_fair(rq, now);
    }
    if (rq->root->nr + rq->idle->nr == 0) {
        if (guard->state != DIS_SERVER_IDLE) { /* nothing to guard */
            dis_server_stop(rq, guard);
            return rq_pick(rq, now);
        }
    } else if (guard->runtime != 0 && guard->state == DIS_SERVER_IDLE) {
        /* Something with a deadline goes first: from now on the fair layers need their guard. */
        dis_server_start(rq, guard, now);
        s = dis_server_first(rq);
    }
    switch (s->kind) {
    case DIS_SERVER_CTX:
        ctx = dis_server_ctx(s);
        ctx->state = SCHED_CTX_RUNNING;
        rq->slice_ns = DIS_NEVER;
        return ctx;
    case DIS_SERVER_QUEUE:
        return pick_server(rq, s, now);
    default:
        return pick_fair(rq, now);
    }
}

/* When the present stint has to end at the latest. */
static u64 stint_limit(struct dis_rq *rq, u64 now)
{
    struct sched_ctx *ctx = rq->curr;
    u64 at = rq->slice_end;
    if (!dis_layer_is_fair(ctx->layer)) {
        if (ctx->layer == DIS_LAYER_STOP) {
            return DIS_NEVER;
        }
        return ctx->server.state == DIS_SERVER_READY ? now + (u64)ctx->server.budget : now;
    }
    struct dis_queue *q = ctx->queue;
    if (hx_likely(q->parent == NULL && rq->root->min.state == DIS_SERVER_IDLE)) {
        return at;
    }
    for (; q != NULL; q = q->parent) {
        if (q->min.state == DIS_SERVER_READY && q->min.budget > 0) {
            at = hx_min_u64(at, now + (u64)q->min.budget);
        }
        if (q->throttled) {
            return now;
        }
        if (q->group->capped) {
            at = hx_min_u64(at, now + (u64)q->quota);
        }
    }
    if (ctx->layer == DIS_LAYER_IDLE && rq->root->min.state == DIS_SERVER_READY) {
        at = hx_min_u64(at, now + (u64)rq->root->min.budget);
    }
    return at;
}

void dis_timer_program(struct dis_rq *rq, u64 now)
{
    u64 at = rq->curr == NULL ? DIS_NEVER : stint_limit(rq, now);
    if (rq->waiting.first != NULL) {
        at = hx_min_u64(at, rq->waiting.first->key);
    }
    at = hx_min_u64(at, rq->throttled_until);
    if (hx_unlikely(at < rq->timer_at)) {
        rq->timer_at = at;
        dis_port_timer_arm(rq->cpu, at);
    }
}

/* It runs for the first time since it was woken. */
static HX_NOINLINE void ctx_woken(struct sched_ctx *ctx, u64 now)
{
    u64 waited = now - (ctx->wake_ns - 1);
    ctx->wake_ns = 0;
    ctx->acct.max_wake_ns = hx_max_u64(ctx->acct.max_wake_ns, waited);
    if (ctx->hist != NULL) {
        ctx->hist->wake[dis_hist_bucket(waited)]++;
    }
}

static void ctx_started(struct sched_ctx *ctx, u64 now)
{
    if (ctx->wake_ns != 0) {
        ctx_woken(ctx, now);
    }
    ctx->acct.wait_ns += now - ctx->stop_ns;
}

static bool slice_is_needed(const struct dis_rq *rq)
{
    return rq->root->leaves + rq->idle->leaves > 1;
}

static HX_NOINLINE void upkeep_do(struct dis_rq *rq, u64 now)
{
    if (hx_unlikely(rq->policy_gen != dis.policy_gen)) {
        dis_policy_follow(rq, now);
    }
    if (hx_unlikely(rq->inbox_nr != 0)) {
        dis_balance_inbox(rq, now);
    }
    if (rq->waiting.first != NULL) {
        dis_server_expire(rq, now);
    }
    if (hx_unlikely(now >= rq->throttled_until)) {
        dis_group_unthrottle(rq, now);
    }
}

/* What is due at any decision, beside the decision. */
static inline void rq_upkeep(struct dis_rq *rq, u64 now)
{
    const struct sched_tree_node *first = rq->waiting.first;
    if (hx_unlikely(rq->policy_gen != dis.policy_gen || rq->inbox_nr != 0 ||
                    (first != NULL && !dis_time_before(now, first->key)) ||
                    now >= rq->throttled_until)) {
        upkeep_do(rq, now);
    }
}

/* A yield among peers of the root's fair queue, when nothing else is going on: then only the
 * policy and the accounts have a say. This is put_prev(), rq_pick() and the rest, reduced to what
 * is left of them then. Return: NULL, something else is going on. */
static HX_ALWAYS_INLINE struct sched_ctx *yield_fast(struct dis_rq *rq, u64 now)
{
    struct sched_ctx *prev = rq->curr, *next;
    struct dis_queue *q = rq->root;
    u64 ran = now - rq->exec_start, slice;

    if (hx_unlikely(prev->flags != 0 || ran > DIS_RAN_MAX)) {
        return NULL;
    }
    rq->exec_start = now;
    prev->acct.exec_ns += ran;
    rq->stats.busy_ns[DIS_LAYER_FAIR] += ran;
    prev->stop_ns = now;
    prev->acct.yields++;
    q->served_ns += hx_min_u64(ran, q->slice_max);
    prev->served_mark = q->served_ns;
    prev->state = SCHED_CTX_WAITING;
    q->view->now = now;
    next = dis_queue_yield(q, prev, ran, &slice);
    if (hx_unlikely(next == NULL)) {
        rq->curr = NULL; /* from here on as usual */
        return NULL;
    }
    next->state = SCHED_CTX_RUNNING;
    if (hx_unlikely(slice - SCHED_SLICE_MIN_NS > q->slice_max - SCHED_SLICE_MIN_NS)) {
        slice = dis_queue_slice_clamp(q, slice);
    }
    rq->slice_ns = slice;
    if (next != prev) {
        rq->curr = next;
        if (hx_unlikely(next->wake_ns != 0)) {
            ctx_woken(next, now);
        }
        next->acct.wait_ns += now - next->stop_ns;
        next->acct.switches++;
        rq->stats.switches[DIS_LAYER_FAIR]++;
        dis_port_trace(rq->cpu, now, DIS_EVENT_SWITCH, next->id, DIS_LAYER_FAIR);
    }
    rq->slice_end = now + slice;
    if (hx_unlikely(rq->slice_end < rq->timer_at)) {
        rq->timer_at = rq->slice_end;
        dis_port_timer_arm(rq->cpu, rq->slice_end);
    }
    return next;
}

/* May yield_fast() serve the next yield? Only contexts of the root's queue, all of them held by its
 * policy, and one of them runs. Whoever changes one of these clears rq->quiet; inboxes and new
 * policies come with a kick, which leads here. */
static bool rq_is_quiet(const struct dis_rq *rq)
{
    const struct dis_queue *q = rq->root;
    return rq->edf.first == NULL && rq->waiting.first == NULL && rq->idle->nr == 0 &&
           rq->throttled_until == DIS_NEVER && q->attached == q->nr && q->leaves == q->nr &&
           q->nr > 1 && q->ops->yield != NULL;
}

static HX_NOINLINE struct sched_ctx *schedule_slow(struct dis_rq *rq, u64 now, enum dis_why why)
{
    struct sched_ctx *prev = rq->curr, *next;
    rq_settle(rq, now);
    rq->quiet = false;
    if (hx_likely(prev != NULL)) {
        put_prev(rq, prev, now, why);
    } else {
        rq->stats.busy_ns[DIS_LAYER_NONE] += now - rq->exec_start;
        rq->exec_start = now;
    }
    rq_upkeep(rq, now);
    next = rq_pick(rq, now);
    if (hx_unlikely(next == NULL) && dis_balance_pull(rq, now)) {
        next = rq_pick(rq, now);
    }
    rq->curr = next;
    rq->slice_end = DIS_NEVER;
    if (hx_unlikely(next == NULL)) {
        if (prev != NULL) {
            rq->stats.switches[DIS_LAYER_NONE]++;
            dis_port_trace(rq->cpu, now, DIS_EVENT_SWITCH, SCHED_ID_NONE, DIS_LAYER_NONE);
        }
    } else {
        if (dis_layer_is_fair(next->layer) && slice_is_needed(rq)) {
            rq->slice_end = now + rq->slice_ns;
        }
        if (next != prev) {
            ctx_started(next, now);
            next->acct.switches++;
            rq->stats.switches[next->layer]++;
            dis_port_trace(rq->cpu, now, DIS_EVENT_SWITCH, next->id, next->layer);
            if (prev != NULL && why == DIS_WHY_KICK && prev->cpu == rq->cpu) {
                prev->acct.preempted++;
            }
        }
    }
    rq_calm_down(rq, next, now);
    dis_timer_program(rq, now);
    rq->quiet = rq_is_quiet(rq);
    return next;
}

static void trace_switch(struct dis_rq *rq, u64 now)
{
    if (rq->curr == NULL) {
        rq->stats.switches[DIS_LAYER_NONE]++;
        dis_port_trace(rq->cpu, now, DIS_EVENT_SWITCH, SCHED_ID_NONE, DIS_LAYER_NONE);
    } else {
        dis_port_trace(rq->cpu, now, DIS_EVENT_SWITCH, rq->curr->id, DIS_LAYER_FAIR);
    }
}

/* The current context and the one that waits take turns. One that gives its turn away has no claim
 * to what it did not use, so nothing is owed when they part. */
static bool yield_calm(struct dis_rq *rq, struct sched_ctx *prev, u64 now)
{
    if (now - rq->next_ns > DIS_QUICK_NS) {
        return false;
    }
    prev->acct.exec_ns += now - rq->exec_start;
    prev->acct.yields++;
    prev->acct.wakes_switches--; /* its next start is no wake-up: dis_start_next() adds one */
    prev->state = SCHED_CTX_WAITING;
    prev->stop_ns = now;
    prev->lag_ns = 0;
    dis_start_next(rq, rq->next, now - rq->next_ns, now);
    rq->next = prev;
    rq->next_ns = now;
    dis_port_trace(rq->cpu, now, DIS_EVENT_SWITCH, rq->curr->id, DIS_LAYER_FAIR);
    return true;
}

/* What a calm CPU has to decide without its queues. Return: false, it is not as simple. */
static bool schedule_calm(struct dis_rq *rq, u64 now, enum dis_why why)
{
    struct sched_ctx *prev = rq->curr;
    if (rq->policy_gen != dis.policy_gen || rq->inbox_nr != 0) {
        return false;
    }
    if (prev == NULL) {
        if (rq->next == NULL) {
            return false; /* something to take from another CPU, perhaps */
        }
        rq->stats.busy_ns[DIS_LAYER_NONE] += now - rq->exec_start;
        rq->calm_start = now;
        u64 waited = now - rq->next_ns;
        rq->next->acct.max_wake_ns = hx_max_u64(rq->next->acct.max_wake_ns, waited);
        dis_start_next(rq, rq->next, waited, now);
        trace_switch(rq, now);
        return true;
    }
    if (prev->flags != 0) {
        return false;
    }
    if (why < DIS_WHY_BLOCK) {
        return rq->next == NULL || (why == DIS_WHY_YIELD && yield_calm(rq, prev, now));
    }
    if (rq->next != NULL) {
        if (dis_block_quick(rq, prev, now) == NULL) {
            return false;
        }
    } else {
        if (!rq->single) {
            return false;
        }
        prev->acct.exec_ns += now - rq->exec_start;
        rq->exec_start = now;
        stats_flush(rq, now);
        rq->curr = NULL;
        prev->lag_ns = 0;
        prev->state = SCHED_CTX_BLOCKED;
        prev->stop_ns = now;
        dis_opt_block(prev, now);
    }
    dis_port_trace(rq->cpu, now, DIS_EVENT_BLOCK, prev->id, 0);
    trace_switch(rq, now);
    return true;
}

struct sched_ctx *dis_schedule(struct dis_rq *rq, u64 now, enum dis_why why)
{
    HX_DEBUG_ASSERT(dis_port_lock_is_held(&rq->lock));
    if (rq->calm != DIS_CALM_NOT && schedule_calm(rq, now, why)) {
        return rq->curr;
    }
    return schedule_slow(rq, now, why);
}

struct sched_ctx *dis_yield(struct dis_rq *rq, u64 now)
{
    HX_DEBUG_ASSERT(dis_port_lock_is_held(&rq->lock));
    if (hx_likely(rq->quiet)) {
        struct sched_ctx *next = yield_fast(rq, now);
        if (hx_likely(next != NULL)) {
            return next;
        }
    }
    return dis_schedule(rq, now, DIS_WHY_YIELD);
}

/* ---- changes from outside ---- */

/* Takes ctx off whatever it is on, charged up to now, so that its parameters can change. Run queue
 * of ctx locked; to be followed by dis_ctx_requeue(). */
enum dis_was dis_ctx_unqueue(struct sched_ctx *ctx, struct dis_rq *rq, u64 now)
{
    enum dis_was was = DIS_WAS_BLOCKED;
    rq->quiet = false;
    if (ctx->state == SCHED_CTX_RUNNING) {
        dis_account(rq, now);
        if (dis_layer_is_fair(ctx->layer)) {
            put_fair(rq, ctx, 0, SCHED_PUT_LEAVE, now);
        } else {
            dis_server_stop(rq, &ctx->server);
        }
        was = DIS_WAS_RUNNING;
    } else if (ctx->state == SCHED_CTX_WAITING) {
        dis_account(rq, now);
        if (list_node_is_linked(&ctx->move_node)) {
            dis_port_lock(&rq->inbox_lock);
            list_remove(&ctx->move_node);
            rq->inbox_nr--;
            dis_port_unlock(&rq->inbox_lock);
        } else {
            dis_rq_dequeue(rq, ctx, now);
        }
        was = DIS_WAS_WAITING;
    }
    ctx->state = SCHED_CTX_BLOCKED;
    return was;
}

/* Where ctx belongs now. */
u32 dis_ctx_home_cpu(const struct sched_ctx *ctx)
{
    u64 mask = ctx->affinity & dis.online;
    if ((ctx->flags & DIS_CTX_ADMITTED) != 0) {
        return ctx->split[ctx->piece].cpu;
    }
    return (mask & HX_BIT(ctx->cpu)) != 0 || mask == 0 ? ctx->cpu : (u32)__builtin_ctzll(mask);
}

/* Puts ctx back to what it was, under its new parameters. */
void dis_ctx_requeue(struct sched_ctx *ctx, struct dis_rq *rq, enum dis_was was, u64 now)
{
    u32 cpu = dis_ctx_home_cpu(ctx);
    if (was == DIS_WAS_BLOCKED) {
        return;
    }
    if (was == DIS_WAS_WAITING) {
        if (cpu != rq->cpu) {
            dis_ctx_push(ctx, cpu);
            return;
        }
        dis_rq_enqueue(rq, ctx, 0, now);
    } else {
        if (cpu != rq->cpu) { /* it runs until the kick as an ordinary one, and then moves */
            ctx->layer = DIS_LAYER_FAIR;
            ctx->flags |= DIS_CTX_MOVING;
            ctx->state = SCHED_CTX_WAITING;
            dis_fair_add(rq, ctx, 0, now);
        } else {
            dis_rq_enqueue(rq, ctx, 0, now);
        }
        if (dis_layer_is_fair(ctx->layer)) {
            struct sched_ctx *e = ctx;
            for (struct dis_queue *q = ctx->queue; q != NULL; q = q->parent) {
                if (e->state == SCHED_CTX_WAITING) {
                    rq->slice_ns = dis_queue_start(q, e, now);
                }
                e = &q->ent;
            }
        }
        ctx->state = SCHED_CTX_RUNNING;
    }
    dis_port_kick(rq->cpu);
}

/* ---- wake-ups ---- */

static struct sched_ctx *ent_at(struct sched_ctx *ctx, struct dis_queue *q)
{
    while (ctx->queue != q) {
        if (ctx->queue->parent == NULL) {
            return NULL;
        }
        ctx = &ctx->queue->ent;
    }
    return ctx;
}

/* Both are in the fair layer: asks the policy of the lowest queue that both are under. */
static bool fair_preempts(struct sched_ctx *curr, struct sched_ctx *woken, u64 now)
{
    for (struct sched_ctx *c = curr;;) {
        struct sched_ctx *w = ent_at(woken, c->queue);
        if (w != NULL) {
            return w != c && w->state == SCHED_CTX_WAITING &&
                   dis_queue_preempts(c->queue, c, w, now);
        }
        if (c->queue->parent == NULL) {
            return false;
        }
        c = &c->queue->ent;
    }
}

/* ctx just became ready. Return: true when it (or a server above it) should run instead of what
 * runs. */
bool dis_rq_check_preempt(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    struct sched_ctx *curr = rq->curr;
    struct sched_server *first = dis_server_first(rq);
    if (curr == NULL) {
        return true;
    }
    if (!dis_layer_is_fair(curr->layer)) {
        return first != &curr->server;
    }
    if (first != NULL && first->kind == DIS_SERVER_CTX) {
        return true;
    }
    if (!dis_layer_is_fair(ctx->layer)) {
        return false; /* it is throttled */
    }
    if (first != NULL && first->kind == DIS_SERVER_QUEUE) {
        struct dis_queue *q = HX_CONTAINER_OF(first, struct dis_queue, min);
        if (ent_at(curr, q) == NULL) {
            return true;
        }
    }
    if (ctx->layer != curr->layer) {
        return ctx->layer == DIS_LAYER_FAIR && !rq->bg_boost;
    }
    return fair_preempts(curr, ctx, now);
}

/* Locks the run queue that ctx belongs to. */
struct dis_rq *dis_ctx_lock(struct sched_ctx *ctx)
{
    for (;;) {
        u32 cpu = __atomic_load_n(&ctx->cpu, __ATOMIC_ACQUIRE);
        struct dis_rq *rq = dis.rq[cpu];
        dis_port_lock(&rq->lock);
        if (hx_likely(HX_READ_ONCE(ctx->cpu) == cpu)) {
            return rq;
        }
        dis_port_unlock(&rq->lock);
    }
}

/* Where a blocked context should run next. */
u32 dis_wake_cpu(struct sched_ctx *ctx, u32 from_cpu, u64 now)
{
    if (ctx->cls == SCHED_CLASS_REALTIME) {
        return ctx->split[ctx->piece].cpu;
    }
    if (ctx->layer == DIS_LAYER_STOP || dis.config.cpus == 1) {
        return ctx->cpu;
    }
    return dis_balance_cpu_for_wake(ctx, from_cpu, now);
}

/* Certainly: an Interactive one may have regained tokens since, but has not lost any. */
static bool gets_deadline(const struct sched_ctx *ctx)
{
    return (ctx->flags & DIS_CTX_ADMITTED) != 0 &&
           (ctx->cls == SCHED_CLASS_REALTIME || ctx->token_ns >= DIS_TOKEN_MIN);
}

void dis_wake_here(struct dis_rq *rq, struct sched_ctx *ctx, u32 from_cpu, u64 now)
{
    const struct sched_ctx *curr = rq->curr;
    if (rq->calm != DIS_CALM_NOT && dis_wake_quick(rq, ctx, now)) {
        dis_port_trace(rq->cpu, now, DIS_EVENT_WAKE, ctx->id, DIS_LAYER_FAIR);
        if (rq->curr == NULL) {
            rq->stats.kicks++;
            dis_port_kick(rq->cpu);
        }
        return;
    }
    if (curr != NULL && dis_layer_is_fair(curr->layer) && gets_deadline(ctx)) {
        rq_settle(rq, now); /* whatever curr has had, what has a deadline goes first */
    } else {
        dis_account(rq, now);
    }
    ctx->slept_ns = now - ctx->stop_ns;
    ctx->stop_ns = now;
    ctx->wake_ns = now + 1;
    ctx->acct.wakes++;
    if (ctx->cls != SCHED_CLASS_REALTIME) {
        dis_opt_wake(ctx, now); /* of that there is nothing to choose */
    }
    ctx->burst_start_ns = ctx->acct.exec_ns;
    dis_rq_enqueue(rq, ctx, SCHED_ENQ_WAKE, now);
    dis_port_trace(rq->cpu, now, DIS_EVENT_WAKE, ctx->id, ctx->layer);
    if (dis_rq_check_preempt(rq, ctx, now)) {
        rq->stats.kicks++;
        dis_port_kick(rq->cpu);
    } else if (rq->cpu != from_cpu) {
        dis_port_kick(rq->cpu); /* its timer is its own to set */
    } else {
        if (rq->slice_end == DIS_NEVER && dis_layer_is_fair(rq->curr->layer) &&
            slice_is_needed(rq)) {
            rq->slice_end = now + rq->slice_ns;
        }
        dis_timer_program(rq, now);
    }
}

void dis_wake(struct sched_ctx *ctx, u32 from_cpu, u64 now)
{
    struct dis_rq *rq;
    u32 cpu;
    for (;;) {
        rq = dis_ctx_lock(ctx);
        if (ctx->state != SCHED_CTX_BLOCKED || (ctx->flags & DIS_CTX_HELD) != 0) {
            dis_port_unlock(&rq->lock);
            return;
        }
        cpu = dis_wake_cpu(ctx, from_cpu, now);
        if (cpu == rq->cpu) {
            break;
        }
        ctx->acct.migrations++;
        __atomic_store_n(&ctx->cpu, cpu, __ATOMIC_RELEASE); /* blocked: no queue of rq knows it */
        dis_port_unlock(&rq->lock);
    }
    dis_wake_here(rq, ctx, from_cpu, now);
    dis_port_unlock(&rq->lock);
}

bool dis_timer(struct dis_rq *rq, u64 now)
{
    struct sched_ctx *curr;
    bool again = false;
    rq->stats.timers++;
    rq->timer_at = DIS_NEVER;
    if (rq->calm != DIS_CALM_NOT && rq->next == NULL) {
        return rq->policy_gen != dis.policy_gen;
    }
    if (rq->calm != DIS_CALM_NOT && rq->curr != NULL && now - rq->next_ns <= DIS_QUICK_NS &&
        rq->policy_gen == dis.policy_gen) {
        rq->timer_at = now + SCHED_SLICE_MIN_NS; /* they take turns by themselves */
        dis_port_timer_arm(rq->cpu, rq->timer_at);
        return false;
    }
    curr = rq->curr;
    if (rq->calm == DIS_CALM_NOT && curr != NULL && dis_layer_is_fair(curr->layer) &&
        now >= rq->slice_end) {
        dis_queue_audit(curr->queue, now);
        return true; /* dis_schedule() does the rest */
    }
    dis_account(rq, now);
    rq_upkeep(rq, now);
    if (curr != NULL && dis_layer_is_fair(curr->layer)) {
        dis_queue_audit(curr->queue, now);
        again = now >= rq->slice_end;
        for (struct dis_queue *q = curr->queue; q != NULL && !again; q = q->parent) {
            again = q->throttled;
        }
        if (rq->policy_gen != dis.policy_gen) {
            again = true;
        }
    }
    if (!again) {
        struct sched_server *first = dis_server_first(rq);
        again = curr == NULL                     ? first != NULL || rq->root->nr + rq->idle->nr != 0
                : dis_layer_is_fair(curr->layer) ? first != NULL
                                                 : first != &curr->server;
    }
    if (!again) {
        dis_timer_program(rq, now);
    }
    return again;
}
