/* SPDX-License-Identifier: MIT */
/* The slot fs.memory: modules as memory file systems, in the place of the kernel's ramfs.
 * For what is mounted already and must not notice: one that serves is exchanged for another while
 * files are open, and when it dies the kernel's ramfs goes on, which is always there to fall back
 * to. That asks for a file system whose state fits into records and whose contents the VFS has.
 * One on a device has neither; it comes by its name and is mounted and unmounted: module.c.
 * Owns:      the stand-in for a module's table, and one guest for each mounted file system.
 * Callers:   the VFS, through super->ops; core/slot.     Context: thread.
 * Locks:     supers.lock, then super->lock of every file system at once, in the order of their
 *            list: the gate. Nobody else takes two of them.
 * Open files, cached pages, sizes and times are the VFS's; a file system has names, links and
 * attributes. So an exchange copies those while the old one serves, and looks inside the gate
 * whether anything has changed meanwhile (super->changes): only then are they copied again. That is
 * tried again a few times outside the gate, for the gate to be short.
 * When a module is ended, its records are read once more by its own save_state, under a guard, and
 * checked by the kernel's ramfs as they are read in; the operation that it died of is then done by
 * that. When they cannot be read, or contradict themselves, the file system answers HX_ERR_IO.
 * Invariant: (1) super->ops is &stand_in exactly when super->state is a struct guest.
 *            (2) `alive` counts guests; those of file systems that are listed, and no others, are
 *            reached by an exchange: others belong to one that is being unmounted, and the slot has
 *            not settled until it is.
 */
#include <core/memory.h>
#include <core/slot.h>
#include <helix/string.h>
#include "vfs_priv.h"

#define TRIES 4 /* copies outside the gate before one inside it */

struct guest {
    struct slot_guest guest;
    void *state; /* the module's instance */
    struct super *super;
    bool lost; /* its records could not be read after it died */
};

static u32 alive; /* a: inv 2 */
static const char *serving_now = "ramfs";

enum op {
    OP_LOOKUP,
    OP_FORGET,
    OP_CREATE,
    OP_LINK,
    OP_UNLINK,
    OP_RENAME,
    OP_READLINK,
    OP_READDIR,
    OP_STATFS,
    OP_XATTR_GET,
    OP_XATTR_SET,
    OP_XATTR_REMOVE,
    OP_XATTR_LIST,
    OP_SAVE, /* from here on it may take as long as init */
    OP_RESTORE,
    OP_UNMOUNT,
};

/* What an operation is handed; more than the four words of a guarded call. */
struct call {
    const struct fs_ops *ops;
    void *fs;
    u64 ino, other;
    struct fs_name name, second;
    const void *in;
    void *out;
    size_t size;
    u64 *number; /* cookie, size */
    u32 *count;
    u32 flags;
};

static u64 invoke(u64 op, u64 call, u64 a2, u64 a3)
{
    (void)a2;
    (void)a3;
    struct call *c = (struct call *)call;
    const struct fs_ops *ops = c->ops;
    switch ((enum op)op) {
    case OP_LOOKUP:
        return (u64)(s64)ops->lookup(c->fs, c->ino, c->name, c->out);
    case OP_FORGET:
        ops->forget(c->fs, c->ino);
        return HX_OK;
    case OP_CREATE:
        return (u64)(s64)ops->create(c->fs, c->ino, c->name, c->in, c->out);
    case OP_LINK:
        return (u64)(s64)ops->link(c->fs, c->ino, c->other, c->name);
    case OP_UNLINK:
        return (u64)(s64)ops->unlink(c->fs, c->ino, c->name, c->flags, c->count);
    case OP_RENAME:
        return (u64)(s64)ops->rename(c->fs, c->ino, c->name, c->other, c->second, c->flags,
                                     c->count);
    case OP_READLINK:
        return (u64)(s64)ops->readlink(c->fs, c->ino, c->out, c->size, c->number);
    case OP_READDIR:
        return (u64)(s64)ops->readdir(c->fs, c->ino, (u64 *)(uintptr_t)c->in, c->out, c->size,
                                      c->number);
    case OP_STATFS:
        ops->statfs(c->fs, c->out);
        return HX_OK;
    case OP_XATTR_GET:
        return (u64)(s64)ops->xattr_get(c->fs, c->ino, c->name, c->out, c->size, c->number);
    case OP_XATTR_SET:
        return (u64)(s64)ops->xattr_set(c->fs, c->ino, c->name, c->in, c->size, c->flags);
    case OP_XATTR_REMOVE:
        return (u64)(s64)ops->xattr_remove(c->fs, c->ino, c->name);
    case OP_XATTR_LIST:
        return (u64)(s64)ops->xattr_list(c->fs, c->ino, c->out, c->size, c->number);
    case OP_SAVE:
        return (u64)(s64)ops->save_state(c->fs, c->out, c->size, c->number);
    case OP_RESTORE:
        return (u64)(s64)ops->restore_state(c->in, c->size, c->flags, c->out);
    default:
        return (u64)(s64)ops->unmount(c->fs);
    }
}

