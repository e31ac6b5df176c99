/* SPDX-License-Identifier: MIT */
/* What is done to names: opening, making, removing, moving.
 * Owns:      nothing.      Callers: system calls, the rest of the kernel.     Context: thread.
 * Locks:     super->lock around each change, from the last look at the names to the file system's
 *            answer, so that two changes never act on the same name at once.
 * Invariant: (1) a change begins only when the start's rights allow it and the mount is writable.
 *            (2) after a change the dentries say what the file system says; when that cannot be
 *            had for want of memory, the change is undone.
 */
#include <core/memory.h>
#include <helix/string.h>
#include "vfs_priv.h"

static enum hx_status may_change(const struct vfs_start *start, u32 rights,
                                 const struct vfs_path *path)
{
    if ((start->rights & rights) != rights) {
        return HX_ERR_ACCESS;
    }
    return (path->mount->flags | path->mount->super->flags) & HX_MOUNT_READ_ONLY ? HX_ERR_READ_ONLY
                                                                                 : HX_OK;
}

/* The last name again, now that super->lock is held: somebody may have been faster. */
static enum hx_status look_again_locked(struct walk *w)
{
    struct dentry *d;
    if (dentry_vnode(w->parent.dentry)->flags & VNODE_DEAD) {
        return HX_ERR_NOT_FOUND;
    }
    if (hx_likely(dentry_is(w->target.dentry, w->parent.dentry, w->name))) {
        return HX_OK;
    }
    enum hx_status status =
        dentry_lookup_locked(w->parent.dentry, w->name, dentry_hash(w->parent.dentry, w->name), &d);
    if (status == HX_OK) {
        HX_ASSERT(!w->stale); /* once in a walk */
        w->stale = w->target.dentry;
        w->target.dentry = d;
    }
    return status;
}

/* Makes what the walk did not find. super->lock is held. HX_ERR_EXISTS: it is there by now. */
static enum hx_status make_locked(struct walk *w, const struct fs_create *how)
{
    struct super *super = w->parent.mount->super;
    struct vnode *dir = dentry_vnode(w->parent.dentry), *vnode;
    struct fs_attr attr;
    if (!super->ops->create) {
        return HX_ERR_NOT_SUPPORTED;
    }
    enum hx_status status = look_again_locked(w);
    if (status != HX_OK) {
        return status;
    }
    if (dentry_vnode(w->target.dentry)) {
        return HX_ERR_EXISTS;
    }
    super->changes++;
    status = super->ops->create(super->state, dir->attr.ino, w->name, how, &attr);
    if (status != HX_OK) {
        return status;
    }
    status = vnode_find_locked(super, &attr, &vnode);
    if (status != HX_OK) { /* inv 2 */
        u32 nlink;
        bool directory = (how->mode & HX_MODE_TYPE) == HX_MODE_DIRECTORY;
        HX_IGNORE(super->ops->unlink(super->state, dir->attr.ino, w->name, directory, &nlink),
                  "the first failure counts; what stays is found by its name");
        if (super->ops->forget) {
            super->ops->forget(super->state, attr.ino);
        }
        return status;
    }
    if ((how->mode & HX_MODE_TYPE) == HX_MODE_DIRECTORY && (super->ops->flags & FS_MEMORY)) {
        dir->attr.nlink++;
    }
    dentry_fill_locked(w->target.dentry, vnode);
    vnode_touch_locked(dir);
    return HX_OK;
}

static enum hx_status make(const struct vfs_start *start, struct walk *w,
                           const struct fs_create *how)
{
    if (!w->parent.mount) {
        return HX_ERR_EXISTS; /* "/", ".", ".." */
    }
    if (w->directory && (how->mode & HX_MODE_TYPE) != HX_MODE_DIRECTORY) {
        return HX_ERR_NOT_FOUND;
    }
    enum hx_status status = may_change(start, HX_RIGHT_CREATE, &w->parent);
    if (status != HX_OK) {
        return status;
    }
    if (w->target.mount != w->parent.mount) {
        return HX_ERR_EXISTS; /* a mount is there */
    }
    struct super *super = w->parent.mount->super;
    mutex_acquire(&super->lock);
    status = make_locked(w, how);
    mutex_release(&super->lock);
    return status;
}

