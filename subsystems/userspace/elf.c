/* SPDX-License-Identifier: MIT */
/* ELF64 executables to a loading plan.
 * Owns:      nothing.       Caller: the process loader; the fuzzer.      Context: any.
 * Invariant: (1) no byte outside the image is read; every sum is checked for overflow before use.
 *            (2) a plan that is given out has at least one segment, all of them in user space and
 *            above the null page, ascending by whole pages, none writable and executable, and its
 *            entry inside an executable one.
 * Spec:      System V gABI, chapter 4 (object files) and 5 (program loading).
 */
#include <hal/layout.h>
#include <helix/bits.h>
#include <helix/string.h>
#include <userspace/elf.h>

#define HEADER_SIZE     64
#define PHDR_SIZE       56
#define CLASS_64        2
#define DATA_LITTLE     1
#define VERSION_CURRENT 1
#define TYPE_EXEC       2
#define PT_LOAD         1
#define PT_INTERP       3
#define PT_DYNAMIC      2
#define PF_X            1
#define PF_W            2
#define MEMORY_MAX      HX_GIB(1) /* of one segment: more is a mistake or an attack */

static enum hx_status refuse(const char **out_reason, const char *why, enum hx_status status)
{
    *out_reason = why;
    return status;
}

static enum hx_status add_segment(struct elf_plan *plan, const u8 *phdr, u64 image_size,
                                  const char **out_reason)
{
    u32 flags = hx_load_le32(phdr + 4);
    u64 offset = hx_load_le64(phdr + 8), va = hx_load_le64(phdr + 16);
    u64 file_size = hx_load_le64(phdr + 32), memory_size = hx_load_le64(phdr + 40);
    if (memory_size == 0) {
        return HX_OK;
    }
    if (file_size > memory_size) {
        return refuse(out_reason, "a segment is larger in the file than in memory", HX_ERR_CORRUPT);
    }
    if (!hx_range_fits(offset, file_size, image_size)) {
        return refuse(out_reason, "a segment reaches beyond the file", HX_ERR_CORRUPT);
    }
    if (memory_size > MEMORY_MAX || va < HX_PAGE_SIZE ||
        !hx_range_fits(va, memory_size, USER_SPACE_END - HX_PAGE_SIZE)) {
        return refuse(out_reason, "a segment lies outside user memory", HX_ERR_CORRUPT);
    }
    if ((flags & PF_W) && (flags & PF_X)) {
        return refuse(out_reason, "a segment is writable and executable", HX_ERR_CORRUPT);
    }
    if (plan->count == ELF_SEGMENTS_MAX) {
        return refuse(out_reason, "too many segments", HX_ERR_NO_SPACE);
    }
    u64 base = hx_align_down(va, HX_PAGE_SIZE), end = hx_align_up(va + memory_size, HX_PAGE_SIZE);
    if (plan->count) {
        const struct elf_segment *last = &plan->segments[plan->count - 1];
        if (base < last->base + last->size) {
            return refuse(out_reason, "segments overlap or are out of order", HX_ERR_CORRUPT);
        }
    }
    u64 head = va - base; /* the file's bytes before the segment share its first page */
    if (file_size == 0) {
        offset = head = 0;
    } else if (offset < head || ((offset - va) & HX_PAGE_MASK)) {
        return refuse(out_reason, "a segment is not aligned with its file", HX_ERR_CORRUPT);
    }
    plan->segments[plan->count++] = (struct elf_segment){
        .base = base,
        .size = end - base,
        .file_offset = offset - head,
        .file_size = file_size ? file_size + head : 0,
        .write = flags & PF_W,
        .execute = flags & PF_X,
    };
    return HX_OK;
}

enum hx_status elf_check_head(const void *head, size_t head_size, u64 size, u16 machine,
                              struct elf_plan *out_plan, const char **out_reason)
{
    const u8 *header = head;
    if (head_size < HEADER_SIZE || memcmp(header, "\177ELF", 4) != 0) {
        return refuse(out_reason, "not an ELF file", HX_ERR_INVALID);
    }
    if (header[4] != CLASS_64 || header[5] != DATA_LITTLE || header[6] != VERSION_CURRENT) {
        return refuse(out_reason, "not a 64-bit little-endian ELF file", HX_ERR_INVALID);
    }
    if (hx_load_le16(header + 18) != machine) {
        return refuse(out_reason, "built for another processor", HX_ERR_INVALID);
    }
    if (hx_load_le16(header + 16) != TYPE_EXEC) {
        return refuse(out_reason, "not a static executable", HX_ERR_INVALID);
    }
    u64 phoff = hx_load_le64(header + 32);
    u16 phentsize = hx_load_le16(header + 54), phnum = hx_load_le16(header + 56);
    if (phentsize != PHDR_SIZE || !hx_range_fits(phoff, (u64)phnum * PHDR_SIZE, head_size)) {
        return refuse(out_reason, "the program headers do not fit the file", HX_ERR_CORRUPT);
    }
    struct elf_plan plan = {.entry = hx_load_le64(header + 24)};
    for (u32 i = 0; i < phnum; i++) {
        const u8 *phdr = header + phoff + (u64)i * PHDR_SIZE;
        u32 type = hx_load_le32(phdr);
        if (type == PT_INTERP || type == PT_DYNAMIC) {
            return refuse(out_reason, "needs a dynamic linker", HX_ERR_INVALID);
        }
        enum hx_status status = HX_OK;
        if (type == PT_LOAD) {
            status = add_segment(&plan, phdr, size, out_reason);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    for (u32 i = 0; i < plan.count; i++) {
        const struct elf_segment *s = &plan.segments[i];
        if (s->execute && plan.entry >= s->base && plan.entry - s->base < s->size) {
            *out_plan = plan;
            return HX_OK;
        }
    }
    return refuse(out_reason, "the entry point is not in executable memory", HX_ERR_CORRUPT);
}

enum hx_status elf_check(const void *image, size_t size, u16 machine, struct elf_plan *out_plan,
                         const char **out_reason)
{
    return elf_check_head(image, size, size, machine, out_plan, out_reason);
}
