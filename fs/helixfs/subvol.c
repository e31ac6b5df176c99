/* SPDX-License-Identifier: MIT */
/* Subvolumes in memory.
 * Owns:      hfs.subvols; the SUBVOL and NAME items.    Callers: txg.c, mount.c, snap.c, replay.c.
 * Context:   thread, under hfs.lock; may block.
 * Invariant: (1) one hfs_subvol per number.  (2) it stays in memory while anyone holds it, or while
 *            the open group has changed its tree.
 */
#include "hfs_priv.h"

bool bptr_is_sane(const struct hfs *fs, const struct hfs_bptr *ptr, u32 levels)
{
    u64 last = fs->super.blocks - HFS_NODE_BLOCKS;
    if (levels == 0) {
        return ptr->addr == 0;
    }
    return ptr->addr != 0 && ptr->addr <= last && ptr->addr % HFS_NODE_BLOCKS == 0 &&
           ptr->copy <= last && ptr->copy % HFS_NODE_BLOCKS == 0 && ptr->birth != 0 &&
           ptr->birth <= fs->txg;
}

enum hx_status subvol_check(const struct hfs *fs, const struct hfs_dsubvol *d)
{
    u32 known = HFS_SV_SNAPSHOT | HFS_SV_DYING | HFS_SV_ENCRYPTED;
    bool good = d->levels <= HFS_LEVELS_MAX && bptr_is_sane(fs, &d->root, d->levels) &&
                (d->flags & ~known) == 0 && d->alg <= HFS_ALG_ZSTD && d->alg_level <= 3 &&
                d->name[HFS_SUBVOL_NAME_MAX] == '\0' && d->chain < HFS_OID_DYING &&
                d->floor <= d->prev_birth;
    return good ? HX_OK : HX_ERR_CORRUPT;
}

/* The data key, from any slot that the mount's key opens. */
static enum hx_status unlock(struct hfs_subvol *sv)
{
    struct hfs *fs = sv->fs;
    const struct hfs_key_source *source = fs->opts.key;
    if (source == NULL) {
        return HX_ERR_ACCESS;
    }
    enum hx_status answer = HX_ERR_CORRUPT; /* no slot at all */
    struct hfs_key key = {sv->d.key_owner, HFS_ROOT_KEY, 0};
    struct hfs_path path;
    enum hx_status status = tree_seek(&fs->root, &key, &path);
    while (status == HX_OK) {
        const struct hfs_key *at = path_key(&path);
        u32 len;
        const struct hfs_dkey *slot = path_value(&path, &len);
        if (at->oid != key.oid || at->kind != HFS_ROOT_KEY || len != sizeof(*slot)) {
            tree_release(&path);
            break;
        }
        answer = crypt_unwrap(fs->super.fsid, key.oid, source, slot, sv->dek);
        if (answer == HX_OK) {
            sv->unlocked = true;
            tree_release(&path);
            break;
        }
        status = tree_next(&path);
    }
    return answer;
}

enum hx_status subvol_load(struct hfs *fs, u64 id, struct hfs_subvol **out)
{
    struct hfs_subvol *sv;
    LIST_FOREACH (&fs->subvols, sv, link) {
        if (sv->id == id) {
            sv->refs++;
            *out = sv;
            return HX_OK;
        }
    }
    struct hfs_key key = {id, HFS_ROOT_SUBVOL, 0};
    struct hfs_path path;
    void *value;
    u32 len;
    enum hx_status status = tree_find(&fs->root, &key, &path, &value, &len);
    if (status != HX_OK) {
        return status;
    }
    sv = os_alloc(sizeof(*sv));
    if (sv == NULL) {
        tree_release(&path);
        return HX_ERR_NO_MEMORY;
    }
    *sv = (struct hfs_subvol){.fs = fs, .id = id, .refs = 1};
    status = HX_ERR_CORRUPT;
    if (len == sizeof(sv->d)) {
        memcpy(&sv->d, value, sizeof(sv->d));
        status = subvol_check(fs, &sv->d);
    }
    tree_release(&path);
    if (status == HX_OK && (sv->d.flags & HFS_SV_ENCRYPTED) != 0) {
        status = unlock(sv);
    }
    if (status != HX_OK) {
        os_free(sv);
        return status;
    }
    sv->tree = (struct hfs_tree){.fs = fs, .sv = sv, .root = sv->d.root, .levels = sv->d.levels};
    sv->reap_pending = true; /* a crash may have left something */
    list_add_tail(&fs->subvols, &sv->link);
    *out = sv;
    return HX_OK;
}

enum hx_status subvol_store(struct hfs_subvol *sv)
{
    struct hfs_key key = {sv->id, HFS_ROOT_SUBVOL, 0};
    sv->d.root = sv->tree.root;
    sv->d.levels = sv->tree.levels;
    enum hx_status status = tree_put(&sv->fs->root, &key, &sv->d, sizeof(sv->d));
    if (status == HX_OK) {
        sv->dirty = false;
    }
    return status;
}

