/* SPDX-License-Identifier: MIT */
/* Directories and names.
 * Owns:      the DIRENT items.      Callers: the public functions, replay.c.
 * Context:   thread; public functions take hfs.lock.
 * Invariant: (1) hfs_dinode.entries counts the names of a directory, and its nlink is 2 and one for
 *            each directory in it.  (2) a directory has one name, and its parent field names where.
 *            (3) every function looks everything up that it will need before it changes anything,
 *            so that what the outside can cause fails cleanly.
 *
 * Names are found by a keyed hash (SipHash-2-4), so nobody without the key can fill one item with
 * collisions. A position in a directory is hash and place in the item: it stays valid whatever
 * is created or removed meanwhile, without a second index.
 */
#include "hfs_priv.h"

#define COLLISIONS_MAX 8u /* names with one hash: the low bits of a cookie count them */
#define LINKS_MAX      0x7fffffffu
#define DEPTH_MAX      65536u

static u64 rotl(u64 v, u32 n)
{
    return v << n | v >> (64 - n);
}

static void sip_round(u64 v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static void sip_word(u64 v[4], u64 m)
{
    v[3] ^= m;
    sip_round(v);
    sip_round(v);
    v[0] ^= m;
}

u64 name_hash(const struct hfs *fs, const char *s, size_t len)
{
    u64 k0 = hx_load_le64(fs->super.hash_key), k1 = hx_load_le64(fs->super.hash_key + 8);
    u64 v[4] = {k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull, k0 ^ 0x6c7967656e657261ull,
                k1 ^ 0x7465646279746573ull};
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        sip_word(v, hx_load_le64(s + at));
    }
    u64 tail = (u64)len << 56;
    for (u32 i = 0; at + i < len; i++) {
        tail |= (u64)(u8)s[at + i] << (8 * i);
    }
    sip_word(v, tail);
    v[2] ^= 0xff;
    for (u32 i = 0; i < 4; i++) {
        sip_round(v);
    }
    u64 hash = (v[0] ^ v[1] ^ v[2] ^ v[3]) >> 4;
    return hash == 0 ? 1 : hash; /* the cookies of hash 0 are those of . and .. */
}

enum hx_status name_check(struct hfs_name name)
{
    if (name.len == 0 || (name.len == 1 && name.s[0] == '.') ||
        (name.len == 2 && name.s[0] == '.' && name.s[1] == '.')) {
        return HX_ERR_INVALID;
    }
    if (name.len > HFS_NAME_MAX) {
        return HX_ERR_NAME_TOO_LONG;
    }
    if (memchr(name.s, '/', name.len) != NULL || memchr(name.s, '\0', name.len) != NULL) {
        return HX_ERR_INVALID;
    }
    return HX_OK;
}

/* Entries of one item */

static u32 entry_size(const u8 *item, u32 off)
{
    const struct hfs_dirent *e = (const void *)(item + off);
    return (u32)sizeof(*e) + e->name_len;
}

/* An entry lies whole in the item. */
static bool entry_fits(const u8 *item, u32 off, u32 len)
{
    return off + sizeof(struct hfs_dirent) <= len && entry_size(item, off) <= len - off &&
           ((const struct hfs_dirent *)(const void *)(item + off))->name_len > 0;
}

/* Return: offset of the entry of that name, or len; *out_count: entries before that. */
static u32 entry_find(const u8 *item, u32 len, struct hfs_name name, u32 *out_count)
{
    u32 off = 0, count = 0;
    while (entry_fits(item, off, len)) {
        const struct hfs_dirent *e = (const void *)(item + off);
        if (e->name_len == name.len && memcmp(e + 1, name.s, name.len) == 0) {
            *out_count = count;
            return off;
        }
        off += entry_size(item, off);
        count++;
    }
    *out_count = count;
    return len;
}

