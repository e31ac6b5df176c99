/* SPDX-License-Identifier: MIT */
/* The loader's map: what is mapped until the kernel's own tables are active.
 * Owns:      the boot tables (boot_tables, outside .bss: filled before .bss is cleared).
 * Callers:   entry.S with the MMU off (boot_map_init); main.c with it on (the others).
 * Context:   early, boot CPU; no locks.
 * Invariant: (1) only the image and the tree are mapped as normal memory: speculation never reaches
 *            a device.  (2) entries go from zero to valid, or to the same value again: none needs
 *            break-before-make.
 * Runs at its physical address with the MMU off, where memory behaves as device memory: aligned
 * accesses, no calls to mem*, no stored pointers. Everything is executable and writable here:
 * this map dies with the first hal_mmu.activate(). */
#include "boot_priv.h"

#include <helix/bits.h>
#include <port/mmu.h>
#include <port/sysreg.h>

/* In entry.S, which zeroes them; boot_tables[0] is TTBR0's top, boot_tables[1] TTBR1's. */
extern u64 boot_tables[BOOT_TABLE_COUNT][BOOT_TABLE_SIZE / 8];
extern u64 boot_tables_used;

#define ATTRS_NORMAL (PTE_VALID | PTE_INDEX(MMU_INDEX_NORMAL) | PTE_INNER | PTE_ACCESSED | PTE_UXN)

static u32 level_shift(u32 level)
{
    return 39 - 9 * level;
}

/* The table below table[index], made if need be. Tables are reached PC-relative, so the same code
 * sees physical addresses before the MMU is on and virtual ones after; `delta` makes either
 * physical. */
static u64 *table_below(u64 *table, u32 index, u64 delta)
{
    u64 entry = table[index];
    if (entry == 0) {
        if (boot_tables_used == BOOT_TABLE_COUNT) {
            boot_fatal("the boot tables are too few", boot_tables_used, index);
        }
        u64 *next = boot_tables[boot_tables_used++];
        entry = ((u64)next + delta) | PTE_VALID | PTE_TABLE;
        table[index] = entry;
    }
    return (u64 *)((entry & PTE_ADDRESS) - delta);
}

static void map_leaf(u64 *top, vaddr_t va, u32 level, u64 descriptor, u64 delta)
{
    u64 *table = top;
    for (u32 l = 0; l < level; l++) {
        table = table_below(table, (va >> level_shift(l)) & 511, delta);
    }
    table[(va >> level_shift(level)) & 511] = descriptor;
}

static void map_blocks(u64 *top, vaddr_t va, paddr_t pa, u64 size, u64 delta)
{
    u64 end = pa + size;
    va -= pa & (BOOT_BLOCK_SIZE - 1);
    pa = hx_align_down(pa, BOOT_BLOCK_SIZE);
    for (; pa < end; va += BOOT_BLOCK_SIZE, pa += BOOT_BLOCK_SIZE) {
        map_leaf(top, va, 2, pa | ATTRS_NORMAL, delta);
    }
}

void boot_map_init(paddr_t image, u64 image_size, paddr_t dtb)
{
    u64 mmfr0 = sysreg_read(id_aa64mmfr0_el1);
    if (sysreg_field(mmfr0, 28) == 0xf) {
        boot_fatal("the CPU has no 4 KiB pages, ID_AA64MMFR0", mmfr0, 0);
    }
    if (dtb == 0 || dtb % 8 != 0 || dtb >> 47 != 0) {
        boot_fatal("no device tree: its address and its first word", dtb, 0);
    }
    boot_tables_used = 2;
    u64 *user = boot_tables[0], *kernel = boot_tables[1];
    map_blocks(user, image, image, image_size, 0);
    map_blocks(kernel, KERNEL_LINK_BASE, image, image_size, 0);
    map_blocks(kernel, DIRECT_MAP_BASE + image, image, image_size, 0);
    map_blocks(kernel, DIRECT_MAP_BASE + dtb, dtb, 1, 0);
}

/* What to add to the link address of an image byte for its physical address, with the MMU on. */
static u64 image_delta(void)
{
    paddr_t physical;
    __asm__ volatile("at s1e1r, %1\n\tisb\n\tmrs %0, par_el1"
                     : "=r"(physical)
                     : "r"(boot_tables)
                     : "memory");
    return (physical & PTE_ADDRESS) - (u64)boot_tables;
}

static void publish(void)
{
    __asm__ volatile("dsb ishst\n\tisb" ::: "memory");
}

void boot_map_direct(paddr_t base, u64 size)
{
    map_blocks(boot_tables[1], DIRECT_MAP_BASE + base, base, size, image_delta());
    publish();
}

void boot_map_device(paddr_t page)
{
    map_leaf(boot_tables[1], DEVICE_BASE, 3, page | PTE_DEVICE, image_delta());
    publish();
}
