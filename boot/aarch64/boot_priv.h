/* SPDX-License-Identifier: MIT */
/* What the files of the aarch64 boot path share, in the order in which they run.
 */
#ifndef BOOT_PRIV_H
#define BOOT_PRIV_H

#define BOOT_TABLE_SIZE  4096
#define BOOT_TABLE_COUNT 20 /* enough when image and tree each cross a 512 GiB boundary */
#define BOOT_BLOCK_SIZE  0x200000

#ifndef __ASSEMBLER__
#include <helix/boot_info.h>
#include <helix/types.h>

/* early.c: before any console. Position-independent, legal with the MMU off and no .bss. */

/* Says `why` with two numbers by semihosting, ends an emulator with status 125, else waits for
 * ever. The boot cannot go on and nobody else can say so. */
void boot_fatal(const char *why, u64 a, u64 b) HX_NORETURN;

/* map.c: the loader's map. */

/* Builds the tables with the MMU off: the image at its own physical address for TTBR0, at its link
 * address and in the direct map for TTBR1, and the block that holds the first byte of the device
 * tree. Does not return when the CPU cannot do it or `dtb` cannot be the address of a tree. */
void boot_map_init(paddr_t image, u64 image_size, paddr_t dtb);

/* Adds the 2 MiB blocks that touch [base, base + size), which is memory, to the direct map; the
 * MMU is on. */
void boot_map_direct(paddr_t base, u64 size);

/* Maps the page of device registers `page` at DEVICE_BASE; the MMU is on. */
void boot_map_device(paddr_t page);

/* main.c: entered from entry.S with the MMU on, .bss clear, on the boot stack. */
void boot_main(paddr_t dtb, u64 entry_counter, paddr_t image) HX_NORETURN;
#endif

#endif
