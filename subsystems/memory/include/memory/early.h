/* SPDX-License-Identifier: MIT */
/* Frames before the frame allocator: a bump pointer, first through a pool inside the kernel image,
 * which is mapped whatever the loader's map looks like, then through one run of RAM.
 */
#ifndef MEMORY_EARLY_H
#define MEMORY_EARLY_H

#include <helix/boot_info.h>
#include <helix/compiler.h>
#include <helix/status.h>

/* Says where the image lies. Context: early, first. */
void early_init(paddr_t image_base);

/* One zeroed frame for good. Context: early. Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status early_frame_alloc(paddr_t *out_frame) HX_MUST_CHECK;

/* Lets later frames come from [base, base + size), RAM that is reachable in the direct map.
 * Context: early. */
void early_frame_add_run(paddr_t base, u64 size);

struct early_usage {
    paddr_t run_base;
    u64 run_used; /* bytes from run_base that are taken */
    u64 pool_used;
};

/* What has been taken, for who takes over. */
void early_usage_read(struct early_usage *out);

#endif
