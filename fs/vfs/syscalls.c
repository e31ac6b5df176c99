/* SPDX-License-Identifier: MIT */
/* The calls 70 to 95: arguments in, handles and paths resolved, answers out.
 * Owns:      nothing.      Caller: the gateway, which has checked flags and the bounds of buffers.
 * Context:   thread of a process.
 * Invariant: (1) a structure or path is copied from the program once; what is checked is the copy.
 *            (2) a path's start holds its object until the call ends.
 *            (3) what is copied out is made whole in zeroed kernel memory first.
 */
#include <core/memory.h>
#include <core/syscall.h>
#include <core/task.h>
#include <execution/process.h>
#include <hal/layout.h>
#include <helix/bits.h>
#include <helix/string.h>
#include "vfs_priv.h"

static struct handle_table *table_current(void)
{
    return task_current()->handles;
}

/* A path or name of the program's, copied. */
struct text {
    char *at;
    size_t size;
    char small[112];
};

static enum hx_status text_in(struct text *text, u64 user, u64 size)
{
    if (size > HX_PATH_MAX) {
        return HX_ERR_NAME_TOO_LONG;
    }
    text->size = (size_t)size;
    text->at = size <= sizeof(text->small) ? text->small : kmalloc((size_t)size);
    if (!text->at) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = user_copy_in(text->at, user, (size_t)size);
    if (status != HX_OK && text->at != text->small) {
        kfree(text->at);
    }
    return status;
}

static void text_end(struct text *text)
{
    if (text->at != text->small) {
        kfree(text->at);
    }
}

static struct fs_name text_name(const struct text *text)
{
    return (struct fs_name){text->at, (u32)text->size};
}

/* Where a call's walk begins. */
struct from {
    struct vfs_start start;
    struct object *object; /* a reference, or NULL */
};

static enum hx_status from_handle(struct from *from, u64 handle)
{
    from->object = NULL;
    if (handle == HX_HANDLE_NONE) {
        from->start = namespace_start(namespace_current());
        return HX_OK;
    }
    struct hx_handle_info info;
    if (handle > UINT32_MAX) {
        return HX_ERR_BAD_HANDLE;
    }
    enum hx_status status =
        handle_get(table_current(), (hx_handle_t)handle, HX_OBJECT_DIRECTORY, 0, &from->object);
    if (status != HX_OK) {
        return status;
    }
    status = handle_info(table_current(), (hx_handle_t)handle, &info);
    if (status == HX_OK) {
        /* Mounting is by namespace; a directory never gives that right. */
        status = file_as_start(file_of_object(from->object), info.rights & ~HX_RIGHT_ADMIN,
                               &from->start);
    }
    if (status != HX_OK) {
        object_put(from->object);
    }
    return status;
}

static void from_end(struct from *from)
{
    if (from->object) {
        object_put(from->object);
    }
}

/* Both of it, for the calls that take a directory and a path. */
struct place {
    struct from from;
    struct text path;
};

static enum hx_status place_in(struct place *place, u64 directory, u64 path, u64 size)
{
    enum hx_status status = from_handle(&place->from, directory);
    if (status != HX_OK) {
        return status;
    }
    status = text_in(&place->path, path, size);
    if (status != HX_OK) {
        from_end(&place->from);
    }
    return status;
}

static void place_end(struct place *place)
{
    text_end(&place->path);
    from_end(&place->from);
}

/* Names the object for the caller; its reference is used up either way. */
static s64 answer(struct object *object, u32 rights)
{
    hx_handle_t handle;
    enum hx_status status = handle_add(table_current(), object, rights, &handle);
    if (status != HX_OK) {
        object_put(object);
        return status;
    }
    return handle;
}

/* An open file, with a reference. */
static enum hx_status file_get(u64 handle, enum hx_object_type type, u32 rights, struct file **out)
{
    struct object *object;
    if (handle > UINT32_MAX) {
        return HX_ERR_BAD_HANDLE;
    }
    enum hx_status status = handle_get(table_current(), (hx_handle_t)handle, type, rights, &object);
    if (status != HX_OK) {
        return status;
    }
    if (object->type != HX_OBJECT_FILE && object->type != HX_OBJECT_DIRECTORY) {
        object_put(object);
        return HX_ERR_BAD_HANDLE;
    }
    *out = file_of_object(object);
    return HX_OK;
}

