/* SPDX-License-Identifier: MIT */
/* core/hal/registry.c: each table before registration, with every hole, bound, and bound again. The
 * cases share the tables, in this order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <core/log.h>
#include <hal/firmware.h>
#include <hal/irq.h>
#include <hal/serial.h>
#include <hal/smp.h>
#include <hal/timer.h>

static void nothing_cpu(cpu_id_t cpu)
{
    (void)cpu;
}

static enum hx_status enable(irq_t irq, enum hal_irq_trigger trigger)
{
    (void)irq;
    (void)trigger;
    return HX_OK;
}

static void nothing_irq(irq_t irq)
{
    (void)irq;
}

static irq_t ack(struct hal_trap_frame *frame)
{
    (void)frame;
    return 3;
}

static u64 frequency(void)
{
    return 5;
}

static void arm(u64 deadline)
{
    (void)deadline;
}

static void disarm(void)
{
}

static irq_t line(void)
{
    return 2;
}

static void write_byte(u8 byte)
{
    (void)byte;
}

static bool read_byte(u8 *out)
{
    *out = 1;
    return true;
}

static enum hx_status end(void)
{
    return HX_ERR_IO;
}

static u32 count(void)
{
    return 2;
}

static u64 hw_id(cpu_id_t cpu)
{
    return cpu + 10;
}

static const struct hal_irq_ops irq_good = {.name = "good",
                                            .lines = HAL_IRQ_LINES_MAX,
                                            .init_cpu = nothing_cpu,
                                            .enable = enable,
                                            .mask = nothing_irq,
                                            .unmask = nothing_irq,
                                            .ack = ack,
                                            .eoi = nothing_irq};
static const struct hal_timer_ops timer_good = {.name = "good",
                                                .frequency = frequency,
                                                .arm = arm,
                                                .disarm = disarm,
                                                .irq = line,
                                                .init_cpu = nothing_cpu};
static const struct hal_serial_ops serial_good = {
    .name = "good", .write = write_byte, .read_try = read_byte};
static const struct hal_firmware_ops firmware_good = {
    .name = "good", .poweroff = end, .reset = end};
static const struct hal_smp_ops smp_good = {.name = "good", .count = count, .hw_id = hw_id};

static bool last_line_has(const char *words)
{
    struct log_entry entry;
    u64 cursor = log_next_sequence() - 1;
    return log_read(&cursor, &entry) && entry.level == LOG_ERROR && strstr(entry.text, words);
}

static void before_registration_everything_answers(void **unused)
{
    (void)unused;
    u8 byte = 7;
    size_t size = 7;
    irq_t irq = 7;
    assert_int_equal(hal_irq.lines, 0);
    assert_int_equal(hal_irq.enable(0, IRQ_TRIGGER_DEFAULT), HX_ERR_NOT_READY);
    assert_int_equal(hal_irq.ack(NULL), HX_IRQ_NONE);
    assert_int_equal(hal_irq.ipi_irq(IPI_STOP), HX_IRQ_NONE);
    assert_int_equal(hal_irq.set_cpu(0, 0), HX_OK);
    assert_int_equal(hal_irq.set_cpu(0, 1), HX_ERR_NOT_SUPPORTED);
    hal_irq.init_cpu(0);
    hal_irq.mask(0);
    hal_irq.unmask(0);
    hal_irq.eoi(0);
    hal_irq.send_ipi(0, IPI_STOP);
    assert_int_equal(hal_timer.frequency(), 0);
    assert_int_equal(hal_timer.irq(), HX_IRQ_NONE);
    hal_timer.arm(0);
    hal_timer.disarm();
    hal_timer.init_cpu(0);
    hal_timer.refine();
    hal_serial.write('x');
    assert_false(hal_serial.read_try(&byte));
    assert_int_equal(hal_serial.rx_enable(&irq), HX_ERR_NOT_SUPPORTED);
    assert_int_equal(hal_firmware.poweroff(), HX_ERR_NOT_READY);
    assert_int_equal(hal_firmware.reset(), HX_ERR_NOT_READY);
    assert_int_equal(hal_firmware.exit(0), HX_ERR_NOT_SUPPORTED);
    assert_int_equal(hal_firmware.blob_read("x", &byte, 1, &size), HX_ERR_NOT_FOUND);
    assert_int_equal(hal_smp.count(), 1);
    assert_int_equal(hal_smp.hw_id(0), 0);
    assert_int_equal(byte, 7);
    assert_int_equal(size, 7);
    assert_int_equal(irq, 7);
}

/* Registers a copy of the good table without one entry. */
#define HOLE(table, entry)                                                                         \
    do {                                                                                           \
        struct hal_##table##_ops ops = table##_good;                                               \
        ops.entry = 0;                                                                             \
        assert_int_equal(hal_##table##_register(&ops), HX_ERR_INVALID);                            \
        assert_true(last_line_has(#entry));                                                        \
        assert_true(last_line_has(#table));                                                        \
        assert_string_equal(hal_##table.name, "none");                                             \
    } while (0)

static void each_hole_is_refused_by_name(void **unused)
{
    (void)unused;
    HOLE(irq, name);
    HOLE(irq, lines);
    HOLE(irq, init_cpu);
    HOLE(irq, enable);
    HOLE(irq, mask);
    HOLE(irq, unmask);
    HOLE(irq, ack);
    HOLE(irq, eoi);
    HOLE(timer, name);
    HOLE(timer, frequency);
    HOLE(timer, arm);
    HOLE(timer, disarm);
    HOLE(timer, irq);
    HOLE(timer, init_cpu);
    HOLE(serial, name);
    HOLE(serial, write);
    HOLE(serial, read_try);
    HOLE(firmware, name);
    HOLE(firmware, poweroff);
    HOLE(firmware, reset);
    HOLE(smp, name);
    HOLE(smp, count);
    HOLE(smp, hw_id);
}

static void too_many_lines_are_refused(void **unused)
{
    (void)unused;
    struct hal_irq_ops ops = irq_good;
    ops.lines = HAL_IRQ_LINES_MAX + 1;
    assert_int_equal(hal_irq_register(&ops), HX_ERR_INVALID);
    assert_true(last_line_has("lines"));
}

static void what_is_registered_is_bound_and_holes_are_filled(void **unused)
{
    (void)unused;
    u8 byte = 0;
    irq_t irq;
    size_t size;
    assert_int_equal(hal_irq_register(&irq_good), HX_OK);
    assert_int_equal(hal_irq.lines, HAL_IRQ_LINES_MAX);
    assert_int_equal(hal_irq.ack(NULL), 3);
    assert_int_equal(hal_irq.set_cpu(0, 1), HX_ERR_NOT_SUPPORTED);
    assert_int_equal(hal_irq.ipi_irq(IPI_TLB), HX_IRQ_NONE);
    hal_irq.send_ipi(1, IPI_TLB);
    assert_int_equal(hal_timer_register(&timer_good), HX_OK);
    assert_int_equal(hal_timer.frequency(), 5);
    hal_timer.refine();
    assert_int_equal(hal_serial_register(&serial_good), HX_OK);
    assert_true(hal_serial.read_try(&byte) && byte == 1);
    assert_int_equal(hal_serial.rx_enable(&irq), HX_ERR_NOT_SUPPORTED);
    assert_int_equal(hal_firmware_register(&firmware_good), HX_OK);
    assert_int_equal(hal_firmware.reset(), HX_ERR_IO);
    assert_int_equal(hal_firmware.exit(1), HX_ERR_NOT_SUPPORTED);
    assert_int_equal(hal_firmware.blob_read("x", &byte, 1, &size), HX_ERR_NOT_FOUND);
    assert_int_equal(hal_smp_register(&smp_good), HX_OK);
    assert_int_equal(hal_smp.hw_id(1), 11);
}

static void a_second_registration_changes_nothing(void **unused)
{
    (void)unused;
    struct hal_irq_ops irq = irq_good;
    struct hal_timer_ops timer = timer_good;
    struct hal_serial_ops serial = serial_good;
    struct hal_firmware_ops firmware = firmware_good;
    struct hal_smp_ops smp = smp_good;
    irq.name = timer.name = serial.name = firmware.name = smp.name = "second";
    assert_int_equal(hal_irq_register(&irq), HX_ERR_EXISTS);
    assert_int_equal(hal_timer_register(&timer), HX_ERR_EXISTS);
    assert_int_equal(hal_serial_register(&serial), HX_ERR_EXISTS);
    assert_int_equal(hal_firmware_register(&firmware), HX_ERR_EXISTS);
    assert_int_equal(hal_smp_register(&smp), HX_ERR_EXISTS);
    assert_string_equal(hal_irq.name, "good");
    assert_string_equal(hal_timer.name, "good");
    assert_string_equal(hal_serial.name, "good");
    assert_string_equal(hal_firmware.name, "good");
    assert_string_equal(hal_smp.name, "good");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_registration_everything_answers),
        cmocka_unit_test(each_hole_is_refused_by_name),
        cmocka_unit_test(too_many_lines_are_refused),
        cmocka_unit_test(what_is_registered_is_bound_and_holes_are_filled),
        cmocka_unit_test(a_second_registration_changes_nothing),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
