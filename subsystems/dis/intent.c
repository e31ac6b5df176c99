/* SPDX-License-Identifier: MIT */
/* The intent engine: from what a program says to the fields of its context, and back to an answer.
 * Context:   thread. Takes the admission lock, below it run queue locks.
 * Invariant: a context's class, parameters and reservation change together, under both locks; a
 *            refused intent changes nothing.
 */
#include "dis_priv.h"

#define INTERACTIVE_RATE  100u /* permille */
#define INTERACTIVE_BURST (2 * HX_NS_PER_MS)
#define BATCH_SLICE_NS    (3 * HX_NS_PER_MS)
#define BACKGROUND_SLICE  SCHED_SLICE_MAX_NS

const char *dis_reason_words(u32 reason)
{
    switch (reason) {
    case HX_REASON_NONE:
        return "no objection";
    case HX_REASON_FIELD:
        return "a field is out of range, or reserved bits are set";
    case HX_REASON_CLASS:
        return "no such class";
    case HX_REASON_DEMAND:
        return "deadlines would be missed";
    case HX_REASON_LIMIT:
        return "beyond what this caller, group or CPU may reserve";
    case HX_REASON_AFFINITY:
        return "no CPU of the affinity is on line";
    case HX_REASON_UNDECIDED:
        return "the test did not end within its limit";
    default:
        return "?";
    }
}

static bool check_realtime(struct hx_intent *in)
{
    if (in->deadline == 0) {
        in->deadline = in->period;
    }
    return in->period >= DIS_PERIOD_MIN_NS && in->period <= DIS_PERIOD_MAX_NS &&
           in->wcet >= DIS_RUNTIME_MIN_NS && in->wcet <= in->deadline &&
           in->deadline <= in->period && in->latency == 0 && in->burst == 0 && in->rate == 0;
}

static bool check_interactive(struct hx_intent *in)
{
    if (in->latency < DIS_LATENCY_MIN_NS || in->latency > DIS_LATENCY_MAX_NS) {
        return false;
    }
    if (in->burst == 0) {
        in->burst = hx_min_u64(INTERACTIVE_BURST, in->latency / 2);
        in->burst = hx_max_u64(in->burst, DIS_LATENCY_MIN_NS);
    }
    if (in->rate == 0) {
        in->rate = INTERACTIVE_RATE;
    }
    return in->burst <= in->latency && in->rate <= 1000 && in->period == 0 && in->deadline == 0 &&
           in->wcet == 0;
}

enum hx_status dis_intent_check(struct hx_intent *in, u32 *out_reason)
{
    bool good = true;
    *out_reason = HX_REASON_FIELD;
    if (in->size != sizeof(*in) || in->reserved != 0 || (in->flags & ~HX_INTENT_FLAGS) != 0) {
        return HX_ERR_INVALID;
    }
    if (in->cls >= SCHED_CLASS_COUNT) {
        *out_reason = HX_REASON_CLASS;
        return HX_ERR_INVALID;
    }
    if (in->weight == 0) {
        in->weight = SCHED_WEIGHT_UNIT;
    }
    if (in->weight < SCHED_WEIGHT_MIN || in->weight > SCHED_WEIGHT_MAX ||
        (in->slice != 0 && (in->slice < SCHED_SLICE_MIN_NS || in->slice > SCHED_SLICE_MAX_NS))) {
        return HX_ERR_INVALID;
    }
    if (in->cls == SCHED_CLASS_REALTIME) {
        good = check_realtime(in);
    } else if (in->flags != 0) {
        good = false;
    } else if (in->cls == SCHED_CLASS_INTERACTIVE) {
        good = check_interactive(in);
    } else { /* deadline: the wish that policies such as edf_soft order by */
        good = in->period == 0 && in->wcet == 0 && in->latency == 0 && in->burst == 0 &&
               in->rate == 0 && in->deadline <= DIS_PERIOD_MAX_NS;
    }
    if (!good) {
        return HX_ERR_INVALID;
    }
    *out_reason = HX_REASON_NONE;
    return HX_OK;
}

static u64 default_slice(const struct hx_intent *in)
{
    u64 slice;
    switch (in->cls) {
    case SCHED_CLASS_INTERACTIVE:
        slice = hx_max_u64(in->latency / 2, SCHED_SLICE_MIN_NS);
        return hx_min_u64(slice, BATCH_SLICE_NS);
    case SCHED_CLASS_BACKGROUND:
        return BACKGROUND_SLICE;
    default:
        return BATCH_SLICE_NS;
    }
}

