/* SPDX-License-Identifier: MIT */
/* Optional table: the other CPUs. A port that registers none has one CPU.
 */
#ifndef HAL_SMP_H
#define HAL_SMP_H

#include <hal/port.h>
#include <helix/status.h>

struct hal_cpu_local;

#define HAL_CPUS_MAX 64

struct hal_smp_ops {
    const char *name; /* mandatory: "PSCI", "spin table", "INIT-SIPI" */
    /* Mandatory. CPUs that the firmware describes as usable, at most HAL_CPUS_MAX; CPU 0 is the
     * one that booted. */
    u32 (*count)(void);
    /* Mandatory. What the hardware calls it: MPIDR affinity, APIC id. cpu < count(). */
    u64 (*hw_id)(cpu_id_t cpu);
    /* Optional; absent: HX_ERR_NOT_SUPPORTED, the system stays on one CPU. Starts `cpu` on the
     * given stack; it arrives in hal_event_cpu_started(). Returns once the request is made; the
     * caller waits for the arrival and gives up after a while; a CPU may still come later, so
     * stack and block stay its own. `local` becomes its hal_cpu_local(), with the number filled
     * in. Thread context, one CPU at a time.
     * HX_ERR_NO_MEMORY: no emergency stacks. HX_ERR_IO: the firmware refused. */
    enum hx_status (*start)(cpu_id_t cpu, struct hal_cpu_local *local, vaddr_t stack_top);
};

enum hx_status hal_smp_register(const struct hal_smp_ops *ops) HX_MUST_CHECK;

extern struct hal_smp_ops hal_smp;

#endif
