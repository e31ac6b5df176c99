/* SPDX-License-Identifier: MIT */
/* Any bytes as a partition table: whatever gpt_parse() accepts lies on the device and does not
 * overlap, and no read leaves it. The input is the header and the entries; unless its first byte is
 * odd, both checksums are made right, so that what follows them is reached.
 */
#include <fs/gpt.h>
#include <helix/panic.h>
#include <string.h>

#define BLOCKS 4096u
#define BYTES  512u
#define HEADER 92u

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static u8 disk[BLOCKS * BYTES];

static enum hx_status read_blocks(void *ctx, u64 block, u32 count, void *buffer)
{
    (void)ctx;
    HX_ASSERT(block < BLOCKS && count > 0 && count <= BLOCKS - block);
    HX_ASSERT((u64)count * BYTES <= GPT_SCRATCH);
    memcpy(buffer, disk + block * BYTES, (size_t)count * BYTES);
    return HX_OK;
}

static u32 crc(const u8 *bytes, size_t size)
{
    u32 value = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        value ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            value = value >> 1 ^ (0xedb88320u & -(value & 1));
        }
    }
    return ~value;
}

static void sign(void)
{
    u8 *header = disk + BYTES;
    u64 at;
    u32 count, bytes, size, sum, zero = 0;
    memcpy(header, "EFI PART\0\0\1\0", 12);
    memcpy(&at, header + 72, 8);
    memcpy(&count, header + 80, 4);
    memcpy(&bytes, header + 84, 4);
    memcpy(&size, header + 12, 4);
    u64 total = (u64)count * bytes;
    if (at < BLOCKS && total <= (BLOCKS - at) * BYTES) {
        sum = crc(disk + at * BYTES, total);
        memcpy(header + 88, &sum, 4);
    }
    if (size <= BYTES) {
        memcpy(header + 16, &zero, 4);
        sum = crc(header, size);
        memcpy(header + 16, &sum, 4);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static u8 scratch[GPT_SCRATCH];
    static struct gpt gpt;
    static const u64 self = 1, first = 34, last = BLOCKS - 34, entries = 2;
    static const u32 words[] = {HEADER, 0, 0, 128, 128};
    if (size < 1) {
        return 0;
    }
    memset(disk, 0, 40 * BYTES);
    u8 *header = disk + BYTES;
    memcpy(header + 12, &words[0], 4);
    memcpy(header + 24, &self, 8);
    memcpy(header + 40, &first, 8);
    memcpy(header + 48, &last, 8);
    memcpy(header + 72, &entries, 8);
    memcpy(header + 80, &words[3], 8);
    bool honest = !(data[0] & 1), keeps_header = data[0] & 2;
    data++;
    size--;
    for (size_t i = 0; i < size && i < 36 * BYTES; i++) {
        if (keeps_header) {
            disk[2 * BYTES + i] = data[i];
        } else {
            disk[BYTES + i] ^= data[i];
        }
    }
    if (honest) {
        sign();
    }
    if (gpt_parse(read_blocks, NULL, BLOCKS, BYTES, scratch, &gpt) != HX_OK) {
        return 0;
    }
    HX_ASSERT(gpt.count <= GPT_PARTITIONS_MAX);
    for (u32 i = 0; i < gpt.count; i++) {
        const struct gpt_partition *p = &gpt.partitions[i];
        HX_ASSERT(p->blocks > 0 && p->first < BLOCKS && p->blocks <= BLOCKS - p->first);
        HX_ASSERT(memchr(p->label, 0, GPT_LABEL_MAX) != NULL);
        for (u32 j = 0; j < i; j++) {
            const struct gpt_partition *q = &gpt.partitions[j];
            HX_ASSERT(p->first >= q->first + q->blocks || q->first >= p->first + p->blocks);
        }
    }
    return 0;
}