static enum hx_status enter(struct slot_guest *g, enum op op, struct call *c)
{
    c->ops = g->table;
    g->ticks = op >= OP_SAVE ? MODULE_MS_DEFAULT : slot_ticks(g->m);
    return (enum hx_status)(s32)slot_enter(g, (const void *)(uintptr_t)invoke, op, (u64)c, 0, 0,
                                           (u64)HX_ERR_FAULT);
}

/* -- state */

/* All that is known of a file system, in memory that the caller frees. super->lock is held. Who
 * serves may change on the way, when it is a module and dies of it. */
static enum hx_status save(struct super *super, void **out, size_t *out_size)
{
    size_t size = 0;
    enum hx_status status = super->ops->save_state(super->state, NULL, 0, &size);
    *out = NULL;
    if (status == HX_ERR_MESSAGE_SIZE) {
        *out = kmalloc(size);
        status =
            *out ? super->ops->save_state(super->state, *out, size, out_size) : HX_ERR_NO_MEMORY;
    }
    return status;
}

/* The module is dead: its records become the kernel's own, which serves from now on. super->lock is
 * held; `g` is gone on HX_OK. */
static enum hx_status rescue(struct guest *g)
{
    struct super *super = g->super;
    struct slot_guest once = {.table = g->guest.table, .m = g->guest.m, .quiet = true};
    struct call c = {.fs = g->state};
    size_t size = 0, used = 0;
    void *state = NULL;
    if (g->lost) {
        return HX_ERR_IO;
    }
    c.number = &size;
    enum hx_status status = enter(&once, OP_SAVE, &c);
    c.out = status == HX_ERR_MESSAGE_SIZE ? kmalloc(size) : NULL;
    if (c.out) {
        c.size = size;
        c.number = &used;
        status = enter(&once, OP_SAVE, &c);
    }
    if (status == HX_OK && used <= size &&
        ramfs_ops.restore_state(c.out, used, ramfs_ops.state_version, &state) != HX_OK) {
        state = NULL;
    }
    kfree(c.out);
    if (!state) {
        g->lost = true;
        return HX_ERR_IO;
    }
    super->ops = &ramfs_ops;
    super->state = state;
    super->changes++;
    kfree(g); /* the instance goes with the module */
    __atomic_fetch_sub(&alive, 1, __ATOMIC_RELEASE);
    return HX_OK;
}

/* -- the stand-in. A call that its module dies of is answered by the kernel's own. */

static enum hx_status guarded(void *state, enum op op, struct call *c)
{
    struct guest *g = state;
    struct super *super = g->super;
    c->fs = g->state;
    enum hx_status status = enter(&g->guest, op, c);
    if (!g->guest.dead) {
        return status;
    }
    status = rescue(g);
    if (status == HX_OK) {
        c->ops = &ramfs_ops;
        c->fs = super->state;
        status = (enum hx_status)(s32)invoke(op, (u64)c, 0, 0);
    }
    return status;
}

