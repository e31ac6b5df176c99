/* SPDX-License-Identifier: MIT */
/* Soft deadlines without reservations: the earliest goes first. A context states how long after a
 * wake-up it would like to be done (ctx->deadline, ns; 0: 100 ms); each slice it uses moves its
 * deadline on by as much, and no deadline lies more than 10 ms per context in the queue ahead, so
 * that nobody waits for ever.
 * Context: run queue locked; see <core/sched_policy.h>.
 */
#include <dis/policy.h>
#include <dis/tree.h>

#define SLICE_NS   (2 * HX_NS_PER_MS)
#define DEFAULT_NS (100 * HX_NS_PER_MS)
#define SHARE_NS   SCHED_SLICE_MAX_NS

static struct sched_tree_node *node_of(struct sched_ctx *ctx)
{
    return (struct sched_tree_node *)(void *)ctx->policy;
}

static struct dis_tree *tree_of(struct sched_queue *q)
{
    return (struct dis_tree *)(void *)q->state;
}

static void edf_line_up(struct sched_queue *q, struct sched_ctx *ctx)
{
    u64 wish = ctx->deadline == 0 ? DEFAULT_NS : ctx->deadline;
    u64 most = SHARE_NS * (q->nr + 1);
    node_of(ctx)->key = q->now + (wish < most ? wish : most);
    dis_tree_insert(tree_of(q), node_of(ctx), false);
}

static enum hx_status edf_init(struct sched_queue *q)
{
    (void)q;
    return HX_OK;
}

static void edf_enqueue(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)
{
    (void)flags;
    edf_line_up(q, ctx);
}

static void edf_dequeue(struct sched_queue *q, struct sched_ctx *ctx)
{
    dis_tree_remove(tree_of(q), node_of(ctx), false);
    ctx->lag_ns = 0;
}

static u32 edf_pick(struct sched_queue *q)
{
    struct sched_tree_node *n = tree_of(q)->first;
    if (n == NULL) {
        return SCHED_ID_NONE;
    }
    return HX_CONTAINER_OF((void *)n, struct sched_ctx, policy)->id;
}

static u64 edf_start(struct sched_queue *q, struct sched_ctx *ctx)
{
    dis_tree_remove(tree_of(q), node_of(ctx), false);
    return SLICE_NS;
}

static void edf_charge(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns)
{
    (void)q;
    (void)ctx;
    (void)ran_ns;
}

static void edf_put(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, enum sched_put how)
{
    (void)ran_ns;
    if (how == SCHED_PUT_LEAVE) {
        ctx->lag_ns = 0;
    } else if (how == SCHED_PUT_PREEMPT) {
        dis_tree_insert(tree_of(q), node_of(ctx), false);
    } else {
        edf_line_up(q, ctx);
    }
}

static bool edf_preempts(struct sched_queue *q, struct sched_ctx *running, struct sched_ctx *woken)
{
    (void)q;
    return dis_time_before(node_of(woken)->key, node_of(running)->key);
}

const struct sched_policy_ops dis_policy_edf_soft = {
    .abi_version = SCHED_POLICY_ABI,
    .size = sizeof(struct sched_policy_ops),
    .name = "edf_soft",
    .init = edf_init,
    .enqueue = edf_enqueue,
    .dequeue = edf_dequeue,
    .pick = edf_pick,
    .start = edf_start,
    .charge = edf_charge,
    .put = edf_put,
    .preempts = edf_preempts,
};
SCHED_POLICY(dis_policy_edf_soft);
