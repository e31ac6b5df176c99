/* SPDX-License-Identifier: MIT */
/* Making, mounting and unmounting.
 * Owns:      struct hfs.      Callers: whoever mounts.      Context: thread; may block.
 * Invariant: (1) a mount that fails wrote nothing.  (2) the root used is the newest whose tree has
 * an intact root node; the log is replayed on it; the commit that follows is the first write. Spec:
 * SPEC.md, "Mount".
 */
#include "hfs_priv.h"
#include <helix/log.h>

#define CACHE_DEFAULT HX_MIB(8)
#define CACHE_MIN     HX_KIB(256)

static void fs_free(struct hfs *fs)
{
    if (fs == NULL) {
        return;
    }
    void *buffers[] = {fs->uber,  fs->new_uber, fs->inodes, fs->pages, fs->dead,   fs->item,
                       fs->item2, fs->item3,    fs->sealed, fs->plain, fs->scratch};
    if (fs->lock != NULL) {
        os_mutex_destroy(fs->lock);
    }
    log_fini(fs);
    codec_fini(fs);
    for (u32 i = 0; i < HX_ARRAY_SIZE(buffers); i++) {
        os_free(buffers[i]);
    }
    if (fs->secret != NULL) {
        memset(fs->secret, 0, fs->key.len);
        hx_compiler_barrier();
        os_free(fs->secret);
    }
    os_free(fs);
}

static void *zeroed(size_t size)
{
    void *p = os_alloc(size);
    if (p != NULL) {
        memset(p, 0, size);
    }
    return p;
}

static enum hx_status buffers_alloc(struct hfs *fs)
{
    fs->lock = os_mutex_create();
    fs->uber = zeroed(HFS_BLOCK);
    fs->new_uber = zeroed(HFS_BLOCK);
    fs->inodes = zeroed(HFS_INODE_HASH * sizeof(*fs->inodes));
    fs->pages = zeroed(HFS_PAGE_HASH * sizeof(*fs->pages));
    fs->dead = os_alloc(HFS_DEAD_QUEUE * sizeof(*fs->dead));
    fs->item = zeroed(HFS_ITEM_MAX);
    fs->item2 = zeroed(HFS_ITEM_MAX);
    fs->item3 = zeroed(HFS_ITEM_MAX);
    fs->sealed = os_alloc(HFS_SEALED_BYTES);
    fs->plain = os_alloc(HFS_SEALED_BYTES);
    fs->scratch = os_alloc(HFS_NODE);
    bool good = fs->lock != NULL && fs->uber != NULL && fs->new_uber != NULL &&
                fs->inodes != NULL && fs->pages != NULL && fs->dead != NULL && fs->item != NULL &&
                fs->item2 != NULL && fs->item3 != NULL && fs->sealed != NULL && fs->plain != NULL &&
                fs->scratch != NULL;
    return good ? HX_OK : HX_ERR_NO_MEMORY;
}