static struct vfs_buffer user_buffer(u64 at, u64 size)
{
    return (struct vfs_buffer){.user = at, .size = (size_t)size};
}

/* Copies as much of a structure as the caller has room for. */
static s64 answer_with(u64 at, u64 room, const void *structure, size_t size)
{
    return user_copy_out(at, structure, (size_t)hx_min_u64(room, size));
}

s64 sys_file_open(u64 directory, u64 path, u64 size, u64 flags, u64 mode, u64 a5)
{
    (void)a5;
    struct place place;
    enum hx_status status = place_in(&place, directory, path, size);
    if (status != HX_OK) {
        return status;
    }
    struct file *file;
    u32 rights;
    status = vfs_open(&place.from.start, place.path.at, place.path.size, (u32)flags, (u32)mode,
                      &file, &rights);
    place_end(&place);
    return status == HX_OK ? answer(file_object(file), rights) : (s64)status;
}

/* The four that move bytes. */
#define FILE_IO(handle, right, call)                                                               \
    struct file *file;                                                                             \
    enum hx_status status = file_get(handle, HX_OBJECT_FILE, right, &file);                        \
    if (status != HX_OK) {                                                                         \
        return status;                                                                             \
    }                                                                                              \
    s64 result = call;                                                                             \
    file_put(file);                                                                                \
    return result

s64 sys_file_read(u64 handle, u64 buffer, u64 size, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct vfs_buffer b = user_buffer(buffer, size);
    FILE_IO(handle, HX_RIGHT_READ, file_read(file, &b));
}

s64 sys_file_write(u64 handle, u64 buffer, u64 size, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct vfs_buffer b = user_buffer(buffer, size);
    FILE_IO(handle, HX_RIGHT_WRITE, file_write(file, &b));
}

s64 sys_file_read_at(u64 handle, u64 buffer, u64 size, u64 offset, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    struct vfs_buffer b = user_buffer(buffer, size);
    FILE_IO(handle, HX_RIGHT_READ, file_read_at(file, &b, offset));
}

s64 sys_file_write_at(u64 handle, u64 buffer, u64 size, u64 offset, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    struct vfs_buffer b = user_buffer(buffer, size);
    FILE_IO(handle, HX_RIGHT_WRITE, file_write_at(file, &b, offset));
}

s64 sys_file_seek(u64 handle, u64 offset, u64 whence, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    FILE_IO(handle, 0, file_seek(file, (s64)offset, whence));
}

s64 sys_file_truncate(u64 handle, u64 bytes, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    FILE_IO(handle, HX_RIGHT_WRITE, (s64)file_truncate(file, bytes));
}

s64 sys_file_stat(u64 directory, u64 path, u64 size, u64 stat_at, u64 room, u64 flags)
{
    struct hx_stat stat;
    enum hx_status status;
    if (size == 0) { /* the object itself */
        struct file *file;
        status = file_get(directory, HX_OBJECT_NONE, 0, &file);
        if (status != HX_OK) {
            return status;
        }
        status = file_stat(file, &stat);
        file_put(file);
    } else {
        struct place place;
        status = place_in(&place, directory, path, size);
        if (status != HX_OK) {
            return status;
        }
        status = vfs_stat(&place.from.start, place.path.at, place.path.size, (u32)flags, &stat);
        place_end(&place);
    }
    return status == HX_OK ? answer_with(stat_at, room, &stat, sizeof(stat)) : (s64)status;
}

s64 sys_directory_read(u64 handle, u64 buffer, u64 size, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct file *file;
    enum hx_status status = file_get(handle, HX_OBJECT_DIRECTORY, HX_RIGHT_READ, &file);
    if (status != HX_OK) {
        return status;
    }
    struct vfs_buffer b = user_buffer(buffer, size);
    s64 result = file_readdir(file, &b);
    file_put(file);
    return result;
}

