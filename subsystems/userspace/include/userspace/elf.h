/* SPDX-License-Identifier: MIT */
/* Programs: checking a static ELF64 executable, without trusting a byte of it.
 */
#ifndef USERSPACE_ELF_H
#define USERSPACE_ELF_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define ELF_SEGMENTS_MAX 16

struct elf_segment {
    vaddr_t base;    /* page-aligned */
    u64 size;        /* bytes in memory, page-aligned, never 0 */
    u64 file_offset; /* of the first byte of memory; whole pages of the file, as they are */
    u64 file_size;   /* bytes from the file; the rest is zero */
    bool write, execute;
};

struct elf_plan {
    vaddr_t entry;
    u32 count;
    struct elf_segment segments[ELF_SEGMENTS_MAX]; /* ascending, no page in two of them */
};

/* Says how to load the program in [image, image + size), for `machine` (an e_machine number).
 * Return: HX_OK; HX_ERR_INVALID, not a program for this machine; HX_ERR_CORRUPT, truncated,
 * overlapping or contradictory; HX_ERR_NO_SPACE, too many segments. *out_reason says why in words.
 * Context: any; also built for the host. Spec: System V gABI, chapters 4 and 5. */
enum hx_status elf_check(const void *image, size_t size, u16 machine, struct elf_plan *out_plan,
                         const char **out_reason) HX_MUST_CHECK;

/* The same of a file of `size` bytes whose first `head_size` are at hand: its program headers must
 * be among them, as every linker puts them. */
enum hx_status elf_check_head(const void *head, size_t head_size, u64 size, u16 machine,
                              struct elf_plan *out_plan, const char **out_reason) HX_MUST_CHECK;

#endif
