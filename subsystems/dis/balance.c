/* SPDX-License-Identifier: MIT */
/* Where contexts run: placement at wake-up, pulling by idle CPUs, balancing, CPUs on and off line.
 * Context:   as each function says. Two run queues are never waited for at once: a second one is
 *            tried, or the context goes through the other CPU's inbox.
 * Rules:     affinity is never broken. Reservations stay on the CPU that admitted them. Lag moves
 *            along, relative to the queue that is left and the one that is joined.
 */
#include "dis_priv.h"

static bool rq_is_idle(const struct dis_rq *rq)
{
    return HX_READ_ONCE(rq->curr) == NULL && HX_READ_ONCE(rq->root->leaves) == 0 &&
           HX_READ_ONCE(rq->idle->leaves) == 0 && HX_READ_ONCE(rq->inbox_nr) == 0 &&
           HX_READ_ONCE(rq->next) == NULL;
}

/* Hands a context that is on no queue to another CPU; to any that is on line when that one has
 * just gone. Run queue of its old CPU locked. Whoever reads the new ctx->cpu sees all of this. */
void dis_ctx_push(struct sched_ctx *ctx, u32 cpu)
{
    struct dis_rq *to = dis.rq[cpu];
    dis_port_lock(&to->inbox_lock);
    while (!to->inbox_open) {
        u64 mask = ctx->affinity & dis.online;
        dis_port_unlock(&to->inbox_lock);
        cpu = (u32)__builtin_ctzll(mask != 0 ? mask : dis.online);
        to = dis.rq[cpu];
        dis_port_lock(&to->inbox_lock);
    }
    dis_port_trace(ctx->cpu, dis_port_now(), DIS_EVENT_MIGRATE, ctx->id, cpu);
    ctx->state = SCHED_CTX_WAITING;
    ctx->flags &= (u8)~DIS_CTX_MOVING;
    ctx->acct.migrations++;
    list_add_tail(&to->inbox, &ctx->move_node);
    to->inbox_nr++;
    __atomic_store_n(&ctx->cpu, cpu, __ATOMIC_RELEASE);
    dis_port_unlock(&to->inbox_lock);
    dis_port_kick(cpu);
}

void dis_balance_inbox(struct dis_rq *rq, u64 now)
{
    for (u32 i = 0; i < 32 || !rq->online; i++) { /* the rest at the next decision, soon */
        struct sched_ctx *ctx;
        dis_port_lock(&rq->inbox_lock);
        ctx = LIST_FIRST(&rq->inbox, struct sched_ctx, move_node);
        if (ctx != NULL) {
            list_remove(&ctx->move_node);
            rq->inbox_nr--;
        }
        dis_port_unlock(&rq->inbox_lock);
        if (ctx == NULL) {
            return;
        }
        dis_rq_enqueue(rq, ctx, 0, now);
    }
    dis_port_kick(rq->cpu);
}

/* Where a context without reservation should go. Deterministic; no locks. */
u32 dis_balance_cpu_for_wake(struct sched_ctx *ctx, u32 from_cpu, u64 now)
{
    u64 mask = ctx->affinity & dis.online;
    u32 last = ctx->cpu, best = SCHED_ID_NONE;
    (void)now;
    if ((ctx->flags & DIS_CTX_ADMITTED) != 0) {
        return ctx->split[0].cpu;
    }
    if (dis_ctx_is_out(ctx) ||
        ((ctx->flags & (DIS_CTX_PINNED | DIS_CTX_BOUND | DIS_CTX_LENT)) != 0 &&
         (mask & HX_BIT(last)) != 0)) {
        return last;
    }
    if (mask == 0) { /* its CPUs went off line: any is better than none */
        mask = dis.online;
    }
    if ((mask & HX_BIT(last)) != 0) {
        if (rq_is_idle(dis.rq[last])) {
            return last;
        }
        best = last;
    }
    for (u64 rest = mask; rest != 0; rest &= rest - 1) {
        u32 cpu = (u32)__builtin_ctzll(rest);
        if (rq_is_idle(dis.rq[cpu])) {
            return cpu;
        }
    }
    if ((mask & HX_BIT(from_cpu)) != 0 && from_cpu != last &&
        (best == SCHED_ID_NONE ||
         dis.rq[from_cpu]->root->load + ctx->weight < dis.rq[best]->root->load)) {
        best = from_cpu;
    }
    return best != SCHED_ID_NONE ? best : (u32)__builtin_ctzll(mask);
}

/* Takes one waiting context lighter than `below` of `from` that may run on to_cpu. `from` locked.
 */
static struct sched_ctx *take_one(struct dis_rq *from, u32 to_cpu, u64 below, u64 now)
{
    struct dis_queue *q;
    LIST_FOREACH (&from->queues, q, rq_node) {
        struct sched_ctx *ctx = q->throttled ? NULL : dis_queue_steal(q, to_cpu, below, now);
        if (ctx != NULL) {
            dis_fair_del(from, ctx, now);
            return ctx;
        }
    }
    return NULL;
}