s64 sys_directory_create(u64 directory, u64 path, u64 size, u64 mode, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    struct place place;
    enum hx_status status = place_in(&place, directory, path, size);
    if (status == HX_OK) {
        status = vfs_mkdir(&place.from.start, place.path.at, place.path.size, (u32)mode);
        place_end(&place);
    }
    return status;
}

s64 sys_file_unlink(u64 directory, u64 path, u64 size, u64 flags, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    struct place place;
    enum hx_status status = place_in(&place, directory, path, size);
    if (status == HX_OK) {
        status = vfs_unlink(&place.from.start, place.path.at, place.path.size, (u32)flags);
        place_end(&place);
    }
    return status;
}

/* Two places, of the calls whose first argument names two directories. */
static enum hx_status places_in(struct place *a, struct place *b, u64 directories, u64 path,
                                u64 size, u64 to, u64 to_size)
{
    enum hx_status status = place_in(a, (u32)directories, path, size);
    if (status == HX_OK) {
        status = place_in(b, directories >> 32, to, to_size);
        if (status != HX_OK) {
            place_end(a);
        }
    }
    return status;
}

s64 sys_file_rename(u64 directories, u64 path, u64 size, u64 to, u64 to_size, u64 flags)
{
    struct place a, b;
    enum hx_status status = places_in(&a, &b, directories, path, size, to, to_size);
    if (status == HX_OK) {
        status = vfs_rename(&a.from.start, a.path.at, a.path.size, &b.from.start, b.path.at,
                            b.path.size, (u32)flags);
        place_end(&a);
        place_end(&b);
    }
    return status;
}

s64 sys_file_link(u64 directories, u64 path, u64 size, u64 to, u64 to_size, u64 flags)
{
    (void)flags;
    struct place a, b;
    enum hx_status status = places_in(&a, &b, directories, path, size, to, to_size);
    if (status == HX_OK) {
        status =
            vfs_link(&a.from.start, a.path.at, a.path.size, &b.from.start, b.path.at, b.path.size);
        place_end(&a);
        place_end(&b);
    }
    return status;
}

s64 sys_file_symlink(u64 directory, u64 path, u64 size, u64 to, u64 to_size, u64 a5)
{
    (void)a5;
    struct place place;
    struct text target;
    enum hx_status status = text_in(&target, to, to_size);
    if (status != HX_OK) {
        return status;
    }
    status = place_in(&place, directory, path, size);
    if (status == HX_OK) {
        status =
            vfs_symlink(&place.from.start, place.path.at, place.path.size, target.at, target.size);
        place_end(&place);
    }
    text_end(&target);
    return status;
}

s64 sys_file_readlink(u64 directory, u64 path, u64 size, u64 buffer, u64 room, u64 a5)
{
    (void)a5;
    struct place place;
    enum hx_status status = place_in(&place, directory, path, size);
    if (status != HX_OK) {
        return status;
    }
    char *target = kmalloc(HX_PATH_MAX);
    size_t n = 0;
    status = target ? vfs_readlink(&place.from.start, place.path.at, place.path.size, target,
                                   HX_PATH_MAX, &n)
                    : HX_ERR_NO_MEMORY;
    place_end(&place);
    if (status == HX_OK && n > room) {
        status = HX_ERR_MESSAGE_SIZE;
    }
    if (status == HX_OK) {
        status = user_copy_out(buffer, target, n);
    }
    kfree(target);
    return status == HX_OK ? (s64)n : (s64)status;
}

s64 sys_file_sync(u64 handle, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    if (handle == HX_HANDLE_NONE) {
        return vfs_sync_all();
    }
    struct file *file;
    enum hx_status status = file_get(handle, HX_OBJECT_NONE, 0, &file);
    if (status == HX_OK) {
        status = file_sync(file);
        file_put(file);
    }
    return status;
}