static enum hx_status make_at(const struct vfs_start *start, const char *path, size_t size,
                              const struct fs_create *how)
{
    struct walk w;
    enum hx_status status = walk(start, path, size, WALK_NOFOLLOW, &w);
    if (status == HX_OK) {
        status = make(start, &w, how);
        walk_end(&w);
    }
    return status;
}

enum hx_status vfs_mkdir(const struct vfs_start *start, const char *path, size_t size, u32 mode)
{
    struct fs_create how = {.mode = HX_MODE_DIRECTORY | (mode & HX_MODE_BITS)};
    return make_at(start, path, size, &how);
}

enum hx_status vfs_symlink(const struct vfs_start *start, const char *path, size_t size,
                           const char *target, size_t target_size)
{
    if (target_size == 0 || memchr(target, '\0', target_size)) {
        return HX_ERR_INVALID;
    }
    if (target_size > HX_PATH_MAX) {
        return HX_ERR_NAME_TOO_LONG;
    }
    struct fs_create how = {
        .mode = HX_MODE_LINK | 0777, .target = target, .target_size = (u32)target_size};
    return make_at(start, path, size, &how);
}

/* open */

/* Rights that a handle gets. */
static u32 rights_for(u32 flags)
{
    u32 rights = HX_RIGHT_DELEGATE | HX_RIGHT_TRANSFER;
    bool directory = flags & HX_OPEN_DIRECTORY;
    if (flags & HX_OPEN_READ) {
        rights |= HX_RIGHT_READ | (directory ? HX_RIGHT_EXECUTE : 0);
    }
    if (flags & HX_OPEN_WRITE) {
        rights |= HX_RIGHT_WRITE | (directory ? HX_RIGHT_CREATE | HX_RIGHT_DELETE : 0);
    }
    return rights | (flags & HX_OPEN_EXECUTE ? HX_RIGHT_EXECUTE : 0);
}

static enum hx_status open_check(const struct vfs_start *start, const struct walk *w,
                                 struct vnode *vnode, u32 flags)
{
    u32 type = vnode->attr.mode & HX_MODE_TYPE;
    if (type == HX_MODE_LINK) {
        return HX_ERR_LOOP;
    }
    if (w->directory && type != HX_MODE_DIRECTORY) {
        return HX_ERR_NOT_DIR;
    }
    if (flags & HX_OPEN_DIRECTORY) {
        if (type != HX_MODE_DIRECTORY) {
            return HX_ERR_NOT_DIR;
        }
    } else if (type == HX_MODE_DIRECTORY) {
        return HX_ERR_IS_DIR;
    }
    if (type == HX_MODE_FILE && (flags & (HX_OPEN_WRITE | HX_OPEN_TRUNCATE))) {
        return may_change(start, HX_RIGHT_WRITE, &w->target);
    }
    return HX_OK;
}

enum hx_status vfs_open(const struct vfs_start *start, const char *path, size_t size, u32 flags,
                        u32 mode, struct file **out_file, u32 *out_rights)
{
    if (!(flags & (HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_EXECUTE)) ||
        ((flags & HX_OPEN_CREATE) && (flags & HX_OPEN_DIRECTORY)) ||
        ((flags & (HX_OPEN_TRUNCATE | HX_OPEN_APPEND)) && !(flags & HX_OPEN_WRITE)) ||
        ((flags & HX_OPEN_EXCLUSIVE) && !(flags & HX_OPEN_CREATE))) {
        return HX_ERR_INVALID;
    }
    u32 rights = rights_for(flags);
    u32 needed = rights & (HX_RIGHT_READ | HX_RIGHT_WRITE | HX_RIGHT_EXECUTE);
    if ((start->rights & needed) != needed) {
        return HX_ERR_ACCESS;
    }
    rights &= start->rights | HX_RIGHT_DELEGATE | HX_RIGHT_TRANSFER;
    struct walk w;
    bool nofollow = flags & (HX_OPEN_NOFOLLOW | HX_OPEN_EXCLUSIVE);
    enum hx_status status = walk(start, path, size, nofollow ? WALK_NOFOLLOW : 0, &w);
    if (status != HX_OK) {
        return status;
    }
    struct vnode *vnode = dentry_vnode(w.target.dentry);
    bool made = false;
    if (!vnode && (flags & HX_OPEN_CREATE)) {
        struct fs_create how = {.mode = HX_MODE_FILE | (mode & HX_MODE_BITS)};
        status = make(start, &w, &how);
        made = status == HX_OK;
        if (status == HX_ERR_EXISTS) {
            status = HX_OK; /* somebody was faster; EXCLUSIVE is looked at below */
        }
        vnode = dentry_vnode(w.target.dentry);
    }
    if (status == HX_OK && !vnode) {
        status = HX_ERR_NOT_FOUND;
    } else if (status == HX_OK && !made) {
        status = flags & HX_OPEN_EXCLUSIVE ? HX_ERR_EXISTS : open_check(start, &w, vnode, flags);
    }
    struct file *file = NULL;
    if (status == HX_OK) {
        status = file_open_vnode(&w.target, vnode, flags, &file);
    }
    if (status == HX_OK && (flags & HX_OPEN_TRUNCATE) && !made && vnode_bytes(vnode) &&
        (vnode->attr.mode & HX_MODE_TYPE) == HX_MODE_FILE) {
        status = pages_truncate(vnode, 0);
    }
    walk_end(&w);
    if (status != HX_OK) {
        if (file) {
            file_put(file);
        }
        return status;
    }
    *out_file = file;
    *out_rights = rights;
    return HX_OK;
}

