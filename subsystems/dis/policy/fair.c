/* SPDX-License-Identifier: MIT */
/* EEVDF: earliest eligible virtual deadline first. The default policy.
 * Context: run queue locked; see <core/sched_policy.h>.
 * Idea:    each context i has a virtual time v_i that advances by ran / weight. The queue's virtual
 *          time is V = sum(w_i v_i) / sum(w_i), over the waiting and the running. v_i <= V: it has
 *          had no more than its share, and is eligible. Of the eligible, the one whose present
 *          request (slice) has the earliest virtual deadline runs: short slices mean early turns,
 *          not more time. Nobody is ever further from its fair share than one request.
 * Numbers: V is kept as v0 + sum / weight, with sum = sum(w_i (v_i - v0)), all 64-bit integers.
 *          v0 is moved to floor(V) before each choice, so eligibility is one comparison with v0,
 *          and no product can overflow: |v_i - V| is bounded by the lag bound, weights by 2^18.
 *          Times wrap; only differences count.
 * Tree:    by virtual deadline, each node knowing the least v below it. The leftmost is usually
 *          eligible, so a pick is O(1) then, O(log n) always.
 * Invariant: (1) sum and weight cover exactly the waiting and the running context.
 *            (2) the running context is not in the tree.
 *            (3) 0 <= sum < weight after rebase().
 * Spec:    Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First" (1995).
 */
#include <dis/policy.h>
#include <dis/tree.h>
#include <helix/panic.h>

#define LAG_KEEP_NS ((s64)SCHED_SLICE_MAX_NS)

/* In ctx->policy. aug.value is v_i, aug.node.key the virtual deadline. */
struct fair_ctx {
    struct dis_tree_aug aug;
    u64 weight; /* as it was counted in the queue */
};

/* In q->state. */
struct fair_queue {
    struct dis_tree tree;
    u64 v0;
    s64 sum;
    u64 weight;
    struct sched_ctx *running;
};

_Static_assert(sizeof(struct fair_ctx) <= sizeof(((struct sched_ctx *)0)->policy), "fits");
_Static_assert(sizeof(struct fair_queue) <= sizeof(((struct sched_queue *)0)->state), "fits");

static struct fair_ctx *fair_of(struct sched_ctx *ctx)
{
    return (struct fair_ctx *)(void *)ctx->policy;
}

static struct fair_queue *queue_of(struct sched_queue *q)
{
    return (struct fair_queue *)(void *)q->state;
}

static struct sched_ctx *ctx_of(struct sched_tree_node *node)
{
    return HX_CONTAINER_OF((void *)node, struct sched_ctx, policy);
}

/* v0 = floor(V). */
static inline void rebase(struct fair_queue *f)
{
    s64 weight = (s64)f->weight, delta;
    if (hx_likely((u64)f->sum < f->weight) || weight == 0) { /* a negative one is large */
        return;
    }
    delta = f->sum / weight;
    f->sum -= delta * weight;
    if (f->sum < 0) {
        f->sum += weight;
        delta--;
    }
    f->v0 += (u64)delta;
}

/* sched_virtual_ns(), which leaves the time of a context of one unit as it is. */
static inline u64 virtual_ns(const struct sched_ctx *ctx, u64 ns)
{
    return hx_likely(ctx->weight == SCHED_WEIGHT_UNIT) ? ns : sched_virtual_ns(ctx, ns);
}

static inline void request_new(struct sched_ctx *ctx, struct fair_ctx *c)
{
    c->aug.node.key = c->aug.value + virtual_ns(ctx, ctx->slice_ns);
}

static HX_NOINLINE void take_out_other(struct fair_queue *f, struct fair_ctx *c)
{
    dis_tree_remove(&f->tree, &c->aug.node, true);
}

static inline void take_out(struct fair_queue *f, struct fair_ctx *c)
{
    if (hx_likely(f->tree.first == &c->aug.node)) {
        dis_tree_remove_first(&f->tree, true);
    } else {
        take_out_other(f, c);
    }
}

static enum hx_status fair_init(struct sched_queue *q)
{
    (void)q;
    return HX_OK;
}

/* Negative lag would make a sleeper pay for time in which it took nothing: it fades as if it had
 * waited for its turn in the queue as it is now. */
static s64 lag_after_sleep(const struct fair_queue *f, const struct sched_ctx *ctx, u32 flags)
{
    s64 lag = ctx->lag_ns;
    if (lag < 0 && (flags & SCHED_ENQ_WAKE) != 0) {
        u64 slept = ctx->slept_ns < HX_NS_PER_SEC ? ctx->slept_ns : HX_NS_PER_SEC;
        lag += (s64)(slept * ctx->weight / (f->weight + ctx->weight));
        lag = lag > 0 ? 0 : lag;
    }
    return lag > LAG_KEEP_NS ? LAG_KEEP_NS : lag < -LAG_KEEP_NS ? -LAG_KEEP_NS : lag;
}

