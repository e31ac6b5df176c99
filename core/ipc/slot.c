/* SPDX-License-Identifier: MIT */
/* The slot bus.delivery: what serves the subscribers that did not ask for one event of each key.
 * Owns:      the stand-ins for modules' tables.     Context: the tables: topic locked, interrupts
 *            masked; the rest thread.
 * A policy only chooses, and keeps nothing: an exchange is one store, and a grace period ends the
 * calls that are still in the old one. Who was ended answers "deliver" from then on, which is what
 * the kernel's own says.
 */
#include <abi/ipc.h>
#include <core/bus.h>
#include <core/grace.h>
#include <core/slot.h>

static struct slot_guest guests[SLOT_GUESTS];
static u32 last;
static bool unsettled; /* an exchange was made since the last grace period */
static const struct bus_delivery_ops *serving_now = &bus_drop_oldest;

static HX_NOINLINE enum bus_choice choose(struct slot_guest *g, const struct bus_view *view,
                                          u64 sequence)
{
    const struct bus_delivery_ops *ops = g->table;
    return (enum bus_choice)slot_enter(g, (const void *)(uintptr_t)ops->choose, (u64)view, sequence,
                                       0, 0, BUS_DELIVER);
}

static enum bus_choice choose_0(const struct bus_view *view, u64 sequence)
{
    return choose(&guests[0], view, sequence);
}

static enum bus_choice choose_1(const struct bus_view *view, u64 sequence)
{
    return choose(&guests[1], view, sequence);
}

static struct bus_delivery_ops tables[SLOT_GUESTS] = {
    {.abi_version = BUS_DELIVERY_ABI, .size = sizeof(tables[0]), .choose = choose_0},
    {.abi_version = BUS_DELIVERY_ABI, .size = sizeof(tables[0]), .choose = choose_1},
};

static enum hx_status check(const void *table)
{
    return bus_delivery_check(table);
}

static enum hx_status exchange(const void *table, struct module_instance *m, u64 deadline_ns,
                               u64 *out_pause)
{
    (void)deadline_ns;
    const struct bus_delivery_ops *ops = &bus_drop_oldest;
    if (m) {
        last = (last + 1) % SLOT_GUESTS;
        guests[last] = (struct slot_guest){.table = table, .m = m};
        tables[last].name = m->manifest.name;
        ops = &tables[last];
    }
    u64 begin = hal_cycles_read();
    enum hx_status status = bus_delivery_set(HX_DELIVER_DROP_OLDEST, ops);
    *out_pause = hal_cycles_read() - begin;
    serving_now = ops;
    unsettled = true;
    return status;
}

static bool settled(void)
{
    if (unsettled) {
        grace_wait();
        unsettled = false;
    }
    return true;
}

static const char *serving(void)
{
    return serving_now->name;
}

static const struct slot_ops delivery_slot_ops = {
    .check = check, .exchange = exchange, .settled = settled, .serving = serving};

SLOT(bus_delivery, .name = "bus.delivery", .major = BUS_DELIVERY_ABI, .ops = &delivery_slot_ops);
