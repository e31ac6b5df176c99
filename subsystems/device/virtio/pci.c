/* SPDX-License-Identifier: MIT */
/* Virtio over PCI, as of version 1.0: transitional devices are driven by their modern half.
 * Owns:      a struct virtio_device for each.     Caller: device.c.     Context: thread; notify
 * any. The capabilities say where the registers are; each is checked against the region it names
 * before it is mapped. Spec:      VIRTIO 1.2, 4.1.
 */
#include <device/virtio.h>

#include <core/memory.h>
#include <device/pci.h>
#include <helix/format.h>
#include <helix/log.h>

#define VENDOR_VIRTIO   0x1af4
#define ID_TRANSITIONAL 0x1000 /* to 0x103f */
#define ID_MODERN       0x1040 /* plus the type, to 0x107f */
#define REG_SUBSYSTEM   0x2e   /* of a transitional device: the type */
#define CAP_COMMON      1
#define CAP_NOTIFY      2
#define CAP_ISR         3
#define CAP_DEVICE      4
#define CONFIG_SIZE_MAX 256
#define NO_VECTOR       0xffff

/* Common configuration, 4.1.4.3 */
#define COMMON_FEATURE_SELECT 0
#define COMMON_FEATURE        4
#define COMMON_DRIVER_SELECT  8
#define COMMON_DRIVER         12
#define COMMON_MSIX_CONFIG    16
#define COMMON_STATUS         20
#define COMMON_GENERATION     21
#define COMMON_QUEUE_SELECT   22
#define COMMON_QUEUE_SIZE     24
#define COMMON_QUEUE_VECTOR   26
#define COMMON_QUEUE_ENABLE   28
#define COMMON_QUEUE_NOTIFY   30
#define COMMON_QUEUE_DESC     32
#define COMMON_QUEUE_DRIVER   40
#define COMMON_QUEUE_DEVICE   48
#define COMMON_SIZE           56

static u32 status_read(struct virtio_device *vd)
{
    return hal_mmio_read8(vd->common + COMMON_STATUS);
}

static void status_write(struct virtio_device *vd, u32 status)
{
    hal_mmio_write8(vd->common + COMMON_STATUS, (u8)status);
}

static u64 features_read(struct virtio_device *vd)
{
    hal_mmio_write32(vd->common + COMMON_FEATURE_SELECT, 0);
    u64 low = hal_mmio_read32(vd->common + COMMON_FEATURE);
    hal_mmio_write32(vd->common + COMMON_FEATURE_SELECT, 1);
    return (u64)hal_mmio_read32(vd->common + COMMON_FEATURE) << 32 | low;
}

static void features_write(struct virtio_device *vd, u64 features)
{
    hal_mmio_write32(vd->common + COMMON_DRIVER_SELECT, 0);
    hal_mmio_write32(vd->common + COMMON_DRIVER, (u32)features);
    hal_mmio_write32(vd->common + COMMON_DRIVER_SELECT, 1);
    hal_mmio_write32(vd->common + COMMON_DRIVER, (u32)(features >> 32));
}

static u32 queue_size(struct virtio_device *vd, u32 index)
{
    hal_mmio_write16(vd->common + COMMON_QUEUE_SELECT, (u16)index);
    return hal_mmio_read16(vd->common + COMMON_QUEUE_SIZE);
}

static void write_address(vaddr_t at, u64 address)
{
    hal_mmio_write32(at, (u32)address);
    hal_mmio_write32(at + 4, (u32)(address >> 32));
}

static enum hx_status queue_start(struct virtio_device *vd, struct virtqueue *vq)
{
    hal_mmio_write16(vd->common + COMMON_QUEUE_SELECT, (u16)vq->index);
    u64 doorbell = (u64)hal_mmio_read16(vd->common + COMMON_QUEUE_NOTIFY) * vd->notify_multiplier;
    if (doorbell + 2 > vd->notify_size) {
        return HX_ERR_CORRUPT;
    }
    vq->doorbell = vd->notify_base + doorbell;
    hal_mmio_write16(vd->common + COMMON_QUEUE_SIZE, (u16)vq->size);
    write_address(vd->common + COMMON_QUEUE_DESC, vq->desc_bus);
    write_address(vd->common + COMMON_QUEUE_DRIVER, vq->avail_bus);
    write_address(vd->common + COMMON_QUEUE_DEVICE, vq->used_bus);
    u16 vector = vd->irq && vd->irq->kind == DEVICE_IRQ_MSIX ? 0 : NO_VECTOR;
    hal_mmio_write16(vd->common + COMMON_MSIX_CONFIG, vector);
    hal_mmio_write16(vd->common + COMMON_QUEUE_VECTOR, vector);
    if (hal_mmio_read16(vd->common + COMMON_QUEUE_VECTOR) != vector) {
        return HX_ERR_NO_SPACE; /* it has no room for the vector */
    }
    hal_mmio_write16(vd->common + COMMON_QUEUE_ENABLE, 1);
    return HX_OK;
}

