/* SPDX-License-Identifier: MIT */
/* The virtual file system: names, open files and cached pages are the kernel's, whichever file
 * system serves them. A namespace is a tree of mounts with a root; each process has one. This is
 * the side for the kernel; programs come by the calls 70 to 95 (<abi/file.h>). Context of all:
 * thread, no spinlock held; may block.
 */
#ifndef FS_VFS_H
#define FS_VFS_H

#include <abi/file.h>
#include <core/handle.h>
#include <fs/fs_ops.h>
#include <userspace/program.h>

struct dentry;
struct file;
struct mount;
struct super;

/* A place in a namespace; holding one holds both. */
struct vfs_path {
    struct mount *mount;
    struct dentry *dentry;
};

void vfs_path_get(const struct vfs_path *path);
void vfs_path_put(const struct vfs_path *path);

/* Where a walk starts, what bounds it, and the rights that it gives at most. */
struct vfs_start {
    struct vfs_path root;
    u32 rights; /* HX_RIGHT_* */
};

/* Memory to copy to or from: the program's, or the kernel's own when `kernel` is not NULL. */
struct vfs_buffer {
    u8 *kernel;
    vaddr_t user;
    size_t size;
};

static inline struct vfs_buffer vfs_kernel_buffer(const void *at, size_t size)
{
    return (struct vfs_buffer){.kernel = (u8 *)(uintptr_t)at, .size = size};
}

/* Makes a file system known by name. Return: HX_OK; HX_ERR_ABI, another version or a mandatory op
 * is missing; HX_ERR_EXISTS; HX_ERR_NO_SPACE. The table lives until unregistered. */
enum hx_status vfs_register(const struct fs_ops *ops) HX_MUST_CHECK;
/* Takes the name away again. Nothing is mounted by it. */
void vfs_unregister(const struct fs_ops *ops);

/* Namespaces */

/* namespace_boot(), namespace_get() and namespace_put() are in <userspace/program.h>. */

/* A copy: the same mounts at the same places, changed from then on for itself. root: NULL, or what
 * is to be its root. rights: at most these. Return: HX_OK, HX_ERR_NO_MEMORY, HX_ERR_BAD_STATE
 * (`root` is on a mount that has been taken away). */
enum hx_status namespace_copy(struct namespace *ns, const struct vfs_path *root, u32 rights,
                              struct namespace **out) HX_MUST_CHECK;
/* Where a walk in it starts; good while the namespace is held. */
struct vfs_start namespace_start(const struct namespace *ns);
/* Absent a process, the boot namespace's. */
struct namespace *namespace_current(void);

/* What is to be mounted. */
struct vfs_mount_request {
    u32 flags;          /* HX_MOUNT_* */
    const char *device; /* a block device's name; NULL: none */
    const void *key;    /* see struct fs_mount_request */
    u32 key_size;
};

/* Mounts file system `type` on a directory. Rights: ADMIN. Return: HX_OK; HX_ERR_NOT_FOUND, no such
 * type, path or device; HX_ERR_NOT_DIR; HX_ERR_BUSY, the device is mounted already; HX_ERR_LIMIT;
 * HX_ERR_ACCESS; what its mount said. With HX_MOUNT_FORMAT the device is made an empty file system,
 * and nothing is mounted; the path is not looked at. */
enum hx_status vfs_mount(const struct vfs_start *start, const char *path, size_t size,
                         const char *type, const struct vfs_mount_request *request) HX_MUST_CHECK;
/* HX_ERR_INVALID, nothing is mounted there; HX_ERR_BUSY, a file of it is open, or something mounted
 * on it; else it is gone, and the status is what writing its last changes came to. */
enum hx_status vfs_unmount(const struct vfs_start *start, const char *path,
                           size_t size) HX_MUST_CHECK;
/* Calls visit for each mount, with its path, until it returns false. */
void namespace_for_each(struct namespace *ns,
                        bool (*visit)(void *ctx, const char *path, const struct fs_ops *ops,
                                      u32 flags),
                        void *ctx);
/* Everything that is not yet durable becomes it. Return: the first failure. */
enum hx_status vfs_sync_all(void) HX_MUST_CHECK;

/* Hands a mounted file system over to another implementation while its files are open: the new one
 * is made of the old one's state before anything changes. start, path: any place on it.
 * Return: HX_OK; HX_ERR_NOT_SUPPORTED, one of them has no state to hand over, or they disagree on
 * who keeps the contents; HX_ERR_NO_MEMORY; what the new one said of the state. On failure the old
 * one serves on. */
enum hx_status vfs_exchange(const struct vfs_start *start, const char *path, size_t size,
                            const struct fs_ops *ops) HX_MUST_CHECK;