/* looking */

/* A walk to something that exists. */
static enum hx_status find(const struct vfs_start *start, const char *path, size_t size, u32 flags,
                           struct walk *out)
{
    enum hx_status status = walk(start, path, size, flags, out);
    if (status != HX_OK) {
        return status;
    }
    struct vnode *vnode = dentry_vnode(out->target.dentry);
    status = !vnode                                         ? HX_ERR_NOT_FOUND
             : out->directory && !vnode_is_directory(vnode) ? HX_ERR_NOT_DIR
                                                            : HX_OK;
    if (status != HX_OK) {
        walk_end(out);
    }
    return status;
}

enum hx_status vfs_stat(const struct vfs_start *start, const char *path, size_t size, u32 flags,
                        struct hx_stat *out)
{
    struct walk w;
    enum hx_status status =
        find(start, path, size, flags & HX_STAT_NOFOLLOW ? WALK_NOFOLLOW : 0, &w);
    if (status == HX_OK) {
        vnode_stat(dentry_vnode(w.target.dentry), out);
        walk_end(&w);
    }
    return status;
}

enum hx_status vfs_readlink(const struct vfs_start *start, const char *path, size_t size, char *buf,
                            size_t buf_size, size_t *out_size)
{
    struct walk w;
    enum hx_status status = find(start, path, size, WALK_NOFOLLOW, &w);
    if (status != HX_OK) {
        return status;
    }
    struct vnode *vnode = dentry_vnode(w.target.dentry);
    struct super *super = vnode->super;
    if ((vnode->attr.mode & HX_MODE_TYPE) != HX_MODE_LINK || !super->ops->readlink) {
        status = HX_ERR_INVALID;
    } else {
        mutex_acquire(&super->lock);
        status = super->ops->readlink(super->state, vnode->attr.ino, buf, buf_size, out_size);
        mutex_release(&super->lock);
        if (status == HX_OK && *out_size > buf_size) {
            status = HX_ERR_CORRUPT;
        }
    }
    walk_end(&w);
    return status;
}

enum hx_status vfs_statfs(const struct vfs_start *start, const char *path, size_t size,
                          struct hx_fs_stat *out)
{
    struct walk w;
    enum hx_status status = find(start, path, size, 0, &w);
    if (status != HX_OK) {
        return status;
    }
    struct super *super = w.target.mount->super;
    *out = (struct hx_fs_stat){.size = sizeof(*out), .flags = super->flags | w.target.mount->flags};
    mutex_acquire(&super->lock);
    if (super->ops->flags & FS_MEMORY) {
        u64 pages = __atomic_load_n(&super->pages, __ATOMIC_RELAXED);
        out->block_bytes = HX_PAGE_SIZE;
        out->blocks = super->page_limit;
        out->free_blocks = super->page_limit - pages;
    }
    if (super->ops->statfs) {
        super->ops->statfs(super->state, out);
    }
    HX_IGNORE(str_copy(out->type, super->ops->name, sizeof(out->type)), "a cut name is a name");
    mutex_release(&super->lock);
    walk_end(&w);
    return HX_OK;
}

/* changing */