static enum hx_status guest_lookup(void *fs, u64 dir, struct fs_name name, struct fs_attr *out)
{
    struct call c = {.ino = dir, .name = name, .out = out};
    return guarded(fs, OP_LOOKUP, &c);
}

static void guest_forget(void *fs, u64 ino)
{
    struct call c = {.ino = ino};
    HX_IGNORE(guarded(fs, OP_FORGET, &c), "it says nothing");
}

static enum hx_status guest_create(void *fs, u64 dir, struct fs_name name,
                                   const struct fs_create *how, struct fs_attr *out)
{
    struct call c = {.ino = dir, .name = name, .in = how, .out = out};
    return guarded(fs, OP_CREATE, &c);
}

static enum hx_status guest_link(void *fs, u64 ino, u64 dir, struct fs_name name)
{
    struct call c = {.ino = ino, .other = dir, .name = name};
    return guarded(fs, OP_LINK, &c);
}

static enum hx_status guest_unlink(void *fs, u64 dir, struct fs_name name, bool directory,
                                   u32 *out_nlink)
{
    struct call c = {.ino = dir, .name = name, .flags = directory, .count = out_nlink};
    return guarded(fs, OP_UNLINK, &c);
}

static enum hx_status guest_rename(void *fs, u64 from_dir, struct fs_name from, u64 to_dir,
                                   struct fs_name to, u32 flags, u32 *out_nlink)
{
    struct call c = {.ino = from_dir,
                     .name = from,
                     .other = to_dir,
                     .second = to,
                     .flags = flags,
                     .count = out_nlink};
    return guarded(fs, OP_RENAME, &c);
}

static enum hx_status guest_readlink(void *fs, u64 ino, char *buf, size_t size, size_t *out_size)
{
    struct call c = {.ino = ino, .out = buf, .size = size, .number = out_size};
    return guarded(fs, OP_READLINK, &c);
}

static enum hx_status guest_readdir(void *fs, u64 dir, u64 *cookie, void *buf, size_t size,
                                    size_t *out_used)
{
    struct call c = {.ino = dir, .in = cookie, .out = buf, .size = size, .number = out_used};
    return guarded(fs, OP_READDIR, &c);
}

static void guest_statfs(void *fs, struct hx_fs_stat *out)
{
    struct call c = {.out = out};
    HX_IGNORE(guarded(fs, OP_STATFS, &c), "it says nothing");
}

static enum hx_status guest_xattr_get(void *fs, u64 ino, struct fs_name name, void *value,
                                      size_t size, size_t *out_size)
{
    struct call c = {.ino = ino, .name = name, .out = value, .size = size, .number = out_size};
    return guarded(fs, OP_XATTR_GET, &c);
}

static enum hx_status guest_xattr_set(void *fs, u64 ino, struct fs_name name, const void *value,
                                      size_t size, u32 flags)
{
    struct call c = {.ino = ino, .name = name, .in = value, .size = size, .flags = flags};
    return guarded(fs, OP_XATTR_SET, &c);
}

static enum hx_status guest_xattr_remove(void *fs, u64 ino, struct fs_name name)
{
    struct call c = {.ino = ino, .name = name};
    return guarded(fs, OP_XATTR_REMOVE, &c);
}

static enum hx_status guest_xattr_list(void *fs, u64 ino, char *buf, size_t size, size_t *out_size)
{
    struct call c = {.ino = ino, .out = buf, .size = size, .number = out_size};
    return guarded(fs, OP_XATTR_LIST, &c);
}

static enum hx_status guest_save_state(void *fs, void *buf, size_t size, size_t *out_size)
{
    struct call c = {.out = buf, .size = size, .number = out_size};
    return guarded(fs, OP_SAVE, &c);
}

static enum hx_status guest_unmount(void *fs)
{
    struct guest *g = fs;
    struct call c = {.fs = g->state};
    enum hx_status status = enter(&g->guest, OP_UNMOUNT, &c);
    kfree(g);
    __atomic_fetch_sub(&alive, 1, __ATOMIC_RELEASE);
    return status;
}

