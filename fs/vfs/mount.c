/* SPDX-License-Identifier: MIT */
/* Mounts and the namespaces that they form.
 * Owns:      struct mount, struct namespace, the table of file systems known by name.
 * Callers:   fs/vfs; processes, for their namespaces.     Context: thread.
 * Locks:     mounts.lock, a spinlock, for lists; mounts.changing, a mutex, for whoever changes one,
 *            so that looking twice sees the same.
 * Invariant: (1) a namespace lists its mounts, parents before children; mount->ns is that
 * namespace, or NULL once the mount has been taken away or the namespace has gone. (2) a mount
 * holds its parent and the directory that it is mounted on, and is held by its namespace and by
 * whatever is open on it: a file system ends with its last mount, and that not before its last file
 * is closed. (3) dentry->mounts counts the mounts on a directory in all namespaces: 0 spares a walk
 *            the search.
 */
#include <core/memory.h>
#include <fs/block_bdev.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/frame.h>
#include "vfs_priv.h"

#define TYPES_MAX 8
/* Of all RAM, what one memory file system may have. */
#define MEMORY_SHARE 2

static struct {
    struct spinlock lock;
    struct mutex changing;
    const struct fs_ops *types[TYPES_MAX]; /* changing */
    struct namespace boot;
} mounts = {.lock = SPINLOCK_INIT("mounts", LOCK_RANK_MOUNTS),
            .changing = MUTEX_INIT(mounts.changing)};

/* file systems by name */

enum hx_status vfs_register(const struct fs_ops *ops)
{
    if (ops->abi_version != FS_ABI || ops->size != sizeof(*ops) || !ops->mount || !ops->unmount ||
        !ops->lookup) {
        return HX_ERR_ABI;
    }
    enum hx_status status = HX_ERR_NO_SPACE;
    mutex_acquire(&mounts.changing);
    for (u32 i = 0; i < TYPES_MAX; i++) {
        if (!mounts.types[i]) {
            mounts.types[i] = ops;
            status = HX_OK;
            break;
        }
        if (str_equal(mounts.types[i]->name, ops->name)) {
            status = HX_ERR_EXISTS;
            break;
        }
    }
    mutex_release(&mounts.changing);
    return status;
}

void vfs_unregister(const struct fs_ops *ops)
{
    u32 last = TYPES_MAX, at = TYPES_MAX;
    mutex_acquire(&mounts.changing);
    for (u32 i = 0; i < TYPES_MAX && mounts.types[i]; i++) {
        last = i;
        at = mounts.types[i] == ops ? i : at;
    }
    if (at < TYPES_MAX) {
        mounts.types[at] = mounts.types[last];
        mounts.types[last] = NULL;
    }
    mutex_release(&mounts.changing);
}

static const struct fs_ops *type_find(const char *name)
{
    for (u32 i = 0; i < TYPES_MAX && mounts.types[i]; i++) {
        if (str_equal(mounts.types[i]->name, name)) {
            return mounts.types[i];
        }
    }
    return NULL;
}

const struct fs_ops *vfs_type_find(const char *name)
{
    mutex_acquire(&mounts.changing);
    const struct fs_ops *ops = type_find(name);
    mutex_release(&mounts.changing);
    return ops;
}

/* mounts */

void mount_get(struct mount *mount)
{
    __atomic_fetch_add(&mount->references, 1, __ATOMIC_RELAXED);
}