enum hx_status vfs_attr_set(const struct vfs_start *start, const char *path, size_t size,
                            const struct hx_attr *attr, u32 flags)
{
    if (attr->size != sizeof(*attr) || (attr->mask & ~HX_ATTR_FLAGS) || attr->reserved ||
        ((attr->mask & HX_ATTR_NOW) && !(attr->mask & (HX_ATTR_ATIME | HX_ATTR_MTIME)))) {
        return HX_ERR_INVALID;
    }
    struct walk w;
    enum hx_status status =
        find(start, path, size, flags & HX_STAT_NOFOLLOW ? WALK_NOFOLLOW : 0, &w);
    if (status != HX_OK) {
        return status;
    }
    status = may_change(start, HX_RIGHT_WRITE, &w.target);
    struct vnode *vnode = dentry_vnode(w.target.dentry);
    struct super *super = vnode->super;
    mutex_acquire(&super->lock);
    if (status == HX_OK) {
        struct fs_attr a = vnode->attr;
        s64 now = vfs_now_ns();
        u32 mask = attr->mask;
        bool present = mask & HX_ATTR_NOW;
        a.mode =
            mask & HX_ATTR_MODE ? (a.mode & HX_MODE_TYPE) | (attr->mode & HX_MODE_BITS) : a.mode;
        a.uid = mask & HX_ATTR_UID ? attr->uid : a.uid;
        a.gid = mask & HX_ATTR_GID ? attr->gid : a.gid;
        a.atime_ns = !(mask & HX_ATTR_ATIME) ? a.atime_ns : present ? now : attr->atime_ns;
        a.mtime_ns = !(mask & HX_ATTR_MTIME) ? a.mtime_ns : present ? now : attr->mtime_ns;
        if (super->ops->flags & FS_MEMORY) {
            vnode->attr.mode = a.mode;
            vnode->attr.uid = a.uid;
            vnode->attr.gid = a.gid;
            vnode->attr.atime_ns = a.atime_ns;
            vnode->attr.mtime_ns = a.mtime_ns;
            vnode->attr.ctime_ns = now;
        } else if (super->ops->setattr) {
            status = super->ops->setattr(super->state, a.ino, &a, mask & ~HX_ATTR_NOW);
            if (status == HX_OK) {
                status = vnode_refresh_locked(vnode);
            }
        } else {
            status = HX_ERR_NOT_SUPPORTED;
        }
    }
    mutex_release(&super->lock);
    walk_end(&w);
    return status;
}

enum hx_status vfs_unlink(const struct vfs_start *start, const char *path, size_t size, u32 flags)
{
    struct walk w;
    bool directory = flags & HX_UNLINK_DIRECTORY;
    enum hx_status status = walk(start, path, size, WALK_NOFOLLOW | WALK_NO_CROSS, &w);
    if (status != HX_OK) {
        return status;
    }
    struct super *super = w.target.mount->super;
    if (!w.parent.mount) {
        status = directory ? HX_ERR_BUSY : HX_ERR_IS_DIR;
    } else {
        status = may_change(start, HX_RIGHT_DELETE, &w.parent);
    }
    if (status == HX_OK && !super->ops->unlink) {
        status = HX_ERR_NOT_SUPPORTED;
    }
    if (status != HX_OK) {
        walk_end(&w);
        return status;
    }
    mutex_acquire(&super->lock);
    status = look_again_locked(&w);
    struct vnode *dir = dentry_vnode(w.parent.dentry), *vnode = dentry_vnode(w.target.dentry);
    if (status == HX_OK && !vnode) {
        status = HX_ERR_NOT_FOUND;
    } else if (status == HX_OK && w.directory && !vnode_is_directory(vnode)) {
        status = HX_ERR_NOT_DIR;
    } else if (status == HX_OK && HX_READ_ONCE(w.target.dentry->mounts)) {
        status = HX_ERR_BUSY;
    }
    if (status == HX_OK) {
        u32 nlink = 0;
        super->changes++;
        status = super->ops->unlink(super->state, dir->attr.ino, w.name, directory, &nlink);
        if (status == HX_OK) {
            if (directory && (super->ops->flags & FS_MEMORY)) {
                dir->attr.nlink--;
            }
            vnode_unlinked_locked(vnode, nlink);
            dentry_prune_locked(w.target.dentry);
            dentry_drop_locked(w.target.dentry);
            vnode_touch_locked(dir);
        }
    }
    mutex_release(&super->lock);
    walk_end(&w);
    return status;
}

