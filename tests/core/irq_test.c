/* SPDX-License-Identifier: MIT */
/* core/irq over the do-nothing port's controller: dispatch, sharing, stuck lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <core/irq.h>
#include <core/log.h>
#include <hal/hal.h>
#include <port/fake.h>

#define STUCK_AFTER 1000

struct device {
    u32 calls;
    irq_t last;
    bool claims;
    bool was_masked;
};

static bool serve(void *ctx, irq_t irq)
{
    struct device *device = ctx;
    device->calls++;
    device->last = irq;
    device->was_masked = !hal_irq_is_enabled();
    return device->claims;
}

static struct irq_stats stats_of(irq_t irq)
{
    struct irq_stats stats;
    assert_true(irq_stats_read(irq, &stats));
    return stats;
}

static void register_enables_and_unregister_masks(void **unused)
{
    (void)unused;
    const irq_t irq = 10;
    struct device device = {.claims = true};
    struct irq_action action = {.handler = serve, .ctx = &device, .name = "device"};
    assert_false(port_lines[irq].enabled);
    assert_int_equal(irq_register(irq, &action, IRQ_TRIGGER_LEVEL), HX_OK);
    assert_true(port_lines[irq].enabled);
    assert_int_equal(port_lines[irq].trigger, IRQ_TRIGGER_LEVEL);
    port_irq_raise(irq);
    assert_int_equal(device.calls, 1);
    assert_int_equal(device.last, irq);
    assert_true(device.was_masked);
    assert_true(hal_irq_is_enabled());
    assert_int_equal(action.count, 1);
    assert_int_equal(stats_of(irq).count, 1);
    assert_int_equal(irq_unregister(&action), HX_OK);
    assert_false(port_lines[irq].enabled);
    port_irq_raise(irq);
    assert_int_equal(device.calls, 1);
    assert_int_equal(port_lines[irq].acks, port_lines[irq].eois);
    port_lines[irq].pending = false;
}

static void shared_line_asks_everyone(void **unused)
{
    (void)unused;
    const irq_t irq = 11;
    struct device devices[3] = {{.claims = false}, {.claims = true}, {.claims = false}};
    struct irq_action actions[3];
    for (int i = 0; i < 3; i++) {
        actions[i] = (struct irq_action){.handler = serve, .ctx = &devices[i], .name = "shared"};
        assert_int_equal(irq_register(irq, &actions[i], IRQ_TRIGGER_EDGE), HX_OK);
    }
    port_irq_raise(irq);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(devices[i].calls, 1);
        assert_int_equal(actions[i].count, i == 1);
    }
    assert_int_equal(stats_of(irq).unhandled, 0);
    assert_int_equal(stats_of(irq).handlers, 3);
    assert_int_equal(irq_unregister(&actions[1]), HX_OK); /* from the middle */
    assert_true(port_lines[irq].enabled);
    port_irq_raise(irq);
    assert_int_equal(devices[0].calls, 2);
    assert_int_equal(devices[1].calls, 1);
    assert_int_equal(devices[2].calls, 2);
    assert_int_equal(stats_of(irq).unhandled, 1);
    assert_int_equal(irq_unregister(&actions[0]), HX_OK); /* the first */
    port_irq_raise(irq);
    assert_int_equal(devices[2].calls, 3);
    assert_int_equal(irq_unregister(&actions[2]), HX_OK); /* the last */
    assert_false(port_lines[irq].enabled);
    assert_int_equal(stats_of(irq).handlers, 0);
    assert_null(stats_of(irq).name);
}

