/* SPDX-License-Identifier: MIT */
/* Open files: what a handle of type FILE or DIRECTORY names.
 * Owns:      struct file.      Callers: system calls, the rest of the kernel.     Context: thread.
 * Locks:     file->lock orders those who move the position of one open file; streams have none.
 * Invariant: (1) an open file holds its path, and so its vnode: it works on after its last name has
 *            gone, and its file system cannot be unmounted under it.
 *            (2) a directory is never read or written as a file, nor a file listed: the two have
 *            object types of their own, which the table of calls checks.
 */
#include <core/memory.h>
#include <helix/bits.h>
#include <helix/string.h>
#include "vfs_priv.h"

static const struct file_ops regular_ops, direct_ops, directory_ops;

static void file_destroy(struct object *object)
{
    struct file *file = HX_CONTAINER_OF(object, struct file, object);
    if (file->ops->close) {
        file->ops->close(file);
    }
    vfs_path_put(&file->path);
    object_free(object);
    dcache_trim();
}

enum hx_status file_create(const struct file_ops *ops, u32 flags, void *ctx, struct file **out)
{
    struct file *file = kmalloc(sizeof(*file));
    if (!file) {
        return HX_ERR_NO_MEMORY;
    }
    *file = (struct file){.flags = flags, .ops = ops, .ctx = ctx};
    object_init(&file->object, flags & HX_OPEN_DIRECTORY ? HX_OBJECT_DIRECTORY : HX_OBJECT_FILE,
                file_destroy);
    mutex_init(&file->lock);
    *out = file;
    return HX_OK;
}

enum hx_status file_open_vnode(const struct vfs_path *path, struct vnode *vnode, u32 flags,
                               struct file **out)
{
    const struct file_ops *ops = NULL;
    switch (vnode->attr.mode & HX_MODE_TYPE) {
    case HX_MODE_DIRECTORY:
        ops = &directory_ops;
        break;
    case HX_MODE_FILE:
        ops = vnode->super->ops->flags & FS_DIRECT ? &direct_ops : &regular_ops;
        break;
    case HX_MODE_DEVICE:
        ops = device_ops(vnode->attr.rdev);
        break;
    }
    if (!ops) {
        return HX_ERR_NOT_SUPPORTED;
    }
    enum hx_status status = file_create(ops, flags, NULL, out);
    if (status == HX_OK) {
        vfs_path_get(path);
        (*out)->path = *path;
        (*out)->vnode = vnode;
    }
    return status;
}

void file_put(struct file *file)
{
    object_put(&file->object);
}

struct object *file_object(struct file *file)
{
    return &file->object;
}

struct file *file_of_object(struct object *object)
{
    return HX_CONTAINER_OF(object, struct file, object);
}

/* contents */

static s64 regular_read(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    return pages_read(file->vnode, buffer, offset);
}

static s64 regular_write(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    return pages_write(file->vnode, buffer, offset, file->flags & HX_OPEN_APPEND);
}

static const struct file_ops regular_ops = {.read = regular_read, .write = regular_write};

#define DIRECT_PART HX_PAGE_SIZE

/* What is made when it is read goes by way of a page of the kernel's. */
static s64 direct_read(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    struct super *super = file->vnode->super;
    size_t size = (size_t)hx_min_u64(buffer->size, DIRECT_PART), done = 0;
    if (!super->ops->read) {
        return HX_ERR_NOT_SUPPORTED;
    }
    u8 *bounce = kmalloc(DIRECT_PART);
    if (!bounce) {
        return HX_ERR_NO_MEMORY;
    }
    mutex_acquire(&file->vnode->lock);
    enum hx_status status =
        super->ops->read(super->state, file->vnode->attr.ino, offset, bounce, size, &done);
    mutex_release(&file->vnode->lock);
    if (status == HX_OK && done > size) {
        status = HX_ERR_CORRUPT;
    }
    if (status == HX_OK) {
        struct vfs_buffer part = buffer_part(buffer, 0, done);
        status = buffer_fill(&part, bounce);
    }
    kfree(bounce);
    return status == HX_OK ? (s64)done : (s64)status;
}

static const struct file_ops direct_ops = {.read = direct_read};
static const struct file_ops directory_ops = {0};