/* Two walks that must end on one file system, with names at both ends. */
static enum hx_status walk_two(const struct vfs_start *start, const char *path, size_t size,
                               const struct vfs_start *to_start, const char *to, size_t to_size,
                               struct walk *a, struct walk *b)
{
    enum hx_status status = walk(start, path, size, WALK_NOFOLLOW | WALK_NO_CROSS, a);
    if (status != HX_OK) {
        return status;
    }
    status = walk(to_start, to, to_size, WALK_NOFOLLOW | WALK_NO_CROSS, b);
    if (status != HX_OK) {
        walk_end(a);
        return status;
    }
    if (!a->parent.mount || !b->parent.mount) {
        status = HX_ERR_BUSY;
    } else if (a->parent.mount != b->parent.mount) {
        status = HX_ERR_CROSS_DEVICE;
    }
    if (status != HX_OK) {
        walk_end(a);
        walk_end(b);
    }
    return status;
}

enum hx_status vfs_link(const struct vfs_start *start, const char *path, size_t size,
                        const struct vfs_start *to_start, const char *to, size_t to_size)
{
    struct walk a, b;
    enum hx_status status = walk_two(start, path, size, to_start, to, to_size, &a, &b);
    if (status != HX_OK) {
        return status;
    }
    struct super *super = a.target.mount->super;
    mutex_acquire(&super->lock);
    status = may_change(to_start, HX_RIGHT_CREATE, &b.parent);
    if (status == HX_OK) {
        /* A second name is a second way to change it. */
        status = may_change(start, HX_RIGHT_WRITE, &a.target);
    }
    if (status == HX_OK && !super->ops->link) {
        status = HX_ERR_NOT_SUPPORTED;
    }
    if (status == HX_OK) {
        status = look_again_locked(&a);
    }
    if (status == HX_OK) {
        status = look_again_locked(&b);
    }
    struct vnode *vnode = dentry_vnode(a.target.dentry), *dir = dentry_vnode(b.parent.dentry);
    if (status == HX_OK && !vnode) {
        status = HX_ERR_NOT_FOUND;
    } else if (status == HX_OK && vnode_is_directory(vnode)) {
        status = HX_ERR_IS_DIR;
    } else if (status == HX_OK && (a.directory || b.directory)) {
        status = HX_ERR_NOT_DIR;
    } else if (status == HX_OK && dentry_vnode(b.target.dentry)) {
        status = HX_ERR_EXISTS;
    }
    if (status == HX_OK) {
        super->changes++;
        status = super->ops->link(super->state, vnode->attr.ino, dir->attr.ino, b.name);
        if (status == HX_OK) {
            vnode->attr.nlink++;
            vnode->attr.ctime_ns = vfs_now_ns();
            vnode_get(vnode);
            dentry_fill_locked(b.target.dentry, vnode);
            vnode_touch_locked(dir);
        }
    }
    mutex_release(&super->lock);
    walk_end(&a);
    walk_end(&b);
    return status;
}

/* What fits what, before the file system is asked. super->lock is held. */
static enum hx_status rename_check(const struct walk *a, const struct walk *b, u32 flags)
{
    struct vnode *from = dentry_vnode(a->target.dentry), *to = dentry_vnode(b->target.dentry);
    if (!from || (!to && (flags & HX_RENAME_EXCHANGE))) {
        return HX_ERR_NOT_FOUND;
    }
    if (to && (flags & HX_RENAME_NOREPLACE)) {
        return HX_ERR_EXISTS;
    }
    if (HX_READ_ONCE(a->target.dentry->mounts) || HX_READ_ONCE(b->target.dentry->mounts)) {
        return HX_ERR_BUSY;
    }
    bool from_directory = vnode_is_directory(from), to_directory = to && vnode_is_directory(to);
    if ((a->directory && !from_directory) || (b->directory && !from_directory)) {
        return HX_ERR_NOT_DIR;
    }
    if (dentry_is_below(b->parent.dentry, a->target.dentry) ||
        ((flags & HX_RENAME_EXCHANGE) && dentry_is_below(a->parent.dentry, b->target.dentry))) {
        return HX_ERR_INVALID; /* into itself */
    }
    if (dentry_is_below(a->parent.dentry, b->target.dentry)) {
        return HX_ERR_NOT_EMPTY;
    }
    if (to && !(flags & HX_RENAME_EXCHANGE) && from_directory != to_directory) {
        return to_directory ? HX_ERR_IS_DIR : HX_ERR_NOT_DIR;
    }
    return HX_OK;
}

