/* SPDX-License-Identifier: MIT */
/* HelixFS as a module: the library of fs/helixfs behind the interface of file systems.
 * Owns:      struct volume, and a hold on every inode that the VFS has in use.   Caller: the VFS,
 *            one call at a time over all volumes (<fs/fs_module.h>), so that nothing here locks.
 * Context:   thread, inside a guard.
 * Invariant: (1) an inode that lookup, create or mount has named is held once, from then until
 *            forget; numbers are looked up among those that are held and nowhere else.
 */
#include <fs/fs_module.h>
#include <fs/fs_ops.h>
#include <fs/helixfs.h>
#include <fs/os.h>
#include <helix/bits.h>
#include <helix/module.h>
#include <helix/string.h>
#include "port.h"

#define BUCKETS_FIRST 256u
#define MAIN          "main"
#define OP_TICKS      4000 /* a commit, a scrub of some size: long, but they end */

struct held {
    struct held *chain;
    u64 ino;
    struct hfs_inode *inode;
};

struct volume {
    struct hfs *fs;
    struct hfs_subvol *sv;
    struct held **buckets;
    u32 bucket_count, count;
};

/* What is held */

static struct held **place_of(struct volume *v, u64 ino)
{
    struct held **at = &v->buckets[ino & (v->bucket_count - 1)];
    while (*at && (*at)->ino != ino) {
        at = &(*at)->chain;
    }
    return at;
}

static struct hfs_inode *inode_of(struct volume *v, u64 ino)
{
    struct held *h = *place_of(v, ino);
    return h ? h->inode : NULL;
}

/* More buckets for more inodes; without memory, longer chains. */
static void grow(struct volume *v)
{
    u32 wanted = v->bucket_count * 2;
    struct held **buckets = os_alloc(wanted * sizeof(struct held *));
    if (!buckets) {
        return;
    }
    memset(buckets, 0, wanted * sizeof(struct held *));
    for (u32 i = 0; i < v->bucket_count; i++) {
        for (struct held *h = v->buckets[i], *next; h; h = next) {
            next = h->chain;
            struct held **at = &buckets[h->ino & (wanted - 1)];
            h->chain = *at;
            *at = h;
        }
    }
    os_free(v->buckets);
    v->buckets = buckets;
    v->bucket_count = wanted;
}

/* Takes over the hold on `inode`, or gives it back when there is one already. inv 1 */
static enum hx_status keep(struct volume *v, struct hfs_inode *inode)
{
    u64 ino = hfs_inode_number(inode);
    struct held **at = place_of(v, ino);
    if (*at) {
        hfs_inode_put(inode);
        return HX_OK;
    }
    struct held *h = os_alloc(sizeof(*h));
    if (!h) {
        hfs_inode_put(inode);
        return HX_ERR_NO_MEMORY;
    }
    *h = (struct held){.ino = ino, .inode = inode};
    *at = h;
    if (++v->count > v->bucket_count * 2) {
        grow(v);
    }
    return HX_OK;
}

static void let_go(struct volume *v, u64 ino)
{
    struct held **at = place_of(v, ino), *h = *at;
    if (h) {
        *at = h->chain;
        v->count--;
        hfs_inode_put(h->inode);
        os_free(h);
    }
}

static void let_go_all(struct volume *v)
{
    for (u32 i = 0; i < v->bucket_count; i++) {
        while (v->buckets[i]) {
            let_go(v, v->buckets[i]->ino);
        }
    }
}

/* Between the two sides */

static struct hfs_name name_of(struct fs_name name)
{
    return (struct hfs_name){name.text, name.size};
}

static enum hx_status attr_of(struct hfs_inode *inode, struct fs_attr *out)
{
    struct hfs_attr a;
    enum hx_status status = hfs_getattr(inode, &a);
    if (status == HX_OK) {
        *out = (struct fs_attr){.ino = a.ino,
                                .bytes = a.size,
                                .stored = a.blocks * BDEV_BLOCK,
                                .rdev = a.rdev,
                                .mode = a.mode,
                                .uid = a.uid,
                                .gid = a.gid,
                                .nlink = a.nlink,
                                .atime_ns = a.atime_ns,
                                .mtime_ns = a.mtime_ns,
                                .ctime_ns = a.ctime_ns,
                                .btime_ns = a.btime_ns};
    }
    return status;
}

