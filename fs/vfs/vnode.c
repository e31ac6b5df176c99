/* SPDX-License-Identifier: MIT */
/* Mounted file systems and the files of each.
 * Owns:      struct super, struct vnode; the task that ticks.     Callers: fs/vfs.
 * Context:   thread.
 * Locks:     super->lock for names and attributes; supers.lock for the list of all.
 * Invariant: (1) a file has at most one vnode: it is in super->vnodes while anybody refers to it,
 *            and the last reference is given back under super->lock, where it is also looked up.
 *            (2) FS_MEMORY: a file with a name has a vnode, which is referred to once more for
 *            that (VNODE_PINNED): contents and attributes live nowhere else.
 *            (3) forget() follows the last use of an inode number, under super->lock, so no lookup
 *            comes between.
 */
#include <core/memory.h>
#include <core/task.h>
#include <core/time.h>
#include <fs/block.h>
#include <fs/block_bdev.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>
#include "vfs_priv.h"

#define TICK_NS (5 * HX_NS_PER_SEC)

static struct {
    struct kmem_cache *cache; /* I */
    struct mutex lock;
    struct list_node all; /* l */
    u64 next_id;          /* l */
    bool ticking;         /* l: the task runs, from the first mount that wants it */
} supers = {.lock = MUTEX_INIT(supers.lock), .all = LIST_INIT(supers.all), .next_id = 1};

enum hx_status vnode_init(void)
{
    supers.cache = kmem_cache_create("vnode", sizeof(struct vnode), 8);
    return supers.cache ? radix_init() : HX_ERR_NO_MEMORY;
}

/* A machine without a clock counts from its start. */
s64 vfs_now_ns(void)
{
    u64 ns;
    return (s64)(time_wall_ns(&ns) == HX_OK ? ns : time_now_ns());
}

enum hx_status vnode_find_locked(struct super *super, const struct fs_attr *attr,
                                 struct vnode **out)
{
    HX_DEBUG_ASSERT(mutex_is_held(&super->lock));
    struct vnode *vnode = (struct vnode *)(uintptr_t)radix_get(&super->vnodes, attr->ino);
    if (vnode) {
        if ((vnode->attr.mode ^ attr->mode) & HX_MODE_TYPE) {
            return HX_ERR_CORRUPT;
        }
        vnode_get(vnode);
        *out = vnode;
        return HX_OK;
    }
    vnode = kmem_cache_alloc(supers.cache);
    if (!vnode) {
        return HX_ERR_NO_MEMORY;
    }
    *vnode = (struct vnode){.references = 1, .super = super, .attr = *attr};
    mutex_init(&vnode->lock);
    if (super->ops->flags & FS_MEMORY) {
        s64 now = vfs_now_ns();
        vnode->attr.atime_ns = vnode->attr.mtime_ns = vnode->attr.ctime_ns = now;
        vnode->attr.btime_ns = now;
        vnode->flags = VNODE_PINNED;
        vnode->references = 2;
    }
    enum hx_status status = radix_set(&super->vnodes, attr->ino, (u64)(uintptr_t)vnode);
    if (status != HX_OK) {
        kmem_cache_free(supers.cache, vnode);
        return status;
    }
    *out = vnode;
    return HX_OK;
}

