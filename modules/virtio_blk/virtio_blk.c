/* SPDX-License-Identifier: MIT */
/* Disks behind virtio.
 * Owns:      the memory in which each command has its header and its status; of the device, one
 *            queue and the interrupt.       Caller: the block layer, one call at a time for a disk.
 * Context:   thread; may sleep for at most the time that a reset takes.
 * How commands go to the device and come back is in data.c.
 * Spec:      VIRTIO 1.2, 5.2. Multi-queue is not negotiated: one queue serves all CPUs.
 */
#include <core/memory.h>
#include <device/virtio.h>
#include <fs/block_driver.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>
#include <modules/virtio_blk.h>
#include "virtio_blk_priv.h"

#define F_SEG_MAX      (1ull << 2)
#define F_READ_ONLY    (1ull << 5)
#define F_BLOCK_SIZE   (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
#define FEATURES       (F_SEG_MAX | F_READ_ONLY | F_BLOCK_SIZE | F_FLUSH | F_DISCARD | F_WRITE_ZEROES)

#define CONFIG_CAPACITY    0
#define CONFIG_SEG_MAX     12
#define CONFIG_BLOCK_SIZE  20
#define CONFIG_DISCARD_MAX 36
#define CONFIG_ZEROES_MAX  48

#define DISCARD_TOP (1u << 20) /* sectors at a time, so that a discard ends soon */

static enum hx_status blk_stop(void *driver)
{
    struct virtio_blk *blk = driver;
    enum hx_status status = virtio_reset(blk->vd); /* the queue goes with it */
    if (status == HX_OK) {
        blk->vq = NULL;
    }
    memset(blk->commands, 0, sizeof(blk->commands));
    return status;
}

/* Agrees with the device and makes the queue; the same features as the first time. */
static enum hx_status blk_start(void *driver)
{
    struct virtio_blk *blk = driver;
    enum hx_status status = virtio_negotiate(blk->vd, blk->features);
    if (status == HX_OK && blk->agreed && blk->vd->features != blk->features) {
        status = HX_ERR_CORRUPT; /* after a reset it is another device */
    }
    if (status == HX_OK) {
        status = virtqueue_create(blk->vd, 0, QUEUE_SIZE, &blk->vq);
    }
    if (status == HX_OK) {
        blk->features = blk->vd->features;
        blk->agreed = true;
        virtio_start(blk->vd);
    }
    return status;
}

static const struct block_driver_ops blk_ops = {
    .abi_version = BLOCK_DRIVER_ABI,
    .size = sizeof(struct block_driver_ops),
    .name = "virtio-blk",
    .submit = blk_submit,
    .kick = blk_kick,
    .poll = blk_poll,
    .stop = blk_stop,
    .start = blk_start,
    .save_state = blk_save_state,
    .restore_state = blk_restore_state,
};

/* A little-endian number of the configuration, 0 when it is not there. */
static u64 config_number(struct virtio_device *vd, u32 offset, u32 size)
{
    u8 bytes[8] = {0};
    return virtio_config_read(vd, offset, bytes, size) == HX_OK ? hx_load_le64(bytes) : 0;
}

