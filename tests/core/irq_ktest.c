/* SPDX-License-Identifier: MIT */
/* core/irq with the machine's own controller, on a line that nothing uses. What needs interrupts on
 * demand is in irq_test.c, over the do-nothing port.
 */
#include <core/irq.h>
#include <hal/timer.h>
#include <ktest.h>

static bool claim(void *ctx, irq_t irq)
{
    (void)irq;
    ++*(u32 *)ctx;
    return true;
}

/* A line without handlers that the controller can enable; the highest, far from the board's. */
static irq_t unused_line(struct irq_action *probe)
{
    for (irq_t irq = hal_irq.lines; irq-- > 0;) {
        struct irq_stats stats;
        if (irq_stats_read(irq, &stats) && stats.handlers == 0 && stats.count == 0 &&
            irq_register(irq, probe, IRQ_TRIGGER_EDGE) == HX_OK) {
            return irq_unregister(probe) == HX_OK ? irq : HX_IRQ_NONE;
        }
    }
    return HX_IRQ_NONE;
}

static u32 handlers(irq_t irq)
{
    struct irq_stats stats;
    return irq_stats_read(irq, &stats) ? stats.handlers : 99;
}

KTEST(irq, registers_shares_and_unregisters)
{
    u32 calls = 0;
    struct irq_action a = {.handler = claim, .ctx = &calls, .name = "first"};
    struct irq_action b = {.handler = claim, .ctx = &calls, .name = "second"};
    irq_t irq = unused_line(&a);
    KTEST_ASSERT(irq != HX_IRQ_NONE);
    KTEST_STATUS(irq_register(irq, &a, IRQ_TRIGGER_EDGE), HX_OK);
    KTEST_STATUS(irq_register(irq, &b, IRQ_TRIGGER_EDGE), HX_OK);
    KTEST_EQUAL(handlers(irq), 2);
    KTEST_STATUS(irq_register(irq, &a, IRQ_TRIGGER_EDGE), HX_ERR_EXISTS);
    KTEST_EQUAL(handlers(irq), 2);
    struct irq_stats stats;
    KTEST_ASSERT(irq_stats_read(irq, &stats));
    KTEST_STRING(stats.name, "first");
    KTEST_ASSERT(!stats.masked_as_stuck);
    KTEST_STATUS(irq_unregister(&a), HX_OK);
    KTEST_EQUAL(handlers(irq), 1);
    KTEST_STATUS(irq_unregister(&a), HX_ERR_NOT_FOUND);
    KTEST_STATUS(irq_unregister(&b), HX_OK);
    KTEST_EQUAL(handlers(irq), 0);
    KTEST_EQUAL(calls, 0);
}

KTEST(irq, refuses_what_it_cannot_serve)
{
    u32 calls = 0;
    struct irq_stats stats;
    struct irq_action good = {.handler = claim, .ctx = &calls, .name = "good"};
    struct irq_action no_handler = {.name = "no handler"};
    struct irq_action no_name = {.handler = claim, .ctx = &calls};
    KTEST_STATUS(irq_register(hal_irq.lines, &good, IRQ_TRIGGER_EDGE), HX_ERR_INVALID);
    KTEST_STATUS(irq_register(HX_IRQ_NONE, &good, IRQ_TRIGGER_EDGE), HX_ERR_INVALID);
    KTEST_STATUS(irq_register(0, &no_handler, IRQ_TRIGGER_EDGE), HX_ERR_INVALID);
    KTEST_STATUS(irq_register(0, &no_name, IRQ_TRIGGER_EDGE), HX_ERR_INVALID);
    KTEST_STATUS(irq_unregister(&good), HX_ERR_NOT_FOUND);
    KTEST_ASSERT(!irq_stats_read(hal_irq.lines, &stats));
    KTEST_ASSERT(!irq_stats_read(HX_IRQ_NONE, &stats));
}

KTEST(irq, the_timer_has_its_line)
{
    struct irq_stats stats;
    KTEST_ASSERT(irq_stats_read(hal_timer.irq(), &stats));
    KTEST_EQUAL(stats.handlers, 1);
    KTEST_STRING(stats.name, "timer");
    KTEST_EQUAL(stats.unhandled, 0);
}
