/* SPDX-License-Identifier: MIT */
/* Round robin: everyone in turn for one quantum, weights ignored. The shortest path there is from
 * a yield to the next context.
 * Context: run queue locked; see <core/sched_policy.h>.
 * Invariant: the list holds exactly the waiting contexts, next to run at its head.
 */
#include <dis/policy.h>

#define QUANTUM_NS (4 * HX_NS_PER_MS)

struct rr_ctx {
    struct list_node node;
    u64 left_ns; /* of its quantum; kept when it is preempted, not when it sleeps */
};

_Static_assert(sizeof(struct rr_ctx) <= sizeof(((struct sched_ctx *)0)->policy), "fits");

static struct rr_ctx *rr_of(struct sched_ctx *ctx)
{
    return (struct rr_ctx *)(void *)ctx->policy;
}

static struct list_node *list_of(struct sched_queue *q)
{
    return (struct list_node *)(void *)q->state;
}

static enum hx_status rr_init(struct sched_queue *q)
{
    list_init(list_of(q));
    return HX_OK;
}

static void rr_enqueue(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)
{
    (void)flags;
    rr_of(ctx)->left_ns = QUANTUM_NS;
    list_add_tail(list_of(q), &rr_of(ctx)->node);
}

static void rr_dequeue(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    list_remove(&rr_of(ctx)->node);
    ctx->lag_ns = 0;
}

static u32 rr_pick(struct sched_queue *q)
{
    struct list_node *head = list_of(q);
    if (hx_unlikely(list_is_empty(head))) {
        return SCHED_ID_NONE;
    }
    return HX_CONTAINER_OF((void *)head->next, struct sched_ctx, policy)->id;
}

static u64 rr_start(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    list_remove(&rr_of(ctx)->node);
    return rr_of(ctx)->left_ns;
}

static void rr_charge(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns)
{
    (void)q;
    rr_of(ctx)->left_ns -= ran_ns < rr_of(ctx)->left_ns ? ran_ns : rr_of(ctx)->left_ns;
}

static void rr_put(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, enum sched_put how)
{
    struct rr_ctx *c = rr_of(ctx);
    if (hx_unlikely(how == SCHED_PUT_LEAVE)) {
        ctx->lag_ns = 0;
        return;
    }
    if (hx_unlikely(how == SCHED_PUT_PREEMPT && ran_ns < c->left_ns)) {
        c->left_ns -= ran_ns;
        list_add_head(list_of(q), &c->node);
        return;
    }
    c->left_ns = QUANTUM_NS;
    list_add_tail(list_of(q), &c->node);
}

static u32 rr_yield(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, u64 *out_slice)
{
    struct list_node *head = list_of(q), *first;
    (void)ran_ns;
    rr_of(ctx)->left_ns = QUANTUM_NS;
    list_add_tail(head, &rr_of(ctx)->node);
    first = head->next;
    list_unlink(first);
    ctx = HX_CONTAINER_OF((void *)first, struct sched_ctx, policy);
    *out_slice = rr_of(ctx)->left_ns;
    return ctx->id;
}

const struct sched_policy_ops dis_policy_round_robin = {
    .abi_version = SCHED_POLICY_ABI,
    .size = sizeof(struct sched_policy_ops),
    .name = "round_robin",
    .init = rr_init,
    .enqueue = rr_enqueue,
    .dequeue = rr_dequeue,
    .pick = rr_pick,
    .start = rr_start,
    .charge = rr_charge,
    .put = rr_put,
    .yield = rr_yield,
};
SCHED_POLICY(dis_policy_round_robin);