/* What an inode is, once it is held. */
static enum hx_status answer(struct volume *v, struct hfs_inode *inode, struct fs_attr *out)
{
    enum hx_status status = attr_of(inode, out);
    if (status != HX_OK) {
        hfs_inode_put(inode);
        return status;
    }
    return keep(v, inode);
}

/* A directory into itself has another name here. */
static enum hx_status as_move(enum hx_status status)
{
    return status == HX_ERR_LOOP ? HX_ERR_INVALID : status;
}

/* Operations */

static enum hx_status op_unmount(void *state)
{
    struct volume *v = state;
    let_go_all(v);
    hfs_subvol_put(v->sv);
    enum hx_status status = hfs_unmount(v->fs);
    os_free(v->buckets);
    os_free(v);
    return status;
}

static enum hx_status volume_open(struct volume *v, const struct fs_mount_request *request,
                                  struct fs_attr *out_root)
{
    struct hfs_mount_opts opts = {.flags = request->read_only ? HFS_MOUNT_RDONLY : 0,
                                  .cache_bytes = request->page_limit * BDEV_BLOCK / 8};
    struct hfs_key_source key = {.secret = request->key, .len = request->key_size};
    if (request->key_size) {
        opts.key = &key;
    }
    enum hx_status status = hfs_mount(request->device, &opts, &v->fs);
    if (status != HX_OK) {
        return status;
    }
    struct hfs_inode *root;
    status = hfs_subvol_open(v->fs, MAIN, &v->sv);
    if (status == HX_OK) {
        status = hfs_root(v->sv, &root);
        if (status == HX_OK) {
            status = answer(v, root, out_root);
        }
        if (status != HX_OK) {
            hfs_subvol_put(v->sv);
        }
    }
    if (status != HX_OK) {
        hfs_abandon(v->fs);
    }
    return status;
}

static enum hx_status op_mount(const struct fs_mount_request *request, void **out_fs,
                               struct fs_attr *out_root)
{
    if (!request->device) {
        return HX_ERR_NOT_SUPPORTED;
    }
    struct volume *v = os_alloc(sizeof(*v));
    struct held **buckets = os_alloc(BUCKETS_FIRST * sizeof(struct held *));
    enum hx_status status = v && buckets ? HX_OK : HX_ERR_NO_MEMORY;
    if (status == HX_OK) {
        memset(buckets, 0, BUCKETS_FIRST * sizeof(struct held *));
        *v = (struct volume){.buckets = buckets, .bucket_count = BUCKETS_FIRST};
        status = volume_open(v, request, out_root);
    }
    if (status != HX_OK) {
        os_free(buckets);
        os_free(v);
        return status;
    }
    *out_fs = v;
    return HX_OK;
}

static enum hx_status op_format(const struct fs_mount_request *request)
{
    struct hfs_mkfs_opts opts = {0};
    return request->device ? hfs_mkfs(request->device, &opts) : HX_ERR_NOT_SUPPORTED;
}

/* Opens what the operation is about: `inode`, held. */
#define WITH_INODE(v, number, inode)                                                               \
    struct volume *v = state;                                                                      \
    struct hfs_inode *(inode) = inode_of(v, number);                                               \
    if (!(inode)) {                                                                                \
        return HX_ERR_NOT_FOUND;                                                                   \
    }

static enum hx_status op_lookup(void *state, u64 dir, struct fs_name name, struct fs_attr *out)
{
    WITH_INODE(v, dir, parent)
    struct hfs_inode *inode;
    enum hx_status status = hfs_lookup(parent, name_of(name), &inode);
    return status == HX_OK ? answer(v, inode, out) : status;
}

static void op_forget(void *state, u64 ino)
{
    let_go(state, ino);
}

static enum hx_status op_getattr(void *state, u64 ino, struct fs_attr *out)
{
    WITH_INODE(v, ino, inode)
    return attr_of(inode, out);
}