static enum hx_status guest_mount(const struct fs_mount_request *request, void **out_fs,
                                  struct fs_attr *out_root)
{
    (void)request;
    (void)out_fs;
    (void)out_root;
    return HX_ERR_NOT_SUPPORTED; /* it is the kernel's until the next exchange */
}

static const struct fs_ops stand_in = {
    .abi_version = FS_ABI,
    .size = sizeof(struct fs_ops),
    .name = "ramfs",
    .flags = FS_MEMORY,
    .state_version = 1,
    .mount = guest_mount,
    .unmount = guest_unmount,
    .lookup = guest_lookup,
    .forget = guest_forget,
    .create = guest_create,
    .link = guest_link,
    .unlink = guest_unlink,
    .rename = guest_rename,
    .readlink = guest_readlink,
    .readdir = guest_readdir,
    .statfs = guest_statfs,
    .xattr_get = guest_xattr_get,
    .xattr_set = guest_xattr_set,
    .xattr_remove = guest_xattr_remove,
    .xattr_list = guest_xattr_list,
    .save_state = guest_save_state,
};

/* -- the slot */

static enum hx_status check(const void *table)
{
    const struct fs_ops *ops = table;
    if (ops->abi_version != FS_ABI || ops->size != sizeof(*ops) ||
        ops->state_version != ramfs_ops.state_version) {
        return HX_ERR_ABI;
    }
    return (ops->flags & FS_MEMORY) && ops->unmount && ops->lookup && ops->forget && ops->create &&
                   ops->link && ops->unlink && ops->rename && ops->readlink && ops->readdir &&
                   ops->statfs && ops->xattr_get && ops->xattr_set && ops->xattr_remove &&
                   ops->xattr_list && ops->save_state && ops->restore_state
               ? HX_OK
               : HX_ERR_INVALID;
}

/* What takes a file system over, until it has: of the module, or (m NULL) of the kernel's own. */
static void drop(struct super *super)
{
    struct guest *g = super->next_guest;
    struct call c = {.fs = super->next_state};
    if (g) {
        c.fs = g->state;
        if (c.fs) {
            HX_IGNORE(enter(&g->guest, OP_UNMOUNT, &c), "what it still holds is on its ledger");
        }
        kfree(g);
    } else if (super->next_state) {
        HX_IGNORE(ramfs_ops.unmount(super->next_state), "it cannot fail");
    }
    super->next_guest = NULL;
    super->next_state = NULL;
}

/* Makes what takes over out of what serves now. super->lock is held, or will be asked for. */
static enum hx_status copy(struct super *super, const void *table, struct module_instance *m,
                           bool locked)
{
    void *buffer, *state = NULL;
    size_t size = 0;
    drop(super);
    if (!locked) {
        mutex_acquire(&super->lock);
    }
    enum hx_status status = save(super, &buffer, &size);
    u64 changes = super->changes;
    if (!locked) {
        mutex_release(&super->lock);
    }
    struct guest *g = m && status == HX_OK ? kzalloc(sizeof(*g)) : NULL;
    if (status == HX_OK && m && !g) {
        status = HX_ERR_NO_MEMORY;
    } else if (status == HX_OK && m) {
        struct call c = {.in = buffer, .size = size, .flags = ramfs_ops.state_version};
        c.out = &state;
        g->guest = (struct slot_guest){.table = table, .m = m};
        g->super = super;
        status = enter(&g->guest, OP_RESTORE, &c);
        g->state = status == HX_OK ? state : NULL;
    } else if (status == HX_OK) {
        status = ramfs_ops.restore_state(buffer, size, ramfs_ops.state_version, &state);
        super->next_state = status == HX_OK ? state : NULL;
    }
    super->next_guest = g;
    super->copied = changes;
    kfree(buffer);
    if (status != HX_OK) {
        drop(super);
    }
    return status;
}

static bool is_served(const struct super *super)
{
    return super->ops == &ramfs_ops || super->ops == &stand_in;
}

