/* SPDX-License-Identifier: MIT */
/* Making and ending split virtqueues; what happens in between is in queue.c, which a driver that is
 * a module brings along. Owns:      each queue's memory.      Callers: virtio drivers. Context:
 * thread. Spec:      VIRTIO 1.2, 2.7.
 */
#include <device/virtio.h>

#include <core/memory.h>
#include <helix/bits.h>
#include <helix/log.h>

#define RING 2 /* words before the ring */

static void queue_release(struct ledger_entry *entry)
{
    struct virtqueue *vq = HX_CONTAINER_OF(entry, struct virtqueue, entry);
    struct virtio_device *vd = vq->vd;
    vd->queues[vq->index] = NULL;
    if (vd->live && virtio_reset(vd) != HX_OK) { /* which also destroys the others */
        device_disable(vd->dev.parent);
        ledger_remove(&vd->dev.ledger, &vq->dma->entry);
        log_error("virtio", "%s: rings at 0x%lx given up: the device may still write to them",
                  vd->dev.name, vq->dma->bus);
    } else {
        device_dma_free(vq->dma);
    }
    kfree(vq);
}

void virtqueue_destroy(struct virtqueue *vq)
{
    ledger_remove(&vq->vd->dev.ledger, &vq->entry);
    queue_release(&vq->entry);
}

enum hx_status virtqueue_create(struct virtio_device *vd, u32 index, u32 wanted,
                                struct virtqueue **out)
{
    u32 most = index < VIRTIO_QUEUES_MAX ? vd->transport->queue_size(vd, index) : 0;
    if (most == 0 || wanted == 0) {
        return HX_ERR_NOT_FOUND;
    }
    if (vd->queues[index]) {
        return HX_ERR_EXISTS;
    }
    u32 size = (u32)hx_min_u64(hx_min_u64(most, wanted), VIRTIO_QUEUE_SIZE_MAX);
    if (!hx_is_pow2(most)) {
        log_warn("virtio", "%s: queue %u of %u entries, which is no power of two", vd->dev.name,
                 index, most);
        return HX_ERR_CORRUPT;
    }
    size = 1u << hx_log2_floor(size);
    struct virtqueue *vq = kzalloc(sizeof(*vq) + size * sizeof(vq->slots[0]));
    if (!vq) {
        return HX_ERR_NO_MEMORY;
    }
    /* The layout that version 0.9 demands suits 1.0 as well. */
    u64 used_at =
        hx_align_up(size * sizeof(struct virtq_desc) + 2 * (RING + size + 1), HX_PAGE_SIZE);
    enum hx_status status =
        device_dma_alloc(&vd->dev, used_at + 2 * (RING + 1) + 8 * size, &vq->dma);
    if (status != HX_OK) {
        kfree(vq);
        return status;
    }
    u8 *base = vq->dma->cpu;
    vq->vd = vd;
    vq->index = index;
    vq->size = size;
    vq->desc = (struct virtq_desc *)base;
    vq->avail = (u16 *)(base + size * sizeof(struct virtq_desc));
    vq->used = (u16 *)(base + used_at);
    vq->desc_bus = vq->dma->bus;
    vq->avail_bus = vq->dma->bus + size * sizeof(struct virtq_desc);
    vq->used_bus = vq->dma->bus + used_at;
    vq->free_count = size;
    for (u32 i = 0; i < size; i++) {
        vq->slots[i].next = (u16)(i + 1);
    }
    vd->live = true;
    status = vd->transport->queue_start(vd, vq);
    if (status != HX_OK) {
        device_dma_free(vq->dma);
        kfree(vq);
        return status;
    }
    vd->queues[index] = vq;
    ledger_add(&vd->dev.ledger, &vq->entry, LEDGER_QUEUE, queue_release);
    *out = vq;
    return HX_OK;
}