/* Return: what writing the last changes of the file system came to, if it ended with this. */
static enum hx_status mount_put_status(struct mount *mount)
{
    enum hx_status status = HX_OK;
    while (mount && __atomic_sub_fetch(&mount->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct mount *parent = mount->parent;
        if (mount->mountpoint) {
            u64 irqs = spin_lock_irq(&mounts.lock);
            mount->mountpoint->mounts--;
            spin_unlock_irq(&mounts.lock, irqs);
            dentry_put(mount->mountpoint);
        }
        enum hx_status one = super_put(mount->super);
        status = status == HX_OK ? one : status;
        kfree(mount);
        mount = parent;
    }
    return status;
}

void mount_put(struct mount *mount)
{
    HX_IGNORE(mount_put_status(mount), "whoever needs it durable has asked for that before");
}

void vfs_path_get(const struct vfs_path *path)
{
    mount_get(path->mount);
    dentry_get(path->dentry);
}

void vfs_path_put(const struct vfs_path *path)
{
    if (path->mount) {
        dentry_put(path->dentry);
        mount_put(path->mount);
    }
}

/* Takes over the reference to `super`. */
static struct mount *mount_create(struct super *super, u32 flags, const struct vfs_path *on)
{
    struct mount *mount = kzalloc(sizeof(*mount));
    if (!mount) {
        return NULL;
    }
    mount->references = 1;
    mount->flags = flags;
    mount->super = super;
    mount->root = super->root;
    list_init(&mount->node);
    if (on) {
        vfs_path_get(on);
        mount->parent = on->mount;
        mount->mountpoint = on->dentry;
        u64 irqs = spin_lock_irq(&mounts.lock);
        on->dentry->mounts++;
        spin_unlock_irq(&mounts.lock, irqs);
    }
    return mount;
}

static struct mount *mount_on_locked(const struct vfs_path *path)
{
    struct namespace *ns = path->mount->ns;
    struct mount *m;
    if (ns) {
        LIST_FOREACH (&ns->mounts, m, node) {
            if (m->parent == path->mount && m->mountpoint == path->dentry) {
                return m;
            }
        }
    }
    return NULL;
}

void mount_cross_down(struct vfs_path *path)
{
    while (HX_READ_ONCE(path->dentry->mounts)) { /* inv 3 */
        u64 irqs = spin_lock_irq(&mounts.lock);
        struct mount *m = mount_on_locked(path);
        if (m) {
            mount_get(m);
        }
        spin_unlock_irq(&mounts.lock, irqs);
        if (!m) {
            return;
        }
        dentry_get(m->root);
        vfs_path_put(path);
        *path = (struct vfs_path){m, m->root};
    }
}

bool mount_cross_up(struct vfs_path *path)
{
    struct mount *m = path->mount;
    if (!m->parent) {
        return false;
    }
    struct vfs_path up = {m->parent, m->mountpoint};
    vfs_path_get(&up);
    vfs_path_put(path);
    *path = up;
    return true;
}

/* A file system of that type as `wanted` says, with a reference. mounts.changing is held. */
static enum hx_status super_make(const char *type, const struct vfs_mount_request *wanted,
                                 struct super **out)
{
    struct fs_mount_request request = {.read_only = wanted->flags & HX_MOUNT_READ_ONLY,
                                       .page_limit = frame_total_count() / MEMORY_SHARE,
                                       .key = wanted->key,
                                       .key_size = wanted->key_size,
                                       .ops = type_find(type)};
    struct bdev *device = NULL;
    if (!request.ops) {
        return HX_ERR_NOT_FOUND;
    }
    if (wanted->device) {
        device = kzalloc(sizeof(*device));
        enum hx_status status = device ? block_bdev_open(wanted->device, device) : HX_ERR_NO_MEMORY;
        if (status != HX_OK) {
            kfree(device);
            return status;
        }
        request.device = device;
    }
    enum hx_status status = device ? super_device_check(device) : HX_OK;
    if (status == HX_OK && (wanted->flags & HX_MOUNT_FORMAT)) {
        status = request.ops->format ? request.ops->format(&request) : HX_ERR_NOT_SUPPORTED;
    } else if (status == HX_OK) {
        status = super_create(&request, wanted->flags, out);
        device = status == HX_OK ? NULL : device; /* the super's */
    }
    if (device) {
        block_bdev_close(device);
        kfree(device);
    }
    return status;
}

enum hx_status vfs_mount(const struct vfs_start *start, const char *path, size_t size,
                         const char *type, const struct vfs_mount_request *wanted)
{
    if (!(start->rights & HX_RIGHT_ADMIN)) {
        return HX_ERR_ACCESS;
    }
    struct super *super = NULL;
    if (wanted->flags & HX_MOUNT_FORMAT) {
        mutex_acquire(&mounts.changing);
        enum hx_status status = super_make(type, wanted, &super);
        mutex_release(&mounts.changing);
        return status;
    }
    struct walk w;
    enum hx_status status = walk(start, path, size, 0, &w);
    if (status != HX_OK) {
        return status;
    }
    struct vnode *vnode = dentry_vnode(w.target.dentry);
    mutex_acquire(&mounts.changing);
    status = !vnode ? HX_ERR_NOT_FOUND : vnode_is_directory(vnode) ? HX_OK : HX_ERR_NOT_DIR;
    if (status == HX_OK) {
        status = super_make(type, wanted, &super);
    }
    if (status == HX_OK) {
        struct mount *m = mount_create(super, wanted->flags, &w.target);
        if (!m) {
            HX_IGNORE(super_put(super), "nothing was written");
            status = HX_ERR_NO_MEMORY;
        } else {
            u64 irqs = spin_lock_irq(&mounts.lock);
            struct namespace *ns = w.target.mount->ns;
            if (!ns) {
                status = HX_ERR_BAD_STATE; /* it has been taken away meanwhile */
            } else if (mount_on_locked(&w.target)) {
                status = HX_ERR_BUSY; /* somebody mounted on it while we walked */
            } else if (ns->count == NAMESPACE_MOUNTS_MAX) {
                status = HX_ERR_LIMIT;
            } else {
                m->ns = ns;
                list_add_tail(&ns->mounts, &m->node);
                ns->count++;
            }
            spin_unlock_irq(&mounts.lock, irqs);
            if (status != HX_OK) {
                mount_put(m);
            }
        }
    }
    mutex_release(&mounts.changing);
    walk_end(&w);
    return status;
}

/* Something is mounted on `m` in its namespace. */
static bool has_children_locked(const struct mount *m)
{
    struct mount *child;
    LIST_FOREACH (&m->ns->mounts, child, node) {
        if (child->parent == m) {
            return true;
        }
    }
    return false;
}

enum hx_status vfs_unmount(const struct vfs_start *start, const char *path, size_t size)
{
    if (!(start->rights & HX_RIGHT_ADMIN)) {
        return HX_ERR_ACCESS;
    }
    struct walk w;
    enum hx_status status = walk(start, path, size, 0, &w);
    if (status != HX_OK) {
        return status;
    }
    struct mount *m = w.target.mount;
    bool root = w.target.dentry == m->root && m->parent;
    mount_get(m);
    walk_end(&w);
    mutex_acquire(&mounts.changing);
    u64 irqs = spin_lock_irq(&mounts.lock);
    if (!root || !m->ns) {
        status = HX_ERR_INVALID;
    } else if (has_children_locked(m) || __atomic_load_n(&m->references, __ATOMIC_RELAXED) > 2) {
        status = HX_ERR_BUSY; /* more than the namespace and this */
    } else {
        list_remove(&m->node);
        m->ns->count--;
        m->ns = NULL;
    }
    spin_unlock_irq(&mounts.lock, irqs);
    if (status == HX_OK) {
        mount_put(m); /* the namespace's */
    }
    enum hx_status ended = mount_put_status(m);
    mutex_release(&mounts.changing);
    return status == HX_OK ? ended : status;
}

/* namespaces */

struct namespace *namespace_boot(void)
{
    return &mounts.boot;
}

void namespace_get(struct namespace *ns)
{
    __atomic_fetch_add(&ns->references, 1, __ATOMIC_RELAXED);
}

static void namespace_free(struct namespace *ns)
{
    struct list_node gone = LIST_INIT(gone);
    struct mount *m, *next;
    u64 irqs = spin_lock_irq(&mounts.lock);
    list_splice_tail(&gone, &ns->mounts);
    LIST_FOREACH (&gone, m, node) {
        m->ns = NULL;
    }
    spin_unlock_irq(&mounts.lock, irqs);
    vfs_path_put(&ns->root);
    LIST_FOREACH_SAFE (&gone, m, next, node) {
        list_remove(&m->node);
        mount_put(m);
    }
    kfree(ns);
}

void namespace_put(struct namespace *ns)
{
    if (__atomic_sub_fetch(&ns->references, 1, __ATOMIC_ACQ_REL) == 0) {
        namespace_free(ns);
    }
}

struct vfs_start namespace_start(const struct namespace *ns)
{
    return (struct vfs_start){ns->root, ns->rights};
}

/* The copy of `mount` in the namespace that is being made; NULL: it is not in the old one. */
static struct mount *copy_of(struct namespace *ns, struct mount *mount)
{
    struct mount *m;
    LIST_FOREACH (&ns->mounts, m, node) {
        if (m == mount) {
            return m->copy;
        }
    }
    return NULL;
}

enum hx_status namespace_copy(struct namespace *ns, const struct vfs_path *root, u32 rights,
                              struct namespace **out)
{
    struct namespace *made = kzalloc(sizeof(*made));
    if (!made) {
        return HX_ERR_NO_MEMORY;
    }
    list_init(&made->mounts);
    made->references = 1;
    made->rights = ns->rights & rights;
    enum hx_status status = HX_OK;
    struct mount *m;
    struct vfs_path top = {NULL, NULL};
    mutex_acquire(&mounts.changing); /* the list stays as it is */
    LIST_FOREACH (&ns->mounts, m, node) {
        struct vfs_path on = {m->parent ? m->parent->copy : NULL, m->mountpoint};
        m->copy = mount_create(m->super, m->flags, m->parent ? &on : NULL);
        if (!m->copy) {
            status = HX_ERR_NO_MEMORY;
            break;
        }
        __atomic_fetch_add(&m->super->references, 1, __ATOMIC_RELAXED);
        m->copy->ns = made;
        list_add_tail(&made->mounts, &m->copy->node); /* nobody sees it yet */
        made->count++;
    }
    if (status == HX_OK) {
        const struct vfs_path *wanted = root ? root : &ns->root;
        top = (struct vfs_path){copy_of(ns, wanted->mount), wanted->dentry};
        status = top.mount ? HX_OK : HX_ERR_BAD_STATE;
    }
    mutex_release(&mounts.changing);
    if (status != HX_OK) {
        namespace_free(made);
        return status;
    }
    vfs_path_get(&top);
    made->root = top;
    *out = made;
    return HX_OK;
}

/* The names from the mount's root down to `dentry`, in buf. */
static void path_write(struct dentry *dentry, char *buf, size_t size)
{
    size_t at = size - 1;
    buf[at] = '\0';
    struct super *super = dentry->super;
    mutex_acquire(&super->lock);
    for (; dentry->parent; dentry = dentry->parent) {
        if (dentry->name_size + 1u > at) {
            break;
        }
        at -= dentry->name_size;
        memcpy(buf + at, dentry->name, dentry->name_size);
        buf[--at] = '/';
    }
    mutex_release(&super->lock);
    memmove(buf, buf + at, size - at);
}

void namespace_for_each(struct namespace *ns,
                        bool (*visit)(void *ctx, const char *path, const struct fs_ops *ops,
                                      u32 flags),
                        void *ctx)
{
    struct mount *m;
    char path[256];
    mutex_acquire(&mounts.changing);
    LIST_FOREACH (&ns->mounts, m, node) {
        if (m->mountpoint) {
            path_write(m->mountpoint, path, sizeof(path));
        }
        if (!visit(ctx, m->mountpoint ? path : "/", m->super->ops, m->flags)) {
            break;
        }
    }
    mutex_release(&mounts.changing);
}

enum hx_status vfs_exchange(const struct vfs_start *start, const char *path, size_t size,
                            const struct fs_ops *ops)
{
    struct walk w;
    enum hx_status status = walk(start, path, size, 0, &w);
    if (status == HX_OK) {
        status = super_exchange(w.target.mount->super, ops);
        walk_end(&w);
    }
    return status;
}

enum hx_status mount_init(void)
{
    struct super *super;
    struct fs_mount_request request = {.page_limit = frame_total_count() / MEMORY_SHARE,
                                       .ops = &ramfs_ops};
    list_init(&mounts.boot.mounts);
    enum hx_status status = vfs_register(&ramfs_ops);
    if (status == HX_OK) {
        status = super_create(&request, 0, &super);
    }
    if (status != HX_OK) {
        return status;
    }
    struct mount *m = mount_create(super, 0, NULL);
    if (!m) {
        return HX_ERR_NO_MEMORY;
    }
    m->ns = &mounts.boot;
    list_add_tail(&mounts.boot.mounts, &m->node);
    mounts.boot.count = 1;
    mounts.boot.references = 1;
    mounts.boot.rights = HX_RIGHTS_ALL;
    mounts.boot.root = (struct vfs_path){m, m->root};
    vfs_path_get(&mounts.boot.root);
    return HX_OK;
}
