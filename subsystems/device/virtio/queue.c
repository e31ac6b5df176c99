/* SPDX-License-Identifier: MIT */
/* Split virtqueues.
 * Owns:      the rings of each queue that setup.c has made.   Callers: virtio drivers; the tests,
 *            with a transport of their own that lies.
 * Context:   any; one caller at a time for one queue.
 * Invariant: (1) free_count is the length of the free list, and the other descriptors belong to
 *            chains whose head has a token.  (2) nothing is ever read back from the descriptor
 * table or the available ring: the device could have written there. Of the used ring each word is
 * read once.  (3) a queue that is broken answers nothing but errors until a reset. What the device
 * can do wrong, each by its words in vq->broken: more completions than chains, a completion of what
 * it was not given (twice included), more bytes than it was given. Spec:      VIRTIO 1.2, 2.7.
 */
#include <device/virtio.h>

#include <helix/log.h>

#define DESC_NEXT      1u
#define DESC_WRITE     2u
#define USED_NO_NOTIFY 1u
#define RING           2 /* words before the ring */

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
