/* SPDX-License-Identifier: MIT */
/* Round robin: everybody waits in one line and runs for the same slice. The kernel's own policy,
 * which needs nothing and cannot fail, so it is also what others are replaced by.
 * Owns:      the order of its queues.      Context: run queue locked, interrupts masked.
 * State:     see round_robin_priv.h.
 */
#include "round_robin_priv.h"

static enum hx_status rr_init(struct sched_queue *q)
{
    list_init(rr_head(q));
    return HX_OK;
}

static void rr_enqueue(struct sched_queue *q, struct sched_ctx *ctx, u32 flags)
{
    (void)flags;
    rr_append(q, ctx);
}

static void rr_dequeue(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    rr_take(ctx);
    ctx->lag_ns = 0;
}

static u32 rr_pick(struct sched_queue *q)
{
    struct list_node *head = rr_head(q);
    return list_is_empty(head) ? SCHED_ID_NONE
                               : HX_CONTAINER_OF(head->next, struct sched_ctx, policy)->id;
}

static u64 rr_start(struct sched_queue *q, struct sched_ctx *ctx)
{
    (void)q;
    rr_take(ctx);
    return RR_SLICE_NS;
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
        rr_append(q, ctx);
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
