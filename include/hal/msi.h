/* SPDX-License-Identifier: MIT */
/* Optional table: interrupts that devices send as memory writes. A line that alloc hands out is one
 * of the interrupt controller's: it is served through the router like any other, edge-triggered.
 */
#ifndef HAL_MSI_H
#define HAL_MSI_H

#include <hal/irq.h>

struct hal_msi_ops {
    const char *name; /* mandatory: "APIC", "GICv2m" */
    /* Mandatory. A line, and the write that raises it on the boot CPU. HX_ERR_NO_SPACE: all are
     * taken. Thread; the caller serialises. */
    enum hx_status (*alloc)(irq_t *out_irq, u64 *out_address, u32 *out_data);
    /* Mandatory. Nothing sends it any more, and it has no handler. */
    void (*free)(irq_t irq);
};

enum hx_status hal_msi_register(const struct hal_msi_ops *ops) HX_MUST_CHECK;

/* Without one, alloc answers HX_ERR_NOT_SUPPORTED. */
extern struct hal_msi_ops hal_msi;

#endif
