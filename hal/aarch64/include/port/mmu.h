/* SPDX-License-Identifier: MIT */
/* What the boot map of boot/aarch64 and the port's own page tables agree on: descriptor bits
 * (Arm ARM, D8.3), memory attributes and translation control. For C and assembly.
 */
#ifndef PORT_MMU_H
#define PORT_MMU_H

#include <hal/layout.h>

#define MAIR_VALUE       0x4404ff /* index 0: write-back, 1: device nGnRE, 2: non-cacheable */
#define MMU_INDEX_NORMAL 0
#define MMU_INDEX_DEVICE 1
#define MMU_INDEX_NC     2

/* TCR_EL1 without IPS: 48-bit halves, 4 KiB granule, walks inner shareable and write-back. */
#define TCR_VALUE     0xb5103510
#define TCR_IPS_SHIFT 32

#define PTE_VALID      1ul
#define PTE_TABLE      2ul /* levels 0 to 2: the next table; level 3: a page */
#define PTE_INDEX(i)   ((unsigned long)(i) << 2)
#define PTE_USER       (1ul << 6)
#define PTE_READ_ONLY  (1ul << 7)
#define PTE_INNER      (3ul << 8)
#define PTE_ACCESSED   (1ul << 10)
#define PTE_NOT_GLOBAL (1ul << 11)
#define PTE_PXN        (1ul << 53)
#define PTE_UXN        (1ul << 54)
#define PTE_ADDRESS    0x0000fffffffff000ul

/* A page of device registers, kernel only, writable. */
#define PTE_DEVICE                                                                                 \
    (PTE_VALID | PTE_TABLE | PTE_INDEX(MMU_INDEX_DEVICE) | PTE_ACCESSED | PTE_PXN | PTE_UXN)

/* SCTLR_EL1: bits that are one in Armv8.0, MMU, caches, SP alignment checks. */
#define SCTLR_OFF 0x30d00800
#define SCTLR_ON  (SCTLR_OFF | 0x101d)

#endif
