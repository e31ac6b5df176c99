/* SPDX-License-Identifier: MIT */
/* The RAM file system: names, link targets and extended attributes. Contents, sizes, times and
 * owners are the VFS's (FS_MEMORY), so that what a read or write costs does not depend on this
 * file, and an exchange of the file system moves no page.
 *
 * Owns:      its nodes and entries.      Caller: the VFS, one call at a time.     Context: thread.
 * Invariant: (1) nodes are found by number; numbers are never used again. A node is freed when it
 * has no name and the VFS has forgotten it. (2) every entry is in the hash of all names by
 * (directory, name), and in its directory by a sequence number that only grows: that number is the
 * cookie of a listing. (3) a directory has one entry that names it, or is the root; its `parent` is
 * where. (4) `count` is that of nodes, entries and attributes, and never exceeds `limit`: a program
 *            can fill its file system, not the machine.
 */
#include <core/memory.h>
#include <fs/fs_ops.h>
#include <fs/name.h>
#include <fs/radix.h>
#include <helix/bits.h>
#include <helix/list.h>
#include <helix/string.h>

#define ROOT_INO      1
#define BUCKETS_FIRST 256
#define BUCKETS_MAX   65536
#define STATE_VERSION 1

struct xattr {
    struct xattr *next;
    u32 value_size;
    u8 name_size;
    u8 bytes[]; /* name, value */
};

struct node {
    u64 ino;
    u32 mode, nlink; /* nlink: as POSIX counts; directories: 2 + those in it */
    u64 rdev;
    bool in_use; /* the VFS has not forgotten it */
    struct xattr *xattrs;
    union {
        struct {                  /* directories */
            struct radix entries; /* by sequence number */
            u64 next_sequence, count;
            u64 parent; /* inode number; 0: removed */
        };
        struct { /* links */
            char *target;
            u32 target_size;
        };
    };
};

struct entry {
    struct entry *chain;
    u64 dir, ino, sequence;
    u32 hash;
    u8 type, name_size;
    char name[];
};

struct ramfs {
    struct radix nodes; /* by inode number */
    u64 next_ino;
    struct entry **buckets;
    u32 bucket_count;
    u64 count, limit; /* inv 4 */
};

/* nodes */

static struct node *node_find(struct ramfs *fs, u64 ino)
{
    return (struct node *)(uintptr_t)radix_get(&fs->nodes, ino);
}

static bool node_is_directory(const struct node *node)
{
    return (node->mode & HX_MODE_TYPE) == HX_MODE_DIRECTORY;
}

static enum hx_status node_create(struct ramfs *fs, u64 ino, u32 mode, struct node **out)
{
    if (fs->count >= fs->limit) {
        return HX_ERR_NO_SPACE;
    }
    struct node *node = kmalloc(sizeof(*node));
    if (!node) {
        return HX_ERR_NO_MEMORY;
    }
    *node = (struct node){
        .ino = ino, .mode = mode, .nlink = (mode & HX_MODE_TYPE) == HX_MODE_DIRECTORY ? 2 : 1};
    enum hx_status status = radix_set(&fs->nodes, ino, (u64)(uintptr_t)node);
    if (status != HX_OK) {
        kfree(node);
        return status;
    }
    fs->count++;
    *out = node;
    return HX_OK;
}

static void node_free(struct ramfs *fs, struct node *node)
{
    radix_remove(&fs->nodes, node->ino);
    fs->count--;
    while (node->xattrs) {
        struct xattr *next = node->xattrs->next;
        kfree(node->xattrs);
        node->xattrs = next;
        fs->count--;
    }
    if ((node->mode & HX_MODE_TYPE) == HX_MODE_LINK) {
        kfree(node->target);
    }
    kfree(node);
}

static void attr_of(const struct node *node, struct fs_attr *out)
{
    *out = (struct fs_attr){
        .ino = node->ino, .mode = node->mode, .nlink = node->nlink, .rdev = node->rdev};
    if ((node->mode & HX_MODE_TYPE) == HX_MODE_LINK) {
        out->bytes = node->target_size;
    }
}

/* entries */

static u32 hash_of(u64 dir, struct fs_name name)
{
    return name_hash(dir << 8, name.text, name.size);
}