/* Links that directories have from the ".." of those in them. */
static void count_subdirectories(struct vnode *from_dir, struct vnode *to_dir, bool moved,
                                 bool replaced)
{
    from_dir->attr.nlink -= moved;
    to_dir->attr.nlink += moved;
    to_dir->attr.nlink -= replaced;
}

static enum hx_status rename_locked(struct super *super, struct walk *a, struct walk *b, u32 flags)
{
    enum hx_status status = look_again_locked(a);
    if (status == HX_OK) {
        status = look_again_locked(b);
    }
    if (status == HX_OK) {
        status = rename_check(a, b, flags);
    }
    if (status != HX_OK) {
        return status;
    }
    struct vnode *from_dir = dentry_vnode(a->parent.dentry),
                 *to_dir = dentry_vnode(b->parent.dentry);
    struct vnode *from = dentry_vnode(a->target.dentry), *to = dentry_vnode(b->target.dentry);
    if (from == to) {
        return HX_OK; /* two names of one file: nothing to do, as POSIX has it */
    }
    u32 nlink = UINT32_MAX;
    super->changes++;
    status = super->ops->rename(super->state, from_dir->attr.ino, a->name, to_dir->attr.ino,
                                b->name, flags, &nlink);
    if (status != HX_OK) {
        return status;
    }
    bool exchange = flags & HX_RENAME_EXCHANGE;
    if (super->ops->flags & FS_MEMORY) {
        bool other = to && vnode_is_directory(to);
        count_subdirectories(from_dir, to_dir, vnode_is_directory(from), other && !exchange);
        if (exchange) {
            count_subdirectories(to_dir, from_dir, other, false);
        }
    }
    if (to && !exchange) {
        vnode_unlinked_locked(to, nlink == UINT32_MAX ? 0 : nlink);
        dentry_prune_locked(b->target.dentry);
    }
    from->attr.ctime_ns = vfs_now_ns();
    dentry_move_locked(a->target.dentry, b->target.dentry, exchange);
    vnode_touch_locked(from_dir);
    vnode_touch_locked(to_dir);
    return HX_OK;
}

enum hx_status vfs_rename(const struct vfs_start *start, const char *path, size_t size,
                          const struct vfs_start *to_start, const char *to, size_t to_size,
                          u32 flags)
{
    if ((flags & HX_RENAME_EXCHANGE) && (flags & HX_RENAME_NOREPLACE)) {
        return HX_ERR_INVALID;
    }
    struct walk a, b;
    enum hx_status status = walk_two(start, path, size, to_start, to, to_size, &a, &b);
    if (status != HX_OK) {
        return status;
    }
    struct super *super = a.parent.mount->super;
    status = may_change(start, HX_RIGHT_DELETE, &a.parent);
    if (status == HX_OK) {
        status = may_change(to_start, HX_RIGHT_CREATE | HX_RIGHT_DELETE, &b.parent);
    }
    if (status == HX_OK && !super->ops->rename) {
        status = HX_ERR_NOT_SUPPORTED;
    }
    if (status == HX_OK) {
        mutex_acquire(&super->lock);
        status = rename_locked(super, &a, &b, flags);
        mutex_release(&super->lock);
    }
    walk_end(&a);
    walk_end(&b);
    return status;
}

/* An archive's file: its content stays where it is. Directories on the way are made. */
enum hx_status vfs_place(const struct vfs_start *start, const char *path, size_t size, u32 mode,
                         const void *data, u64 bytes)
{
    for (size_t i = 1; i < size; i++) {
        if (path[i] == '/' && path[i - 1] != '/') {
            enum hx_status status = vfs_mkdir(start, path, i, 0755);
            if (status != HX_OK && status != HX_ERR_EXISTS) {
                return status;
            }
        }
    }
    struct file *file;
    u32 rights;
    enum hx_status status = vfs_open(
        start, path, size, HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_TRUNCATE, mode, &file, &rights);
    if (status != HX_OK) {
        return status;
    }
    struct vnode *vnode = file->vnode;
    if (!vnode || !(vnode->super->ops->flags & FS_MEMORY)) {
        status = HX_ERR_NOT_SUPPORTED;
    } else if (bytes) {
        mutex_acquire(&vnode->lock);
        vnode->in_place_bytes = bytes;
        vnode->attr.bytes = bytes;
        __atomic_store_n(&vnode->in_place, data, __ATOMIC_RELEASE);
        mutex_release(&vnode->lock);
    }
    file_put(file);
    return status;
}
