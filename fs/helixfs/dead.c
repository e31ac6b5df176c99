/* SPDX-License-Identifier: MIT */
/* What becomes of a block that a live tree lets go.
 * Owns:      hfs.dead, a queue in memory; the HFS_OID_DEAD items of the root tree.
 * Callers:   tree.c, node.c, file.c.      Context: thread, under hfs.lock; may block.
 * Invariant: (1) of a chain's blocks, those born after its newest snapshot are free when the live
 *            tree lets go, those born before it become dead records, those born up to a clone's
 *            floor are its origin's and none of its business.  (2) a dead record {birth, death}
 * says that snapshots S with birth <= S.birth < death use the block, and at least one does. (3) the
 * queue is empty between operations.   Spec: SPEC.md, "Dead blocks".
 *
 * One record per run and one list per chain, sorted by birth: destroying a snapshot looks only at
 * the births between its predecessor and itself, and nothing is ever moved from one list to
 * another. The queue is there because letting go of a node happens inside a change of one tree, and
 * the record belongs into another: without it the tree code would have to call itself.
 */
#include "hfs_priv.h"

enum hx_status dead_free(struct hfs *fs, struct hfs_subvol *sv, u64 addr, u64 len, u64 birth,
                         bool node)
{
    fs->changed = fs->touched = true;
    if (sv == NULL || birth > sv->d.prev_birth) {
        /* Data of the open group may be named by the log on the device already, so only nodes are
         * used again within it. */
        return space_free(fs, addr, len, node && birth == fs->txg);
    }
    if (birth <= sv->d.floor) {
        return HX_OK;
    }
    if (fs->dead_count == HFS_DEAD_QUEUE) {
        return HX_ERR_LIMIT;
    }
    fs->dead[fs->dead_count++] =
        (struct dead_entry){.chain = sv->d.chain, .birth = birth, .addr = addr, .len = len};
    return HX_OK;
}

enum hx_status dead_flush(struct hfs *fs)
{
    while (fs->dead_count > 0) {
        struct dead_entry entry = fs->dead[--fs->dead_count];
        struct hfs_key key = {HFS_OID_DEAD | entry.chain, entry.birth, entry.addr};
        struct hfs_dead value = {.death = fs->txg, .len = entry.len};
        enum hx_status status = tree_put(&fs->root, &key, &value, sizeof(value));
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}