static void fair_enqueue(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)
{
    struct fair_queue *f = queue_of(q);
    struct fair_ctx *c = fair_of(ctx);
    s64 lag = lag_after_sleep(f, ctx, flags), behind, offset = 0;

    c->weight = ctx->weight;
    if (hx_likely(c->weight == SCHED_WEIGHT_UNIT)) {
        behind = lag;
    } else {
        behind = (s64)sched_virtual_ns(ctx, (u64)(lag < 0 ? -lag : lag));
        behind = lag < 0 ? -behind : behind;
    }
    if (f->weight != 0) {
        /* Joining moves V towards the newcomer: placed lag * (W + w) / W behind V, which is sum / W
         * after v0, it is exactly `lag` behind once it is counted. */
        offset = (f->sum - behind * (s64)c->weight) / (s64)f->weight - behind;
    }
    c->aug.value = f->v0 + (u64)offset;
    f->sum += (s64)c->weight * offset;
    f->weight += c->weight;
    request_new(ctx, c);
    dis_tree_insert(&f->tree, &c->aug.node, true);
}

/* Takes ctx, which is not in the tree, out of the sums; its lag is what it is owed. */
static inline void fair_leave(struct fair_queue *f, struct sched_ctx *ctx, struct fair_ctx *c)
{
    s64 offset = (s64)(c->aug.value - f->v0);
    s64 behind = f->sum / (s64)f->weight - offset;
    /* virtual to real time: times weight / UNIT */
    ctx->lag_ns = hx_likely(c->weight == SCHED_WEIGHT_UNIT)
                      ? behind
                      : behind * (s64)c->weight / (s64)SCHED_WEIGHT_UNIT;
    f->sum -= (s64)c->weight * offset;
    f->weight -= c->weight;
    if (hx_unlikely(f->weight == 0)) {
        f->sum = 0;
    }
}

static void fair_dequeue(struct sched_queue *q, struct sched_ctx *ctx)
{
    struct fair_queue *f = queue_of(q);
    take_out(f, fair_of(ctx));
    fair_leave(f, ctx, fair_of(ctx));
}

/* The earliest deadline at or below n, which is not on the left edge, among those with value <= v;
 * there is one. */
static struct sched_tree_node *best_below(struct sched_tree_node *n, u64 v)
{
    for (;;) {
        struct sched_tree_node *l = n->child[0];
        if (l != NULL && !dis_time_before(v, dis_tree_aug_of(l)->min)) {
            n = l;
        } else if (!dis_time_before(v, dis_tree_aug_of(n)->value)) {
            return n;
        } else {
            n = n->child[1];
        }
    }
}

/* The first is not eligible: in order of deadlines, the nodes of the left edge from there to the
 * root, each with what is to the right of it. */
static HX_NOINLINE struct sched_ctx *best_after_first(struct fair_queue *f)
{
    u64 v = f->v0;
    for (struct sched_tree_node *n = f->tree.first; n != NULL; n = dis_tree_parent(n)) {
        struct sched_tree_node *r = n->child[1];
        if (!dis_time_before(v, dis_tree_aug_of(n)->value)) {
            return ctx_of(n);
        }
        if (r != NULL && !dis_time_before(v, dis_tree_aug_of(r)->min)) {
            return ctx_of(best_below(r, v));
        }
    }
    /* Someone is always at or below the average, but it may be the context that runs. */
    return ctx_of(f->tree.first);
}

/* The tree is not empty. */
static inline struct sched_ctx *best_of(struct fair_queue *f)
{
    struct sched_tree_node *n = f->tree.first;
    rebase(f);
    return hx_likely(!dis_time_before(f->v0, dis_tree_aug_of(n)->value)) ? ctx_of(n)
                                                                         : best_after_first(f);
}

static u32 fair_pick(struct sched_queue *q)
{
    struct fair_queue *f = queue_of(q);
    return hx_unlikely(f->tree.first == NULL) ? SCHED_ID_NONE : best_of(f)->id;
}

static u64 fair_start(struct sched_queue *q, struct sched_ctx *ctx)
{
    struct fair_queue *f = queue_of(q);
    struct fair_ctx *c = fair_of(ctx);
    s64 left;
    take_out(f, c);
    f->running = ctx;
    left = (s64)(c->aug.node.key - c->aug.value); /* of the request, virtual */
    if (hx_likely(c->weight == SCHED_WEIGHT_UNIT)) {
        return (u64)left;
    }
    return (u64)left * c->weight / SCHED_WEIGHT_UNIT + 1;
}