static struct hfs_key dirent_key(const struct hfs_inode *dir, struct hfs_name name)
{
    return (struct hfs_key){dir->ino, HFS_KIND_DIRENT, name_hash(dir->sv->fs, name.s, name.len)};
}

enum hx_status dir_find(struct hfs_inode *dir, struct hfs_name name, u64 *out_ino, u8 *out_type)
{
    if (!inode_is(dir, HFS_IFDIR)) {
        return HX_ERR_NOT_DIR;
    }
    struct hfs_key key = dirent_key(dir, name);
    struct hfs_path path;
    void *item;
    u32 len, count;
    enum hx_status status = tree_find(&dir->sv->tree, &key, &path, &item, &len);
    if (status != HX_OK) {
        return status;
    }
    u32 off = entry_find(item, len, name, &count);
    if (off < len) {
        const struct hfs_dirent *e = (const void *)((const u8 *)item + off);
        *out_ino = e->ino;
        *out_type = e->type;
    } else {
        status = HX_ERR_NOT_FOUND;
    }
    tree_release(&path);
    return status;
}

/* Adds a name that is not there. The directory's count and times are the caller's. */
static enum hx_status dir_add(struct hfs_inode *dir, struct hfs_name name, u64 ino, u32 mode)
{
    struct hfs *fs = dir->sv->fs;
    struct hfs_key key = dirent_key(dir, name);
    struct hfs_path path;
    void *old;
    u32 len = 0, count = 0;
    enum hx_status status = tree_find(&dir->sv->tree, &key, &path, &old, &len);
    if (status == HX_OK) {
        memcpy(fs->item, old, len);
        tree_release(&path);
        entry_find(fs->item, len, (struct hfs_name){"", 0}, &count);
    } else if (status == HX_ERR_NOT_FOUND) {
        len = 0;
    } else {
        return status;
    }
    u32 need = (u32)(sizeof(struct hfs_dirent) + name.len);
    if (count >= COLLISIONS_MAX || len + need > HFS_ITEM_MAX) {
        return HX_ERR_NO_SPACE;
    }
    struct hfs_dirent e = {.ino = ino, .type = (u8)(mode >> 12), .name_len = (u8)name.len};
    memcpy(fs->item + len, &e, sizeof(e));
    memcpy(fs->item + len + sizeof(e), name.s, name.len);
    return tree_put(&dir->sv->tree, &key, fs->item, len + need);
}

static enum hx_status dir_del(struct hfs_inode *dir, struct hfs_name name)
{
    struct hfs *fs = dir->sv->fs;
    struct hfs_key key = dirent_key(dir, name);
    struct hfs_path path;
    void *old;
    u32 len, count;
    enum hx_status status = tree_find(&dir->sv->tree, &key, &path, &old, &len);
    if (status != HX_OK) {
        return status;
    }
    memcpy(fs->item, old, len);
    tree_release(&path);
    u32 off = entry_find(fs->item, len, name, &count);
    if (off == len) {
        return HX_ERR_NOT_FOUND;
    }
    u32 gone = entry_size(fs->item, off);
    if (gone == len) {
        return tree_remove(&dir->sv->tree, &key);
    }
    memmove(fs->item + off, fs->item + off + gone, len - off - gone);
    return tree_put(&dir->sv->tree, &key, fs->item, len - gone);
}

/* Points an existing name at another inode. */
static enum hx_status dir_set(struct hfs_inode *dir, struct hfs_name name, u64 ino, u32 mode)
{
    struct hfs_key key = dirent_key(dir, name);
    struct hfs_path path;
    void *item;
    u32 len, count;
    enum hx_status status = tree_edit(&dir->sv->tree, &key, &path, &item, &len);
    if (status != HX_OK) {
        return status;
    }
    u32 off = entry_find(item, len, name, &count);
    if (off < len) {
        struct hfs_dirent *e = (void *)((u8 *)item + off);
        e->ino = ino;
        e->type = (u8)(mode >> 12);
    }
    tree_release(&path);
    return off < len ? HX_OK : HX_ERR_NOT_FOUND;
}

