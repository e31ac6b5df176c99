/* SPDX-License-Identifier: MIT */
/* PCI: finding functions, giving them addresses, message interrupts.
 * Owns:      the devices it finds; what is given out of the host bridge's windows.
 * Callers:   device.c, resource.c, drivers.       Context: thread; may block.
 * Locks:     pci.lock (mutex): configuration space, windows, message lines.
 * Addresses: what firmware has assigned stays. What has no address gets one where the HAL knows the
 *            windows (machines without firmware); elsewhere it stays without, and the log says so.
 *            Bridges that firmware did not number are not looked behind.
 * Nothing that configuration space says is trusted: bus numbers only go up, each bus is visited
 * once, capability lists are walked a bounded number of steps, sizes are powers of two or nothing.
 * Spec:      PCI Local Bus 3.0, 6.1, 6.2.5 (base addresses), 6.7 (capabilities), 6.8 (MSI, MSI-X);
 *            PCI-to-PCI Bridge 1.2, 3.2.
 */
#include "device_priv.h"

#include <core/memory.h>
#include <core/sync.h>
#include <device/pci.h>
#include <hal/msi.h>
#include <hal/pci.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/log.h>

#define REG_VENDOR       0x00
#define REG_CLASS        0x08
#define REG_HEADER       0x0e
#define REG_BAR          0x10
#define REG_SECONDARY    0x19
#define REG_CAPABILITIES 0x34
#define REG_PIN          0x3d
#define HEADER_MULTI     0x80
#define HEADER_DEVICE    0
#define HEADER_BRIDGE    1
#define CLASS_HOST       0x0600
#define BAR_IO           1u
#define BAR_64           4u
#define CAPABILITIES_MAX 48
#define COMMAND_DECODE   3u /* I/O and memory */

#define MSI_CONTROL     2 /* in the capability */
#define MSI_ENABLE      1u
#define MSI_64          (1u << 7)
#define MSI_MASKABLE    (1u << 8)
#define MSIX_CONTROL    2
#define MSIX_TABLE      4
#define MSIX_ENABLE     0x8000u
#define MSIX_ALL_MASKED 0x4000u
#define MSIX_ENTRY      16

static struct {
    struct mutex lock;
    u64 next32, next64; /* first free address of a window, as the bus sees it */
    u8 visited[256 / 8];
} pci = {.lock = MUTEX_INIT(pci.lock)};

u32 pci_read(const struct device *dev, u32 offset, u32 width)
{
    mutex_acquire(&pci.lock);
    u32 value = hal_pci.read(dev->bdf, offset, width);
    mutex_release(&pci.lock);
    return value;
}

void pci_write(const struct device *dev, u32 offset, u32 width, u32 value)
{
    mutex_acquire(&pci.lock);
    hal_pci.write(dev->bdf, offset, width, value);
    mutex_release(&pci.lock);
}

