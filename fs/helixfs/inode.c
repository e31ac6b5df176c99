/* SPDX-License-Identifier: MIT */
/* Inodes in memory, their attributes, and their end.
 * Owns:      hfs.inodes, the ORPHAN and INODE items.     Callers: dir.c, file.c, xattr.c, replay.c.
 * Context:   thread, under hfs.lock (public functions take it); may block.
 * Invariant: (1) at most one hfs_inode per subvolume and number; it stays while it is held or has
 *            dirty pages.  (2) an inode without links has an ORPHAN item until nothing is left of
 *            it, so that a crash at any point leaves it to the next mount.
 */
#include "hfs_priv.h"

static u32 inode_slot(const struct hfs_subvol *sv, u64 ino)
{
    return (u32)((ino * 0x9e3779b97f4a7c15ull + sv->id * 0xbf58476d1ce4e5b9ull) >> 40) %
           HFS_INODE_HASH;
}

static struct hfs_inode *inode_find(struct hfs_subvol *sv, u64 ino)
{
    struct hfs_inode *inode = sv->fs->inodes[inode_slot(sv, ino)];
    while (inode != NULL && (inode->ino != ino || inode->sv != sv)) {
        inode = inode->chain;
    }
    return inode;
}

enum hx_status inode_check(const struct hfs_dinode *d, u32 len)
{
    u32 type = d->mode & HFS_IFMT;
    u32 extra = len - (u32)sizeof(*d);
    if (d->mode > 0177777 || d->size > HFS_SIZE_MAX || (d->flags & ~HFS_INODE_INLINE) != 0) {
        return HX_ERR_CORRUPT;
    }
    bool known = type == 0010000 || type == 0020000 || type == 0060000 || type == 0140000 ||
                 type == HFS_IFDIR || type == HFS_IFREG || type == HFS_IFLNK;
    if (!known || (type == HFS_IFLNK && (d->flags & HFS_INODE_INLINE) == 0)) {
        return HX_ERR_CORRUPT;
    }
    u64 inline_max = type == HFS_IFLNK ? HFS_LINK_MAX : type == HFS_IFREG ? HFS_INLINE_MAX : 0;
    if ((d->flags & HFS_INODE_INLINE) == 0) {
        return extra == 0 ? HX_OK : HX_ERR_CORRUPT;
    }
    return d->size <= inline_max && extra == d->size ? HX_OK : HX_ERR_CORRUPT;
}

