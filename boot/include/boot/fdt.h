/* SPDX-License-Identifier: MIT */
/* Boot information from a device tree: a pure function of the tree, so that it is tested and fuzzed
 * on the host.
 */
#ifndef BOOT_FDT_H
#define BOOT_FDT_H

#include <helix/boot_info.h>

/* Fills cmdline, modules, framebuffer and raw regions of `info` from a tree that dt_check() of
 * <port/dt.h> has passed; info->dtb, dtb_size, kernel_base and kernel_size are set already and
 * become regions too. The caller normalises. A broken tree gives what could be read, with drops
 * counted: only a tree without memory is fatal, and normalising finds that. Context: early. */
void boot_fdt_read(struct boot_info *info, const void *tree);

#endif