s64 sys_file_attr_set(u64 directory, u64 path, u64 size, u64 attr_at, u64 attr_size, u64 flags)
{
    struct hx_attr attr;
    if (attr_size != sizeof(attr)) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = user_copy_in(&attr, attr_at, sizeof(attr));
    struct place place;
    if (status == HX_OK) {
        status = place_in(&place, directory, path, size);
    }
    if (status == HX_OK) {
        status = vfs_attr_set(&place.from.start, place.path.at, place.path.size, &attr, (u32)flags);
        place_end(&place);
    }
    return status;
}

s64 sys_xattr_get(u64 handle, u64 name_at, u64 name_size, u64 buffer, u64 room, u64 a5)
{
    (void)a5;
    struct file *file;
    struct text name;
    enum hx_status status = file_get(handle, HX_OBJECT_NONE, HX_RIGHT_READ, &file);
    if (status != HX_OK) {
        return status;
    }
    size_t n = 0;
    u8 *value = NULL;
    status = text_in(&name, name_at, name_size);
    if (status == HX_OK) {
        size_t size = (size_t)hx_min_u64(room, HX_XATTR_MAX);
        value = size ? kmalloc(size) : NULL;
        status = size && !value ? HX_ERR_NO_MEMORY
                                : file_xattr_get(file, text_name(&name), value, size, &n);
        text_end(&name);
        if (status == HX_OK && size && n > size) {
            status = HX_ERR_CORRUPT;
        }
        if (status == HX_OK && size) {
            status = user_copy_out(buffer, value, n);
        }
    }
    kfree(value);
    file_put(file);
    return status == HX_OK ? (s64)n : (s64)status;
}

s64 sys_xattr_set(u64 handle, u64 name_at, u64 name_size, u64 buffer, u64 size, u64 flags)
{
    struct file *file;
    struct text name;
    if (size > HX_XATTR_MAX) {
        return HX_ERR_MESSAGE_SIZE;
    }
    enum hx_status status = file_get(handle, HX_OBJECT_NONE, HX_RIGHT_WRITE, &file);
    if (status != HX_OK) {
        return status;
    }
    status = text_in(&name, name_at, name_size);
    if (status == HX_OK) {
        u8 *value = kmalloc(size ? (size_t)size : 1);
        status = value ? user_copy_in(value, buffer, (size_t)size) : HX_ERR_NO_MEMORY;
        if (status == HX_OK) {
            status = file_xattr_set(file, text_name(&name), value, (size_t)size, (u32)flags);
        }
        kfree(value);
        text_end(&name);
    }
    file_put(file);
    return status;
}

s64 sys_xattr_remove(u64 handle, u64 name_at, u64 name_size, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct file *file;
    struct text name;
    enum hx_status status = file_get(handle, HX_OBJECT_NONE, HX_RIGHT_WRITE, &file);
    if (status != HX_OK) {
        return status;
    }
    status = text_in(&name, name_at, name_size);
    if (status == HX_OK) {
        status = file_xattr_remove(file, text_name(&name));
        text_end(&name);
    }
    file_put(file);
    return status;
}

#define XATTR_LIST_MAX 16384

s64 sys_xattr_list(u64 handle, u64 buffer, u64 room, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct file *file;
    enum hx_status status = file_get(handle, HX_OBJECT_NONE, HX_RIGHT_READ, &file);
    if (status != HX_OK) {
        return status;
    }
    size_t size = (size_t)hx_min_u64(room, XATTR_LIST_MAX), n = 0;
    char *names = kmalloc(size ? size : 1);
    status = names ? file_xattr_list(file, names, size, &n) : HX_ERR_NO_MEMORY;
    if (status == HX_OK && size) {
        status = n <= size ? user_copy_out(buffer, names, n) : HX_ERR_CORRUPT;
    }
    kfree(names);
    file_put(file);
    return status == HX_OK ? (s64)n : (s64)status;
}