static void stuck_line_is_masked_and_a_registration_revives_it(void **unused)
{
    (void)unused;
    const irq_t irq = 12;
    struct device deaf = {.claims = false}, healthy = {.claims = true};
    struct irq_action first = {.handler = serve, .ctx = &deaf, .name = "deaf"};
    struct irq_action second = {.handler = serve, .ctx = &healthy, .name = "healthy"};
    assert_int_equal(irq_register(irq, &first, IRQ_TRIGGER_LEVEL), HX_OK);
    for (int i = 0; i < STUCK_AFTER - 1; i++) {
        port_irq_raise(irq);
    }
    assert_true(port_lines[irq].enabled);
    assert_false(stats_of(irq).masked_as_stuck);
    port_irq_raise(irq);
    assert_false(port_lines[irq].enabled);
    assert_true(stats_of(irq).masked_as_stuck);
    assert_int_equal(stats_of(irq).unhandled, STUCK_AFTER);
    port_irq_raise(irq); /* stays pending */
    assert_int_equal(deaf.calls, STUCK_AFTER);
    assert_int_equal(irq_register(irq, &second, IRQ_TRIGGER_LEVEL), HX_OK);
    assert_false(stats_of(irq).masked_as_stuck);
    hal_irq_enable(); /* takes what is pending */
    assert_int_equal(healthy.calls, 1);
    assert_int_equal(irq_unregister(&first), HX_OK);
    assert_int_equal(irq_unregister(&second), HX_OK);
}

static void a_claim_in_between_resets_the_count(void **unused)
{
    (void)unused;
    const irq_t irq = 13;
    struct device device = {.claims = false};
    struct irq_action action = {.handler = serve, .ctx = &device, .name = "now and then"};
    assert_int_equal(irq_register(irq, &action, IRQ_TRIGGER_EDGE), HX_OK);
    for (int i = 0; i < 3 * STUCK_AFTER; i++) {
        device.claims = i % (STUCK_AFTER - 1) == STUCK_AFTER - 2;
        port_irq_raise(irq);
    }
    assert_true(port_lines[irq].enabled);
    assert_false(stats_of(irq).masked_as_stuck);
    assert_int_equal(stats_of(irq).count, 3 * STUCK_AFTER);
    assert_int_equal(stats_of(irq).unhandled, 3 * STUCK_AFTER - 3);
    assert_int_equal(irq_unregister(&action), HX_OK);
}

static void spurious_interrupts_are_counted_and_not_ended(void **unused)
{
    (void)unused;
    u64 before = irq_spurious_count();
    u32 eois = 0;
    for (u32 i = 0; i < PORT_IRQ_LINES; i++) {
        eois += port_lines[i].eois;
    }
    port_irq_raise_spurious();
    assert_int_equal(irq_spurious_count(), before + 1);
    for (u32 i = 0; i < PORT_IRQ_LINES; i++) {
        eois -= port_lines[i].eois;
    }
    assert_int_equal(eois, 0);
}

static void first_unhandled_interrupt_is_logged_once(void **unused)
{
    (void)unused;
    const irq_t irq = 14;
    struct device device = {.claims = false};
    struct irq_action action = {.handler = serve, .ctx = &device, .name = "odd"};
    assert_int_equal(irq_register(irq, &action, IRQ_TRIGGER_EDGE), HX_OK);
    u64 before = log_next_sequence();
    port_irq_raise(irq);
    port_irq_raise(irq);
    assert_int_equal(log_next_sequence(), before + 1);
    assert_int_equal(irq_unregister(&action), HX_OK);
}

static int start(void **unused)
{
    (void)unused;
    log_console_level(LOG_PANIC);
    int failed = hal_init_platform(NULL) == HX_OK ? 0 : -1;
    hal_irq_enable();
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(register_enables_and_unregister_masks),
        cmocka_unit_test(shared_line_asks_everyone),
        cmocka_unit_test(stuck_line_is_masked_and_a_registration_revives_it),
        cmocka_unit_test(a_claim_in_between_resets_the_count),
        cmocka_unit_test(spurious_interrupts_are_counted_and_not_ended),
        cmocka_unit_test(first_unhandled_interrupt_is_logged_once),
    };
    return cmocka_run_group_tests_name("irq", tests, start, NULL);
}
