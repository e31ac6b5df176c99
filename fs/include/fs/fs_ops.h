/* SPDX-License-Identifier: MIT */
/* What a file system provides: the interface of the file-system slot. The VFS owns everything that
 * programs hold on to (open files, names in use, cached pages); a file system answers questions
 * about inode numbers. It never sees user memory, paths or handles: names are single components,
 * already checked, and buffers are kernel memory.
 *
 * Calls about one instance that look up or change names, attributes or extended attributes come one
 * at a time; read, write and truncate come besides them, for one file one at a time, for several
 * files at once. Context of all: thread; they may block on what has a deadline.
 * Every one that changes something may answer HX_ERR_NO_MEMORY, NO_SPACE, IO, CORRUPT or READ_ONLY,
 * and has then changed nothing; every one that reads NO_MEMORY, IO or CORRUPT.
 */
#ifndef FS_FS_OPS_H
#define FS_FS_OPS_H

#include <abi/file.h>
#include <fs/bdev.h>
#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define FS_ABI 1u

/* 1 to HX_FILE_NAME_MAX bytes without "/" and NUL; never "." or "..". */
struct fs_name {
    const char *text;
    u32 size;
};

struct fs_attr {
    u64 ino; /* never 0 */
    u64 bytes, stored, rdev;
    u32 mode, uid, gid, nlink;
    s64 atime_ns, mtime_ns, ctime_ns, btime_ns;
};

struct fs_mount_request {
    struct bdev *device; /* NULL: none was named */
    bool read_only;
    u64 page_limit;  /* pages of memory: FS_MEMORY, of contents, and files; others, an eighth of it
                      * for what they cache themselves */
    const void *key; /* a passphrase, or 32 bytes of key; gone after the call */
    u32 key_size;    /* 0: none */
    const struct fs_ops *ops; /* the table that is called */
};

struct fs_create {
    u32 mode, uid, gid; /* type and permissions */
    u64 rdev;
    const char *target; /* links: 1 to HX_PATH_MAX bytes */
    u32 target_size;
};

/* Flags of a file system. */
#define FS_MEMORY                                                                                  \
    (1u << 0) /* contents, sizes, times, mode and owner live in the VFS; read, write,              \
               * truncate, getattr and setattr are never called. An inode's attributes             \
               * are asked for once. Absent: it keeps all of them itself */
#define FS_DIRECT (1u << 1) /* contents are not cached: every read is a read. Absent: pages are */

/* Ops marked + are mandatory; an absent one answers HX_ERR_NOT_SUPPORTED, an absent forget or sync
 * does nothing. `fs` is the instance. */
struct fs_ops {
    u32 abi_version; /* FS_ABI */
    u32 size;        /* sizeof(struct fs_ops) */
    const char *name;
    u32 flags;
    u32 state_version; /* of save_state; 0: its state is on the device */