s64 sys_pipe_create(u64 handles_at, u64 flags, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct file *ends[2];
    enum hx_status status = pipe_create((u32)flags, &ends[0], &ends[1]);
    if (status != HX_OK) {
        return status;
    }
    const u32 common = HX_RIGHT_DELEGATE | HX_RIGHT_TRANSFER;
    s64 read_end = answer(file_object(ends[0]), HX_RIGHT_READ | common);
    if (read_end < 0) {
        file_put(ends[1]);
        return read_end;
    }
    s64 write_end = answer(file_object(ends[1]), HX_RIGHT_WRITE | common);
    if (write_end >= 0) {
        hx_handle_t handles[2] = {(hx_handle_t)read_end, (hx_handle_t)write_end};
        status = user_copy_out(handles_at, handles, sizeof(handles));
        if (status == HX_OK) {
            return HX_OK;
        }
        HX_IGNORE(handle_close(table_current(), (hx_handle_t)write_end), "the caller may have");
    }
    HX_IGNORE(handle_close(table_current(), (hx_handle_t)read_end), "the caller may have");
    return write_end < 0 ? write_end : (s64)status;
}

/* The options of a mount, copied; *key is the caller's to free. */
static enum hx_status mount_options_in(u64 at, struct hx_mount *options, void **key)
{
    *options = (struct hx_mount){.size = sizeof(*options)};
    *key = NULL;
    enum hx_status status = at ? user_copy_in(options, at, sizeof(*options)) : HX_OK;
    if (status != HX_OK) {
        return status;
    }
    if (options->size != sizeof(*options) || options->key_length > HX_MOUNT_KEY_MAX ||
        options->device[sizeof(options->device) - 1]) {
        return HX_ERR_INVALID;
    }
    if (options->key_length) {
        *key = kmalloc(options->key_length);
        status = *key ? user_copy_in(*key, options->key, options->key_length) : HX_ERR_NO_MEMORY;
    }
    return status;
}

s64 sys_mount(u64 name_at, u64 name_size, u64 path, u64 size, u64 options_at, u64 flags)
{
    struct text name;
    struct place place;
    struct hx_mount options;
    void *key;
    enum hx_status status = mount_options_in(options_at, &options, &key);
    if (status != HX_OK) {
        kfree(key);
        return status;
    }
    char type[16];
    status = text_in(&name, name_at, name_size);
    if (status == HX_OK) {
        if (name.size >= sizeof(type) || memchr(name.at, '\0', name.size)) {
            status = HX_ERR_NOT_FOUND;
        } else {
            memcpy(type, name.at, name.size);
            type[name.size] = '\0';
            status = place_in(&place, HX_HANDLE_NONE, path, size);
        }
        text_end(&name);
    }
    if (status == HX_OK) {
        struct vfs_mount_request request = {.flags = (u32)flags,
                                            .device = options.device[0] ? options.device : NULL,
                                            .key = key,
                                            .key_size = options.key_length};
        status = vfs_mount(&place.from.start, place.path.at, place.path.size, type, &request);
        place_end(&place);
    }
    if (key) {
        memset(key, 0, options.key_length);
        hx_compiler_barrier();
        kfree(key);
    }
    return status;
}

s64 sys_unmount(u64 path, u64 size, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct place place;
    enum hx_status status = place_in(&place, HX_HANDLE_NONE, path, size);
    if (status == HX_OK) {
        status = vfs_unmount(&place.from.start, place.path.at, place.path.size);
        place_end(&place);
    }
    return status;
}

s64 sys_fs_stat(u64 directory, u64 path, u64 size, u64 stat_at, u64 room, u64 a5)
{
    (void)a5;
    struct place place;
    struct hx_fs_stat stat;
    enum hx_status status = place_in(&place, directory, path, size);
    if (status == HX_OK) {
        status = vfs_statfs(&place.from.start, place.path.at, place.path.size, &stat);
        place_end(&place);
    }
    return status == HX_OK ? answer_with(stat_at, room, &stat, sizeof(stat)) : (s64)status;
}

/* process_start */