static enum hx_status dir_touch(struct hfs_inode *dir, s64 now)
{
    dir->d.mtime_ns = dir->d.ctime_ns = now;
    return inode_store(dir);
}

/* A directory that names can be added to. */
static enum hx_status dir_check(const struct hfs_inode *dir)
{
    if (!inode_is(dir, HFS_IFDIR)) {
        return HX_ERR_NOT_DIR;
    }
    return dir->d.nlink > 0 ? HX_OK : HX_ERR_NOT_FOUND;
}

static enum hx_status name_is_free(struct hfs_inode *dir, struct hfs_name name)
{
    u64 ino;
    u8 type;
    enum hx_status status = dir_find(dir, name, &ino, &type);
    return status == HX_OK ? HX_ERR_EXISTS : status == HX_ERR_NOT_FOUND ? HX_OK : status;
}

/* Operations */

/* The inode's item, then its name. */
static enum hx_status create_items(struct hfs_inode *dir, struct hfs_name name,
                                   struct hfs_inode *inode, struct hfs_name target, s64 now)
{
    struct hfs *fs = dir->sv->fs;
    struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
    memcpy(fs->item, &inode->d, sizeof(inode->d));
    if (target.len > 0) {
        memcpy(fs->item + sizeof(inode->d), target.s, target.len);
    }
    enum hx_status status =
        tree_put(&dir->sv->tree, &key, fs->item, (u32)(sizeof(inode->d) + target.len));
    if (status == HX_OK) {
        status = dir_add(dir, name, inode->ino, inode->d.mode);
    }
    if (status == HX_OK) {
        dir->d.entries++;
        dir->d.nlink += inode_is(inode, HFS_IFDIR);
        status = dir_touch(dir, now);
    }
    return status;
}

enum hx_status do_create(struct hfs_inode *dir, struct hfs_name name, u64 ino, u32 mode,
                         struct hfs_owner owner, u64 rdev, struct hfs_name target, s64 now,
                         struct hfs_inode **out)
{
    struct hfs_subvol *sv = dir->sv;
    enum hx_status status = dir_check(dir);
    if (status == HX_OK) {
        status = name_is_free(dir, name);
    }
    if (status != HX_OK) {
        return status;
    }
    bool is_dir = (mode & HFS_IFMT) == HFS_IFDIR;
    if (ino == 0) {
        ino = sv->d.next_ino;
    }
    struct hfs_inode *inode;
    status = inode_new(sv, ino, &inode);
    if (status != HX_OK) {
        return status;
    }
    bool inlined = (mode & HFS_IFMT) == HFS_IFREG || (mode & HFS_IFMT) == HFS_IFLNK;
    inode->d = (struct hfs_dinode){.size = target.len,
                                   .parent = is_dir ? dir->ino : 0,
                                   .mode = mode,
                                   .uid = owner.uid,
                                   .gid = owner.gid,
                                   .nlink = is_dir ? 2 : 1,
                                   .atime_ns = now,
                                   .mtime_ns = now,
                                   .ctime_ns = now,
                                   .btime_ns = now,
                                   .rdev = rdev,
                                   .flags = inlined ? HFS_INODE_INLINE : 0};
    status = inode_check(&inode->d, (u32)(sizeof(inode->d) + target.len));
    if (status == HX_OK) {
        status = create_items(dir, name, inode, target, now);
    }
    if (status == HX_OK) {
        sv->d.next_ino = hx_max_u64(sv->d.next_ino, ino + 1);
        sv->dirty = true;
        *out = inode;
    } else {
        inode->d.nlink = 1; /* nothing to reap */
        inode_put(inode);
    }
    return status;
}