/* The fields of ctx that follow from the intent alone. Run queue locked, ctx not queued. */
static void intent_apply(struct sched_ctx *ctx, const struct hx_intent *in, u64 now)
{
    ctx->cls = (u8)in->cls;
    if (ctx->layer != DIS_LAYER_STOP) {
        ctx->layer = DIS_LAYER_NONE;
    }
    dis_ctx_weight_set(ctx, in->weight);
    ctx->user_slice_ns = in->slice != 0 ? in->slice : default_slice(in);
    ctx->slice_ns = ctx->user_slice_ns;
    ctx->opt_slice_us = 0;
    ctx->latency_ns = in->latency;
    ctx->flags &= (u8)~DIS_CTX_PINNED;
    if ((in->flags & HX_INTENT_PINNED) != 0) {
        ctx->flags |= DIS_CTX_PINNED;
    }
    ctx->deadline = in->cls == SCHED_CLASS_REALTIME ? 0 : in->deadline;
    memset(&ctx->server, 0, sizeof(ctx->server));
    ctx->server.kind = DIS_SERVER_CTX;
    ctx->server.hard = (in->flags & HX_INTENT_HARD) != 0;
    ctx->job_deadline = 0;
    ctx->piece = 0;
    ctx->pieces = 0;
    if (in->cls == SCHED_CLASS_INTERACTIVE) {
        ctx->token_max_ns = in->burst;
        ctx->token_ns = in->burst;
        ctx->token_stamp = now;
        ctx->token_period_ns = DIS_TOKEN_MIN * 1000 / in->rate;
    }
}

/* `from` is when its first release may be: what it used under an old reservation counts until that
 * one's deadline, or a program could collect fresh budgets by asking again and again. */
static void reserve_realtime(struct sched_ctx *ctx, const struct hx_intent *in,
                             const struct sched_piece *pieces, u32 n, u64 from)
{
    struct sched_server *s = &ctx->server;
    ctx->pieces = (u8)n;
    memcpy(ctx->split, pieces, n * sizeof(*pieces));
    s->runtime = pieces[0].runtime;
    s->rel_deadline = pieces[0].rel_deadline;
    s->period = in->period;
    s->release = from - in->period;
    s->deadline = s->release + s->rel_deadline;
    if (n > 1) {
        s->hard = true; /* a split context waits for its next release when it overruns */
    }
}

static u64 group_room(const struct dis_group *group)
{
    u32 limit = group->params.prompt_permille;
    return group->prompt_permille >= limit ? 0 : limit - group->prompt_permille;
}

enum hx_status dis_intent_set(struct sched_ctx *ctx, const struct hx_intent *intent,
                              const struct dis_rights *rights, struct hx_intent_result *res)
{
    struct sched_piece pieces[SCHED_PIECES_MAX];
    struct hx_intent in = *intent;
    enum hx_status status;
    bool reserve = false, had;
    u32 n = 0;
    u64 mask;

    memset(res, 0, sizeof(*res));
    res->size = sizeof(*res);
    res->verdict = HX_INTENT_REFUSED;
    status = dis_intent_check(&in, &res->reason);
    if (status != HX_OK) {
        return status;
    }
    if (in.cls == SCHED_CLASS_SYSTEM && !rights->system) {
        res->reason = HX_REASON_LIMIT;
        return HX_ERR_ACCESS;
    }
    dis_port_mutex_lock(&dis.admission);
    mask = (in.affinity != 0 ? in.affinity : ~0ull) & dis.online;
    if (mask == 0) {
        res->reason = HX_REASON_AFFINITY;
        status = HX_ERR_INVALID;
        goto out_unlock;
    }
    /* Its own reservation does not stand in its way. */
    had = (ctx->flags & DIS_CTX_ADMITTED) != 0;
    if (had) {
        dis_admit_release(ctx);
    }
    if (in.cls == SCHED_CLASS_REALTIME) {
        if (in.wcet > in.period / 1000 * rights->rt_permille) {
            res->reason = HX_REASON_LIMIT;
            res->max_wcet = in.period / 1000 * rights->rt_permille;
            status = HX_ERR_LIMIT;
        } else {
            status = dis_admit_rt(&in, mask, pieces, &n, res);
        }
        if (status != HX_OK) {
            dis.refused++;
            goto out_restore;
        }
        if (n == 1) {
            res->slack = dis_admit_slack(&in, pieces[0].cpu);
        }
        reserve = true;
    } else if (in.cls == SCHED_CLASS_INTERACTIVE) {
        in.burst = hx_min_u64(in.burst, rights->burst_max);
        res->verdict = HX_INTENT_BEST_EFFORT;
        if (in.burst < DIS_LATENCY_MIN_NS || in.rate > rights->prompt_permille ||
            in.rate > group_room(ctx->group)) {
            res->reason = HX_REASON_LIMIT;
        } else if (dis_admit_prompt(mask, in.burst, DIS_TOKEN_MIN * 1000 / in.rate, in.latency,
                                    in.rate, &pieces[0].cpu)) {
            res->verdict = HX_INTENT_ADMITTED;
            res->cpu = pieces[0].cpu;
            res->pieces = 1;
            reserve = true;
        } else {
            res->reason = HX_REASON_DEMAND;
        }
    } else {
        res->verdict = HX_INTENT_ADMITTED;
        res->cpu = ctx->cpu;
    }

    if (had) {
        status = dis_admit_ghost_room();
        if (status != HX_OK) {
            goto out_restore;
        }
    }
    u64 now = dis_port_now();
    struct dis_rq *rq = dis_ctx_lock(ctx);
    enum dis_was was = dis_ctx_unqueue(ctx, rq, now);
    u64 busy_until = had && ctx->cls == SCHED_CLASS_REALTIME ? ctx->server.deadline : now;
    if (busy_until > now && in.cls != SCHED_CLASS_REALTIME) {
        dis_admit_ghost(ctx, now);
    }
    intent_apply(ctx, &in, now);
    ctx->affinity = in.affinity != 0 ? in.affinity : ~0ull;
    if (in.cls == SCHED_CLASS_SYSTEM) {
        if (ctx->group != dis.system) {
            ctx->group->users--;
            ctx->group = dis.system;
            ctx->group->users++;
        }
    } else if (ctx->group == dis.system) {
        ctx->group->users--;
        ctx->group = dis.root;
        ctx->group->users++;
    }
    dis_ctx_special_update(ctx);
    if (reserve) {
        if (in.cls == SCHED_CLASS_REALTIME) {
            reserve_realtime(ctx, &in, pieces, n, hx_max_u64(now, busy_until));
        } else {
            ctx->split[0].cpu = pieces[0].cpu;
            ctx->prompt_permille = in.rate;
        }
        dis_admit_hold(ctx);
        dis.admitted++;
    }
    dis_ctx_requeue(ctx, rq, was, now);
    dis_port_unlock(&rq->lock);
    for (u32 i = 0; i < n; i++) {
        dis_admit_yield(dis.rq[pieces[i].cpu]);
    }
    status = HX_OK;
    goto out_unlock;

out_restore:
    if (had) {
        dis_admit_hold(ctx);
    }
out_unlock:
    dis_port_mutex_unlock(&dis.admission);
    return status;
}

