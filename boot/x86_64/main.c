/* SPDX-License-Identifier: MIT */
/* From Multiboot2 to kernel_main.
 * Owns:      the boot_info, the copy of the ACPI root pointer.    Caller: entry.asm.
 * Context:   early: the first 4 GiB are in the direct map, nothing else works yet.
 */
#include <boot/multiboot2.h>

#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/boot_info.h>

static struct boot_info info;
static u8 rsdp_copy[ACPI_RSDP_SIZE_MAX] HX_ALIGNED(16);

extern const char __image_start[], __image_end[];

void boot_main(u64 mbi, u64 entry_counter) HX_NORETURN;

static paddr_t image_phys(const void *p)
{
    return (vaddr_t)p - KERNEL_IMAGE_BASE;
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
    boot_info_add_region(&info, load_base, info.kernel_base - load_base, BOOT_REGION_LOADER);
    boot_info_add_region(&info, info.kernel_base, info.kernel_size, BOOT_REGION_KERNEL);
    status = boot_info_normalise(&info, hal_mmu.phys_limit());
    if (status == HX_ERR_NOT_FOUND && !info.problem) {
        info.problem = "the boot loader names no memory";
    }
    kernel_main(&info);
}
