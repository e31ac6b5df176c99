/* SPDX-License-Identifier: MIT */
/* Devices that firmware names (device tree, ACPI), for who binds drivers to them. What can be asked
 * for its devices itself (PCI) is not here.
 */
#ifndef HAL_DEVICE_H
#define HAL_DEVICE_H

#include <hal/irq.h>

#define HAL_DEVICE_NAME_MAX       32
#define HAL_DEVICE_COMPATIBLE_MAX 64

struct hal_device {
    char name[HAL_DEVICE_NAME_MAX]; /* the node's, with unit address; the ACPI name */
    /* Names to bind by, most specific first, each ended by NUL, an empty one at the end. Those that
     * do not fit are left out. */
    char compatible[HAL_DEVICE_COMPATIBLE_MAX];
    paddr_t base; /* first range of registers; size 0: none */
    u64 size;
    irq_t irq; /* first line, or HX_IRQ_NONE */
    enum hal_irq_trigger trigger;
    bool coherent; /* its DMA sees what CPUs have in their caches */
    bool claimed;  /* a driver of the port's own has it */
    bool acpi;     /* named by ACPI; otherwise by the device tree */
};

/* Device number `index`, or NULL past the last. One implementer: the port. Context: thread, after
 * hal_init_devices(). */
const struct hal_device *hal_device_at(u32 index);

#endif