static enum hx_status op_setattr(void *state, u64 ino, const struct fs_attr *attr, u32 mask)
{
    WITH_INODE(v, ino, inode)
    struct hfs_attr a = {.mode = attr->mode,
                         .uid = attr->uid,
                         .gid = attr->gid,
                         .atime_ns = attr->atime_ns,
                         .mtime_ns = attr->mtime_ns};
    return hfs_setattr(inode, &a, mask);
}

static enum hx_status op_create(void *state, u64 dir, struct fs_name name,
                                const struct fs_create *how, struct fs_attr *out)
{
    WITH_INODE(v, dir, parent)
    struct hfs_inode *inode;
    enum hx_status status =
        hfs_create(parent, name_of(name), how->mode, (struct hfs_owner){how->uid, how->gid},
                   how->rdev, (struct hfs_name){how->target, how->target_size}, &inode);
    return status == HX_OK ? answer(v, inode, out) : status;
}

static enum hx_status op_link(void *state, u64 ino, u64 dir, struct fs_name name)
{
    WITH_INODE(v, ino, inode)
    struct hfs_inode *parent = inode_of(v, dir);
    return parent ? hfs_link(inode, parent, name_of(name)) : HX_ERR_NOT_FOUND;
}

static enum hx_status op_unlink(void *state, u64 dir, struct fs_name name, bool directory,
                                u32 *out_nlink)
{
    WITH_INODE(v, dir, parent)
    *out_nlink = UINT32_MAX;
    return directory ? hfs_rmdir(parent, name_of(name)) : hfs_unlink(parent, name_of(name));
}

static enum hx_status op_rename(void *state, u64 from_dir, struct fs_name from, u64 to_dir,
                                struct fs_name to, u32 flags, u32 *out_nlink)
{
    WITH_INODE(v, from_dir, a)
    struct hfs_inode *b = inode_of(v, to_dir);
    *out_nlink = UINT32_MAX;
    return b ? as_move(hfs_rename(a, name_of(from), b, name_of(to), flags)) : HX_ERR_NOT_FOUND;
}

static enum hx_status op_readlink(void *state, u64 ino, char *buf, size_t size, size_t *out_size)
{
    WITH_INODE(v, ino, inode)
    return hfs_readlink(inode, buf, size, out_size);
}

struct listing {
    u8 *at;
    size_t room, used;
    u64 cookie;
};

static bool list_one(void *ctx, const char *name, size_t len, u64 ino, u8 type, u64 cookie)
{
    struct listing *l = ctx;
    size_t record = hx_align_up(sizeof(struct hx_dirent) + len + 1, 8);
    if (cookie > 2) { /* "." and ".." are the VFS's */
        if (record > l->room - l->used) {
            return false;
        }
        struct hx_dirent *d = (void *)(l->at + l->used);
        memset(d, 0, record);
        *d =
            (struct hx_dirent){.ino = ino, .size = (u16)record, .type = type, .name_size = (u8)len};
        memcpy(d->name, name, len);
        l->used += record;
    }
    l->cookie = cookie;
    return true;
}

static enum hx_status op_readdir(void *state, u64 dir, u64 *cookie, void *buf, size_t size,
                                 size_t *out_used)
{
    WITH_INODE(v, dir, inode)
    struct listing l = {.at = buf, .room = size, .cookie = *cookie};
    enum hx_status status = hfs_readdir(inode, *cookie, list_one, &l);
    if (status == HX_OK) {
        *cookie = l.cookie;
        *out_used = l.used;
    }
    return status;
}

static enum hx_status op_read(void *state, u64 ino, u64 offset, void *buf, size_t size,
                              size_t *out_done)
{
    WITH_INODE(v, ino, inode)
    return hfs_read(inode, offset, buf, size, out_done);
}

static enum hx_status op_write(void *state, u64 ino, u64 offset, const void *buf, size_t size,
                               size_t *out_done)
{
    WITH_INODE(v, ino, inode)
    return hfs_write(inode, offset, buf, size, out_done);
}