static struct entry **place_of(struct ramfs *fs, u64 dir, struct fs_name name, u32 hash)
{
    struct entry **at = &fs->buckets[hash & (fs->bucket_count - 1)];
    while (*at && ((*at)->hash != hash || (*at)->dir != dir || (*at)->name_size != name.size ||
                   !name_equal((*at)->name, name.text, name.size))) {
        at = &(*at)->chain;
    }
    return at;
}

static struct entry *entry_find(struct ramfs *fs, u64 dir, struct fs_name name)
{
    return *place_of(fs, dir, name, hash_of(dir, name));
}

/* More buckets for more names; without memory, longer chains. */
static void grow(struct ramfs *fs)
{
    u32 wanted = fs->bucket_count * 2;
    struct entry **buckets = wanted <= BUCKETS_MAX ? kzalloc(wanted * sizeof(*buckets)) : NULL;
    if (!buckets) {
        return;
    }
    for (u32 i = 0; i < fs->bucket_count; i++) {
        for (struct entry *e = fs->buckets[i], *next; e; e = next) {
            next = e->chain;
            struct entry **at = &buckets[e->hash & (wanted - 1)];
            e->chain = *at;
            *at = e;
        }
    }
    kfree(fs->buckets);
    fs->buckets = buckets;
    fs->bucket_count = wanted;
}

static enum hx_status entry_add(struct ramfs *fs, struct node *dir, struct fs_name name,
                                const struct node *node)
{
    if (fs->count >= fs->limit) {
        return HX_ERR_NO_SPACE;
    }
    struct entry *e = kmalloc(sizeof(*e) + name.size);
    if (!e) {
        return HX_ERR_NO_MEMORY;
    }
    *e = (struct entry){.dir = dir->ino,
                        .ino = node->ino,
                        .sequence = dir->next_sequence,
                        .hash = hash_of(dir->ino, name),
                        .type = (u8)(node->mode >> 12),
                        .name_size = (u8)name.size};
    name_copy(e->name, name.text, name.size);
    enum hx_status status = radix_set(&dir->entries, e->sequence, (u64)(uintptr_t)e);
    if (status != HX_OK) {
        kfree(e);
        return status;
    }
    struct entry **bucket = &fs->buckets[e->hash & (fs->bucket_count - 1)];
    e->chain = *bucket;
    *bucket = e;
    dir->next_sequence++;
    dir->count++;
    if (++fs->count > fs->bucket_count * 3ull) {
        grow(fs);
    }
    return HX_OK;
}

static void entry_remove(struct ramfs *fs, struct node *dir, struct entry *e)
{
    struct entry **at = place_of(fs, dir->ino, (struct fs_name){e->name, e->name_size}, e->hash);
    *at = e->chain;
    radix_remove(&dir->entries, e->sequence);
    dir->count--;
    fs->count--;
    kfree(e);
}

/* ops */

static enum hx_status instance_create(u64 limit, struct ramfs **out)
{
    struct ramfs *fs = kzalloc(sizeof(*fs));
    if (!fs) {
        return HX_ERR_NO_MEMORY;
    }
    fs->buckets = kzalloc(BUCKETS_FIRST * sizeof(*fs->buckets));
    if (!fs->buckets) {
        kfree(fs);
        return HX_ERR_NO_MEMORY;
    }
    fs->bucket_count = BUCKETS_FIRST;
    fs->next_ino = ROOT_INO + 1;
    fs->limit = limit;
    *out = fs;
    return HX_OK;
}

static void instance_free(struct ramfs *fs)
{
    u64 ino = 0;
    struct node *node;
    while ((node = (struct node *)(uintptr_t)radix_next(&fs->nodes, &ino)) != NULL) {
        if (node_is_directory(node)) {
            u64 sequence = 0;
            struct entry *e;
            while ((e = (struct entry *)(uintptr_t)radix_next(&node->entries, &sequence)) != NULL) {
                entry_remove(fs, node, e);
            }
        }
        node_free(fs, node);
    }
    kfree(fs->buckets);
    kfree(fs);
}

static enum hx_status ramfs_mount(const struct fs_mount_request *request, void **out_fs,
                                  struct fs_attr *out_root)
{
    struct ramfs *fs;
    struct node *root;
    if (request->device) {
        return HX_ERR_NOT_SUPPORTED;
    }
    /* Names are small: of each it may have one for each page, which bounds both. */
    enum hx_status status = instance_create(request->page_limit, &fs);
    if (status != HX_OK) {
        return status;
    }
    status = node_create(fs, ROOT_INO, HX_MODE_DIRECTORY | 0755, &root);
    if (status != HX_OK) {
        instance_free(fs);
        return status;
    }
    root->in_use = true;
    root->parent = ROOT_INO;
    attr_of(root, out_root);
    *out_fs = fs;
    return HX_OK;
}

