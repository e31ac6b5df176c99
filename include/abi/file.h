/* SPDX-License-Identifier: MIT */
/* Files, as programs and the kernel speak of them: constants and structures of the calls 70 to 99.
 *
 * A path is bytes without NUL, at most HX_PATH_MAX of them, of names of at most HX_FILE_NAME_MAX.
 * It is walked from a directory handle, or from the root of the caller's namespace when the handle
 * is HX_HANDLE_NONE. Either is the root of that walk: "/" leads there, ".." never above it. What
 * may be done at the end of the path is limited by the rights of the directory handle, or of the
 * namespace.
 */
#ifndef ABI_FILE_H
#define ABI_FILE_H

#include <abi/types.h>

#define HX_PATH_MAX      4095
#define HX_FILE_NAME_MAX 255
#define HX_SYMLINKS_MAX  40   /* followed in one walk; more are HX_ERR_LOOP */
#define HX_XATTR_MAX     3072 /* bytes of a value */

/* file_open. Rights of the handle: READ, WRITE and EXECUTE as asked, DELEGATE and TRANSFER. For a
 * directory READ lists and opens what is in it, WRITE brings WRITE, CREATE and DELETE. */
#define HX_OPEN_READ      (1u << 0)
#define HX_OPEN_WRITE     (1u << 1)
#define HX_OPEN_CREATE    (1u << 2) /* absent: it must exist */
#define HX_OPEN_EXCLUSIVE (1u << 3) /* with CREATE: it must not exist */
#define HX_OPEN_TRUNCATE  (1u << 4) /* absent: the content stays */
#define HX_OPEN_APPEND    (1u << 5) /* every write goes to the end; absent: to the position */
#define HX_OPEN_DIRECTORY (1u << 6) /* must be a directory; absent: must not be one */
#define HX_OPEN_NOFOLLOW  (1u << 7) /* a symbolic link at the end is HX_ERR_LOOP */
#define HX_OPEN_EXECUTE   (1u << 8) /* may be started; absent: not by this handle */
#define HX_OPEN_FLAGS     0x1ffu

/* Type and permission bits of a mode, as in POSIX. Permissions are attributes: the kernel keeps
 * them, handles decide. */
#define HX_MODE_TYPE      0170000u
#define HX_MODE_PIPE      0010000u
#define HX_MODE_DEVICE    0020000u /* character device */
#define HX_MODE_DIRECTORY 0040000u
#define HX_MODE_FILE      0100000u
#define HX_MODE_LINK      0120000u
#define HX_MODE_BITS      07777u

/* file_stat; the caller says how much of it there is room for. */
struct hx_stat {
    u32 size; /* bytes of this structure that were filled in */
    u32 mode;
    u64 ino;
    u64 device; /* the file system: the same for all files of one */
    u64 bytes;
    u64 stored; /* bytes that it occupies */
    u64 rdev;   /* devices: which one */
    u32 nlink, uid, gid;
    u32 reserved;
    s64 atime_ns, mtime_ns, ctime_ns, btime_ns; /* since 1970-01-01 UTC; btime: creation */
};
_Static_assert(sizeof(struct hx_stat) == 96, "no padding that could leak");

#define HX_STAT_NOFOLLOW (1u << 0) /* a link itself; absent: what it points to */

/* file_seek */
enum hx_seek { HX_SEEK_SET, HX_SEEK_CURRENT, HX_SEEK_END, HX_SEEK_DATA, HX_SEEK_HOLE };

/* directory_read fills the buffer with these, each a multiple of 8 bytes long. */
struct hx_dirent {
    u64 ino;
    u16 size;     /* of this record */
    u8 type;      /* mode >> 12 */
    u8 name_size; /* without the NUL that ends the name */
    char name[];
};
#define HX_DIRENT_MAX 272 /* a buffer this large always holds an entry */

/* file_unlink */
#define HX_UNLINK_DIRECTORY (1u << 0) /* an empty directory; absent: anything else */

/* file_rename */
#define HX_RENAME_NOREPLACE (1u << 0) /* absent: what is there is replaced */
#define HX_RENAME_EXCHANGE  (1u << 1) /* both exist and change places */

