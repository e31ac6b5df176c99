/* SPDX-License-Identifier: MIT */
/* The CPU itself. One constant table per port, bound at link time: calls through it are direct
 * once link-time optimisation has run.
 *
 *   op            may block  IRQs    before memory  any CPU
 *   init_early    no         masked  yes            boot CPU only
 *   init          no         masked  no             each CPU, for itself
 *   name          no         any     after init     yes
 *   sync_icache   no         any     yes            yes
 */
#ifndef HAL_CPU_H
#define HAL_CPU_H

#include <hal/port.h>
#include <helix/status.h>

/* Facts that a caller may have to know; each is a question, not a processor. */
enum hal_cpu_feature {
    CPU_NO_EXECUTE,     /* pages can be made not executable */
    CPU_NO_EXEC_USER,   /* the kernel cannot execute user pages (SMEP, PXN) */
    CPU_NO_ACCESS_USER, /* the kernel cannot touch user pages by accident (SMAP, PAN) */
    CPU_HUGE_PAGES,     /* 1 GiB mappings */
    CPU_RANDOM,         /* a random number instruction */
    CPU_CRC32C,         /* a CRC-32C instruction */
    CPU_FEATURE_COUNT
};

struct hal_cpu_ops {
    /* Mandatory. Exception vectors and descriptor tables of the boot CPU, so that an exception
     * is reported instead of resetting the machine. */
    void (*init_early)(void);
    /* Mandatory. Everything else of this CPU: per-CPU registers, emergency stacks, protection
     * bits that the CPU has. HX_ERR_NOT_SUPPORTED when the CPU lacks what Helix needs. */
    enum hx_status (*init)(cpu_id_t cpu);
    /* Mandatory. The model in words, e.g. "Cortex-A57 r1p0". At most size bytes with NUL. */
    void (*name)(char *buf, size_t size);
    /* Mandatory. */
    bool (*has)(enum hal_cpu_feature feature);
    /* Mandatory. A number from the CPU's own generator; false when it has none, or none ready. */
    bool (*random)(u64 *out);
    /* Mandatory. Makes [base, base + size), just written as data, executable on every CPU. */
    void (*sync_icache)(vaddr_t base, size_t size);
};

extern const struct hal_cpu_ops hal_cpu;

/* "x86_64", "aarch64", "host" */
extern const char hal_arch_name[];

/* e_machine of ELF files for this processor. */
extern const u16 hal_elf_machine;

/* The board in one word, "pc", "q35", "virt", "raspi3b"; valid after hal_init_platform(). */
const char *hal_board_name(void);

#endif
