/* SPDX-License-Identifier: MIT */
/* Snapshots, clones, rollback, destruction.
 * Owns:      the links between subvolumes; DYING items.      Callers: public functions, mount.c.
 * Context:   thread; public functions take hfs.lock.
 * Invariant: (1) the snapshots of a chain form a list by birth, ending in the live subvolume, whose
 *            prev_birth decides what becomes of freed blocks (dead.c).  (2) each of these
 * operations takes effect in one commit; what remains to be taken apart afterwards is named by a
 *            DYING item, and a mount after a crash goes on with it.
 *            Spec: SPEC.md, "Snapshots".
 *
 * A snapshot is a copy of a root pointer: what it costs depends on nothing. Destroying one frees
 * the dead blocks that only it used: births after its predecessor's, deaths up to its successor's.
 */
#include "hfs_priv.h"

#define SLICE 512u /* dead records, or leaves, taken apart in one operation */

static enum hx_status name_usable(struct hfs *fs, const char *name)
{
    size_t len = strlen(name);
    u64 id;
    if (len == 0) {
        return HX_ERR_INVALID;
    }
    if (len > HFS_SUBVOL_NAME_MAX) {
        return HX_ERR_NAME_TOO_LONG;
    }
    enum hx_status status = subvol_find(fs, name, &id);
    return status == HX_OK ? HX_ERR_EXISTS : status == HX_ERR_NOT_FOUND ? HX_OK : status;
}

static struct hfs_key name_key(struct hfs *fs, const char *name, u64 id)
{
    return (struct hfs_key){name_hash(fs, name, strlen(name)), HFS_ROOT_NAME, id};
}

/* Enters a record under a name. */
static enum hx_status record_add(struct hfs *fs, u64 id, const struct hfs_dsubvol *d)
{
    struct hfs_key key = {id, HFS_ROOT_SUBVOL, 0};
    enum hx_status status = tree_put(&fs->root, &key, d, sizeof(*d));
    if (status == HX_OK && d->name[0] != '\0') {
        struct hfs_key name = name_key(fs, d->name, id);
        status = tree_put(&fs->root, &name, NULL, 0);
    }
    return status;
}

/* Ends an operation of this file: all of it durable, or the file system frozen. */
static enum hx_status finish(struct hfs *fs, enum hx_status status)
{
    status = op_end(fs, status);
    return status == HX_OK ? txg_commit(fs) : status;
}

