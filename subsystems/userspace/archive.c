/* SPDX-License-Identifier: MIT */
/* cpio (newc), read in place.
 * Owns:      nothing.        Callers: the process loader, the RAM file system.      Context: any.
 * Invariant: (1) no byte outside the image is read; (2) the cursor grows with every entry.
 * Spec:      cpio(5): "070701", then thirteen fields of eight hexadecimal digits, name, data; both
 *            padded to four bytes.
 */
#include <helix/bits.h>
#include <helix/string.h>
#include <userspace/archive.h>

#define HEADER_SIZE     110
#define FIELD_MODE      1
#define FIELD_FILE_SIZE 6
#define FIELD_NAME_SIZE 11
#define TRAILER         "TRAILER!!!"

static bool read_field(const u8 *header, u32 index, u32 *out)
{
    u32 value = 0;
    for (u32 i = 0; i < 8; i++) {
        u8 c = header[6 + index * 8 + i];
        u32 digit;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (c | 0x20u) - 'a' + 10;
        } else {
            return false;
        }
        value = value << 4 | digit;
    }
    *out = value;
    return true;
}

enum hx_status archive_next(const void *image, size_t size, size_t *cursor,
                            struct archive_file *out)
{
    u64 at = *cursor;
    if (at >= size) {
        return HX_ERR_END;
    }
    const u8 *header = (const u8 *)image + at;
    u32 mode, file_size, name_size;
    if (!hx_range_fits(at, HEADER_SIZE, size) || memcmp(header, "07070", 5) != 0 ||
        (header[5] != '1' && header[5] != '2') || !read_field(header, FIELD_MODE, &mode) ||
        !read_field(header, FIELD_FILE_SIZE, &file_size) ||
        !read_field(header, FIELD_NAME_SIZE, &name_size)) {
        return HX_ERR_CORRUPT;
    }
    u64 name_at = at + HEADER_SIZE, data_at = hx_align_up(name_at + name_size, 4);
    if (name_size == 0 || !hx_range_fits(name_at, name_size, size) ||
        !hx_range_fits(data_at, file_size, size) || header[HEADER_SIZE + name_size - 1] != '\0') {
        return HX_ERR_CORRUPT;
    }
    *out = (struct archive_file){
        .name = (const char *)header + HEADER_SIZE,
        .name_size = strnlen((const char *)header + HEADER_SIZE, name_size),
        .data = (const u8 *)image + data_at,
        .size = file_size,
        .mode = mode,
    };
    if (out->name_size == sizeof(TRAILER) - 1 && memcmp(out->name, TRAILER, out->name_size) == 0) {
        return HX_ERR_END;
    }
    *cursor = hx_align_up(data_at + file_size, 4);
    return HX_OK;
}
