/* SPDX-License-Identifier: MIT */
/* The interrupt controller, chosen at boot among the port's drivers and registered once; read-only
 * from then on. The number space is the driver's; core/irq is the only caller of most of it.
 *
 *   op        may block  context            any CPU
 *   init_cpu  no         IRQs masked        each CPU, for itself
 *   enable    no         thread             yes
 *   mask      no         any                yes
 *   unmask    no         any                yes
 *   ack       no         IRQ                the one that took it
 *   eoi       no         IRQ                the same
 *   send_ipi  no         any                yes
 */
#ifndef HAL_IRQ_H
#define HAL_IRQ_H

#include <hal/port.h>
#include <helix/status.h>

enum hal_irq_trigger { IRQ_TRIGGER_DEFAULT, IRQ_TRIGGER_EDGE, IRQ_TRIGGER_LEVEL };

#define HAL_IRQ_LINES_MAX 1024

enum hal_ipi { IPI_RESCHEDULE, IPI_CALL, IPI_TLB, IPI_STOP, IPI_COUNT };

struct hal_irq_ops {
    const char *name; /* mandatory: "GICv3", "IOAPIC" */
    u32 lines;        /* mandatory: valid numbers are 0 .. lines - 1, at most HAL_IRQ_LINES_MAX */
    /* Mandatory. */
    void (*init_cpu)(cpu_id_t cpu);
    /* Mandatory. Sets the trigger and unmasks. HX_ERR_NOT_FOUND: no such line here. */
    enum hx_status (*enable)(irq_t irq, enum hal_irq_trigger trigger);
    /* Mandatory. */
    void (*mask)(irq_t irq);
    void (*unmask)(irq_t irq);
    /* Mandatory. The line to serve, or HX_IRQ_NONE for a spurious interrupt, which gets no eoi. */
    irq_t (*ack)(struct hal_trap_frame *frame);
    void (*eoi)(irq_t irq);
    /* Optional; absent: every line goes to the boot CPU. */
    enum hx_status (*set_cpu)(irq_t irq, cpu_id_t cpu);
    /* Optional; absent means one CPU. */
    void (*send_ipi)(cpu_id_t cpu, enum hal_ipi ipi);
    /* Optional; absent: HX_IRQ_NONE, no IPIs. The line on which an IPI arrives. */
    irq_t (*ipi_irq)(enum hal_ipi ipi);
};

/* Checks the mandatory entries, fills the optional holes, and binds. Once, early.
 * Return: HX_OK, HX_ERR_INVALID (a hole; the log names it), HX_ERR_EXISTS. */
enum hx_status hal_irq_register(const struct hal_irq_ops *ops) HX_MUST_CHECK;

extern struct hal_irq_ops hal_irq;

#endif
