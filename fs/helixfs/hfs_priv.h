/* SPDX-License-Identifier: MIT */
/* What the files of HelixFS share. Layers, each using only those above it here:
 *   space.c   which blocks are free          node.c  one tree node: read, check, cache
 *   tree.c    the B+tree                     dead.c  what a freed block becomes
 *   txg.c     transactions and the commit    log.c   the write-ahead log
 *   subvol.c  subvolumes in memory           inode.c dir.c file.c xattr.c  operations
 *   replay.c  the log at mount               snap.c  snapshots         mount.c  the rest
 * All of it runs under hfs.lock; public functions take it, everything here assumes it.
 */
#ifndef HFS_PRIV_H
#define HFS_PRIV_H

#include <fs/arc.h>
#include <fs/bdev.h>
#include <fs/format.h>
#include <fs/helixfs.h>
#include <fs/os.h>
#include <helix/bits.h>
#include <helix/list.h>
#include <helix/panic.h>
#include <helix/string.h>

#define HFS_WORDS (HFS_GROUP / 64)

/* Cache keys: a node goes by its address, a block of file data by the address of its extent and
 * its place in it, with this bit. */
#define HFS_CACHE_DATA (1ull << 63)

/* Space */

struct space_group {
    u64 alloc[HFS_WORDS];  /* as the next commit writes it */
    u64 pin[2][HFS_WORDS]; /* freed by the open group [txg & 1] and by the one before it */
    struct list_node link; /* space.groups */
    u32 index;
    u32 free, quads; /* neither allocated nor pinned */
    u8 slot;         /* the durable copy */
    bool dirty;
    bool pinned[2];
};

struct space_page {
    struct hfs_space_entry entry[HFS_FANOUT];
    void *child[HFS_FANOUT]; /* space_group at level 1, space_page at level 2 */
    struct list_node link;   /* space.pages[level - 1] */
    u32 level, index;
    u8 slot;
    bool dirty;
};

struct hfs_space {
    u32 group_count;
    u64 free, quads;      /* of the whole device, what may be allocated now */
    u64 pinned;           /* blocks that the next two commits give back */
    u64 data_at, node_at; /* where the last search ended */
    u64 slop_quads;       /* kept for deletes and commits */
    struct space_page *top[HFS_TOP_MAX];
    struct list_node groups, pages[2];
    u32 group_loaded;
};

u32 space_group_count(u64 blocks);
/* Sets the bits of the blocks of a group that the format itself uses, and those past the end. */
void space_fixed(const struct hfs_super *super, u32 group, u64 *bitmap);
u64 space_slot_block(u32 level, u32 index, u32 slot);
u32 space_entry_crc(u32 level, u32 index, u64 txg, const void *page);
void space_fresh_count(const struct hfs_super *super, u32 group, u64 *free, u64 *quads);
void space_count(const u64 *bitmap, u64 *free, u64 *quads);
void space_init(struct hfs *fs);
void space_fini(struct hfs *fs);
/* One aligned run of HFS_NODE_BLOCKS. Return: HX_ERR_NO_SPACE. */
enum hx_status space_alloc_node(struct hfs *fs, u64 *out_addr) HX_MUST_CHECK;
/* 1 to want blocks in one run; exact: all of them or HX_ERR_NO_SPACE. */
enum hx_status space_alloc_data(struct hfs *fs, u32 want, bool exact, u64 *out_addr,
                                u32 *out_len) HX_MUST_CHECK;
/* now: nothing durable refers to the run, it may be used again at once. */
enum hx_status space_free(struct hfs *fs, u64 addr, u64 len, bool now) HX_MUST_CHECK;
/* Marks a run that the log names as in use. HX_ERR_CORRUPT: it already was. */
enum hx_status space_claim(struct hfs *fs, u64 addr, u64 len) HX_MUST_CHECK;
/* Room for that many nodes and blocks above the floor, in quads? */
bool space_fits(const struct hfs *fs, u64 nodes, u64 blocks, u64 floor);
/* Writes what is dirty; entries go up to uber. */
enum hx_status space_write(struct hfs *fs, struct hfs_uber *uber) HX_MUST_CHECK;
/* The commit that space_write was part of is durable. */
void space_committed(struct hfs *fs, const struct hfs_uber *uber);
/* What the summary says about a group, and its bitmap, loaded when need be. */
enum hx_status space_group_entry(struct hfs *fs, u32 index,
                                 struct hfs_space_entry *out) HX_MUST_CHECK;
