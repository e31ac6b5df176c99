/* SPDX-License-Identifier: MIT */
/* The buddy frame allocator as a module; the allocator is subsystems/memory/physical/buddy.c.
 */
#include <helix/module.h>
#include <memory/frame_alloc.h>

MODULE(buddy, .version = {1, 0, 0}, .summary = "frame allocator: lists of free blocks by order",
       .provides = {{"frame.alloc", FRAME_ALLOC_ABI, 0}}, .capabilities = MODULE_CAP_FRAMES);
MODULE_CODE(buddy, .interfaces = {&frame_buddy_ops});
