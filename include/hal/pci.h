/* SPDX-License-Identifier: MIT */
/* Optional table: how the port reaches PCI. Enumeration, drivers and everything above is the same
 * on every machine (subsystems/device); this is configuration space, address windows and the way of
 * the INTx pins, which differ.
 */
#ifndef HAL_PCI_H
#define HAL_PCI_H

#include <hal/irq.h>

/* A function: bus << 8 | device << 3 | function. */
#define HAL_PCI_BDF(bus, device, function) ((u32)(bus) << 8 | (u32)(device) << 3 | (u32)(function))

/* Where addresses that functions decode appear to the CPU; size 0: none. */
struct hal_pci_window {
    u64 bus, cpu, size;
};

struct hal_pci_ops {
    const char *name;        /* mandatory: "ECAM", "ports" */
    u32 bus_first, bus_last; /* mandatory: at most 255 */
    /* Mandatory. Configuration space: offset is aligned to width (1, 2, 4 bytes) and below 256; all
     * ones where nothing answers. The caller serialises. Thread or early. */
    u32 (*read)(u32 bdf, u32 offset, u32 width);
    void (*write)(u32 bdf, u32 offset, u32 width, u32 value);
    /* Mandatory. The line on which pin 1 .. 4 of a function arrives, and its trigger.
     * HX_ERR_NOT_FOUND: nowhere. Thread or early. */
    enum hx_status (*irq)(u32 bdf, u32 pin, irq_t *out_irq, enum hal_irq_trigger *out_trigger);
    /* Optional; absent: firmware has given every function its addresses, equal to the CPU's. */
    struct hal_pci_window memory32, memory64;
};

enum hx_status hal_pci_register(const struct hal_pci_ops *ops) HX_MUST_CHECK;

/* Without a host bridge: bus_first above bus_last, every read all ones. */
extern struct hal_pci_ops hal_pci;

#endif
