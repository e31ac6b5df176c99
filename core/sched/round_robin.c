/* SPDX-License-Identifier: MIT */
/* Round robin: everybody waits in one line and runs for the same slice. The kernel's own policy,
 * which needs nothing and cannot fail, so it is also what others are replaced by.
 * Owns:      the order of its queues.      Context: run queue locked, interrupts masked.
 * State:     q->state[0..1] is the head of the line; ctx->policy[0..1] the node.
 */
#include <core/sched.h>

#define SLICE_NS (10 * HX_NS_PER_MS)

_Static_assert(SCHED_QUEUE_WORDS * sizeof(u64) >= sizeof(struct list_node), "the head fits");
_Static_assert(SCHED_CTX_WORDS * sizeof(u64) >= sizeof(struct list_node), "the node fits");

static struct list_node *head_of(struct sched_queue *q)
{
    return (struct list_node *)q->state;
}

static struct list_node *node_of(struct sched_ctx *ctx)
{
    return (struct list_node *)ctx->policy;
}

static enum hx_status rr_init(struct sched_queue *q)
{
    list_init(head_of(q));
    return HX_OK;
}

static void rr_enqueue(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)
{
    (void)flags;
    list_add_tail(head_of(q), node_of(ctx));
}

static void rr_dequeue(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    list_remove(node_of(ctx));
    ctx->lag_ns = 0;
}

static u32 rr_pick(struct sched_queue *q)
{
    struct list_node *head = head_of(q);
    return list_is_empty(head) ? SCHED_ID_NONE
                               : HX_CONTAINER_OF(head->next, struct sched_ctx, policy)->id;
}

static u64 rr_start(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    struct list_node *node = node_of(ctx);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    return SLICE_NS;
}

static void rr_charge(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns)
{
    (void)q;
    (void)ctx;
    (void)ran_ns;
}

static void rr_put(struct sched_queue *q, struct sched_ctx *ctx, u64 ran_ns, enum sched_put how)
{
    (void)ran_ns;
    if (how != SCHED_PUT_LEAVE) {
        list_add_tail(head_of(q), node_of(ctx));
    }
}

const struct sched_policy_ops sched_round_robin = {
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
};
