/* SPDX-License-Identifier: MIT */
/* What the files of the VFS know of each other.
 *
 * Locks, in the order in which they are taken: super->lock (names and attributes of one file
 * system; at most one is held), file->lock (a position), vnode->lock (content and size), then the
 * spinlocks dcache and mounts, of which no two are held at once. References are given back without
 * any of them.
 */
#ifndef FS_VFS_PRIV_H
#define FS_VFS_PRIV_H

#include <core/spinlock.h>
#include <core/sync.h>
#include <fs/radix.h>
#include <fs/vfs.h>
#include <helix/list.h>

/* One mounted file system. Marking: I immutable; a atomic; s super.lock. */
struct super {
    const struct fs_ops *ops; /* s */
    void *state;              /* s */
    u32 flags;                /* I: HX_MOUNT_* */
    u32 references;           /* a: mounts of it */
    u64 id;                   /* I: never used twice */
    struct mutex lock;
    struct radix vnodes;   /* s: by inode number */
    struct list_node node; /* supers.lock */
    struct dentry *root;   /* I */
    struct bdev *device;   /* I: its own; NULL: none */
    u64 page_limit;        /* I: FS_MEMORY */
    u64 pages;             /* a: FS_MEMORY: pages that its files have */
    u64 changes;           /* s: calls that may have changed what the file system knows */
    /* slot.c's, supers.lock: what is to take over, made when `changes` was `copied`; what did. */
    u64 copied;
    struct guest *next_guest;
    void *next_state, *gone_state;
    const struct fs_ops *gone_ops;
};

#define VNODE_PINNED (1u << 0) /* FS_MEMORY: lives as long as the file has a name */
#define VNODE_DEAD   (1u << 1) /* its last name is gone */

/* A file, as the kernel knows it. l: vnode.lock. */
struct vnode {
    u32 references;      /* a; the last goes under super.lock */
    u32 flags;           /* s */
    struct super *super; /* I */
    struct fs_attr attr; /* mode, nlink, owner, times: s; bytes, stored: l, read by anyone */
    struct mutex lock;
    struct radix pages; /* l: frame addresses, by page number */
    u64 read_next;      /* l: the page after those that were brought last */
    const u8 *in_place; /* a: content that lies in memory for ever, instead of pages */
    u64 in_place_bytes; /* I once in_place is set */
};

/* A name in a directory, or, without a vnode, that there is no such name. d: dcache.lock. */
struct dentry {
    u32 references;               /* d */
    u32 hash;                     /* I while hashed */
    u32 mounts;                   /* mounts.lock: how many mounts are on it, in all namespaces */
    u8 hashed;                    /* d */
    u8 name_size;                 /* d */
    struct super *super;          /* I */
    struct dentry *parent;        /* d: a reference; NULL: a root */
    struct vnode *vnode;          /* d: a reference */
    struct dentry *chain, **back; /* d: hash chain */
    struct list_node lru;         /* d: while nobody refers to it */
    struct list_node children;    /* d: dentries whose parent it is */
    struct list_node sibling;     /* d */
    char *name;                   /* d: short_name, or memory of its own */
    char short_name[40];
};

struct mount {
    u32 references;            /* a */
    u32 flags;                 /* I: HX_MOUNT_* */
    struct super *super;       /* I */
    struct dentry *root;       /* I */
    struct namespace *ns;      /* mounts.lock; NULL once taken away */
    struct mount *parent;      /* I: a reference; NULL: the first */
    struct dentry *mountpoint; /* I: a reference */
    struct list_node node;     /* mounts.lock */
    struct mount *copy;        /* mounts.copying: while a namespace is copied */
};

struct namespace
{
    u32 references;          /* a */
    u32 rights;              /* I */
    struct vfs_path root;    /* I */
    struct list_node mounts; /* mounts.lock, parents before children */
    u32 count;               /* mounts.lock */
};
#define NAMESPACE_MOUNTS_MAX 64

struct file_ops {
    bool stream; /* no position: read and write take none and hold no lock */
    s64 (*read)(struct file *file, const struct vfs_buffer *buffer, u64 offset);
    s64 (*write)(struct file *file, const struct vfs_buffer *buffer, u64 offset);
    void (*close)(struct file *file); /* may be absent */
};

