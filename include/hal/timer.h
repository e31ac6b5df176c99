/* SPDX-License-Identifier: MIT */
/* The counter and the one-shot timer of each CPU. Registered once at boot; read-only afterwards.
 * Times are in counter ticks of hal_counter_read(); core/time converts.
 */
#ifndef HAL_TIMER_H
#define HAL_TIMER_H

#include <hal/port.h>
#include <helix/status.h>

struct hal_timer_ops {
    const char *name; /* mandatory: "TSC + LAPIC", "generic timer" */
    /* Mandatory. Counter ticks a second, as well as it is known; may be refined once. Any. */
    u64 (*frequency)(void);
    /* Mandatory. This CPU's timer interrupts once at counter value `deadline` or, if that has
     * passed, at once. Replaces what was armed. IRQs masked. */
    void (*arm)(u64 deadline);
    /* Mandatory. No interrupt any more. IRQs masked. */
    void (*disarm)(void);
    /* Mandatory. The line it interrupts on; the same on every CPU. */
    irq_t (*irq)(void);
    /* Mandatory. Once on each CPU before arm. IRQs masked. */
    void (*init_cpu)(cpu_id_t cpu);
    /* Optional; absent: the first frequency is exact. Measures again over the time since boot,
     * for a better frequency. Thread. */
    void (*refine)(void);
};

enum hx_status hal_timer_register(const struct hal_timer_ops *ops) HX_MUST_CHECK;

extern struct hal_timer_ops hal_timer;

#endif