enum hx_status inode_new(struct hfs_subvol *sv, u64 ino, struct hfs_inode **out)
{
    struct hfs *fs = sv->fs;
    struct hfs_inode *inode = os_alloc(sizeof(*inode));
    if (inode == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    u32 slot = inode_slot(sv, ino);
    /* What happened to it before it came into memory is not known: any record may be about it. */
    *inode = (struct hfs_inode){
        .sv = sv, .ino = ino, .refs = 1, .last_op = fs->log.op_seq, .chain = fs->inodes[slot]};
    list_init(&inode->pages);
    list_init(&inode->dirty_link);
    fs->inodes[slot] = inode;
    sv->refs++;
    *out = inode;
    return HX_OK;
}

static void inode_free(struct hfs_inode *inode)
{
    struct hfs_subvol *sv = inode->sv;
    struct hfs_inode **at = &sv->fs->inodes[inode_slot(sv, inode->ino)];
    while (*at != inode) {
        at = &(*at)->chain;
    }
    *at = inode->chain;
    os_free(inode);
    subvol_put(sv);
}

enum hx_status inode_get(struct hfs_subvol *sv, u64 ino, struct hfs_inode **out)
{
    struct hfs_inode *inode = inode_find(sv, ino);
    if (inode != NULL) {
        inode->refs++;
        *out = inode;
        return HX_OK;
    }
    struct hfs_path path;
    struct hfs_key key = {ino, HFS_KIND_INODE, 0};
    void *value;
    u32 len;
    enum hx_status status = tree_find(&sv->tree, &key, &path, &value, &len);
    if (status != HX_OK) {
        return status;
    }
    struct hfs_dinode d;
    status = HX_ERR_CORRUPT;
    if (len >= sizeof(d)) {
        memcpy(&d, value, sizeof(d));
        status = inode_check(&d, len);
    }
    tree_release(&path);
    if (status == HX_OK) {
        status = inode_new(sv, ino, &inode);
    }
    if (status == HX_OK) {
        inode->d = d;
        inode->orphan = d.nlink == 0;
        *out = inode;
    }
    return status;
}

void inode_put(struct hfs_inode *inode)
{
    HX_ASSERT(inode->refs > 0);
    if (--inode->refs > 0) {
        return;
    }
    if (inode->orphan) {
        inode->sv->reap_pending = true; /* it stays in memory, where orphans_reap finds it */
    } else if (inode->page_count == 0) {
        inode_free(inode);
    }
}

void inodes_drop_all(struct hfs *fs)
{
    for (u32 i = 0; i < HFS_INODE_HASH; i++) {
        while (fs->inodes[i] != NULL) {
            struct hfs_inode *inode = fs->inodes[i];
            file_drop_pages(inode, 0);
            inode_free(inode);
        }
    }
}

enum hx_status inode_store(struct hfs_inode *inode)
{
    struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
    struct hfs_path path;
    void *value;
    u32 len;
    enum hx_status status = tree_edit(&inode->sv->tree, &key, &path, &value, &len);
    if (status == HX_OK) {
        memcpy(value, &inode->d, sizeof(inode->d));
        inode->time_dirty = false;
        tree_release(&path);
    }
    return status;
}

enum hx_status inode_store_bare(struct hfs_inode *inode)
{
    struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
    inode->time_dirty = false;
    return tree_put(&inode->sv->tree, &key, &inode->d, sizeof(inode->d));
}

struct hfs_rec record_for(const struct hfs_inode *inode, u32 type, s64 now)
{
    return (struct hfs_rec){
        .type = (u16)type, .subvol = inode->sv->id, .ino = inode->ino, .time_ns = now};
}

/* The end of an inode */

/* Has it nothing outside its INODE item, and nobody who may still ask? */
static bool inode_is_light(const struct hfs_inode *inode)
{
    bool content = inode_is(inode, HFS_IFREG) && (inode->d.flags & HFS_INODE_INLINE) == 0;
    return inode->refs == 1 && !content && inode->d.xattrs == 0 && inode->page_count == 0 &&
           !inode->sv->fs->log.replaying; /* later records may be about an open file */
}

enum hx_status inode_drop_link(struct hfs_inode *inode, s64 now)
{
    struct hfs_tree *tree = &inode->sv->tree;
    inode->d.ctime_ns = now;
    bool last = inode_is(inode, HFS_IFDIR) || inode->d.nlink <= 1;
    inode->d.nlink = last ? 0 : inode->d.nlink - 1;
    if (inode->d.nlink > 0) {
        return inode_store(inode);
    }
    if (inode_is_light(inode)) {
        struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
        return tree_remove(tree, &key);
    }
    struct hfs_key key = {0, HFS_KIND_ORPHAN, inode->ino};
    inode->orphan = true;
    enum hx_status status = tree_put(tree, &key, NULL, 0);
    return status == HX_OK ? inode_store(inode) : status;
}

/* Everything but extents, then the inode itself. */
static enum hx_status inode_erase(struct hfs_inode *inode)
{
    struct hfs_tree *tree = &inode->sv->tree;
    for (;;) {
        struct hfs_key key = {inode->ino, HFS_KIND_XATTR, 0};
        struct hfs_path path;
        enum hx_status status = tree_seek(tree, &key, &path);
        if (status == HX_OK) {
            key = *path_key(&path);
            tree_release(&path);
        }
        if (status == HX_ERR_END ||
            (status == HX_OK && (key.oid != inode->ino || key.kind > HFS_KIND_DIRENT))) {
            break;
        }
        if (status == HX_OK) {
            status = tree_remove(tree, &key);
        }
        if (status == HX_OK) {
            status = dead_flush(inode->sv->fs);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
    struct hfs_key orphan = {0, HFS_KIND_ORPHAN, inode->ino};
    enum hx_status status = tree_remove(tree, &key);
    return status == HX_OK ? tree_remove(tree, &orphan) : status;
}

static enum hx_status inode_reap(struct hfs_inode *inode)
{
    struct hfs_subvol *sv = inode->sv;
    bool done = false;
    while (!done) {
        enum hx_status status = op_begin(sv->fs, sv, 4, 0, TIER_DELETE);
        if (status != HX_OK) {
            return status;
        }
        if (inode->d.size > 0 || inode->page_count > 0) {
            file_drop_pages(inode, 0);
            inode->d.size = 0;
            status = inode_store_bare(inode);
        }
        if (status == HX_OK) {
            status = extents_remove(inode, 0, ~0ull, &done);
        }
        if (status == HX_OK && !done) {
            status = inode_store(inode);
        }
        if (status == HX_OK && done) {
            status = inode_erase(inode);
        }
        status = op_end(sv->fs, status);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

/* One orphan: without links it goes; with links it was being truncated. */
static enum hx_status orphan_reap(struct hfs_subvol *sv, u64 ino)
{
    struct hfs_inode *inode;
    enum hx_status status = inode_get(sv, ino, &inode);
    if (status != HX_OK) {
        return status == HX_ERR_NOT_FOUND ? HX_ERR_CORRUPT : status;
    }
    if (inode->d.nlink > 0) {
        inode->trim = true;
        status = file_trim(inode);
    } else if (inode->refs == 1) {
        status = inode_reap(inode);
    }
    if (status == HX_OK && inode->refs == 1) {
        inode->orphan = false; /* nothing is left of it */
    }
    bool pending = sv->reap_pending;
    inode_put(inode);
    sv->reap_pending = pending; /* this one is done or still open */
    return status;
}

enum hx_status orphans_reap(struct hfs_subvol *sv)
{
    struct hfs *fs = sv->fs;
    if (!sv->reap_pending || fs->read_only || fs->frozen || fs->log.replaying ||
        (sv->d.flags & HFS_SV_SNAPSHOT) != 0) {
        return HX_OK;
    }
    sv->reap_pending = false;
    struct hfs_key key = {0, HFS_KIND_ORPHAN, 0};
    for (;;) {
        struct hfs_path path;
        enum hx_status status = tree_seek(&sv->tree, &key, &path);
        if (status == HX_OK) {
            key = *path_key(&path);
            tree_release(&path);
        }
        if (status == HX_ERR_END || (status == HX_OK && key.oid != 0)) {
            return HX_OK;
        }
        if (status == HX_OK) {
            status = orphan_reap(sv, key.off);
        }
        if (status != HX_OK) {
            sv->reap_pending = true; /* the operation is done; this is tried again later */
            return status;
        }
        key.off++;
    }
}

/* Public functions */

enum hx_status hfs_root(struct hfs_subvol *sv, struct hfs_inode **out)
{
    return hfs_inode_get(sv, HFS_INO_ROOT, out);
}

enum hx_status hfs_inode_get(struct hfs_subvol *sv, u64 ino, struct hfs_inode **out)
{
    os_mutex_acquire(sv->fs->lock);
    enum hx_status status = inode_get(sv, ino, out);
    os_mutex_release(sv->fs->lock);
    return status;
}

void hfs_inode_hold(struct hfs_inode *inode)
{
    struct hfs *fs = inode->sv->fs;
    os_mutex_acquire(fs->lock);
    inode->refs++;
    os_mutex_release(fs->lock);
}

void hfs_inode_put(struct hfs_inode *inode)
{
    struct hfs_subvol *sv = inode->sv;
    struct hfs *fs = sv->fs;
    os_mutex_acquire(fs->lock);
    sv->refs++; /* outlives the inode */
    if (inode->refs == 1 && inode->time_dirty && inode->d.nlink > 0 &&
        op_begin(fs, sv, 1, 0, TIER_DELETE) == HX_OK) {
        HX_IGNORE(op_end(fs, inode_store(inode)), "a time of access; a failure froze the rest");
    }
    inode_put(inode);
    HX_IGNORE(orphans_reap(sv), "stays pending, the next operation or mount tries again");
    subvol_put(sv);
    os_mutex_release(fs->lock);
}

u64 hfs_inode_number(const struct hfs_inode *inode)
{
    return inode->ino;
}

struct hfs_subvol *hfs_inode_subvol(const struct hfs_inode *inode)
{
    return inode->sv;
}

enum hx_status hfs_getattr(struct hfs_inode *inode, struct hfs_attr *out)
{
    struct hfs *fs = inode->sv->fs;
    os_mutex_acquire(fs->lock);
    const struct hfs_dinode *d = &inode->d;
    bool dir = inode_is(inode, HFS_IFDIR);
    *out = (struct hfs_attr){.ino = inode->ino,
                             .size = dir ? d->entries : d->size,
                             .blocks = d->blocks,
                             .rdev = d->rdev,
                             .mode = d->mode,
                             .uid = d->uid,
                             .gid = d->gid,
                             .nlink = d->nlink,
                             .atime_ns = d->atime_ns,
                             .mtime_ns = d->mtime_ns,
                             .ctime_ns = d->ctime_ns,
                             .btime_ns = d->btime_ns};
    os_mutex_release(fs->lock);
    return HX_OK;
}

enum hx_status do_setattr(struct hfs_inode *inode, const struct hfs_rec_attr *attr, s64 now)
{
    struct hfs_dinode *d = &inode->d;
    if ((attr->mask & HFS_SET_MODE) != 0) {
        d->mode = (d->mode & HFS_IFMT) | (attr->mode & 07777);
    }
    if ((attr->mask & HFS_SET_UID) != 0) {
        d->uid = attr->uid;
    }
    if ((attr->mask & HFS_SET_GID) != 0) {
        d->gid = attr->gid;
    }
    if ((attr->mask & HFS_SET_ATIME) != 0) {
        d->atime_ns = attr->atime_ns;
    }
    if ((attr->mask & HFS_SET_MTIME) != 0) {
        d->mtime_ns = attr->mtime_ns;
    }
    d->ctime_ns = now;
    return inode_store(inode);
}

enum hx_status hfs_setattr(struct hfs_inode *inode, const struct hfs_attr *attr, u32 mask)
{
    struct hfs *fs = inode->sv->fs;
    os_mutex_acquire(fs->lock);
    enum hx_status status = op_begin(fs, inode->sv, 1, 0, TIER_DELETE);
    if (status == HX_OK) {
        status = log_reserve(fs, 1, sizeof(struct hfs_rec_attr));
    }
    if (status == HX_OK) {
        s64 now = os_time_ns();
        bool present = (mask & HFS_SET_NOW) != 0;
        struct hfs_rec_attr change = {.mask = mask & ~HFS_SET_NOW,
                                      .mode = attr->mode,
                                      .uid = attr->uid,
                                      .gid = attr->gid,
                                      .atime_ns = present ? now : attr->atime_ns,
                                      .mtime_ns = present ? now : attr->mtime_ns};
        status = do_setattr(inode, &change, now);
        if (status == HX_OK) {
            struct hfs_rec rec = record_for(inode, HFS_REC_SETATTR, now);
            log_append(fs, &rec, NULL, 0, &change, sizeof(change));
            inode->last_op = fs->log.op_seq;
        }
        status = op_end(fs, status);
    }
    os_mutex_release(fs->lock);
    return status;
}