static enum hx_status ramfs_unmount(void *state)
{
    instance_free(state);
    return HX_OK;
}

static enum hx_status ramfs_lookup(void *state, u64 dir, struct fs_name name, struct fs_attr *out)
{
    struct ramfs *fs = state;
    struct entry *e = entry_find(fs, dir, name);
    if (!e) {
        return HX_ERR_NOT_FOUND;
    }
    struct node *node = node_find(fs, e->ino);
    node->in_use = true;
    attr_of(node, out);
    return HX_OK;
}

static void ramfs_forget(void *state, u64 ino)
{
    struct ramfs *fs = state;
    struct node *node = node_find(fs, ino);
    if (!node) {
        return;
    }
    node->in_use = false;
    if (node->nlink == 0) { /* inv 1 */
        node_free(fs, node);
    }
}

/* The directory that a name is to be made or removed in. */
static enum hx_status directory_find(struct ramfs *fs, u64 dir, struct node **out)
{
    struct node *node = node_find(fs, dir);
    if (!node || !node_is_directory(node) || node->parent == 0) {
        return HX_ERR_NOT_FOUND;
    }
    *out = node;
    return HX_OK;
}

static enum hx_status ramfs_create(void *state, u64 dir_ino, struct fs_name name,
                                   const struct fs_create *how, struct fs_attr *out)
{
    struct ramfs *fs = state;
    struct node *dir, *node;
    enum hx_status status = directory_find(fs, dir_ino, &dir);
    if (status != HX_OK) {
        return status;
    }
    if (entry_find(fs, dir_ino, name)) {
        return HX_ERR_EXISTS;
    }
    status = node_create(fs, fs->next_ino, how->mode, &node);
    if (status != HX_OK) {
        return status;
    }
    node->rdev = how->rdev;
    if ((how->mode & HX_MODE_TYPE) == HX_MODE_LINK) {
        node->target = kmalloc(how->target_size);
        if (!node->target) {
            node_free(fs, node);
            return HX_ERR_NO_MEMORY;
        }
        memcpy(node->target, how->target, how->target_size);
        node->target_size = how->target_size;
    }
    status = entry_add(fs, dir, name, node);
    if (status != HX_OK) {
        node_free(fs, node);
        return status;
    }
    fs->next_ino++;
    if (node_is_directory(node)) {
        node->parent = dir_ino;
        dir->nlink++;
    }
    node->in_use = true;
    attr_of(node, out);
    return HX_OK;
}

static enum hx_status ramfs_link(void *state, u64 ino, u64 dir_ino, struct fs_name name)
{
    struct ramfs *fs = state;
    struct node *dir, *node = node_find(fs, ino);
    enum hx_status status = directory_find(fs, dir_ino, &dir);
    if (status != HX_OK) {
        return status;
    }
    if (!node || node->nlink == 0) {
        return HX_ERR_NOT_FOUND;
    }
    if (node_is_directory(node)) {
        return HX_ERR_IS_DIR;
    }
    if (node->nlink == UINT32_MAX - 1) {
        return HX_ERR_TOO_MANY_LINKS;
    }
    if (entry_find(fs, dir_ino, name)) {
        return HX_ERR_EXISTS;
    }
    status = entry_add(fs, dir, name, node);
    node->nlink += status == HX_OK;
    return status;
}

/* A node has lost a name. */
static u32 node_unlinked(struct ramfs *fs, struct node *dir, struct node *node)
{
    if (node_is_directory(node)) {
        node->nlink = 0;
        node->parent = 0;
        dir->nlink--;
    } else {
        node->nlink--;
    }
    u32 nlink = node->nlink;
    if (nlink == 0 && !node->in_use) {
        node_free(fs, node);
    }
    return nlink;
}

