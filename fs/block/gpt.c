/* SPDX-License-Identifier: MIT */
/* GUID partition tables.
 * Owns:      nothing.      Callers: registry.c; a host test and a fuzz target.    Context: any.
 * A table counts only as a whole: signature, sizes, both checksums, every partition inside of what
 * is usable and beside every other. Otherwise the backup at the end of the device is tried.
 * Invariant: (1) no length read from the table is used before it was checked, and no more than
 *            GPT_SCRATCH bytes are read.
 * Spec:      UEFI 2.10, 5.3.2 (header), 5.3.3 (entries).
 */
#include <fs/gpt.h>

#include <helix/bits.h>
#include <helix/string.h>

#define HEADER_BYTES    92
#define REVISION        0x00010000u
#define ENTRY_BYTES     128
#define ENTRY_BYTES_MAX 4096
#define ENTRIES_BYTES   (GPT_PARTITIONS_MAX * ENTRY_BYTES) /* what is read at most */
#define LABEL_UNITS     36

_Static_assert(GPT_SCRATCH >= 4096 + ENTRIES_BYTES, "a header's block and the entries");

/* The checksum of IEEE 802.3, four bits at a time: 160 bytes of table would be a kilobyte
 * otherwise.
 */
static u32 crc32(const u8 *bytes, size_t size)
{
    static const u32 table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                  0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                  0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                  0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    u32 crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

struct header {
    u64 first_usable, last_usable, entries;
    u32 count, entry_bytes, entries_crc;
};

static bool is_zero(const u8 *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i]) {
            return false;
        }
    }
    return true;
}

/* What is wrong with the header in `block`, or NULL. */
static const char *header_check(u8 *block, u32 block_bytes, u64 at, u64 blocks, struct header *out)
{
    u32 size = hx_load_le32(block + 12), crc = hx_load_le32(block + 16);
    if (memcmp(block, "EFI PART", 8) != 0) {
        return "no signature";
    }
    if (hx_load_le32(block + 8) != REVISION || size < HEADER_BYTES || size > block_bytes) {
        return "unknown revision or size of the header";
    }
    memset(block + 16, 0, 4);
    if (crc32(block, size) != crc) {
        return "wrong checksum of the header";
    }
    *out = (struct header){
        .first_usable = hx_load_le64(block + 40),
        .last_usable = hx_load_le64(block + 48),
        .entries = hx_load_le64(block + 72),
        .count = hx_load_le32(block + 80),
        .entry_bytes = hx_load_le32(block + 84),
        .entries_crc = hx_load_le32(block + 88),
    };
    if (hx_load_le64(block + 24) != at) {
        return "the header says that it lies elsewhere";
    }
    if (out->first_usable < 2 || out->first_usable > out->last_usable ||
        out->last_usable >= blocks) {
        return "the usable blocks are not on the device";
    }
    if (out->entry_bytes < ENTRY_BYTES || out->entry_bytes > ENTRY_BYTES_MAX ||
        !hx_is_pow2(out->entry_bytes) || out->count == 0 ||
        (u64)out->count * out->entry_bytes > ENTRIES_BYTES) {
        return "more or larger entries than are read here";
    }
    u64 entry_blocks = ((u64)out->count * out->entry_bytes + block_bytes - 1) / block_bytes;
    if (out->entries < 2 || !hx_range_fits(out->entries, entry_blocks, blocks) ||
        (out->entries <= out->last_usable && out->entries + entry_blocks > out->first_usable)) {
        return "the entries are not on the device, or among the partitions";
    }
    return NULL;
}

/* UTF-16 to UTF-8, cut where it is full; what is no character becomes '?'. */
static void label_read(const u8 *units, char *out)
{
    size_t used = 0;
    for (u32 i = 0; i < LABEL_UNITS; i++) {
        u32 c = hx_load_le16(units + (size_t)2 * i);
        if (c == 0) {
            break;
        }
        c = (c >= 0xd800 && c < 0xe000) || c < 0x20 || c == 0x7f ? '?' : c;
        u32 bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
        if (used + bytes >= GPT_LABEL_MAX) {
            break;
        }
        if (bytes == 1) {
            out[used++] = (char)c;
        } else if (bytes == 2) {
            out[used++] = (char)(0xc0 | c >> 6);
            out[used++] = (char)(0x80 | (c & 63));
        } else {
            out[used++] = (char)(0xe0 | c >> 12);
            out[used++] = (char)(0x80 | (c >> 6 & 63));
            out[used++] = (char)(0x80 | (c & 63));
        }
    }
    out[used] = '\0';
}

static const char *entries_check(const u8 *entries, const struct header *header, struct gpt *out)
{
    if (crc32(entries, (size_t)header->count * header->entry_bytes) != header->entries_crc) {
        return "wrong checksum of the entries";
    }
    for (u32 i = 0; i < header->count; i++) {
        const u8 *entry = entries + (size_t)i * header->entry_bytes;
        if (is_zero(entry, 16)) {
            continue;
        }
        u64 first = hx_load_le64(entry + 32), last = hx_load_le64(entry + 40);
        if (first < header->first_usable || last > header->last_usable || first > last) {
            return "a partition reaches out of what is usable";
        }
        struct gpt_partition *p = &out->partitions[out->count];
        *p = (struct gpt_partition){.first = first, .blocks = last - first + 1, .number = i + 1};
        for (u32 j = 0; j < out->count; j++) {
            const struct gpt_partition *other = &out->partitions[j];
            if (first < other->first + other->blocks && other->first <= last) {
                return "partitions overlap";
            }
        }
        label_read(entry + 56, p->label);
        out->count++;
    }
    return NULL;
}

/* Reads the copy whose header is at block `at`. */
static enum hx_status copy_read(gpt_read_fn *read, void *ctx, u64 blocks, u32 block_bytes, u64 at,
                                u8 *scratch, struct gpt *out, const char **out_problem)
{
    struct header header;
    out->count = 0;
    *out_problem = NULL;
    enum hx_status status = read(ctx, at, 1, scratch);
    if (status != HX_OK) {
        return status;
    }
    *out_problem = header_check(scratch, block_bytes, at, blocks, &header);
    if (*out_problem) {
        return memcmp(scratch, "EFI PART", 8) == 0 ? HX_ERR_CORRUPT : HX_ERR_NOT_FOUND;
    }
    u64 bytes = (u64)header.count * header.entry_bytes;
    status = read(ctx, header.entries, (u32)((bytes + block_bytes - 1) / block_bytes), scratch);
    if (status != HX_OK) {
        return status;
    }
    *out_problem = entries_check(scratch, &header, out);
    return *out_problem ? HX_ERR_CORRUPT : HX_OK;
}

enum hx_status gpt_parse(gpt_read_fn *read, void *ctx, u64 blocks, u32 block_bytes, void *scratch,
                         struct gpt *out)
{
    const char *ignored;
    out->count = 0;
    out->from_backup = false;
    out->problem = NULL;
    if (blocks < 3 || block_bytes < 512 || block_bytes > 4096 || !hx_is_pow2(block_bytes)) {
        return HX_ERR_NOT_FOUND;
    }
    enum hx_status status =
        copy_read(read, ctx, blocks, block_bytes, 1, scratch, out, &out->problem);
    if (status == HX_OK) {
        return HX_OK;
    }
    enum hx_status backup =
        copy_read(read, ctx, blocks, block_bytes, blocks - 1, scratch, out, &ignored);
    if (backup == HX_OK) {
        out->from_backup = true;
        return HX_OK;
    }
    out->count = 0;
    return status;
}
