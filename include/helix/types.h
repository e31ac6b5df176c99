/* SPDX-License-Identifier: MIT */
/* The scalar types that every layer shares.
 * Physical and virtual addresses are different types by name, and never mixed: the only ways from
 * one to the other are hal_phys_to_virt() and hal_virt_to_phys() of <hal/mmu.h>.
 */
#ifndef HELIX_TYPES_H
#define HELIX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned __int128 u128;

typedef u64 paddr_t;       /* physical address, bytes */
typedef uintptr_t vaddr_t; /* virtual address, bytes */
typedef u32 irq_t;         /* interrupt line, numbered by the interrupt controller's driver */
typedef u32 cpu_id_t;      /* logical CPU, 0 is the one that booted */

#define HX_IRQ_NONE ((irq_t)-1)

#define HX_PAGE_SHIFT 12
#define HX_PAGE_SIZE  ((size_t)1 << HX_PAGE_SHIFT)
#define HX_PAGE_MASK  (HX_PAGE_SIZE - 1)

#define HX_KIB(n) ((u64)(n) << 10)
#define HX_MIB(n) ((u64)(n) << 20)
#define HX_GIB(n) ((u64)(n) << 30)

#define HX_NS_PER_US  ((u64)1000)
#define HX_NS_PER_MS  ((u64)1000000)
#define HX_NS_PER_SEC ((u64)1000000000)

_Static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8, "Helix is a 64-bit system");

#endif
