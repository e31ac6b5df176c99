/* SPDX-License-Identifier: MIT */
/* From a path to a place.
 * Owns:      nothing.      Callers: whatever takes a path.     Context: thread.
 * Invariant: (1) the place where the walk stands is the start's root or below it. ".." at the root
 *            stays; elsewhere it is taken only after looking, under the lock that moves need, that
 *            the root is still above: a directory that is moved out of the root while somebody
 *            stands in it leads nowhere (HX_ERR_NOT_FOUND), never out.
 *            (2) one walk follows at most HX_SYMLINKS_MAX links, and what is left of the path never
 *            exceeds HX_PATH_MAX bytes: it ends.
 *            (3) no recursion: a link's target is put in front of what is left of the path.
 */
#include <core/memory.h>
#include <helix/string.h>
#include "vfs_priv.h"

struct state {
    const struct vfs_path *root; /* the start's */
    struct vfs_path at;          /* with references */
    const char *rest;            /* what is left of the path */
    size_t size;
    char *text; /* memory behind it once a link was followed */
    u32 links;
    bool nul; /* there was a NUL in it */
};

static bool at_root(const struct state *s)
{
    return s->at.dentry == s->root->dentry && s->at.mount == s->root->mount;
}

/* inv 1 */
static enum hx_status step_up(struct state *s)
{
    while (!at_root(s) && s->at.dentry == s->at.mount->root) {
        if (s->at.mount == s->root->mount || !mount_cross_up(&s->at)) {
            return HX_ERR_NOT_FOUND; /* the root is not above */
        }
    }
    if (at_root(s)) {
        return HX_OK;
    }
    struct dentry *stop = s->at.mount == s->root->mount ? s->root->dentry : NULL;
    struct dentry *parent = dentry_up(s->at.dentry, stop);
    if (!parent) {
        return HX_ERR_NOT_FOUND;
    }
    s->at.dentry = parent;
    mount_cross_down(&s->at);
    return HX_OK;
}

/* The name of `dentry` in s->at, with a reference. */
static enum hx_status look(struct state *s, struct fs_name name, struct dentry **out)
{
    u32 hash = dentry_hash(s->at.dentry, name);
    struct dentry *d = dentry_step(s->at.dentry, name, hash);
    if (hx_unlikely(!d)) {
        struct super *super = s->at.mount->super;
        mutex_acquire(&super->lock);
        enum hx_status status = dentry_lookup_locked(s->at.dentry, name, hash, &d);
        mutex_release(&super->lock);
        if (status != HX_OK) {
            return status;
        }
        dcache_trim();
    }
    *out = d;
    return HX_OK;
}

/* Puts the target of the link `vnode` in front of the rest; an absolute one starts at the root. */
static enum hx_status follow(struct state *s, struct vnode *vnode)
{
    struct super *super = vnode->super;
    if (s->links++ == HX_SYMLINKS_MAX) {
        return HX_ERR_LOOP;
    }
    if (!super->ops->readlink) {
        return HX_ERR_NOT_SUPPORTED;
    }
    char *text = kmalloc(HX_PATH_MAX + 1);
    if (!text) {
        return HX_ERR_NO_MEMORY;
    }
    size_t size = 0;
    mutex_acquire(&super->lock);
    enum hx_status status =
        super->ops->readlink(super->state, vnode->attr.ino, text, HX_PATH_MAX, &size);
    mutex_release(&super->lock);
    if (status == HX_OK && (size == 0 || size > HX_PATH_MAX || memchr(text, '\0', size))) {
        status = HX_ERR_CORRUPT;
    }
    if (status == HX_OK && s->size + 1 > HX_PATH_MAX - size) {
        status = HX_ERR_NAME_TOO_LONG; /* inv 2 */
    }
    if (status != HX_OK) {
        kfree(text);
        return status;
    }
    if (s->size) {
        text[size++] = '/';
        memcpy(text + size, s->rest, s->size);
        size += s->size;
    }
    kfree(s->text);
    s->text = text;
    s->rest = text;
    s->size = size;
    if (text[0] == '/') {
        vfs_path_get(s->root);
        vfs_path_put(&s->at);
        s->at = *s->root;
    }
    return HX_OK;
}