enum hx_status space_group_get(struct hfs *fs, u32 index, struct space_group **out) HX_MUST_CHECK;

/* Nodes */

struct hfs_node {
    struct arc_entry arc;
    struct list_node link; /* hfs.dirty_nodes, or the pool */
    u64 copy;
    bool dirty;
    union {
        struct hfs_node_head *head;
        u8 *bytes;
    };
};

struct hfs_subvol;

struct hfs_tree {
    struct hfs *fs;
    struct hfs_subvol *sv; /* NULL: the root tree */
    struct hfs_bptr root;
    u32 levels; /* 0: empty */
};

static inline struct hfs_item *node_items(const struct hfs_node *node)
{
    return (struct hfs_item *)(node->bytes + sizeof(struct hfs_node_head));
}

static inline struct hfs_child *node_children(const struct hfs_node *node)
{
    return (struct hfs_child *)(node->bytes + sizeof(struct hfs_node_head));
}

static inline int key_compare(const struct hfs_key *a, const struct hfs_key *b)
{
    if (a->oid != b->oid) {
        return a->oid < b->oid ? -1 : 1;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return a->off < b->off ? -1 : a->off > b->off;
}

extern const struct hfs_key hfs_key_max;

/* What a node's parent knows about it. */
struct node_expect {
    const struct hfs_bptr *ptr;
    u32 level;
    struct hfs_key low, high; /* keys are in [low, high) */
};

/* Checks form only, so that any bytes may be given. */
enum hx_status node_check(const struct hfs *fs, const u8 *bytes, const struct node_expect *expect);
/* The node, held. */
enum hx_status node_get(struct hfs_tree *tree, const struct node_expect *expect,
                        struct hfs_node **out) HX_MUST_CHECK;
void node_put(struct hfs *fs, struct hfs_node *node);
/* A new dirty node, held. HX_ERR_NO_SPACE, HX_ERR_NO_MEMORY. */
enum hx_status node_create(struct hfs_tree *tree, u32 level, struct hfs_node **out) HX_MUST_CHECK;
/* Moves a held clean node to a new place, and frees the old one. */
enum hx_status node_dirty(struct hfs_tree *tree, struct hfs_node *node) HX_MUST_CHECK;
/* Frees the place of a held node, and lets go of it. */
enum hx_status node_delete(struct hfs_tree *tree, struct hfs_node *node) HX_MUST_CHECK;
enum hx_status node_write(struct hfs_tree *tree, struct hfs_node *node,
                          struct hfs_bptr *out_ptr) HX_MUST_CHECK;
enum hx_status node_pool_fill(struct hfs *fs, u32 count) HX_MUST_CHECK;
void node_pool_drain(struct hfs *fs);
void node_evict(struct arc *arc, struct arc_entry *entry);
void node_csum(const void *bytes, u8 csum[16]);
void node_committed(struct hfs *fs); /* every dirty node is clean now */
void node_abandon(struct hfs *fs);

/* Reads a node in any of its copies into bytes, checked; repairs a bad copy when it may. */
enum hx_status node_read(struct hfs *fs, struct hfs_subvol *sv, const struct node_expect *expect,
                         u8 *bytes) HX_MUST_CHECK;

/* The same for one copy, and a repair of one copy from the other through a buffer. */
enum hx_status node_copy_read(struct hfs *fs, struct hfs_subvol *sv, u64 addr,
                              const struct node_expect *expect, u8 *bytes) HX_MUST_CHECK;
enum hx_status node_copy_repair(struct hfs *fs, u64 good, u64 bad, u8 *bytes) HX_MUST_CHECK;

/* Tree */

struct hfs_path {
    struct hfs_tree *tree;
    struct hfs_node *node[HFS_LEVELS_MAX]; /* held; [0] is the leaf */
    u32 slot[HFS_LEVELS_MAX];
    struct hfs_key high[HFS_LEVELS_MAX]; /* first key past the node */
    u32 levels;
};

/* The value of an exact key, in path until tree_release. HX_ERR_NOT_FOUND. */
enum hx_status tree_find(struct hfs_tree *tree, const struct hfs_key *key, struct hfs_path *path,
                         void **out_value, u32 *out_len) HX_MUST_CHECK;
/* The first item at or after key. HX_ERR_END. */
enum hx_status tree_seek(struct hfs_tree *tree, const struct hfs_key *key,
                         struct hfs_path *path) HX_MUST_CHECK;
/* The last item at or before key. HX_ERR_END. */
enum hx_status tree_seek_back(struct hfs_tree *tree, const struct hfs_key *key,
                              struct hfs_path *path) HX_MUST_CHECK;
enum hx_status tree_next(struct hfs_path *path) HX_MUST_CHECK; /* HX_ERR_END; path is released */
/* From wherever in the node on that level to the first item behind the node. */
enum hx_status tree_skip(struct hfs_path *path, u32 level) HX_MUST_CHECK;
void tree_release(struct hfs_path *path);
const struct hfs_key *path_key(const struct hfs_path *path);
void *path_value(const struct hfs_path *path, u32 *out_len);
/* Adds or replaces. value may be NULL: zeroes. */
enum hx_status tree_put(struct hfs_tree *tree, const struct hfs_key *key, const void *value,
                        u32 len) HX_MUST_CHECK;
/* HX_ERR_NOT_FOUND. */
enum hx_status tree_remove(struct hfs_tree *tree, const struct hfs_key *key) HX_MUST_CHECK;
/* The value, writable, when it has exactly that length: saves a copy. */
enum hx_status tree_edit(struct hfs_tree *tree, const struct hfs_key *key, struct hfs_path *path,
                         void **out_value, u32 *out_len) HX_MUST_CHECK;
/* Writes the dirty nodes, children first, and completes tree->root. */
enum hx_status tree_write(struct hfs_tree *tree) HX_MUST_CHECK;
/* Takes at most budget nodes off the front of a tree whose blocks with birth up to floor belong to
 * somebody else; sets *done when nothing is left. */
enum hx_status tree_prune(struct hfs_tree *tree, u64 floor, u32 budget, bool *done) HX_MUST_CHECK;

/* Freed blocks */

struct dead_entry {
    u64 chain, birth, addr, len;
};
#define HFS_DEAD_QUEUE 256u

/* Frees a run that a subvolume's tree (NULL: the root tree) no longer names. */
enum hx_status dead_free(struct hfs *fs, struct hfs_subvol *sv, u64 addr, u64 len, u64 birth,
                         bool node) HX_MUST_CHECK;
/* Enters what dead_free queued into the root tree. */
enum hx_status dead_flush(struct hfs *fs) HX_MUST_CHECK;

/* Log */

#define HFS_LOG_PAYLOAD_MAX 8192u

struct hfs_log {
    u8 *buf;         /* records not yet on the device */
    u32 used, size;  /* bytes of buf */
    u64 op_seq;      /* last record made */
    u64 durable_seq; /* last record on the device and flushed */
    u64 nonce;
    u64 seq, pos, chain; /* where the next entry goes */
    u64 keep_pos;        /* oldest block that must not be overwritten */
    u8 *entry;           /* one entry being written or read */
    u32 last;            /* offset in buf of the newest record */
    bool replaying;      /* operations come from the log and make no records */
};

/* Room for records of that many payload bytes in all; appending them cannot fail then. */
enum hx_status log_reserve(struct hfs *fs, u32 records, u32 payload) HX_MUST_CHECK;
/* Completes and appends one record; name and data are copied. inode, if any, is what it is about:
 * hfs_fsync of it waits for the record. */
void log_append(struct hfs *fs, struct hfs_rec *rec, const void *name, u32 name_len,
                const void *data, u32 data_len);
/* All records made so far become durable, with everything written before. HX_ERR_NO_SPACE: the log
 * is full, commit instead. */
enum hx_status log_flush(struct hfs *fs) HX_MUST_CHECK;
/* The records since the last one without HFS_REC_MORE are complete. */
void log_group_end(struct hfs *fs);
void log_committed(struct hfs *fs);
bool log_is_full(const struct hfs *fs); /* time for a commit */
enum hx_status log_init(struct hfs *fs) HX_MUST_CHECK;
void log_fini(struct hfs *fs);
/* Reads and checks the entry that follows (seq, pos, chain), and moves those on.
 * HX_ERR_END: the log ends here. */
enum hx_status log_entry_read(struct hfs *fs, u64 *seq, u64 *pos, u64 *chain) HX_MUST_CHECK;
/* Applies what the log holds beyond the root. */
enum hx_status log_replay(struct hfs *fs, bool *out_any) HX_MUST_CHECK;

/* Subvolumes and inodes in memory */

struct hfs_subvol {
    struct hfs *fs;
    struct list_node link; /* hfs.subvols */
    u64 id;
    u32 refs; /* opens, and inodes in memory */
    struct hfs_tree tree;
    struct hfs_dsubvol d;
    bool dirty;        /* d must be written by the commit */
    bool unlocked;     /* dek is set */
    bool reap_pending; /* an inode without links was let go */
    u8 dek[32];
};

struct hfs_page {
    struct hfs_page *chain;
    struct list_node link; /* inode.pages, by index */
    struct hfs_inode *inode;
    u64 index;
    u16 lo, hi; /* bytes that have no place in the order yet; lo == hi: none */
    u8 *data;   /* HFS_BLOCK */
};

struct hfs_inode {
    struct hfs_inode *chain;
    struct list_node dirty_link; /* hfs.dirty_inodes, while pages is not empty */
    struct list_node pages;      /* dirty pages, ascending */
    struct hfs_subvol *sv;
    u64 ino;
    u32 refs;
    u32 page_count;
    u64 last_op;     /* newest record about this inode */
    u32 alg_misses;  /* extents in a row that did not compress */
    u32 alg_skip;    /* extents left to skip */
    bool unordered;  /* some page has bytes without a place in the order */
    bool time_dirty; /* the time of access changed, which is stored when the inode goes */
    bool orphan;     /* it has an ORPHAN item because it has no links */
    bool trim;       /* a truncation has more extents to remove */
    struct hfs_dinode d;
};

/* One block of file content in the cache. */
struct hfs_block {
    struct arc_entry arc;
    u8 *data;
};

#define HFS_INODE_HASH 1024u
#define HFS_PAGE_HASH  4096u

/* A buffer that was written to the device but not flushed. */
struct hfs_unstable {
    struct list_node link;
    u64 addr;
    u32 blocks;
    u8 *data;
};

#define HFS_SEALED_BYTES (HFS_SEALED_MAX * HFS_BLOCK)

struct hfs_codec;

struct hfs {
    struct bdev *dev;
    struct os_mutex *lock;
    struct hfs_mount_opts opts; /* opts.key points to key */
    struct hfs_key_source key;
    u8 *secret;
    struct hfs_super super;
    struct hfs_uber *uber;     /* the durable root */
    struct hfs_uber *new_uber; /* the one a commit builds; a block */
    struct arc arc;
    struct hfs_tree root;
    u64 txg;       /* open; the durable one is txg - 1 */
    s64 opened_ns; /* when its first change came, 0: none */
    struct list_node dirty_nodes, pool;
    u32 dirty_count, pool_count;
    struct hfs_space space;
    struct hfs_log log;
    struct list_node subvols;
    struct hfs_inode **inodes;
    struct hfs_page **pages;
    struct list_node dirty_inodes;
    u32 page_count;
    u32 page_limit;
    u32 dirty_limit; /* nodes */
    struct list_node unstable;
    u32 unstable_blocks;
    struct dead_entry *dead;
    u32 dead_count;
    u8 *item;          /* HFS_ITEM_MAX bytes, for one value being built */
    u8 *item2, *item3; /* the same for two more */
    u8 *sealed;        /* a sealed extent as stored */
    u8 *plain;         /* and its content */
    u8 *scratch;       /* HFS_NODE bytes, for packing a leaf */
    struct hfs_codec *codec;
    u64 nonce_count;
    u8 nonce[16];   /* of this mount */
    bool read_only; /* mounted so */
    bool frozen;    /* a failure left memory and disk apart; only reads from here */
    bool changed;   /* something since the last commit */
    bool touched;   /* the present operation has changed a tree */
    bool replayed;
    bool in_commit;
    bool flush_failed; /* what is in unstable must be written again */
    u64 next_subvol;
};

/* Transactions */

enum hfs_tier {
    TIER_NORMAL, /* stops where the reserve begins */
    TIER_DELETE, /* may use three quarters of it */
    TIER_REPLAY, /* all of it */
};

/* Prepares an operation that changes at most `paths` tree paths and stores `blocks` of data: makes
 * room, commits when it is time. HX_ERR_NO_SPACE, HX_ERR_NO_MEMORY, HX_ERR_READ_ONLY. */
enum hx_status op_begin(struct hfs *fs, struct hfs_subvol *sv, u32 paths, u32 blocks,
                        enum hfs_tier tier) HX_MUST_CHECK;
/* Ends it; a failure after the first change freezes the file system. Returns status, or what
 * ending it met. */
enum hx_status op_end(struct hfs *fs, enum hx_status status) HX_MUST_CHECK;
enum hx_status txg_commit(struct hfs *fs) HX_MUST_CHECK;
/* A buffer of that many blocks that dev_flush can write again, or NULL; unstable_add enters it
 * once it was written, unstable_free is for when that failed. */
struct hfs_unstable *unstable_new(u32 blocks);
void unstable_add(struct hfs *fs, struct hfs_unstable *u, u64 addr);
void unstable_free(struct hfs_unstable *u);
void unstable_drop(struct hfs *fs);
/* Writes again what a failed flush may have lost, then flushes. */
enum hx_status dev_flush(struct hfs *fs) HX_MUST_CHECK;
void freeze(struct hfs *fs, const char *why, enum hx_status status);

/* Opens the durable root without the log, for reading only. */
enum hx_status fs_open_committed(struct bdev *dev, const struct hfs_mount_opts *opts,
                                 struct hfs **out) HX_MUST_CHECK;
void fs_close(struct hfs *fs);

/* Labels */

void super_seal(struct hfs_super *super, u8 *block);
enum hx_status super_check(const u8 *block, u64 dev_blocks, struct hfs_super *out);
u64 label_b_block(u64 dev_blocks);
void uber_seal(struct hfs_uber *uber);
bool uber_check(const struct hfs_super *super, const struct hfs_uber *uber);
enum hx_status uber_write(struct hfs *fs, struct hfs_uber *uber) HX_MUST_CHECK;
/* Reads superblock and both rings. ring: memory for 2 * HFS_RING blocks. */
enum hx_status label_read(struct bdev *dev, struct hfs_super *super, u8 *ring) HX_MUST_CHECK;

/* Subvolumes */

enum hx_status subvol_load(struct hfs *fs, u64 id, struct hfs_subvol **out) HX_MUST_CHECK;
enum hx_status subvol_store(struct hfs_subvol *sv) HX_MUST_CHECK;
void subvol_put(struct hfs_subvol *sv);
enum hx_status subvol_find(struct hfs *fs, const char *name, u64 *out_id) HX_MUST_CHECK;
enum hx_status subvol_check(const struct hfs *fs, const struct hfs_dsubvol *d);
bool bptr_is_sane(const struct hfs *fs, const struct hfs_bptr *ptr, u32 levels);
/* Takes apart, piece by piece, what is being destroyed. */
enum hx_status subvol_reap(struct hfs *fs) HX_MUST_CHECK;
void subvol_trim(struct hfs *fs); /* frees those that nobody holds; nothing is dirty */
void subvol_forget_all(struct hfs *fs);

/* Inodes */

#define HFS_IFMT  0170000u
#define HFS_IFDIR 0040000u
#define HFS_IFREG 0100000u
#define HFS_IFLNK 0120000u
#define HFS_ISGID 0002000u
#define HFS_SLICE 512u /* extents that one operation removes at most */

static inline bool inode_is(const struct hfs_inode *inode, u32 type)
{
    return (inode->d.mode & HFS_IFMT) == type;
}

/* The inode, held. HX_ERR_NOT_FOUND. */
enum hx_status inode_get(struct hfs_subvol *sv, u64 ino, struct hfs_inode **out) HX_MUST_CHECK;
void inode_put(struct hfs_inode *inode);
/* An inode in memory only, held. */
enum hx_status inode_new(struct hfs_subvol *sv, u64 ino, struct hfs_inode **out) HX_MUST_CHECK;
enum hx_status inode_store(struct hfs_inode *inode) HX_MUST_CHECK;      /* inline data stays */
enum hx_status inode_store_bare(struct hfs_inode *inode) HX_MUST_CHECK; /* without any */
/* Takes one link away; without links the inode becomes an orphan, or goes at once. */
enum hx_status inode_drop_link(struct hfs_inode *inode, s64 now) HX_MUST_CHECK;
enum hx_status inode_check(const struct hfs_dinode *d, u32 len);
/* After an operation: takes apart, in slices, inodes that have neither links nor holders. */
enum hx_status orphans_reap(struct hfs_subvol *sv) HX_MUST_CHECK;
/* A record about inode with everything but type and arguments filled in. */
struct hfs_rec record_for(const struct hfs_inode *inode, u32 type, s64 now);
void inodes_drop_all(struct hfs *fs);

u64 name_hash(const struct hfs *fs, const char *s, size_t len);
enum hx_status name_check(struct hfs_name name);

/* Operations without their beginning, end and record, as replay calls them. */
enum hx_status dir_find(struct hfs_inode *dir, struct hfs_name name, u64 *out_ino,
                        u8 *out_type) HX_MUST_CHECK;
/* ino 0: the next free number. */
enum hx_status do_create(struct hfs_inode *dir, struct hfs_name name, u64 ino, u32 mode,
                         struct hfs_owner owner, u64 rdev, struct hfs_name target, s64 now,
                         struct hfs_inode **out) HX_MUST_CHECK;
enum hx_status do_link(struct hfs_inode *inode, struct hfs_inode *dir, struct hfs_name name,
                       s64 now) HX_MUST_CHECK;
enum hx_status do_unlink(struct hfs_inode *dir, struct hfs_name name, bool is_dir,
                         s64 now) HX_MUST_CHECK;
enum hx_status do_rename(struct hfs_inode *from_dir, struct hfs_name from, struct hfs_inode *to_dir,
                         struct hfs_name to, u32 flags, s64 now) HX_MUST_CHECK;
enum hx_status do_setattr(struct hfs_inode *inode, const struct hfs_rec_attr *attr,
                          s64 now) HX_MUST_CHECK;
enum hx_status do_truncate(struct hfs_inode *inode, u64 size, s64 now) HX_MUST_CHECK;
enum hx_status do_write(struct hfs_inode *inode, u64 off, const void *buf, u32 len,
                        s64 now) HX_MUST_CHECK;
enum hx_status do_punch(struct hfs_inode *inode, u64 off, u64 len, s64 now) HX_MUST_CHECK;
enum hx_status do_extent(struct hfs_inode *inode, u64 index, const struct hfs_extent *ext, u32 len,
                         u64 size, s64 now) HX_MUST_CHECK;
enum hx_status do_xattr(struct hfs_inode *inode, struct hfs_name name, const void *value, u32 len,
                        bool remove, s64 now) HX_MUST_CHECK;

/* File content */

enum hx_status extent_check(const struct hfs *fs, const struct hfs_extent *ext, u32 len);
/* Are the stored bytes what the extent says? */
enum hx_status extent_verify(struct hfs *fs, const struct hfs_extent *ext) HX_MUST_CHECK;
/* Gives every pending byte of the file its place in the order. */
enum hx_status file_order(struct hfs_inode *inode) HX_MUST_CHECK;
/* Writes the dirty pages to new blocks, and names these in the tree. */
enum hx_status file_writeback(struct hfs_inode *inode) HX_MUST_CHECK;
/* Finishes a truncation that was cut into slices. */
enum hx_status file_trim(struct hfs_inode *inode) HX_MUST_CHECK;
void file_drop_pages(struct hfs_inode *inode, u64 from_index);
/* Removes what lies in file blocks [from, to), at most HFS_SLICE extents; *done: that was all.
 * A sealed extent goes whole, whatever part of it lies there. */
enum hx_status extents_remove(struct hfs_inode *inode, u64 from, u64 to, bool *done) HX_MUST_CHECK;

/* Compression and encryption of one sealed extent */

enum hx_status codec_init(struct hfs *fs) HX_MUST_CHECK;
void codec_fini(struct hfs *fs);
/* Compresses len bytes of src; *out_len is what it took, 0 when it did not shrink. */
void codec_compress(struct hfs *fs, u32 alg, u32 level, const void *src, u32 len, void *dst,
                    u32 room, u32 *out_len);
/* Exactly len bytes must come out. */
enum hx_status codec_expand(struct hfs *fs, u32 alg, const void *src, u32 src_len, void *dst,
                            u32 len) HX_MUST_CHECK;

struct crypt_aad { /* what a ciphertext is bound to */
    u64 fsid, kind, a, b, c;
};
void crypt_nonce(struct hfs *fs, u8 nonce[24]);
void crypt_seal(const u8 key[32], const u8 nonce[24], const struct crypt_aad *aad, void *data,
                u64 len, u8 tag[16]);
/* HX_ERR_SIGNATURE: data is undefined then. */
enum hx_status crypt_open(const u8 key[32], const u8 nonce[24], const struct crypt_aad *aad,
                          void *data, u64 len, const u8 tag[16]) HX_MUST_CHECK;
enum hx_status crypt_kek(const struct hfs_key_source *source, const struct hfs_dkey *slot,
                         u8 kek[32]) HX_MUST_CHECK;
enum hx_status crypt_wrap(struct hfs *fs, u64 fsid, u64 owner, const struct hfs_key_source *source,
                          const u8 dek[32], struct hfs_dkey *out) HX_MUST_CHECK;
enum hx_status crypt_unwrap(u64 fsid, u64 owner, const struct hfs_key_source *source,
                            const struct hfs_dkey *slot, u8 dek[32]) HX_MUST_CHECK;

#endif