enum hx_status do_link(struct hfs_inode *inode, struct hfs_inode *dir, struct hfs_name name,
                       s64 now)
{
    enum hx_status status = dir_check(dir);
    if (status == HX_OK && inode_is(inode, HFS_IFDIR)) {
        status = HX_ERR_ACCESS;
    }
    if (status == HX_OK && inode->d.nlink == 0) {
        status = HX_ERR_NOT_FOUND;
    }
    if (status == HX_OK && inode->d.nlink >= LINKS_MAX) {
        status = HX_ERR_TOO_MANY_LINKS;
    }
    if (status == HX_OK) {
        status = name_is_free(dir, name);
    }
    if (status == HX_OK) {
        status = dir_add(dir, name, inode->ino, inode->d.mode);
    }
    if (status == HX_OK) {
        inode->d.nlink++;
        inode->d.ctime_ns = now;
        status = inode_store(inode);
    }
    if (status == HX_OK) {
        dir->d.entries++;
        status = dir_touch(dir, now);
    }
    return status;
}

/* The inode behind a name, held. A name that leads nowhere is damage. */
static enum hx_status child_get(struct hfs_inode *dir, struct hfs_name name, struct hfs_inode **out)
{
    u64 ino;
    u8 type;
    enum hx_status status = dir_find(dir, name, &ino, &type);
    if (status != HX_OK) {
        return status;
    }
    status = inode_get(dir->sv, ino, out);
    if (status == HX_ERR_NOT_FOUND) {
        return HX_ERR_CORRUPT;
    }
    if (status == HX_OK && (*out)->d.mode >> 12 != type) {
        inode_put(*out);
        return HX_ERR_CORRUPT;
    }
    return status;
}

/* May this inode lose a name in rmdir or unlink, or by being replaced? */
static enum hx_status may_drop(const struct hfs_inode *inode, bool as_dir)
{
    bool is_dir = inode_is(inode, HFS_IFDIR);
    if (as_dir && !is_dir) {
        return HX_ERR_NOT_DIR;
    }
    if (!as_dir && is_dir) {
        return HX_ERR_IS_DIR;
    }
    return is_dir && inode->d.entries > 0 ? HX_ERR_NOT_EMPTY : HX_OK;
}

enum hx_status do_unlink(struct hfs_inode *dir, struct hfs_name name, bool is_dir, s64 now)
{
    struct hfs_inode *inode;
    enum hx_status status = child_get(dir, name, &inode);
    if (status != HX_OK) {
        return status;
    }
    status = may_drop(inode, is_dir);
    if (status == HX_OK) {
        status = dir_del(dir, name);
    }
    if (status == HX_OK) {
        dir->d.entries--;
        dir->d.nlink -= is_dir;
        status = dir_touch(dir, now);
    }
    if (status == HX_OK) {
        status = inode_drop_link(inode, now);
        inode->last_op = inode->sv->fs->log.op_seq + 1; /* the record that follows */
    }
    inode_put(inode);
    return status;
}

/* Is dir inside inode, or it? */
static enum hx_status check_cycle(struct hfs_inode *inode, struct hfs_inode *dir)
{
    u64 ino = dir->ino, parent = dir->d.parent;
    for (u32 depth = 0; ino != HFS_INO_ROOT; depth++) {
        if (ino == inode->ino) {
            return HX_ERR_LOOP;
        }
        struct hfs_inode *up;
        enum hx_status status =
            depth < DEPTH_MAX ? inode_get(dir->sv, parent, &up) : HX_ERR_CORRUPT;
        if (status != HX_OK) {
            return status == HX_ERR_NOT_FOUND ? HX_ERR_CORRUPT : status;
        }
        ino = up->ino;
        parent = up->d.parent;
        bool is_dir = inode_is(up, HFS_IFDIR);
        inode_put(up);
        if (!is_dir) {
            return HX_ERR_CORRUPT;
        }
    }
    return HX_OK;
}

struct rename {
    struct hfs_inode *from_dir, *to_dir;
    struct hfs_inode *inode, *target; /* target NULL: the new name is free */
    struct hfs_name from, to;
    u32 flags;
    s64 now;
};

