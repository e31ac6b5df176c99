/* SPDX-License-Identifier: MIT */
/* Admission: who holds a reservation, on which CPU, and whether one more fits.
 * Owns:      dis.reserved: all contexts with a reservation, in order of admission.
 * Context:   thread; admission lock held. Run queue locks are taken below it, briefly.
 * Rules:     Realtime and the minima of groups are tested together and exactly (demand.c).
 *            Interactive reservations are tested on top of them; when something stronger arrives
 *            they yield, the youngest first, and become best effort. So an unprivileged program
 *            can neither take from a Realtime one nor be promised what is not there.
 * Placement: first fit in the order of CPUs for Realtime, so that room stays together; callers
 *            with a whole set hand it over largest first. When no CPU has room the context is
 *            split: a piece with deadline equal to runtime (it runs at once, whatever else there
 *            is) on the CPU where that piece can be largest, the rest elsewhere.
 * Spec:      Burns, Davis, Wang, Zhang, "Partitioned EDF scheduling for multiprocessors using a
 *            C=D task splitting scheme" (2012).
 */
#include <dis/demand.h>

#include "dis_priv.h"

#define PIECE_MIN_NS  (10 * HX_NS_PER_US)
#define PIECE_STEP_NS HX_NS_PER_US

/* Room for the demands of one CPU, all under the admission lock. */
static struct {
    struct dis_demand *set;
    u64 *words;
    u32 room;
    u32 n;
    u32 reserved_nr;
    struct admit_ghost {
        struct sched_piece piece;
        u64 period, until;
    } * ghosts; /* of contexts that gave up a reservation whose deadline is still to come */
    u32 ghosts_nr, ghosts_room;
} admit;

static void admit_free_sets(void)
{
    dis_port_free(admit.set, admit.room * sizeof(*admit.set));
    dis_port_free(admit.words, admit.room * sizeof(*admit.words));
    admit.set = NULL;
    admit.words = NULL;
    admit.room = 0;
}

static enum hx_status admit_grow(u32 want)
{
    u32 room = admit.room == 0 ? 64 : admit.room;
    struct dis_demand *set;
    u64 *words;
    while (room < want) {
        room *= 2;
    }
    if (room == admit.room) {
        return HX_OK;
    }
    set = dis_port_alloc(room * sizeof(*set));
    words = dis_port_alloc(room * sizeof(*words));
    if (set == NULL || words == NULL) {
        dis_port_free(set, room * sizeof(*set));
        dis_port_free(words, room * sizeof(*words));
        return HX_ERR_NO_MEMORY;
    }
    admit_free_sets();
    admit.set = set;
    admit.words = words;
    admit.room = room;
    return HX_OK;
}

enum hx_status dis_admit_init(void)
{
    enum hx_status status = admit_grow(256);
    return status == HX_OK ? dis_admit_ghost_room() : status;
}

void dis_admit_fini(void)
{
    admit_free_sets();
    dis_port_free(admit.ghosts, admit.ghosts_room * sizeof(*admit.ghosts));
    memset(&admit, 0, sizeof(admit));
}

