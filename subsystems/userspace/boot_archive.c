/* SPDX-License-Identifier: MIT */
/* The archives among the loader's modules, and the one that the host hands over at run time.
 * Owns:      the host's, read when a file is first looked for; boot modules stay where the loader
 * put them.       Context: thread.
 */
#include <core/init.h>
#include <core/memory.h>
#include <hal/firmware.h>
#include <hal/mmu.h>
#include <helix/log.h>
#include <helix/string.h>
#include <userspace/archive.h>

#define TYPE_MASK  0170000u
#define TYPE_FILE  0100000u
#define HOST_FILES "opt/helix/files" /* fw_cfg; ./helix run --file */

static struct {
    bool asked;
    void *image; /* NULL: there is none */
    size_t size;
} host;

static const char *without_root(const char *name, size_t *size)
{
    for (;;) {
        if (*size >= 1 && name[0] == '/') {
            name++;
            (*size)--;
        } else if (*size >= 2 && name[0] == '.' && name[1] == '/') {
            name += 2;
            *size -= 2;
        } else {
            return name;
        }
    }
}

static bool find_in(const void *image, size_t image_size, const char *wanted, size_t wanted_size,
                    struct archive_file *out)
{
    size_t cursor = 0;
    struct archive_file file;
    while (archive_next(image, image_size, &cursor, &file) == HX_OK) {
        size_t size = file.name_size;
        const char *name = without_root(file.name, &size);
        if ((file.mode & TYPE_MASK) == TYPE_FILE && size == wanted_size &&
            memcmp(name, wanted, size) == 0) {
            *out = file;
            return true;
        }
    }
    return false;
}

/* What the host hands over at run time, read once and kept. */
static void host_files_read(void)
{
    size_t size = 0, again;
    host.asked = true;
    if (hal_firmware.blob_read(HOST_FILES, NULL, 0, &size) != HX_OK || size == 0) {
        return;
    }
    void *image = kmalloc(size);
    if (image && hal_firmware.blob_read(HOST_FILES, image, size, &again) == HX_OK &&
        again == size) {
        host.image = image;
        host.size = size;
    } else {
        kfree(image);
        log_warn("archive", "%lu bytes of files from the host cannot be read", size);
    }
}

enum hx_status boot_archive_find(const char *wanted, struct archive_file *out)
{
    size_t wanted_size = strlen(wanted);
    wanted = without_root(wanted, &wanted_size);
    if (!host.asked) {
        host_files_read();
    }
    out->from_host = host.image && find_in(host.image, host.size, wanted, wanted_size, out);
    if (out->from_host) {
        return HX_OK;
    }
    const struct boot_info *info = boot_info_get();
    for (u32 i = 0; i < info->module_count; i++) {
        const struct boot_module *module = &info->modules[i];
        if (find_in(hal_phys_to_virt(module->base), module->size, wanted, wanted_size, out)) {
            out->from_host = false;
            return HX_OK;
        }
    }
    return HX_ERR_NOT_FOUND;
}
