/* SPDX-License-Identifier: MIT */
/* First in, first out: order of arrival, and the longest slice the kernel allows; then to the end
 * of the line, because a policy must not starve anyone. Unlike the built-in floor it keeps its own
 * line, so it can be handed over to and from like any other module.
 * Context: run queue locked; see <core/sched_policy.h>.
 */
#include <dis/policy.h>

static struct list_node *node_of(struct sched_ctx *ctx)
{
    return (struct list_node *)(void *)ctx->policy;
}

static struct list_node *list_of(struct sched_queue *q)
{
    return (struct list_node *)(void *)q->state;
}

static enum hx_status fifo_init(struct sched_queue *q)
{
    list_init(list_of(q));
    return HX_OK;
}

static void fifo_enqueue(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)
{
    (void)flags;
    list_add_tail(list_of(q), node_of(ctx));
}

static void fifo_dequeue(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    list_remove(node_of(ctx));
    ctx->lag_ns = 0;
}

static u32 fifo_pick(struct sched_queue *q)
{
    struct list_node *head = list_of(q);
    if (list_is_empty(head)) {
        return SCHED_ID_NONE;
    }
    return HX_CONTAINER_OF((void *)head->next, struct sched_ctx, policy)->id;
}

static u64 fifo_start(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    list_remove(node_of(ctx));
    return SCHED_SLICE_MAX_NS;
}

static void fifo_charge(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns)
{
    (void)q;
    (void)ctx;
    (void)ran_ns;
}

static void fifo_put(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, enum sched_put how)
{
    (void)ran_ns;
    if (how == SCHED_PUT_LEAVE) {
        ctx->lag_ns = 0;
    } else if (how == SCHED_PUT_PREEMPT) {
        list_add_head(list_of(q), node_of(ctx));
    } else {
        list_add_tail(list_of(q), node_of(ctx));
    }
}

const struct sched_policy_ops dis_policy_fifo = {
    .abi_version = SCHED_POLICY_ABI,
    .size = sizeof(struct sched_policy_ops),
    .name = "fifo",
    .init = fifo_init,
    .enqueue = fifo_enqueue,
    .dequeue = fifo_dequeue,
    .pick = fifo_pick,
    .start = fifo_start,
    .charge = fifo_charge,
    .put = fifo_put,
};
SCHED_POLICY(dis_policy_fifo);