/* Makes room for what dis_admit_ghost() may add, which runs under a run queue lock. */
enum hx_status dis_admit_ghost_room(void)
{
    u32 room = admit.ghosts_room * 2 + 64;
    struct admit_ghost *ghosts;
    if (admit.ghosts_nr + SCHED_PIECES_MAX <= admit.ghosts_room) {
        return HX_OK;
    }
    ghosts = dis_port_alloc(room * sizeof(*ghosts));
    if (ghosts == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    if (admit.ghosts_nr != 0) {
        memcpy(ghosts, admit.ghosts, admit.ghosts_nr * sizeof(*ghosts));
    }
    dis_port_free(admit.ghosts, admit.ghosts_room * sizeof(*ghosts));
    admit.ghosts = ghosts;
    admit.ghosts_room = room;
    return HX_OK;
}

/* The time that a reservation has used is free again only after its deadline: a successor that
 * started at once could use it twice within one period. Until then its demand stays. */
void dis_admit_ghost(const struct sched_ctx *ctx, u64 now)
{
    u64 until = ctx->server.deadline;
    if (ctx->cls != SCHED_CLASS_REALTIME || until <= now ||
        admit.ghosts_nr + SCHED_PIECES_MAX > admit.ghosts_room) {
        return;
    }
    for (u32 i = 0; i < ctx->pieces; i++) {
        u64 from = i == 0 ? 0 : ctx->split[i - 1].rel_deadline;
        admit.ghosts[admit.ghosts_nr++] = (struct admit_ghost){
            .piece = {ctx->split[i].cpu, ctx->split[i].runtime, ctx->split[i].rel_deadline - from},
            .period = ctx->server.period,
            .until = hx_max_u64(until, ctx->server.release + ctx->split[i].rel_deadline)};
    }
}

static void ghosts_expire(void)
{
    u64 now = dis_port_now();
    for (u32 i = 0; i < admit.ghosts_nr;) {
        if (admit.ghosts[i].until <= now) {
            admit.ghosts[i] = admit.ghosts[--admit.ghosts_nr];
        } else {
            i++;
        }
    }
}

static void admit_push(u64 first, u64 more, u64 deadline, u64 period)
{
    admit.set[admit.n++] = (struct dis_demand){first, more, deadline, period};
}

/* Gathers what is reserved on rq: Realtime and minima, `prompt` also Interactive. Room for one
 * more is kept. */
static enum hx_status admit_gather(const struct dis_rq *rq, bool prompt,
                                   const struct sched_server *except)
{
    struct sched_ctx *ctx;
    struct dis_queue *q;
    u32 want = admit.reserved_nr * SCHED_PIECES_MAX + 2;
    enum hx_status status;
    ghosts_expire();
    want += admit.ghosts_nr;
    LIST_FOREACH (&rq->queues, q, rq_node) {
        want++;
    }
    status = admit_grow(want);
    if (status != HX_OK) {
        return status;
    }
    admit.n = 0;
    LIST_FOREACH (&rq->queues, q, rq_node) {
        if (q->min.runtime != 0 && &q->min != except) {
            admit_push(q->min.runtime, q->min.runtime, q->min.rel_deadline, q->min.period);
        }
    }
    for (u32 i = 0; i < admit.ghosts_nr; i++) {
        const struct admit_ghost *g = &admit.ghosts[i];
        if (g->piece.cpu == rq->cpu) {
            admit_push(g->piece.runtime, g->piece.runtime, g->piece.rel_deadline, g->period);
        }
    }
    LIST_FOREACH (&dis.reserved, ctx, rt_node) {
        if (ctx->cls == SCHED_CLASS_INTERACTIVE) {
            if (prompt && ctx->split[0].cpu == rq->cpu) {
                admit_push(ctx->token_max_ns, DIS_TOKEN_MIN, ctx->latency_ns, ctx->token_period_ns);
            }
            continue;
        }
        for (u32 i = 0; i < ctx->pieces; i++) {
            if (ctx->split[i].cpu == rq->cpu) {
                u64 from = i == 0 ? 0 : ctx->split[i - 1].rel_deadline;
                admit_push(ctx->split[i].runtime, ctx->split[i].runtime,
                           ctx->split[i].rel_deadline - from, ctx->server.period);
            }
        }
    }
    return HX_OK;
}

/* With one more demand on top of what was gathered. */
static enum dis_fit admit_try(u64 first, u64 more, u64 deadline, u64 period)
{
    enum dis_fit fit;
    admit_push(first, more, deadline, period);
    fit = dis_demand_fits(admit.set, admit.n, dis.config.block_ns, admit.words);
    admit.n--;
    return fit;
}

static bool admit_fits(u64 runtime, u64 deadline, u64 period)
{
    return runtime <= deadline && admit_try(runtime, runtime, deadline, period) == DIS_FITS;
}

/* The largest runtime up to `most` that fits, in steps of `step`; 0: none. `tight`: with the
 * deadline equal to the runtime. */
static u64 admit_largest(u64 most, u64 deadline, u64 period, u64 step, bool tight)
{
    u64 low = 0, high = most / step;
    while (low < high) {
        u64 mid = low + (high - low + 1) / 2;
        if (admit_fits(mid * step, tight ? mid * step : deadline, period)) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    return low * step;
}

/* Utilisation of Realtime on rq, in millionths, rounded up. */
static u64 admit_rt_used(const struct dis_rq *rq)
{
    struct sched_ctx *ctx;
    u64 sum = 0;
    LIST_FOREACH (&dis.reserved, ctx, rt_node) {
        if (ctx->cls != SCHED_CLASS_REALTIME) {
            continue;
        }
        for (u32 i = 0; i < ctx->pieces; i++) {
            if (ctx->split[i].cpu == rq->cpu) {
                sum +=
                    (ctx->split[i].runtime * 1000000 + ctx->server.period - 1) / ctx->server.period;
            }
        }
    }
    return sum;
}

/* How much runtime Realtime may still have on rq by the configured share. */
static u64 admit_rt_room(const struct dis_rq *rq, u64 period)
{
    u64 limit = (u64)dis.config.rt_permille * 1000, used;
    if (limit >= 1000000) {
        return DIS_NEVER; /* the test alone decides, and it does not round */
    }
    used = admit_rt_used(rq);
    return used >= limit ? 0 : (limit - used) * (period / 1000) / 1000;
}

static u64 overhead_ns(void)
{
    return 2 * dis.config.switch_ns + dis.config.irq_ns;
}

/* What ctx declared, from what is reserved for it. */
u64 dis_admit_wcet(const struct sched_ctx *ctx)
{
    u64 sum = 0;
    for (u32 i = 0; i < ctx->pieces; i++) {
        sum += ctx->split[i].runtime - overhead_ns();
    }
    return sum;
}

void dis_admit_release(struct sched_ctx *ctx)
{
    if ((ctx->flags & DIS_CTX_ADMITTED) == 0) {
        return;
    }
    ctx->flags &= (u8)~DIS_CTX_ADMITTED;
    list_remove(&ctx->rt_node);
    admit.reserved_nr--;
    if (ctx->cls == SCHED_CLASS_INTERACTIVE) {
        ctx->group->prompt_permille -= ctx->prompt_permille;
    }
}

void dis_admit_hold(struct sched_ctx *ctx)
{
    ctx->flags |= DIS_CTX_ADMITTED;
    list_add_tail(&dis.reserved, &ctx->rt_node);
    admit.reserved_nr++;
    if (ctx->cls == SCHED_CLASS_INTERACTIVE) {
        ctx->group->prompt_permille += ctx->prompt_permille;
    }
}

/* Something stronger was reserved on rq: Interactive reservations that do not fit any more become
 * best effort, the youngest first. */
void dis_admit_yield(struct dis_rq *rq)
{
    for (;;) {
        struct sched_ctx *ctx, *last = NULL;
        if (admit_gather(rq, true, NULL) == HX_OK &&
            dis_demand_fits(admit.set, admit.n, dis.config.block_ns, admit.words) == DIS_FITS) {
            return;
        }
        LIST_FOREACH (&dis.reserved, ctx, rt_node) {
            if (ctx->cls == SCHED_CLASS_INTERACTIVE && ctx->split[0].cpu == rq->cpu) {
                last = ctx;
            }
        }
        if (last == NULL) {
            return;
        }
        struct dis_rq *home = dis_ctx_lock(last);
        dis_admit_release(last);
        dis_port_unlock(&home->lock);
    }
}

/* May a server of these parameters replace `except` on rq? */
bool dis_admit_server(struct dis_rq *rq, const struct sched_server *except, u64 runtime,
                      u64 deadline, u64 period)
{
    return admit_gather(rq, false, except) == HX_OK && admit_fits(runtime, deadline, period);
}

/* Splits over several CPUs. Return: true, pieces[0..*out_n). */
static bool admit_split(u64 mask, u64 runtime, u64 deadline, u64 period, struct sched_piece *pieces,
                        u32 *out_n)
{
    u64 done = 0; /* deadline of the pieces so far */
    for (u32 n = 0; n < SCHED_PIECES_MAX; n++) {
        u64 best = 0;
        u32 best_cpu = 0;
        for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
            u64 largest;
            if ((mask & HX_BIT(cpu)) == 0 || admit_gather(dis.rq[cpu], false, NULL) != HX_OK) {
                continue;
            }
            if (admit_rt_room(dis.rq[cpu], period) < runtime) {
                continue;
            }
            if (n > 0 && admit_fits(runtime, deadline - done, period)) {
                pieces[n] = (struct sched_piece){cpu, runtime, deadline};
                *out_n = n + 1;
                return true;
            }
            largest =
                admit_largest(hx_min_u64(runtime, deadline - done), 0, period, PIECE_STEP_NS, true);
            if (largest > best) {
                best = largest;
                best_cpu = cpu;
            }
        }
        /* Each piece pays its own switches, and must leave some work for the next. */
        if (best < PIECE_MIN_NS + overhead_ns() || best >= runtime || n + 1 == SCHED_PIECES_MAX) {
            return false;
        }
        done += best;
        pieces[n] = (struct sched_piece){best_cpu, best, done};
        runtime = runtime - best + overhead_ns();
        mask &= ~HX_BIT(best_cpu);
        if (done + runtime > deadline) {
            return false;
        }
    }
    return false;
}

/* Finds room for a Realtime intent; ctx itself holds nothing now. Fills pieces on success. */
enum hx_status dis_admit_rt(const struct hx_intent *in, u64 mask, struct sched_piece *pieces,
                            u32 *out_n, struct hx_intent_result *res)
{
    u64 runtime = in->wcet + overhead_ns();
    bool undecided = false, full_rt = false;
    u64 largest = 0;
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        enum dis_fit fit = DIS_FULL;
        enum hx_status status;
        if ((mask & HX_BIT(cpu)) == 0) {
            continue;
        }
        status = admit_gather(dis.rq[cpu], false, NULL);
        if (status != HX_OK) {
            return status;
        }
        if (admit_rt_room(dis.rq[cpu], in->period) < runtime) {
            full_rt = true;
        } else if (runtime <= in->deadline) {
            fit = admit_try(runtime, runtime, in->deadline, in->period);
        }
        if (fit == DIS_FITS) {
            pieces[0] = (struct sched_piece){cpu, runtime, in->deadline};
            *out_n = 1;
            res->verdict = HX_INTENT_ADMITTED;
            res->cpu = cpu;
            res->pieces = 1;
            return HX_OK;
        }
        undecided = undecided || fit == DIS_UNDECIDED;
    }
    if ((in->flags & HX_INTENT_PINNED) == 0 && (mask & (mask - 1)) != 0 &&
        runtime <= in->deadline &&
        admit_split(mask, runtime, in->deadline, in->period, pieces, out_n)) {
        res->verdict = HX_INTENT_ADMITTED;
        res->cpu = pieces[0].cpu;
        res->pieces = *out_n;
        return HX_OK;
    }
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        if ((mask & HX_BIT(cpu)) != 0 && admit_gather(dis.rq[cpu], false, NULL) == HX_OK) {
            u64 most = hx_min_u64(hx_min_u64(runtime, in->deadline),
                                  admit_rt_room(dis.rq[cpu], in->period));
            largest = hx_max_u64(largest, admit_largest(most, in->deadline, in->period, 1, false));
        }
    }
    res->verdict = HX_INTENT_REFUSED;
    res->reason = undecided ? HX_REASON_UNDECIDED : full_rt ? HX_REASON_LIMIT : HX_REASON_DEMAND;
    res->max_wcet = largest > overhead_ns() + DIS_RUNTIME_MIN_NS ? largest - overhead_ns() : 0;
    return HX_ERR_NO_FIT;
}

