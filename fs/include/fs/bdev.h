/* SPDX-License-Identifier: MIT */
/* A device of 4 KiB blocks as a file system sees it: synchronous, with a volatile cache that only
 * flush makes durable. Between two flushes a device may persist any subset of the writes, in any
 * order, each torn at 512-byte sectors; nothing above assumes more than that.
 */
#ifndef FS_BDEV_H
#define FS_BDEV_H

#include <helix/status.h>
#include <helix/types.h>

#define BDEV_BLOCK 4096u

struct bdev;

/* All mandatory; context: thread, may block. HX_ERR_IO when the device says so. */
struct bdev_ops {
    enum hx_status (*read)(struct bdev *dev, u64 block, u32 count, void *buf);
    enum hx_status (*write)(struct bdev *dev, u64 block, u32 count, const void *buf);
    enum hx_status (*flush)(struct bdev *dev); /* what was written before is durable on HX_OK */
};

struct bdev {
    const struct bdev_ops *ops;
    u64 blocks;     /* size */
    bool read_only; /* write is never called */
    void *ctx;      /* the implementer's */
};

/* The range is checked against the device here, so implementers need not.
 * Return: HX_ERR_IO for a range outside the device, else what the device returned. */
static inline enum hx_status bdev_read(struct bdev *dev, u64 block, u32 count, void *buf)
{
    if (block > dev->blocks || count > dev->blocks - block) {
        return HX_ERR_IO;
    }
    return dev->ops->read(dev, block, count, buf);
}

static inline enum hx_status bdev_write(struct bdev *dev, u64 block, u32 count, const void *buf)
{
    if (dev->read_only || block > dev->blocks || count > dev->blocks - block) {
        return HX_ERR_IO;
    }
    return dev->ops->write(dev, block, count, buf);
}

static inline enum hx_status bdev_flush(struct bdev *dev)
{
    return dev->ops->flush(dev);
}

#endif