/* rq has nothing to do. Return: true when it took something from another CPU. */
bool dis_balance_pull(struct dis_rq *rq, u64 now)
{
    struct dis_rq *from = NULL;
    struct sched_ctx *ctx;
    u32 most = 1;
    if (dis.config.cpus == 1 || !rq->online) {
        return false;
    }
    for (u64 rest = dis.online & ~HX_BIT(rq->cpu); rest != 0; rest &= rest - 1) {
        struct dis_rq *other = dis.rq[__builtin_ctzll(rest)];
        u32 leaves = HX_READ_ONCE(other->root->leaves) + HX_READ_ONCE(other->idle->leaves);
        leaves += HX_READ_ONCE(other->next) != NULL ? 2 : 0; /* and the one that runs */
        struct sched_ctx *curr = HX_READ_ONCE(other->curr);
        if (leaves > 0 && curr != NULL && !dis_layer_is_fair(curr->layer)) {
            leaves++;
        }
        if (leaves > most) {
            most = leaves;
            from = other;
        }
    }
    if (from == NULL || !dis_port_lock_try(&from->lock)) {
        return false;
    }
    dis_rq_settle(from, now);
    ctx = take_one(from, rq->cpu, DIS_NEVER, now);
    if (ctx != NULL) {
        __atomic_store_n(&ctx->cpu, rq->cpu, __ATOMIC_RELEASE);
        ctx->acct.migrations++;
    }
    dis_port_unlock(&from->lock);
    if (ctx == NULL) {
        return false;
    }
    rq->stats.steals++;
    dis_port_trace(from->cpu, now, DIS_EVENT_MIGRATE, ctx->id, rq->cpu);
    dis_rq_enqueue(rq, ctx, 0, now);
    return true;
}

/* Moves one context from the heaviest CPU of `mask` to the lightest, if that makes them more alike.
 * Return: the heaviest; SCHED_ID_NONE when they are alike. *out_moved says whether it worked. */
static u32 balance_once(u64 mask, u64 now, bool *out_moved)
{
    struct dis_rq *high = NULL, *low = NULL;
    struct sched_ctx *ctx = NULL;
    for (u64 rest = dis.online; rest != 0; rest &= rest - 1) {
        struct dis_rq *rq = dis.rq[__builtin_ctzll(rest)];
        if ((mask & HX_BIT(rq->cpu)) != 0 && (high == NULL || rq->root->load > high->root->load)) {
            high = rq;
        }
        if (low == NULL || rq->root->load < low->root->load) {
            low = rq;
        }
    }
    if (high == NULL || high == low) {
        return SCHED_ID_NONE;
    }
    dis_port_lock(&high->lock);
    dis_account(high, now);
    if (high->root->load > low->root->load) {
        ctx = take_one(high, low->cpu, high->root->load - low->root->load, now);
    }
    if (ctx != NULL) {
        dis_ctx_push(ctx, low->cpu);
    }
    dis_port_unlock(&high->lock);
    *out_moved = ctx != NULL;
    return high->cpu;
}

void dis_housekeep(u64 now)
{
    u64 mask = dis.online;
    dis_port_mutex_lock(&dis.admission);
    for (u64 rest = mask; rest != 0; rest &= rest - 1) { /* so that loads are there to see */
        struct dis_rq *rq = dis.rq[__builtin_ctzll(rest)];
        dis_port_lock(&rq->lock);
        dis_account(rq, now);
        dis_port_unlock(&rq->lock);
    }
    for (u32 i = 0; i < 2 * dis.config.cpus; i++) {
        bool moved = false;
        u32 cpu = balance_once(mask, now, &moved);
        if (cpu == SCHED_ID_NONE) {
            break;
        }
        if (!moved) { /* one heavy context, or one that may not go: the next heaviest */
            mask &= ~HX_BIT(cpu);
        }
    }
    dis_group_spread(now);
    dis_port_mutex_unlock(&dis.admission);
}

static void inbox_open(struct dis_rq *rq, bool open)
{
    dis_port_lock(&rq->inbox_lock);
    rq->inbox_open = open;
    dis_port_unlock(&rq->inbox_lock);
}

enum hx_status dis_cpu_online(u32 cpu)
{
    struct dis_rq *rq;
    if (cpu >= dis.config.cpus) {
        return HX_ERR_INVALID;
    }
    rq = dis.rq[cpu];
    dis_port_mutex_lock(&dis.admission);
    dis_port_lock(&rq->lock);
    rq->online = true;
    rq->exec_start = dis_port_now();
    inbox_open(rq, true);
    dis.online |= HX_BIT(cpu);
    dis_port_unlock(&rq->lock);
    dis_port_kick(cpu);
    dis_port_mutex_unlock(&dis.admission);
    return HX_OK;
}

/* A context with a reservation on rq, NULL if there is none. */
static struct sched_ctx *find_reserved(const struct dis_rq *rq)
{
    struct sched_ctx *ctx;
    LIST_FOREACH (&dis.reserved, ctx, rt_node) {
        for (u32 i = 0; i < hx_max_u64(ctx->pieces, 1); i++) {
            if (ctx->split[i].cpu == rq->cpu) {
                return ctx;
            }
        }
    }
    return NULL;
}

