/* SPDX-License-Identifier: MIT */
/* Round robin, in line: the scheduler calls the built-in policy through these, because its answers
 * need no checking and a call through the table would cost as much as the work.
 * State: q->state[0..1] is the head of the line, ctx->policy[0..1] the node. The running context is
 * not in the line.
 */
#ifndef ROUND_ROBIN_PRIV_H
#define ROUND_ROBIN_PRIV_H

#include <core/sched.h>

#define RR_SLICE_NS (10 * HX_NS_PER_MS)

_Static_assert(SCHED_QUEUE_WORDS * sizeof(u64) >= sizeof(struct list_node), "the head fits");
_Static_assert(SCHED_CTX_WORDS * sizeof(u64) >= sizeof(struct list_node), "the node fits");

static inline struct list_node *rr_head(struct sched_queue *q)
{
    return (struct list_node *)q->state;
}

static inline struct list_node *rr_node(struct sched_ctx *ctx)
{
    return (struct list_node *)ctx->policy;
}

static inline void rr_append(struct sched_queue *q, struct sched_ctx *ctx)
{
    list_add_tail(rr_head(q), rr_node(ctx));
}

static inline void rr_take(struct sched_ctx *ctx)
{
    struct list_node *node = rr_node(ctx);
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

/* The first of a line that is not empty leaves it. */
static inline struct sched_ctx *rr_take_first(struct sched_queue *q)
{
    struct list_node *head = rr_head(q), *first = head->next;
    head->next = first->next;
    first->next->prev = head;
    return HX_CONTAINER_OF(first, struct sched_ctx, policy);
}

#endif
