/* SPDX-License-Identifier: MIT */
/* File systems that are modules: a table of ops each of which enters the module by a guard.
 * For a further type, which is mounted by the module's name: its state is on a device, there is no
 * other implementation to go on with when it dies, and a mount of it ends with HX_ERR_IO. A memory
 * file system that takes the place of one that serves, and is replaced when it dies, is slot.c's.
 * Owns:      struct type, one for each such module; struct mounted, the `fs` of its mounts.
 * Callers:   the VFS, by struct fs_ops; modules, by <fs/fs_module.h>.     Context: thread.
 * Locks:     type->lock, over each call: last of the VFS's mutexes.
 * Invariant: (1) at most one call at a time is in a module. (2) after a fault none is: its memory
 *            may hold anything, and what it had not written is lost as in a power cut. (3) a module
 *            with a mount is in use (module_instance.users) and stays loaded.
 */
#include <core/guard.h>
#include <core/memory.h>
#include <core/module.h>
#include <core/random.h>
#include <fs/fs_module.h>
#include <helix/log.h>
#include <helix/string.h>
#include "vfs_priv.h"

struct type {
    struct fs_ops ops;              /* I: what the VFS sees */
    const struct fs_module *module; /* I: in the module's constants */
    struct module_instance *m;
    struct mutex lock;
    bool dead; /* l, inv 2 */
};

struct mounted {
    struct type *type;
    void *fs; /* the module's */
};

/* inv 1 and 2 */
static enum hx_status enter(struct type *type, struct fs_call *call)
{
    struct module_instance *m = type->m;
    u64 value = (u64)HX_ERR_IO;
    mutex_acquire(&type->lock);
    bool dead = type->dead || HX_READ_ONCE(m->status) == MODULE_FAULTED;
    if (!dead &&
        guard_call(&m->domain, m->manifest.op_ticks, (guarded_fn *)(uintptr_t)type->module->call,
                   (u64)type->module, (u64)call, 0, 0, &value) != HX_OK) {
        log_error("vfs", "%s ended by %s: %s at 0x%lx (code from 0x%lx)", m->manifest.name,
                  guard_fault_name(m->domain.report.fault), m->domain.report.what,
                  m->domain.report.pc, m->domain.text);
        type->dead = true;
        __atomic_store_n(&m->fault_pending, true, __ATOMIC_RELEASE);
        value = (u64)HX_ERR_IO;
    }
    mutex_release(&type->lock);
    return (enum hx_status)(s32)value;
}

/* An op: its call on the instance `state`. */
#define CALL(op_, ...)                                                                             \
    struct mounted *m = state;                                                                     \
    struct fs_call call = {.op = (op_), .fs = m->fs, __VA_ARGS__};                                 \
    return enter(m->type, &call)

static enum hx_status op_mount(const struct fs_mount_request *request, void **out_fs,
                               struct fs_attr *out_root)
{
    struct type *type = HX_CONTAINER_OF(request->ops, struct type, ops);
    struct mounted *m = kzalloc(sizeof(*m));
    if (!m) {
        return HX_ERR_NO_MEMORY;
    }
    m->type = type;
    struct fs_call call = {
        .op = FS_CALL_MOUNT, .in = request, .out = &m->fs, .out_size = (size_t *)(void *)out_root};
    enum hx_status status = enter(type, &call);
    if (status != HX_OK) {
        kfree(m);
        return status;
    }
    __atomic_fetch_add(&type->m->users, 1, __ATOMIC_RELAXED); /* inv 3 */
    *out_fs = m;
    return HX_OK;
}

static enum hx_status op_unmount(void *state)
{
    struct mounted *m = state;
    struct fs_call call = {.op = FS_CALL_UNMOUNT, .fs = m->fs};
    enum hx_status status = enter(m->type, &call);
    __atomic_fetch_sub(&m->type->m->users, 1, __ATOMIC_RELEASE);
    kfree(m);
    return status;
}

static enum hx_status op_format(const struct fs_mount_request *request)
{
    struct fs_call call = {.op = FS_CALL_FORMAT, .in = request};
    return enter(HX_CONTAINER_OF(request->ops, struct type, ops), &call);
}

