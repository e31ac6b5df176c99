/* SPDX-License-Identifier: MIT */
/* Instructions and constants that only x86_64 has; for hal/x86_64 and boot/x86_64.
 * Spec: Intel SDM volumes 2 and 3.
 */
#ifndef PORT_X86_H
#define PORT_X86_H

#include <helix/types.h>

#define CR0_PE   (1ull << 0)
#define CR0_MP   (1ull << 1)
#define CR0_TS   (1ull << 3)
#define CR0_ET   (1ull << 4)
#define CR0_NE   (1ull << 5)
#define CR0_WP   (1ull << 16)
#define CR0_PG   (1ull << 31)
#define CR4_PAE  (1ull << 5)
#define CR4_MCE  (1ull << 6)
#define CR4_PGE  (1ull << 7)
#define CR4_UMIP (1ull << 11)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)

#define MSR_APIC_BASE      0x1b
#define MSR_PAT            0x277
#define MSR_X2APIC         0x800
#define MSR_EFER           0xc0000080
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_NXE (1ull << 11)

static inline u8 io_read8(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline u16 io_read16(u16 port)
{
    u16 value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline u32 io_read32(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void io_write8(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void io_write16(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void io_write32(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline u64 msr_read(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (u64)high << 32 | low;
}

static inline void msr_write(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

struct cpuid {
    u32 a, b, c, d;
};

/* Zeroes for a leaf that the CPU does not have. */
static inline struct cpuid cpuid_read(u32 leaf, u32 subleaf)
{
    struct cpuid r = {0};
    u32 max, unused_b, unused_c, unused_d;
    __asm__ volatile("cpuid"
                     : "=a"(max), "=b"(unused_b), "=c"(unused_c), "=d"(unused_d)
                     : "a"(leaf & 0x80000000u), "c"(0));
    if (leaf <= max) {
        __asm__ volatile("cpuid"
                         : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
                         : "a"(leaf), "c"(subleaf));
    }
    return r;
}

#define PORT_CR(n)                                                                                 \
    static inline u64 cr##n##_read(void)                                                           \
    {                                                                                              \
        u64 value;                                                                                 \
        __asm__ volatile("movq %%cr" #n ", %0" : "=r"(value)::"memory");                           \
        return value;                                                                              \
    }                                                                                              \
    static inline void cr##n##_write(u64 value)                                                    \
    {                                                                                              \
        __asm__ volatile("movq %0, %%cr" #n ::"r"(value) : "memory");                              \
    }
PORT_CR(0)
PORT_CR(2)
PORT_CR(3)
PORT_CR(4)
#undef PORT_CR

#endif
