/* SPDX-License-Identifier: MIT */
/* Operations and transaction groups.
 * Owns:      the open group, the order in which a commit writes.      Callers: every operation,
 * under hfs.lock.     Context: thread; may block. Invariant: (1) blocks reachable from the durable
 * root are never written again.  (2) a commit writes data and nodes, then bitmaps, then flushes,
 * then the root into both labels, then flushes.  (3) a failure before the root is written leaves
 * the group open, to be tried again; a failure from there on freezes the file system, because
 * nobody knows which root the disk holds.   Spec: SPEC.md, "Commit".
 *
 *   open --op_begin/op_end--> open --txg_commit: body--> written --flush--> stable
 *   stable --root to A and B, flush--> durable: the next group opens      (txg_commit)
 *   any of body, flush fails --> open        root or its flush fails --> frozen
 */
#include "hfs_priv.h"
#include <helix/log.h>

#define COMMIT_NODES  24u /* what a commit itself may dirty: paths of the root tree */
#define COMMIT_AGE_NS (5 * HX_NS_PER_SEC)

void freeze(struct hfs *fs, const char *why, enum hx_status status)
{
    if (!fs->frozen) {
        log_error("helixfs", "%s failed: %s; read-only from here, mount again", why,
                  hx_status_words(status));
        fs->frozen = true;
    }
}

struct hfs_unstable *unstable_new(u32 blocks)
{
    struct hfs_unstable *u = os_alloc(sizeof(*u));
    if (u != NULL) {
        u->blocks = blocks;
        u->data = os_alloc((size_t)blocks * HFS_BLOCK);
        if (u->data == NULL) {
            os_free(u);
            u = NULL;
        }
    }
    return u;
}

void unstable_free(struct hfs_unstable *u)
{
    os_free(u->data);
    os_free(u);
}

void unstable_add(struct hfs *fs, struct hfs_unstable *u, u64 addr)
{
    u->addr = addr;
    list_add_tail(&fs->unstable, &u->link);
    fs->unstable_blocks += u->blocks;
}

void unstable_drop(struct hfs *fs)
{
    while (!list_is_empty(&fs->unstable)) {
        struct hfs_unstable *u = LIST_FIRST(&fs->unstable, struct hfs_unstable, link);
        list_remove(&u->link);
        unstable_free(u);
    }
    fs->unstable_blocks = 0;
}