static enum hx_status limits_read(struct virtio_blk *blk, struct block_limits *out)
{
    struct virtio_device *vd = blk->vd;
    u64 block =
        virtio_has(vd, F_BLOCK_SIZE) ? config_number(vd, CONFIG_BLOCK_SIZE, 4) : BLOCK_SECTOR;
    u64 segments = virtio_has(vd, F_SEG_MAX) ? config_number(vd, CONFIG_SEG_MAX, 4) : UINT32_MAX;
    segments = hx_min_u64(segments, blk->vq->size - 2);
    if (block < BLOCK_SECTOR || block > BLOCK_BYTES_MAX || !hx_is_pow2(block) ||
        segments < BLOCK_REQUEST_SEGMENTS) {
        log_warn("virtio-blk", "%s wants blocks of %lu bytes, %lu pieces at a time", vd->dev.name,
                 block, segments);
        return HX_ERR_NOT_SUPPORTED;
    }
    *out = (struct block_limits){
        .sectors = hx_align_down(config_number(vd, CONFIG_CAPACITY, 8), block / BLOCK_SECTOR),
        .block_bytes = (u32)block,
        .depth = DEPTH,
        .segments_max = (u32)hx_min_u64(segments, BLOCK_COMMAND_SEGMENTS),
        .cache = virtio_has(vd, F_FLUSH),
        .read_only = virtio_has(vd, F_READ_ONLY),
    };
    if (virtio_has(vd, F_DISCARD)) {
        out->discard_max = (u32)hx_min_u64(config_number(vd, CONFIG_DISCARD_MAX, 4), DISCARD_TOP);
    }
    if (virtio_has(vd, F_WRITE_ZEROES)) {
        out->zeroes_max = (u32)hx_min_u64(config_number(vd, CONFIG_ZEROES_MAX, 4), DISCARD_TOP);
    }
    return HX_OK;
}

static enum hx_status attach_parts(struct virtio_blk *blk, struct device *dev)
{
    struct block_limits limits;
    enum hx_status status = device_dma_alloc(dev, DEPTH * sizeof(struct slot), &blk->dma);
    if (status != HX_OK) {
        return status;
    }
    blk->slots = blk->dma->cpu;
    blk->vd->memory = blk->dma;
    status = virtio_irq_enable(blk->vd);
    if (status == HX_OK) {
        status = blk_start(blk);
    }
    if (status == HX_OK) {
        status = limits_read(blk, &limits);
    }
    if (status == HX_OK) {
        status = block_disk_create(&blk_ops, blk, &limits, &blk->disk);
    }
    if (status == HX_OK) {
        block_disk_portable(blk->disk, blk->vd);
        dev->driver_data = blk;
        virtio_notify_set(blk->vd, block_disk_notify, blk->disk);
        status = block_disk_register(blk->disk, "vd", true, &dev->ledger);
        if (status != HX_OK) {
            virtio_notify_set(blk->vd, NULL, NULL);
            block_disk_unregister(blk->disk);
        }
    }
    return status;
}

static enum hx_status blk_attach(struct device *dev)
{
    struct virtio_blk *blk = kzalloc(sizeof(*blk));
    if (!blk) {
        return HX_ERR_NO_MEMORY;
    }
    blk->vd = HX_CONTAINER_OF(dev, struct virtio_device, dev);
    blk->features = FEATURES;
    enum hx_status status = attach_parts(blk, dev);
    if (status != HX_OK) {
        kfree(blk); /* what else it took is on the ledger */
    }
    return status;
}

static void blk_detach(struct device *dev)
{
    struct virtio_blk *blk = dev->driver_data;
    virtio_notify_set(blk->vd, NULL, NULL);
    block_disk_unregister(blk->disk); /* stops the device */
    device_irq_release(blk->vd->irq);
    device_dma_free(blk->dma);
    kfree(blk);
}

static const struct device_match matches[] = {{.bus = DEVICE_VIRTIO, .id = VIRTIO_BLOCK}};

static const struct device_driver virtio_blk_driver = {
    .abi_version = DEVICE_DRIVER_ABI,
    .size = sizeof(struct device_driver),
    .name = "virtio-blk",
    .matches = matches,
    .match_count = HX_ARRAY_SIZE(matches),
    .attach = blk_attach,
    .detach = blk_detach,
};
HX_SET_ADD(device_drivers, virtio_blk_driver);

/* Only what the kernel's own driver serves: modules have the slot. */
enum hx_status virtio_blk_renew(struct device *dev)
{
    struct virtio_blk *old = dev->driver_data, *blk = kzalloc(sizeof(*blk));
    if (!blk) {
        return HX_ERR_NO_MEMORY;
    }
    blk->vd = old->vd;
    blk->disk = old->disk;
    enum hx_status status = block_disk_exchange(old->disk, &blk_ops, blk);
    if (status == HX_OK) {
        dev->driver_data = blk;
    }
    kfree(status == HX_OK ? old : blk);
    return status;
}
