/* SPDX-License-Identifier: MIT */
/* Virtio over memory-mapped registers: version 2, and version 1 ("legacy"), which QEMU's virt board
 * presents unless told otherwise.
 * Owns:      a struct virtio_device for each.     Caller: device.c.     Context: thread; notify
 * any. A transport without a device behind it says so by type 0, and is left alone. Spec:
 * VIRTIO 1.2, 4.2.2 (registers), 4.2.4 (legacy).
 */
#include <device/virtio.h>

#include <core/memory.h>
#include <helix/format.h>
#include <helix/log.h>

#define REG_MAGIC           0x000
#define REG_VERSION         0x004
#define REG_TYPE            0x008
#define REG_FEATURES        0x010
#define REG_FEATURES_SELECT 0x014
#define REG_DRIVER          0x020
#define REG_DRIVER_SELECT   0x024
#define REG_PAGE_SIZE       0x028 /* legacy */
#define REG_QUEUE_SELECT    0x030
#define REG_QUEUE_MAX       0x034
#define REG_QUEUE_SIZE      0x038
#define REG_QUEUE_ALIGN     0x03c /* legacy */
#define REG_QUEUE_PAGE      0x040 /* legacy */
#define REG_QUEUE_READY     0x044
#define REG_NOTIFY          0x050
#define REG_INTERRUPT       0x060
#define REG_INTERRUPT_ACK   0x064
#define REG_STATUS          0x070
#define REG_QUEUE_DESC      0x080
#define REG_QUEUE_DRIVER    0x090
#define REG_QUEUE_DEVICE    0x0a0
#define REG_GENERATION      0x0fc
#define REG_CONFIG          0x100
#define MAGIC               0x74726976 /* "virt" */

static u32 get(struct virtio_device *vd, u32 reg)
{
    return hal_mmio_read32(vd->common + reg);
}

static void set(struct virtio_device *vd, u32 reg, u32 value)
{
    hal_mmio_write32(vd->common + reg, value);
}

static u32 status_read(struct virtio_device *vd)
{
    return get(vd, REG_STATUS);
}

static void status_write(struct virtio_device *vd, u32 status)
{
    set(vd, REG_STATUS, status);
}

static u64 features_read(struct virtio_device *vd)
{
    set(vd, REG_FEATURES_SELECT, 0);
    u64 low = get(vd, REG_FEATURES);
    set(vd, REG_FEATURES_SELECT, 1);
    return (u64)get(vd, REG_FEATURES) << 32 | low;
}

static void features_write(struct virtio_device *vd, u64 features)
{
    set(vd, REG_DRIVER_SELECT, 0);
    set(vd, REG_DRIVER, (u32)features);
    set(vd, REG_DRIVER_SELECT, 1);
    set(vd, REG_DRIVER, (u32)(features >> 32));
}

static u32 queue_size(struct virtio_device *vd, u32 index)
{
    set(vd, REG_QUEUE_SELECT, index);
    return get(vd, REG_QUEUE_MAX);
}

static void write_address(struct virtio_device *vd, u32 reg, u64 address)
{
    set(vd, reg, (u32)address);
    set(vd, reg + 4, (u32)(address >> 32));
}

static enum hx_status queue_start(struct virtio_device *vd, struct virtqueue *vq)
{
    set(vd, REG_QUEUE_SELECT, vq->index);
    set(vd, REG_QUEUE_SIZE, vq->size);
    if (vd->legacy) {
        if (vq->desc_bus >> (32 + HX_PAGE_SHIFT)) {
            return HX_ERR_NOT_SUPPORTED;
        }
        set(vd, REG_PAGE_SIZE, HX_PAGE_SIZE);
        set(vd, REG_QUEUE_ALIGN, HX_PAGE_SIZE);
        set(vd, REG_QUEUE_PAGE, (u32)(vq->desc_bus >> HX_PAGE_SHIFT));
    } else {
        write_address(vd, REG_QUEUE_DESC, vq->desc_bus);
        write_address(vd, REG_QUEUE_DRIVER, vq->avail_bus);
        write_address(vd, REG_QUEUE_DEVICE, vq->used_bus);
        set(vd, REG_QUEUE_READY, 1);
    }
    vq->doorbell = vd->common + REG_NOTIFY;
    return HX_OK;
}

static void notify(struct virtqueue *vq)
{
    hal_mmio_write32(vq->doorbell, vq->index);
}

static u32 interrupt_why(struct virtio_device *vd)
{
    u32 why = get(vd, REG_INTERRUPT) & (VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG);
    if (why) {
        set(vd, REG_INTERRUPT_ACK, why);
    }
    return why;
}

static u32 config_generation(struct virtio_device *vd)
{
    return vd->legacy ? 0 : get(vd, REG_GENERATION);
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
    .name = "MMIO",
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

static enum hx_status virtio_mmio_attach(struct device *dev)
{
    vaddr_t base;
    u64 size = dev->regions[0].size;
    if (size < REG_CONFIG) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = device_map(dev, 0, 0, size, &base);
    if (status != HX_OK) {
        return status;
    }
    u32 version = hal_mmio_read32(base + REG_VERSION), type = hal_mmio_read32(base + REG_TYPE);
    if (hal_mmio_read32(base + REG_MAGIC) != MAGIC || type == 0) {
        return HX_ERR_NOT_FOUND;
    }
    if (version != 1 && version != 2) {
        log_warn("virtio", "%s is of version %u; 1 and 2 are known", dev->name, version);
        return HX_ERR_NOT_SUPPORTED;
    }
    struct virtio_device *vd = kzalloc(sizeof(*vd));
    if (!vd) {
        return HX_ERR_NO_MEMORY;
    }
    vd->common = base;
    vd->config = base + REG_CONFIG;
    vd->config_size = (u32)(size - REG_CONFIG);
    vd->legacy = version == 1;
    vd->transport = &transport;
    vd->dev.parent = dev;
    vd->dev.id = (u16)type;
    format_buffer(vd->dev.name, sizeof(vd->dev.name), "virtio@%lx", dev->regions[0].base);
    dev->driver_data = vd;
    virtio_device_add(vd);
    return HX_OK;
}

static void virtio_mmio_detach(struct device *dev)
{
    struct virtio_device *vd = dev->driver_data;
    device_remove(&vd->dev);
    HX_IGNORE(virtio_reset(vd), "its rings are gone already when it was live");
    kfree(vd);
}

static const struct device_match matches[] = {{.bus = DEVICE_TREE, .compatible = "virtio,mmio"}};

static const struct device_driver virtio_mmio_driver = {
    .abi_version = DEVICE_DRIVER_ABI,
    .size = sizeof(struct device_driver),
    .name = "virtio-mmio",
    .matches = matches,
    .match_count = HX_ARRAY_SIZE(matches),
    .attach = virtio_mmio_attach,
    .detach = virtio_mmio_detach,
};
HX_SET_ADD(device_drivers, virtio_mmio_driver);
