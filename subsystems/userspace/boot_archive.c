/* SPDX-License-Identifier: MIT */
/* The archives among the loader's modules.
 * Owns:      nothing: boot modules stay where the loader put them.       Context: any.
 */
#include <core/init.h>
#include <hal/mmu.h>
#include <helix/string.h>
#include <userspace/archive.h>

#define TYPE_MASK 0170000u
#define TYPE_FILE 0100000u

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

enum hx_status boot_archive_find(const char *wanted, struct archive_file *out)
{
    size_t wanted_size = strlen(wanted);
    wanted = without_root(wanted, &wanted_size);
    const struct boot_info *info = boot_info_get();
    for (u32 i = 0; i < info->module_count; i++) {
        const struct boot_module *module = &info->modules[i];
        const void *image = hal_phys_to_virt(module->base);
        size_t cursor = 0;
        struct archive_file file;
        while (archive_next(image, module->size, &cursor, &file) == HX_OK) {
            size_t size = file.name_size;
            const char *name = without_root(file.name, &size);
            if ((file.mode & TYPE_MASK) == TYPE_FILE && size == wanted_size &&
                memcmp(name, wanted, size) == 0) {
                *out = file;
                return HX_OK;
            }
        }
    }
    return HX_ERR_NOT_FOUND;
}
