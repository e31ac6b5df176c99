/* SPDX-License-Identifier: MIT */
/* HelixFS, the library: a copy-on-write file system over a block device, the same sources in the
 * kernel and in host tools. DESIGN.md says why it is as it is, SPEC.md what lies on the disk.
 *
 * Contract: after a crash a mount shows exactly the operations up to some moment, none after it,
 * and that moment is not before the last hfs_fsync or hfs_sync that returned HX_OK. A write to a
 * file takes its place in that order when it is written back (hfs_fsync of the file, a commit).
 *
 * Every function is for thread context and may block. A mounted file system takes its own lock;
 * calls from any thread are serialised by it. Names are bytes without a terminating NUL. Unless a
 * comment says otherwise every function that changes something may return HX_ERR_NO_MEMORY,
 * HX_ERR_NO_SPACE, HX_ERR_IO, HX_ERR_CORRUPT and HX_ERR_READ_ONLY (a read-only mount, a snapshot,
 * or a file system frozen by a failed commit), and every one that reads HX_ERR_NO_MEMORY,
 * HX_ERR_IO and HX_ERR_CORRUPT.
 */
#ifndef FS_HELIXFS_H
#define FS_HELIXFS_H

#include <abi/file.h>
#include <fs/bdev.h>
#include <fs/format.h>
#include <helix/status.h>
#include <helix/types.h>

struct hfs;
struct hfs_subvol;
struct hfs_inode;

/* Making and mounting */

struct hfs_key_source {
    const void *secret; /* a passphrase, or 32 bytes of key when ops is 0 */
    size_t len;
    u32 ops, mem_kib; /* Argon2id cost, for making a slot only; ops 0: the secret is the key */
};

struct hfs_mkfs_opts {
    u64 blocks;     /* 0: the whole device */
    u32 copies;     /* of tree nodes, 1 or 2; 0: 2 */
    u32 alg;        /* compression of the first subvolume, HFS_ALG_* */
    u32 alg_level;  /* Zstandard, 1 to 3 */
    u64 log_blocks; /* 0: by size */
    const u8 *uuid; /* 16 bytes, or NULL: random */
    const char *label;
    const struct hfs_key_source *key; /* encrypts the first subvolume */
};

/* Writes an empty file system. Return: HX_ERR_INVALID: the device is too small, or an option is
 * out of range. */
enum hx_status hfs_mkfs(struct bdev *dev, const struct hfs_mkfs_opts *opts) HX_MUST_CHECK;

#define HFS_MOUNT_RDONLY (1u << 0) /* nothing is written; a log is replayed in memory */
#define HFS_MOUNT_NOLOG  (1u << 1) /* fsync commits instead of logging */

struct hfs_mount_opts {
    u32 flags;
    u64 cache_bytes;                  /* 0: 8 MiB; at least 256 KiB */
    const struct hfs_key_source *key; /* of encrypted subvolumes */
    /* Called with the file system's lock held when pending writes of a file take their place in
     * the order; NULL: not. */
    void (*ordered)(void *ctx, u64 subvol, u64 ino);
    void *ctx;
};

/* Return: HX_ERR_INVALID: no HelixFS there; HX_ERR_NOT_SUPPORTED: made by a newer version;
 * HX_ERR_CORRUPT: no intact root; HX_ERR_ACCESS: the log belongs to a subvolume whose key is
 * missing; HX_ERR_SIGNATURE: the key is wrong. Nothing was written then. */
enum hx_status hfs_mount(struct bdev *dev, const struct hfs_mount_opts *opts,
                         struct hfs **out_fs) HX_MUST_CHECK;

/* Commits and forgets everything. No inode or subvolume is held. The memory is released whatever
 * is returned; a failure means that what was not yet durable is lost. */
enum hx_status hfs_unmount(struct hfs *fs) HX_MUST_CHECK;

/* Forgets everything without writing: what a power cut does. For tests and for a module that must
 * stop at once. */
void hfs_abandon(struct hfs *fs);

enum hx_status hfs_sync(struct hfs *fs) HX_MUST_CHECK; /* everything durable */
enum hx_status hfs_tick(struct hfs *fs) HX_MUST_CHECK; /* commits what is older than 5 s */

struct hfs_stat {
    u64 blocks, free, available; /* available: to files; free - available is kept for deletes */
    u64 txg;
    u8 uuid[16];
    char label[64];
    bool frozen, read_only, replayed;
    u64 cache_hits, cache_misses, cache_bytes;
};
void hfs_statfs(struct hfs *fs, struct hfs_stat *out);

/* Inodes. Every inode that a call hands out is held, and goes back by hfs_inode_put. */

struct hfs_attr {
    u64 ino, size, blocks, rdev; /* blocks: 4 KiB of data stored */
    u32 mode, uid, gid, nlink;
    s64 atime_ns, mtime_ns, ctime_ns, btime_ns;
};

#define HFS_SET_MODE  HX_ATTR_MODE
#define HFS_SET_UID   HX_ATTR_UID
#define HFS_SET_GID   HX_ATTR_GID
#define HFS_SET_ATIME HX_ATTR_ATIME
#define HFS_SET_MTIME HX_ATTR_MTIME
#define HFS_SET_NOW   HX_ATTR_NOW /* times given are replaced by the present */

