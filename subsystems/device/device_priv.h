/* SPDX-License-Identifier: MIT */
/* Between the list of devices and its buses.
 */
#ifndef DEVICE_PRIV_H
#define DEVICE_PRIV_H

#include <device/device.h>

/* Adds every function that PCI has. Thread, once. */
void pci_enumerate(void);

/* Turns the message interrupt of a PCI device on, towards a line of its own, or off.
 * Return of on: HX_OK; HX_ERR_NOT_SUPPORTED when device or machine have none. */
enum hx_status pci_message_enable(struct device *dev, struct device_irq *irq,
                                  irq_t *out_line) HX_MUST_CHECK;
void pci_message_disable(struct device *dev, struct device_irq *irq);
void pci_irq_mask_set(struct device *dev, struct device_irq *irq, bool masked);

/* Device memory and interrupts belong to a device on a bus of its own: itself, or the first parent
 * that is. */
static inline struct device *device_hardware(struct device *dev)
{
    while (dev->bus == DEVICE_VIRTIO && dev->parent) {
        dev = dev->parent;
    }
    return dev;
}

#endif
