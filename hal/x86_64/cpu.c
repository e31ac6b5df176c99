/* SPDX-License-Identifier: MIT */
/* The x86_64 CPU: descriptor tables, features, protection bits.
 * Owns:      GDT and TSS of each CPU, IDT; CR0, CR4, EFER.     Callers: kernel_main; smp.c.
 * Context:   init_early: boot CPU, nothing up yet. init: each CPU for itself, interrupts masked.
 * Invariant: (1) a CR4 bit is set only when CPUID has its feature.  (2) #DB, NMI, double
 *            fault and machine check run on stacks of their own, so a bad RSP is reported, not
 *            fatal.
 * Spec:      Intel SDM vol. 3, 2.5 (control registers), 3.4.5 and 7.2 (descriptors, TSS), 6.14.
 */
#include <port/pc.h>

#include <hal/cpu.h>
#include <hal/events.h>
#include <helix/format.h>
#include <helix/string.h>
#include <port/x86.h>

#define EMERGENCY_STACK_SIZE 8192
#define GDT_ENTRIES          7
#define VECTOR_DEBUG         1
#define VECTOR_NMI           2
#define VECTOR_BREAKPOINT    3
#define VECTOR_DOUBLE_FAULT  8
#define VECTOR_MACHINE_CHECK 18
#define FLAGS_OFF_ON_SYSCALL 0x47700 /* AC NT IOPL DF IF TF */
/* Entry 1 is WC, not WT; the rest as at reset. */
#define PAT_DEFAULT_WITH_WC 0x0007010600070106ull

const char hal_arch_name[] = "x86_64";
const u16 hal_elf_machine = 62; /* EM_X86_64 */

enum ist { IST_DEBUG = 1, IST_NMI, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_COUNT };

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

extern const u64 trap_vectors[256]; /* entry.asm */
void port_syscall(void);

static const u64 gdt_template[GDT_ENTRIES] = {
    0,
    0x00209b0000000000, /* SELECTOR_CODE */
    0x0000930000000000, /* SELECTOR_DATA */
    0x0000f30000000000, /* SELECTOR_USER_DATA */
    0x0020fb0000000000, /* SELECTOR_USER_CODE */
    0,
    0, /* SELECTOR_TSS, two entries */
};

static struct {
    u64 gdt[GDT_ENTRIES];
    struct port_tss tss;
} tables[HAL_CPUS_MAX];
static struct gate idt[256] HX_ALIGNED(16);
static u8 emergency_stacks[IST_COUNT - 1][EMERGENCY_STACK_SIZE] HX_ALIGNED(16);

bool port_has_smap HX_RO_AFTER_INIT; /* read by switch.asm */
bool port_zero_by_sse HX_RO_AFTER_INIT;

/* From boot/x86_64/entry.asm until core sets its own. */
struct hal_cpu_local port_boot_local = {.self = &port_boot_local, .tss = &tables[0].tss};

static void gate_set(u32 vector, u8 ist, u8 ring)
{
    u64 at = trap_vectors[vector];
    idt[vector] = (struct gate){
        .offset_low = (u16)at,
        .selector = SELECTOR_CODE,
        .ist = ist,
        .type = (u8)(0x8e | ring << 5), /* present, interrupt gate; ring: who may use INT n */
        .offset_middle = (u16)(at >> 16),
        .offset_high = (u32)(at >> 32),
    };
}

static void idt_fill(void)
{
    for (u32 vector = 0; vector < 256; vector++) {
        gate_set(vector, 0, vector == VECTOR_BREAKPOINT || vector == VECTOR_SYSCALL ? 3 : 0);
    }
    gate_set(VECTOR_DEBUG, IST_DEBUG, 0); /* inv 2 */
    gate_set(VECTOR_NMI, IST_NMI, 0);
    gate_set(VECTOR_DOUBLE_FAULT, IST_DOUBLE_FAULT, 0);
    gate_set(VECTOR_MACHINE_CHECK, IST_MACHINE_CHECK, 0);
}