enum hx_status dis_affinity_set(struct sched_ctx *ctx, u64 mask)
{
    struct sched_piece pieces[SCHED_PIECES_MAX];
    enum hx_status status = HX_OK;
    struct hx_intent_result res;
    u32 n = 0;

    dis_port_mutex_lock(&dis.admission);
    if ((mask & dis.online) == 0) {
        dis_port_mutex_unlock(&dis.admission);
        return HX_ERR_INVALID;
    }
    if (dis_ctx_is_out(ctx)) {
        dis_port_mutex_unlock(&dis.admission);
        return HX_ERR_BUSY;
    }
    bool held = (ctx->flags & DIS_CTX_ADMITTED) != 0, outside = false;
    for (u32 i = 0; held && i < hx_max_u64(ctx->pieces, 1); i++) {
        outside = outside || (mask & HX_BIT(ctx->split[i].cpu)) == 0;
    }
    if (outside && ctx->cls == SCHED_CLASS_REALTIME) {
        struct hx_intent in = {
            .wcet = dis_admit_wcet(ctx),
            .period = ctx->server.period,
            .deadline = ctx->split[ctx->pieces - 1].rel_deadline,
            .flags = (ctx->flags & DIS_CTX_PINNED) != 0 ? HX_INTENT_PINNED : 0,
        };
        dis_admit_release(ctx);
        status = dis_admit_rt(&in, mask & dis.online, pieces, &n, &res);
        if (status != HX_OK) {
            dis_admit_hold(ctx);
            dis_port_mutex_unlock(&dis.admission);
            return status;
        }
    } else if (outside) {
        dis_admit_release(ctx);
        u64 period = ctx->token_period_ns;
        if (dis_admit_prompt(mask & dis.online, ctx->token_max_ns, period, ctx->latency_ns,
                             ctx->prompt_permille, &pieces[0].cpu)) {
            n = 1;
        }
    }
    u64 now = dis_port_now();
    struct dis_rq *rq = dis_ctx_lock(ctx);
    enum dis_was was = dis_ctx_unqueue(ctx, rq, now);
    ctx->affinity = mask;
    if (n != 0) {
        if (ctx->cls == SCHED_CLASS_REALTIME) {
            struct hx_intent in = {.period = ctx->server.period};
            ctx->piece = 0;
            reserve_realtime(ctx, &in, pieces, n, hx_max_u64(now, ctx->server.deadline));
        } else {
            ctx->split[0].cpu = pieces[0].cpu;
        }
        dis_admit_hold(ctx);
    }
    dis_ctx_requeue(ctx, rq, was, now);
    bool bound = (ctx->flags & DIS_CTX_BOUND) != 0;
    u32 target = dis_ctx_home_cpu(ctx);
    dis_port_unlock(&rq->lock);
    if (bound) {
        dis_runner_rebind(ctx->home, target, now);
    }
    for (u32 i = 0; i < n && ctx->cls == SCHED_CLASS_REALTIME; i++) {
        dis_admit_yield(dis.rq[pieces[i].cpu]);
    }
    dis_port_mutex_unlock(&dis.admission);
    return HX_OK;
}
