/* SPDX-License-Identifier: MIT */
/* The virtio disk driver, as far as others than its device know it.
 */
#ifndef MODULES_VIRTIO_BLK_H
#define MODULES_VIRTIO_BLK_H

#include <device/device.h>

/* Gives the disk of a device that this driver has a new instance of the driver, commands in flight
 * included; nothing that the old one had in memory of its own remains. dev: attached, and nobody
 * detaches it meanwhile. Return: HX_OK; HX_ERR_NO_MEMORY or what block_disk_exchange() returned,
 * and the old one goes on. Thread. */
enum hx_status virtio_blk_renew(struct device *dev) HX_MUST_CHECK;

#endif