static void load_gdt(cpu_id_t cpu)
{
    u64 *gdt = tables[cpu].gdt, base = (u64)&tables[cpu].tss;
    u64 limit = sizeof(struct port_tss) - 1;
    memcpy(gdt, gdt_template, sizeof(gdt_template));
    gdt[5] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[6] = base >> 32;
    struct table_pointer pointer = {sizeof(gdt_template) - 1, (u64)gdt};
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%eax\n\t"
                     "movw %%ax, %%ss\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movw %%ax, %%ds\n\t"
                     "movw %%ax, %%es\n\t"
                     "movw %%ax, %%fs\n\t" /* not GS: that would change its base */
                     "lldt %%ax\n\t"
                     "movl %3, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(pointer), "i"(SELECTOR_CODE), "i"(SELECTOR_DATA), "i"(SELECTOR_TSS)
                     : "rax", "memory");
}

void cpu_tables_load(cpu_id_t cpu)
{
    tables[cpu].tss.io_map_base = sizeof(struct port_tss); /* no ports for user mode */
    load_gdt(cpu);
    msr_write(MSR_KERNEL_GS_BASE, 0);
    struct table_pointer pointer = {sizeof(idt) - 1, (u64)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer) : "memory");
}

/* Inv 2. What was got is kept when the rest is not to be had: the next attempt goes on. */
enum hx_status cpu_tables_prepare(cpu_id_t cpu, struct hal_cpu_local *local)
{
    struct port_tss *tss = &tables[cpu].tss;
    for (u32 i = 0; i < IST_COUNT - 1; i++) {
        if (!tss->ist[i]) {
            vaddr_t top;
            enum hx_status status = hal_event_stack_alloc(&top);
            if (status != HX_OK) {
                return status;
            }
            tss->ist[i] = top;
        }
    }
    *local = (struct hal_cpu_local){.number = cpu, .self = local, .tss = tss};
    return HX_OK;
}

static void cpu_init_early(void)
{
    for (u32 i = 0; i < IST_COUNT - 1; i++) {
        tables[0].tss.ist[i] = (u64)emergency_stacks[i] + EMERGENCY_STACK_SIZE;
    }
    idt_fill();
    cpu_tables_load(0);
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
    u32 edx = cpuid_read(1, 0).d;
    u64 cr4 = CR4_PAE | CR4_FXSR | CR4_XMM; /* long mode has SSE2 */
    cr4 |= edx >> 13 & 1 ? CR4_PGE : 0;     /* inv 1, each of these */
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
    if (cpu == 0) {
        port_has_smap = cr4 & CR4_SMAP;
        port_zero_by_sse = !(cpuid_read(7, 0).b >> 9 & 1); /* ERMS */
    }
    msr_write(MSR_STAR, (u64)(SELECTOR_DATA | 3) << 48 | (u64)SELECTOR_CODE << 32);
    msr_write(MSR_LSTAR, (u64)port_syscall);
    msr_write(MSR_FMASK, FLAGS_OFF_ON_SYSCALL);
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
    if (edx >> 11 & 1) {
        msr_write(MSR_SYSENTER_CS, 0); /* SYSENTER faults */
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

static bool cpu_random(u64 *out)
{
    u8 ok = 0;
    if (cpu_has(CPU_RANDOM)) {
        __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(*out), "=qm"(ok)::"cc");
    }
    return ok;
}

/* x86 keeps instruction caches coherent; a serialising instruction before jumping to new code is
 * all it asks for (SDM vol. 3, 8.1.3), and the IRET or CR3 load on the way there is one. */
static void cpu_sync_icache(vaddr_t base, size_t size)
{
    (void)base;
    (void)size;
    hx_compiler_barrier();
}

static HX_NOINLINE u64 phys_limit_read(void)
{
    u32 bits = cpuid_read(0x80000008, 0).a & 0xff;
    return 1ull << (bits >= 36 && bits <= 52 ? bits : 36);
}

/* Kept: CPUID costs a thousand cycles, and a hypervisor's attention. */
u64 cpu_phys_limit(void)
{
    static u64 limit;
    if (hx_unlikely(limit == 0)) {
        limit = phys_limit_read();
    }
    return limit;
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
    .random = cpu_random,
    .sync_icache = cpu_sync_icache,
};