enum hx_status hfs_snapshot(struct hfs *fs, const char *of, const char *name)
{
    os_mutex_acquire(fs->lock);
    struct hfs_subvol *sv = NULL, *older = NULL;
    u64 id;
    enum hx_status status = name_usable(fs, name);
    if (status == HX_OK) {
        status = subvol_find(fs, of, &id);
    }
    if (status == HX_OK) {
        status = subvol_load(fs, id, &sv);
    }
    if (status == HX_OK) {
        status = (sv->d.flags & (HFS_SV_SNAPSHOT | HFS_SV_DYING)) != 0 ? HX_ERR_INVALID : HX_OK;
    }
    if (status == HX_OK) {
        status = txg_commit(fs); /* what the snapshot shows is what this made durable */
    }
    if (status == HX_OK && sv->d.prev != 0) {
        status = subvol_load(fs, sv->d.prev, &older);
    }
    if (status == HX_OK) {
        status = op_begin(fs, NULL, 4, 0, TIER_NORMAL);
    }
    if (status == HX_OK) {
        struct hfs_dsubvol d = sv->d;
        d.root = sv->tree.root;
        d.levels = sv->tree.levels;
        d.flags |= HFS_SV_SNAPSHOT;
        d.birth = fs->txg - 1;
        d.next = d.clones = d.origin = 0;
        d.created_ns = os_time_ns();
        memset(d.name, 0, sizeof(d.name));
        memcpy(d.name, name, strlen(name));
        u64 new_id = fs->next_subvol++;
        status = record_add(fs, new_id, &d);
        if (status == HX_OK) {
            sv->d.prev = new_id;
            sv->d.prev_birth = d.birth;
            sv->dirty = true;
            if (older != NULL) {
                older->d.next = new_id;
                older->dirty = true;
            }
        }
        status = finish(fs, status);
    }
    if (older != NULL) {
        subvol_put(older);
    }
    if (sv != NULL) {
        subvol_put(sv);
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_clone(struct hfs *fs, const char *snapshot, const char *name)
{
    os_mutex_acquire(fs->lock);
    struct hfs_subvol *snap = NULL;
    u64 id;
    enum hx_status status = name_usable(fs, name);
    if (status == HX_OK) {
        status = subvol_find(fs, snapshot, &id);
    }
    if (status == HX_OK) {
        status = subvol_load(fs, id, &snap);
    }
    if (status == HX_OK && (snap->d.flags & HFS_SV_SNAPSHOT) == 0) {
        status = HX_ERR_INVALID;
    }
    if (status == HX_OK) {
        status = op_begin(fs, NULL, 4, 0, TIER_NORMAL);
    }
    if (status == HX_OK) {
        struct hfs_dsubvol d = snap->d;
        u64 new_id = fs->next_subvol++;
        d.flags &= ~HFS_SV_SNAPSHOT;
        d.chain = new_id;
        d.origin = id;
        d.floor = d.prev_birth = snap->d.birth;
        d.birth = d.prev = d.next = d.clones = 0;
        d.created_ns = os_time_ns();
        memset(d.name, 0, sizeof(d.name));
        memcpy(d.name, name, strlen(name));
        status = record_add(fs, new_id, &d);
        if (status == HX_OK) {
            snap->d.clones++;
            snap->dirty = true;
        }
        status = finish(fs, status);
    }
    if (snap != NULL) {
        subvol_put(snap);
    }
    os_mutex_release(fs->lock);
    return status;
}

/* Taking apart */

/* Frees up to SLICE dead blocks that only a dying snapshot used. *key is where to go on. */
static enum hx_status dead_slice(struct hfs *fs, const struct hfs_dsubvol *d, u64 limit,
                                 struct hfs_key *key, bool *done)
{
    *done = false;
    for (u32 n = 0; n < SLICE; n++) {
        struct hfs_path path;
        enum hx_status status = tree_seek(&fs->root, key, &path);
        if (status == HX_ERR_END) {
            *done = true;
            return HX_OK;
        }
        if (status != HX_OK) {
            return status;
        }
        struct hfs_key at = *path_key(&path);
        u32 len;
        struct hfs_dead dead = {0};
        const void *value = path_value(&path, &len);
        bool good = len == sizeof(dead);
        if (good) {
            memcpy(&dead, value, sizeof(dead));
        }
        tree_release(&path);
        if (at.oid != (HFS_OID_DEAD | d->chain) || at.kind > d->birth) {
            *done = true;
            return HX_OK;
        }
        if (!good || dead.len == 0 || dead.len > HFS_EXTENT_MAX) {
            return HX_ERR_CORRUPT;
        }
        *key = at;
        key->off++;
        if (dead.death <= limit) {
            status = tree_remove(&fs->root, &at);
            if (status == HX_OK) {
                status = space_free(fs, at.off, dead.len, false);
            }
            if (status != HX_OK) {
                return status;
            }
        }
    }
    return HX_OK;
}

static enum hx_status reap_done(struct hfs *fs, u64 id)
{
    struct hfs_key item = {id, HFS_ROOT_SUBVOL, 0}, mark = {HFS_OID_DYING, 0, id};
    enum hx_status status = tree_remove(&fs->root, &item);
    return status == HX_OK ? tree_remove(&fs->root, &mark) : status;
}

static enum hx_status reap_snapshot(struct hfs *fs, struct hfs_subvol *sv)
{
    u64 limit = ~0ull;
    if (sv->d.next != 0) {
        struct hfs_subvol *next;
        enum hx_status status = subvol_load(fs, sv->d.next, &next);
        if (status != HX_OK) {
            return status;
        }
        limit = next->d.birth;
        subvol_put(next);
    }
    struct hfs_key key = {HFS_OID_DEAD | sv->d.chain, sv->d.prev_birth + 1, 0};
    bool done = false;
    enum hx_status status = HX_OK;
    while (status == HX_OK && !done) {
        status = op_begin(fs, NULL, 6, 0, TIER_DELETE);
        if (status == HX_OK) {
            status = dead_slice(fs, &sv->d, limit, &key, &done);
            if (status == HX_OK && done) {
                status = reap_done(fs, sv->id);
            }
            status = op_end(fs, status);
        }
    }
    return status;
}

static enum hx_status reap_tree(struct hfs *fs, struct hfs_subvol *sv)
{
    bool done = false;
    enum hx_status status = HX_OK;
    while (status == HX_OK && !done) {
        status = op_begin(fs, sv, 6, 0, TIER_DELETE);
        if (status == HX_OK) {
            sv->d.flags &= ~HFS_SV_SNAPSHOT;
            status = tree_prune(&sv->tree, sv->d.floor, SLICE / 32, &done);
            sv->dirty = true;
            if (status == HX_OK && done) {
                sv->dirty = false;
                sv->d.root = sv->tree.root;
                status = reap_done(fs, sv->id);
            }
            status = op_end(fs, status);
        }
    }
    return status;
}

enum hx_status subvol_reap(struct hfs *fs)
{
    for (;;) {
        struct hfs_key key = {HFS_OID_DYING, 0, 0};
        struct hfs_path path;
        enum hx_status status = tree_seek(&fs->root, &key, &path);
        if (status == HX_OK) {
            key = *path_key(&path);
            tree_release(&path);
        }
        if (status == HX_ERR_END || (status == HX_OK && key.oid != HFS_OID_DYING)) {
            return HX_OK;
        }
        struct hfs_subvol *sv;
        if (status == HX_OK) {
            status = subvol_load(fs, key.off, &sv);
        }
        if (status == HX_ERR_ACCESS) {
            return HX_OK; /* locked: it waits for a mount with the key */
        }
        if (status != HX_OK) {
            return status == HX_ERR_NOT_FOUND ? HX_ERR_CORRUPT : status;
        }
        status = (sv->d.flags & HFS_SV_SNAPSHOT) != 0 ? reap_snapshot(fs, sv) : reap_tree(fs, sv);
        subvol_put(sv);
        if (status == HX_OK) {
            status = txg_commit(fs);
        }
        if (status != HX_OK) {
            return status;
        }
    }
}

/* Marks a subvolume as dying and takes its name away. */
static enum hx_status mark_dying(struct hfs *fs, struct hfs_subvol *sv)
{
    struct hfs_key mark = {HFS_OID_DYING, 0, sv->id};
    struct hfs_key name = name_key(fs, sv->d.name, sv->id);
    enum hx_status status = tree_remove(&fs->root, &name);
    if (status == HX_OK) {
        status = tree_put(&fs->root, &mark, NULL, 0);
    }
    if (status == HX_OK) {
        sv->d.flags |= HFS_SV_DYING;
        memset(sv->d.name, 0, sizeof(sv->d.name));
        sv->dirty = true;
    }
    return status;
}

/* Takes a snapshot out of its chain. older, newer: its neighbours, NULL when there is none; live
 * is the subvolume of the chain. */
static void unlink_snapshot(struct hfs_subvol *sv, struct hfs_subvol *older,
                            struct hfs_subvol *newer, struct hfs_subvol *live)
{
    struct hfs_subvol *after = newer != NULL ? newer : live;
    after->d.prev = sv->d.prev;
    after->d.prev_birth = sv->d.prev_birth;
    after->dirty = true;
    if (older != NULL) {
        older->d.next = sv->d.next;
        older->dirty = true;
    }
}

static enum hx_status destroy_snapshot(struct hfs *fs, struct hfs_subvol *sv)
{
    struct hfs_subvol *older = NULL, *newer = NULL, *live = NULL;
    enum hx_status status = txg_commit(fs);
    if (status == HX_OK && sv->d.prev != 0) {
        status = subvol_load(fs, sv->d.prev, &older);
    }
    if (status == HX_OK && sv->d.next != 0) {
        status = subvol_load(fs, sv->d.next, &newer);
    }
    if (status == HX_OK) {
        status = subvol_load(fs, sv->d.chain, &live);
    }
    if (status == HX_OK) {
        status = op_begin(fs, NULL, 4, 0, TIER_DELETE);
    }
    if (status == HX_OK) {
        status = mark_dying(fs, sv);
        if (status == HX_OK) {
            unlink_snapshot(sv, older, newer, live);
        }
        status = finish(fs, status);
    }
    struct hfs_subvol *held[] = {older, newer, live};
    for (u32 i = 0; i < HX_ARRAY_SIZE(held); i++) {
        if (held[i] != NULL) {
            subvol_put(held[i]);
        }
    }
    return status;
}

static enum hx_status destroy_clone(struct hfs *fs, struct hfs_subvol *sv)
{
    struct hfs_subvol *origin;
    enum hx_status status = subvol_load(fs, sv->d.origin, &origin);
    if (status != HX_OK) {
        return status;
    }
    status = op_begin(fs, NULL, 4, 0, TIER_DELETE);
    if (status == HX_OK) {
        status = mark_dying(fs, sv);
        if (status == HX_OK) {
            origin->d.clones--;
            origin->dirty = true;
        }
        status = finish(fs, status);
    }
    subvol_put(origin);
    return status;
}

enum hx_status hfs_destroy(struct hfs *fs, const char *name)
{
    os_mutex_acquire(fs->lock);
    struct hfs_subvol *sv = NULL;
    u64 id;
    enum hx_status status = subvol_find(fs, name, &id);
    if (status == HX_OK) {
        status = subvol_load(fs, id, &sv);
    }
    if (status == HX_OK && (sv->refs > 1 || sv->d.clones > 0)) {
        status = HX_ERR_BUSY;
    }
    if (status == HX_OK) {
        if ((sv->d.flags & HFS_SV_SNAPSHOT) != 0) {
            status = destroy_snapshot(fs, sv);
        } else if (sv->d.origin == 0 || sv->d.prev != 0) {
            status = HX_ERR_BUSY; /* the first one stays; the others only without snapshots */
        } else {
            status = destroy_clone(fs, sv);
        }
    }
    if (sv != NULL) {
        subvol_put(sv);
    }
    if (status == HX_OK) {
        status = subvol_reap(fs);
    }
    os_mutex_release(fs->lock);
    return status;
}

/* What died after the snapshot lives again: its records go. */
static enum hx_status resurrect(struct hfs *fs, u64 chain, u64 birth)
{
    struct hfs_key key = {HFS_OID_DEAD | chain, 0, 0};
    for (;;) {
        struct hfs_path path;
        enum hx_status status = tree_seek(&fs->root, &key, &path);
        if (status != HX_OK) {
            return status == HX_ERR_END ? HX_OK : status;
        }
        key = *path_key(&path);
        u32 len;
        const struct hfs_dead *dead = path_value(&path, &len);
        bool back = len == sizeof(*dead) && dead->death > birth;
        tree_release(&path);
        if (key.oid != (HFS_OID_DEAD | chain)) {
            return HX_OK;
        }
        if (back) {
            status = tree_remove(&fs->root, &key);
            if (status != HX_OK) {
                return status;
            }
        }
        key.off++;
    }
}

static enum hx_status rollback(struct hfs *fs, struct hfs_subvol *snap, struct hfs_subvol *live)
{
    /* The tree that is left behind is destroyed like a clone of the snapshot. */
    struct hfs_dsubvol d = live->d;
    u64 id = fs->next_subvol++;
    d.root = live->tree.root;
    d.levels = live->tree.levels;
    d.flags |= HFS_SV_DYING;
    d.chain = id;
    d.origin = snap->id;
    d.floor = d.prev_birth = snap->d.birth;
    d.prev = d.next = d.clones = 0;
    memset(d.name, 0, sizeof(d.name));
    struct hfs_key mark = {HFS_OID_DYING, 0, id};
    enum hx_status status = record_add(fs, id, &d);
    if (status == HX_OK) {
        status = tree_put(&fs->root, &mark, NULL, 0);
    }
    if (status == HX_OK) {
        status = resurrect(fs, snap->d.chain, snap->d.birth);
    }
    if (status == HX_OK) {
        live->tree.root = snap->tree.root;
        live->tree.levels = snap->tree.levels;
        live->dirty = true;
    }
    return status;
}

enum hx_status hfs_rollback(struct hfs *fs, const char *snapshot)
{
    os_mutex_acquire(fs->lock);
    struct hfs_subvol *snap = NULL, *live = NULL;
    u64 id;
    enum hx_status status = subvol_find(fs, snapshot, &id);
    if (status == HX_OK) {
        status = subvol_load(fs, id, &snap);
    }
    if (status == HX_OK && (snap->d.flags & HFS_SV_SNAPSHOT) == 0) {
        status = HX_ERR_INVALID;
    }
    if (status == HX_OK) {
        status = subvol_load(fs, snap->d.chain, &live);
    }
    if (status == HX_OK && (live->refs > 1 || snap->d.next != 0)) {
        status = HX_ERR_BUSY;
    }
    if (status == HX_OK) {
        status = txg_commit(fs);
    }
    if (status == HX_OK) {
        status = op_begin(fs, NULL, 8, 0, TIER_NORMAL);
    }
    if (status == HX_OK) {
        status = finish(fs, rollback(fs, snap, live));
    }
    if (snap != NULL) {
        subvol_put(snap);
    }
    if (live != NULL) {
        subvol_put(live);
    }
    if (status == HX_OK) {
        status = subvol_reap(fs);
    }
    os_mutex_release(fs->lock);
    return status;
}

/* Difference */

struct diff {
    struct hfs_path old; /* next item of the older tree that was not yet matched */
    bool old_left;
    hfs_diff_fn *visit;
    void *ctx;
    bool stop;
};

static enum hx_status old_next(struct diff *d, enum hx_status status)
{
    if (status == HX_ERR_END) {
        d->old_left = false;
        status = HX_OK;
    }
    return status;
}

static enum hx_status old_removed(struct diff *d)
{
    u32 len;
    const void *value = path_value(&d->old, &len);
    d->stop = !d->visit(d->ctx, HFS_REMOVED, path_key(&d->old), value, len, NULL, 0);
    return old_next(d, tree_next(&d->old));
}

/* One item of the newer tree against the older one. */
static enum hx_status diff_item(struct diff *d, const struct hfs_path *at)
{
    const struct hfs_key *key = path_key(at);
    u32 len, old_len;
    const void *value = path_value(at, &len);
    while (d->old_left && !d->stop && key_compare(path_key(&d->old), key) < 0) {
        enum hx_status status = old_removed(d);
        if (status != HX_OK) {
            return status;
        }
    }
    if (d->stop) {
        return HX_OK;
    }
    if (!d->old_left || key_compare(path_key(&d->old), key) > 0) {
        d->stop = !d->visit(d->ctx, HFS_ADDED, key, NULL, 0, value, len);
        return HX_OK;
    }
    const void *old = path_value(&d->old, &old_len);
    if (len != old_len || memcmp(old, value, len) != 0) {
        d->stop = !d->visit(d->ctx, HFS_CHANGED, key, old, old_len, value, len);
    }
    return old_next(d, tree_next(&d->old));
}

/* Is the older cursor at the first item of that node? */
static bool old_is_at(const struct diff *d, u32 level, u64 addr)
{
    if (!d->old_left || level >= d->old.levels || d->old.node[level]->head->addr != addr) {
        return false;
    }
    for (u32 i = 0; i <= level; i++) {
        if (d->old.slot[i] != 0) {
            return false;
        }
    }
    return true;
}

/* The node on that level of the newer path is in the older tree too: past it on both sides. What
 * the older one has before it is gone. */
static enum hx_status diff_same(struct diff *d, struct hfs_path *at, u32 level)
{
    u64 addr = at->node[level]->head->addr;
    while (d->old_left && !d->stop && !old_is_at(d, level, addr)) {
        if (key_compare(path_key(&d->old), path_key(at)) >= 0) {
            return HX_ERR_CORRUPT;
        }
        enum hx_status status = old_removed(d);
        if (status != HX_OK) {
            return status;
        }
    }
    if (d->stop || !d->old_left) {
        return d->stop ? HX_OK : HX_ERR_CORRUPT;
    }
    return old_next(d, tree_skip(&d->old, level));
}

static enum hx_status diff_trees(struct hfs_tree *from, struct hfs_tree *to, u64 birth,
                                 struct diff *d)
{
    const struct hfs_key zero = {0};
    enum hx_status status = tree_seek(from, &zero, &d->old);
    d->old_left = status == HX_OK;
    status = old_next(d, status);
    struct hfs_path at = {.tree = to};
    if (status == HX_OK) {
        status = tree_seek(to, &zero, &at);
    }
    while (status == HX_OK && !d->stop) {
        u32 level = 0, same = HFS_LEVELS_MAX;
        while (level < at.levels && at.slot[0] == 0) { /* largest unchanged node that begins here */
            if (at.node[level]->head->birth <= birth) {
                same = level;
            }
            if (level + 1 < at.levels && at.slot[level + 1] != 0) {
                break;
            }
            level++;
        }
        if (same < HFS_LEVELS_MAX) {
            status = diff_same(d, &at, same);
            if (status == HX_OK && !d->stop) {
                status = tree_skip(&at, same);
            }
        } else {
            status = diff_item(d, &at);
            if (status == HX_OK && !d->stop) {
                status = tree_next(&at);
            }
        }
    }
    tree_release(&at);
    status = status == HX_ERR_END ? HX_OK : status;
    while (status == HX_OK && d->old_left && !d->stop) {
        status = old_removed(d);
    }
    tree_release(&d->old);
    return status;
}

enum hx_status hfs_diff(struct hfs *fs, const char *from, const char *to, hfs_diff_fn *visit,
                        void *ctx)
{
    os_mutex_acquire(fs->lock);
    struct hfs_subvol *a = NULL, *b = NULL;
    u64 id;
    enum hx_status status = fs->read_only ? HX_OK : txg_commit(fs);
    if (status == HX_OK) {
        status = subvol_find(fs, from, &id);
    }
    if (status == HX_OK) {
        status = subvol_load(fs, id, &a);
    }
    if (status == HX_OK) {
        status = subvol_find(fs, to, &id);
    }
    if (status == HX_OK) {
        status = subvol_load(fs, id, &b);
    }
    if (status == HX_OK && ((a->d.flags & HFS_SV_SNAPSHOT) == 0 || a->d.chain != b->d.chain ||
                            ((b->d.flags & HFS_SV_SNAPSHOT) != 0 && b->d.birth < a->d.birth))) {
        status = HX_ERR_INVALID;
    }
    if (status == HX_OK) {
        struct diff d = {.visit = visit, .ctx = ctx};
        status = diff_trees(&a->tree, &b->tree, a->d.birth, &d);
    }
    if (a != NULL) {
        subvol_put(a);
    }
    if (b != NULL) {
        subvol_put(b);
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_key_change(struct hfs *fs, const char *subvol, const struct hfs_key_source *to)
{
    os_mutex_acquire(fs->lock);
    struct hfs_subvol *sv = NULL;
    u64 id;
    enum hx_status status = subvol_find(fs, subvol, &id);
    if (status == HX_OK) {
        status = subvol_load(fs, id, &sv);
    }
    if (status == HX_OK && (sv->d.flags & HFS_SV_ENCRYPTED) == 0) {
        status = HX_ERR_BAD_STATE;
    }
    struct hfs_dkey slot;
    if (status == HX_OK) {
        status = crypt_wrap(fs, fs->super.fsid, sv->d.key_owner, to, sv->dek, &slot);
    }
    if (status == HX_OK) {
        status = op_begin(fs, NULL, 1, 0, TIER_DELETE);
    }
    if (status == HX_OK) {
        struct hfs_key key = {sv->d.key_owner, HFS_ROOT_KEY, 0};
        status = finish(fs, tree_put(&fs->root, &key, &slot, sizeof(slot)));
    }
    if (sv != NULL) {
        subvol_put(sv);
    }
    os_mutex_release(fs->lock);
    return status;
}
