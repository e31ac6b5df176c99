/* SPDX-License-Identifier: MIT */
/* The CPU: vectors, protection bits, model, instruction cache.
 * Owns:      SCTLR_EL1 and the trap controls of EL1 once the kernel's tables are active.
 * Callers:   core/init.     Context: as <hal/cpu.h>.     Locks: none.
 * Invariant: CPACR_EL1.FPEN is 0 while the kernel runs: a stray floating-point instruction traps
 *            instead of corrupting a program's registers.
 * Spec:      Arm ARM D17 (ID registers, SCTLR_EL1), B2.2.5 and D7.5 (caches). */
#include <hal/cpu.h>

#include <helix/bits.h>
#include <helix/format.h>
#include <port/mmu.h>
#include <port/sysreg.h>

/* Fields by their lowest bit. */
#define MMFR1_PAN   20
#define ISAR0_CRC32 16
#define ISAR0_RNDR  60
#define DFR0_PMUVER 8

#define SCTLR_WXN  (1ull << 19) /* what is writable is not executable, whatever the tables say */
#define SCTLR_SPAN (1ull << 23) /* set: exceptions leave PAN alone */

#define PMCR_COUNT ((1u << 0) | (1u << 2) | (1u << 6)) /* on, cycle counter to zero and 64 bits */
#define PMCCNTR_ON (1u << 31)

const char hal_arch_name[] = "aarch64";

extern const char port_vectors[];

static const struct {
    u16 part;
    const char *name;
} arm_parts[] = {
    {0xd03, "Cortex-A53"},  {0xd04, "Cortex-A35"},  {0xd05, "Cortex-A55"},  {0xd07, "Cortex-A57"},
    {0xd08, "Cortex-A72"},  {0xd09, "Cortex-A73"},  {0xd0a, "Cortex-A75"},  {0xd0b, "Cortex-A76"},
    {0xd0c, "Neoverse-N1"}, {0xd0d, "Cortex-A77"},  {0xd40, "Neoverse-V1"}, {0xd41, "Cortex-A78"},
    {0xd49, "Neoverse-N2"}, {0xd4f, "Neoverse-V2"},
};

static bool cpu_has(enum hal_cpu_feature feature)
{
    switch (feature) {
    case CPU_NO_EXECUTE:
    case CPU_NO_EXEC_USER:
    case CPU_HUGE_PAGES:
        return true; /* part of Armv8.0 with 4 KiB pages */
    case CPU_NO_ACCESS_USER:
        return sysreg_field(sysreg_read(id_aa64mmfr1_el1), MMFR1_PAN) != 0;
    case CPU_RANDOM:
        return sysreg_field(sysreg_read(id_aa64isar0_el1), ISAR0_RNDR) != 0;
    case CPU_CRC32C:
        return sysreg_field(sysreg_read(id_aa64isar0_el1), ISAR0_CRC32) != 0;
    case CPU_FEATURE_COUNT:
        break;
    }
    return false;
}

/* An SError that the loader left pending is reported here; FIQ stays open from now on. */
static void cpu_init_early(void)
{
    sysreg_write(vbar_el1, (vaddr_t)port_vectors);
    sysreg_isb();
    __asm__ volatile("msr daifclr, #5" ::: "memory");
}

/* The cycle counter, for measurements in the kernel; programs have no access. */
static void pmu_init(void)
{
    u32 version = sysreg_field(sysreg_read(id_aa64dfr0_el1), DFR0_PMUVER);
    if (version == 0 || version == 0xf) {
        return;
    }
    sysreg_write(pmuserenr_el0, 0);
    sysreg_write(pmintenclr_el1, UINT32_MAX);
    sysreg_write(pmccfiltr_el0, 0);
    sysreg_write(pmcntenset_el0, PMCCNTR_ON);
    sysreg_write(pmcr_el0, PMCR_COUNT);
    sysreg_isb();
}

static enum hx_status cpu_init(cpu_id_t cpu)
{
    u64 sctlr = SCTLR_ON | SCTLR_WXN;
    sysreg_write(tpidr_el1, cpu);
    sysreg_write(cpacr_el1, 0);
    sysreg_write(cntkctl_el1, 0);
    sysreg_write(mdscr_el1, 0);
    if (cpu_has(CPU_NO_ACCESS_USER)) {
        sctlr &= ~SCTLR_SPAN;
        __asm__ volatile(".arch_extension pan\n\tmsr pan, #1" ::: "memory");
    }
    sysreg_write(sctlr_el1, sctlr);
    sysreg_isb();
    __asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory"); /* WXN may be cached */
    pmu_init();
    return HX_OK;
}

static void cpu_name(char *buf, size_t size)
{
    u64 midr = sysreg_read(midr_el1);
    u32 implementer = (u32)(midr >> 24) & 0xff, part = (u32)(midr >> 4) & 0xfff;
    u32 variant = (u32)(midr >> 20) & 0xf, revision = (u32)midr & 0xf;
    for (u32 i = 0; implementer == 'A' && i < HX_ARRAY_SIZE(arm_parts); i++) {
        if (arm_parts[i].part == part) {
            format_buffer(buf, size, "%s r%up%u", arm_parts[i].name, variant, revision);
            return;
        }
    }
    format_buffer(buf, size, "Armv8-A, MIDR 0x%08lx", midr);
}

static void cpu_sync_icache(vaddr_t base, size_t size)
{
    u64 ctr = sysreg_read(ctr_el0);
    u64 data_line = 4ull << ((ctr >> 16) & 0xf), code_line = 4ull << (ctr & 0xf);
    for (u64 at = hx_align_down(base, data_line); at < base + size; at += data_line) {
        __asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
    }
    __asm__ volatile("dsb ish" ::: "memory");
    for (u64 at = hx_align_down(base, code_line); at < base + size; at += code_line) {
        __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
    }
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

const struct hal_cpu_ops hal_cpu = {
    .init_early = cpu_init_early,
    .init = cpu_init,
    .name = cpu_name,
    .has = cpu_has,
    .sync_icache = cpu_sync_icache,
};
