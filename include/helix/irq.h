/* SPDX-License-Identifier: MIT */
/* The interrupt router: who serves which line. Declared here because drivers of every layer, the
 * HAL's own included, register; core/irq implements it.
 */
#ifndef HELIX_IRQ_H
#define HELIX_IRQ_H

#include <hal/irq.h>
#include <helix/list.h>
#include <helix/status.h>

/* Serves `irq`. Return: true when the device of `ctx` had asked for it. Context: IRQ. */
typedef bool irq_handler_fn(void *ctx, irq_t irq);

/* One registration; the caller's memory, untouched by the caller while registered. */
struct irq_action {
    irq_handler_fn *handler;
    void *ctx;
    const char *name; /* for listings */
    irq_t irq;        /* set by irq_register */
    u64 count;        /* times it claimed the interrupt */
    struct list_node node;
};

/* Adds a handler to a line, shared with those already there, and enables the line on the first.
 * Context: thread or early, any number of CPUs.
 * Return: HX_OK; HX_ERR_INVALID (no handler or name, bad number); HX_ERR_EXISTS (this action is
 * registered already); what the controller's enable returned. */
enum hx_status irq_register(irq_t irq, struct irq_action *action,
                            enum hal_irq_trigger trigger) HX_MUST_CHECK;

/* Removes it; masks the line with the last. When it returns, the handler is not running and will
 * not. Context: thread. Return: HX_OK, HX_ERR_NOT_FOUND. */
enum hx_status irq_unregister(struct irq_action *action) HX_MUST_CHECK;

/* Waits until every handler that is running now has returned. Context: thread. */
void irq_quiesce(void);

#endif