/* Inside the gate of `super`: the new one serves, the old one goes. */
static void take_over(struct super *super, const struct fs_ops **out_ops, void **out_state)
{
    *out_ops = super->ops;
    *out_state = super->state;
    if (super->next_guest) {
        super->ops = &stand_in;
        super->state = super->next_guest;
        __atomic_fetch_add(&alive, 1, __ATOMIC_RELAXED);
    } else {
        super->ops = &ramfs_ops;
        super->state = super->next_state;
    }
    super->next_guest = NULL;
    super->next_state = NULL;
}

struct exchange {
    const void *table;
    struct module_instance *m;
    u32 tries, count;
    enum hx_status status;
};

/* One of the walks over all that the slot serves; supers.lock is held. */
static bool copy_one(struct super *super, void *ctx)
{
    struct exchange *x = ctx;
    if (is_served(super)) {
        x->status = copy(super, x->table, x->m, false);
    }
    return x->status == HX_OK;
}

static bool lock_one(struct super *super, void *ctx)
{
    (void)ctx;
    if (is_served(super)) {
        mutex_acquire(&super->lock);
    }
    return true;
}

static bool look_one(struct super *super, void *ctx)
{
    struct exchange *x = ctx;
    if (is_served(super) && super->changes != super->copied) {
        x->status = x->tries < TRIES ? HX_ERR_BUSY : copy(super, x->table, x->m, true);
    }
    return x->status == HX_OK;
}

static bool commit_one(struct super *super, void *ctx)
{
    (void)ctx;
    if (is_served(super)) {
        take_over(super, &super->gone_ops, &super->gone_state);
    }
    return true;
}

static bool unlock_one(struct super *super, void *ctx)
{
    (void)ctx;
    if (is_served(super)) {
        mutex_release(&super->lock);
    }
    return true;
}

static bool drop_one(struct super *super, void *ctx)
{
    (void)ctx;
    drop(super);
    return true;
}

static bool end_one(struct super *super, void *ctx)
{
    (void)ctx;
    if (super->gone_ops) {
        HX_IGNORE(super->gone_ops->unmount(super->gone_state), "its state lives on in the new one");
        super->gone_ops = NULL;
    }
    return true;
}

static enum hx_status exchange(const void *table, struct module_instance *m, u64 deadline_ns,
                               u64 *out_pause)
{
    (void)deadline_ns; /* each call into a module is bounded by its ticks */
    struct exchange x = {.table = table, .m = m};
    supers_lock();
    do {
        x.status = HX_OK;
        supers_walk(copy_one, &x);
        if (x.status != HX_OK) {
            break;
        }
        u64 begin = hal_cycles_read();
        supers_walk(lock_one, NULL);
        supers_walk(look_one, &x);
        if (x.status == HX_OK) {
            supers_walk(commit_one, NULL);
        }
        supers_walk(unlock_one, NULL);
        *out_pause = hal_cycles_read() - begin;
    } while (x.status == HX_ERR_BUSY && ++x.tries <= TRIES);
    supers_walk(x.status == HX_OK ? end_one : drop_one, NULL);
    supers_unlock();
    if (x.status == HX_OK) {
        serving_now = m ? m->manifest.name : "ramfs";
    }
    return x.status;
}

static bool count_one(struct super *super, void *ctx)
{
    *(u32 *)ctx += super->ops == &stand_in;
    return true;
}

static bool settled(void)
{
    u32 listed = 0;
    supers_lock();
    supers_walk(count_one, &listed);
    bool same = listed == __atomic_load_n(&alive, __ATOMIC_ACQUIRE); /* inv 2 */
    supers_unlock();
    return same;
}

static const char *serving(void)
{
    return serving_now;
}

static const struct slot_ops fs_slot_ops = {
    .check = check, .exchange = exchange, .settled = settled, .serving = serving};

SLOT(fs_memory, .name = "fs.memory", .major = FS_ABI, .ops = &fs_slot_ops, .timed = true);
