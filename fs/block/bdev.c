/* SPDX-License-Identifier: MIT */
/* struct bdev over a block device: blocks of 4 KiB, one call at a time.
 * Owns:      nothing; struct bdev is the caller's.      Callers: file systems.     Context: thread.
 */
#include <fs/block_bdev.h>

#include <fs/block.h>

#define PER_BLOCK   (BDEV_BLOCK / BLOCK_SECTOR)
#define BLOCKS_ONCE (1u << 20) /* their sectors can be counted in 32 bits */

/* Above, there is one word for a device that does not do what it should. */
static enum hx_status as_io(enum hx_status status)
{
    return status == HX_OK ? HX_OK : HX_ERR_IO;
}

static enum hx_status device_read(struct bdev *dev, u64 block, u32 count, void *buf)
{
    return as_io(count > BLOCKS_ONCE
                     ? HX_ERR_INVALID
                     : block_read(dev->ctx, block * PER_BLOCK, count * PER_BLOCK, buf));
}

static enum hx_status device_write(struct bdev *dev, u64 block, u32 count, const void *buf)
{
    return as_io(count > BLOCKS_ONCE
                     ? HX_ERR_INVALID
                     : block_write(dev->ctx, block * PER_BLOCK, count * PER_BLOCK, buf, 0));
}

static enum hx_status device_flush(struct bdev *dev)
{
    return as_io(block_flush(dev->ctx));
}

static const struct bdev_ops ops = {
    .read = device_read, .write = device_write, .flush = device_flush};

enum hx_status block_bdev_open(const char *name, struct bdev *out)
{
    struct block_info info;
    struct block_device *dev = block_device_find(name);
    if (!dev) {
        return HX_ERR_NOT_FOUND;
    }
    block_device_info(dev, &info);
    *out = (struct bdev){
        .ops = &ops, .blocks = info.sectors / PER_BLOCK, .read_only = info.read_only, .ctx = dev};
    return HX_OK;
}

void block_bdev_close(struct bdev *dev)
{
    block_device_put(dev->ctx);
    dev->ctx = NULL;
}
