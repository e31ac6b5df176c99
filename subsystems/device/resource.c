/* SPDX-License-Identifier: MIT */
/* What drivers are handed: registers, DMA memory, interrupts. Each stands on the ledger of the
 * device for which it was asked.
 * Owns:      nothing beyond a call.       Callers: drivers.
 * Context:   thread; may block.           Locks: resource.lock (mutex): allocation of messages.
 * Invariant: (1) whatever a call hands out is on the ledger before the call returns, and off it
 *            before it is freed.
 */
#include "device_priv.h"

#include <core/memory.h>
#include <core/sync.h>
#include <device/pci.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <memory/frame.h>

/* Registers */

struct mapping {
    struct ledger_entry entry;
};

static void mapping_release(struct ledger_entry *entry)
{
    kfree(HX_CONTAINER_OF(entry, struct mapping, entry));
}

enum hx_status device_map(struct device *dev, u32 region, u64 offset, u64 size, vaddr_t *out)
{
    const struct device *hardware = device_hardware(dev);
    if (region >= DEVICE_REGIONS_MAX || hardware->regions[region].io || size == 0 ||
        !hx_range_fits(offset, size, hardware->regions[region].size)) {
        return HX_ERR_INVALID;
    }
    struct mapping *mapping = kmalloc(sizeof(*mapping));
    if (!mapping) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status =
        hal_event_device_map(hardware->regions[region].base + offset, size, MAP_DEVICE, out);
    if (status != HX_OK) {
        kfree(mapping);
        return status;
    }
    ledger_add(&dev->ledger, &mapping->entry, LEDGER_MAPPING, mapping_release);
    return HX_OK;
}

/* DMA memory */

static void dma_release(struct ledger_entry *entry)
{
    struct device_dma *dma = HX_CONTAINER_OF(entry, struct device_dma, entry);
    frame_free_run(dma->bus, dma->frames);
    kfree(dma);
}

enum hx_status device_dma_alloc(struct device *dev, u64 size, struct device_dma **out)
{
    if (size == 0 || size > DEVICE_DMA_MAX) {
        return HX_ERR_INVALID;
    }
    if (!device_hardware(dev)->coherent) {
        return HX_ERR_NOT_SUPPORTED;
    }
    struct device_dma *dma = kzalloc(sizeof(*dma));
    if (!dma) {
        return HX_ERR_NO_MEMORY;
    }
    u64 frames = hx_align_up(size, HX_PAGE_SIZE) / HX_PAGE_SIZE;
    u32 order = frames > 1 ? hx_log2_floor(frames - 1) + 1 : 0;
    enum hx_status status = frame_alloc_block(order, FRAME_ZERO, FRAME_DRIVER, &dma->bus);
    if (status != HX_OK) {
        kfree(dma);
        return status;
    }
    dma->dev = dev;
    dma->frames = 1u << order;
    dma->cpu = hal_phys_to_virt(dma->bus);
    ledger_add(&dev->ledger, &dma->entry, LEDGER_PAGES, dma_release);
    *out = dma;
    return HX_OK;
}

void device_dma_free(struct device_dma *dma)
{
    ledger_remove(&dma->dev->ledger, &dma->entry);
    dma_release(&dma->entry);
}

/* Interrupts */

static void irq_release(struct ledger_entry *entry)
{
    struct device_irq *irq = HX_CONTAINER_OF(entry, struct device_irq, entry);
    if (irq->kind != DEVICE_IRQ_LINE) {
        pci_irq_mask_set(device_hardware(irq->dev), irq, true);
    }
    HX_IGNORE(irq_unregister(&irq->action), "it was registered");
    if (irq->kind != DEVICE_IRQ_LINE) {
        pci_message_disable(device_hardware(irq->dev), irq);
    }
    kfree(irq);
}

enum hx_status device_irq_request(struct device *dev, irq_handler_fn *handler, void *ctx,
                                  struct device_irq **out)
{
    struct device *hardware = device_hardware(dev);
    struct device_irq *irq = kzalloc(sizeof(*irq));
    if (!irq) {
        return HX_ERR_NO_MEMORY;
    }
    irq->dev = dev;
    irq->action = (struct irq_action){.handler = handler, .ctx = ctx, .name = dev->name};
    irq_t line = HX_IRQ_NONE;
    enum hal_irq_trigger trigger = IRQ_TRIGGER_EDGE;
    enum hx_status status = pci_message_enable(hardware, irq, &line);
    if (status != HX_OK) {
        irq->kind = DEVICE_IRQ_LINE;
        line = hardware->irq;
        trigger = hardware->trigger;
    }
    status = line == HX_IRQ_NONE ? HX_ERR_NOT_FOUND : irq_register(line, &irq->action, trigger);
    if (status != HX_OK) {
        if (irq->kind != DEVICE_IRQ_LINE) {
            pci_message_disable(hardware, irq);
        }
        kfree(irq);
        return status;
    }
    ledger_add(&dev->ledger, &irq->entry, LEDGER_IRQ, irq_release);
    if (irq->kind != DEVICE_IRQ_LINE) {
        pci_irq_mask_set(hardware, irq, false);
    }
    *out = irq;
    return HX_OK;
}

void device_irq_release(struct device_irq *irq)
{
    ledger_remove(&irq->dev->ledger, &irq->entry);
    irq_release(&irq->entry);
}

static void mask_set(struct device_irq *irq, bool masked)
{
    if (irq->kind != DEVICE_IRQ_LINE) {
        pci_irq_mask_set(device_hardware(irq->dev), irq, masked);
    } else if (masked) {
        hal_irq.mask(irq->action.irq);
    } else {
        hal_irq.unmask(irq->action.irq);
    }
}

void device_irq_mask(struct device_irq *irq)
{
    mask_set(irq, true);
}

void device_irq_unmask(struct device_irq *irq)
{
    mask_set(irq, false);
}
