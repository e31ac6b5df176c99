/* SPDX-License-Identifier: MIT */
/* Constant-bandwidth servers, and the token grants of the prompt layer.
 * Owns:      the two trees of each run queue: servers ready by deadline, throttled by time.
 * Callers:   executor.c, group.c, balance.c.   Context: run queue locked; never blocks.
 * Idea:      whoever has a deadline runs inside a server that cannot ask for more than its
 *            (runtime, deadline, period) in any interval, whatever its contents do. So the demand
 *            that admit.c adds up is the demand that can occur, and EDF meets every deadline of
 *            what was admitted. Interactive contexts with tokens are in the same tree: a wake-up
 *            is a job of `tokens` ns with the deadline wake + latency, and tokens bound the jobs.
 *            A separate layer above or below would need a second, coupled test.
 *
 *      start                    charge: budget <= 0, hard
 *   IDLE ----> READY ------------------------------> THROTTLED
 *    ^  stop    |  ^         expire: at the release     |  |
 *    +----------+  +------------------------------------+  |
 *    +-------------------------stop------------------------+
 *
 * Invariant: (1) a server is in `edf` iff READY, in `waiting` iff THROTTLED.
 *            (2) READY implies budget > 0 after each charge.
 *            (3) deadlines that a server takes are at least `period` apart, and each is at least
 *                `rel_deadline` after the moment it was taken.
 * Spec:      Abeni and Buttazzo, "Integrating Multimedia Applications in Hard Real-Time Systems"
 *            (1998); the shrinking rule for deadlines below the period as in Linux' SCHED_DEADLINE.
 */
#include "dis_priv.h"

static void server_ready(struct dis_rq *rq, struct sched_server *s)
{
    s->node.key = s->deadline;
    s->state = DIS_SERVER_READY;
    rq->quiet = false;
    dis_tree_insert(&rq->edf, &s->node, false);
    rq->stats.nr_deadline++;
}

static void server_throttle(struct dis_rq *rq, struct sched_server *s, u64 until, u64 now)
{
    s->node.key = until;
    s->state = DIS_SERVER_THROTTLED;
    rq->quiet = false;
    dis_tree_insert(&rq->waiting, &s->node, false);
    rq->stats.nr_throttled++;
    if (s->kind == DIS_SERVER_CTX) {
        dis_port_trace(rq->cpu, now, DIS_EVENT_THROTTLE, dis_server_ctx(s)->id, until);
    }
}

/* Out of whichever tree it is in. */
static void server_unlink(struct dis_rq *rq, struct sched_server *s)
{
    if (s->state == DIS_SERVER_READY) {
        dis_tree_remove(&rq->edf, &s->node, false);
        rq->stats.nr_deadline--;
    } else if (s->state == DIS_SERVER_THROTTLED) {
        dis_tree_remove(&rq->waiting, &s->node, false);
        rq->stats.nr_throttled--;
    }
    s->state = DIS_SERVER_IDLE;
}

static void server_release(struct sched_server *s, u64 at)
{
    s->release = at;
    s->deadline = at + s->rel_deadline;
    s->budget = (s64)s->runtime;
}

/* x * runtime / rel_deadline, rounded down: no 128-bit division exists below us, so both sides of
 * the ratio lose 12 bits where the product would not fit; the error is towards less budget. */
static s64 server_share(const struct sched_server *s, u64 x)
{
    u64 product;
    if (hx_mul_checked(x, s->runtime, &product)) {
        return (s64)(product / s->rel_deadline);
    }
    return (s64)((x >> 12) * s->runtime / ((s->rel_deadline >> 12) + 1));
}

struct sched_ctx *dis_server_ctx(struct sched_server *s)
{
    return HX_CONTAINER_OF(s, struct sched_ctx, server);
}

/* It has work from now on. */
void dis_server_start(struct dis_rq *rq, struct sched_server *s, u64 now)
{
    u64 next = s->release + s->period;
    HX_DEBUG_ASSERT(s->runtime > 0);
    if (s->state != DIS_SERVER_IDLE) {
        return;
    }
    if (!dis_time_before(now, s->deadline)) {
        if (dis_time_before(now, next)) { /* only when the deadline is before the period's end */
            server_throttle(rq, s, next, now);
            return;
        }
        server_release(s, now);
    } else if (s->budget <= 0) {
        server_throttle(rq, s, next, now);
        return;
    } else {
        u64 left = s->deadline - now;
        if ((u128)(u64)s->budget * s->rel_deadline > (u128)left * s->runtime) {
            /* Budget and deadline as they are would exceed the bandwidth. */
            if (s->rel_deadline < s->period) {
                s->budget = server_share(s, left);
                if (s->budget <= 0) {
                    server_throttle(rq, s, next, now);
                    return;
                }
            } else {
                server_release(s, now);
            }
        }
    }
    server_ready(rq, s);
}

