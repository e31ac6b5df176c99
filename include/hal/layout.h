/* SPDX-License-Identifier: MIT */
/* The kernel's half of the address space, the same on every architecture; docs/memory-map.md says
 * why each region is where it is. User programs live below USER_SPACE_END; what lies between is
 * not canonical.
 */
#ifndef HAL_LAYOUT_H
#define HAL_LAYOUT_H

#ifdef __ASSEMBLER__
#define HAL_LAYOUT_C(x) x
#else
#define HAL_LAYOUT_C(x) x##ul
#endif

#define USER_SPACE_END HAL_LAYOUT_C(0x0000800000000000)

#define DIRECT_MAP_BASE     HAL_LAYOUT_C(0xffff800000000000) /* all RAM: address = base + physical */
#define DIRECT_MAP_SIZE     HAL_LAYOUT_C(0x0000400000000000) /* 64 TiB */
#define DEVICE_BASE         HAL_LAYOUT_C(0xffffc00000000000) /* mapped device registers */
#define DEVICE_SIZE         HAL_LAYOUT_C(0x0000080000000000) /* 8 TiB */
#define STACKS_BASE         HAL_LAYOUT_C(0xffffd00000000000) /* kernel stacks between guard pages */
#define STACKS_SIZE         HAL_LAYOUT_C(0x0000080000000000)
#define HEAP_BASE           HAL_LAYOUT_C(0xffffd80000000000) /* mapped kernel memory, frame table */
#define HEAP_SIZE           HAL_LAYOUT_C(0x0000080000000000)
#define KASAN_SHADOW_BASE   HAL_LAYOUT_C(0xffffe00000000000) /* one byte for 8, asan variant only */
#define KASAN_SHADOW_SIZE   HAL_LAYOUT_C(0x0000100000000000)
#define KASAN_SHADOW_OFFSET HAL_LAYOUT_C(0xdffff00000000000) /* shadow = (address >> 3) + this */
#define PERCPU_BASE         HAL_LAYOUT_C(0xfffff00000000000)
#define PERCPU_SIZE         HAL_LAYOUT_C(0x0000010000000000)
/* Kernel image and modules share the top 2 GiB, so that 32-bit displacements reach both. */
#define KERNEL_IMAGE_BASE HAL_LAYOUT_C(0xffffffff80000000)
#define KERNEL_IMAGE_SIZE HAL_LAYOUT_C(0x0000000020000000) /* 512 MiB */
#define KERNEL_LINK_BASE  HAL_LAYOUT_C(0xffffffff80200000) /* where the linker puts the image */
#define MODULE_BASE       HAL_LAYOUT_C(0xffffffffa0000000)
#define MODULE_SIZE       HAL_LAYOUT_C(0x0000000050000000) /* 1.25 GiB */

#define KERNEL_STACK_SIZE 16384 /* bytes, between guard pages */

#endif
