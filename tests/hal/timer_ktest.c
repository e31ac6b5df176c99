/* SPDX-License-Identifier: MIT */
/* Contract of <hal/timer.h>: frequency, arm, disarm, and what they do to the line. core/time owns
 * the timer and answers its interrupts, so each case runs while no timer of the system is armed,
 * and counts interrupts of the line.
 */
#include <core/irq.h>
#include <core/time.h>
#include <hal/timer.h>
#include <helix/bits.h>
#include <fixture.h>
#include <ktest.h>

static u64 interrupts(void)
{
    struct irq_stats stats;
    return irq_stats_read(hal_timer.irq(), &stats) ? stats.count : 0;
}

static u64 ticks(u64 ns)
{
    return hx_mul_div(ns, hal_timer.frequency(), HX_NS_PER_SEC);
}

static void arm_in(u64 ns)
{
    u64 state = hal_irq_save();
    hal_timer.arm(hal_counter_read() + ticks(ns));
    hal_irq_restore(state);
}

/* Interrupts that come within a generous time once something was armed. */
static u64 interrupts_after(u64 before)
{
    u64 end = time_now_ns() + HX_NS_PER_SEC;
    while (interrupts() == before && time_now_ns() < end) {
        hal_cpu_relax();
    }
    fixture_spin_ns(5 * HX_NS_PER_MS);
    return interrupts() - before;
}

KTEST(hal_timer, has_a_frequency_and_a_line)
{
    KTEST_ASSERT(hal_timer.frequency() >= 1000000); /* a microsecond can be told */
    KTEST_ASSERT(hal_timer.irq() < hal_irq.lines);
}

KTEST(hal_timer, interrupts_once_and_not_early)
{
    fixture_quiet();
    u64 before = interrupts(), start = time_now_ns();
    arm_in(2 * HX_NS_PER_MS);
    while (interrupts() == before && time_now_ns() < start + HX_NS_PER_SEC) {
        hal_cpu_relax();
    }
    u64 took = time_now_ns() - start;
    KTEST_EQUAL(interrupts_after(before), 1);
    KTEST_ASSERT(took >= 2 * HX_NS_PER_MS - HX_NS_PER_US);
}

KTEST(hal_timer, past_deadline_interrupts_at_once)
{
    fixture_quiet();
    u64 before = interrupts();
    u64 state = hal_irq_save();
    hal_timer.arm(hal_counter_read() - 1);
    hal_irq_restore(state);
    KTEST_EQUAL(interrupts_after(before), 1);
    before = interrupts();
    state = hal_irq_save();
    hal_timer.arm(0);
    hal_irq_restore(state);
    KTEST_EQUAL(interrupts_after(before), 1);
}

KTEST(hal_timer, disarmed_does_not_interrupt)
{
    fixture_quiet();
    u64 before = interrupts();
    u64 state = hal_irq_save();
    hal_timer.arm(hal_counter_read() + ticks(30 * HX_NS_PER_MS)); /* a slow emulator's stalls */
    hal_timer.disarm();
    hal_irq_restore(state);
    fixture_spin_ns(40 * HX_NS_PER_MS);
    KTEST_EQUAL(interrupts(), before);
}

/* A timer of the system's own may come in between, now and then; one that is not replaced comes
 * every time. */
KTEST(hal_timer, arm_replaces_what_was_armed)
{
    fixture_quiet();
    u64 early = 0, late = 0;
    for (u32 attempt = 0; attempt < 5 && (early != 0 || late != 1); attempt++) {
        u64 before = interrupts();
        arm_in(30 * HX_NS_PER_MS);
        arm_in(500 * HX_NS_PER_MS);
        fixture_spin_ns(40 * HX_NS_PER_MS);
        early = interrupts() - before;
        before = interrupts();
        arm_in(HX_NS_PER_MS);
        late = interrupts_after(before);
    }
    KTEST_EQUAL(early, 0);
    KTEST_EQUAL(late, 1);
}

KTEST(hal_timer, farthest_deadline_is_legal)
{
    fixture_quiet();
    u64 state = hal_irq_save();
    hal_timer.arm(UINT64_MAX);
    hal_irq_restore(state);
    u64 before = interrupts();
    fixture_spin_ns(5 * HX_NS_PER_MS);
    u64 after = interrupts();
    state = hal_irq_save();
    hal_timer.disarm();
    hal_irq_restore(state);
    KTEST_EQUAL(after, before);
}

KTEST(hal_timer, wait_ends_with_an_interrupt_and_stays_masked)
{
    fixture_quiet();
    u64 before = interrupts(), start = time_now_ns();
    hal_irq_disable();
    hal_timer.arm(hal_counter_read() + ticks(2 * HX_NS_PER_MS));
    bool masked = true;
    while (interrupts() == before && time_now_ns() < start + HX_NS_PER_SEC) {
        hal_cpu_wait();
        masked = masked && !hal_irq_is_enabled();
        hal_irq_enable(); /* where the interrupt is taken when it is still pending */
        hal_irq_disable();
    }
    hal_irq_enable();
    KTEST_ASSERT(masked);
    KTEST_EQUAL(interrupts_after(before), 1);
}
