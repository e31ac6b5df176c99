/* SPDX-License-Identifier: MIT */
/* A policy that is bad on purpose: for a while it keeps a line like any other, then it answers with
 * contexts that are dead, elsewhere or of its invention, says that nobody waits, asks for slices
 * without end, forgets those that it was handed, and offers to give away what it has not got. It
 * shows that a policy can do no more harm than to be ejected.
 * Context: run queue locked; see <core/sched_policy.h>.
 */
#include <dis/policy.h>

#define HONEST_PICKS 4

struct chaos_queue {
    struct list_node line;
    u64 picks;
};

static struct chaos_queue *queue_of(struct sched_queue *q)
{
    return (struct chaos_queue *)(void *)q->state;
}

static struct list_node *node_of(struct sched_ctx *ctx)
{
    return (struct list_node *)(void *)ctx->policy;
}

static enum hx_status chaos_init(struct sched_queue *q)
{
    list_init(&queue_of(q)->line);
    return HX_OK;
}

static void chaos_enqueue(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)
{
    (void)flags;
    list_init(node_of(ctx));
    if (queue_of(q)->picks < HONEST_PICKS || ctx->id % 3 != 0) {
        list_add_tail(&queue_of(q)->line, node_of(ctx));
    }
}

static void chaos_dequeue(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    list_remove(node_of(ctx));
    ctx->lag_ns = INT64_MIN;
}

static u32 chaos_pick(struct sched_queue *q)
{
    struct chaos_queue *c = queue_of(q);
    u64 n = c->picks++;
    if (n < HONEST_PICKS && !list_is_empty(&c->line)) {
        return HX_CONTAINER_OF((void *)c->line.next, struct sched_ctx, policy)->id;
    }
    switch (n % 4) {
    case 0:
        return SCHED_ID_NONE;
    case 1:
        return SCHED_ID_NONE - 1;
    case 2:
        return (u32)(n * 2654435761u);
    default:
        return q->cpu; /* a group's, or nobody's */
    }
}

static u64 chaos_start(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    list_remove(node_of(ctx));
    return UINT64_MAX;
}

static void chaos_charge(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns)
{
    (void)q;
    (void)ctx;
    (void)ran_ns;
}

static void chaos_put(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, enum sched_put how)
{
    (void)ran_ns;
    if (how == SCHED_PUT_LEAVE) {
        ctx->lag_ns = INT64_MAX;
    } else {
        chaos_enqueue(q, ctx, 0);
    }
}

static u32 chaos_yield(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, u64 *out_slice)
{
    struct list_node *line = &queue_of(q)->line, *first;
    chaos_put(q, ctx, ran_ns, SCHED_PUT_YIELD);
    *out_slice = UINT64_MAX;
    if (++queue_of(q)->picks > HONEST_PICKS || list_is_empty(line)) {
        return SCHED_ID_NONE - (u32)(queue_of(q)->picks % 2);
    }
    first = line->next;
    list_remove(first);
    return HX_CONTAINER_OF((void *)first, struct sched_ctx, policy)->id;
}

static bool chaos_preempts(struct sched_queue *q, struct sched_ctx *running,
                           struct sched_ctx *woken)
{
    (void)running;
    (void)woken;
    return queue_of(q)->picks % 2 == 0;
}

static u32 chaos_steal(struct sched_queue *q, u32 to_cpu)
{
    return to_cpu + (u32)queue_of(q)->picks;
}

const struct sched_policy_ops dis_policy_chaos = {
    .abi_version = SCHED_POLICY_ABI,
    .size = sizeof(struct sched_policy_ops),
    .name = "chaos",
    .init = chaos_init,
    .enqueue = chaos_enqueue,
    .dequeue = chaos_dequeue,
    .pick = chaos_pick,
    .start = chaos_start,
    .charge = chaos_charge,
    .put = chaos_put,
    .yield = chaos_yield,
    .preempts = chaos_preempts,
    .steal = chaos_steal,
};
SCHED_POLICY(dis_policy_chaos);
