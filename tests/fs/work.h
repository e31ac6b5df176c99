/* SPDX-License-Identifier: MIT */
/* Random operations on a file system, and a model in plain memory that says what each must answer
 * and what the file system must then contain.
 *
 * The model keeps every file twice: as a reader sees it, and as far as its writes have a place in
 * the order (see hfs_mount_opts.ordered). Each change of the second view appends a hash of the
 * whole ordered state to `states`: after a crash the file system must hash to one of them, and not
 * to one before `promised`, which fsync and sync push forward.
 */
#ifndef TEST_FS_WORK_H
#define TEST_FS_WORK_H

#include "sim.h"
#include <fs/helixfs.h>

#define WORK_INODES  96u
#define WORK_ENTRIES 12u /* names in one directory */
#define WORK_XATTRS  3u

struct model_inode {
    u64 ino; /* 0: unused */
    u32 mode, uid, gid, nlink;
    u8 *data, *ordered; /* content, and its ordered part */
    u64 size, ordered_size;
    u64 mapped; /* sum of the last event about it */
    struct {
        char name[16];
        u32 inode; /* index; 0: unused */
    } entry[WORK_ENTRIES];
    u32 parent;
    struct {
        u32 len; /* 0: unused */
        u8 fill;
    } xattr[WORK_XATTRS];
    char target[64];
    u64 last_event;
    struct hfs_inode *held; /* open, perhaps without a name */
};

struct work {
    struct hfs *fs;
    struct hfs_subvol *sv;
    struct sim *sim; /* its mark follows promised; NULL: not needed */
    u64 rng;
    struct model_inode inode[WORK_INODES]; /* [0] unused, [1] the root directory */
    u64 *states;
    u64 state_count, state_room;
    u64 promised; /* index into states */
    u32 file_max; /* bytes; files stay below */
    u32 snapshots;
    bool with_snapshots;
    bool may_fill; /* space is short: NO_SPACE is legal */
    bool may_fail; /* faults are injected: IO, NO_MEMORY and READ_ONLY are legal too */
    u64 ops, failed;
    char error[256]; /* set by the first disagreement */
};

void work_init(struct work *w, u64 seed);
void work_fini(struct work *w);
/* The options with which the file system must be mounted. */
struct hfs_mount_opts work_mount_opts(struct work *w, u64 cache_bytes);
/* Attaches to a mounted file system that is as the model says. */
bool work_attach(struct work *w, struct hfs *fs);
/* Gives every hold back; the file system may be unmounted then. */
void work_detach(struct work *w);
/* One random operation. False: the answer was wrong, see error. */
bool work_step(struct work *w);
/* Compares everything with the live view. */
bool work_compare(struct work *w);
/* Forgets the model's view of the live contents: a crash came, and state `index` is what is left.
 */
u64 work_state_now(struct work *w);

/* Hash of a mounted file system's first subvolume, comparable with states. */
enum hx_status work_hash(struct hfs *fs, u64 *out_hash);

#endif
