/* SPDX-License-Identifier: MIT */
/* What of core/ipc can be asked without a process: the ring, and the delivery policies.
 */
#include <core/bus.h>
#include <core/memory.h>
#include <core/ring.h>
#include <ktest.h>

#define SLOTS 4

static struct ring_slot slots[SLOTS];

KTEST(ring, is_full_after_its_slots_and_empty_after_as_many)
{
    struct ring ring;
    struct ring_message m = {.header = 8}, out;
    ring_init(&ring, slots, SLOTS);
    KTEST_ASSERT(!ring_pop(&ring, &out));
    for (u64 round = 0; round < 3 * SLOTS; round++) {
        for (u64 i = 0; i < SLOTS; i++) {
            m.source = round;
            m.data[0] = i;
            KTEST_ASSERT(ring_push(&ring, &m));
        }
        KTEST_ASSERT(!ring_push(&ring, &m));
        KTEST_EQUAL(ring_length(&ring), SLOTS);
        for (u64 i = 0; i < SLOTS; i++) {
            KTEST_ASSERT(ring_pop(&ring, &out));
            KTEST_EQUAL(out.source, round);
            KTEST_EQUAL(out.data[0], i);
        }
        KTEST_ASSERT(!ring_pop(&ring, &out));
    }
}

KTEST(ring, copies_no_more_than_the_length_says)
{
    struct ring ring;
    struct ring_message m = {.header = 12}, out;
    ring_init(&ring, slots, SLOTS);
    m.data[0] = 1, m.data[1] = 2, m.data[2] = 3;
    out.data[2] = 77;
    KTEST_ASSERT(ring_push(&ring, &m));
    KTEST_ASSERT(ring_pop(&ring, &out));
    KTEST_EQUAL(out.data[1], 2);
    KTEST_EQUAL(out.data[2], 77);
}

KTEST(bus, refuses_a_delivery_policy_of_another_version)
{
    struct bus_delivery_ops ops = bus_drop_oldest;
    ops.abi_version++;
    KTEST_STATUS(bus_delivery_set(HX_DELIVER_DROP_OLDEST, &ops), HX_ERR_ABI);
    ops = bus_drop_oldest;
    ops.size--;
    KTEST_STATUS(bus_delivery_set(HX_DELIVER_DROP_OLDEST, &ops), HX_ERR_ABI);
    ops = bus_drop_oldest;
    ops.choose = NULL;
    KTEST_STATUS(bus_delivery_set(HX_DELIVER_DROP_OLDEST, &ops), HX_ERR_ABI);
    KTEST_STATUS(bus_delivery_set(HX_DELIVERIES, &bus_drop_oldest), HX_ERR_ABI);
    KTEST_STATUS(bus_delivery_set(HX_DELIVER_COALESCE, &bus_coalesce), HX_OK);
}