static enum hx_status op_lookup(void *state, u64 dir, struct fs_name name, struct fs_attr *out)
{
    CALL(FS_CALL_LOOKUP, .ino = dir, .name = name, .out = out);
}

static enum hx_status forget(void *state, u64 ino)
{
    CALL(FS_CALL_FORGET, .ino = ino);
}

static void op_forget(void *state, u64 ino)
{
    HX_IGNORE(forget(state, ino), "a module that was ended has forgotten everything");
}

static enum hx_status op_getattr(void *state, u64 ino, struct fs_attr *out)
{
    CALL(FS_CALL_GETATTR, .ino = ino, .out = out);
}

static enum hx_status op_setattr(void *state, u64 ino, const struct fs_attr *attr, u32 mask)
{
    CALL(FS_CALL_SETATTR, .ino = ino, .in = attr, .flags = mask);
}

static enum hx_status op_create(void *state, u64 dir, struct fs_name name,
                                const struct fs_create *how, struct fs_attr *out)
{
    CALL(FS_CALL_CREATE, .ino = dir, .name = name, .in = how, .out = out);
}

static enum hx_status op_link(void *state, u64 ino, u64 dir, struct fs_name name)
{
    CALL(FS_CALL_LINK, .ino = ino, .to_ino = dir, .name = name);
}

static enum hx_status op_unlink(void *state, u64 dir, struct fs_name name, bool directory,
                                u32 *out_nlink)
{
    CALL(FS_CALL_UNLINK, .ino = dir, .name = name, .flags = directory, .out = out_nlink);
}

static enum hx_status op_rename(void *state, u64 from_dir, struct fs_name from, u64 to_dir,
                                struct fs_name to, u32 flags, u32 *out_nlink)
{
    CALL(FS_CALL_RENAME, .ino = from_dir, .name = from, .to_ino = to_dir, .to = to, .flags = flags,
         .out = out_nlink);
}

static enum hx_status op_readlink(void *state, u64 ino, char *buf, size_t size, size_t *out_size)
{
    CALL(FS_CALL_READLINK, .ino = ino, .buf = buf, .size = size, .out_size = out_size);
}

static enum hx_status op_readdir(void *state, u64 dir, u64 *cookie, void *buf, size_t size,
                                 size_t *out_used)
{
    CALL(FS_CALL_READDIR, .ino = dir, .out = cookie, .buf = buf, .size = size,
         .out_size = out_used);
}

static enum hx_status op_read(void *state, u64 ino, u64 offset, void *buf, size_t size,
                              size_t *out_done)
{
    CALL(FS_CALL_READ, .ino = ino, .offset = offset, .buf = buf, .size = size,
         .out_size = out_done);
}

static enum hx_status op_write(void *state, u64 ino, u64 offset, const void *buf, size_t size,
                               size_t *out_done)
{
    CALL(FS_CALL_WRITE, .ino = ino, .offset = offset, .in = buf, .size = size,
         .out_size = out_done);
}

static enum hx_status op_truncate(void *state, u64 ino, u64 bytes)
{
    CALL(FS_CALL_TRUNCATE, .ino = ino, .offset = bytes);
}

static enum hx_status op_seek(void *state, u64 ino, u64 *offset, bool hole)
{
    CALL(FS_CALL_SEEK, .ino = ino, .out = offset, .flags = hole);
}

static enum hx_status op_fsync(void *state, u64 ino)
{
    CALL(FS_CALL_FSYNC, .ino = ino);
}

static enum hx_status op_sync(void *state)
{
    CALL(FS_CALL_SYNC);
}

static enum hx_status op_tick(void *state)
{
    CALL(FS_CALL_TICK);
}

static enum hx_status statfs(void *state, struct hx_fs_stat *out)
{
    CALL(FS_CALL_STATFS, .out = out);
}

static void op_statfs(void *state, struct hx_fs_stat *out)
{
    HX_IGNORE(statfs(state, out), "zeroes say as much");
}

static enum hx_status op_xattr_get(void *state, u64 ino, struct fs_name name, void *value,
                                   size_t size, size_t *out_size)
{
    CALL(FS_CALL_XATTR_GET, .ino = ino, .name = name, .buf = value, .size = size,
         .out_size = out_size);
}