void subvol_put(struct hfs_subvol *sv)
{
    HX_ASSERT(sv->refs > 0);
    sv->refs--; /* freed by the next commit, see subvol_trim */
}

static void subvol_free(struct hfs_subvol *sv)
{
    list_remove(&sv->link);
    memset(sv->dek, 0, sizeof(sv->dek));
    hx_compiler_barrier();
    os_free(sv);
}

void subvol_trim(struct hfs *fs)
{
    struct hfs_subvol *sv, *tmp;
    LIST_FOREACH_SAFE (&fs->subvols, sv, tmp, link) {
        if (sv->refs == 0) {
            subvol_free(sv);
        }
    }
}

void subvol_forget_all(struct hfs *fs)
{
    struct hfs_subvol *sv;
    while ((sv = LIST_FIRST(&fs->subvols, struct hfs_subvol, link)) != NULL) {
        subvol_free(sv);
    }
}

enum hx_status subvol_find(struct hfs *fs, const char *name, u64 *out_id)
{
    u64 hash = name_hash(fs, name, strlen(name));
    struct hfs_key key = {hash, HFS_ROOT_NAME, 0};
    for (;;) {
        struct hfs_path path;
        enum hx_status status = tree_seek(&fs->root, &key, &path);
        if (status != HX_OK) {
            return status == HX_ERR_END ? HX_ERR_NOT_FOUND : status;
        }
        key = *path_key(&path);
        tree_release(&path);
        if (key.oid != hash || key.kind != HFS_ROOT_NAME) {
            return HX_ERR_NOT_FOUND;
        }
        struct hfs_key item = {key.off, HFS_ROOT_SUBVOL, 0};
        void *value;
        u32 len;
        status = tree_find(&fs->root, &item, &path, &value, &len);
        if (status != HX_OK) {
            return status == HX_ERR_NOT_FOUND ? HX_ERR_CORRUPT : status;
        }
        const struct hfs_dsubvol *d = value;
        bool found = len == sizeof(*d) && strncmp(d->name, name, sizeof(d->name)) == 0;
        tree_release(&path);
        if (found) {
            *out_id = key.off;
            return HX_OK;
        }
        key.off++;
    }
}

enum hx_status hfs_subvol_open(struct hfs *fs, const char *name, struct hfs_subvol **out)
{
    u64 id;
    os_mutex_acquire(fs->lock);
    enum hx_status status = subvol_find(fs, name, &id);
    if (status == HX_OK) {
        status = subvol_load(fs, id, out);
    }
    if (status == HX_OK && ((*out)->d.flags & HFS_SV_DYING) != 0) {
        subvol_put(*out);
        status = HX_ERR_NOT_FOUND;
    }
    if (status == HX_OK) {
        HX_IGNORE(orphans_reap(*out), "stays pending, the next operation tries again");
    }
    os_mutex_release(fs->lock);
    return status;
}

void hfs_subvol_put(struct hfs_subvol *sv)
{
    struct hfs *fs = sv->fs;
    os_mutex_acquire(fs->lock);
    subvol_put(sv);
    os_mutex_release(fs->lock);
}

u64 hfs_subvol_id(const struct hfs_subvol *sv)
{
    return sv->id;
}

enum hx_status hfs_subvol_list(struct hfs *fs,
                               bool (*visit)(void *ctx, const struct hfs_subvol_info *info),
                               void *ctx)
{
    os_mutex_acquire(fs->lock);
    struct hfs_key key = {HFS_SUBVOL_FIRST, HFS_ROOT_SUBVOL, 0};
    enum hx_status status = HX_OK;
    bool more = true;
    while (more && status == HX_OK) {
        struct hfs_path path;
        status = tree_seek(&fs->root, &key, &path);
        if (status != HX_OK) {
            break;
        }
        key = *path_key(&path);
        u32 len;
        const struct hfs_dsubvol *d = path_value(&path, &len);
        struct hfs_subvol_info info = {.id = key.oid};
        bool is_one = key.kind == HFS_ROOT_SUBVOL && len == sizeof(*d) && d->name[0] != '\0' &&
                      d->name[HFS_SUBVOL_NAME_MAX] == '\0';
        if (is_one) {
            info.chain = d->chain;
            info.origin = d->origin;
            info.birth = d->birth;
            info.prev = d->prev;
            info.created_ns = d->created_ns;
            info.flags = d->flags;
            info.alg = d->alg;
            memcpy(info.name, d->name, sizeof(info.name));
        }
        tree_release(&path);
        if (key.oid >= HFS_OID_DYING) {
            break;
        }
        if (is_one) {
            more = visit(ctx, &info);
        }
        key.off++;
    }
    os_mutex_release(fs->lock);
    return status == HX_ERR_END ? HX_OK : status;
}
