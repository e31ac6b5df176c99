/* SPDX-License-Identifier: MIT */
/* core/time: the clock and the timers, on a real timer or on the do-nothing port's.
 */
#include <core/time.h>
#include <hal/port.h>
#include <ktest.h>

#define TIMERS 4

struct probe {
    struct timer timer;
    u32 fired;
    u64 fired_ns; /* the last time */
    u32 place;    /* which expiry of the case it was, from 1 */
    u32 again;    /* how often to start itself again */
};

static struct {
    struct probe probes[TIMERS];
    volatile u32 expiries;
} test;

static void expired(struct timer *timer)
{
    struct probe *p = HX_CONTAINER_OF(timer, struct probe, timer);
    p->fired++;
    p->fired_ns = time_now_ns();
    test.expiries = test.expiries + 1;
    p->place = test.expiries;
    if (p->again) {
        p->again--;
        timer_start(timer, p->fired_ns + 100 * HX_NS_PER_US);
    }
}

static void reset(void)
{
    memset(&test, 0, sizeof(test));
    for (u32 i = 0; i < TIMERS; i++) {
        test.probes[i].timer.expired = expired;
    }
}

static void start_in(u32 index, u64 ns)
{
    timer_start(&test.probes[index].timer, time_now_ns() + ns);
}

/* Until `expiries` have come, or a second has passed. */
static bool wait_for(u32 expiries)
{
    u64 end = time_now_ns() + HX_NS_PER_SEC;
    while (test.expiries < expiries && time_now_ns() < end) {
        hal_cpu_relax();
    }
    return test.expiries >= expiries;
}

static void spin_ms(u64 ms)
{
    u64 end = time_now_ns() + ms * HX_NS_PER_MS;
    while (time_now_ns() < end) {
        hal_cpu_relax();
    }
}

KTEST(time, never_goes_back_and_moves)
{
    u64 first = time_now_ns(), last = first;
    for (u32 i = 0; i < 10000; i++) {
        u64 now = time_now_ns();
        KTEST_ASSERT(now >= last);
        last = now;
    }
    KTEST_ASSERT(last > first);
    KTEST_EQUAL(time_from_counter_ns(0), 0); /* before the kernel's start */
}

KTEST(time, timers_expire_in_order_of_deadlines)
{
    reset();
    u64 state = hal_irq_save(); /* an emulator may stall for longer than a deadline */
    u64 start = time_now_ns();
    timer_start(&test.probes[0].timer, start + 4 * HX_NS_PER_MS);
    timer_start(&test.probes[1].timer, start + 1 * HX_NS_PER_MS);
    timer_start(&test.probes[2].timer, start + 3 * HX_NS_PER_MS);
    timer_start(&test.probes[3].timer, start + 2 * HX_NS_PER_MS);
    hal_irq_restore(state);
    KTEST_ASSERT(wait_for(4));
    KTEST_EQUAL(test.probes[1].place, 1);
    KTEST_EQUAL(test.probes[3].place, 2);
    KTEST_EQUAL(test.probes[2].place, 3);
    KTEST_EQUAL(test.probes[0].place, 4);
    for (u32 i = 0; i < TIMERS; i++) {
        KTEST_EQUAL(test.probes[i].fired, 1);
        KTEST_ASSERT(test.probes[i].fired_ns >= test.probes[i].timer.node.key);
    }
    KTEST_ASSERT(time_now_ns() - start >= 4 * HX_NS_PER_MS);
}

KTEST(time, equal_deadlines_all_expire)
{
    reset();
    u64 deadline = time_now_ns() + HX_NS_PER_MS;
    for (u32 i = 0; i < TIMERS; i++) {
        timer_start(&test.probes[i].timer, deadline);
    }
    KTEST_ASSERT(wait_for(TIMERS));
    for (u32 i = 0; i < TIMERS; i++) {
        KTEST_EQUAL(test.probes[i].fired, 1);
    }
}

KTEST(time, past_deadline_expires_at_once)
{
    reset();
    timer_start(&test.probes[0].timer, 0);
    KTEST_ASSERT(wait_for(1));
    timer_start(&test.probes[0].timer, time_now_ns());
    KTEST_ASSERT(wait_for(2));
    KTEST_EQUAL(test.probes[0].fired, 2);
}

KTEST(time, cancelled_timer_does_not_expire)
{
    reset();
    u64 state = hal_irq_save();
    start_in(0, HX_NS_PER_MS);
    start_in(1, 2 * HX_NS_PER_MS);
    bool armed = timer_cancel(&test.probes[0].timer);
    bool again = timer_cancel(&test.probes[0].timer);
    hal_irq_restore(state);
    bool never = timer_cancel(&test.probes[2].timer);
    KTEST_ASSERT(wait_for(1));
    spin_ms(2);
    KTEST_ASSERT(armed && !again && !never);
    KTEST_EQUAL(test.probes[0].fired, 0);
    KTEST_EQUAL(test.probes[1].fired, 1);
    KTEST_ASSERT(!timer_cancel(&test.probes[1].timer)); /* expired */
}

KTEST(time, started_again_it_moves)
{
    reset();
    u64 state = hal_irq_save(), start = time_now_ns();
    timer_start(&test.probes[0].timer, start + HX_NS_PER_MS);
    timer_start(&test.probes[0].timer, start + 4 * HX_NS_PER_MS); /* later */
    timer_start(&test.probes[1].timer, start + 500 * HX_NS_PER_MS);
    timer_start(&test.probes[1].timer, start + 2 * HX_NS_PER_MS); /* earlier */
    hal_irq_restore(state);
    KTEST_ASSERT(wait_for(2));
    spin_ms(2);
    KTEST_EQUAL(test.probes[1].place, 1);
    KTEST_EQUAL(test.probes[0].place, 2);
    KTEST_EQUAL(test.expiries, 2);
}

KTEST(time, callback_may_start_its_timer_again)
{
    reset();
    test.probes[0].again = 5;
    start_in(0, 100 * HX_NS_PER_US);
    KTEST_ASSERT(wait_for(6));
    spin_ms(1);
    KTEST_EQUAL(test.probes[0].fired, 6);
}

KTEST(time, farthest_deadline_never_comes)
{
    reset();
    timer_start(&test.probes[0].timer, UINT64_MAX);
    start_in(1, HX_NS_PER_MS);
    KTEST_ASSERT(wait_for(1));
    spin_ms(20);
    bool armed = timer_cancel(&test.probes[0].timer);
    KTEST_EQUAL(test.probes[0].fired, 0);
    KTEST_EQUAL(test.probes[1].fired, 1);
    KTEST_ASSERT(armed);
}

KTEST(time, masked_interrupts_delay_but_lose_nothing)
{
    reset();
    u64 state = hal_irq_save();
    start_in(0, HX_NS_PER_MS);
    start_in(1, HX_NS_PER_MS);
    spin_ms(3);
    u32 while_masked = test.expiries;
    hal_irq_restore(state);
    KTEST_ASSERT(wait_for(2));
    KTEST_EQUAL(while_masked, 0);
}
