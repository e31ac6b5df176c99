/* SPDX-License-Identifier: MIT */
/* Disks in memory. The command line's `ramdisk=MIB` makes one at boot.
 * Context: thread; may block.
 */
#ifndef MODULES_RAMDISK_H
#define MODULES_RAMDISK_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define RAMDISK_MIB_MAX 65536u

struct ramdisk;

/* A disk of all zeroes, "ram0" or the next free number; a page of it takes memory once it is
 * written. Return: HX_OK; HX_ERR_INVALID (0 or above RAMDISK_MIB_MAX); HX_ERR_NO_MEMORY; what
 * registering returned. */
enum hx_status ramdisk_create(u32 mib, struct ramdisk **out) HX_MUST_CHECK;

/* Its contents are gone; who still has the device open gets HX_ERR_CLOSED. */
void ramdisk_destroy(struct ramdisk *disk);

struct block_device;
struct block_device *ramdisk_device(struct ramdisk *disk); /* the disk's reference */

#endif
