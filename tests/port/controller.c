/* SPDX-License-Identifier: MIT */
/* The interrupt controller of the do-nothing port: one flag a line.
 * Owns:      port_lines.      Callers: core/irq by the table; tests by <port/fake.h>.
 * Invariant: (1) at most one interrupt is in service: it is taken with interrupts off.
 */
#include "port_priv.h"

#include <hal/events.h>
#include <port/fake.h>

struct port_line port_lines[PORT_IRQ_LINES];

static bool any_pending(void)
{
    for (u32 i = 0; i < PORT_IRQ_LINES; i++) {
        if (port_lines[i].enabled && port_lines[i].pending) {
            return true;
        }
    }
    return false;
}

static void interrupt(void)
{
    struct hal_trap_frame frame = {.fp = hal_frame_pointer()};
    port_cpu.irqs_enabled = false; /* inv 1 */
    hal_event_irq(&frame);
    port_cpu.irqs_enabled = true;
}

void port_interrupts_take(void)
{
    while (port_cpu.irqs_enabled) {
        port_lines[PORT_IRQ_TIMER].pending |= port_deadline_passed();
        if (!any_pending()) {
            return;
        }
        interrupt();
    }
}

void port_irq_raise(irq_t irq)
{
    port_lines[irq].pending = true;
    port_interrupts_take();
}

void port_irq_raise_spurious(void)
{
    if (port_cpu.irqs_enabled) {
        interrupt();
    }
}

static void controller_init_cpu(cpu_id_t cpu)
{
    (void)cpu;
}

static enum hx_status controller_enable(irq_t irq, enum hal_irq_trigger trigger)
{
    port_lines[irq].trigger = trigger;
    port_lines[irq].enabled = true;
    return HX_OK;
}

static void controller_mask(irq_t irq)
{
    port_lines[irq].enabled = false;
}

static void controller_unmask(irq_t irq)
{
    port_lines[irq].enabled = true;
}

static irq_t controller_ack(struct hal_trap_frame *frame)
{
    (void)frame;
    for (u32 i = 0; i < PORT_IRQ_LINES; i++) {
        if (port_lines[i].enabled && port_lines[i].pending) {
            port_lines[i].pending = false;
            port_lines[i].acks++;
            return i;
        }
    }
    return HX_IRQ_NONE;
}

static void controller_eoi(irq_t irq)
{
    port_lines[irq].eois++;
}

const struct hal_irq_ops port_irq_ops = {
    .name = "flags",
    .lines = PORT_IRQ_LINES,
    .init_cpu = controller_init_cpu,
    .enable = controller_enable,
    .mask = controller_mask,
    .unmask = controller_unmask,
    .ack = controller_ack,
    .eoi = controller_eoi,
};
