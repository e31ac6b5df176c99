/* SPDX-License-Identifier: MIT */
/* What lower layers ask of the file system: programs to start, and objects to write to.
 * Owns:      nothing.      Callers: the process loader (<userspace/program.h>), the core's commands
 * (<core/stream.h>).       Context: thread.
 */
#include <core/stream.h>
#include <execution/process.h>
#include <helix/string.h>
#include <userspace/program.h>
#include "vfs_priv.h"

struct namespace *namespace_current(void)
{
    struct process *process = process_current();
    return process ? process->ns : namespace_boot();
}

enum hx_status program_of_file(struct object *object, struct program *out)
{
    if (object->type != HX_OBJECT_FILE) {
        return HX_ERR_NOT_SUPPORTED;
    }
    struct file *file = file_of_object(object);
    struct vnode *vnode = file->vnode;
    if (!vnode || (vnode->attr.mode & HX_MODE_TYPE) != HX_MODE_FILE ||
        (vnode->super->ops->flags & FS_DIRECT)) {
        return HX_ERR_NOT_SUPPORTED;
    }
    u64 bytes = vnode_bytes(vnode);
    object_get(object);
    *out = (struct program){.data = file_in_place(file, &bytes), .file = object};
    out->size = out->data ? bytes : vnode_bytes(vnode);
    return HX_OK;
}

enum hx_status program_open(struct namespace *ns, const char *path, size_t size,
                            struct program *out)
{
    struct vfs_start start = namespace_start(ns);
    struct file *file;
    u32 rights;
    enum hx_status status =
        vfs_open(&start, path, size, HX_OPEN_READ | HX_OPEN_EXECUTE, 0, &file, &rights);
    if (status == HX_OK) {
        status = program_of_file(file_object(file), out);
        file_put(file);
    }
    return status;
}

enum hx_status program_read(const struct program *program, u64 offset, void *to, size_t size)
{
    struct file *file = file_of_object(program->file);
    for (size_t done = 0; done < size;) {
        struct vfs_buffer part = vfs_kernel_buffer((u8 *)to + done, size - done);
        s64 n = pages_read(file->vnode, &part, offset + done);
        if (n <= 0) {
            return n < 0 ? (enum hx_status)n : HX_ERR_CORRUPT;
        }
        done += (size_t)n;
    }
    return HX_OK;
}

void program_close(struct program *program)
{
    object_put(program->file);
}

bool stream_is_one(const struct object *object)
{
    return object->type == HX_OBJECT_FILE;
}

enum hx_status stream_write(struct object *object, const void *data, size_t n)
{
    struct file *file = file_of_object(object);
    for (size_t done = 0; done < n;) {
        struct vfs_buffer part = vfs_kernel_buffer((const u8 *)data + done, n - done);
        s64 taken = file_write(file, &part);
        if (taken <= 0) {
            return taken < 0 ? (enum hx_status)taken : HX_ERR_IO;
        }
        done += (size_t)taken;
    }
    return HX_OK;
}
