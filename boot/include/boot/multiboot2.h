/* SPDX-License-Identifier: MIT */
/* Reading the loader's Multiboot2 information.
 */
#ifndef BOOT_MULTIBOOT2_H
#define BOOT_MULTIBOOT2_H

#include <helix/boot_info.h>
#include <helix/status.h>

#define MULTIBOOT2_SIZE_MAX (1u << 20) /* bytes of tags believed at most */
#define ACPI_RSDP_SIZE_MAX  36

/* Fills loader, cmdline, modules, framebuffer and raw regions of `info` from `size` readable bytes
 * at `mbi`, 8-byte aligned. The ACPI root pointer, of which the tag holds a copy, goes to
 * `rsdp` (ACPI_RSDP_SIZE_MAX bytes); *out_rsdp_size is 0 when there is none. Strings and numbers
 * are copied: nothing points into the tags afterwards.
 * Return: HX_OK; HX_ERR_CORRUPT when the tags contradict themselves - what stood before the first
 * bad tag has been taken. Context: early; also built for the host.
 * Spec: Multiboot2 1.6 section 3.6. */
enum hx_status multiboot2_read(struct boot_info *info, const void *mbi, size_t size, u8 *rsdp,
                               size_t *out_rsdp_size) HX_MUST_CHECK;

#endif
