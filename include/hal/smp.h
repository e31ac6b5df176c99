/* SPDX-License-Identifier: MIT */
/* Optional table: the other CPUs. A port that registers none has one CPU.
 */
#ifndef HAL_SMP_H
#define HAL_SMP_H

#include <hal/port.h>
#include <helix/status.h>

#define HAL_CPUS_MAX 64

struct hal_smp_ops {
    const char *name; /* mandatory: "PSCI", "spin table", "INIT-SIPI" */
    /* Mandatory. CPUs that the firmware describes as usable, at most HAL_CPUS_MAX; CPU 0 is the
     * one that booted. */
    u32 (*count)(void);
    /* Mandatory. What the hardware calls it: MPIDR affinity, APIC id. cpu < count(). */
    u64 (*hw_id)(cpu_id_t cpu);
};

enum hx_status hal_smp_register(const struct hal_smp_ops *ops) HX_MUST_CHECK;

extern struct hal_smp_ops hal_smp;

#endif
