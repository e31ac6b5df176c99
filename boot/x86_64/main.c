/* SPDX-License-Identifier: MIT */
/* From Multiboot2 to kernel_main.
 * Owns:      the boot_info, the copy of the ACPI root pointer.    Caller: entry.asm.
 * Context:   early: the first 4 GiB are in the direct map, nothing else works yet.
 */
#include <boot/multiboot2.h>

#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/boot_info.h>

#define LOW_MEMORY_END 0xa0000

static struct boot_info info;
static u8 rsdp_copy[ACPI_RSDP_SIZE_MAX] HX_ALIGNED(16);

extern const char __image_start[], __image_end[];

void boot_main(u64 mbi, u64 entry_counter) HX_NORETURN;

static paddr_t image_phys(const void *p)
{
    return (vaddr_t)p - KERNEL_IMAGE_BASE;
}

/* A page below 640 KiB that is RAM and nobody's: other CPUs begin in real mode, at a page's start.
 * The highest, as firmware sets its own traps in the lowest. */
static paddr_t startup_page_choose(void)
{
    for (paddr_t page = LOW_MEMORY_END - HX_PAGE_SIZE; page > 0; page -= HX_PAGE_SIZE) {
        bool is_ram = false, is_taken = false;
        for (u32 i = 0; i < info.region_count; i++) {
            const struct boot_region *r = &info.regions[i];
            u64 end = r->base + r->size;
            if (r->kind == BOOT_REGION_RAM) {
                is_ram |= r->base <= page && end >= page + HX_PAGE_SIZE;
            } else {
                is_taken |= r->base < page + HX_PAGE_SIZE && end > page;
            }
        }
        if (is_ram && !is_taken) {
            return page;
        }
    }
    return 0;
}

void boot_main(u64 mbi, u64 entry_counter)
{
    const u32 *header = hal_phys_to_virt(mbi);
    size_t size = hx_min_u64(header[0], MULTIBOOT2_SIZE_MAX), rsdp_size = 0;
    paddr_t load_base = KERNEL_LINK_BASE - KERNEL_IMAGE_BASE;

    info.entry_counter = entry_counter;
    info.kernel_base = image_phys(__image_start);
    info.kernel_size = (u64)(__image_end - __image_start);
    if (!hx_is_aligned(mbi, 8) || mbi + size > HX_GIB(4)) {
        info.problem = "the boot information lies where it cannot be read";
        kernel_main(&info);
    }
    enum hx_status status = multiboot2_read(&info, header, size, rsdp_copy, &rsdp_size);
    if (status != HX_OK) {
        info.warning = "the loader's tags contradict themselves; those before the fault are used";
    }
    if (rsdp_size) {
        info.acpi_rsdp = image_phys(rsdp_copy);
    }
    boot_info_add_region(&info, 0, HX_PAGE_SIZE, BOOT_REGION_RESERVED); /* interrupt table */
    /* Code and tables of entry.asm: the other CPUs come through them. */
    boot_info_add_region(&info, load_base, info.kernel_base - load_base, BOOT_REGION_NVS);
    boot_info_add_region(&info, info.kernel_base, info.kernel_size, BOOT_REGION_KERNEL);
    info.startup_page = startup_page_choose();
    if (info.startup_page) {
        boot_info_add_region(&info, info.startup_page, HX_PAGE_SIZE, BOOT_REGION_NVS);
    }
    status = boot_info_normalise(&info, hal_mmu.phys_limit());
    if (status == HX_ERR_NOT_FOUND && !info.problem) {
        info.problem = "the boot loader names no memory";
    }
    kernel_main(&info);
}
