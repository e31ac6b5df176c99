/* SPDX-License-Identifier: MIT */
/* Any bytes as Multiboot2 tags: what multiboot2_read() and boot_info_normalise() leave must have
 * the form that <helix/boot_info.h> promises. The first two input bytes choose the CPU's physical
 * limit and the kernel's place; the rest are the tags.
 */
#include <boot/multiboot2.h>
#include <helix/boot_info.h>
#include <helix/panic.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_regions(const struct boot_info *info, u64 limit, enum hx_status status)
{
    bool ram = false;
    HX_ASSERT(info->region_count <= BOOT_REGIONS_MAX);
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        HX_ASSERT(r->size > 0 && r->size <= limit && r->base <= limit - r->size);
        HX_ASSERT(r->base % HX_PAGE_SIZE == 0 && r->size % HX_PAGE_SIZE == 0);
        HX_ASSERT(i == 0 || info->regions[i - 1].base + info->regions[i - 1].size <= r->base);
        HX_ASSERT(r->kind < BOOT_REGION_KIND_COUNT);
        ram |= r->kind == BOOT_REGION_RAM;
    }
    HX_ASSERT(ram == (status != HX_ERR_NOT_FOUND));
    HX_ASSERT(status != HX_ERR_NO_SPACE || info->regions_dropped > 0);
}

/* Nothing that is occupied has become free. */
static void check_occupied(const struct boot_info *info, paddr_t base, u64 size)
{
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        HX_ASSERT(r->kind != BOOT_REGION_RAM || r->base + r->size <= base ||
                  r->base >= base + size);
    }
}

static void check_rest(const struct boot_info *info)
{
    HX_ASSERT(memchr(info->cmdline, 0, sizeof(info->cmdline)));
    HX_ASSERT(memchr(info->loader, 0, sizeof(info->loader)));
    HX_ASSERT(info->module_count <= BOOT_MODULES_MAX);
    for (u32 i = 0; i < info->module_count; i++) {
        HX_ASSERT(info->modules[i].size > 0);
        HX_ASSERT(memchr(info->modules[i].name, 0, BOOT_NAME_MAX));
    }
    const struct boot_framebuffer *fb = &info->framebuffer;
    if (fb->kind == BOOT_PIXEL_NONE) {
        HX_ASSERT(fb->base == 0 && fb->width == 0 && fb->height == 0);
        return;
    }
    HX_ASSERT(fb->width > 0 && fb->height > 0 && fb->pitch >= fb->width * fb->bits_per_pixel / 8);
    HX_ASSERT(fb->base + (u64)fb->pitch * fb->height > fb->base);
    HX_ASSERT(fb->red_shift + fb->red_bits <= fb->bits_per_pixel && fb->red_bits <= 8);
    HX_ASSERT(fb->green_shift + fb->green_bits <= fb->bits_per_pixel && fb->green_bits <= 8);
    HX_ASSERT(fb->blue_shift + fb->blue_bits <= fb->bits_per_pixel && fb->blue_bits <= 8);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct boot_info info;
    u8 rsdp[ACPI_RSDP_SIZE_MAX];
    size_t rsdp_size = 77;
    if (size < 2) {
        return 0;
    }
    u64 limit = 1ull << (32 + data[0] % 21);
    paddr_t kernel = 0x100000 + (paddr_t)data[1] * HX_PAGE_SIZE;
    u8 *tags = malloc(size - 2 ? size - 2 : 1); /* its end is the sanitizer's */
    if (!tags) {
        return 0;
    }
    memcpy(tags, data + 2, size - 2);
    memset(&info, 0, sizeof(info));
    HX_IGNORE(multiboot2_read(&info, tags, size - 2, rsdp, &rsdp_size),
              "what stood before a fault is used all the same");
    free(tags);
    HX_ASSERT(rsdp_size == 0 || rsdp_size == 20 || rsdp_size == 36);
    boot_info_add_region(&info, kernel, 0x200000, BOOT_REGION_KERNEL);
    enum hx_status status = boot_info_normalise(&info, limit);
    check_regions(&info, limit, status);
    check_occupied(&info, kernel, 0x200000);
    for (u32 i = 0; i < info.module_count; i++) {
        check_occupied(&info, info.modules[i].base, info.modules[i].size);
    }
    check_rest(&info);
    return 0;
}