#define HFS_RENAME_NOREPLACE HX_RENAME_NOREPLACE
#define HFS_RENAME_EXCHANGE  HX_RENAME_EXCHANGE

struct hfs_name {
    const char *s;
    size_t len;
};

struct hfs_owner {
    u32 uid, gid;
};

enum hx_status hfs_root(struct hfs_subvol *sv, struct hfs_inode **out) HX_MUST_CHECK;
/* HX_ERR_NOT_FOUND: no inode of that number. */
enum hx_status hfs_inode_get(struct hfs_subvol *sv, u64 ino, struct hfs_inode **out) HX_MUST_CHECK;
void hfs_inode_hold(struct hfs_inode *inode);
void hfs_inode_put(struct hfs_inode *inode);
u64 hfs_inode_number(const struct hfs_inode *inode);
struct hfs_subvol *hfs_inode_subvol(const struct hfs_inode *inode);

enum hx_status hfs_getattr(struct hfs_inode *inode, struct hfs_attr *out) HX_MUST_CHECK;
enum hx_status hfs_setattr(struct hfs_inode *inode, const struct hfs_attr *attr,
                           u32 mask) HX_MUST_CHECK;

/* Names are checked here: HX_ERR_INVALID for an empty one, one with / or NUL, "." and "..";
 * HX_ERR_NAME_TOO_LONG; HX_ERR_NOT_DIR when dir is none; HX_ERR_NOT_FOUND; HX_ERR_EXISTS. "." and
 * ".." are legal for hfs_lookup. */
enum hx_status hfs_lookup(struct hfs_inode *dir, struct hfs_name name,
                          struct hfs_inode **out) HX_MUST_CHECK;
/* mode: type and permissions; rdev for devices; target for symbolic links (1 to 4095 bytes). */
enum hx_status hfs_create(struct hfs_inode *dir, struct hfs_name name, u32 mode,
                          struct hfs_owner owner, u64 rdev, struct hfs_name target,
                          struct hfs_inode **out) HX_MUST_CHECK;
/* HX_ERR_ACCESS: a directory; HX_ERR_TOO_MANY_LINKS; HX_ERR_CROSS_DEVICE: other subvolume. */
enum hx_status hfs_link(struct hfs_inode *inode, struct hfs_inode *dir,
                        struct hfs_name name) HX_MUST_CHECK;
/* HX_ERR_IS_DIR. The content lives until the last hold is given back. */
enum hx_status hfs_unlink(struct hfs_inode *dir, struct hfs_name name) HX_MUST_CHECK;
/* HX_ERR_NOT_EMPTY. */
enum hx_status hfs_rmdir(struct hfs_inode *dir, struct hfs_name name) HX_MUST_CHECK;
/* HX_ERR_LOOP: a directory into itself; HX_ERR_IS_DIR, HX_ERR_NOT_DIR, HX_ERR_NOT_EMPTY: what is
 * replaced does not fit. */
enum hx_status hfs_rename(struct hfs_inode *from_dir, struct hfs_name from,
                          struct hfs_inode *to_dir, struct hfs_name to, u32 flags) HX_MUST_CHECK;
enum hx_status hfs_readlink(struct hfs_inode *inode, char *buf, size_t size,
                            size_t *out_len) HX_MUST_CHECK;

/* Calls visit for each name after cookie (0: from the start, "." and ".." included) until it
 * returns false or the directory ends; an entry's cookie continues behind it, whatever changed
 * meanwhile. visit must not call the file system. */
typedef bool hfs_visit_fn(void *ctx, const char *name, size_t len, u64 ino, u8 type, u64 cookie);
enum hx_status hfs_readdir(struct hfs_inode *dir, u64 cookie, hfs_visit_fn *visit,
                           void *ctx) HX_MUST_CHECK;

/* File content */

#define HFS_SIZE_MAX ((u64)1 << 62)

enum hx_status hfs_read(struct hfs_inode *inode, u64 off, void *buf, size_t len,
                        size_t *out_len) HX_MUST_CHECK;
/* All or nothing up to 64 KiB; longer writes may stop early with out_len below len. */
enum hx_status hfs_write(struct hfs_inode *inode, u64 off, const void *buf, size_t len,
                         size_t *out_len) HX_MUST_CHECK;
enum hx_status hfs_truncate(struct hfs_inode *inode, u64 size) HX_MUST_CHECK;
/* Makes the range a hole; the size stays. */
enum hx_status hfs_punch(struct hfs_inode *inode, u64 off, u64 len) HX_MUST_CHECK;
/* The first byte at or after off that is data, or that is in a hole; the end of the file is a
 * hole. HX_ERR_END: off is at or after the end, or no data follows. */
enum hx_status hfs_seek(struct hfs_inode *inode, u64 off, bool hole, u64 *out) HX_MUST_CHECK;
/* Everything that happened to this inode so far is durable on HX_OK. */
enum hx_status hfs_fsync(struct hfs_inode *inode) HX_MUST_CHECK;