/* Names. Paths are `size` bytes, as <abi/file.h> says. Common statuses: HX_ERR_NOT_FOUND,
 * HX_ERR_NOT_DIR, HX_ERR_NAME_TOO_LONG, HX_ERR_LOOP, HX_ERR_INVALID (an embedded NUL, "." or ".."
 * at an end that needs a name), HX_ERR_ACCESS (the start lacks a right), HX_ERR_READ_ONLY, and
 * whatever <fs/fs_ops.h> says of the op. */

/* flags: HX_OPEN_*; *out_rights: rights for a handle. The caller gets a reference. HX_ERR_EXISTS,
 * HX_ERR_IS_DIR, HX_ERR_NOT_SUPPORTED (a device nobody serves). */
enum hx_status vfs_open(const struct vfs_start *start, const char *path, size_t size, u32 flags,
                        u32 mode, struct file **out_file, u32 *out_rights) HX_MUST_CHECK;
enum hx_status vfs_stat(const struct vfs_start *start, const char *path, size_t size, u32 flags,
                        struct hx_stat *out) HX_MUST_CHECK;
enum hx_status vfs_mkdir(const struct vfs_start *start, const char *path, size_t size,
                         u32 mode) HX_MUST_CHECK;
enum hx_status vfs_symlink(const struct vfs_start *start, const char *path, size_t size,
                           const char *target, size_t target_size) HX_MUST_CHECK;
enum hx_status vfs_unlink(const struct vfs_start *start, const char *path, size_t size,
                          u32 flags) HX_MUST_CHECK;
enum hx_status vfs_link(const struct vfs_start *start, const char *path, size_t size,
                        const struct vfs_start *to_start, const char *to,
                        size_t to_size) HX_MUST_CHECK;
enum hx_status vfs_rename(const struct vfs_start *start, const char *path, size_t size,
                          const struct vfs_start *to_start, const char *to, size_t to_size,
                          u32 flags) HX_MUST_CHECK;
enum hx_status vfs_readlink(const struct vfs_start *start, const char *path, size_t size, char *buf,
                            size_t buf_size, size_t *out_size) HX_MUST_CHECK;
enum hx_status vfs_attr_set(const struct vfs_start *start, const char *path, size_t size,
                            const struct hx_attr *attr, u32 flags) HX_MUST_CHECK;
enum hx_status vfs_statfs(const struct vfs_start *start, const char *path, size_t size,
                          struct hx_fs_stat *out) HX_MUST_CHECK;

/* Open files. Reads and writes return how many bytes, or a status when it was none. */
#define VFS_IO_MAX   HX_MIB(1) /* bytes of one call; the rest is for the next */
#define VFS_FILE_MAX ((u64)1 << 62)

s64 file_read(struct file *file, const struct vfs_buffer *buffer);
s64 file_write(struct file *file, const struct vfs_buffer *buffer);
s64 file_read_at(struct file *file, const struct vfs_buffer *buffer, u64 offset);
s64 file_write_at(struct file *file, const struct vfs_buffer *buffer, u64 offset);
s64 file_seek(struct file *file, s64 offset, u64 whence);
s64 file_readdir(struct file *file, const struct vfs_buffer *buffer);
enum hx_status file_truncate(struct file *file, u64 bytes) HX_MUST_CHECK;
enum hx_status file_sync(struct file *file) HX_MUST_CHECK;
enum hx_status file_stat(struct file *file, struct hx_stat *out) HX_MUST_CHECK;
enum hx_status file_xattr_get(struct file *file, struct fs_name name, void *value, size_t size,
                              size_t *out_size) HX_MUST_CHECK;
enum hx_status file_xattr_set(struct file *file, struct fs_name name, const void *value,
                              size_t size, u32 flags) HX_MUST_CHECK;
enum hx_status file_xattr_remove(struct file *file, struct fs_name name) HX_MUST_CHECK;
enum hx_status file_xattr_list(struct file *file, char *buf, size_t size,
                               size_t *out_size) HX_MUST_CHECK;
/* A directory as the start of walks. Good while the file is held. */
enum hx_status file_as_start(struct file *file, u32 rights, struct vfs_start *out) HX_MUST_CHECK;
/* All of a file's bytes where they lie for ever, read-only; NULL: they do not. */
const void *file_in_place(struct file *file, u64 *out_bytes);
void file_put(struct file *file);
struct object *file_object(struct file *file);
struct file *file_of_object(struct object *object);

/* Two ends of a new pipe, each with a reference for the caller. flags: HX_PIPE_*.
 * Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status pipe_create(u32 flags, struct file **out_read,
                           struct file **out_write) HX_MUST_CHECK;

/* Unreferenced names that are kept for the next walk. */
struct dcache_usage {
    u64 count, limit, hits, misses;
};
void dcache_usage_read(struct dcache_usage *out);
void dcache_limit_set(u64 limit); /* keeps no more than this from now on; tests */

extern const struct fs_ops ramfs_ops, devfs_ops, procfs_ops;

#endif
