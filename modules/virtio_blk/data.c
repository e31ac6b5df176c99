/* SPDX-License-Identifier: MIT */
/* Disks behind virtio: commands to the device and back. Part of the kernel's driver, and compiled
 * again for the modules virtio_blk and virtio_blk2, whose saved states differ: VIRTIO_BLK_STATE.
 * Owns:      nothing of its own: struct virtio_blk is its maker's.
 * Context:   thread; one call at a time for a disk.
 * A command is a chain: header, memory of its segments or a range, status byte. Its header and
 * status lie in the slot that is its index, so that a successor finds them: nothing about a command
 * in flight is known here alone. Invariant: (1) slot i is the device's exactly while command i is
 * in flight. Spec:      VIRTIO 1.2, 5.2.
 */
#include <helix/string.h>
#include "virtio_blk_priv.h"

#define TYPE_READ         0u
#define TYPE_WRITE        1u
#define TYPE_FLUSH        4u
#define TYPE_DISCARD      11u
#define TYPE_WRITE_ZEROES 13u
#define STATUS_OK         0
#define STATUS_NOT_KNOWN  2
#define STATUS_NONE       0xff /* what the byte holds before the device has written it */

static const u32 types[BLOCK_OP_COUNT] = {
    [BLOCK_READ] = TYPE_READ,
    [BLOCK_WRITE] = TYPE_WRITE,
    [BLOCK_FLUSH] = TYPE_FLUSH,
    [BLOCK_DISCARD] = TYPE_DISCARD,
    [BLOCK_WRITE_ZEROES] = TYPE_WRITE_ZEROES,
};

enum hx_status blk_submit(void *driver, struct block_command *command)
{
    struct virtio_blk *blk = driver;
    struct virtio_buffer chain[BLOCK_COMMAND_SEGMENTS + 2];
    struct slot *slot = &blk->slots[command->index];
    paddr_t bus = blk->dma->bus + command->index * sizeof(*slot);
    u32 readable = 1, writable = 0, count = 1;
    chain[0] = (struct virtio_buffer){.address = bus, .size = offsetof(struct slot, range)};
    slot->type = types[command->op];
    slot->reserved = 0;
    slot->sector = command->sector;
    slot->status = STATUS_NONE;
    if (command->op == BLOCK_DISCARD || command->op == BLOCK_WRITE_ZEROES) {
        slot->sector = 0;
        slot->range.sector = command->sector;
        slot->range.sectors = command->sectors;
        slot->range.flags = 0;
        chain[count++] = (struct virtio_buffer){.address = bus + offsetof(struct slot, range),
                                                .size = sizeof(slot->range)};
        readable++;
    }
    for (u32 i = 0; i < command->segment_count; i++) {
        chain[count].address = command->segments[i].address;
        chain[count++].size = command->segments[i].size;
    }
    *(command->op == BLOCK_READ ? &writable : &readable) += command->segment_count;
    chain[count] =
        (struct virtio_buffer){.address = bus + offsetof(struct slot, status), .size = 1};
    enum hx_status status = virtqueue_add(blk->vq, chain, readable, writable + 1, slot);
    if (status == HX_OK) {
        blk->commands[command->index] = command; /* inv 1 */
    }
    return status;
}

void blk_kick(void *driver)
{
    virtqueue_kick(((struct virtio_blk *)driver)->vq);
}

void blk_poll(void *driver)
{
    struct virtio_blk *blk = driver;
    enum hx_status status;
    void *token;
    u32 written;
    while ((status = virtqueue_next(blk->vq, &token, &written)) == HX_OK) {
        u32 index = (u32)((struct slot *)token - blk->slots);
        struct block_command *command = blk->commands[index];
        u8 answer = HX_READ_ONCE(blk->slots[index].status);
        /* A read that came short would hand out what the memory held before. */
        bool all = command->op != BLOCK_READ || written == (u64)command->sectors * BLOCK_SECTOR + 1;
        blk->commands[index] = NULL;
        blk->done += answer == STATUS_OK;
        blk->bytes += answer == STATUS_OK ? (u64)command->sectors * BLOCK_SECTOR : 0;
        block_command_complete(command, answer == STATUS_OK && all   ? HX_OK
                                        : answer == STATUS_NOT_KNOWN ? HX_ERR_NOT_SUPPORTED
                                                                     : HX_ERR_IO);
    }
    if (status == HX_ERR_CORRUPT) {
        block_disk_fault(blk->disk, blk->vq->broken);
    }
}

/* State that a successor needs: what was agreed, and which commands are in flight. The queue and
 * the slots are the kernel's and stay where they are. */
#define STATE_SIZE                                                                                 \
    (VIRTIO_BLK_STATE == 1 ? offsetof(struct virtio_blk_state, done)                               \
                           : sizeof(struct virtio_blk_state))

enum hx_status blk_save_state(void *driver, void *out, u32 size, u32 *out_size)
{
    const struct virtio_blk *blk = driver;
    struct virtio_blk_state state = {.version = VIRTIO_BLK_STATE,
                                     .size = STATE_SIZE,
                                     .features = blk->features,
                                     .done = blk->done,
                                     .bytes = blk->bytes};
    if (size < STATE_SIZE) {
        return HX_ERR_NO_SPACE;
    }
    for (u32 i = 0; i < DEPTH; i++) {
        state.in_flight[i / 32] |= (u32)(blk->commands[i] != NULL) << i % 32;
    }
    memcpy(out, &state, STATE_SIZE);
    *out_size = STATE_SIZE;
    return HX_OK;
}

enum hx_status blk_restore_state(void *driver, const void *in, u32 size)
{
    struct virtio_blk *blk = driver;
    struct virtio_blk_state state = {.done = 0};
    if (size != STATE_SIZE) {
        return HX_ERR_CORRUPT;
    }
    memcpy(&state, in, STATE_SIZE);
    if (state.version != VIRTIO_BLK_STATE || state.size != STATE_SIZE) {
        return HX_ERR_ABI;
    }
    blk->vq = blk->vd->queues[0];
    blk->dma = blk->vd->memory;
    blk->slots = blk->dma->cpu;
    blk->features = state.features;
    blk->agreed = true;
    blk->done = state.done;
    blk->bytes = state.bytes;
    if (!blk->vq || blk->features != blk->vd->features) {
        return HX_ERR_BAD_STATE;
    }
    for (u32 i = 0; i < DEPTH; i++) {
        bool flies = state.in_flight[i / 32] >> i % 32 & 1;
        blk->commands[i] = flies ? block_disk_command(blk->disk, i) : NULL;
        if (flies && !blk->commands[i]) {
            return HX_ERR_CORRUPT;
        }
    }
    return HX_OK;
}