struct file {
    struct object object;
    u32 flags;                  /* I: HX_OPEN_* */
    const struct file_ops *ops; /* I */
    struct vfs_path path;       /* I; none: a pipe */
    struct vnode *vnode;        /* I: the path's; NULL: a pipe */
    void *ctx;                  /* I: the ops' own */
    struct mutex lock;
    u64 position; /* l; directories: the cookie */
};

/* vfs_buffer */
static inline struct vfs_buffer buffer_part(const struct vfs_buffer *b, size_t at, size_t size)
{
    return (struct vfs_buffer){b->kernel ? b->kernel + at : NULL, b->user + at, size};
}
/* Copies all of the buffer from or to kernel memory. HX_ERR_FAULT. */
enum hx_status buffer_fill(const struct vfs_buffer *to, const void *from) HX_MUST_CHECK;
enum hx_status buffer_drain(const struct vfs_buffer *from, void *to) HX_MUST_CHECK;

/* vnode.c */
enum hx_status vnode_init(void) HX_MUST_CHECK;
s64 vfs_now_ns(void);
static inline u64 vnode_bytes(const struct vnode *vnode)
{
    return __atomic_load_n(&vnode->attr.bytes, __ATOMIC_ACQUIRE);
}
static inline bool vnode_is_directory(const struct vnode *vnode)
{
    return (vnode->attr.mode & HX_MODE_TYPE) == HX_MODE_DIRECTORY;
}
static inline void vnode_get(struct vnode *vnode)
{
    __atomic_fetch_add(&vnode->references, 1, __ATOMIC_RELAXED);
}
/* The vnode of attr->ino, made if there is none yet; super->lock is held. The caller gets a
 * reference. HX_ERR_NO_MEMORY, HX_ERR_CORRUPT (the same number for two kinds of file). */
enum hx_status vnode_find_locked(struct super *super, const struct fs_attr *attr,
                                 struct vnode **out) HX_MUST_CHECK;
void vnode_put(struct vnode *vnode);
void vnode_put_locked(struct vnode *vnode); /* super->lock is held */
/* Its last name may be gone: nlink is what is left. super->lock is held. */
void vnode_unlinked_locked(struct vnode *vnode, u32 nlink);
/* Asks the file system for the attributes again, unless they live here. super->lock is held. */
enum hx_status vnode_refresh_locked(struct vnode *vnode) HX_MUST_CHECK;
/* A directory has changed just now. super->lock is held. */
void vnode_touch_locked(struct vnode *vnode);
/* HX_ERR_BUSY: a file system on this device, or on one that shares sectors with it, is mounted. */
enum hx_status super_device_check(const struct bdev *device) HX_MUST_CHECK;
/* Takes over request->device when it succeeds. */
enum hx_status super_create(const struct fs_mount_request *request, u32 flags,
                            struct super **out) HX_MUST_CHECK;
enum hx_status super_put(struct super *super) HX_MUST_CHECK;
enum hx_status super_sync(struct super *super) HX_MUST_CHECK;
/* All file systems, in an order that does not change while they are locked; walk: until `visit`
 * answers false. */
void supers_lock(void);
void supers_unlock(void);
void supers_walk(bool (*visit)(struct super *super, void *ctx), void *ctx);
enum hx_status super_exchange(struct super *super, const struct fs_ops *ops) HX_MUST_CHECK;
void vnode_stat(struct vnode *vnode, struct hx_stat *out);

/* pages.c */
s64 pages_read(struct vnode *vnode, const struct vfs_buffer *buffer, u64 offset);
s64 pages_write(struct vnode *vnode, const struct vfs_buffer *buffer, u64 offset, bool append);
enum hx_status pages_truncate(struct vnode *vnode, u64 bytes) HX_MUST_CHECK;
enum hx_status pages_seek(struct vnode *vnode, u64 *offset, bool hole) HX_MUST_CHECK;
void pages_free(struct vnode *vnode);