static inline void advance(struct fair_queue *f, struct sched_ctx *ctx, struct fair_ctx *c,
                           u64 ran_ns)
{
    u64 dv = virtual_ns(ctx, ran_ns);
    c->aug.value += dv;
    f->sum += (s64)(dv * c->weight);
}

static void fair_charge(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns)
{
    advance(queue_of(q), ctx, fair_of(ctx), ran_ns);
    rebase(queue_of(q)); /* one that is alone is charged, never chosen */
}

static void fair_put(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, enum sched_put how)
{
    struct fair_queue *f = queue_of(q);
    struct fair_ctx *c = fair_of(ctx);
    advance(f, ctx, c, ran_ns);
    f->running = NULL;
    if (how == SCHED_PUT_LEAVE) {
        fair_leave(f, ctx, c);
        return;
    }
    if (!dis_time_before(c->aug.value, c->aug.node.key) || how == SCHED_PUT_YIELD) {
        request_new(ctx, c); /* the request is served, or given up */
    }
    dis_tree_insert(&f->tree, &c->aug.node, true);
}

static u32 fair_yield(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, u64 *out_slice)
{
    fair_put(q, ctx, ran_ns, SCHED_PUT_YIELD);
    struct sched_ctx *next = best_of(queue_of(q));
    *out_slice = fair_start(q, next);
    return next->id;
}

/* A shorter request with an earlier deadline does not wait for a longer one to end. */
static bool fair_preempts(struct sched_queue *q, struct sched_ctx *running, struct sched_ctx *woken)
{
    struct fair_queue *f = queue_of(q);
    struct fair_ctx *r = fair_of(running), *w = fair_of(woken);
    rebase(f);
    return !dis_time_before(f->v0, w->aug.value) &&
           dis_time_before(w->aug.node.key, r->aug.node.key) &&
           (woken->slice_ns < running->slice_ns ||
            dis_time_before(f->v0, r->aug.value) /* it has had its share already */);
}

/* Gives away who would be served last of those at hand: the root's right edge. */
static u32 fair_steal(struct sched_queue *q, u32 to_cpu)
{
    struct sched_tree_node *n = queue_of(q)->tree.root;
    u32 tries = 0;
    for (; n != NULL && tries < 32; n = n->child[1], tries++) {
        if ((ctx_of(n)->affinity >> to_cpu & 1) != 0 && n->child[1] == NULL) {
            return ctx_of(n)->id;
        }
    }
    return SCHED_ID_NONE;
}

static HX_COLD bool fair_check(struct fair_queue *f, struct sched_tree_node *n, bool edge, s64 *sum,
                               u64 *weight, u32 *count)
{
    struct fair_ctx *c;
    if (n == NULL) {
        return true;
    }
    c = fair_of(ctx_of(n));
    *sum += (s64)c->weight * (s64)(c->aug.value - f->v0);
    *weight += c->weight;
    ++*count;
    for (int i = 0; i < 2; i++) {
        struct sched_tree_node *k = n->child[i];
        if (k != NULL && (dis_tree_parent(k) != n ||
                          dis_time_before(i ? k->key : n->key, i ? n->key : k->key))) {
            return false;
        }
    }
    return (edge || c->aug.min == dis_tree_aug_min(n)) &&
           fair_check(f, n->child[0], edge, sum, weight, count) &&
           fair_check(f, n->child[1], false, sum, weight, count);
}

static HX_COLD bool fair_selfcheck(struct sched_queue *q)
{
    struct fair_queue *f = queue_of(q);
    s64 sum = 0;
    u64 weight = 0;
    u32 count = 0;
    if (f->running != NULL) {
        struct fair_ctx *c = fair_of(f->running);
        sum += (s64)c->weight * (s64)(c->aug.value - f->v0);
        weight += c->weight;
        count++;
    }
    return fair_check(f, f->tree.root, true, &sum, &weight, &count) && sum == f->sum &&
           weight == f->weight && count == q->nr;
}

const struct sched_policy_ops dis_policy_fair = {
    .abi_version = SCHED_POLICY_ABI,
    .size = sizeof(struct sched_policy_ops),
    .name = "fair",
    .init = fair_init,
    .enqueue = fair_enqueue,
    .dequeue = fair_dequeue,
    .pick = fair_pick,
    .start = fair_start,
    .charge = fair_charge,
    .put = fair_put,
    .yield = fair_yield,
    .preempts = fair_preempts,
    .steal = fair_steal,
    .selfcheck = fair_selfcheck,
};
SCHED_POLICY(dis_policy_fair);