    /* + Makes an instance, and says what its root directory is. HX_ERR_INVALID: no such file system
     * on the device; HX_ERR_NOT_SUPPORTED: it needs a device, or none, or is newer. */
    enum hx_status (*mount)(const struct fs_mount_request *request, void **out_fs,
                            struct fs_attr *out_root);
    /* Makes an empty file system on the device. HX_ERR_INVALID: it is too small. */
    enum hx_status (*format)(const struct fs_mount_request *request);
    /* + Writes what is not yet written and ends it, whatever it answers. */
    enum hx_status (*unmount)(void *fs);
    /* + An inode that lookup, create or mount has named is in use until forget; it stays readable
     * and writable, even if its last name goes. HX_ERR_NOT_FOUND. */
    enum hx_status (*lookup)(void *fs, u64 dir, struct fs_name name, struct fs_attr *out);
    void (*forget)(void *fs, u64 ino);
    enum hx_status (*getattr)(void *fs, u64 ino, struct fs_attr *out);
    enum hx_status (*setattr)(void *fs, u64 ino, const struct fs_attr *attr,
                              u32 mask); /* HX_ATTR_* */
    /* HX_ERR_EXISTS; HX_ERR_NOT_FOUND: the directory itself was removed; HX_ERR_TOO_MANY_LINKS. */
    enum hx_status (*create)(void *fs, u64 dir, struct fs_name name, const struct fs_create *how,
                             struct fs_attr *out);
    enum hx_status (*link)(void *fs, u64 ino, u64 dir, struct fs_name name);
    /* directory: it must be one, and empty (HX_ERR_NOT_DIR, NOT_EMPTY); else it must not be one
     * (HX_ERR_IS_DIR). *out_nlink: links that what it named has left; not FS_MEMORY: left as it
     * is, getattr says. */
    enum hx_status (*unlink)(void *fs, u64 dir, struct fs_name name, bool directory,
                             u32 *out_nlink);
    /* What it replaces loses a link: *out_nlink; UINT32_MAX when nothing was replaced. flags:
     * HX_RENAME_*; not FS_MEMORY: as above. HX_ERR_INVALID: a directory into itself; IS_DIR,
     * NOT_DIR, NOT_EMPTY: they do not fit each other. */
    enum hx_status (*rename)(void *fs, u64 from_dir, struct fs_name from, u64 to_dir,
                             struct fs_name to, u32 flags, u32 *out_nlink);
    enum hx_status (*readlink)(void *fs, u64 ino, char *buf, size_t size, size_t *out_size);
    /* Fills buf with whole struct hx_dirent after *cookie (0: from the start), "." and ".." left
     * out, and moves it on. A cookie stays good whatever changes meanwhile: entries that are there
     * all the time are seen once. *out_used 0: no more. size is at least HX_DIRENT_MAX. */
    enum hx_status (*readdir)(void *fs, u64 dir, u64 *cookie, void *buf, size_t size,
                              size_t *out_used);
    /* Short only at the end of the file. */
    enum hx_status (*read)(void *fs, u64 ino, u64 offset, void *buf, size_t size, size_t *out_done);
    enum hx_status (*write)(void *fs, u64 ino, u64 offset, const void *buf, size_t size,
                            size_t *out_done);
    enum hx_status (*truncate)(void *fs, u64 ino, u64 bytes);
    /* The first byte at or after *offset that is in a hole, or that is not. HX_ERR_END. */
    enum hx_status (*seek)(void *fs, u64 ino, u64 *offset, bool hole);
    enum hx_status (*fsync)(void *fs, u64 ino); /* all that happened to it is durable on HX_OK */
    enum hx_status (*sync)(void *fs);
    enum hx_status (*tick)(void *fs); /* every 5 s, if writable: what is as old becomes durable */
    void (*statfs)(void *fs, struct hx_fs_stat *out);
    /* value may be NULL with size 0 to ask for the length. HX_ERR_NOT_FOUND, HX_ERR_EXISTS,
     * HX_ERR_MESSAGE_SIZE: the buffer is too small, or the value too large. */
    enum hx_status (*xattr_get)(void *fs, u64 ino, struct fs_name name, void *value, size_t size,
                                size_t *out_size);
    enum hx_status (*xattr_set)(void *fs, u64 ino, struct fs_name name, const void *value,
                                size_t size, u32 flags);
    enum hx_status (*xattr_remove)(void *fs, u64 ino, struct fs_name name);
    /* NUL-terminated names in a row. */
    enum hx_status (*xattr_list)(void *fs, u64 ino, char *buf, size_t size, size_t *out_size);
    /* Hand-over to another implementation: all that is not on the device, as records without
     * pointers (state_version), at most `size` bytes; *out_size is what is needed, also when that
     * is more (HX_ERR_MESSAGE_SIZE). restore_state makes an instance of it, in which the same inode
     * numbers mean the same; HX_ERR_CORRUPT, HX_ERR_ABI. */
    enum hx_status (*save_state)(void *fs, void *buf, size_t size, size_t *out_size);
    enum hx_status (*restore_state)(const void *buf, size_t size, u32 version, void **out_fs);
};

#endif
