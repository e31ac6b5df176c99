/* SPDX-License-Identifier: MIT */
/* The bitmap frame allocator as a module; the allocator is subsystems/memory/physical/bitmap.c.
 */
#include <helix/module.h>
#include <memory/frame_alloc.h>

MODULE(bitmap, .version = {1, 0, 0}, .summary = "frame allocator: a bit for each frame",
       .provides = {{"frame.alloc", FRAME_ALLOC_ABI, 0}}, .capabilities = MODULE_CAP_FRAMES);
MODULE_CODE(bitmap, .interfaces = {&frame_bitmap_ops});
