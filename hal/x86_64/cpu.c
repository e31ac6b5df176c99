/* SPDX-License-Identifier: MIT */
/* The x86_64 CPU: descriptor tables, features, protection bits.
 * Owns:      GDT, TSS and IDT; CR0, CR4, EFER, GS base.     Callers: kernel_main.
 * Context:   init_early: boot CPU, nothing up yet. init: each CPU for itself, interrupts masked.
 * Invariant: (1) a CR4 bit is set only when CPUID has its feature.  (2) double fault, NMI and
 *            machine check run on stacks of their own, so a bad RSP is reported, not fatal.
 * Spec:      Intel SDM vol. 3, 2.5 (control registers), 3.4.5 and 7.2 (descriptors, TSS), 6.14.
 */
#include <port/pc.h>

#include <hal/cpu.h>
#include <helix/format.h>
#include <helix/string.h>
#include <port/x86.h>

#define SELECTOR_CODE        0x08
#define SELECTOR_DATA        0x10
#define SELECTOR_TSS         0x28
#define EMERGENCY_STACK_SIZE 8192
#define PAT_DEFAULT_WITH_WC                                                                        \
    0x0007010600070106ull /* entry 1 is WC, not WT; the rest as at reset                           \
                           */

const char hal_arch_name[] = "x86_64";

enum ist { IST_DOUBLE_FAULT = 1, IST_NMI, IST_MACHINE_CHECK, IST_COUNT };

struct HX_PACKED tss {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7]; /* IST1 is ist[0] */
    u64 reserved2;
    u16 reserved3;
    u16 io_map_base;
};
_Static_assert(sizeof(struct tss) == 104, "SDM figure 7-11");

struct gate {
    u16 offset_low;
    u16 selector;
    u8 ist;
    u8 type;
    u16 offset_middle;
    u32 offset_high;
    u32 reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM figure 6-8");

struct HX_PACKED table_pointer {
    u16 limit;
    u64 base;
};

extern const u64 trap_vectors[256];

static struct gate idt[256] HX_ALIGNED(16);
static u64 gdt[7] = {
    0,
    0x00209b0000000000, /* 0x08 kernel code */
    0x0000930000000000, /* 0x10 kernel data */
    0x0000f30000000000, /* 0x18 user data */
    0x0020fb0000000000, /* 0x20 user code */
    0,
    0, /* 0x28 TSS, two entries */
};
static struct tss tss;
static u8 emergency_stacks[IST_COUNT - 1][EMERGENCY_STACK_SIZE] HX_ALIGNED(16);
static struct port_cpu boot_cpu;

static void gate_set(u32 vector, u8 ist)
{
    u64 at = trap_vectors[vector];
    idt[vector] = (struct gate){
        .offset_low = (u16)at,
        .selector = SELECTOR_CODE,
        .ist = ist,
        .type = 0x8e, /* present, ring 0, interrupt gate */
        .offset_middle = (u16)(at >> 16),
        .offset_high = (u32)(at >> 32),
    };
}

static void load_gdt(void)
{
    u64 base = (u64)&tss, limit = sizeof(tss) - 1;
    gdt[5] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[6] = base >> 32;
    struct table_pointer pointer = {sizeof(gdt) - 1, (u64)gdt};
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%eax\n\t"
                     "movw %%ax, %%ds\n\t"
                     "movw %%ax, %%es\n\t"
                     "movw %%ax, %%ss\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movw %%ax, %%fs\n\t"
                     "movw %%ax, %%gs\n\t"
                     "movl %3, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(pointer), "i"(SELECTOR_CODE), "i"(SELECTOR_DATA), "i"(SELECTOR_TSS)
                     : "rax", "memory");
}

static void cpu_init_early(void)
{
    for (u32 i = 0; i < IST_COUNT - 1; i++) {
        tss.ist[i] = (u64)emergency_stacks[i] + EMERGENCY_STACK_SIZE;
    }
    tss.io_map_base = sizeof(tss);
    load_gdt();
    msr_write(MSR_GS_BASE, (u64)&boot_cpu);
    msr_write(MSR_KERNEL_GS_BASE, 0);
    for (u32 vector = 0; vector < 256; vector++) {
        gate_set(vector, vector == 8    ? IST_DOUBLE_FAULT
                         : vector == 2  ? IST_NMI
                         : vector == 18 ? IST_MACHINE_CHECK
                                        : 0);
    }
    struct table_pointer pointer = {sizeof(idt) - 1, (u64)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer) : "memory");
}

static bool cpu_has(enum hal_cpu_feature feature)
{
    switch (feature) {
    case CPU_NO_EXECUTE:
        return true; /* checked at entry */
    case CPU_NO_EXEC_USER:
        return cpuid_read(7, 0).b >> 7 & 1;
    case CPU_NO_ACCESS_USER:
        return cpuid_read(7, 0).b >> 20 & 1;
    case CPU_HUGE_PAGES:
        return cpu_has_1g_pages();
    case CPU_RANDOM:
        return cpuid_read(1, 0).c >> 30 & 1;
    case CPU_CRC32C:
        return cpuid_read(1, 0).c >> 20 & 1;
    default:
        return false;
    }
}

static enum hx_status cpu_init(cpu_id_t cpu)
{
    (void)cpu;
    u64 cr4 = CR4_PAE;
    u32 edx = cpuid_read(1, 0).d;
    cr4 |= edx >> 13 & 1 ? CR4_PGE : 0; /* inv 1, each of these */
    cr4 |= edx >> 7 & 1 ? CR4_MCE : 0;
    cr4 |= cpu_has(CPU_NO_EXEC_USER) ? CR4_SMEP : 0;
    cr4 |= cpu_has(CPU_NO_ACCESS_USER) ? CR4_SMAP : 0;
    cr4 |= cpuid_read(7, 0).c >> 2 & 1 ? CR4_UMIP : 0;
    cr4_write(cr4);
    /* TS: any use of x87 or SSE in the kernel is an exception, not a corrupted user register. */
    cr0_write(CR0_PE | CR0_MP | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
    if (cpuid_read(1, 0).d >> 16 & 1) {
        msr_write(MSR_PAT, PAT_DEFAULT_WITH_WC);
    }
    return HX_OK;
}

static void cpu_name(char *buf, size_t size)
{
    char brand[49];
    for (u32 i = 0; i < 3; i++) {
        struct cpuid r = cpuid_read(0x80000002 + i, 0);
        memcpy(brand + 16 * i, &r, 16);
    }
    brand[48] = '\0';
    const char *start = brand;
    while (*start == ' ') {
        start++;
    }
    HX_IGNORE(str_copy(buf, *start ? start : "x86_64 CPU", size), "a cut name is a name");
}

/* x86 keeps instruction caches coherent; a serialising instruction before jumping to new code is
 * all it asks for (SDM vol. 3, 8.1.3), and the IRET or CR3 load on the way there is one. */
static void cpu_sync_icache(vaddr_t base, size_t size)
{
    (void)base;
    (void)size;
    hx_compiler_barrier();
}

u64 cpu_phys_limit(void)
{
    u32 bits = cpuid_read(0x80000008, 0).a & 0xff;
    return 1ull << (bits >= 36 && bits <= 52 ? bits : 36);
}

bool cpu_has_1g_pages(void)
{
    return cpuid_read(0x80000001, 0).d >> 26 & 1;
}

const struct hal_cpu_ops hal_cpu = {
    .init_early = cpu_init_early,
    .init = cpu_init,
    .name = cpu_name,
    .has = cpu_has,
    .sync_icache = cpu_sync_icache,
};