/* As start, for work that arrives within its release: the next piece of a split context. */
void dis_server_resume(struct dis_rq *rq, struct sched_server *s)
{
    server_ready(rq, s);
}

void dis_server_stop(struct dis_rq *rq, struct sched_server *s)
{
    server_unlink(rq, s);
}

/* Says who asked for more than was admitted, and when. */
void dis_server_overrun(struct dis_rq *rq, struct sched_server *s, u64 now)
{
    struct sched_ctx *ctx;
    if (s->kind != DIS_SERVER_CTX) {
        return;
    }
    ctx = dis_server_ctx(s);
    ctx->acct.overruns++;
    ctx->acct.last_overrun_ns = now;
    ctx->job_deadline = 0; /* if this job is late now, that is its own doing */
    dis.overruns++;
    dis.last_overrun_ns = now;
    dis.last_overrun_id = ctx->id;
    dis_port_trace(rq->cpu, now, DIS_EVENT_OVERRUN, ctx->id, ctx->acct.overruns);
}

/* Return: true when what runs may have to change. */
bool dis_server_charge(struct dis_rq *rq, struct sched_server *s, u64 ran, u64 now)
{
    if (s->state != DIS_SERVER_READY) {
        return false;
    }
    s->budget -= (s64)ran;
    if (hx_likely(s->budget > 0)) {
        return false;
    }
    server_unlink(rq, s);
    if (s->hard) {
        server_throttle(rq, s, s->release + s->period, now);
    } else {
        u64 periods = (u64)-s->budget / s->runtime + 1;
        s->budget += (s64)(periods * s->runtime);
        s->release += periods * s->period;
        s->deadline += periods * s->period;
        server_ready(rq, s); /* inv 2, 3 */
    }
    dis_server_overrun(rq, s, now);
    return true;
}

/* Replenishes what is due. Return: true when something became ready. */
bool dis_server_expire(struct dis_rq *rq, u64 now)
{
    bool any = false;
    while (rq->waiting.first != NULL && !dis_time_before(now, rq->waiting.first->key)) {
        struct sched_server *s = HX_CONTAINER_OF(rq->waiting.first, struct sched_server, node);
        s64 debt = s->budget < 0 ? s->budget : 0;
        server_unlink(rq, s);
        s->release += s->period;
        s->deadline = s->release + s->rel_deadline;
        if (!dis_time_before(now, s->deadline)) { /* nobody looked for a whole period */
            server_release(s, now);
        }
        s->budget = (s64)s->runtime + debt;
        if (s->budget <= 0) {
            server_throttle(rq, s, s->release + s->period, now);
            continue;
        }
        if (s->kind == DIS_SERVER_GUARD && rq->edf.first == NULL) {
            continue; /* nothing to guard against; executor.c starts it again */
        }
        server_ready(rq, s);
        any = true;
        if (s->kind == DIS_SERVER_CTX) {
            struct sched_ctx *ctx = dis_server_ctx(s);
            ctx->job_deadline = 0; /* late by its own doing; not judged */
            dis_port_trace(rq->cpu, now, DIS_EVENT_REPLENISH, ctx->id, s->deadline);
        }
    }
    return any;
}

/* Tokens are regained in quanta, counted from when the bucket was last full, so that any interval
 * t sees at most token_max + t / token_period quanta: the demand that admit.c assumes. */
static void tokens_refill(struct sched_ctx *ctx, u64 now)
{
    u64 quanta = (now - ctx->token_stamp) / ctx->token_period_ns;
    if (quanta == 0) {
        return;
    }
    if (quanta >= (ctx->token_max_ns - ctx->token_ns) / DIS_TOKEN_MIN + 1) {
        ctx->token_ns = ctx->token_max_ns;
        ctx->token_stamp = now;
    } else {
        ctx->token_ns += quanta * DIS_TOKEN_MIN;
        ctx->token_stamp += quanta * ctx->token_period_ns;
    }
}

/* Lets an Interactive context into the prompt layer for as long as its tokens last.
 * Return: false, it has no reservation or no tokens: the fair layer is its place. */
bool dis_prompt_grant(struct dis_rq *rq, struct sched_ctx *ctx, u64 now)
{
    struct sched_server *s = &ctx->server;
    if ((ctx->flags & DIS_CTX_ADMITTED) == 0) {
        return false;
    }
    tokens_refill(ctx, now);
    if (ctx->token_ns < DIS_TOKEN_MIN) {
        ctx->acct.tokens_empty++;
        dis_port_trace(rq->cpu, now, DIS_EVENT_DEMOTE, ctx->id, ctx->token_ns);
        return false;
    }
    server_unlink(rq, s);
    s->budget = (s64)ctx->token_ns;
    s->release = now;
    s->deadline = now + ctx->latency_ns;
    server_ready(rq, s);
    return true;
}
