/* SPDX-License-Identifier: MIT */
/* The two delivery policies that are always there.
 * Context:   topic locked, interrupts masked; <core/bus.h>.
 */
#include <core/bus.h>

static enum bus_choice every_event(const struct bus_view *view, u64 sequence)
{
    (void)view, (void)sequence;
    return BUS_DELIVER;
}

/* A scan, because a subscriber that keeps up pays for nothing: there is no later event then. */
static enum bus_choice latest_of_key(const struct bus_view *view, u64 sequence)
{
    u64 key = bus_event_key(view, sequence);
    for (u64 later = sequence + 1; later < view->next; later++) {
        if (bus_event_key(view, later) == key) {
            return BUS_SKIP;
        }
    }
    return BUS_DELIVER;
}

const struct bus_delivery_ops bus_drop_oldest = {
    .abi_version = BUS_DELIVERY_ABI,
    .size = sizeof(struct bus_delivery_ops),
    .name = "drop_oldest",
    .choose = every_event,
};

const struct bus_delivery_ops bus_coalesce = {
    .abi_version = BUS_DELIVERY_ABI,
    .size = sizeof(struct bus_delivery_ops),
    .name = "coalesce",
    .choose = latest_of_key,
};