static enum hx_status ramfs_unlink(void *state, u64 dir_ino, struct fs_name name, bool directory,
                                   u32 *out_nlink)
{
    struct ramfs *fs = state;
    struct node *dir;
    enum hx_status status = directory_find(fs, dir_ino, &dir);
    if (status != HX_OK) {
        return status;
    }
    struct entry *e = entry_find(fs, dir_ino, name);
    if (!e) {
        return HX_ERR_NOT_FOUND;
    }
    struct node *node = node_find(fs, e->ino);
    if (node_is_directory(node) != directory) {
        return directory ? HX_ERR_NOT_DIR : HX_ERR_IS_DIR;
    }
    if (directory && node->count) {
        return HX_ERR_NOT_EMPTY;
    }
    entry_remove(fs, dir, e);
    *out_nlink = node_unlinked(fs, dir, node);
    return HX_OK;
}

static bool is_inside(struct ramfs *fs, u64 dir, u64 above)
{
    while (dir != above && dir != ROOT_INO && dir != 0) {
        struct node *node = node_find(fs, dir);
        dir = node ? node->parent : 0;
    }
    return dir == above;
}

static enum hx_status ramfs_exchange(struct ramfs *fs, struct node *from_dir, struct entry *from,
                                     struct node *to_dir, struct entry *to)
{
    struct node *a = node_find(fs, from->ino), *b = node_find(fs, to->ino);
    if ((node_is_directory(a) && is_inside(fs, to_dir->ino, a->ino)) ||
        (node_is_directory(b) && is_inside(fs, from_dir->ino, b->ino))) {
        return HX_ERR_INVALID;
    }
    from->ino = b->ino;
    to->ino = a->ino;
    u8 type = from->type;
    from->type = to->type;
    to->type = type;
    if (node_is_directory(a)) {
        a->parent = to_dir->ino;
        from_dir->nlink--;
        to_dir->nlink++;
    }
    if (node_is_directory(b)) {
        b->parent = from_dir->ino;
        to_dir->nlink--;
        from_dir->nlink++;
    }
    return HX_OK;
}

static enum hx_status ramfs_rename(void *state, u64 from_ino, struct fs_name from_name, u64 to_ino,
                                   struct fs_name to_name, u32 flags, u32 *out_nlink)
{
    struct ramfs *fs = state;
    struct node *from_dir, *to_dir;
    enum hx_status status = directory_find(fs, from_ino, &from_dir);
    if (status == HX_OK) {
        status = directory_find(fs, to_ino, &to_dir);
    }
    if (status != HX_OK) {
        return status;
    }
    struct entry *from = entry_find(fs, from_ino, from_name), *to = entry_find(fs, to_ino, to_name);
    *out_nlink = UINT32_MAX;
    if (!from || (!to && (flags & HX_RENAME_EXCHANGE))) {
        return HX_ERR_NOT_FOUND;
    }
    if (to && (flags & HX_RENAME_NOREPLACE)) {
        return HX_ERR_EXISTS;
    }
    if (to && to->ino == from->ino) {
        return HX_OK;
    }
    if (flags & HX_RENAME_EXCHANGE) {
        return ramfs_exchange(fs, from_dir, from, to_dir, to);
    }
    struct node *node = node_find(fs, from->ino), *victim = to ? node_find(fs, to->ino) : NULL;
    if (node_is_directory(node) && is_inside(fs, to_ino, node->ino)) {
        return HX_ERR_INVALID;
    }
    if (victim && node_is_directory(victim) != node_is_directory(node)) {
        return node_is_directory(victim) ? HX_ERR_IS_DIR : HX_ERR_NOT_DIR;
    }
    if (victim && node_is_directory(victim) && victim->count) {
        return HX_ERR_NOT_EMPTY;
    }
    if (victim) { /* its entry stays and names the other: no memory is needed */
        to->ino = node->ino;
        to->type = from->type;
        entry_remove(fs, from_dir, from);
        *out_nlink = node_unlinked(fs, to_dir, victim);
    } else {
        status = entry_add(fs, to_dir, to_name, node);
        if (status != HX_OK) {
            return status;
        }
        entry_remove(fs, from_dir, from);
    }
    if (node_is_directory(node)) {
        node->parent = to_ino;
        from_dir->nlink--;
        to_dir->nlink++;
    }
    return HX_OK;
}

static enum hx_status ramfs_readlink(void *state, u64 ino, char *buf, size_t size, size_t *out_size)
{
    struct node *node = node_find(state, ino);
    if (!node || (node->mode & HX_MODE_TYPE) != HX_MODE_LINK) {
        return HX_ERR_INVALID;
    }
    *out_size = (size_t)hx_min_u64(node->target_size, size);
    memcpy(buf, node->target, *out_size);
    return HX_OK;
}