/* Moves one Realtime reservation to whatever single other CPU has room: pieces would tie it to
 * more of them. */
static enum hx_status move_reserved(struct dis_rq *rq, struct sched_ctx *ctx)
{
    struct hx_intent in = {
        .wcet = dis_admit_wcet(ctx),
        .period = ctx->server.period,
        .deadline = ctx->split[ctx->pieces - 1].rel_deadline,
        .flags = HX_INTENT_PINNED,
    };
    struct sched_piece pieces[SCHED_PIECES_MAX];
    struct hx_intent_result res = {0};
    enum hx_status status;
    enum dis_was was;
    struct dis_rq *home;
    u32 n = 0;
    dis_admit_release(ctx);
    status = dis_admit_rt(&in, ctx->affinity & dis.online & ~HX_BIT(rq->cpu), pieces, &n, &res);
    if (status != HX_OK) {
        dis_admit_hold(ctx);
        return status;
    }
    home = dis_ctx_lock(ctx);
    was = dis_ctx_unqueue(ctx, home, dis_port_now());
    ctx->split[0] = pieces[0];
    ctx->pieces = 1;
    ctx->piece = 0;
    ctx->server.runtime = pieces[0].runtime;
    ctx->server.rel_deadline = pieces[0].rel_deadline;
    dis_admit_hold(ctx);
    dis_ctx_requeue(ctx, home, was, dis_port_now());
    dis_port_unlock(&home->lock);
    dis_admit_yield(dis.rq[pieces[0].cpu]);
    return HX_OK;
}

/* Takes all reservations off rq. Those that were moved before one did not fit stay where they are
 * now: they are as good there. */
static enum hx_status evict_reserved(struct dis_rq *rq, u32 *out_id)
{
    struct sched_ctx *ctx;
    /* Each round starts over: a move can make others give theirs up. */
    while ((ctx = find_reserved(rq)) != NULL) {
        if (ctx->cls == SCHED_CLASS_INTERACTIVE) {
            struct dis_rq *home = dis_ctx_lock(ctx);
            dis_admit_release(ctx);
            dis_port_unlock(&home->lock);
        } else {
            enum hx_status status = move_reserved(rq, ctx);
            if (status != HX_OK) {
                *out_id = ctx->id;
                return HX_ERR_NO_FIT;
            }
        }
    }
    return HX_OK;
}

/* A context whose runner serves donors stays until they have gone. */
static enum hx_status find_bound(struct dis_rq *rq, u32 *out_id)
{
    struct dis_queue *q;
    dis_port_lock(&rq->lock);
    dis_rq_settle(rq, dis_port_now());
    LIST_FOREACH (&rq->queues, q, rq_node) {
        struct sched_ctx *ctx;
        LIST_FOREACH (&q->runnable, ctx, run_node) {
            if ((ctx->flags & DIS_CTX_BOUND) != 0 || dis_ctx_is_out(ctx)) {
                *out_id = ctx->id;
            }
        }
    }
    dis_port_unlock(&rq->lock);
    return *out_id == SCHED_ID_NONE ? HX_OK : HX_ERR_BUSY;
}

enum hx_status dis_cpu_offline(u32 cpu, u32 *out_id)
{
    enum hx_status status = HX_OK;
    struct dis_rq *rq;
    u64 now = dis_port_now();
    *out_id = SCHED_ID_NONE;
    if (cpu >= dis.config.cpus || (dis.online & HX_BIT(cpu)) == 0) {
        return HX_ERR_INVALID;
    }
    rq = dis.rq[cpu];
    dis_port_mutex_lock(&dis.admission);
    if ((dis.online & ~HX_BIT(cpu)) == 0) {
        status = HX_ERR_BUSY;
        goto out_unlock;
    }
    status = find_bound(rq, out_id);
    if (status == HX_OK) {
        status = evict_reserved(rq, out_id);
    }
    if (status != HX_OK) {
        goto out_unlock;
    }
    dis_port_lock(&rq->lock);
    dis_rq_settle(rq, now);
    rq->online = false;
    dis.online &= ~HX_BIT(cpu);
    inbox_open(rq, false);
    dis_balance_inbox(rq, now); /* what came before joins what waits */
    /* What runs leaves at the kick; what waits leaves now, through the inboxes of the others. */
    struct dis_queue *q;
    LIST_FOREACH (&rq->queues, q, rq_node) {
        struct sched_ctx *ctx, *tmp;
        LIST_FOREACH_SAFE (&q->runnable, ctx, tmp, run_node) {
            if (ctx->state == SCHED_CTX_WAITING && (ctx->flags & DIS_CTX_GROUP) == 0) {
                dis_fair_del(rq, ctx, now);
                ctx->flags &= (u8)~DIS_CTX_PINNED;
                dis_ctx_push(ctx, dis_balance_cpu_for_wake(ctx, cpu, now));
            }
        }
    }
    if (rq->curr != NULL) {
        rq->curr->flags |= DIS_CTX_MOVING;
    }
    dis_port_unlock(&rq->lock);
    dis_port_kick(cpu);
    dis_group_spread(now);
out_unlock:
    dis_port_mutex_unlock(&dis.admission);
    return status;
}
