/* SPDX-License-Identifier: MIT */
/* Split virtqueues.
 * Owns:      each queue's rings and what is kept beside them.   Callers: virtio drivers; the tests,
 *            with a transport of their own that lies.
 * Context:   create, destroy: thread. The rest: any; one caller at a time for one queue.
 * Invariant: (1) free_count is the length of the free list, and the other descriptors belong to
 *            chains whose head has a token.  (2) nothing is ever read back from the descriptor
 * table or the available ring: the device could have written there. Of the used ring each word is
 * read once.  (3) a queue that is broken answers nothing but errors until a reset. What the device
 * can do wrong, each by its words in vq->broken: more completions than chains, a completion of what
 * it was not given (twice included), more bytes than it was given. Spec:      VIRTIO 1.2, 2.7.
 */
#include <device/virtio.h>

#include <core/memory.h>
#include <helix/bits.h>
#include <helix/log.h>

#define DESC_NEXT      1u
#define DESC_WRITE     2u
#define USED_NO_NOTIFY 1u
#define RING           2 /* words before the ring */

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

enum hx_status virtqueue_add(struct virtqueue *vq, const struct virtio_buffer *buffers,
                             u32 readable, u32 writable, void *token)
{
    u32 count = readable + writable;
    if (hx_unlikely(vq->broken != NULL)) {
        return HX_ERR_IO;
    }
    if (hx_unlikely(count == 0 || count > vq->size || !token)) {
        return HX_ERR_INVALID;
    }
    if (hx_unlikely(count > vq->free_count)) {
        return HX_ERR_BUSY;
    }
    u32 head = vq->free_head, at = head, bytes = 0;
    for (u32 i = 0; i < count; i++) {
        struct virtq_desc *desc = &vq->desc[at];
        u32 next = vq->slots[at].next;
        desc->address = buffers[i].address;
        desc->size = buffers[i].size;
        desc->flags = (u16)((i + 1 < count ? DESC_NEXT : 0) | (i >= readable ? DESC_WRITE : 0));
        desc->next = (u16)next;
        bytes += i >= readable ? buffers[i].size : 0;
        at = next;
    }
    vq->slots[head].token = token;
    vq->slots[head].writable = bytes;
    vq->slots[head].length = (u16)count;
    vq->free_head = at;
    vq->free_count -= count;
    vq->avail[RING + (vq->avail_index & (vq->size - 1))] = (u16)head;
    vq->avail_index++;
    __atomic_store_n(&vq->avail[1], vq->avail_index, __ATOMIC_RELEASE);
    return HX_OK;
}

void virtqueue_kick(struct virtqueue *vq)
{
    hal_mb(); /* the index before the device's flags, and before the doorbell */
    if (!(HX_READ_ONCE(vq->used[0]) & USED_NO_NOTIFY)) {
        vq->vd->transport->notify(vq);
    }
}

static HX_COLD enum hx_status queue_break(struct virtqueue *vq, const char *why, u32 id, u32 bytes)
{
    vq->broken = why; /* inv 3 */
    log_error("virtio", "%s: queue %u not used any more: the device %s (entry %u, %u bytes)",
              vq->vd->dev.name, vq->index, why, id, bytes);
    return HX_ERR_CORRUPT;
}

enum hx_status virtqueue_next(struct virtqueue *vq, void **out_token, u32 *out_written)
{
    u16 device_index = __atomic_load_n(&vq->used[1], __ATOMIC_ACQUIRE);
    if (hx_unlikely(vq->broken != NULL)) {
        return HX_ERR_CORRUPT;
    }
    if (device_index == vq->used_index) {
        return HX_ERR_END;
    }
    const u32 *used = (const u32 *)&vq->used[RING] + (size_t)2 * (vq->used_index & (vq->size - 1));
    u32 id = HX_READ_ONCE(used[0]), written = HX_READ_ONCE(used[1]);
    if (hx_unlikely((u16)(device_index - vq->used_index) > vq->size - vq->free_count)) {
        return queue_break(vq, "claims more completions than it was given buffers", id, written);
    }
    if (hx_unlikely(id >= vq->size || !vq->slots[id].token)) {
        return queue_break(vq, "completed what it was not given", id, written);
    }
    struct virtq_slot *slot = &vq->slots[id];
    if (hx_unlikely(written > slot->writable)) {
        return queue_break(vq, "claims to have written more than it was given", id, written);
    }
    *out_token = slot->token;
    *out_written = written;
    slot->token = NULL;
    u32 last = id;
    for (u32 i = 1; i < slot->length; i++) {
        last = vq->slots[last].next;
    }
    vq->slots[last].next = (u16)vq->free_head;
    vq->free_head = id;
    vq->free_count += slot->length;
    vq->used_index++;
    return HX_OK;
}