u32 pci_capability_find(const struct device *dev, u32 id, u32 after)
{
    if (!(pci_read(dev, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES)) {
        return 0;
    }
    bool passed = after == 0;
    u32 at = pci_read(dev, REG_CAPABILITIES, 1) & ~3u;
    for (u32 i = 0; i < CAPABILITIES_MAX && at >= 0x40; i++) {
        u32 head = pci_read(dev, at, 2);
        if (passed && (head & 0xff) == id) {
            return at;
        }
        passed = passed || at == after;
        at = head >> 8 & ~3u;
    }
    return 0;
}

static void command_change(struct device *dev, u32 set, u32 clear)
{
    mutex_acquire(&pci.lock);
    u32 command = hal_pci.read(dev->bdf, PCI_COMMAND, 2);
    hal_pci.write(dev->bdf, PCI_COMMAND, 2, (command | set) & ~clear);
    mutex_release(&pci.lock);
}

void device_enable(struct device *dev)
{
    dev = device_hardware(dev);
    if (dev->bus == DEVICE_PCI) {
        command_change(dev, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
    }
}

void device_disable(struct device *dev)
{
    if (dev->bus == DEVICE_PCI) {
        command_change(dev, 0, PCI_COMMAND_MASTER);
    }
}

/* Addresses */

static bool take(const struct hal_pci_window *window, u64 *next, u64 size, u64 *out)
{
    u64 at, end;
    if (*next < window->bus) {
        *next = window->bus ? window->bus : size; /* address 0 means none */
    }
    if (!hx_align_up_checked(*next, size, &at) || !hx_add_checked(at, size, &end) ||
        !hx_range_fits(at - window->bus, size, window->size)) {
        return false;
    }
    *next = end;
    *out = at;
    return true;
}

/* The CPU's address for what the bus calls `at`. */
static paddr_t to_cpu(u64 at, u64 size)
{
    const struct hal_pci_window *const windows[] = {&hal_pci.memory32, &hal_pci.memory64};
    for (u32 i = 0; i < HX_ARRAY_SIZE(windows); i++) {
        if (at >= windows[i]->bus && hx_range_fits(at - windows[i]->bus, size, windows[i]->size)) {
            return windows[i]->cpu + (at - windows[i]->bus);
        }
    }
    return at;
}

/* Reads base address register `index`, and gives it an address if it lacks one. Decoding is off.
 * Return: registers used. */
static u32 bar_read(struct device *dev, u32 index, u32 count)
{
    u32 reg = REG_BAR + 4 * index;
    u32 low = hal_pci.read(dev->bdf, reg, 4), high = 0;
    bool io = low & BAR_IO, wide = !io && (low & 6) == BAR_64;
    u64 flags = io ? 3 : 0xf;
    if (wide && index + 1 == count) {
        return 1; /* half of a register pair */
    }
    hal_pci.write(dev->bdf, reg, 4, UINT32_MAX);
    u64 mask = hal_pci.read(dev->bdf, reg, 4);
    hal_pci.write(dev->bdf, reg, 4, low);
    if (wide) {
        high = hal_pci.read(dev->bdf, reg + 4, 4);
        hal_pci.write(dev->bdf, reg + 4, 4, UINT32_MAX);
        mask |= (u64)hal_pci.read(dev->bdf, reg + 4, 4) << 32;
        hal_pci.write(dev->bdf, reg + 4, 4, high);
    } else {
        mask |= mask ? UINT64_MAX << 32 : 0;
    }
    mask &= ~flags;
    u64 size = ~mask + 1, base = ((u64)high << 32 | low) & ~flags;
    if (io) {
        size &= 0xffff;
    }
    if (mask == 0 || !hx_is_pow2(size)) {
        return wide ? 2 : 1;
    }
    if (base == 0 && !io &&
        (take(&hal_pci.memory32, &pci.next32, size, &base) ||
         (wide && take(&hal_pci.memory64, &pci.next64, size, &base)))) {
        hal_pci.write(dev->bdf, reg, 4, (u32)base);
        if (wide) {
            hal_pci.write(dev->bdf, reg + 4, 4, (u32)(base >> 32));
        }
    }
    if (base) {
        dev->regions[index] =
            (struct device_region){.base = io ? base : to_cpu(base, size), .size = size, .io = io};
    } else if (!io) {
        log_warn("pci", "%s: no address for its region %u of %lu KiB", dev->name, index,
                 size >> 10);
    }
    return wide ? 2 : 1;
}

static void bars_read(struct device *dev, u32 count)
{
    u32 command = hal_pci.read(dev->bdf, PCI_COMMAND, 2);
    hal_pci.write(dev->bdf, PCI_COMMAND, 2, command & ~COMMAND_DECODE);
    for (u32 index = 0; index < count;) {
        index += bar_read(dev, index, count);
    }
    hal_pci.write(dev->bdf, PCI_COMMAND, 2, command);
}

/* Finding functions */

static void function_add(u32 bdf, u32 id, u32 header)
{
    struct device *dev = kzalloc(sizeof(*dev));
    if (!dev) {
        log_warn("pci", "no memory to list function %04x", bdf);
        return;
    }
    format_buffer(dev->name, sizeof(dev->name), "%02x:%02x.%x", bdf >> 8, bdf >> 3 & 31, bdf & 7);
    dev->bus = DEVICE_PCI;
    dev->coherent = true;
    dev->bdf = bdf;
    dev->vendor = (u16)id;
    dev->id = (u16)(id >> 16);
    dev->irq = HX_IRQ_NONE;
    mutex_acquire(&pci.lock);
    dev->class_code = hal_pci.read(bdf, REG_CLASS, 4) >> 8;
    u32 pin = hal_pci.read(bdf, REG_PIN, 1);
    if (pin >= 1 && pin <= 4 && hal_pci.irq(bdf, pin, &dev->irq, &dev->trigger) != HX_OK) {
        dev->irq = HX_IRQ_NONE;
    }
    if (dev->class_code >> 8 != CLASS_HOST) {
        bars_read(dev, header == HEADER_DEVICE ? 6 : header == HEADER_BRIDGE ? 2 : 0);
    }
    mutex_release(&pci.lock);
    if (header == HEADER_DEVICE) {
        dev->msi_cap = (u8)pci_capability_find(dev, PCI_CAP_MSI, 0);
        dev->msix_cap = (u8)pci_capability_find(dev, PCI_CAP_MSIX, 0);
    }
    device_add(dev);
}

/* The bus behind a bridge, 0 when there is none to visit: buses are numbered downwards. */
static u32 bus_behind(u32 bdf)
{
    u32 secondary = hal_pci.read(bdf, REG_SECONDARY, 1);
    return secondary > bdf >> 8 && secondary <= hal_pci.bus_last ? secondary : 0;
}

static void bus_visit(u32 bus, u32 *out_next, u32 *next_count)
{
    for (u32 slot = 0; slot < 32; slot++) {
        for (u32 function = 0; function < 8; function++) {
            u32 bdf = HAL_PCI_BDF(bus, slot, function);
            u32 id = hal_pci.read(bdf, REG_VENDOR, 4);
            if ((id & 0xffff) == 0xffff || id == 0) {
                if (function == 0) {
                    break;
                }
                continue;
            }
            u32 header = hal_pci.read(bdf, REG_HEADER, 1);
            function_add(bdf, id, header & ~HEADER_MULTI);
            u32 behind = (header & ~HEADER_MULTI) == HEADER_BRIDGE ? bus_behind(bdf) : 0;
            if (behind && !(pci.visited[behind / 8] >> behind % 8 & 1)) {
                pci.visited[behind / 8] |= (u8)(1u << behind % 8);
                out_next[(*next_count)++] = behind;
            }
            if (function == 0 && !(header & HEADER_MULTI)) {
                break;
            }
        }
    }
}

void pci_enumerate(void)
{
    u32 *queue = hal_pci.bus_first <= hal_pci.bus_last ? kmalloc(257 * sizeof(u32)) : NULL;
    if (!queue) {
        return;
    }
    u32 count = 1;
    queue[0] = hal_pci.bus_first;
    for (u32 i = 0; i < count; i++) { /* each bus is queued once, so at most 256 */
        bus_visit(queue[i], queue, &count);
    }
    kfree(queue);
}

/* Message interrupts */

static enum hx_status msix_enable(struct device *dev, struct device_irq *irq, u64 address, u32 data)
{
    u32 cap = dev->msix_cap;
    u32 table = hal_pci.read(dev->bdf, cap + MSIX_TABLE, 4);
    enum hx_status status = device_map(irq->dev, table & 7, table & ~7u, MSIX_ENTRY, &irq->vector);
    if (status != HX_OK) {
        return status;
    }
    u32 control = hal_pci.read(dev->bdf, cap + MSIX_CONTROL, 2);
    hal_pci.write(dev->bdf, cap + MSIX_CONTROL, 2, control | MSIX_ENABLE | MSIX_ALL_MASKED);
    hal_mmio_write32(irq->vector, (u32)address);
    hal_mmio_write32(irq->vector + 4, (u32)(address >> 32));
    hal_mmio_write32(irq->vector + 8, data);
    hal_mmio_write32(irq->vector + 12, 1);
    hal_pci.write(dev->bdf, cap + MSIX_CONTROL, 2, (control | MSIX_ENABLE) & ~MSIX_ALL_MASKED);
    irq->kind = DEVICE_IRQ_MSIX;
    return HX_OK;
}

static enum hx_status msi_enable(struct device *dev, struct device_irq *irq, u64 address, u32 data)
{
    u32 cap = dev->msi_cap, control = hal_pci.read(dev->bdf, cap + MSI_CONTROL, 2);
    bool wide = control & MSI_64;
    if ((!wide && address >> 32) || data > 0xffff) {
        return HX_ERR_NOT_SUPPORTED;
    }
    hal_pci.write(dev->bdf, cap + 4, 4, (u32)address);
    if (wide) {
        hal_pci.write(dev->bdf, cap + 8, 4, (u32)(address >> 32));
    }
    hal_pci.write(dev->bdf, cap + (wide ? 12 : 8), 2, data);
    irq->kind = DEVICE_IRQ_MSI;
    hal_pci.write(dev->bdf, cap + MSI_CONTROL, 2, (control & ~0x70u) | MSI_ENABLE);
    return HX_OK;
}

enum hx_status pci_message_enable(struct device *dev, struct device_irq *irq, irq_t *out_line)
{
    u64 address;
    u32 data;
    if (dev->bus != DEVICE_PCI || (!dev->msi_cap && !dev->msix_cap)) {
        return HX_ERR_NOT_SUPPORTED;
    }
    mutex_acquire(&pci.lock);
    enum hx_status status = hal_msi.alloc(out_line, &address, &data);
    if (status == HX_OK) {
        status = dev->msix_cap ? msix_enable(dev, irq, address, data)
                               : msi_enable(dev, irq, address, data);
        if (status != HX_OK) {
            hal_msi.free(*out_line);
        }
    }
    mutex_release(&pci.lock);
    return status;
}

void pci_message_disable(struct device *dev, struct device_irq *irq)
{
    u32 at =
        irq->kind == DEVICE_IRQ_MSIX ? dev->msix_cap + MSIX_CONTROL : dev->msi_cap + MSI_CONTROL;
    u32 bit = irq->kind == DEVICE_IRQ_MSIX ? MSIX_ENABLE : MSI_ENABLE;
    mutex_acquire(&pci.lock);
    hal_pci.write(dev->bdf, at, 2, hal_pci.read(dev->bdf, at, 2) & ~bit);
    hal_msi.free(irq->action.irq);
    mutex_release(&pci.lock);
}

/* A masked message stays pending at the device and is sent after unmasking (6.8.3.5); plain MSI
 * without a mask cannot be held back. */
void pci_irq_mask_set(struct device *dev, struct device_irq *irq, bool masked)
{
    if (irq->kind == DEVICE_IRQ_MSIX) {
        hal_mmio_write32(irq->vector + 12, masked);
        return;
    }
    mutex_acquire(&pci.lock);
    u32 control = hal_pci.read(dev->bdf, dev->msi_cap + MSI_CONTROL, 2);
    if (control & MSI_MASKABLE) {
        hal_pci.write(dev->bdf, dev->msi_cap + (control & MSI_64 ? 16u : 12u), 4, masked);
    }
    mutex_release(&pci.lock);
}
