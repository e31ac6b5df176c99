/* SPDX-License-Identifier: MIT */
/* How fast the TSC and the local APIC's timer run.
 * Owns:      the two frequencies; HPET's counter, PIT channel 2.     Context: early; refine: IRQ.
 * Method:    the TSC is read at the two ends of a short stretch of a clock whose rate is known:
 *            HPET if ACPI names one (a tenth of a microsecond fine), else PIT channel 2. What the
 *            short stretch cannot resolve, tsc_refine() does over the time since then, against HPET
 *            or the ACPI timer.
 * Spec:      IA-PC HPET 1.0a, 2.3; Intel 8254 data sheet; ACPI 6.4, 4.8.3.3 (PM timer).
 */
#include <port/pc.h>

#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <port/x86.h>

#define HPET_CAPABILITIES  0x00
#define HPET_CONFIG        0x10
#define HPET_COUNTER       0xf0
#define HPET_PERIOD_MAX_FS 100000000ull /* 100 ns, the slowest that the specification allows */
#define FS_PER_S           1000000000000000ull

#define PIT_HZ        1193182ull
#define PIT_CHANNEL_2 0x42
#define PIT_MODE      0x43
#define PORT_61       0x61
#define PM_TIMER_HZ   3579545ull

#define HPET_STRETCH_US   200
#define PIT_STRETCH_TICKS 477      /* 0.4 ms */
#define SPIN_LIMIT        10000000 /* a clock that stands still is none */

static struct {
    u64 hz;
    vaddr_t hpet;
    u64 hpet_hz;
    u64 start_tsc, start_reference; /* for refining */
    bool hpet_32bit;
} tsc;

u64 tsc_frequency(void)
{
    return tsc.hz;
}

static u64 hpet_read(void)
{
    return hal_mmio_read32(tsc.hpet + HPET_COUNTER);
}

static bool hpet_start(void)
{
    paddr_t base = acpi_get()->hpet_base;
    if (!base || hal_event_device_map(base, 0x400, MAP_DEVICE, &tsc.hpet) != HX_OK) {
        return false;
    }
    u64 period = hal_mmio_read64(tsc.hpet + HPET_CAPABILITIES) >> 32;
    if (period == 0 || period > HPET_PERIOD_MAX_FS) {
        return false;
    }
    tsc.hpet_hz = FS_PER_S / period;
    hal_mmio_write64(tsc.hpet + HPET_CONFIG, hal_mmio_read64(tsc.hpet + HPET_CONFIG) | 1);
    return true;
}

static u32 pm_timer_read(void)
{
    u32 mask = acpi_get()->pm_timer_32bit ? 0xffffffff : 0xffffff;
    return io_read32(acpi_get()->pm_timer_port) & mask;
}

/* Elapsed reference ticks and the TSC's at the same ends. False when the clock stands still. */
static bool measure_hpet(u64 *out_ticks, u64 *out_tsc)
{
    u64 want = tsc.hpet_hz * HPET_STRETCH_US / 1000000;
    u32 first = (u32)hpet_read(), now = first;
    u64 start = hal_counter_read();
    for (u32 i = 0; (u32)(now - first) < want; i++) {
        if (i == SPIN_LIMIT) {
            return false;
        }
        hal_cpu_relax();
        now = (u32)hpet_read();
    }
    *out_tsc = hal_counter_read() - start;
    *out_ticks = (u32)(now - first);
    tsc.start_tsc = start;
    tsc.start_reference = first;
    return true;
}

static bool measure_pit(u64 *out_ticks, u64 *out_tsc)
{
    u8 gate = io_read8(PORT_61);
    io_write8(PORT_61, (gate & ~2u) | 1); /* gate on, speaker off */
    io_write8(PIT_MODE, 0xb0);            /* channel 2, both bytes, mode 0: output rises at zero */
    io_write8(PIT_CHANNEL_2, PIT_STRETCH_TICKS & 0xff);
    io_write8(PIT_CHANNEL_2, PIT_STRETCH_TICKS >> 8);
    u64 start = hal_counter_read();
    bool done = false;
    for (u32 i = 0; !done && i < SPIN_LIMIT; i++) {
        done = io_read8(PORT_61) & 0x20;
        hal_cpu_relax();
    }
    *out_tsc = hal_counter_read() - start;
    *out_ticks = PIT_STRETCH_TICKS;
    io_write8(PORT_61, gate);
    return done;
}

void tsc_calibrate(u32 *out_lapic_hz)
{
    u64 ticks = 0, elapsed = 0, rate = PIT_HZ;
    if (out_lapic_hz) {
        lapic_init_cpu();
        lapic_timer_start(0xffffffff);
    }
    bool hpet = hpet_start(), measured = false;
    /* Both by the same stretch of the TSC: what the timer is told is a number of TSC ticks. */
    u32 lapic_before = out_lapic_hz ? lapic_timer_count() : 0;
    u64 tsc_before = hal_counter_read();
    if (hpet) {
        rate = tsc.hpet_hz;
        measured = measure_hpet(&ticks, &elapsed);
    }
    if (!measured) {
        tsc.hpet = 0;
        rate = PIT_HZ;
        measured = measure_pit(&ticks, &elapsed);
        if (measured && acpi_get()->pm_timer_port) {
            tsc.start_tsc = hal_counter_read();
            tsc.start_reference = pm_timer_read();
        }
    }
    u32 lapic_elapsed = out_lapic_hz ? lapic_before - lapic_timer_count() : 0;
    u64 tsc_elapsed = hal_counter_read() - tsc_before;
    if (out_lapic_hz) {
        lapic_timer_start(0);
    }
    if (!measured || elapsed == 0) {
        log_error("time", "neither HPET nor PIT counts: the TSC's rate is unknown");
        return;
    }
    tsc.hz = hx_mul_div(elapsed, rate, ticks);
    if (out_lapic_hz) {
        *out_lapic_hz = (u32)hx_mul_div(lapic_elapsed, tsc.hz, tsc_elapsed);
    }
}

void tsc_refine(void)
{
    u64 now = hal_counter_read(), ticks, rate;
    if (tsc.hpet) {
        ticks = (u32)(hpet_read() - tsc.start_reference);
        rate = tsc.hpet_hz;
    } else if (acpi_get()->pm_timer_port) {
        u32 mask = acpi_get()->pm_timer_32bit ? 0xffffffff : 0xffffff;
        ticks = (pm_timer_read() - (u32)tsc.start_reference) & mask;
        rate = PM_TIMER_HZ;
    } else {
        return;
    }
    u64 refined = ticks ? hx_mul_div(now - tsc.start_tsc, rate, ticks) : 0;
    /* More than one part in sixteen away means that the reference wrapped or stopped. */
    if (refined > tsc.hz - tsc.hz / 16 && refined < tsc.hz + tsc.hz / 16) {
        tsc.hz = refined;
    }
}
