/* SPDX-License-Identifier: MIT */
/* A block device as the file systems of fs/ want it: <fs/bdev.h>.
 * Context: thread; may block.
 */
#ifndef FS_BLOCK_BDEV_H
#define FS_BLOCK_BDEV_H

#include <fs/bdev.h>
#include <helix/compiler.h>

/* Opens a device by its name; what is left of it after whole blocks of 4 KiB is not seen.
 * Return: HX_OK; HX_ERR_NOT_FOUND. */
enum hx_status block_bdev_open(const char *name, struct bdev *out) HX_MUST_CHECK;
void block_bdev_close(struct bdev *dev);

#endif
