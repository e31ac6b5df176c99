/* SPDX-License-Identifier: MIT */
/* What every boot path tells the kernel, in one form for all machines. boot/<arch> fills it from
 * hostile input (Multiboot2 tags, a device tree); what it holds has been checked: regions are
 * sorted, page-aligned, disjoint and inside the CPU's physical range, strings are terminated.
 * It lives in the kernel image and is never freed; read-only after kernel_main has started.
 */
#ifndef HELIX_BOOT_INFO_H
#define HELIX_BOOT_INFO_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define BOOT_REGIONS_MAX 128
#define BOOT_MODULES_MAX 16
#define BOOT_CMDLINE_MAX 2048
#define BOOT_NAME_MAX    64

/* Where regions overlap, the kind that stands later in this list wins. */
enum boot_region_kind {
    BOOT_REGION_RAM,         /* free for the kernel */
    BOOT_REGION_RECLAIMABLE, /* firmware tables: free once they have been read */
    BOOT_REGION_LOADER,      /* boot modules, command line, device tree: kept until done with */
    BOOT_REGION_KERNEL,      /* the kernel image */
    BOOT_REGION_NVS,         /* firmware storage: mapped, never handed out */
    BOOT_REGION_RESERVED,    /* not ours, or not memory at all */
    BOOT_REGION_KIND_COUNT
};

struct boot_region {
    paddr_t base; /* page-aligned */
    u64 size;     /* bytes, page-aligned, never 0 */
    enum boot_region_kind kind;
};

struct boot_module {
    paddr_t base;
    u64 size; /* bytes, never 0 */
    char name[BOOT_NAME_MAX];
};

enum boot_pixel_kind { BOOT_PIXEL_NONE, BOOT_PIXEL_RGB };

struct boot_framebuffer {
    enum boot_pixel_kind kind; /* BOOT_PIXEL_NONE: there is none, the rest is 0 */
    paddr_t base;
    u32 width, height; /* pixels */
    u32 pitch;         /* bytes from a row to the next */
    u8 bits_per_pixel; /* 16, 24 or 32 */
    u8 red_shift, green_shift, blue_shift;
    u8 red_bits, green_bits, blue_bits;
};

struct boot_info {
    char loader[BOOT_NAME_MAX];     /* the boot loader's name, or "" */
    char cmdline[BOOT_CMDLINE_MAX]; /* as the loader gave it */
    bool cmdline_cut;               /* it was longer than that */
    u32 region_count;
    struct boot_region regions[BOOT_REGIONS_MAX]; /* ascending; gaps are not memory */
    u32 regions_dropped; /* more than fit, or nonsense: reported in the log */
    u32 module_count;
    struct boot_module modules[BOOT_MODULES_MAX];
    u32 modules_dropped;
    struct boot_framebuffer framebuffer;
    paddr_t kernel_base; /* where the image was loaded */
    u64 kernel_size;     /* bytes, .bss included */
    paddr_t acpi_rsdp;   /* 0: none. Physical address of a copy or of the original RSDP */
    paddr_t dtb;         /* 0: none */
    u64 dtb_size;        /* bytes, as checked against its header */
    /* Page of device registers that the loader's map has at DEVICE_BASE, for the first serial
     * console; 0: none. It stays there in the kernel's own map. */
    paddr_t early_device;
    const char *problem; /* why the system cannot start, in words, or NULL: kernel_main says so */
    const char *warning; /* what is odd but was worked around, or NULL */
    u64 entry_counter;   /* hal_counter_read() at the kernel's first instructions */
    u64 boot_cpu_hw_id;  /* MPIDR affinity or local APIC id */
};

/* Adds a raw region; bounds are clipped to the 64-bit space. Regions past the table's end are
 * counted in regions_dropped. Context: early. */
void boot_info_add_region(struct boot_info *info, paddr_t base, u64 size,
                          enum boot_region_kind kind);

/* Sorts, resolves overlaps (later kind wins), aligns to pages (RAM shrinks, the rest grows), drops
 * what lies above `phys_limit` and joins neighbours of one kind. Call it once, after all adds.
 * Return: HX_OK; HX_ERR_NOT_FOUND when no RAM is left; HX_ERR_NO_SPACE when resolving needed more
 * entries than there are (memory that does not fit is dropped, and counted). Context: early. */
enum hx_status boot_info_normalise(struct boot_info *info, u64 phys_limit) HX_MUST_CHECK;

/* Where boot/<arch> hands over. `info` is complete, the MMU is on with the loader's map of
 * <hal/layout.h>, interrupts are off, the stack is the boot stack. core/init defines it. */
void kernel_main(struct boot_info *info) HX_NORETURN;

#endif
