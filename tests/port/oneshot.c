/* SPDX-License-Identifier: MIT */
/* The timer of the do-nothing port: a deadline beside the counter.
 * Owns:      the deadline.      Callers: core/time by the table; controller.c.
 */
#include "port_priv.h"

#include <port/fake.h>

static struct {
    bool armed;
    u64 deadline; /* of port_cpu.counter */
} oneshot;

bool port_deadline_passed(void)
{
    bool passed = oneshot.armed && port_cpu.counter >= oneshot.deadline;
    oneshot.armed &= !passed;
    return passed;
}

void port_counter_skip(void)
{
    if (oneshot.armed && port_cpu.counter < oneshot.deadline) {
        port_cpu.counter = oneshot.deadline;
    }
}

static u64 oneshot_frequency(void)
{
    return 1000000000;
}

static void oneshot_arm(u64 deadline)
{
    oneshot.deadline = deadline;
    oneshot.armed = true;
}

static void oneshot_disarm(void)
{
    oneshot.armed = false;
}

static irq_t oneshot_irq(void)
{
    return PORT_IRQ_TIMER;
}

static void oneshot_init_cpu(cpu_id_t cpu)
{
    (void)cpu;
}

const struct hal_timer_ops port_timer_ops = {
    .name = "settable counter",
    .frequency = oneshot_frequency,
    .arm = oneshot_arm,
    .disarm = oneshot_disarm,
    .irq = oneshot_irq,
    .init_cpu = oneshot_init_cpu,
};