static enum hx_status ramfs_readdir(void *state, u64 dir, u64 *cookie, void *buf, size_t size,
                                    size_t *out_used)
{
    struct node *node = node_find(state, dir);
    struct entry *e;
    size_t used = 0;
    if (!node || !node_is_directory(node)) {
        return HX_ERR_NOT_DIR;
    }
    u64 sequence = *cookie;
    while ((e = (struct entry *)(uintptr_t)radix_next(&node->entries, &sequence)) != NULL) {
        size_t record = hx_align_up(sizeof(struct hx_dirent) + e->name_size + 1, 8);
        if (record > size - used) {
            break;
        }
        struct hx_dirent *d = (void *)((u8 *)buf + used);
        *d = (struct hx_dirent){
            .ino = e->ino, .size = (u16)record, .type = e->type, .name_size = e->name_size};
        memcpy(d->name, e->name, e->name_size);
        d->name[e->name_size] = '\0';
        used += record;
        *cookie = ++sequence;
    }
    *out_used = used;
    return HX_OK;
}

static void ramfs_statfs(void *state, struct hx_fs_stat *out)
{
    struct ramfs *fs = state;
    out->files = fs->count;
}

/* extended attributes */

static struct xattr **xattr_place(struct node *node, struct fs_name name)
{
    struct xattr **at = &node->xattrs;
    while (*at &&
           ((*at)->name_size != name.size || memcmp((*at)->bytes, name.text, name.size) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static enum hx_status ramfs_xattr_get(void *state, u64 ino, struct fs_name name, void *value,
                                      size_t size, size_t *out_size)
{
    struct node *node = node_find(state, ino);
    struct xattr *x = node ? *xattr_place(node, name) : NULL;
    if (!x) {
        return HX_ERR_NOT_FOUND;
    }
    *out_size = x->value_size;
    if (size == 0) {
        return HX_OK;
    }
    if (x->value_size > size) {
        return HX_ERR_MESSAGE_SIZE;
    }
    memcpy(value, x->bytes + x->name_size, x->value_size);
    return HX_OK;
}

static enum hx_status ramfs_xattr_set(void *state, u64 ino, struct fs_name name, const void *value,
                                      size_t size, u32 flags)
{
    struct ramfs *fs = state;
    struct node *node = node_find(fs, ino);
    if (!node) {
        return HX_ERR_NOT_FOUND;
    }
    struct xattr **at = xattr_place(node, name), *old = *at;
    if (old && (flags & HX_XATTR_CREATE)) {
        return HX_ERR_EXISTS;
    }
    if (!old && (flags & HX_XATTR_REPLACE)) {
        return HX_ERR_NOT_FOUND;
    }
    if (!old && fs->count >= fs->limit) {
        return HX_ERR_NO_SPACE;
    }
    struct xattr *x = kmalloc(sizeof(*x) + name.size + size);
    if (!x) {
        return HX_ERR_NO_MEMORY;
    }
    *x = (struct xattr){
        .next = old ? old->next : NULL, .value_size = (u32)size, .name_size = (u8)name.size};
    memcpy(x->bytes, name.text, name.size);
    memcpy(x->bytes + name.size, value, size);
    *at = x;
    fs->count += !old;
    kfree(old);
    return HX_OK;
}

static enum hx_status ramfs_xattr_remove(void *state, u64 ino, struct fs_name name)
{
    struct ramfs *fs = state;
    struct node *node = node_find(fs, ino);
    struct xattr **at = node ? xattr_place(node, name) : NULL, *x = at ? *at : NULL;
    if (!x) {
        return HX_ERR_NOT_FOUND;
    }
    *at = x->next;
    fs->count--;
    kfree(x);
    return HX_OK;
}

static enum hx_status ramfs_xattr_list(void *state, u64 ino, char *buf, size_t size,
                                       size_t *out_size)
{
    struct node *node = node_find(state, ino);
    size_t needed = 0;
    for (struct xattr *x = node ? node->xattrs : NULL; x; x = x->next) {
        if (needed + x->name_size + 1 <= size) {
            memcpy(buf + needed, x->bytes, x->name_size);
            buf[needed + x->name_size] = '\0';
        }
        needed += x->name_size + 1u;
    }
    *out_size = needed;
    return size && needed > size ? HX_ERR_MESSAGE_SIZE : HX_OK;
}

/* Hand-over. A header, then records, each a multiple of 8 bytes long: every node, then every entry,
 * then every extended attribute. */

struct state_head {
    u64 next_ino, limit, nodes, entries, xattrs;
};
struct state_node {
    u64 ino, rdev, parent, next_sequence;
    u32 mode, nlink, target_size, in_use;
    /* target, padded to 8 */
};
struct state_entry {
    u64 dir, ino, sequence;
    u32 type, name_size; /* name, padded to 8 */
};
struct state_xattr {
    u64 ino;
    u32 name_size, value_size; /* name, value, padded to 8 */
};

struct out {
    u8 *to;
    size_t size, used; /* used may exceed size: then that is what is needed */
};

static void put(struct out *o, const void *record, size_t n, const void *tail, size_t tail_size,
                const void *tail2, size_t tail2_size)
{
    static const u8 padding[8];
    const void *parts[] = {record, tail, tail2, padding};
    size_t sizes[] = {n, tail_size, tail2_size, -(tail_size + tail2_size) & 7};
    for (u32 i = 0; i < HX_ARRAY_SIZE(parts); i++) {
        if (sizes[i] && hx_range_fits(o->used, sizes[i], o->size)) {
            memcpy(o->to + o->used, parts[i], sizes[i]);
        }
        o->used += sizes[i];
    }
}

static struct node *node_next(struct ramfs *fs, u64 *ino)
{
    return (struct node *)(uintptr_t)radix_next(&fs->nodes, ino);
}

static enum hx_status ramfs_save_state(void *state, void *buf, size_t size, size_t *out_size)
{
    struct ramfs *fs = state;
    struct out o = {.to = buf, .size = size};
    struct state_head head = {.next_ino = fs->next_ino, .limit = fs->limit};
    struct node *node;
    o.used = sizeof(head);
    for (u64 ino = 0; (node = node_next(fs, &ino)) != NULL; ino++) {
        bool directory = node_is_directory(node);
        bool link = (node->mode & HX_MODE_TYPE) == HX_MODE_LINK;
        struct state_node record = {.ino = ino,
                                    .rdev = node->rdev,
                                    .parent = directory ? node->parent : 0,
                                    .next_sequence = directory ? node->next_sequence : 0,
                                    .mode = node->mode,
                                    .nlink = node->nlink,
                                    .target_size = link ? node->target_size : 0,
                                    .in_use = node->in_use};
        put(&o, &record, sizeof(record), link ? node->target : NULL, record.target_size, NULL, 0);
        head.nodes++;
    }
    for (u32 i = 0; i < fs->bucket_count; i++) {
        for (struct entry *e = fs->buckets[i]; e; e = e->chain) {
            struct state_entry record = {e->dir, e->ino, e->sequence, e->type, e->name_size};
            put(&o, &record, sizeof(record), e->name, e->name_size, NULL, 0);
            head.entries++;
        }
    }
    for (u64 ino = 0; (node = node_next(fs, &ino)) != NULL; ino++) {
        for (struct xattr *x = node->xattrs; x; x = x->next) {
            struct state_xattr record = {ino, x->name_size, x->value_size};
            put(&o, &record, sizeof(record), x->bytes, x->name_size, x->bytes + x->name_size,
                x->value_size);
            head.xattrs++;
        }
    }
    if (size >= sizeof(head)) {
        memcpy(buf, &head, sizeof(head));
    }
    *out_size = o.used;
    return o.used > size ? HX_ERR_MESSAGE_SIZE : HX_OK;
}

struct in {
    const u8 *from;
    size_t size, at;
};

/* A record of n bytes with a tail whose length only the record knows. */
static const void *take(struct in *in, size_t n)
{
    if (!hx_range_fits(in->at, n, in->size)) {
        return NULL;
    }
    const void *at = in->from + in->at;
    in->at += hx_align_up(n, 8);
    return at;
}

static enum hx_status restore_node(struct ramfs *fs, struct in *in)
{
    const struct state_node *r = take(in, sizeof(*r));
    const char *target = r ? take(in, r->target_size) : NULL;
    struct node *node;
    if (!target || r->ino == 0 || r->ino >= fs->next_ino || node_find(fs, r->ino) ||
        r->target_size > HX_PATH_MAX) {
        return HX_ERR_CORRUPT;
    }
    enum hx_status status = node_create(fs, r->ino, r->mode, &node);
    if (status != HX_OK) {
        return status;
    }
    node->nlink = r->nlink;
    node->rdev = r->rdev;
    node->in_use = r->in_use;
    if (node_is_directory(node)) {
        node->parent = r->parent;
        node->next_sequence = r->next_sequence;
    } else if ((r->mode & HX_MODE_TYPE) == HX_MODE_LINK) {
        node->target = kmalloc(r->target_size ? r->target_size : 1);
        if (!node->target) {
            return HX_ERR_NO_MEMORY;
        }
        memcpy(node->target, target, r->target_size);
        node->target_size = r->target_size;
    }
    return HX_OK;
}

static enum hx_status restore_entry(struct ramfs *fs, struct in *in)
{
    const struct state_entry *r = take(in, sizeof(*r));
    const char *name = r ? take(in, r->name_size) : NULL;
    struct node *dir = r ? node_find(fs, r->dir) : NULL, *node = r ? node_find(fs, r->ino) : NULL;
    if (!name || r->name_size == 0 || r->name_size > HX_FILE_NAME_MAX || !dir || !node ||
        !node_is_directory(dir) || r->type != node->mode >> 12 ||
        r->sequence >= dir->next_sequence || radix_get(&dir->entries, r->sequence) ||
        entry_find(fs, r->dir, (struct fs_name){name, r->name_size})) {
        return HX_ERR_CORRUPT;
    }
    u64 next = dir->next_sequence;
    dir->next_sequence = r->sequence;
    enum hx_status status = entry_add(fs, dir, (struct fs_name){name, r->name_size}, node);
    dir->next_sequence = next;
    return status;
}

static enum hx_status restore_xattr(struct ramfs *fs, struct in *in)
{
    const struct state_xattr *r = take(in, sizeof(*r));
    if (!r || r->name_size == 0 || r->name_size > HX_FILE_NAME_MAX ||
        r->value_size > HX_XATTR_MAX || !node_find(fs, r->ino)) {
        return HX_ERR_CORRUPT;
    }
    const char *bytes = take(in, (size_t)r->name_size + r->value_size);
    return bytes ? ramfs_xattr_set(fs, r->ino, (struct fs_name){bytes, r->name_size},
                                   bytes + r->name_size, r->value_size, HX_XATTR_CREATE)
                 : HX_ERR_CORRUPT;
}

static enum hx_status ramfs_restore_state(const void *buf, size_t size, u32 version, void **out_fs)
{
    struct in in = {.from = buf, .size = size};
    const struct state_head *head = take(&in, sizeof(*head));
    struct ramfs *fs;
    if (version != STATE_VERSION) {
        return HX_ERR_ABI;
    }
    if (!head) {
        return HX_ERR_CORRUPT;
    }
    enum hx_status status = instance_create(head->limit, &fs);
    if (status != HX_OK) {
        return status;
    }
    fs->next_ino = head->next_ino;
    for (u64 i = 0; i < head->nodes && status == HX_OK; i++) {
        status = restore_node(fs, &in);
    }
    for (u64 i = 0; i < head->entries && status == HX_OK; i++) {
        status = restore_entry(fs, &in);
    }
    for (u64 i = 0; i < head->xattrs && status == HX_OK; i++) {
        status = restore_xattr(fs, &in);
    }
    struct node *root = node_find(fs, ROOT_INO);
    if (status == HX_OK && (!root || !node_is_directory(root) || in.at != size)) {
        status = HX_ERR_CORRUPT;
    }
    if (status != HX_OK) {
        instance_free(fs);
        return status;
    }
    *out_fs = fs;
    return HX_OK;
}

const struct fs_ops ramfs_ops = {
    .abi_version = FS_ABI,
    .size = sizeof(struct fs_ops),
    .name = "ramfs",
    .flags = FS_MEMORY,
    .state_version = STATE_VERSION,
    .mount = ramfs_mount,
    .unmount = ramfs_unmount,
    .lookup = ramfs_lookup,
    .forget = ramfs_forget,
    .create = ramfs_create,
    .link = ramfs_link,
    .unlink = ramfs_unlink,
    .rename = ramfs_rename,
    .readlink = ramfs_readlink,
    .readdir = ramfs_readdir,
    .statfs = ramfs_statfs,
    .xattr_get = ramfs_xattr_get,
    .xattr_set = ramfs_xattr_set,
    .xattr_remove = ramfs_xattr_remove,
    .xattr_list = ramfs_xattr_list,
    .save_state = ramfs_save_state,
    .restore_state = ramfs_restore_state,
};