/* Extended attributes, names as they are ("user.x"). HX_ERR_NOT_FOUND, HX_ERR_EXISTS (create),
 * HX_ERR_MESSAGE_SIZE: value over HFS_XATTR_VALUE_MAX, or buf too small. size 0 asks the length. */
#define HFS_XATTR_CREATE  HX_XATTR_CREATE
#define HFS_XATTR_REPLACE HX_XATTR_REPLACE
enum hx_status hfs_xattr_get(struct hfs_inode *inode, struct hfs_name name, void *buf, size_t size,
                             size_t *out_len) HX_MUST_CHECK;
enum hx_status hfs_xattr_set(struct hfs_inode *inode, struct hfs_name name, const void *value,
                             size_t len, u32 flags) HX_MUST_CHECK;
enum hx_status hfs_xattr_remove(struct hfs_inode *inode, struct hfs_name name) HX_MUST_CHECK;
/* NUL-terminated names, one after the other. */
enum hx_status hfs_xattr_list(struct hfs_inode *inode, char *buf, size_t size,
                              size_t *out_len) HX_MUST_CHECK;

/* Subvolumes, snapshots, clones. All of these commit before they return. */

struct hfs_subvol_info {
    u64 id, chain, origin, birth, prev;
    s64 created_ns;
    u32 flags, alg; /* HFS_SV_* */
    char name[HFS_SUBVOL_NAME_MAX + 1];
};

/* The subvolume of that name, held; the first one is called "main". HX_ERR_NOT_FOUND;
 * HX_ERR_ACCESS: encrypted and the mount has no key; HX_ERR_SIGNATURE: the key is wrong. */
enum hx_status hfs_subvol_open(struct hfs *fs, const char *name,
                               struct hfs_subvol **out) HX_MUST_CHECK;
void hfs_subvol_put(struct hfs_subvol *sv);
u64 hfs_subvol_id(const struct hfs_subvol *sv);
/* visit returns false to stop. */
enum hx_status hfs_subvol_list(struct hfs *fs,
                               bool (*visit)(void *ctx, const struct hfs_subvol_info *info),
                               void *ctx) HX_MUST_CHECK;
/* HX_ERR_EXISTS, HX_ERR_NAME_TOO_LONG. */
enum hx_status hfs_snapshot(struct hfs *fs, const char *of, const char *name) HX_MUST_CHECK;
/* A writable subvolume that starts as the snapshot is. */
enum hx_status hfs_clone(struct hfs *fs, const char *snapshot, const char *name) HX_MUST_CHECK;
/* A snapshot, or a clone with no snapshots. HX_ERR_BUSY: held, clones depend on it, or it has
 * snapshots. */
enum hx_status hfs_destroy(struct hfs *fs, const char *name) HX_MUST_CHECK;
/* The live subvolume becomes what its newest snapshot shows. HX_ERR_BUSY: held, or not the newest
 * snapshot. */
enum hx_status hfs_rollback(struct hfs *fs, const char *snapshot) HX_MUST_CHECK;

/* What differs between a snapshot and a newer snapshot of the same chain or its live subvolume.
 * kind is HFS_KIND_*; key.off says which name's hash or which block. Unchanged subtrees are not
 * read. */
enum hfs_change { HFS_ADDED, HFS_REMOVED, HFS_CHANGED };
typedef bool hfs_diff_fn(void *ctx, enum hfs_change change, const struct hfs_key *key,
                         const void *old_value, u32 old_len, const void *new_value, u32 new_len);
enum hx_status hfs_diff(struct hfs *fs, const char *from, const char *to, hfs_diff_fn *visit,
                        void *ctx) HX_MUST_CHECK;

/* Replaces the secret that wraps a subvolume's key. HX_ERR_BAD_STATE: not encrypted. */
enum hx_status hfs_key_change(struct hfs *fs, const char *subvol,
                              const struct hfs_key_source *to) HX_MUST_CHECK;

/* Checking */

struct hfs_verify_opts {
    bool data; /* read and check file contents too */
    const struct hfs_key_source *key;
    void (*problem)(void *ctx, const char *text);     /* one line for each thing that is wrong */
    void (*progress)(void *ctx, u64 done, u64 total); /* blocks in use; NULL: not */
    void *ctx;
};

struct hfs_verify_result {
    u64 problems, nodes, files, dirs, links, extents, dead, snapshots, blocks_used, locked;
};

/* Proves the last commit sound: recomputes from the trees what is in use and compares it with the
 * bitmaps, and checks every node, name, count and link. Writes nothing; the log is not replayed.
 * Return: HX_OK with problems counted; a failure only when it could not be carried out. */
enum hx_status hfs_verify(struct bdev *dev, const struct hfs_verify_opts *opts,
                          struct hfs_verify_result *out) HX_MUST_CHECK;

/* Reads both copies of everything in use and rewrites a bad copy from the good one. */
struct hfs_scrub_result {
    u64 blocks, repaired, lost;
};
enum hx_status hfs_scrub(struct hfs *fs, struct hfs_scrub_result *out) HX_MUST_CHECK;

#endif