static enum hx_status rename_check(const struct rename *r)
{
    bool exchange = (r->flags & HFS_RENAME_EXCHANGE) != 0;
    if (exchange && r->target == NULL) {
        return HX_ERR_NOT_FOUND;
    }
    if (r->target != NULL && (r->flags & HFS_RENAME_NOREPLACE) != 0) {
        return HX_ERR_EXISTS;
    }
    enum hx_status status = HX_OK;
    if (inode_is(r->inode, HFS_IFDIR)) {
        status = check_cycle(r->inode, r->to_dir);
    }
    if (status == HX_OK && exchange && inode_is(r->target, HFS_IFDIR)) {
        status = check_cycle(r->target, r->from_dir);
    }
    if (status == HX_OK && r->target != NULL && !exchange && r->target != r->inode) {
        status = may_drop(r->target, inode_is(r->inode, HFS_IFDIR));
    }
    return status;
}

/* inode now lives in dir; what it left keeps its other counts. */
static enum hx_status moved_to(struct hfs_inode *inode, struct hfs_inode *from,
                               struct hfs_inode *dir, s64 now)
{
    inode->d.ctime_ns = now;
    if (inode_is(inode, HFS_IFDIR) && from != dir) {
        inode->d.parent = dir->ino;
        from->d.nlink--;
        dir->d.nlink++;
    }
    return inode_store(inode);
}

static enum hx_status rename_exchange(const struct rename *r)
{
    HX_ASSERT(r->target != NULL); /* rename_check() */
    enum hx_status status = dir_set(r->to_dir, r->to, r->inode->ino, r->inode->d.mode);
    if (status == HX_OK) {
        status = dir_set(r->from_dir, r->from, r->target->ino, r->target->d.mode);
    }
    if (status == HX_OK) {
        status = moved_to(r->inode, r->from_dir, r->to_dir, r->now);
    }
    if (status == HX_OK) {
        status = moved_to(r->target, r->to_dir, r->from_dir, r->now);
    }
    return status;
}

static enum hx_status rename_move(const struct rename *r)
{
    enum hx_status status;
    if (r->target != NULL) {
        status = dir_set(r->to_dir, r->to, r->inode->ino, r->inode->d.mode);
        if (status == HX_OK) {
            r->to_dir->d.nlink -= inode_is(r->target, HFS_IFDIR);
            status = inode_drop_link(r->target, r->now);
        }
    } else {
        status = dir_add(r->to_dir, r->to, r->inode->ino, r->inode->d.mode);
        r->to_dir->d.entries += status == HX_OK;
    }
    if (status == HX_OK) {
        status = dir_del(r->from_dir, r->from);
    }
    if (status == HX_OK) {
        r->from_dir->d.entries--;
        status = moved_to(r->inode, r->from_dir, r->to_dir, r->now);
    }
    return status;
}

enum hx_status do_rename(struct hfs_inode *from_dir, struct hfs_name from, struct hfs_inode *to_dir,
                         struct hfs_name to, u32 flags, s64 now)
{
    struct rename r = {
        .from_dir = from_dir, .to_dir = to_dir, .from = from, .to = to, .flags = flags, .now = now};
    enum hx_status status = dir_check(from_dir);
    if (status == HX_OK) {
        status = dir_check(to_dir);
    }
    if (status == HX_OK) {
        status = child_get(from_dir, from, &r.inode);
    }
    if (status != HX_OK) {
        return status;
    }
    status = child_get(to_dir, to, &r.target);
    if (status == HX_ERR_NOT_FOUND) {
        r.target = NULL;
        status = HX_OK;
    }
    if (status == HX_OK) {
        status = rename_check(&r);
    }
    bool same = r.target == r.inode; /* two names of one file: POSIX says, do nothing */
    if (status == HX_OK && !same) {
        status = (flags & HFS_RENAME_EXCHANGE) != 0 ? rename_exchange(&r) : rename_move(&r);
        if (status == HX_OK) {
            status = dir_touch(from_dir, now);
        }
        if (status == HX_OK && to_dir != from_dir) {
            status = dir_touch(to_dir, now);
        }
        r.inode->last_op = from_dir->sv->fs->log.op_seq + 1; /* the record that follows */
    }
    if (r.target != NULL) {
        inode_put(r.target);
    }
    inode_put(r.inode);
    return status;
}

