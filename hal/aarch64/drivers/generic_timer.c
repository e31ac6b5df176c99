/* SPDX-License-Identifier: MIT */
/* The generic timer, virtual: its counter is what hal_counter_read() reads, and the virtual timer
 * is the one that every hypervisor gives its guests, while the physical one may trap. The boot path
 * has set CNTVOFF to 0, so on bare hardware both tell the same time.
 * Owns:      CNTV_CTL, CNTV_CVAL of each CPU.     Callers: core/time through hal_timer.
 * Context:   as <hal/timer.h>.     Locks: none; the registers are the CPU's own.
 * Spec:      Arm ARM D11; binding arm,armv8-timer. */
#include <hal/timer.h>

#include "driver_priv.h"

#define CTL_ENABLE    1
#define VIRTUAL_INDEX 2 /* secure, non-secure, virtual, hypervisor: when nothing is named */

#define OPTION_FREQUENCY 0
#define OPTION_INDEX     1

static struct {
    u64 frequency;
    irq_t irq;
} timer;

static u64 timer_frequency(void)
{
    return timer.frequency;
}

static void timer_arm(u64 deadline)
{
    sysreg_write(cntv_cval_el0, deadline);
    sysreg_write(cntv_ctl_el0, CTL_ENABLE);
    sysreg_isb();
}

static void timer_disarm(void)
{
    sysreg_write(cntv_ctl_el0, 0);
    sysreg_isb();
}

static irq_t timer_irq(void)
{
    return timer.irq;
}

static void timer_init_cpu(cpu_id_t cpu)
{
    (void)cpu;
    timer_disarm();
}

static const struct hal_timer_ops generic_timer_ops = {
    .name = "generic timer",
    .frequency = timer_frequency,
    .arm = timer_arm,
    .disarm = timer_disarm,
    .irq = timer_irq,
    .init_cpu = timer_init_cpu,
};

static void generic_timer_read(const struct dt_walk *walk, struct port_device *device)
{
    struct dt_prop names, frequency;
    dt_prop_find(walk, "interrupt-names", &names);
    dt_prop_find(walk, "clock-frequency", &frequency);
    int index = names.data != NULL ? dt_prop_index(&names, "virt") : VIRTUAL_INDEX;
    device->options[OPTION_INDEX] = index >= 0 ? (u64)index : VIRTUAL_INDEX;
    HX_IGNORE(dt_prop_u64(&frequency, &device->options[OPTION_FREQUENCY]), "0 when not given");
}

static enum hx_status generic_timer_attach(const struct port_device *device, vaddr_t registers)
{
    (void)registers;
    /* Firmware that forgot the register says it in the tree. */
    timer.frequency = sysreg_read(cntfrq_el0);
    if (timer.frequency == 0) {
        timer.frequency = device->options[OPTION_FREQUENCY];
    }
    if (timer.frequency == 0 ||
        !port_device_irq(device, (u32)device->options[OPTION_INDEX], &timer.irq)) {
        return HX_ERR_NOT_FOUND;
    }
    return hal_timer_register(&generic_timer_ops);
}

const struct port_driver generic_timer_driver = {
    .name = "generic timer",
    .compatible = {"arm,armv8-timer", "arm,armv7-timer"},
    .class = DRIVER_TIMER,
    .attach = generic_timer_attach,
    .read = generic_timer_read,
};