static enum hx_status op_truncate(void *state, u64 ino, u64 bytes)
{
    WITH_INODE(v, ino, inode)
    return hfs_truncate(inode, bytes);
}

static enum hx_status op_seek(void *state, u64 ino, u64 *offset, bool hole)
{
    WITH_INODE(v, ino, inode)
    return hfs_seek(inode, *offset, hole, offset);
}

static enum hx_status op_fsync(void *state, u64 ino)
{
    WITH_INODE(v, ino, inode)
    return hfs_fsync(inode);
}

static enum hx_status op_sync(void *state)
{
    return hfs_sync(((struct volume *)state)->fs);
}

static enum hx_status op_tick(void *state)
{
    return hfs_tick(((struct volume *)state)->fs);
}

static void op_statfs(void *state, struct hx_fs_stat *out)
{
    struct hfs_stat stat;
    hfs_statfs(((struct volume *)state)->fs, &stat);
    out->block_bytes = BDEV_BLOCK;
    out->blocks = stat.blocks;
    out->free_blocks = stat.available;
}

static enum hx_status op_xattr_get(void *state, u64 ino, struct fs_name name, void *value,
                                   size_t size, size_t *out_size)
{
    WITH_INODE(v, ino, inode)
    return hfs_xattr_get(inode, name_of(name), value, size, out_size);
}

static enum hx_status op_xattr_set(void *state, u64 ino, struct fs_name name, const void *value,
                                   size_t size, u32 flags)
{
    WITH_INODE(v, ino, inode)
    return hfs_xattr_set(inode, name_of(name), value, size, flags);
}

static enum hx_status op_xattr_remove(void *state, u64 ino, struct fs_name name)
{
    WITH_INODE(v, ino, inode)
    return hfs_xattr_remove(inode, name_of(name));
}

static enum hx_status op_xattr_list(void *state, u64 ino, char *buf, size_t size, size_t *out_size)
{
    WITH_INODE(v, ino, inode)
    return hfs_xattr_list(inode, buf, size, out_size);
}

static const struct fs_module table = {.call = fs_module_call,
                                       .ops = {
                                           .abi_version = FS_ABI,
                                           .size = sizeof(struct fs_ops),
                                           .name = "helixfs",
                                           .mount = op_mount,
                                           .unmount = op_unmount,
                                           .format = op_format,
                                           .lookup = op_lookup,
                                           .forget = op_forget,
                                           .getattr = op_getattr,
                                           .setattr = op_setattr,
                                           .create = op_create,
                                           .link = op_link,
                                           .unlink = op_unlink,
                                           .rename = op_rename,
                                           .readlink = op_readlink,
                                           .readdir = op_readdir,
                                           .read = op_read,
                                           .write = op_write,
                                           .truncate = op_truncate,
                                           .seek = op_seek,
                                           .fsync = op_fsync,
                                           .sync = op_sync,
                                           .tick = op_tick,
                                           .statfs = op_statfs,
                                           .xattr_get = op_xattr_get,
                                           .xattr_set = op_xattr_set,
                                           .xattr_remove = op_xattr_remove,
                                           .xattr_list = op_xattr_list,
                                       }};

static enum hx_status helixfs_init(struct module *self)
{
    return port_init(self);
}

static enum hx_status helixfs_start(struct module *self)
{
    return fs_module_register(self);
}

static void helixfs_stop(struct module *self)
{
    fs_module_unregister(self);
}

static void helixfs_cleanup(struct module *self)
{
    (void)self;
    port_fini();
}

MODULE(helixfs, .version = {1, 0, 0},
       .summary = "file system: copy on write, checksummed, compressed, encrypted",
       .provides = {{FS_INTERFACE, FS_ABI, 0}}, .capabilities = MODULE_CAP_FS | MODULE_CAP_TIME,
       .op_ticks = OP_TICKS);
MODULE_CODE(helixfs, .interfaces = {&table},
            .ops = {.init = helixfs_init,
                    .start = helixfs_start,
                    .stop = helixfs_stop,
                    .cleanup = helixfs_cleanup});
