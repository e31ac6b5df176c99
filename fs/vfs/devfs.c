/* SPDX-License-Identifier: MIT */
/* devfs: devices by name, a table of them; and what reading and writing them does.
 * Owns:      nothing.      Callers: the VFS.     Context: thread.
 * Invariant: a device's number is its place in the table plus one, as is its inode number after the
 *            root's.
 */
#include <core/console.h>
#include <core/memory.h>
#include <core/random.h>
#include <helix/bits.h>
#include <helix/string.h>
#include "vfs_priv.h"

#define ROOT_INO 1
#define PART     512 /* bytes that go by way of the kernel's stack at a time */

static s64 null_read(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)file, (void)buffer, (void)offset;
    return 0;
}

static s64 null_write(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)file, (void)offset;
    return (s64)hx_min_u64(buffer->size, VFS_IO_MAX);
}

/* Fills the buffer with what `make` makes. */
static s64 make_bytes(const struct vfs_buffer *buffer, void (*make)(void *to, size_t n))
{
    u8 bytes[PART];
    u64 size = hx_min_u64(buffer->size, VFS_IO_MAX), done = 0;
    while (done < size) {
        struct vfs_buffer part = buffer_part(buffer, done, hx_min_u64(size - done, PART));
        make(bytes, part.size);
        enum hx_status status = buffer_fill(&part, bytes);
        if (status != HX_OK) {
            return done ? (s64)done : (s64)status;
        }
        done += part.size;
    }
    return (s64)done;
}

static void make_zeroes(void *to, size_t n)
{
    memset(to, 0, n);
}

static s64 zero_read(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)file, (void)offset;
    return make_bytes(buffer, make_zeroes);
}

static s64 random_read(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)file, (void)offset;
    return make_bytes(buffer, random_fill);
}

/* What has been typed, at least a byte. */
static s64 console_file_read(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)file, (void)offset;
    if (buffer->size == 0) {
        return 0;
    }
    u8 byte;
    enum hx_status status = console_read_until(&byte, WAIT_FOREVER);
    if (status == HX_OK) {
        struct vfs_buffer part = buffer_part(buffer, 0, 1);
        status = buffer_fill(&part, &byte);
    }
    return status == HX_OK ? 1 : (s64)status;
}

static s64 console_file_write(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)file, (void)offset;
    char text[PART];
    u64 size = hx_min_u64(buffer->size, VFS_IO_MAX), done = 0;
    while (done < size) {
        struct vfs_buffer part = buffer_part(buffer, done, hx_min_u64(size - done, PART));
        enum hx_status status = buffer_drain(&part, text);
        if (status != HX_OK) {
            return done ? (s64)done : (s64)status;
        }
        console_write(text, part.size);
        done += part.size;
    }
    return (s64)done;
}

static const struct device {
    const char *name;
    struct file_ops ops;
} devices[] = {
    {"console", {.stream = true, .read = console_file_read, .write = console_file_write}},
    {"null", {.stream = true, .read = null_read, .write = null_write}},
    {"random", {.stream = true, .read = random_read}},
    {"zero", {.stream = true, .read = zero_read, .write = null_write}},
};

const struct file_ops *device_ops(u64 rdev)
{
    return rdev >= 1 && rdev <= HX_ARRAY_SIZE(devices) ? &devices[rdev - 1].ops : NULL;
}

static struct fs_attr attr_of(u64 ino)
{
    return (struct fs_attr){
        .ino = ino,
        .mode = ino == ROOT_INO ? HX_MODE_DIRECTORY | 0755 : HX_MODE_DEVICE | 0666,
        .nlink = ino == ROOT_INO ? 2 : 1,
        .rdev = ino - ROOT_INO,
    };
}

static enum hx_status devfs_mount(const struct fs_mount_request *request, void **out_fs,
                                  struct fs_attr *out_root)
{
    *out_fs = NULL;
    *out_root = attr_of(ROOT_INO);
    return request->device ? HX_ERR_NOT_SUPPORTED : HX_OK;
}

static enum hx_status devfs_unmount(void *fs)
{
    (void)fs;
    return HX_OK;
}

static enum hx_status devfs_lookup(void *fs, u64 dir, struct fs_name name, struct fs_attr *out)
{
    (void)fs, (void)dir;
    for (u32 i = 0; i < HX_ARRAY_SIZE(devices); i++) {
        if (strlen(devices[i].name) == name.size &&
            memcmp(devices[i].name, name.text, name.size) == 0) {
            *out = attr_of(ROOT_INO + 1 + i);
            return HX_OK;
        }
    }
    return HX_ERR_NOT_FOUND;
}

static const char *device_name(u64 index)
{
    return index < HX_ARRAY_SIZE(devices) ? devices[index].name : NULL;
}

enum hx_status table_readdir(const char *(*name_of)(u64 index), u8 type, u64 *cookie, void *buf,
                             size_t size, size_t *out_used)
{
    size_t used = 0;
    const char *name;
    while ((name = name_of(*cookie)) != NULL) {
        size_t n = strlen(name), record = hx_align_up(sizeof(struct hx_dirent) + n + 1, 8);
        if (record > size - used) {
            break;
        }
        struct hx_dirent *d = (void *)((u8 *)buf + used);
        *d = (struct hx_dirent){
            .ino = ROOT_INO + 1 + *cookie, .size = (u16)record, .type = type, .name_size = (u8)n};
        memcpy(d->name, name, n + 1);
        used += record;
        ++*cookie;
    }
    *out_used = used;
    return HX_OK;
}

static enum hx_status devfs_readdir(void *fs, u64 dir, u64 *cookie, void *buf, size_t size,
                                    size_t *out_used)
{
    (void)fs, (void)dir;
    return table_readdir(device_name, HX_MODE_DEVICE >> 12, cookie, buf, size, out_used);
}

const struct fs_ops devfs_ops = {
    .abi_version = FS_ABI,
    .size = sizeof(struct fs_ops),
    .name = "devfs",
    .flags = FS_DIRECT,
    .mount = devfs_mount,
    .unmount = devfs_unmount,
    .lookup = devfs_lookup,
    .readdir = devfs_readdir,
};