/* dentry.c */
enum hx_status dcache_init(void) HX_MUST_CHECK;
u32 dentry_hash(const struct dentry *parent, struct fs_name name);
/* hash: dentry_hash(). The name as it is remembered, with a reference; NULL: not remembered. */
struct dentry *dentry_step(struct dentry *parent, struct fs_name name, u32 hash);
/* The name, remembered or asked of the file system; super->lock is held. */
enum hx_status dentry_lookup_locked(struct dentry *parent, struct fs_name name, u32 hash,
                                    struct dentry **out) HX_MUST_CHECK;
/* Is it still that name of that directory? The caller refers to it and holds super->lock. */
bool dentry_is(const struct dentry *dentry, const struct dentry *parent, struct fs_name name);
struct dentry *dentry_create_root(struct super *super, struct vnode *vnode);
void dentry_get(struct dentry *dentry);
void dentry_put(struct dentry *dentry);
/* The vnode of a dentry that the caller refers to; good while it is referred to and super->lock
 * held, or for ever once it is not NULL. */
struct vnode *dentry_vnode(struct dentry *dentry);
/* super->lock is held for these. */
void dentry_fill_locked(struct dentry *dentry, struct vnode *vnode); /* takes the reference */
/* The name is gone: it is remembered as absent, or forgotten when others still refer to the file.
 */
void dentry_drop_locked(struct dentry *dentry);
/* dentry gets the place of `target`, of the same file system, and target that of dentry: as a name
 * that is absent when it was, as what it is with `exchange`, else forgotten. */
void dentry_move_locked(struct dentry *dentry, struct dentry *target, bool exchange);
/* Forgets the absent names of a directory that is about to go. */
void dentry_prune_locked(struct dentry *dentry);
bool dentry_is_below(struct dentry *dentry, struct dentry *above);
/* ".." within `root`: the parent, with a reference, the one to `dentry` goes; NULL, and it stays:
 * `dentry` is no longer below `root`. */
struct dentry *dentry_up(struct dentry *dentry, struct dentry *root);
void dcache_trim(void);                 /* no lock is held */
void dcache_evict(struct super *super); /* all that nobody refers to */

/* mount.c */
/* A registered type, or NULL; good while it stays registered. */
const struct fs_ops *vfs_type_find(const char *name);
enum hx_status mount_init(void) HX_MUST_CHECK;
void mount_get(struct mount *mount);
void mount_put(struct mount *mount);
/* What is mounted on *path becomes *path. */
void mount_cross_down(struct vfs_path *path);
/* *path is the root of a mount: where that is mounted becomes *path. False: nowhere. */
bool mount_cross_up(struct vfs_path *path);

/* walk.c */
#define WALK_NOFOLLOW (1u << 0) /* a link at the end is the target itself */
#define WALK_NO_CROSS (1u << 1) /* what is mounted at the end is not entered */
struct walk {
    struct vfs_path parent; /* none when the path has no last name: "/", "..", "." */
    struct vfs_path target; /* its dentry may have no vnode: there is no such file */
    struct dentry *stale;   /* what target was before it was looked up again, or NULL: its last
                             * reference may be this one, and giving that back takes super->lock */
    struct fs_name name;
    bool directory; /* the path ends in "/": it must be one */
    char *text;     /* memory behind `name` */
};
/* The caller ends it with walk_end(), on HX_OK only. */
enum hx_status walk(const struct vfs_start *start, const char *path, size_t size, u32 flags,
                    struct walk *out) HX_MUST_CHECK;
void walk_end(struct walk *walk);

/* file.c */
enum hx_status file_create(const struct file_ops *ops, u32 flags, void *ctx,
                           struct file **out) HX_MUST_CHECK;
enum hx_status file_open_vnode(const struct vfs_path *path, struct vnode *vnode, u32 flags,
                               struct file **out) HX_MUST_CHECK;

/* devfs.c: what serves a device, by its number. NULL: nobody. */
const struct file_ops *device_ops(u64 rdev);

/* The entries of a file system that is a table of names, 0 and up, in one directory. */
enum hx_status table_readdir(const char *(*name_of)(u64 index), u8 type, u64 *cookie, void *buf,
                             size_t size, size_t *out_used) HX_MUST_CHECK;

/* names.c: an archive's file, its content where it lies. */
enum hx_status vfs_place(const struct vfs_start *start, const char *path, size_t size, u32 mode,
                         const void *data, u64 bytes) HX_MUST_CHECK;

#endif
