/* SPDX-License-Identifier: MIT */
/* Files: the wrappers of their calls.
 * Owns: nothing.   Context: any thread.
 */
#include <helix/string.h>
#include <hx/file.h>
#include <hx/syscall.h>

/* A call that answers with a handle. */
static enum hx_status take_handle(s64 result, hx_handle_t *out)
{
    if (result < 0) {
        return (enum hx_status)result;
    }
    *out = (hx_handle_t)result;
    return HX_OK;
}

enum hx_status hx_open(hx_handle_t directory, const char *path, u32 flags, u32 mode,
                       hx_handle_t *out_file)
{
    return take_handle(hx_sys_file_open(directory, path, strlen(path), flags, mode), out_file);
}

s64 hx_read(hx_handle_t file, void *buffer, size_t size)
{
    return hx_sys_file_read(file, buffer, size);
}

s64 hx_write_some(hx_handle_t file, const void *buffer, size_t size)
{
    return hx_sys_file_write(file, buffer, size);
}

enum hx_status hx_read_all(hx_handle_t file, void *buffer, size_t size, size_t *out_done)
{
    size_t done = 0;
    s64 n = 1;
    while (done < size && n > 0) {
        n = hx_read(file, (char *)buffer + done, size - done);
        done += n > 0 ? (size_t)n : 0;
    }
    if (out_done) {
        *out_done = done;
    }
    return n < 0 ? (enum hx_status)n : done < size ? HX_ERR_END : HX_OK;
}

enum hx_status hx_write_all(hx_handle_t file, const void *buffer, size_t size)
{
    for (size_t done = 0; done < size;) {
        s64 n = hx_write_some(file, (const char *)buffer + done, size - done);
        if (n <= 0) {
            return n < 0 ? (enum hx_status)n : HX_ERR_IO;
        }
        done += (size_t)n;
    }
    return HX_OK;
}

s64 hx_read_at(hx_handle_t file, void *buffer, size_t size, u64 offset)
{
    return hx_sys_file_read_at(file, buffer, size, offset);
}

s64 hx_write_at(hx_handle_t file, const void *buffer, size_t size, u64 offset)
{
    return hx_sys_file_write_at(file, buffer, size, offset);
}

s64 hx_seek(hx_handle_t file, s64 offset, enum hx_seek whence)
{
    return hx_sys_file_seek(file, (u64)offset, whence);
}

enum hx_status hx_stat(hx_handle_t directory, const char *path, u32 flags, struct hx_stat *out)
{
    return *path ? (enum hx_status)hx_sys_file_stat(directory, path, strlen(path), out,
                                                    sizeof(*out), flags)
                 : HX_ERR_NOT_FOUND;
}

enum hx_status hx_stat_handle(hx_handle_t file, struct hx_stat *out)
{
    return (enum hx_status)hx_sys_file_stat(file, "", 0, out, sizeof(*out), 0);
}

s64 hx_directory_read(hx_handle_t directory, void *buffer, size_t size)
{
    return hx_sys_directory_read(directory, buffer, size);
}

enum hx_status hx_mkdir(hx_handle_t directory, const char *path, u32 mode)
{
    return (enum hx_status)hx_sys_directory_create(directory, path, strlen(path), mode);
}

enum hx_status hx_unlink(hx_handle_t directory, const char *path, u32 flags)
{
    return (enum hx_status)hx_sys_file_unlink(directory, path, strlen(path), flags);
}

enum hx_status hx_rename(hx_handle_t from_directory, const char *from, hx_handle_t to_directory,
                         const char *to, u32 flags)
{
    return (enum hx_status)hx_sys_file_rename(HX_DIRECTORIES(from_directory, to_directory), from,
                                              strlen(from), to, strlen(to), flags);
}

enum hx_status hx_link(hx_handle_t from_directory, const char *from, hx_handle_t to_directory,
                       const char *to)
{
    return (enum hx_status)hx_sys_file_link(HX_DIRECTORIES(from_directory, to_directory), from,
                                            strlen(from), to, strlen(to), 0);
}

enum hx_status hx_symlink(const char *target, hx_handle_t directory, const char *path)
{
    return (enum hx_status)hx_sys_file_symlink(directory, path, strlen(path), target,
                                               strlen(target));
}

enum hx_status hx_readlink(hx_handle_t directory, const char *path, char *buffer, size_t size)
{
    if (size == 0) {
        return HX_ERR_MESSAGE_SIZE;
    }
    s64 n = hx_sys_file_readlink(directory, path, strlen(path), buffer, size - 1);
    if (n < 0) {
        return (enum hx_status)n;
    }
    buffer[n] = '\0';
    return HX_OK;
}

enum hx_status hx_truncate(hx_handle_t file, u64 bytes)
{
    return (enum hx_status)hx_sys_file_truncate(file, bytes);
}

enum hx_status hx_sync(hx_handle_t file)
{
    return (enum hx_status)hx_sys_file_sync(file);
}

enum hx_status hx_attr_set(hx_handle_t directory, const char *path, const struct hx_attr *attr,
                           u32 flags)
{
    struct hx_attr sized = *attr;
    sized.size = sizeof(sized);
    sized.reserved = 0;
    return (enum hx_status)hx_sys_file_attr_set(directory, path, strlen(path), &sized,
                                                sizeof(sized), flags);
}

s64 hx_xattr_get(hx_handle_t file, const char *name, void *value, size_t size)
{
    return hx_sys_xattr_get(file, name, strlen(name), value, size);
}

enum hx_status hx_xattr_set(hx_handle_t file, const char *name, const void *value, size_t size,
                            u32 flags)
{
    return (enum hx_status)hx_sys_xattr_set(file, name, strlen(name), value, size, flags);
}

enum hx_status hx_xattr_remove(hx_handle_t file, const char *name)
{
    return (enum hx_status)hx_sys_xattr_remove(file, name, strlen(name));
}

s64 hx_xattr_list(hx_handle_t file, char *names, size_t size)
{
    return hx_sys_xattr_list(file, names, size);
}

enum hx_status hx_pipe(u32 flags, hx_handle_t *out_read, hx_handle_t *out_write)
{
    hx_handle_t ends[2] = {0};
    s64 result = hx_sys_pipe_create(ends, flags);
    if (result < 0) {
        return (enum hx_status)result;
    }
    *out_read = ends[0];
    *out_write = ends[1];
    return HX_OK;
}

enum hx_status hx_mount(const char *type, const char *path, u32 flags)
{
    return hx_mount_device(type, path, NULL, flags);
}

enum hx_status hx_mount_device(const char *type, const char *path, const struct hx_mount *options,
                               u32 flags)
{
    return (enum hx_status)hx_sys_mount(type, strlen(type), path, strlen(path),
                                        (u64)(uintptr_t)options, flags);
}

enum hx_status hx_unmount(const char *path)
{
    return (enum hx_status)hx_sys_unmount(path, strlen(path));
}

enum hx_status hx_fs_stat(hx_handle_t directory, const char *path, struct hx_fs_stat *out)
{
    return (enum hx_status)hx_sys_fs_stat(directory, path, strlen(path), out, sizeof(*out));
}
