/* SPDX-License-Identifier: MIT */
/* The CPU of the do-nothing port.
 * Owns:      the interrupt flag and the counter.      Callers: all of the kernel.
 */
#include <hal/cpu.h>
#include <helix/string.h>

const char hal_arch_name[] = "host";

struct port_cpu port_cpu = {.counter_step = 1000};

static void cpu_init_early(void)
{
}

static enum hx_status cpu_init(cpu_id_t cpu)
{
    (void)cpu;
    return HX_OK;
}

static void cpu_name(char *buf, size_t size)
{
    HX_IGNORE(str_copy(buf, "do-nothing CPU", size), "a cut name is a name");
}

static bool cpu_has(enum hal_cpu_feature feature)
{
    return feature == CPU_NO_EXECUTE || feature == CPU_HUGE_PAGES; /* as mmu.c has them */
}

static void cpu_sync_icache(vaddr_t base, size_t size)
{
    (void)base;
    (void)size;
}

const struct hal_cpu_ops hal_cpu = {
    .init_early = cpu_init_early,
    .init = cpu_init,
    .name = cpu_name,
    .has = cpu_has,
    .sync_icache = cpu_sync_icache,
};
