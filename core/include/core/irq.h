/* SPDX-License-Identifier: MIT */
/* Looking at the interrupt router; registering is in <helix/irq.h>.
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <helix/irq.h>

struct irq_stats {
    u64 count;     /* interrupts taken on the line */
    u64 unhandled; /* of those, claimed by no handler */
    u32 handlers;
    bool masked_as_stuck;
    const char *name; /* of the first handler, or NULL */
};

/* Context: thread. Return: false when `irq` is no line of the controller. */
bool irq_stats_read(irq_t irq, struct irq_stats *out);

/* Interrupts that had vanished when the controller was asked. */
u64 irq_spurious_count(void);

#endif
