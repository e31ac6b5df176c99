/* SPDX-License-Identifier: MIT */
/* The two labels: superblock and ring of roots.
 * Owns:      blocks [0, HFS_LABEL_BLOCKS) and as many near the end.    Callers: mount.c, txg.c,
 * mkfs.c. Context:   thread; may block. Invariant: (1) the root of group N goes to slot N %
 * HFS_RING of both labels, after a flush that made its tree durable, and is durable itself after
 * the next.  (2) superblocks are written at mkfs only.   Spec: SPEC.md, "Labels".
 */
#include "hfs_priv.h"

static u32 block_crc(const void *block, u32 crc_offset)
{
    static const u8 zero[4];
    const u8 *b = block;
    u32 crc = os_crc32c(0, b, crc_offset);
    crc = os_crc32c(crc, zero, sizeof(zero));
    return os_crc32c(crc, b + crc_offset + 4, HFS_BLOCK - crc_offset - 4);
}

u64 label_b_block(u64 dev_blocks)
{
    return hx_align_down(dev_blocks - HFS_LABEL_BLOCKS, HFS_NODE_BLOCKS);
}

void super_seal(struct hfs_super *super, u8 *block)
{
    memset(block, 0, HFS_BLOCK);
    super->crc = 0;
    memcpy(block, super, sizeof(*super));
    super->crc = block_crc(block, offsetof(struct hfs_super, crc));
    memcpy(block, super, sizeof(*super));
}

enum hx_status super_check(const u8 *block, u64 dev_blocks, struct hfs_super *out)
{
    struct hfs_super s;
    memcpy(&s, block, sizeof(s));
    if (s.magic != HFS_MAGIC_SUPER || block_crc(block, offsetof(struct hfs_super, crc)) != s.crc) {
        return HX_ERR_INVALID;
    }
    if (s.version != HFS_VERSION || (s.incompat & ~HFS_INCOMPAT_KNOWN) != 0) {
        return HX_ERR_NOT_SUPPORTED;
    }
    if (s.blocks < HFS_MIN_BLOCKS || s.blocks > dev_blocks ||
        s.blocks > (u64)HFS_TOP_MAX * HFS_FANOUT * HFS_FANOUT * HFS_GROUP ||
        s.label_b != label_b_block(s.blocks) || s.copies < 1 || s.copies > 2 ||
        s.log_start != HFS_LABEL_BLOCKS + HFS_GROUP_HEAD_LONG ||
        s.log_blocks < 2 * HFS_LOG_ENTRY_MAX / HFS_BLOCK || s.log_blocks > HFS_GROUP / 2 ||
        s.log_start + s.log_blocks > s.label_b || s.fsid != hx_load_le64(s.uuid) ||
        s.label[sizeof(s.label) - 1] != '\0') {
        return HX_ERR_CORRUPT;
    }
    *out = s;
    return HX_OK;
}

void uber_seal(struct hfs_uber *uber)
{
    uber->crc = block_crc(uber, offsetof(struct hfs_uber, crc));
}

bool uber_check(const struct hfs_super *super, const struct hfs_uber *uber)
{
    if (uber->magic != HFS_MAGIC_UBER || uber->fsid != super->fsid ||
        uber->version != HFS_VERSION ||
        block_crc(uber, offsetof(struct hfs_uber, crc)) != uber->crc) {
        return false;
    }
    u32 groups = space_group_count(super->blocks);
    u32 tops = (groups + HFS_FANOUT * HFS_FANOUT - 1) / (HFS_FANOUT * HFS_FANOUT);
    return uber->txg != 0 && uber->top_count == tops && uber->log_pos < super->log_blocks &&
           uber->root_levels >= 1 && uber->root_levels <= HFS_LEVELS_MAX &&
           uber->root.birth <= uber->txg;
}

enum hx_status uber_write(struct hfs *fs, struct hfs_uber *uber)
{
    uber_seal(uber);
    u64 slot = 1 + uber->txg % HFS_RING;
    enum hx_status a = bdev_write(fs->dev, slot, 1, uber);
    enum hx_status b = bdev_write(fs->dev, fs->super.label_b + slot, 1, uber);
    return a != HX_OK ? a : b;
}

enum hx_status label_read(struct bdev *dev, struct hfs_super *super, u8 *ring)
{
    u8 *block = os_alloc((size_t)(1 + HFS_RING) * HFS_BLOCK);
    if (block == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status found = HX_ERR_INVALID;
    memset(ring, 0, 2 * HFS_RING * (size_t)HFS_BLOCK);
    u64 at[2] = {0, dev->blocks >= HFS_MIN_BLOCKS ? label_b_block(dev->blocks) : 0};
    for (u32 i = 0; i < 2; i++) {
        if (i == 1 && found == HX_OK) {
            at[1] = super->label_b; /* smaller than the device, perhaps */
        }
        enum hx_status status = bdev_read(dev, at[i], 1 + HFS_RING, block);
        if (status == HX_OK) {
            memcpy(ring + i * HFS_RING * (size_t)HFS_BLOCK, block + HFS_BLOCK,
                   HFS_RING * (size_t)HFS_BLOCK);
            struct hfs_super s;
            status = super_check(block, dev->blocks, &s);
            if (status == HX_OK && found != HX_OK) {
                *super = s;
            }
        }
        /* The better of the two answers; that there is none says less than why. */
        if (found != HX_OK && (status == HX_OK || found == HX_ERR_INVALID)) {
            found = status;
        }
    }
    os_free(block);
    return found;
}