/* file_rename and file_link name two directories in one argument. */
#define HX_DIRECTORIES(from, to) ((u64)(to) << 32 | (from))

/* file_attr_set */
struct hx_attr {
    u32 size; /* sizeof(struct hx_attr) */
    u32 mask; /* HX_ATTR_*: what is to be set */
    u32 mode, uid, gid;
    u32 reserved; /* 0 */
    s64 atime_ns, mtime_ns;
};
#define HX_ATTR_MODE  (1u << 0)
#define HX_ATTR_UID   (1u << 1)
#define HX_ATTR_GID   (1u << 2)
#define HX_ATTR_ATIME (1u << 3)
#define HX_ATTR_MTIME (1u << 4)
#define HX_ATTR_NOW   (1u << 5) /* ATIME and MTIME are set to the present instead */
#define HX_ATTR_FLAGS 0x3fu

/* xattr_set */
#define HX_XATTR_CREATE  (1u << 0) /* must not exist */
#define HX_XATTR_REPLACE (1u << 1) /* must exist */

/* pipe_create */
#define HX_PIPE_NOWAIT (1u << 0) /* HX_ERR_WOULD_BLOCK instead of waiting */

/* mount: a file system by name ("ramfs", "devfs", "procfs", "helixfs"). */
#define HX_MOUNT_READ_ONLY (1u << 0)
#define HX_MOUNT_FORMAT    (1u << 1) /* the device becomes an empty one; nothing is mounted */
#define HX_MOUNT_FLAGS     0x3u
struct hx_mount {
    u32 size;        /* sizeof(struct hx_mount) */
    u32 key_length;  /* 0: none */
    u64 key;         /* of encrypted contents: a passphrase, or 32 bytes of key */
    char device[16]; /* of a disk or partition ("vda", "vda1"), ended by a NUL; empty: none */
};
_Static_assert(sizeof(struct hx_mount) == 32, "no padding");
#define HX_MOUNT_KEY_MAX 256

/* fs_stat */
struct hx_fs_stat {
    u32 size;
    u32 flags; /* HX_MOUNT_* */
    u64 block_bytes, blocks, free_blocks;
    u64 files; /* 0: not known */
    char type[16];
};
_Static_assert(sizeof(struct hx_fs_stat) == 56, "no padding that could leak");

/* process_start. Handles are copied: the child's have the same rights, which must include DELEGATE
 * and TRANSFER. HX_HANDLE_NONE leaves a gap in the list. */
#define HX_SPAWN_HANDLES   16
#define HX_ENVIRONMENT_MAX 4096
#define HX_SPAWN_NAMESPACE (1u << 0) /* a copy of the mounts; absent: the caller's own, shared */
#define HX_SPAWN_READ_ONLY (1u << 1) /* its namespace gives no right to change anything */
#define HX_SPAWN_FLAGS     0x3u
struct hx_spawn {
    u32 size; /* sizeof(struct hx_spawn) */
    u32 flags;
    hx_handle_t file; /* the program, opened with HX_OPEN_EXECUTE; HX_HANDLE_NONE: `path` */
    hx_handle_t root; /* a directory that is to be its root; HX_HANDLE_NONE: the caller's */
    u64 path, path_length;
    u64 args, args_length;               /* NUL-terminated strings in a row */
    u64 environment, environment_length; /* the same */
    u64 handles;                         /* hx_handle_t[handle_count] */
    u32 handle_count;
    u32 reserved; /* 0 */
};
_Static_assert(sizeof(struct hx_spawn) == 80, "no padding that could leak");

/* What a process finds at HX_STARTUP_ADDRESS. The argument strings follow it, and then those of the
 * environment. By agreement handle 0 is standard input, 1 output, 2 errors. */
#define HX_STARTUP_ADDRESS 0x0000200000011000ull
struct hx_startup {
    u32 size; /* of this structure */
    u32 handle_count;
    u32 args_length;
    u32 environment_length;
    hx_handle_t handles[HX_SPAWN_HANDLES];
};
enum hx_standard { HX_STDIN, HX_STDOUT, HX_STDERR };

#endif