/* The mount keeps its own copy of the secret: keys of further subvolumes are unwrapped later. */
static enum hx_status key_keep(struct hfs *fs)
{
    if (fs->opts.key == NULL) {
        return HX_OK;
    }
    fs->key = *fs->opts.key;
    fs->secret = os_alloc(fs->key.len > 0 ? fs->key.len : 1);
    if (fs->secret == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    memcpy(fs->secret, fs->key.secret, fs->key.len);
    fs->key.secret = fs->secret;
    fs->opts.key = &fs->key;
    return HX_OK;
}

/* Everything in memory but the cache, for a device with that superblock and root. */
static enum hx_status fs_new(struct bdev *dev, const struct hfs_mount_opts *opts,
                             const struct hfs_super *super, struct hfs **out)
{
    struct hfs *fs = zeroed(sizeof(*fs));
    if (fs == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    fs->dev = dev;
    fs->opts = *opts;
    fs->super = *super;
    struct list_node *lists[] = {&fs->dirty_nodes,    &fs->pool,          &fs->subvols,
                                 &fs->dirty_inodes,   &fs->unstable,      &fs->space.groups,
                                 &fs->space.pages[0], &fs->space.pages[1]};
    for (u32 i = 0; i < HX_ARRAY_SIZE(lists); i++) {
        list_init(lists[i]);
    }
    os_random(fs->nonce, sizeof(fs->nonce));
    u64 cache = hx_max_u64(CACHE_MIN, opts->cache_bytes != 0 ? opts->cache_bytes : CACHE_DEFAULT);
    fs->dirty_limit = (u32)hx_max_u64(cache / 2 / HFS_NODE, 8);
    fs->page_limit = (u32)hx_max_u64(cache / 2 / HFS_BLOCK, 32);
    enum hx_status status = buffers_alloc(fs);
    if (status == HX_OK) {
        status = key_keep(fs);
    }
    if (status == HX_OK) {
        status = codec_init(fs);
    }
    if (status == HX_OK) {
        status = arc_init(&fs->arc, cache, node_evict);
    }
    if (status != HX_OK) {
        fs_free(fs);
        return status;
    }
    *out = fs;
    return HX_OK;
}

void fs_close(struct hfs *fs)
{
    inodes_drop_all(fs);
    subvol_forget_all(fs);
    unstable_drop(fs);
    node_abandon(fs);
    node_pool_drain(fs);
    arc_fini(&fs->arc);
    space_fini(fs);
    fs_free(fs);
}

/* Takes a root for the durable one. */
static void root_use(struct hfs *fs, const struct hfs_uber *uber)
{
    memcpy(fs->uber, uber, HFS_BLOCK);
    fs->txg = uber->txg + 1;
    fs->next_subvol = uber->next_subvol;
    fs->root = (struct hfs_tree){.fs = fs, .root = uber->root, .levels = uber->root_levels};
}

/* Is the tree that a root names there, as far as its root node? */
static enum hx_status root_try(struct hfs *fs, const struct hfs_uber *uber)
{
    root_use(fs, uber);
    if (!bptr_is_sane(fs, &fs->root.root, fs->root.levels)) {
        return HX_ERR_CORRUPT;
    }
    struct node_expect expect = {
        .ptr = &fs->root.root, .level = fs->root.levels - 1, .high = hfs_key_max};
    struct hfs_node *node;
    enum hx_status status = node_get(&fs->root, &expect, &node);
    if (status == HX_OK) {
        node_put(fs, node);
    }
    return status;
}

/* The newest root that is intact; ring holds both. */
static enum hx_status root_find(struct hfs *fs, const u8 *ring)
{
    u64 below = ~0ull;
    enum hx_status answer = HX_ERR_CORRUPT;
    for (;;) {
        const struct hfs_uber *best = NULL;
        for (u32 i = 0; i < 2 * HFS_RING; i++) {
            const struct hfs_uber *uber = (const void *)(ring + i * (size_t)HFS_BLOCK);
            if (uber_check(&fs->super, uber) && uber->txg < below &&
                (best == NULL || uber->txg > best->txg)) {
                best = uber;
            }
        }
        if (best == NULL) {
            return answer;
        }
        enum hx_status status = root_try(fs, best);
        if (status == HX_OK) {
            return HX_OK;
        }
        if (status == HX_ERR_NO_MEMORY || status == HX_ERR_IO) {
            answer = status;
        }
        log_warn("helixfs", "the root of group %lu is damaged (%s): falling back to the one before",
                 best->txg, hx_status_name(status));
        below = best->txg;
    }
}

static enum hx_status mount_log(struct hfs *fs)
{
    enum hx_status status = log_init(fs);
    if (status == HX_OK) {
        status = log_replay(fs, &fs->replayed);
    }
    if (status != HX_OK || !fs->replayed) {
        return status;
    }
    if (fs->read_only) {
        return HX_OK;
    }
    return txg_commit(fs);
}

/* Label, buffers and the newest intact root; nothing is written (inv 1: no repairs either before
 * the mount has succeeded). fs->read_only is set. */
enum hx_status fs_open_committed(struct bdev *dev, const struct hfs_mount_opts *opts,
                                 struct hfs **out)
{
    u8 *ring = os_alloc(2 * HFS_RING * (size_t)HFS_BLOCK);
    if (ring == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    struct hfs_super super;
    struct hfs *fs = NULL;
    enum hx_status status = label_read(dev, &super, ring);
    if (status == HX_OK) {
        status = fs_new(dev, opts, &super, &fs);
    }
    if (status == HX_OK) {
        fs->read_only = true;
        status = root_find(fs, ring);
        if (status == HX_OK) {
            space_init(fs);
            *out = fs;
        } else {
            fs_close(fs);
        }
    }
    os_free(ring);
    return status;
}

enum hx_status hfs_mount(struct bdev *dev, const struct hfs_mount_opts *opts, struct hfs **out_fs)
{
    static const struct hfs_mount_opts defaults;
    opts = opts != NULL ? opts : &defaults;
    struct hfs *fs;
    enum hx_status status = fs_open_committed(dev, opts, &fs);
    if (status != HX_OK) {
        return status;
    }
    fs->read_only = (opts->flags & HFS_MOUNT_RDONLY) != 0 || dev->read_only ||
                    (fs->super.ro_compat & ~HFS_RO_COMPAT_KNOWN) != 0;
    status = mount_log(fs);
    if (status == HX_OK && !fs->read_only) {
        status = subvol_reap(fs);
    }
    if (status != HX_OK) {
        fs_close(fs);
        return status;
    }
    *out_fs = fs;
    return HX_OK;
}

void hfs_abandon(struct hfs *fs)
{
    fs_close(fs);
}

enum hx_status hfs_unmount(struct hfs *fs)
{
    os_mutex_acquire(fs->lock);
    enum hx_status status = fs->read_only ? HX_OK : fs->frozen ? HX_ERR_IO : txg_commit(fs);
    os_mutex_release(fs->lock);
    fs_close(fs);
    return status;
}

void hfs_statfs(struct hfs *fs, struct hfs_stat *out)
{
    os_mutex_acquire(fs->lock);
    u64 kept = fs->space.slop_quads * HFS_NODE_BLOCKS + fs->page_count;
    u64 free = fs->space.free + fs->space.pinned;
    *out = (struct hfs_stat){.blocks = fs->super.blocks,
                             .free = free,
                             .available = free > kept ? free - kept : 0,
                             .txg = fs->txg,
                             .frozen = fs->frozen,
                             .read_only = fs->read_only,
                             .replayed = fs->replayed,
                             .cache_hits = fs->arc.hits,
                             .cache_misses = fs->arc.misses,
                             .cache_bytes = fs->arc.resident};
    memcpy(out->uuid, fs->super.uuid, sizeof(out->uuid));
    memcpy(out->label, fs->super.label, sizeof(out->label));
    os_mutex_release(fs->lock);
}

/* Making one */

static enum hx_status super_build(const struct bdev *dev, const struct hfs_mkfs_opts *opts,
                                  struct hfs_super *s)
{
    u64 blocks = opts->blocks != 0 ? opts->blocks : dev->blocks;
    u32 copies = opts->copies != 0 ? opts->copies : 2;
    if (blocks < HFS_MIN_BLOCKS || blocks > dev->blocks || copies > 2 || opts->alg > HFS_ALG_ZSTD ||
        opts->alg_level > 3) {
        return HX_ERR_INVALID;
    }
    *s = (struct hfs_super){.magic = HFS_MAGIC_SUPER,
                            .version = HFS_VERSION,
                            .copies = copies,
                            .blocks = blocks,
                            .label_b = label_b_block(blocks),
                            .log_start = HFS_LABEL_BLOCKS + HFS_GROUP_HEAD_LONG,
                            .log_blocks = opts->log_blocks,
                            .created_ns = os_time_ns()};
    if (s->log_blocks == 0) {
        s->log_blocks = hx_min_u64(hx_max_u64(blocks / 64, 256), HFS_GROUP / 2);
    }
    s->log_blocks = hx_align_up(s->log_blocks, HFS_NODE_BLOCKS);
    if (opts->uuid != NULL) {
        memcpy(s->uuid, opts->uuid, sizeof(s->uuid));
    } else {
        os_random(s->uuid, sizeof(s->uuid));
    }
    s->fsid = hx_load_le64(s->uuid);
    os_random(s->hash_key, sizeof(s->hash_key));
    if (opts->label != NULL && !str_copy(s->label, opts->label, sizeof(s->label))) {
        return HX_ERR_INVALID;
    }
    s->incompat |= opts->alg != HFS_ALG_NONE ? HFS_INCOMPAT_LZ4 : 0;
    s->incompat |= opts->alg == HFS_ALG_ZSTD ? HFS_INCOMPAT_ZSTD : 0;
    s->incompat |= opts->key != NULL ? HFS_INCOMPAT_ENCRYPT : 0;
    return HX_OK;
}

/* Both labels with empty rings. */
static enum hx_status labels_write(struct bdev *dev, struct hfs_super *super)
{
    u8 *label = zeroed((1 + HFS_RING) * (size_t)HFS_BLOCK);
    if (label == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    super_seal(super, label);
    struct hfs_super again;
    enum hx_status status = super_check(label, dev->blocks, &again);
    if (status != HX_OK) {
        status = HX_ERR_INVALID; /* the options make no file system */
    }
    if (status == HX_OK) {
        status = bdev_write(dev, super->label_b, 1 + HFS_RING, label);
    }
    if (status == HX_OK) {
        status = bdev_write(dev, 0, 1 + HFS_RING, label);
    }
    os_free(label);
    return status;
}

/* A root from before the first group: nothing is in use but what the format fixes. */
static void root_blank(struct hfs *fs)
{
    struct hfs_uber *uber = fs->uber;
    u32 groups = space_group_count(fs->super.blocks);
    *uber = (struct hfs_uber){.magic = HFS_MAGIC_UBER,
                              .version = HFS_VERSION,
                              .fsid = fs->super.fsid,
                              .next_subvol = HFS_SUBVOL_FIRST + 1,
                              .log_seq = 1};
    /* A log left over from before must not fit this root, even with a uuid used again. */
    os_random(&uber->log_chain, sizeof(uber->log_chain));
    uber->top_count = (groups + HFS_FANOUT * HFS_FANOUT - 1) / (HFS_FANOUT * HFS_FANOUT);
    for (u32 g = 0; g < groups; g++) {
        u64 free, quads;
        struct hfs_space_entry *e = &uber->top[g / (HFS_FANOUT * HFS_FANOUT)];
        space_fresh_count(&fs->super, g, &free, &quads);
        e->slot = HFS_SLOT_FRESH;
        e->free += free;
        e->quads += quads;
        uber->free += free;
        uber->quads += quads;
    }
    fs->txg = 1;
    fs->next_subvol = uber->next_subvol;
    fs->root = (struct hfs_tree){.fs = fs};
}

/* The first subvolume's record, its key and its name. */
static enum hx_status first_subvol(struct hfs *fs, const struct hfs_mkfs_opts *opts)
{
    struct hfs_key key = {HFS_SUBVOL_FIRST, HFS_ROOT_SUBVOL, 0};
    struct hfs_dsubvol d = {.chain = HFS_SUBVOL_FIRST,
                            .next_ino = HFS_INO_ROOT + 1,
                            .created_ns = os_time_ns(),
                            .alg = opts->alg,
                            .alg_level = opts->alg_level != 0 ? opts->alg_level : 1,
                            .name = "main"};
    enum hx_status status = HX_OK;
    if (opts->key != NULL) {
        d.flags = HFS_SV_ENCRYPTED;
        d.key_owner = HFS_SUBVOL_FIRST;
        struct hfs_key slot_key = {HFS_SUBVOL_FIRST, HFS_ROOT_KEY, 0};
        struct hfs_dkey slot;
        u8 dek[32];
        os_random(dek, sizeof(dek));
        status = crypt_wrap(fs, fs->super.fsid, HFS_SUBVOL_FIRST, opts->key, dek, &slot);
        if (status == HX_OK) {
            status = tree_put(&fs->root, &slot_key, &slot, sizeof(slot));
        }
    }
    if (status == HX_OK) {
        status = tree_put(&fs->root, &key, &d, sizeof(d));
    }
    if (status == HX_OK) {
        struct hfs_key name = {name_hash(fs, d.name, strlen(d.name)), HFS_ROOT_NAME,
                               HFS_SUBVOL_FIRST};
        status = tree_put(&fs->root, &name, NULL, 0);
    }
    return status;
}

static enum hx_status root_dir(struct hfs *fs)
{
    struct hfs_subvol *sv;
    enum hx_status status = subvol_load(fs, HFS_SUBVOL_FIRST, &sv);
    if (status != HX_OK) {
        return status;
    }
    s64 now = os_time_ns();
    struct hfs_key key = {HFS_INO_ROOT, HFS_KIND_INODE, 0};
    struct hfs_dinode d = {.parent = HFS_INO_ROOT,
                           .mode = HFS_IFDIR | 0755,
                           .nlink = 2,
                           .atime_ns = now,
                           .mtime_ns = now,
                           .ctime_ns = now,
                           .btime_ns = now};
    status = tree_put(&sv->tree, &key, &d, sizeof(d));
    subvol_put(sv);
    return status;
}

enum hx_status hfs_mkfs(struct bdev *dev, const struct hfs_mkfs_opts *opts)
{
    static const struct hfs_mkfs_opts defaults;
    opts = opts != NULL ? opts : &defaults;
    struct hfs_super super;
    struct hfs *fs = NULL;
    enum hx_status status = super_build(dev, opts, &super);
    if (status == HX_OK) {
        status = labels_write(dev, &super);
    }
    if (status != HX_OK) {
        return status;
    }
    struct hfs_mount_opts mount = {.key = opts->key};
    status = fs_new(dev, &mount, &super, &fs);
    if (status != HX_OK) {
        return status;
    }
    root_blank(fs);
    status = log_init(fs);
    if (status == HX_OK) {
        space_init(fs);
        status = first_subvol(fs, opts);
    }
    if (status == HX_OK) {
        status = root_dir(fs);
    }
    if (status == HX_OK) {
        status = txg_commit(fs);
    }
    fs_close(fs);
    return status;
}