s64 file_read_at(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    if (!file->ops->read || file->ops->stream) {
        return HX_ERR_NOT_SUPPORTED;
    }
    return offset > VFS_FILE_MAX ? HX_ERR_INVALID : file->ops->read(file, buffer, offset);
}

s64 file_write_at(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    if (!file->ops->write || file->ops->stream) {
        return HX_ERR_NOT_SUPPORTED;
    }
    return offset > VFS_FILE_MAX ? HX_ERR_INVALID : file->ops->write(file, buffer, offset);
}

s64 file_read(struct file *file, const struct vfs_buffer *buffer)
{
    if (!file->ops->read) {
        return HX_ERR_NOT_SUPPORTED;
    }
    if (file->ops->stream) {
        return file->ops->read(file, buffer, 0);
    }
    mutex_acquire(&file->lock);
    s64 done = file->ops->read(file, buffer, file->position);
    if (done > 0) {
        file->position += (u64)done;
    }
    mutex_release(&file->lock);
    return done;
}

s64 file_write(struct file *file, const struct vfs_buffer *buffer)
{
    if (!file->ops->write) {
        return HX_ERR_NOT_SUPPORTED;
    }
    if (file->ops->stream) {
        return file->ops->write(file, buffer, 0);
    }
    mutex_acquire(&file->lock);
    s64 done = file->ops->write(file, buffer, file->position);
    if (done > 0) {
        file->position =
            file->flags & HX_OPEN_APPEND ? vnode_bytes(file->vnode) : file->position + (u64)done;
    }
    mutex_release(&file->lock);
    return done;
}

s64 file_seek(struct file *file, s64 offset, u64 whence)
{
    if (file->ops->stream || !file->vnode) {
        return HX_ERR_NOT_SUPPORTED;
    }
    enum hx_status status = HX_OK;
    mutex_acquire(&file->lock);
    u64 base = whence == HX_SEEK_CURRENT ? file->position
               : whence == HX_SEEK_END   ? vnode_bytes(file->vnode)
                                         : 0;
    u64 to = base + (u64)offset;
    /* base is at most VFS_FILE_MAX, so that a sum beyond it is seen, wrapped or not. */
    if (whence > HX_SEEK_HOLE || to > VFS_FILE_MAX) {
        status = HX_ERR_INVALID;
    } else if (whence >= HX_SEEK_DATA) {
        status = file->ops == &regular_ops ? pages_seek(file->vnode, &to, whence == HX_SEEK_HOLE)
                                           : HX_ERR_NOT_SUPPORTED;
    }
    if (status == HX_OK) {
        file->position = to;
    }
    mutex_release(&file->lock);
    return status == HX_OK ? (s64)to : (s64)status;
}

/* The records of a listing, as the file system wrote them, checked. */
static bool dirents_are_sound(const u8 *records, size_t used)
{
    for (size_t at = 0; at < used;) {
        const struct hx_dirent *d = (const void *)(records + at);
        if (used - at < sizeof(*d) || d->size > used - at || d->size % 8 ||
            d->size <= sizeof(*d) + d->name_size) {
            return false;
        }
        at += d->size;
    }
    return true;
}

s64 file_readdir(struct file *file, const struct vfs_buffer *buffer)
{
    struct super *super = file->vnode->super;
    size_t size = (size_t)hx_min_u64(buffer->size, HX_PAGE_SIZE), used = 0;
    if (!super->ops->readdir) {
        return HX_ERR_NOT_SUPPORTED;
    }
    if (size < HX_DIRENT_MAX) {
        return HX_ERR_INVALID;
    }
    u8 *records = kzalloc(HX_PAGE_SIZE); /* zeroed: paddings reach the program */
    if (!records) {
        return HX_ERR_NO_MEMORY;
    }
    mutex_acquire(&file->lock);
    u64 cookie = file->position;
    mutex_acquire(&super->lock);
    enum hx_status status =
        super->ops->readdir(super->state, file->vnode->attr.ino, &cookie, records, size, &used);
    mutex_release(&super->lock);
    if (status == HX_OK && (used > size || !dirents_are_sound(records, used))) {
        status = HX_ERR_CORRUPT;
    }
    if (status == HX_OK) {
        struct vfs_buffer part = buffer_part(buffer, 0, used);
        status = buffer_fill(&part, records);
    }
    if (status == HX_OK) {
        file->position = cookie;
    }
    mutex_release(&file->lock);
    kfree(records);
    return status == HX_OK ? (s64)used : (s64)status;
}