/* By how much the runtime of an admitted, unsplit intent could grow. ctx holds nothing now. */
u64 dis_admit_slack(const struct hx_intent *in, u32 cpu)
{
    u64 runtime = in->wcet + overhead_ns();
    u64 most = hx_min_u64(in->deadline, admit_rt_room(dis.rq[cpu], in->period));
    if (admit_gather(dis.rq[cpu], false, NULL) != HX_OK || most <= runtime) {
        return 0;
    }
    return admit_largest(most, in->deadline, in->period, 1, false) - runtime;
}

/* Finds the CPU with the fewest Interactive reservations that has room for another. */
bool dis_admit_prompt(u64 mask, u64 burst, u64 token_period, u64 latency, u32 permille,
                      u32 *out_cpu)
{
    u32 best = SCHED_ID_NONE, best_used = 0;
    for (u32 cpu = 0; cpu < dis.config.cpus; cpu++) {
        struct sched_ctx *ctx;
        u32 used = permille;
        if ((mask & HX_BIT(cpu)) == 0) {
            continue;
        }
        LIST_FOREACH (&dis.reserved, ctx, rt_node) {
            if (ctx->cls == SCHED_CLASS_INTERACTIVE && ctx->split[0].cpu == cpu) {
                used += ctx->prompt_permille;
            }
        }
        if (used > dis.config.prompt_permille || (best != SCHED_ID_NONE && used >= best_used)) {
            continue;
        }
        if (admit_gather(dis.rq[cpu], true, NULL) == HX_OK &&
            admit_try(burst, DIS_TOKEN_MIN, latency, token_period) == DIS_FITS) {
            best = cpu;
            best_used = used;
        }
    }
    *out_cpu = best;
    return best != SCHED_ID_NONE;
}
