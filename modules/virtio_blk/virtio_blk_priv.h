/* SPDX-License-Identifier: MIT */
/* What the two halves of the virtio disk driver share: the one that has the device, which is the
 * kernel's, and the one that moves data, which is also a module.
 */
#ifndef VIRTIO_BLK_PRIV_H
#define VIRTIO_BLK_PRIV_H

#include <device/virtio.h>
#include <fs/block_driver.h>

#define DEPTH      32
#define QUEUE_SIZE 256

/* What the device reads and writes for one command. */
struct slot {
    u32 type, reserved;
    u64 sector;
    struct {
        u64 sector;
        u32 sectors, flags;
    } range; /* discard, write zeroes */
    u8 status;
    u8 pad[31];
};
_Static_assert(sizeof(struct slot) == 64, "slots do not share cache lines");
_Static_assert(offsetof(struct slot, range) == 16, "VIRTIO 5.2.6");

struct virtio_blk {
    struct virtio_device *vd;
    struct virtqueue *vq;
    struct device_dma *dma;
    struct slot *slots;
    struct block_disk *disk;
    u64 features; /* wanted, and agreed on from the first start on */
    bool agreed;
    struct block_command *commands[DEPTH]; /* in flight, by index */
    u64 done, bytes;                       /* what has ended well; kept from version 2 on */
};

/* What a saved state holds: version 1 ends before `done`. */
#ifndef VIRTIO_BLK_STATE
#define VIRTIO_BLK_STATE 1
#endif
struct virtio_blk_state {
    u32 version, size;
    u64 features;
    u32 in_flight[(DEPTH + 31) / 32];
    u32 reserved;
    u64 done, bytes;
};

enum hx_status blk_submit(void *driver, struct block_command *command) HX_MUST_CHECK;
void blk_kick(void *driver);
void blk_poll(void *driver);
enum hx_status blk_save_state(void *driver, void *out, u32 size, u32 *out_size) HX_MUST_CHECK;
enum hx_status blk_restore_state(void *driver, const void *in, u32 size) HX_MUST_CHECK;

#endif
