/* SPDX-License-Identifier: MIT */
/* HelixFS on disk: every structure and constant that fs/SPEC.md describes, and nothing else. All
 * fields are little-endian; addresses and lengths are in 4 KiB blocks unless a name says bytes.
 */
#ifndef FS_FORMAT_H
#define FS_FORMAT_H

#include <helix/compiler.h>
#include <helix/types.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "structures are used as they lie on disk");

#define HFS_VERSION     1u
#define HFS_BLOCK       4096u
#define HFS_NODE        16384u /* bytes of a tree node */
#define HFS_NODE_BLOCKS 4u
#define HFS_LEVELS_MAX  8u

#define HFS_MAGIC_SUPER 0x31534648u /* "HFS1" */
#define HFS_MAGIC_UBER  0x31554648u /* "HFU1" */
#define HFS_MAGIC_NODE  0x314e4648u /* "HFN1" */
#define HFS_MAGIC_LOG   0x314c4648u /* "HFL1" */

/* Labels: the superblock and then a ring of roots, at block 0 and near the end of the device. */
#define HFS_RING         32u
#define HFS_LABEL_BLOCKS 36u /* superblock, ring, 3 unused */
#define HFS_MIN_BLOCKS   1024u

/* Space: groups of as many blocks as one bitmap block has bits. */
#define HFS_GROUP           32768u
#define HFS_FANOUT          128u  /* entries of a summary page */
#define HFS_TOP_MAX         64u   /* level-2 pages that a root names */
#define HFS_SLOTS           3u    /* places of every bitmap and summary page */
#define HFS_SLOT_FRESH      0xffu /* never written: only the fixed blocks are in use */
#define HFS_GROUP_HEAD      4u    /* blocks at the start of a group */
#define HFS_GROUP_HEAD_LONG 12u   /* the same when its number is a multiple of HFS_FANOUT */

/* Feature bits of the superblock. */
#define HFS_INCOMPAT_LZ4     (1ull << 0)
#define HFS_INCOMPAT_ZSTD    (1ull << 1)
#define HFS_INCOMPAT_ENCRYPT (1ull << 2)
#define HFS_INCOMPAT_KNOWN   (HFS_INCOMPAT_LZ4 | HFS_INCOMPAT_ZSTD | HFS_INCOMPAT_ENCRYPT)
#define HFS_RO_COMPAT_KNOWN  0ull

struct hfs_super {
    u32 magic;
    u32 crc; /* of the block, this field zero */
    u32 version;
    u32 copies; /* of every tree node: 1 or 2 */
    u8 uuid[16];
    u64 fsid; /* in every node and log entry: the first 8 bytes of uuid */
    u64 blocks;
    u64 label_b;
    u64 log_start;
    u64 log_blocks;
    u64 compat, ro_compat, incompat;
    s64 created_ns;
    u8 hash_key[16]; /* of the directory hash */
    char label[64];  /* NUL-terminated */
};

/* A pointer to a tree node. */
struct hfs_bptr {
    u64 addr; /* 0: none */
    u64 copy; /* second copy, 0: none */
    u64 birth;
    u8 csum[16]; /* XXH64 of the node, its CRC-32C, 4 bytes zero; or the AEAD tag when encrypted */
};

/* What a page of level n says about one page of level n - 1. */
struct hfs_space_entry {
    u64 txg; /* that wrote it */
    u32 slot;
    u32 crc;
    u64 free;  /* blocks */
    u64 quads; /* free aligned runs of HFS_NODE_BLOCKS */
};

struct hfs_uber {
    u32 magic;
    u32 crc; /* of the block, this field zero */
    u32 version;
    u32 top_count;
    u64 fsid;
    u64 txg;
    s64 time_ns;
    struct hfs_bptr root; /* of the root tree */
    u32 root_levels;
    u32 reserved;
    u64 next_subvol;
    u64 free, quads;
    u64 op_seq;  /* operations up to this one are in the tree */
    u64 log_seq; /* number of the next log entry */
    u64 log_pos; /* its block, relative to the log's start */
    u64 log_chain;
    struct hfs_space_entry top[HFS_TOP_MAX];
};

/* Trees. Keys compare field by field. */
struct hfs_key {
    u64 oid, kind, off;
};

struct hfs_node_head {
    u32 magic;
    u32 crc; /* of the node as stored, this field zero */
    u64 fsid;
    u64 addr; /* of the first copy */
    u64 birth;
    u64 tree; /* subvolume that wrote it, 0: the root tree */
    u16 level;
    u16 count;
    u16 data; /* leaf: lowest byte in use by values */
    u16 flags;
    u8 nonce[24];
};
#define HFS_NODE_ENCRYPTED 1u

