/* SPDX-License-Identifier: MIT */
/* Multiboot2 tags to boot_info.
 * Owns:      nothing.        Caller: boot_main; the fuzzer.      Context: early, or the host.
 * Invariant: (1) no byte outside [mbi, mbi + size) is read, and none outside a tag on its behalf.
 *            (2) the walk advances by at least 8 bytes a tag, so it ends.
 * Spec:      Multiboot2 1.6 section 3.6.
 */
#include <boot/multiboot2.h>

#include <helix/bits.h>
#include <helix/string.h>

enum tag {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MMAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_ACPI_1 = 14,
    TAG_ACPI_2 = 15,
};

#define TAG_HEADER     8
#define MMAP_HEADER    16
#define MMAP_ENTRY_MIN 24
#define DIMENSION_MAX  16384 /* pixels */

/* The string at `offset` of the tag, at most up to its end. True when it was copied whole. */
static bool copy_string(char *dst, size_t dst_size, const u8 *tag, u32 tag_size, u32 offset)
{
    size_t room = tag_size - offset, n = strnlen((const char *)tag + offset, room);
    bool whole = n < dst_size;
    n = whole ? n : dst_size - 1;
    memcpy(dst, tag + offset, n);
    dst[n] = '\0';
    return whole;
}

static void read_module(struct boot_info *info, const u8 *tag, u32 size)
{
    u32 start = hx_load_le32(tag + 8), end = hx_load_le32(tag + 12);
    if (end <= start || info->module_count == BOOT_MODULES_MAX) {
        info->modules_dropped++;
        return;
    }
    struct boot_module *module = &info->modules[info->module_count++];
    module->base = start;
    module->size = end - start;
    HX_IGNORE(copy_string(module->name, BOOT_NAME_MAX, tag, size, 16), "a cut name is a name");
    boot_info_add_region(info, start, end - start, BOOT_REGION_LOADER);
}

static bool read_mmap(struct boot_info *info, const u8 *tag, u32 size)
{
    static const enum boot_region_kind kinds[] = {
        [1] = BOOT_REGION_RAM, [2] = BOOT_REGION_RESERVED, [3] = BOOT_REGION_RECLAIMABLE,
        [4] = BOOT_REGION_NVS, [5] = BOOT_REGION_RESERVED, /* defective */
    };
    u32 entry_size = hx_load_le32(tag + 8);
    if (entry_size < MMAP_ENTRY_MIN || entry_size % 8 != 0) {
        return false;
    }
    for (u32 at = MMAP_HEADER; size - at >= entry_size; at += entry_size) {
        u64 base = hx_load_le64(tag + at), length = hx_load_le64(tag + at + 8);
        u32 type = hx_load_le32(tag + at + 16);
        if (length > UINT64_MAX - base) {
            info->regions_dropped++;
            length = UINT64_MAX - base;
            type = 2; /* what wraps is believed to be occupied, not to be free */
        }
        boot_info_add_region(info, base, length,
                             type >= 1 && type < HX_ARRAY_SIZE(kinds) ? kinds[type]
                                                                      : BOOT_REGION_RESERVED);
    }
    return true;
}

/* A colour channel: position and number of bits. False when it does not fit the pixel. */
static bool read_channel(const u8 *at, u8 bits_per_pixel, u8 *shift, u8 *bits)
{
    *shift = at[0];
    *bits = at[1];
    return at[1] >= 1 && at[1] <= 8 && at[0] + at[1] <= bits_per_pixel;
}

static void read_framebuffer(struct boot_info *info, const u8 *tag, u32 size)
{
    struct boot_framebuffer fb = {
        .kind = BOOT_PIXEL_RGB,
        .base = hx_load_le64(tag + 8),
        .pitch = hx_load_le32(tag + 16),
        .width = hx_load_le32(tag + 20),
        .height = hx_load_le32(tag + 24),
        .bits_per_pixel = tag[28],
    };
    u64 end;
    /* Type 1 is direct colour; 0 (palette) and 2 (EGA text) are left to the serial line. */
    if (tag[29] != 1 || size < 38 || fb.width == 0 || fb.width > DIMENSION_MAX || fb.height == 0 ||
        fb.height > DIMENSION_MAX ||
        (fb.bits_per_pixel != 16 && fb.bits_per_pixel != 24 && fb.bits_per_pixel != 32) ||
        fb.pitch < fb.width * (fb.bits_per_pixel / 8) || fb.pitch > DIMENSION_MAX * 8 ||
        !hx_add_checked(fb.base, (u64)fb.pitch * fb.height, &end) ||
        !read_channel(tag + 32, fb.bits_per_pixel, &fb.red_shift, &fb.red_bits) ||
        !read_channel(tag + 34, fb.bits_per_pixel, &fb.green_shift, &fb.green_bits) ||
        !read_channel(tag + 36, fb.bits_per_pixel, &fb.blue_shift, &fb.blue_bits)) {
        return;
    }
    info->framebuffer = fb;
}

/* What each tag must have at least; 0 for those that are not read. */
static u32 minimum_size(u32 type)
{
    switch (type) {
    case TAG_CMDLINE:
    case TAG_LOADER:
        return TAG_HEADER + 1;
    case TAG_MODULE:
        return 17;
    case TAG_MMAP:
        return MMAP_HEADER;
    case TAG_FRAMEBUFFER:
        return 31;
    case TAG_ACPI_1:
        return TAG_HEADER + 20;
    case TAG_ACPI_2:
        return TAG_HEADER + 36;
    default:
        return 0;
    }
}

enum hx_status multiboot2_read(struct boot_info *info, const void *mbi, size_t size, u8 *rsdp,
                               size_t *out_rsdp_size)
{
    const u8 *bytes = mbi;
    *out_rsdp_size = 0;
    if (size < TAG_HEADER) {
        return HX_ERR_CORRUPT;
    }
    size = hx_min_u64(size, hx_load_le32(bytes));
    for (size_t at = TAG_HEADER; size >= TAG_HEADER && at <= size - TAG_HEADER;) {
        const u8 *tag = bytes + at;
        u32 type = hx_load_le32(tag), length = hx_load_le32(tag + 4);
        if (type == TAG_END) {
            return HX_OK;
        }
        if (length < TAG_HEADER || length > size - at || length < minimum_size(type)) {
            return HX_ERR_CORRUPT;
        }
        switch (type) {
        case TAG_CMDLINE:
            info->cmdline_cut =
                !copy_string(info->cmdline, BOOT_CMDLINE_MAX, tag, length, TAG_HEADER);
            break;
        case TAG_LOADER:
            HX_IGNORE(copy_string(info->loader, BOOT_NAME_MAX, tag, length, TAG_HEADER),
                      "a cut name is a name");
            break;
        case TAG_MODULE:
            read_module(info, tag, length);
            break;
        case TAG_MMAP:
            if (!read_mmap(info, tag, length)) {
                return HX_ERR_CORRUPT;
            }
            break;
        case TAG_FRAMEBUFFER:
            read_framebuffer(info, tag, length);
            break;
        case TAG_ACPI_1:
        case TAG_ACPI_2:
            if (type == TAG_ACPI_2 || *out_rsdp_size == 0) { /* the newer root wins */
                *out_rsdp_size = type == TAG_ACPI_2 ? 36 : 20;
                memcpy(rsdp, tag + TAG_HEADER, *out_rsdp_size);
            }
            break;
        default:
            break;
        }
        at += hx_align_up(length, 8); /* inv 2; cannot wrap: length <= size <= 1 MiB */
    }
    return HX_ERR_CORRUPT; /* no end tag */
}
