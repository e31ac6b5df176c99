/* SPDX-License-Identifier: MIT */
/* PCI configuration space of a device, for its driver.
 * Context: thread, no spinlock held.
 */
#ifndef DEVICE_PCI_H
#define DEVICE_PCI_H

#include <device/device.h>

#define PCI_COMMAND             0x04
#define PCI_COMMAND_MEMORY      (1u << 1)
#define PCI_COMMAND_MASTER      (1u << 2)
#define PCI_COMMAND_NO_INTX     (1u << 10)
#define PCI_STATUS              0x06
#define PCI_STATUS_CAPABILITIES (1u << 4)
#define PCI_CAP_MSI             0x05
#define PCI_CAP_VENDOR          0x09
#define PCI_CAP_MSIX            0x11

/* offset is aligned to width (1, 2, 4) and below 256. */
u32 pci_read(const struct device *dev, u32 offset, u32 width);
void pci_write(const struct device *dev, u32 offset, u32 width, u32 value);

/* Where a capability begins: the first after `after` (0: of all) with this id; 0: none. A list that
 * leads outside of the header or in circles ends where it does. */
u32 pci_capability_find(const struct device *dev, u32 id, u32 after);

#endif