enum hx_status file_truncate(struct file *file, u64 bytes)
{
    return file->ops == &regular_ops ? pages_truncate(file->vnode, bytes) : HX_ERR_NOT_SUPPORTED;
}

enum hx_status file_sync(struct file *file)
{
    if (!file->vnode) {
        return HX_ERR_NOT_SUPPORTED;
    }
    struct super *super = file->vnode->super;
    enum hx_status status = HX_OK;
    mutex_acquire(&super->lock);
    if (super->ops->fsync) {
        status = super->ops->fsync(super->state, file->vnode->attr.ino);
    }
    mutex_release(&super->lock);
    return status;
}

enum hx_status file_stat(struct file *file, struct hx_stat *out)
{
    if (file->vnode) {
        vnode_stat(file->vnode, out);
    } else {
        *out = (struct hx_stat){.size = sizeof(*out), .mode = HX_MODE_PIPE | 0600, .nlink = 1};
    }
    return HX_OK;
}

/* extended attributes */

static bool xattr_name_is_legal(struct fs_name name)
{
    return name.size > 0 && name.size <= HX_FILE_NAME_MAX && !memchr(name.text, '\0', name.size);
}

/* Calls op of the file's file system with its lock held. */
#define XATTR_OP(file, op, ...)                                                                    \
    ({                                                                                             \
        enum hx_status status_ = HX_ERR_NOT_SUPPORTED;                                             \
        struct vnode *vnode_ = (file)->vnode;                                                      \
        if (vnode_) {                                                                              \
            struct super *super_ = vnode_->super;                                                  \
            mutex_acquire(&super_->lock);                                                          \
            super_->changes++;                                                                     \
            if (super_->ops->op) {                                                                 \
                status_ = super_->ops->op(super_->state, vnode_->attr.ino, __VA_ARGS__);           \
            }                                                                                      \
            mutex_release(&super_->lock);                                                          \
        }                                                                                          \
        status_;                                                                                   \
    })

enum hx_status file_xattr_get(struct file *file, struct fs_name name, void *value, size_t size,
                              size_t *out_size)
{
    return xattr_name_is_legal(name) ? XATTR_OP(file, xattr_get, name, value, size, out_size)
                                     : HX_ERR_INVALID;
}

enum hx_status file_xattr_set(struct file *file, struct fs_name name, const void *value,
                              size_t size, u32 flags)
{
    if (!xattr_name_is_legal(name)) {
        return HX_ERR_INVALID;
    }
    if (file->path.mount && (file->path.mount->flags & HX_MOUNT_READ_ONLY)) {
        return HX_ERR_READ_ONLY;
    }
    return size > HX_XATTR_MAX ? HX_ERR_MESSAGE_SIZE
                               : XATTR_OP(file, xattr_set, name, value, size, flags);
}

enum hx_status file_xattr_remove(struct file *file, struct fs_name name)
{
    if (file->path.mount && (file->path.mount->flags & HX_MOUNT_READ_ONLY)) {
        return HX_ERR_READ_ONLY;
    }
    return xattr_name_is_legal(name) ? XATTR_OP(file, xattr_remove, name) : HX_ERR_INVALID;
}

enum hx_status file_xattr_list(struct file *file, char *buf, size_t size, size_t *out_size)
{
    return XATTR_OP(file, xattr_list, buf, size, out_size);
}

enum hx_status file_as_start(struct file *file, u32 rights, struct vfs_start *out)
{
    if (file->object.type != HX_OBJECT_DIRECTORY) {
        return HX_ERR_NOT_DIR;
    }
    *out = (struct vfs_start){file->path, rights};
    return HX_OK;
}

const void *file_in_place(struct file *file, u64 *out_bytes)
{
    if (!file->vnode) {
        return NULL;
    }
    const void *data = __atomic_load_n(&file->vnode->in_place, __ATOMIC_ACQUIRE);
    *out_bytes = file->vnode->in_place_bytes;
    return data;
}