/* Takes the next name off the rest. False: there is none. *last: nothing but slashes follows. */
static bool next_name(struct state *s, struct fs_name *out, bool *last, bool *slash)
{
    const char *at = s->rest, *end = at + s->size;
    while (at < end && *at == '/') {
        at++;
    }
    const char *name = at;
    while (at < end && *at != '/') {
        s->nul |= *at == '\0';
        at++;
    }
    *out = (struct fs_name){name, (u32)(at - name)};
    *slash = at < end;
    while (at < end && *at == '/') {
        at++;
    }
    s->rest = at;
    s->size = (size_t)(end - at);
    *last = at == end;
    return out->size > 0;
}

static bool is_dots(struct fs_name name, u32 count)
{
    return name.size == count && name.text[0] == '.' && name.text[count - 1] == '.';
}

static enum hx_status run(struct state *s, u32 flags, struct walk *out)
{
    struct fs_name name;
    bool last, slash;
    for (;;) {
        struct vnode *here = dentry_vnode(s->at.dentry);
        bool found = next_name(s, &name, &last, &slash);
        if (hx_unlikely(s->nul)) {
            return HX_ERR_INVALID;
        }
        if (!found) {
            *out = (struct walk){.target = s->at, .directory = true};
            return HX_OK;
        }
        if (!here || !vnode_is_directory(here)) {
            return HX_ERR_NOT_DIR;
        }
        if (is_dots(name, 1)) {
            continue;
        }
        if (is_dots(name, 2)) {
            enum hx_status status = step_up(s);
            if (status != HX_OK) {
                return status;
            }
            continue;
        }
        struct dentry *d;
        enum hx_status status = look(s, name, &d);
        if (status != HX_OK) {
            return status;
        }
        struct vnode *vnode = dentry_vnode(d);
        if (vnode && (vnode->attr.mode & HX_MODE_TYPE) == HX_MODE_LINK &&
            (!last || slash || !(flags & WALK_NOFOLLOW))) {
            if (slash && s->size == 0) {
                s->rest = "/"; /* what it leads to must be a directory, too */
                s->size = 1;
            }
            status = follow(s, vnode);
            dentry_put(d);
            if (status != HX_OK) {
                return status;
            }
            continue;
        }
        struct vfs_path next = {s->at.mount, d};
        if (last) {
            mount_get(next.mount);
            if (!(flags & WALK_NO_CROSS)) {
                mount_cross_down(&next);
            }
            *out = (struct walk){.parent = s->at, .target = next, .name = name, .directory = slash};
            return HX_OK;
        }
        if (!vnode) {
            dentry_put(d);
            return HX_ERR_NOT_FOUND;
        }
        dentry_put(s->at.dentry);
        s->at.dentry = d;
        mount_cross_down(&s->at);
    }
}

enum hx_status walk(const struct vfs_start *start, const char *path, size_t size, u32 flags,
                    struct walk *out)
{
    if (size > HX_PATH_MAX) {
        return HX_ERR_NAME_TOO_LONG;
    }
    if (size == 0) {
        return HX_ERR_NOT_FOUND;
    }
    struct state s = {.root = &start->root, .at = start->root, .rest = path, .size = size};
    vfs_path_get(&s.at);
    enum hx_status status = run(&s, flags, out);
    if (status != HX_OK) {
        vfs_path_put(&s.at);
        kfree(s.text);
        return status;
    }
    out->text = s.text;
    out->stale = NULL;
    return HX_OK;
}

void walk_end(struct walk *w)
{
    vfs_path_put(&w->target);
    vfs_path_put(&w->parent);
    if (w->stale) {
        dentry_put(w->stale);
    }
    kfree(w->text);
}