/* The strings of a process_start, copied: arguments, then environment. */
static enum hx_status strings_in(const struct hx_spawn *spawn, char **out)
{
    u64 args = spawn->args_length, environment = spawn->environment_length;
    if (args > HX_ARGS_MAX || environment > HX_ENVIRONMENT_MAX) {
        return HX_ERR_INVALID;
    }
    char *strings = kmalloc(args + environment + 1);
    if (!strings) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = user_copy_in(strings, spawn->args, args);
    if (status == HX_OK) {
        status = user_copy_in(strings + args, spawn->environment, environment);
    }
    if (status == HX_OK &&
        ((args && strings[args - 1]) || (environment && strings[args + environment - 1]))) {
        status = HX_ERR_INVALID;
    }
    if (status != HX_OK) {
        kfree(strings);
        return status;
    }
    *out = strings;
    return HX_OK;
}

/* The child's namespace, with a reference. */
static enum hx_status namespace_for(const struct hx_spawn *spawn, struct namespace **out)
{
    struct namespace *ns = namespace_current();
    u32 rights =
        spawn->flags & HX_SPAWN_READ_ONLY ? HX_RIGHT_READ | HX_RIGHT_EXECUTE : HX_RIGHTS_ALL;
    if (!spawn->flags && spawn->root == HX_HANDLE_NONE) {
        namespace_get(ns);
        *out = ns;
        return HX_OK;
    }
    if (spawn->root == HX_HANDLE_NONE) {
        return namespace_copy(ns, NULL, rights, out);
    }
    struct from from;
    enum hx_status status = from_handle(&from, spawn->root);
    if (status == HX_OK) {
        status = namespace_copy(ns, &from.start.root, from.start.rights & rights, out);
        from_end(&from);
    }
    return status;
}

static enum hx_status start_checked(const struct hx_spawn *spawn, char *name, struct process **out)
{
    hx_handle_t handles[HX_SPAWN_HANDLES];
    struct process_request request = {.name = name,
                                      .args_size = (size_t)spawn->args_length,
                                      .environment_size = (size_t)spawn->environment_length,
                                      .parent = process_current(),
                                      .from = table_current(),
                                      .handles = handles,
                                      .handle_count = spawn->handle_count};
    char *strings;
    enum hx_status status =
        user_copy_in(handles, spawn->handles, spawn->handle_count * sizeof(handles[0]));
    if (status == HX_OK) {
        status = strings_in(spawn, &strings);
    }
    if (status != HX_OK) {
        return status;
    }
    request.args = strings;
    request.environment = strings + spawn->args_length;
    struct file *file = NULL;
    if (spawn->file != HX_HANDLE_NONE) {
        status = file_get(spawn->file, HX_OBJECT_FILE, HX_RIGHT_EXECUTE, &file);
        request.file = status == HX_OK ? file_object(file) : NULL;
    }
    if (status == HX_OK) {
        status = namespace_for(spawn, &request.ns);
    }
    if (status == HX_OK) {
        status = process_start(&request, out);
        namespace_put(request.ns);
    }
    if (file) {
        file_put(file);
    }
    kfree(strings);
    return status;
}

s64 sys_process_start(u64 spawn_at, u64 size, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct hx_spawn spawn;
    if (size != sizeof(spawn)) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = user_copy_in(&spawn, spawn_at, sizeof(spawn));
    if (status != HX_OK) {
        return status;
    }
    if (spawn.size != sizeof(spawn) || (spawn.flags & ~HX_SPAWN_FLAGS) || spawn.reserved ||
        spawn.handle_count > HX_SPAWN_HANDLES || spawn.path_length > HX_PATH_MAX) {
        return HX_ERR_INVALID;
    }
    char *name = kmalloc(HX_PATH_MAX + 1);
    if (!name) {
        return HX_ERR_NO_MEMORY;
    }
    name[spawn.path_length] = '\0';
    struct process *process;
    status = user_copy_in(name, spawn.path, (size_t)spawn.path_length);
    if (status == HX_OK && memchr(name, '\0', (size_t)spawn.path_length)) {
        status = HX_ERR_INVALID;
    }
    if (status == HX_OK) {
        status = start_checked(&spawn, name, &process);
    }
    kfree(name);
    return status == HX_OK ? answer(&process->object, HX_RIGHTS_ALL) : (s64)status;
}
