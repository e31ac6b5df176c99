/* SPDX-License-Identifier: MIT */
/* Bringing the file systems up: the root, which is a RAM file system with the files of the boot
 * archives in it, /dev and /proc.
 * Owns:      nothing: contents stay in the archives, where the loader put them.   Context: thread.
 * Invariant: an archive is hostile: names are walked like any program's, so none leads out of the
 *            root, and a part of it that makes no sense is said and left out.
 */
#include <core/init.h>
#include <core/orchestrator.h>
#include <hal/mmu.h>
#include <helix/log.h>
#include <helix/string.h>
#include <userspace/archive.h>
#include "vfs_priv.h"

static enum hx_status place(const struct vfs_start *start, const struct archive_file *file)
{
    switch (file->mode & HX_MODE_TYPE) {
    case HX_MODE_DIRECTORY: {
        enum hx_status status = vfs_mkdir(start, file->name, file->name_size, file->mode);
        return status == HX_ERR_EXISTS ? HX_OK : status; /* "." among them */
    }
    case HX_MODE_LINK:
        return vfs_symlink(start, file->name, file->name_size, file->data, file->size);
    case HX_MODE_FILE:
        return vfs_place(start, file->name, file->name_size, file->mode, file->data, file->size);
    default:
        return HX_ERR_NOT_SUPPORTED;
    }
}

static u32 unpack(const struct vfs_start *start, const struct boot_module *module, u32 number)
{
    const void *image = hal_phys_to_virt(module->base);
    size_t cursor = 0;
    struct archive_file file;
    u32 count = 0;
    enum hx_status status;
    while ((status = archive_next(image, module->size, &cursor, &file)) == HX_OK) {
        status = place(start, &file);
        count += status == HX_OK;
        if (status != HX_OK) {
            log_warn("vfs", "archive %u: %.*s: %s", number, (int)file.name_size, file.name,
                     hx_status_words(status));
        }
    }
    if (status != HX_ERR_END && cursor > 0) { /* a module that is no archive at all is no matter */
        log_warn("vfs", "archive %u is damaged after %lu bytes", number, (u64)cursor);
    }
    return count;
}

static enum hx_status mount_at(const struct vfs_start *start, const char *path,
                               const struct fs_ops *ops)
{
    enum hx_status status = vfs_register(ops);
    if (status == HX_OK) {
        status = vfs_mkdir(start, path, strlen(path), 0755);
    }
    if (status == HX_OK || status == HX_ERR_EXISTS) {
        status = vfs_mount(start, path, strlen(path), ops->name, &(struct vfs_mount_request){0});
    }
    if (status != HX_OK) {
        log_error("vfs", "%s: %s", path, hx_status_words(status));
    }
    return status;
}

static enum hx_status vfs_init(void)
{
    enum hx_status (*const steps[])(void) = {vnode_init, dcache_init, mount_init};
    for (u32 i = 0; i < HX_ARRAY_SIZE(steps); i++) {
        enum hx_status status = steps[i]();
        if (status != HX_OK) {
            return status;
        }
    }
    struct vfs_start start = namespace_start(namespace_boot());
    const struct boot_info *info = boot_info_get();
    u32 count = 0;
    for (u32 i = 0; i < info->module_count; i++) {
        count += unpack(&start, &info->modules[i], i);
    }
    log_info("vfs", "ramfs on /, %u files of %u archives", count, info->module_count);
    HX_IGNORE(mount_at(&start, "dev", &devfs_ops), "said, and the rest works without it");
    HX_IGNORE(mount_at(&start, "proc", &procfs_ops), "said, and the rest works without it");
    return HX_OK;
}

static enum hx_status vfs_shutdown(u64 deadline_ns)
{
    (void)deadline_ns;
    return vfs_sync_all();
}

COMPONENT(vfs, .name = "vfs", .version = "1.0", .needs = "kernel", .init = vfs_init,
          .shutdown = vfs_shutdown);
