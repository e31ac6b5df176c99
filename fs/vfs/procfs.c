/* SPDX-License-Identifier: MIT */
/* procfs: what the kernel knows, as text; a table of files, each made anew when it is read.
 * Owns:      nothing.      Caller: the VFS.     Context: thread.
 * Invariant: a read makes the whole text and keeps the part that was asked for: no length is known
 *            before, and no buffer has to hold it. Every file ends with a newline; so may a line
 * that changed between two reads be cut where they meet.
 */
#include <core/cmdline.h>
#include <core/cpu.h>
#include <core/task.h>
#include <core/time.h>
#include <execution/process.h>
#include <hal/cpu.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/string.h>
#include <helix/version.h>
#include <memory/frame.h>
#include <stdarg.h>
#include <fs/block.h>
#include "vfs_priv.h"

#define ROOT_INO 1

/* The part of a text that is wanted. */
struct window {
    u64 skip; /* bytes before it that are still to come */
    u8 *to;
    size_t room, used;
};

static void window_sink(void *ctx, const char *text, size_t n)
{
    struct window *w = ctx;
    size_t skipped = (size_t)hx_min_u64(w->skip, n);
    w->skip -= skipped;
    size_t kept = (size_t)hx_min_u64(n - skipped, w->room - w->used);
    memcpy(w->to + w->used, text + skipped, kept);
    w->used += kept;
}

static void print(struct window *w, const char *fmt, ...) HX_PRINTF(2, 3);
static void print(struct window *w, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    format_to(window_sink, w, fmt, args);
    va_end(args);
}

static void print_version(struct window *w)
{
    print(w, "Helix %s %s %s\n", helix_version, helix_variant, helix_build_id);
}

static void print_uptime(struct window *w)
{
    u64 ns = time_now_ns();
    print(w, "%lu.%09lu\n", ns / HX_NS_PER_SEC, ns % HX_NS_PER_SEC);
}

static void print_memory(struct window *w)
{
    struct frame_usage usage;
    frame_usage_read(&usage);
    print(w, "total %lu KiB\nfree %lu KiB\n", usage.total * 4, usage.free * 4);
    for (u32 i = FRAME_KERNEL; i < FRAME_OWNER_COUNT; i++) {
        if (usage.owners[i]) {
            print(w, "%s %lu KiB\n", frame_owner_name(i), usage.owners[i] * 4);
        }
    }
    print(w, "spaces %lu KiB\nmodules %lu KiB\n", usage.spaces * 4, usage.modules * 4);
}

static void print_process(struct process *process, void *ctx)
{
    print(ctx, "%lu %lu %u %s\n", process->id, process->parent ? process->parent->id : 0,
          process->thread_count, process->name);
}

static void print_processes(struct window *w)
{
    process_for_each(print_process, w);
}

static void print_cpu(struct window *w)
{
    char name[64];
    hal_cpu.name(name, sizeof(name));
    u64 idle = 0; /* cycles */
    for (u32 i = 0; i < cpu_online_count(); i++) {
        idle += HX_READ_ONCE(cpus[i].idle_cycles);
    }
    print(w, "model %s\nonline %u\nidle %lu\n", name, cpu_online_count(), idle);
}

static void print_disks(struct window *w)
{
    struct block_device *dev;
    for (u32 i = 0; (dev = block_device_at(i)); i++) {
        struct block_info info;
        block_device_info(dev, &info);
        print(w, "%s %lu %s\n", info.name, info.sectors, info.driver);
        block_device_put(dev);
    }
}

static bool print_mount(void *ctx, const char *path, const struct fs_ops *ops, u32 flags)
{
    print(ctx, "%s %s %s\n", path, ops->name, flags & HX_MOUNT_READ_ONLY ? "ro" : "rw");
    return true;
}

static void print_mounts(struct window *w)
{
    namespace_for_each(namespace_current(), print_mount, w);
}

static void print_names(struct window *w)
{
    struct dcache_usage usage;
    dcache_usage_read(&usage);
    print(w, "entries %lu\nlimit %lu\nhits %lu\nmisses %lu\n", usage.count, usage.limit, usage.hits,
          usage.misses);
}

static const struct proc_file {
    const char *name;
    void (*print)(struct window *w);
} files[] = {
    {"cpu", print_cpu},       {"disks", print_disks},     {"memory", print_memory},
    {"mounts", print_mounts}, {"names", print_names},     {"processes", print_processes},
    {"uptime", print_uptime}, {"version", print_version},
};

static struct fs_attr attr_of(u64 ino)
{
    return (struct fs_attr){
        .ino = ino,
        .mode = ino == ROOT_INO ? HX_MODE_DIRECTORY | 0555 : HX_MODE_FILE | 0444,
        .nlink = ino == ROOT_INO ? 2 : 1,
    };
}

static enum hx_status procfs_mount(const struct fs_mount_request *request, void **out_fs,
                                   struct fs_attr *out_root)
{
    *out_fs = NULL;
    *out_root = attr_of(ROOT_INO);
    return request->device ? HX_ERR_NOT_SUPPORTED : HX_OK;
}

static enum hx_status procfs_unmount(void *fs)
{
    (void)fs;
    return HX_OK;
}

static enum hx_status procfs_lookup(void *fs, u64 dir, struct fs_name name, struct fs_attr *out)
{
    (void)fs, (void)dir;
    for (u32 i = 0; i < HX_ARRAY_SIZE(files); i++) {
        if (strlen(files[i].name) == name.size &&
            memcmp(files[i].name, name.text, name.size) == 0) {
            *out = attr_of(ROOT_INO + 1 + i);
            return HX_OK;
        }
    }
    return HX_ERR_NOT_FOUND;
}

static const char *file_name(u64 index)
{
    return index < HX_ARRAY_SIZE(files) ? files[index].name : NULL;
}

static enum hx_status procfs_readdir(void *fs, u64 dir, u64 *cookie, void *buf, size_t size,
                                     size_t *out_used)
{
    (void)fs, (void)dir;
    return table_readdir(file_name, HX_MODE_FILE >> 12, cookie, buf, size, out_used);
}

static enum hx_status procfs_read(void *fs, u64 ino, u64 offset, void *buf, size_t size,
                                  size_t *out_done)
{
    (void)fs;
    u64 index = ino - ROOT_INO - 1;
    if (index >= HX_ARRAY_SIZE(files)) {
        return HX_ERR_INVALID;
    }
    struct window w = {.skip = offset, .to = buf, .room = size};
    files[index].print(&w);
    *out_done = w.used;
    return HX_OK;
}

const struct fs_ops procfs_ops = {
    .abi_version = FS_ABI,
    .size = sizeof(struct fs_ops),
    .name = "procfs",
    .flags = FS_DIRECT,
    .mount = procfs_mount,
    .unmount = procfs_unmount,
    .lookup = procfs_lookup,
    .readdir = procfs_readdir,
    .read = procfs_read,
};
