/* SPDX-License-Identifier: MIT */
/* How the event bus delivers: the contract of a delivery policy. A topic keeps its last events;
 * each subscriber has a cursor, and a policy says which event comes next for a cursor that has
 * fallen behind. Policies only choose; the kernel keeps events, cursors and counts, checks each
 * answer, and a subscriber whose policy answers wrong gets the oldest event that is still there.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define BUS_DELIVERY_ABI 1u

/* What a topic keeps: the events `first` to `next` - 1. */
struct bus_view {
    u64 first, next;
    const u8
        *keys; /* of event 0, if it were kept; of the others, `stride` bytes apart, in a ring */
    u64 mask, stride;
};

/* The key of an event of the view; sequence is within it. In line: a policy that is a module asks
 * for it in its own code, where asking wrong is its own fault. */
static inline u64 bus_event_key(const struct bus_view *view, u64 sequence)
{
    return *(const u64 *)(const void *)(view->keys + (sequence & view->mask) * view->stride);
}

enum bus_choice {
    BUS_DELIVER, /* this event */
    BUS_SKIP     /* a later one with its key will do; ask again for the next */
};

/* Context of the calls: the topic locked, interrupts masked: a policy neither waits, allocates nor
 * calls back. A call takes a time that does not depend on anything but the events kept. */
struct bus_delivery_ops {
    u32 abi_version; /* BUS_DELIVERY_ABI */
    u32 size;        /* sizeof(struct bus_delivery_ops) */
    const char *name;
    /* Mandatory. What becomes of the event `sequence`, which is within the view. */
    enum bus_choice (*choose)(const struct bus_view *view, u64 sequence);
};

extern const struct bus_delivery_ops bus_drop_oldest;
extern const struct bus_delivery_ops bus_coalesce;

/* Is it one that can serve? Return: HX_OK; HX_ERR_ABI. Any. */
enum hx_status bus_delivery_check(const struct bus_delivery_ops *ops) HX_MUST_CHECK;

/* What serves one of enum hx_delivery now. Any. */
const struct bus_delivery_ops *bus_delivery_get(u32 delivery);

/* Puts another policy in the place of one of enum hx_delivery, for all subscribers there are and
 * will be. Return: HX_OK; HX_ERR_ABI. Context: thread. */
enum hx_status bus_delivery_set(u32 delivery, const struct bus_delivery_ops *ops);

#endif
