/* SPDX-License-Identifier: MIT */
/* How the event bus delivers: the contract of a delivery policy. A topic keeps its last events;
 * each subscriber has a cursor, and a policy says which event comes next for a cursor that has
 * fallen behind. Policies only choose; the kernel keeps events, cursors and counts, checks each
 * answer, and a subscriber whose policy answers wrong gets the oldest event that is still there.
 */
#ifndef CORE_BUS_H
#define CORE_BUS_H

#include <helix/status.h>
#include <helix/types.h>

#define BUS_DELIVERY_ABI 1u

/* What a topic keeps: the events `first` to `next` - 1. */
struct bus_view {
    u64 first, next;
    const void *topic; /* for bus_event_key() */
};

/* The key of an event of the view; sequence is within it. */
u64 bus_event_key(const struct bus_view *view, u64 sequence);

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

/* Puts another policy in the place of one of enum hx_delivery, for all subscribers there are and
 * will be. Return: HX_OK; HX_ERR_ABI. Context: thread. */
enum hx_status bus_delivery_set(u32 delivery, const struct bus_delivery_ops *ops);

#endif
