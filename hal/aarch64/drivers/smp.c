/* SPDX-License-Identifier: MIT */
/* The CPUs that the device tree describes, and how each is started.
 * Owns:      the list.     Callers: platform.c while it reads the tree; core through hal_smp.
 * Context:   early; afterwards read-only, any.     Locks: none.
 * Invariant: entry 0 is the boot CPU; no two entries have the same affinity; every other entry has
 * a way to be started. Spec:      Devicetree Specification 0.4, 3.8; Linux binding arm/cpus. */
#include <hal/smp.h>

#include "driver_priv.h"

enum start_method { START_NONE, START_PSCI, START_SPIN_TABLE };

static struct {
    u32 count;
    struct {
        u64 hw_id;
        enum start_method method;
        paddr_t release; /* spin table: where the CPU looks for its entry point */
    } cpus[HAL_CPUS_MAX];
} smp;

static u32 smp_count(void)
{
    return smp.count;
}

static u64 smp_hw_id(cpu_id_t cpu)
{
    return smp.cpus[cpu].hw_id;
}

static const struct hal_smp_ops psci_ops = {.name = "PSCI", .count = smp_count, .hw_id = smp_hw_id};
static const struct hal_smp_ops spin_table_ops = {
    .name = "spin table", .count = smp_count, .hw_id = smp_hw_id};
static const struct hal_smp_ops single_ops = {
    .name = "boot CPU only", .count = smp_count, .hw_id = smp_hw_id};

void smp_begin(u64 boot_cpu)
{
    smp.count = 1;
    smp.cpus[0].hw_id = boot_cpu;
}

void smp_node_read(const struct dt_walk *walk)
{
    const struct dt_node *node = dt_node(walk);
    struct dt_prop method, release;
    dt_prop_find(walk, "enable-method", &method);
    dt_prop_find(walk, "cpu-release-addr", &release);
    enum start_method start = START_NONE;
    u64 hw_id, address = 0;
    /* A disabled CPU is one that waits to be started; only a failed one is not usable. */
    if (node->failed || !dt_prop_u64(&node->reg, &hw_id) || (hw_id & ~MPIDR_AFFINITY) != 0) {
        return;
    }
    if (dt_prop_has(&method, "psci")) {
        start = START_PSCI;
    } else if (dt_prop_has(&method, "spin-table") && dt_prop_u64(&release, &address)) {
        start = START_SPIN_TABLE;
    }
    u32 at = 0;
    while (at < smp.count && smp.cpus[at].hw_id != hw_id) {
        at++;
    }
    if (at == HAL_CPUS_MAX || (at > 0 && (at < smp.count || start == START_NONE))) {
        return;
    }
    smp.cpus[at].hw_id = hw_id;
    smp.cpus[at].method = start;
    smp.cpus[at].release = address;
    smp.count += at == smp.count;
}

enum hx_status smp_register(void)
{
    enum start_method method = smp.cpus[smp.count - 1].method;
    return hal_smp_register(method == START_PSCI         ? &psci_ops
                            : method == START_SPIN_TABLE ? &spin_table_ops
                                                         : &single_ops);
}