static enum hx_status op_xattr_set(void *state, u64 ino, struct fs_name name, const void *value,
                                   size_t size, u32 flags)
{
    CALL(FS_CALL_XATTR_SET, .ino = ino, .name = name, .in = value, .size = size, .flags = flags);
}

static enum hx_status op_xattr_remove(void *state, u64 ino, struct fs_name name)
{
    CALL(FS_CALL_XATTR_REMOVE, .ino = ino, .name = name);
}

static enum hx_status op_xattr_list(void *state, u64 ino, char *buf, size_t size, size_t *out_size)
{
    CALL(FS_CALL_XATTR_LIST, .ino = ino, .buf = buf, .size = size, .out_size = out_size);
}

static const struct fs_ops ops = {
    .abi_version = FS_ABI,
    .size = sizeof(struct fs_ops),
    .mount = op_mount,
    .format = op_format,
    .unmount = op_unmount,
    .lookup = op_lookup,
    .forget = op_forget,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .create = op_create,
    .link = op_link,
    .unlink = op_unlink,
    .rename = op_rename,
    .readlink = op_readlink,
    .readdir = op_readdir,
    .read = op_read,
    .write = op_write,
    .truncate = op_truncate,
    .seek = op_seek,
    .fsync = op_fsync,
    .sync = op_sync,
    .tick = op_tick,
    .statfs = op_statfs,
    .xattr_get = op_xattr_get,
    .xattr_set = op_xattr_set,
    .xattr_remove = op_xattr_remove,
    .xattr_list = op_xattr_list,
};

/* Registration */

static void type_release(void *object)
{
    struct type *type = object;
    vfs_unregister(&type->ops);
    kfree(type);
}

/* The module that calls, if it is `self`; the pointer is compared and not believed. */
static struct module_instance *caller(const struct module *self)
{
    struct hal_guard *g = task_current()->guard;
    struct module_instance *m =
        g ? HX_CONTAINER_OF((struct guard_domain *)g->domain, struct module_instance, domain)
          : NULL;
    return m && &m->self == self ? m : NULL;
}

enum hx_status fs_module_register(struct module *self)
{
    struct module_instance *m = caller(self);
    const struct fs_module *module = m ? module_table(m, FS_INTERFACE, FS_ABI) : NULL;
    if (!module) {
        return HX_ERR_INVALID;
    }
    const struct fs_ops *theirs = &module->ops;
    if (theirs->abi_version != FS_ABI || theirs->size != sizeof(*theirs) || !module->call ||
        !theirs->mount || !theirs->unmount || !theirs->lookup) {
        return HX_ERR_ABI;
    }
    struct type *type = kzalloc(sizeof(*type));
    if (!type) {
        return HX_ERR_NO_MEMORY;
    }
    *type = (struct type){.ops = ops, .module = module, .m = m};
    mutex_init(&type->lock);
    type->ops.name = m->manifest.name;
    type->ops.flags = theirs->flags & FS_DIRECT;
    /* What the module does not have, the VFS does not see. */
    void (**mine)(void) = (void (**)(void))(void *)&type->ops.mount;
    void (*const *has)(void) = (void (*const *)(void))(const void *)&theirs->mount;
    for (; (void *)mine < (void *)&type->ops.save_state; mine++, has++) {
        if (!*has) {
            *mine = NULL;
        }
    }
    enum hx_status status = vfs_register(&type->ops);
    if (status == HX_OK) {
        status = module_hold(self, "file system", type, type_release);
        if (status != HX_OK) {
            vfs_unregister(&type->ops);
        }
    }
    if (status != HX_OK) {
        kfree(type);
    }
    return status;
}

void fs_module_unregister(struct module *self)
{
    struct module_instance *m = caller(self);
    const struct fs_ops *found = m ? vfs_type_find(m->manifest.name) : NULL;
    struct type *type =
        found && found->mount == op_mount ? HX_CONTAINER_OF(found, struct type, ops) : NULL;
    if (type && module_drop(self, type)) {
        type_release(type);
    }
}

s64 fs_module_time_ns(void)
{
    return vfs_now_ns();
}

u64 fs_module_random(void)
{
    u64 word;
    random_fill(&word, sizeof(word));
    return word;
}