struct hfs_item { /* leaf: grows up from the head; values grow down from the end */
    struct hfs_key key;
    u16 off;
    u16 len;
    u32 reserved;
};

struct hfs_child {      /* inner node */
    struct hfs_key key; /* lowest key that may be below */
    struct hfs_bptr ptr;
};

#define HFS_ITEM_MAX 4352u /* bytes of a value */

/* Subvolume trees: oid is the inode number. */
#define HFS_KIND_ORPHAN 0u /* oid 0, off: inode number; no value */
#define HFS_KIND_INODE  1u /* hfs_dinode, then inline data */
#define HFS_KIND_XATTR  2u /* off: hash of the name; hfs_dxattr entries */
#define HFS_KIND_DIRENT 3u /* off: hash of the name; hfs_dirent entries */
#define HFS_KIND_EXTENT 4u /* off: first file block; hfs_extent */

#define HFS_INO_ROOT 1u

#define HFS_INODE_INLINE 1u /* the content follows the inode */
#define HFS_INLINE_MAX   2048u
#define HFS_LINK_MAX     4095u /* bytes of a symbolic link's target, always inline */
#define HFS_NAME_MAX     255u

struct hfs_dinode {
    u64 size;
    u64 blocks;  /* of data, as stored */
    u64 parent;  /* directories: the one they are in */
    u64 entries; /* directories: names in it, without . and .. */
    u32 mode;    /* type and permissions, as in <sys/stat.h> */
    u32 uid, gid;
    u32 nlink;
    s64 atime_ns, mtime_ns, ctime_ns, btime_ns;
    u64 rdev;
    u32 flags;
    u32 reserved;
    u64 xattrs; /* number of extended attributes */
    u64 spare;
};

struct hfs_dxattr { /* name and value follow; entries are not aligned */
    u16 value_len;
    u8 name_len;
} HX_PACKED;
#define HFS_XATTR_VALUE_MAX 3072u

struct hfs_dirent { /* name follows; entries are not aligned */
    u64 ino;
    u8 type; /* mode >> 12 */
    u8 name_len;
} HX_PACKED;

#define HFS_EXTENT_MAX  256u /* blocks of a plain extent */
#define HFS_SEALED_MAX  16u  /* blocks of content of a sealed one */
#define HFS_ALG_NONE    0u
#define HFS_ALG_LZ4     1u
#define HFS_ALG_ZSTD    2u
#define HFS_EXT_SEALED  1u /* one unit: replaced whole */
#define HFS_EXT_CRYPTED 2u

struct hfs_extent {
    u64 addr;
    u64 birth;
    u16 len; /* blocks of content */
    u16 flags;
    u16 alg;
    u16 blocks; /* stored; equals len when plain */
    u32 bytes;  /* stored, sealed only */
    u32 crc;    /* CRC-32C of the stored bytes, sealed only */
    /* plain: u32 crc[len] follows, CRC-32C of each block.
     * encrypted: u8 nonce[24], u8 tag[16] follow. */
};
#define HFS_EXT_NONCE 24u
#define HFS_EXT_TAG   16u

/* Root tree. */
#define HFS_ROOT_SUBVOL 1u           /* oid: subvolume; hfs_dsubvol */
#define HFS_ROOT_NAME   2u           /* oid: hash of the name, off: subvolume; no value */
#define HFS_ROOT_KEY    3u           /* oid: subvolume, off: slot; hfs_dkey */
#define HFS_OID_DEAD    (1ull << 63) /* | chain; kind: birth; off: addr; hfs_dead */

#define HFS_OID_DYING (1ull << 62) /* off: subvolume being destroyed; no value */

#define HFS_SUBVOL_FIRST    1u
#define HFS_SUBVOL_NAME_MAX 63u

#define HFS_SV_SNAPSHOT  (1u << 0) /* read-only, one moment of `chain` */
#define HFS_SV_DYING     (1u << 1) /* being destroyed piece by piece */
#define HFS_SV_ENCRYPTED (1u << 2)

struct hfs_dsubvol {
    struct hfs_bptr root;
    u32 levels;
    u32 flags;
    u64 birth;      /* snapshots: the transaction group that they show */
    u64 chain;      /* snapshots: the subvolume they were taken of; else its own number */
    u64 origin;     /* clones: the snapshot they came from, 0: none */
    u64 floor;      /* clones: its birth; blocks up to it belong to the origin */
    u64 prev;       /* next older snapshot of the chain, 0: none */
    u64 next;       /* snapshots: next newer one, 0: the live subvolume */
    u64 prev_birth; /* birth of prev, or floor */
    u64 next_ino;
    u64 clones;    /* snapshots: how many came from it */
    u64 key_owner; /* encrypted: the subvolume whose HFS_ROOT_KEY items wrap the key */
    s64 created_ns;
    u32 alg;
    u32 alg_level;
    char name[HFS_SUBVOL_NAME_MAX + 1];
};