static void notify(struct virtqueue *vq)
{
    hal_mmio_write16(vq->doorbell, (u16)vq->index);
}

static u32 interrupt_why(struct virtio_device *vd)
{
    return hal_mmio_read8(vd->isr) & (VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG);
}

static u32 config_generation(struct virtio_device *vd)
{
    return hal_mmio_read8(vd->common + COMMON_GENERATION);
}

static u8 config_read(struct virtio_device *vd, u32 offset)
{
    return hal_mmio_read8(vd->config + offset);
}

static void config_write(struct virtio_device *vd, u32 offset, u8 value)
{
    hal_mmio_write8(vd->config + offset, value);
}

static const struct virtio_transport transport = {
    .name = "PCI",
    .status_read = status_read,
    .status_write = status_write,
    .features_read = features_read,
    .features_write = features_write,
    .queue_size = queue_size,
    .queue_start = queue_start,
    .notify = notify,
    .interrupt = interrupt_why,
    .config_generation = config_generation,
    .config_read = config_read,
    .config_write = config_write,
};

struct part {
    u32 cap, size;
    vaddr_t at;
};

/* Maps the first part of a kind that is usable, at most `most` bytes of it. */
static bool part_map(struct device *dev, u32 kind, u32 least, u32 most, struct part *out)
{
    for (u32 cap = 0; (cap = pci_capability_find(dev, PCI_CAP_VENDOR, cap));) {
        u32 head = pci_read(dev, cap, 4), bar = pci_read(dev, cap + 4, 1);
        if (head >> 24 != kind || (head >> 16 & 0xff) < 16) {
            continue;
        }
        u32 offset = pci_read(dev, cap + 8, 4), size = pci_read(dev, cap + 12, 4);
        size = size < most ? size : most;
        if (size >= least && device_map(dev, bar, offset, size, &out->at) == HX_OK) {
            out->cap = cap;
            out->size = size;
            return true;
        }
    }
    return false;
}

static enum hx_status virtio_pci_attach(struct device *dev)
{
    struct part common, notifier, isr, config = {0};
    u32 type = dev->id >= ID_MODERN ? (u32)dev->id - ID_MODERN : pci_read(dev, REG_SUBSYSTEM, 2);
    if (dev->id < ID_TRANSITIONAL || dev->id > ID_MODERN + 0x3f) {
        return HX_ERR_NOT_SUPPORTED;
    }
    device_enable(dev);
    if (!part_map(dev, CAP_COMMON, COMMON_SIZE, COMMON_SIZE, &common) ||
        !part_map(dev, CAP_NOTIFY, 2, HX_MIB(1), &notifier) ||
        !part_map(dev, CAP_ISR, 1, 1, &isr)) {
        log_warn("virtio", "%s has no registers of version 1.0 that can be mapped", dev->name);
        return HX_ERR_NOT_SUPPORTED;
    }
    struct virtio_device *vd = kzalloc(sizeof(*vd));
    if (!vd) {
        return HX_ERR_NO_MEMORY;
    }
    if (part_map(dev, CAP_DEVICE, 1, CONFIG_SIZE_MAX, &config)) {
        vd->config = config.at;
        vd->config_size = config.size;
    }
    vd->common = common.at;
    vd->isr = isr.at;
    vd->notify_base = notifier.at;
    vd->notify_size = notifier.size;
    vd->notify_multiplier = pci_read(dev, notifier.cap + 16, 4);
    vd->transport = &transport;
    vd->dev.parent = dev;
    vd->dev.id = (u16)type;
    format_buffer(vd->dev.name, sizeof(vd->dev.name), "virtio@%s", dev->name);
    dev->driver_data = vd;
    virtio_device_add(vd);
    return HX_OK;
}

static void virtio_pci_detach(struct device *dev)
{
    struct virtio_device *vd = dev->driver_data;
    device_remove(&vd->dev);
    HX_IGNORE(virtio_reset(vd), "the bus is told next to let it access nothing");
    device_disable(dev);
    kfree(vd);
}

static const struct device_match matches[] = {
    {.bus = DEVICE_PCI, .vendor = VENDOR_VIRTIO, .id = DEVICE_ANY}};

static const struct device_driver virtio_pci_driver = {
    .abi_version = DEVICE_DRIVER_ABI,
    .size = sizeof(struct device_driver),
    .name = "virtio-pci",
    .matches = matches,
    .match_count = HX_ARRAY_SIZE(matches),
    .attach = virtio_pci_attach,
    .detach = virtio_pci_detach,
};
HX_SET_ADD(device_drivers, virtio_pci_driver);
