/* SPDX-License-Identifier: MIT */
/* Any bytes as a program and as a boot archive: whatever elf_check() accepts keeps the promises of
 * <userspace/elf.h>, and archive_next() stays inside its image and comes to an end. The first input
 * byte chooses; 1 puts a correct ELF header in front, so that segments are reached.
 */
#include <hal/layout.h>
#include <helix/panic.h>
#include <stdlib.h>
#include <string.h>
#include <userspace/archive.h>
#include <userspace/elf.h>

#define MACHINE 62

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_plan(const struct elf_plan *plan, size_t size)
{
    bool entered = false;
    HX_ASSERT(plan->count > 0 && plan->count <= ELF_SEGMENTS_MAX);
    for (u32 i = 0; i < plan->count; i++) {
        const struct elf_segment *s = &plan->segments[i];
        HX_ASSERT(s->base % HX_PAGE_SIZE == 0 && s->size % HX_PAGE_SIZE == 0 && s->size > 0);
        HX_ASSERT(s->base >= HX_PAGE_SIZE && s->base < USER_SPACE_END);
        HX_ASSERT(s->size <= USER_SPACE_END - s->base);
        HX_ASSERT(i == 0 || s->base >= s[-1].base + s[-1].size);
        HX_ASSERT(s->file_offset <= size && s->file_size <= size - s->file_offset);
        HX_ASSERT(s->file_size <= s->size);
        HX_ASSERT(!(s->write && s->execute));
        entered |= s->execute && plan->entry >= s->base && plan->entry - s->base < s->size;
    }
    HX_ASSERT(entered);
}

static void read_program(const u8 *image, size_t size)
{
    struct elf_plan plan;
    const char *reason = NULL;
    enum hx_status status = elf_check(image, size, MACHINE, &plan, &reason);
    if (status == HX_OK) {
        check_plan(&plan, size);
    } else {
        HX_ASSERT(reason && *reason);
    }
}

static void read_archive(const u8 *image, size_t size)
{
    size_t cursor = 0, before = 0;
    struct archive_file file;
    while (archive_next(image, size, &cursor, &file) == HX_OK) {
        const u8 *name = (const u8 *)file.name, *bytes = file.data;
        HX_ASSERT(cursor > before);
        before = cursor;
        HX_ASSERT(name >= image && file.name_size < (size_t)(image + size - name));
        HX_ASSERT(bytes >= image && bytes <= image + size);
        HX_ASSERT(file.size <= (size_t)(image + size - bytes));
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const u8 header[64] = {0x7f,      'E',         'L',
                                  'F',       2,           1,
                                  1,         [16] = 2,    [18] = MACHINE,
                                  [20] = 1,  [25] = 0x10, [26] = 0x40,
                                  [32] = 64, [52] = 64,   [54] = 56,
                                  [56] = 2};
    if (size == 0) {
        return 0;
    }
    size_t front = data[0] == 1 ? sizeof(header) : 0;
    u8 *image = malloc(front + size); /* one byte too many: never 0 */
    if (!image) {
        return 0;
    }
    memcpy(image, header, front);
    u8 *exact = image + 1; /* ends where the block ends */
    memmove(exact, image, front);
    memcpy(exact + front, data + 1, size - 1);
    if (data[0] == 2) {
        read_archive(exact, front + size - 1);
    } else {
        read_program(exact, front + size - 1);
    }
    free(image);
    return 0;
}
