/* SPDX-License-Identifier: MIT */
/* The C end of the aarch64 boot path: device tree to boot_info, first serial console, kernel_main.
 * Owns:      the boot information.      Caller: entry.S, once.      Context: early, boot stack.
 * Trust:     x0 is taken for a tree only if a valid header lies there; every size is checked before
 *            what it covers is mapped or read. */
#include "boot_priv.h"

#include <boot/fdt.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <port/dt.h>
#include <port/platform.h>
#include <port/sysreg.h>

#define TREE_MAGIC 0xd00dfeedu

extern const char __image_start[], __image_end[];

static struct boot_info boot_information;

/* One block is mapped so far: enough for magic and total size, which lie in the first 8 bytes. */
static const void *tree_open(paddr_t dtb, size_t *out_size)
{
    const u8 *tree = hal_phys_to_virt(dtb);
    u32 magic = hx_load_be32(tree), size = hx_load_be32(tree + 4);
    if (magic != TREE_MAGIC) {
        boot_fatal("no device tree: its address and its first word", dtb, magic);
    }
    if (size < 8 || size > DT_SIZE_MAX) {
        boot_fatal("bad device tree: its address and size", dtb, size);
    }
    boot_map_direct(dtb, size);
    if (dt_check(tree, size, out_size) != HX_OK) {
        boot_fatal("bad device tree header: its address and size", dtb, size);
    }
    return tree;
}

static bool page_is_memory(const struct boot_info *info, paddr_t page)
{
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        if (r->kind != BOOT_REGION_RESERVED && page >= r->base && page - r->base < r->size) {
            return true;
        }
    }
    return false;
}

static void serial_map(struct boot_info *info, paddr_t serial)
{
    paddr_t page = hx_align_down(serial, HX_PAGE_SIZE);
    if (serial != 0 && page < hal_mmu.phys_limit() && !page_is_memory(info, page)) {
        info->early_device = page;
        boot_map_device(page);
    }
}

void boot_main(paddr_t dtb, u64 entry_counter, paddr_t image)
{
    struct boot_info *info = &boot_information;
    size_t size;
    const void *tree = tree_open(dtb, &size);
    info->dtb = dtb;
    info->dtb_size = size;
    info->kernel_base = image;
    info->kernel_size = (u64)(__image_end - __image_start);
    info->entry_counter = entry_counter;
    info->boot_cpu_hw_id = sysreg_read(mpidr_el1) & MPIDR_AFFINITY;
    boot_fdt_read(info, tree);
    HX_IGNORE(boot_info_normalise(info, hal_mmu.phys_limit()),
              "drops are counted, and memory_init says it when there is no RAM");
    serial_map(info, port_platform_scan(tree, info->boot_cpu_hw_id));
    kernel_main(info);
}
