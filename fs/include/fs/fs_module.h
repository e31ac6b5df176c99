/* SPDX-License-Identifier: MIT */
/* File systems that are modules. The module provides FS_INTERFACE with a struct fs_module and makes
 * it known when it starts; from then on the VFS mounts by the module's name. It is called in a
 * guard: what faults in it is answered HX_ERR_IO, and so is every call from then on. One call at a
 * time comes to a module, over all that it has mounted: it needs no locks, and none is left held
 * when it is ended. While something is mounted the module is not unloaded.
 * Context: thread.
 */
#ifndef FS_FS_MODULE_H
#define FS_FS_MODULE_H

#include <fs/fs_ops.h>
#include <helix/module.h>

#define FS_INTERFACE "fs.type"

/* A call into the module, as one structure: a guard hands over no more than four words. */
enum fs_call_op {
    FS_CALL_MOUNT,
    FS_CALL_FORMAT,
    FS_CALL_UNMOUNT,
    FS_CALL_LOOKUP,
    FS_CALL_FORGET,
    FS_CALL_GETATTR,
    FS_CALL_SETATTR,
    FS_CALL_CREATE,
    FS_CALL_LINK,
    FS_CALL_UNLINK,
    FS_CALL_RENAME,
    FS_CALL_READLINK,
    FS_CALL_READDIR,
    FS_CALL_READ,
    FS_CALL_WRITE,
    FS_CALL_TRUNCATE,
    FS_CALL_SEEK,
    FS_CALL_FSYNC,
    FS_CALL_SYNC,
    FS_CALL_TICK,
    FS_CALL_STATFS,
    FS_CALL_XATTR_GET,
    FS_CALL_XATTR_SET,
    FS_CALL_XATTR_REMOVE,
    FS_CALL_XATTR_LIST,
};

struct fs_call {
    u32 op;    /* enum fs_call_op */
    u32 flags; /* or a mask, or whether a directory, or a hole, is meant */
    void *fs;
    u64 ino, to_ino; /* of the file, or of the directory that the name is in */
    struct fs_name name, to;
    u64 offset;
    union {
        const void *in;
        void *buf;
    };
    size_t size;
    void *out; /* a struct fs_attr, a count of links, an offset, a cookie, an instance */
    size_t *out_size;
};

struct fs_module {
    struct fs_ops ops;
    /* fs_module_call: compiled into the module, so that a fault of the table's is the module's. */
    enum hx_status (*call)(const struct fs_module *module, struct fs_call *call);
};

/* For the module: takes a call apart. Only ops that the table has are called. */
static inline enum hx_status fs_module_call(const struct fs_module *module, struct fs_call *c)
{
    const struct fs_ops *o = &module->ops;
    switch ((enum fs_call_op)c->op) {
    case FS_CALL_MOUNT:
        return o->mount(c->in, c->out, (struct fs_attr *)(void *)c->out_size);
    case FS_CALL_FORMAT:
        return o->format(c->in);
    case FS_CALL_UNMOUNT:
        return o->unmount(c->fs);
    case FS_CALL_LOOKUP:
        return o->lookup(c->fs, c->ino, c->name, c->out);
    case FS_CALL_FORGET:
        o->forget(c->fs, c->ino);
        return HX_OK;
    case FS_CALL_GETATTR:
        return o->getattr(c->fs, c->ino, c->out);
    case FS_CALL_SETATTR:
        return o->setattr(c->fs, c->ino, c->in, c->flags);
    case FS_CALL_CREATE:
        return o->create(c->fs, c->ino, c->name, c->in, c->out);
    case FS_CALL_LINK:
        return o->link(c->fs, c->ino, c->to_ino, c->name);
    case FS_CALL_UNLINK:
        return o->unlink(c->fs, c->ino, c->name, c->flags != 0, c->out);
    case FS_CALL_RENAME:
        return o->rename(c->fs, c->ino, c->name, c->to_ino, c->to, c->flags, c->out);
    case FS_CALL_READLINK:
        return o->readlink(c->fs, c->ino, c->buf, c->size, c->out_size);
    case FS_CALL_READDIR:
        return o->readdir(c->fs, c->ino, c->out, c->buf, c->size, c->out_size);
    case FS_CALL_READ:
        return o->read(c->fs, c->ino, c->offset, c->buf, c->size, c->out_size);
    case FS_CALL_WRITE:
        return o->write(c->fs, c->ino, c->offset, c->in, c->size, c->out_size);
    case FS_CALL_TRUNCATE:
        return o->truncate(c->fs, c->ino, c->offset);
    case FS_CALL_SEEK:
        return o->seek(c->fs, c->ino, c->out, c->flags != 0);
    case FS_CALL_FSYNC:
        return o->fsync(c->fs, c->ino);
    case FS_CALL_SYNC:
        return o->sync(c->fs);
    case FS_CALL_TICK:
        return o->tick(c->fs);
    case FS_CALL_STATFS:
        o->statfs(c->fs, c->out);
        return HX_OK;
    case FS_CALL_XATTR_GET:
        return o->xattr_get(c->fs, c->ino, c->name, c->buf, c->size, c->out_size);
    case FS_CALL_XATTR_SET:
        return o->xattr_set(c->fs, c->ino, c->name, c->in, c->size, c->flags);
    case FS_CALL_XATTR_REMOVE:
        return o->xattr_remove(c->fs, c->ino, c->name);
    case FS_CALL_XATTR_LIST:
        return o->xattr_list(c->fs, c->ino, c->buf, c->size, c->out_size);
    }
    return HX_ERR_INVALID;
}

/* From start: the module's table, under the module's name. Return: HX_OK; HX_ERR_ABI, another
 * version, or a mandatory op is missing; HX_ERR_EXISTS; HX_ERR_NO_SPACE; HX_ERR_NO_MEMORY;
 * HX_ERR_INVALID, it is not a module that calls. */
enum hx_status fs_module_register(struct module *self) HX_MUST_CHECK;
/* From stop. */
void fs_module_unregister(struct module *self);

/* For file systems: the time since 1970-01-01 UTC, and a random word fit for keys. Any thread. */
s64 fs_module_time_ns(void);
u64 fs_module_random(void);

#endif