/* Public functions */

enum hx_status hfs_lookup(struct hfs_inode *dir, struct hfs_name name, struct hfs_inode **out)
{
    struct hfs *fs = dir->sv->fs;
    os_mutex_acquire(fs->lock);
    enum hx_status status;
    if (!inode_is(dir, HFS_IFDIR)) {
        status = HX_ERR_NOT_DIR;
    } else if (name.len == 1 && name.s[0] == '.') {
        status = inode_get(dir->sv, dir->ino, out);
    } else if (name.len == 2 && name.s[0] == '.' && name.s[1] == '.') {
        status = inode_get(dir->sv, dir->d.parent, out);
    } else {
        status = name_check(name);
        if (status == HX_OK) {
            status = child_get(dir, name, out);
        }
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_create(struct hfs_inode *dir, struct hfs_name name, u32 mode,
                          struct hfs_owner owner, u64 rdev, struct hfs_name target,
                          struct hfs_inode **out)
{
    struct hfs *fs = dir->sv->fs;
    enum hx_status status = name_check(name);
    bool link = (mode & HFS_IFMT) == HFS_IFLNK;
    if (status == HX_OK && link != (target.len > 0)) {
        status = HX_ERR_INVALID;
    }
    if (status == HX_OK && target.len > HFS_LINK_MAX) {
        status = HX_ERR_NAME_TOO_LONG;
    }
    if (status != HX_OK) {
        return status;
    }
    os_mutex_acquire(fs->lock);
    status = op_begin(fs, dir->sv, 3, 0, TIER_NORMAL);
    if (status == HX_OK) {
        status = log_reserve(fs, 1, (u32)(name.len + target.len));
    }
    if (status == HX_OK) {
        s64 now = os_time_ns();
        if ((dir->d.mode & HFS_ISGID) != 0) { /* the group is inherited, and so is this */
            owner.gid = dir->d.gid;
            mode |= (mode & HFS_IFMT) == HFS_IFDIR ? HFS_ISGID : 0;
        }
        status = do_create(dir, name, 0, mode, owner, rdev, target, now, out);
        if (status == HX_OK) {
            struct hfs_rec rec = record_for(*out, HFS_REC_CREATE, now);
            rec.dir = dir->ino;
            rec.name_len = (u16)name.len;
            rec.mode = mode;
            rec.uid = owner.uid;
            rec.gid = owner.gid;
            rec.arg = rdev;
            log_append(fs, &rec, name.s, (u32)name.len, target.s, (u32)target.len);
            (*out)->last_op = dir->last_op = fs->log.op_seq;
        }
        struct hfs_inode *made = status == HX_OK ? *out : NULL;
        status = op_end(fs, status);
        if (status != HX_OK && made != NULL) {
            inode_put(made);
        }
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_link(struct hfs_inode *inode, struct hfs_inode *dir, struct hfs_name name)
{
    struct hfs *fs = dir->sv->fs;
    enum hx_status status = name_check(name);
    if (status == HX_OK && inode->sv != dir->sv) {
        status = HX_ERR_CROSS_DEVICE;
    }
    if (status != HX_OK) {
        return status;
    }
    os_mutex_acquire(fs->lock);
    status = op_begin(fs, dir->sv, 3, 0, TIER_NORMAL);
    if (status == HX_OK) {
        status = log_reserve(fs, 1, (u32)name.len);
    }
    if (status == HX_OK) {
        s64 now = os_time_ns();
        status = do_link(inode, dir, name, now);
        if (status == HX_OK) {
            struct hfs_rec rec = record_for(inode, HFS_REC_LINK, now);
            rec.dir = dir->ino;
            rec.name_len = (u16)name.len;
            log_append(fs, &rec, name.s, (u32)name.len, NULL, 0);
            inode->last_op = dir->last_op = fs->log.op_seq;
        }
        status = op_end(fs, status);
    }
    os_mutex_release(fs->lock);
    return status;
}

static enum hx_status unlink(struct hfs_inode *dir, struct hfs_name name, bool is_dir)
{
    struct hfs *fs = dir->sv->fs;
    enum hx_status status = name_check(name);
    if (status != HX_OK) {
        return status;
    }
    os_mutex_acquire(fs->lock);
    status = op_begin(fs, dir->sv, 4, 0, TIER_DELETE);
    if (status == HX_OK) {
        status = log_reserve(fs, 1, (u32)name.len);
    }
    if (status == HX_OK) {
        s64 now = os_time_ns();
        status = do_unlink(dir, name, is_dir, now);
        if (status == HX_OK) {
            struct hfs_rec rec = record_for(dir, HFS_REC_UNLINK, now);
            rec.dir = dir->ino;
            rec.name_len = (u16)name.len;
            rec.arg = is_dir;
            log_append(fs, &rec, name.s, (u32)name.len, NULL, 0);
            dir->last_op = fs->log.op_seq;
        }
        status = op_end(fs, status);
        if (status == HX_OK) {
            HX_IGNORE(orphans_reap(dir->sv), "the name is gone; the rest stays pending");
        }
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_unlink(struct hfs_inode *dir, struct hfs_name name)
{
    return unlink(dir, name, false);
}

enum hx_status hfs_rmdir(struct hfs_inode *dir, struct hfs_name name)
{
    return unlink(dir, name, true);
}

/* A file that replaces another has its content in place first: whoever writes a new file and
 * renames it over the old one, without fsync, gets one of the two after a crash, never an empty
 * one. */
static enum hx_status order_source(struct hfs_inode *from_dir, struct hfs_name from,
                                   struct hfs_inode *to_dir, struct hfs_name to)
{
    u64 ino;
    u8 type;
    struct hfs_inode *inode;
    if (dir_find(to_dir, to, &ino, &type) != HX_OK || child_get(from_dir, from, &inode) != HX_OK) {
        return HX_OK; /* the rename itself says what is wrong */
    }
    enum hx_status status = HX_OK;
    if (inode->unordered) {
        status = op_begin(from_dir->sv->fs, from_dir->sv, 2, 0, TIER_NORMAL);
        if (status == HX_OK) {
            status = op_end(from_dir->sv->fs, file_order(inode));
        }
    }
    inode_put(inode);
    return status;
}

enum hx_status hfs_rename(struct hfs_inode *from_dir, struct hfs_name from,
                          struct hfs_inode *to_dir, struct hfs_name to, u32 flags)
{
    struct hfs *fs = from_dir->sv->fs;
    enum hx_status status = name_check(from);
    if (status == HX_OK) {
        status = name_check(to);
    }
    if (status == HX_OK && from_dir->sv != to_dir->sv) {
        status = HX_ERR_CROSS_DEVICE;
    }
    if (status == HX_OK && ((flags & ~(HFS_RENAME_NOREPLACE | HFS_RENAME_EXCHANGE)) != 0 ||
                            flags == (HFS_RENAME_NOREPLACE | HFS_RENAME_EXCHANGE))) {
        status = HX_ERR_INVALID;
    }
    if (status != HX_OK) {
        return status;
    }
    os_mutex_acquire(fs->lock);
    status = order_source(from_dir, from, to_dir, to);
    if (status == HX_OK) {
        status = op_begin(fs, from_dir->sv, 6, 0, TIER_NORMAL);
    }
    if (status == HX_OK) {
        status = log_reserve(fs, 1, (u32)(from.len + to.len));
    }
    if (status == HX_OK) {
        s64 now = os_time_ns();
        status = do_rename(from_dir, from, to_dir, to, flags, now);
        if (status == HX_OK) {
            struct hfs_rec rec = record_for(from_dir, HFS_REC_RENAME, now);
            rec.dir = from_dir->ino;
            rec.arg = to_dir->ino;
            rec.arg2 = flags;
            rec.name_len = (u16)from.len;
            log_append(fs, &rec, from.s, (u32)from.len, to.s, (u32)to.len);
            from_dir->last_op = to_dir->last_op = fs->log.op_seq;
        }
        status = op_end(fs, status);
        if (status == HX_OK) {
            HX_IGNORE(orphans_reap(from_dir->sv), "the name is gone; the rest stays pending");
        }
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_readlink(struct hfs_inode *inode, char *buf, size_t size, size_t *out_len)
{
    struct hfs *fs = inode->sv->fs;
    if (!inode_is(inode, HFS_IFLNK)) {
        return HX_ERR_INVALID;
    }
    os_mutex_acquire(fs->lock);
    struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
    struct hfs_path path;
    void *value;
    u32 len;
    enum hx_status status = tree_find(&inode->sv->tree, &key, &path, &value, &len);
    if (status == HX_OK) {
        size_t n = hx_min_u64(size, len - sizeof(struct hfs_dinode));
        memcpy(buf, (u8 *)value + sizeof(struct hfs_dinode), n);
        *out_len = n;
        tree_release(&path);
    }
    os_mutex_release(fs->lock);
    return status;
}

/* The entries of one item from cookie on. False: the visitor had enough. */
static bool visit_item(const u8 *item, u32 len, u64 hash, u64 cookie, hfs_visit_fn *visit,
                       void *ctx)
{
    u32 off = 0;
    for (u64 place = 0; place < COLLISIONS_MAX && entry_fits(item, off, len); place++) {
        const struct hfs_dirent *e = (const void *)(item + off);
        u64 at = hash << 3 | place;
        if (at >= cookie &&
            !visit(ctx, (const char *)(e + 1), e->name_len, e->ino, e->type, at + 1)) {
            return false;
        }
        off += entry_size(item, off);
    }
    return true;
}

static bool visit_dots(struct hfs_inode *dir, u64 cookie, hfs_visit_fn *visit, void *ctx)
{
    u8 type = HFS_IFDIR >> 12;
    return (cookie > 0 || visit(ctx, ".", 1, dir->ino, type, 1)) &&
           (cookie > 1 || visit(ctx, "..", 2, dir->d.parent, type, 2));
}

enum hx_status hfs_readdir(struct hfs_inode *dir, u64 cookie, hfs_visit_fn *visit, void *ctx)
{
    struct hfs *fs = dir->sv->fs;
    if (!inode_is(dir, HFS_IFDIR)) {
        return HX_ERR_NOT_DIR;
    }
    os_mutex_acquire(fs->lock);
    enum hx_status status = HX_OK;
    if (visit_dots(dir, cookie, visit, ctx)) {
        struct hfs_key key = {dir->ino, HFS_KIND_DIRENT, cookie >> 3};
        struct hfs_path path;
        status = tree_seek(&dir->sv->tree, &key, &path);
        while (status == HX_OK) {
            const struct hfs_key *at = path_key(&path);
            u32 len;
            const u8 *item = path_value(&path, &len);
            if (at->oid != dir->ino || at->kind != HFS_KIND_DIRENT ||
                !visit_item(item, len, at->off, cookie, visit, ctx)) {
                tree_release(&path);
                break;
            }
            status = tree_next(&path);
        }
    }
    os_mutex_release(fs->lock);
    return status == HX_ERR_END ? HX_OK : status;
}