struct hfs_dead {
    u64 death; /* the transaction group that freed it in the live subvolume */
    u64 len;
};

struct hfs_dkey {
    u8 salt[16];
    u32 ops;     /* Argon2id passes, 0: the wrapping key is used as given */
    u32 mem_kib; /* Argon2id memory */
    u8 nonce[24];
    u8 wrapped[32 + 16]; /* XChaCha20-Poly1305 of the data key, tag last */
};

/* Log. An entry starts on a block and holds whole records. */
struct hfs_log_head {
    u32 magic;
    u32 crc; /* of head and records, this field zero */
    u64 fsid;
    u64 nonce; /* of the mount that wrote it */
    u64 seq;
    u64 chain; /* crc of the previous entry | its seq << 32 */
    u64 base_txg;
    u64 first_op; /* number of the first record */
    u32 bytes;    /* head and records */
    u32 records;
};
#define HFS_LOG_ENTRY_MAX 65536u

#define HFS_REC_CREATE    1u      /* payload: name, link target */
#define HFS_REC_LINK      2u      /* name */
#define HFS_REC_UNLINK    3u      /* name; arg 1: a directory */
#define HFS_REC_RENAME    4u      /* name, new name; arg: new directory, arg2: flags */
#define HFS_REC_SETATTR   5u      /* hfs_rec_attr */
#define HFS_REC_TRUNCATE  6u      /* arg: size */
#define HFS_REC_WRITE     7u      /* arg: offset in bytes; the bytes */
#define HFS_REC_EXTENT    8u      /* arg: file block, arg2: size of the file then; hfs_extent */
#define HFS_REC_PUNCH     9u      /* arg: offset, arg2: length, both bytes */
#define HFS_REC_XATTR_SET 10u     /* name, value */
#define HFS_REC_XATTR_DEL 11u     /* name */
#define HFS_REC_SEALED    12u     /* nonce, tag, and an encrypted record with its payload */
#define HFS_REC_MORE      0x8000u /* flag: applies only together with the record that follows */
#define HFS_REC_TYPE      0x7fffu

struct hfs_rec {
    u16 type;
    u16 name_len; /* bytes of the first name */
    u32 len;      /* record and payload, a multiple of 8 */
    u64 subvol;
    u64 ino;
    u64 dir;
    u64 arg, arg2;
    s64 time_ns;
    u32 payload; /* bytes */
    u32 mode, uid, gid;
};

struct hfs_rec_attr {
    u32 mask;
    u32 mode, uid, gid;
    s64 atime_ns, mtime_ns;
};

_Static_assert(sizeof(struct hfs_super) == 184, "SPEC.md, superblock");
_Static_assert(sizeof(struct hfs_bptr) == 40, "SPEC.md, pointer");
_Static_assert(sizeof(struct hfs_space_entry) * HFS_FANOUT == HFS_BLOCK, "SPEC.md, summary page");
_Static_assert(sizeof(struct hfs_uber) == 2192, "SPEC.md, root");
_Static_assert(sizeof(struct hfs_node_head) == 72, "SPEC.md, node");
_Static_assert(sizeof(struct hfs_item) == 32 && sizeof(struct hfs_child) == 64, "SPEC.md, node");
_Static_assert(sizeof(struct hfs_dinode) == 112, "SPEC.md, inode");
_Static_assert(sizeof(struct hfs_dirent) == 10 && sizeof(struct hfs_dxattr) == 3, "SPEC.md, names");
_Static_assert(sizeof(struct hfs_extent) == 32, "SPEC.md, extent");
_Static_assert(sizeof(struct hfs_dsubvol) == 208, "SPEC.md, subvolume");
_Static_assert(sizeof(struct hfs_dkey) == 96, "SPEC.md, key");
_Static_assert(sizeof(struct hfs_log_head) == 64, "SPEC.md, log");
_Static_assert(sizeof(struct hfs_rec) == 72, "SPEC.md, log");
_Static_assert(HFS_ITEM_MAX >= sizeof(struct hfs_dinode) + HFS_LINK_MAX, "links fit in an item");
_Static_assert(HFS_ITEM_MAX >= sizeof(struct hfs_extent) + 4 * HFS_EXTENT_MAX, "extents fit");

#endif