/* After a flush that failed a device may have dropped anything written since the last good one. */
static enum hx_status unstable_rewrite(struct hfs *fs)
{
    struct hfs_unstable *u;
    LIST_FOREACH (&fs->unstable, u, link) {
        enum hx_status status = bdev_write(fs->dev, u->addr, u->blocks, u->data);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

enum hx_status dev_flush(struct hfs *fs)
{
    enum hx_status status = fs->flush_failed ? unstable_rewrite(fs) : HX_OK;
    if (status == HX_OK) {
        status = bdev_flush(fs->dev);
    }
    fs->flush_failed = status != HX_OK;
    if (status == HX_OK) {
        unstable_drop(fs);
    }
    return status;
}

/* Nodes that a change of so many paths may add: each level of the path once, and once more where
 * it splits; the same in the root tree when freed blocks become dead records. */
static u64 paths_cost(const struct hfs *fs, const struct hfs_subvol *sv, u32 paths)
{
    u32 levels = sv != NULL ? sv->tree.levels : 1;
    u64 cost = (u64)paths * (2 * levels + 1);
    if (sv != NULL && sv->d.prev_birth != 0) {
        cost += (u64)paths * (2 * fs->root.levels + 1);
    }
    return cost;
}

/* What writing back the dirty pages may take: each may sit in a leaf of its own, which may split.
 */
static u64 pages_cost(const struct hfs *fs)
{
    return fs->page_count == 0 ? 0 : 2ull * fs->page_count + 8;
}

static u64 tier_floor(const struct hfs *fs, enum hfs_tier tier)
{
    switch (tier) {
    case TIER_NORMAL:
        return fs->space.slop_quads;
    case TIER_DELETE:
        return fs->space.slop_quads / 4;
    case TIER_REPLAY:
        break;
    }
    return 0;
}

static bool commit_is_due(const struct hfs *fs)
{
    return fs->dirty_count > fs->dirty_limit || fs->page_count > fs->page_limit || log_is_full(fs);
}

enum hx_status op_begin(struct hfs *fs, struct hfs_subvol *sv, u32 paths, u32 blocks,
                        enum hfs_tier tier)
{
    if (fs->frozen || (fs->read_only && !fs->log.replaying) ||
        (sv != NULL && (sv->d.flags & HFS_SV_SNAPSHOT) != 0)) {
        return HX_ERR_READ_ONLY;
    }
    enum hx_status status;
    if (commit_is_due(fs) && !fs->log.replaying) {
        status = txg_commit(fs);
        if (status != HX_OK) {
            return status;
        }
    }
    u64 nodes =
        paths_cost(fs, sv, paths) + blocks / 8; /* the pages of one operation lie together */
    /* Two commits give back what was freed: the first makes it unused, the second lets it go. */
    for (u32 attempt = 0;; attempt++) {
        u64 all = nodes + pages_cost(fs) + COMMIT_NODES / fs->super.copies;
        if (space_fits(fs, all, blocks + fs->page_count, tier_floor(fs, tier))) {
            break;
        }
        if (fs->log.replaying || attempt == 3 || (!fs->changed && fs->space.pinned == 0)) {
            return HX_ERR_NO_SPACE;
        }
        fs->changed = true;
        status = txg_commit(fs);
        if (status != HX_OK) {
            return status;
        }
    }
    fs->touched = false;
    return node_pool_fill(fs, (u32)hx_min_u64(nodes, 32));
}

enum hx_status op_end(struct hfs *fs, enum hx_status status)
{
    if (status == HX_OK) {
        status = dead_flush(fs);
    }
    if (status != HX_OK && fs->touched) {
        fs->dead_count = 0;
        freeze(fs, "an operation half done", status);
    }
    if (fs->changed && fs->opened_ns == 0) {
        fs->opened_ns = os_time_ns();
    }
    return status;
}

/* Every file's pending bytes go to new blocks and into the trees. */
static enum hx_status writeback_all(struct hfs *fs)
{
    while (!list_is_empty(&fs->dirty_inodes)) {
        struct hfs_inode *inode = LIST_FIRST(&fs->dirty_inodes, struct hfs_inode, dirty_link);
        inode->refs++;
        enum hx_status status = file_order(inode);
        if (status == HX_OK) {
            status = file_writeback(inode);
        }
        inode_put(inode);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status write_trees(struct hfs *fs)
{
    struct hfs_subvol *sv;
    LIST_FOREACH (&fs->subvols, sv, link) {
        enum hx_status status = HX_OK;
        if (sv->tree.root.birth == fs->txg && sv->tree.levels > 0) {
            status = tree_write(&sv->tree);
            sv->dirty = true;
        }
        if (status == HX_OK && (sv->dirty || sv->tree.root.addr != sv->d.root.addr)) {
            status = subvol_store(sv);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    return tree_write(&fs->root);
}

static void uber_build(struct hfs *fs, struct hfs_uber *uber)
{
    uber->txg = fs->txg;
    uber->time_ns = os_time_ns();
    uber->root = fs->root.root;
    uber->root_levels = fs->root.levels;
    uber->op_seq = fs->log.op_seq;
    uber->log_seq = fs->log.seq;
    uber->log_pos = fs->log.pos;
    uber->log_chain = fs->log.chain;
}

static enum hx_status commit_body(struct hfs *fs)
{
    enum hx_status status = write_trees(fs);
    if (status == HX_OK) {
        memcpy(fs->new_uber, fs->uber, HFS_BLOCK);
        uber_build(fs, fs->new_uber);
        fs->new_uber->next_subvol = fs->next_subvol;
        status = space_write(fs, fs->new_uber);
    }
    if (status == HX_OK) {
        status = dev_flush(fs);
    }
    return status;
}

enum hx_status txg_commit(struct hfs *fs)
{
    if (fs->frozen || fs->read_only) {
        return HX_ERR_READ_ONLY;
    }
    if (!fs->changed) {
        return HX_OK;
    }
    fs->in_commit = true;
    enum hx_status status = node_pool_fill(fs, COMMIT_NODES);
    if (status == HX_OK) {
        status = writeback_all(fs);
    }
    if (status == HX_OK) {
        status = commit_body(fs);
    }
    if (status == HX_OK) {
        status = uber_write(fs, fs->new_uber);
        if (status == HX_OK) {
            status = bdev_flush(fs->dev);
        }
        if (status != HX_OK) {
            freeze(fs, "switching roots", status); /* inv 3 */
        }
    }
    if (status == HX_OK) {
        struct hfs_uber *old = fs->uber;
        fs->uber = fs->new_uber;
        fs->new_uber = old;
        space_committed(fs, fs->uber);
        node_committed(fs);
        log_committed(fs);
        subvol_trim(fs);
        fs->txg++;
        fs->changed = false;
        fs->opened_ns = 0;
    }
    fs->in_commit = false;
    return status;
}

enum hx_status hfs_sync(struct hfs *fs)
{
    os_mutex_acquire(fs->lock);
    enum hx_status status = fs->read_only ? HX_OK : txg_commit(fs);
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_tick(struct hfs *fs)
{
    os_mutex_acquire(fs->lock);
    enum hx_status status = HX_OK;
    if (!fs->read_only && !fs->frozen && fs->opened_ns != 0 &&
        os_time_ns() - fs->opened_ns > (s64)COMMIT_AGE_NS) {
        status = txg_commit(fs);
    }
    os_mutex_release(fs->lock);
    return status;
}
