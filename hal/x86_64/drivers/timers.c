/* SPDX-License-Identifier: MIT */
/* One-shot timers behind the TSC: the local APIC's, or PIT channel 0 on a machine with 8259s.
 * Owns:      the hardware timer of each CPU.       Context: interrupts masked.
 * Invariant: (1) a timer may fire early by rounding or because its range is shorter than the wait;
 *            the timer queue looks at the clock and arms again, so early is harmless, late is not.
 * Spec:      Intel SDM vol. 3, 11.5.4; Intel 8254 data sheet, mode 0.
 */
#include <port/pc.h>

#include <hal/timer.h>
#include <helix/bits.h>
#include <port/x86.h>

#define PIT_HZ        1193182ull
#define PIT_CHANNEL_0 0x40
#define PIT_MODE      0x43
#define PIT_ISA_IRQ   0

static struct {
    u64 ratio; /* timer ticks a TSC tick, 32 fraction bits */
    bool pit_armed;
} timer;

/* Timer ticks until `deadline`, at least 1, at most max. */
static u32 ticks_until(u64 deadline, u32 max)
{
    u64 now = hal_counter_read();
    if (deadline <= now) {
        return 1;
    }
    u128 ticks = (u128)(deadline - now) * timer.ratio >> 32;
    return ticks >= max ? max : (u32)ticks + 1;
}

static void set_ratio(u64 timer_hz)
{
    timer.ratio = hx_mul_div(timer_hz, 1ull << 32, tsc_frequency());
}

static void lapic_timer_init_cpu(cpu_id_t cpu)
{
    (void)cpu; /* lapic_init_cpu() has set divider and vector */
}

static void lapic_timer_arm(u64 deadline)
{
    lapic_timer_start(ticks_until(deadline, 0xffffffff));
}

static void lapic_timer_disarm(void)
{
    lapic_timer_start(0);
}

static irq_t lapic_timer_irq(void)
{
    return VECTOR_LAPIC_TIMER - VECTOR_IRQ_BASE;
}

static const struct hal_timer_ops lapic_ops = {
    .name = "TSC with local APIC timer",
    .frequency = tsc_frequency,
    .arm = lapic_timer_arm,
    .disarm = lapic_timer_disarm,
    .irq = lapic_timer_irq,
    .init_cpu = lapic_timer_init_cpu,
    .refine = tsc_refine,
};

enum hx_status tsc_timer_register(void)
{
    u32 hz = 0;
    tsc_calibrate(&hz);
    if (tsc_frequency() == 0 || hz == 0) {
        return HX_ERR_NOT_FOUND;
    }
    set_ratio(hz);
    return hal_timer_register(&lapic_ops);
}

static void pit_init_cpu(cpu_id_t cpu)
{
    (void)cpu;
}

static void pit_arm(u64 deadline)
{
    u32 ticks = ticks_until(deadline, 0xffff);
    timer.pit_armed = true;
    io_write8(PIT_MODE, 0x30); /* channel 0, both bytes, mode 0 */
    io_write8(PIT_CHANNEL_0, (u8)ticks);
    io_write8(PIT_CHANNEL_0, (u8)(ticks >> 8));
}

/* An interrupt on its way is not called back by the PIT: the 8259's driver asks pit_is_armed(). */
static void pit_disarm(void)
{
    timer.pit_armed = false;
    io_write8(PIT_MODE, 0x30); /* mode 0 waits for a count that never comes */
}

bool pit_is_armed(void)
{
    return timer.pit_armed;
}

static irq_t pit_irq(void)
{
    return PIT_ISA_IRQ;
}

static const struct hal_timer_ops pit_ops = {
    .name = "TSC with PIT",
    .frequency = tsc_frequency,
    .arm = pit_arm,
    .disarm = pit_disarm,
    .irq = pit_irq,
    .init_cpu = pit_init_cpu,
    .refine = tsc_refine,
};

enum hx_status pit_timer_register(void)
{
    tsc_calibrate(NULL);
    if (tsc_frequency() == 0) {
        return HX_ERR_NOT_FOUND;
    }
    set_ratio(PIT_HZ);
    return hal_timer_register(&pit_ops);
}