void vnode_put_locked(struct vnode *vnode)
{
    struct super *super = vnode->super;
    HX_DEBUG_ASSERT(mutex_is_held(&super->lock));
    if (__atomic_sub_fetch(&vnode->references, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    radix_remove(&super->vnodes, vnode->attr.ino);
    pages_free(vnode);
    if (super->ops->forget) {
        super->changes++;
        super->ops->forget(super->state, vnode->attr.ino); /* inv 3 */
    }
    kmem_cache_free(supers.cache, vnode);
}

void vnode_put(struct vnode *vnode)
{
    u32 references = __atomic_load_n(&vnode->references, __ATOMIC_RELAXED);
    while (references > 1) {
        if (__atomic_compare_exchange_n(&vnode->references, &references, references - 1, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
            return;
        }
    }
    struct super *super = vnode->super;
    mutex_acquire(&super->lock);
    vnode_put_locked(vnode);
    mutex_release(&super->lock);
}

void vnode_unlinked_locked(struct vnode *vnode, u32 nlink)
{
    if (!(vnode->super->ops->flags & FS_MEMORY)) {
        nlink = vnode_refresh_locked(vnode) == HX_OK ? vnode->attr.nlink : vnode->attr.nlink - 1;
    }
    vnode->attr.nlink = nlink;
    vnode->attr.ctime_ns = vfs_now_ns();
    if (nlink > 0 || (vnode->flags & VNODE_DEAD)) {
        return;
    }
    vnode->flags |= VNODE_DEAD;
    if (vnode->flags & VNODE_PINNED) {
        vnode->flags &= ~VNODE_PINNED;
        vnode_put_locked(vnode); /* inv 2; not the last: the caller has one */
    }
}

enum hx_status vnode_refresh_locked(struct vnode *vnode)
{
    struct super *super = vnode->super;
    struct fs_attr attr;
    if ((super->ops->flags & FS_MEMORY) || !super->ops->getattr) {
        return HX_OK;
    }
    enum hx_status status = super->ops->getattr(super->state, vnode->attr.ino, &attr);
    if (status == HX_OK &&
        (attr.ino != vnode->attr.ino || ((attr.mode ^ vnode->attr.mode) & HX_MODE_TYPE))) {
        status = HX_ERR_CORRUPT;
    }
    if (status == HX_OK) {
        vnode->attr = attr;
    }
    return status;
}

void vnode_touch_locked(struct vnode *vnode)
{
    if (vnode->super->ops->flags & FS_MEMORY) {
        vnode->attr.mtime_ns = vnode->attr.ctime_ns = vfs_now_ns();
    } else {
        HX_IGNORE(vnode_refresh_locked(vnode), "what is known of it is then a little old");
    }
}

void vnode_stat(struct vnode *vnode, struct hx_stat *out)
{
    const struct fs_attr *a = &vnode->attr;
    *out = (struct hx_stat){
        .size = sizeof(*out),
        .mode = a->mode,
        .ino = a->ino,
        .device = vnode->super->id,
        .bytes = vnode_bytes(vnode),
        .stored = a->stored,
        .rdev = a->rdev,
        .nlink = a->nlink,
        .uid = a->uid,
        .gid = a->gid,
        .atime_ns = a->atime_ns,
        .mtime_ns = a->mtime_ns,
        .ctime_ns = a->ctime_ns,
        .btime_ns = a->btime_ns,
    };
}

/* supers */

/* Gives back every vnode that only its name keeps; nothing else refers to any. */
static void vnodes_free(struct super *super)
{
    u64 ino = 0;
    struct vnode *vnode;
    mutex_acquire(&super->lock);
    while ((vnode = (struct vnode *)(uintptr_t)radix_next(&super->vnodes, &ino)) != NULL) {
        HX_ASSERT(vnode->references == 1 && (vnode->flags & VNODE_PINNED)); /* inv 2 */
        vnode_put_locked(vnode);
    }
    mutex_release(&super->lock);
}

enum hx_status super_device_check(const struct bdev *device)
{
    enum hx_status status = HX_OK;
    struct super *super;
    mutex_acquire(&supers.lock);
    LIST_FOREACH (&supers.all, super, node) {
        if (super->device && block_device_overlap(super->device->ctx, device->ctx)) {
            status = HX_ERR_BUSY;
        }
    }
    mutex_release(&supers.lock);
    return status;
}

/* What was written and never synced becomes durable though nobody comes back to it. */
static HX_COLD void ticker(void *arg)
{
    (void)arg;
    for (;;) {
        struct super *super;
        HX_IGNORE(task_sleep_until(time_now_ns() + TICK_NS), "nobody kills it");
        mutex_acquire(&supers.lock);
        LIST_FOREACH (&supers.all, super, node) {
            mutex_acquire(&super->lock);
            if (super->ops->tick && !(super->flags & HX_MOUNT_READ_ONLY)) {
                HX_IGNORE(super->ops->tick(super->state), "the next sync says it");
            }
            mutex_release(&super->lock);
        }
        mutex_release(&supers.lock);
    }
}

static HX_COLD enum hx_status ticker_start(void)
{
    struct task *task;
    mutex_acquire(&supers.lock);
    enum hx_status status = supers.ticking ? HX_OK : task_create("vfs-tick", ticker, NULL, &task);
    if (status == HX_OK && !supers.ticking) {
        supers.ticking = true;
        task_start(task);
    }
    mutex_release(&supers.lock);
    return status;
}

enum hx_status super_create(const struct fs_mount_request *request, u32 flags, struct super **out)
{
    const struct fs_ops *ops = request->ops;
    struct super *super = kzalloc(sizeof(*super));
    if (!super) {
        return HX_ERR_NO_MEMORY;
    }
    struct fs_attr attr;
    struct vnode *vnode;
    *super = (struct super){
        .ops = ops, .flags = flags, .references = 1, .page_limit = request->page_limit};
    mutex_init(&super->lock);
    enum hx_status status = ops->tick ? ticker_start() : HX_OK;
    if (status == HX_OK) {
        status = ops->mount(request, &super->state, &attr);
    }
    if (status != HX_OK) {
        goto out_free;
    }
    if (attr.ino == 0 || (attr.mode & HX_MODE_TYPE) != HX_MODE_DIRECTORY) {
        status = HX_ERR_CORRUPT;
        goto out_unmount;
    }
    mutex_acquire(&super->lock);
    status = vnode_find_locked(super, &attr, &vnode);
    mutex_release(&super->lock);
    if (status != HX_OK) {
        goto out_unmount;
    }
    super->root = dentry_create_root(super, vnode);
    if (!super->root) {
        status = HX_ERR_NO_MEMORY;
        vnode_put(vnode);
        vnodes_free(super);
        goto out_unmount;
    }
    super->device = request->device;
    mutex_acquire(&supers.lock);
    super->id = supers.next_id++;
    list_add_tail(&supers.all, &super->node);
    mutex_release(&supers.lock);
    *out = super;
    return HX_OK;

out_unmount:
    HX_IGNORE(ops->unmount(super->state), "nothing was written; the first failure counts");
out_free:
    kfree(super);
    return status;
}

enum hx_status super_put(struct super *super)
{
    if (__atomic_sub_fetch(&super->references, 1, __ATOMIC_ACQ_REL) > 0) {
        return HX_OK;
    }
    mutex_acquire(&supers.lock);
    list_remove(&super->node);
    mutex_release(&supers.lock);
    enum hx_status status = super_sync(super);
    dentry_put(super->root);
    dcache_evict(super);
    vnodes_free(super);
    enum hx_status ended = super->ops->unmount(super->state);
    if (super->device) {
        block_bdev_close(super->device);
        kfree(super->device);
    }
    kfree(super);
    return status == HX_OK ? ended : status;
}

enum hx_status super_sync(struct super *super)
{
    enum hx_status status = HX_OK;
    mutex_acquire(&super->lock);
    if (super->ops->sync && !(super->flags & HX_MOUNT_READ_ONLY)) {
        status = super->ops->sync(super->state);
    }
    mutex_release(&super->lock);
    return status;
}

enum hx_status vfs_sync_all(void)
{
    enum hx_status status = HX_OK;
    struct super *super;
    mutex_acquire(&supers.lock);
    LIST_FOREACH (&supers.all, super, node) {
        enum hx_status one = super_sync(super);
        status = status == HX_OK ? one : status;
    }
    mutex_release(&supers.lock);
    return status;
}

void supers_lock(void)
{
    mutex_acquire(&supers.lock);
}

void supers_unlock(void)
{
    mutex_release(&supers.lock);
}

void supers_walk(bool (*visit)(struct super *super, void *ctx), void *ctx)
{
    struct super *super;
    LIST_FOREACH (&supers.all, super, node) {
        if (!visit(super, ctx)) {
            return;
        }
    }
}

/* Hand-over */

enum hx_status super_exchange(struct super *super, const struct fs_ops *ops)
{
    const struct fs_ops *old = super->ops;
    if (!old->save_state || !ops->restore_state || !(old->flags & FS_MEMORY) ||
        !(ops->flags & FS_MEMORY)) {
        return HX_ERR_NOT_SUPPORTED;
    }
    void *state = NULL, *buffer = NULL;
    size_t size = 0, used = 0;
    mutex_acquire(&super->lock);
    enum hx_status status = old->save_state(super->state, NULL, 0, &size);
    if (status == HX_ERR_MESSAGE_SIZE) {
        buffer = kmalloc(size);
        status = buffer ? old->save_state(super->state, buffer, size, &used) : HX_ERR_NO_MEMORY;
    }
    if (status == HX_OK) {
        status = ops->restore_state(buffer, used, old->state_version, &state);
    }
    /* From here on nothing can fail. */
    void *gone = super->state;
    if (status == HX_OK) {
        super->state = state;
        super->ops = ops;
    }
    mutex_release(&super->lock);
    if (status == HX_OK) {
        HX_IGNORE(old->unmount(gone), "its state lives on in the new one");
    }
    kfree(buffer);
    return status;
}
