/* SPDX-License-Identifier: MIT */
/* core/log and core/console: what reaches the serial line. What stays in the ring is in
 * log_ktest.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <core/console.h>
#include <core/log.h>
#include <hal/hal.h>
#include <hal/serial.h>
#include <port/fake.h>

static const char *sent(void)
{
    return port_serial.sent;
}

static void clear(void)
{
    port_serial.sent_count = 0;
    port_serial.sent[0] = '\0';
}

static void console_gets_what_is_urgent_enough(void **unused)
{
    (void)unused;
    for (int limit = 0; limit < LOG_LEVEL_COUNT; limit++) {
        log_console_level(limit);
        for (int level = 0; level < LOG_LEVEL_COUNT; level++) {
            clear();
            u64 before = log_next_sequence();
            log_write(level, "area", "words");
            assert_int_equal(log_next_sequence(), before + 1);
            assert_int_equal(strstr(sent(), "words") != NULL, level <= limit);
        }
    }
}

static void line_has_time_area_and_severity(void **unused)
{
    (void)unused;
    log_console_level(LOG_DEBUG);
    clear();
    log_info("area", "a %d", 7);
    assert_string_equal(strchr(sent(), ']'), "] area: a 7\r\n");
    assert_int_equal(sent()[0], '[');
    clear();
    log_warn("area", "b");
    assert_non_null(strstr(sent(), "area: warning: b\r\n"));
    clear();
    log_error("area", "c");
    assert_non_null(strstr(sent(), "area: error: c\r\n"));
}

static void console_output_has_carriage_returns(void **unused)
{
    (void)unused;
    clear();
    console_printf("%s\n\n%u\n", "x", 12u);
    assert_string_equal(sent(), "x\r\n\r\n12\r\n");
    clear();
    console_write("a\nb", 2);
    assert_string_equal(sent(), "a\r\n");
}

static size_t second_count;

static void second_write(const char *text, size_t n)
{
    (void)text;
    second_count += n;
}

static void every_console_gets_everything(void **unused)
{
    (void)unused;
    static struct console second = {.name = "second", .write = second_write};
    char names[64], cut[8];
    console_names(names, sizeof(names));
    assert_string_equal(names, "serial");
    console_register(&second);
    console_names(names, sizeof(names));
    assert_string_equal(names, "serial, second");
    console_names(cut, sizeof(cut));
    assert_string_equal(cut, "serial,");
    clear();
    console_write("12345", 5);
    assert_string_equal(sent(), "12345");
    assert_int_equal(second_count, 5);
}

static void input_arrives_in_order(void **unused)
{
    (void)unused;
    console_input_init();
    assert_true(port_lines[PORT_IRQ_SERIAL].enabled);
    port_serial.to_receive = "one";
    port_irq_raise(PORT_IRQ_SERIAL);
    assert_int_equal(console_read(), 'o');
    port_serial.to_receive = "X";
    port_irq_raise(PORT_IRQ_SERIAL);
    assert_int_equal(console_read(), 'n');
    assert_int_equal(console_read(), 'e');
    assert_int_equal(console_read(), 'X');
    assert_int_equal(port_lines[PORT_IRQ_SERIAL].acks, port_lines[PORT_IRQ_SERIAL].eois);
}

static void input_beyond_the_ring_is_dropped(void **unused)
{
    (void)unused;
    static char flood[2000];
    memset(flood, 'f', sizeof(flood) - 1);
    flood[0] = '1';
    port_serial.to_receive = flood;
    port_irq_raise(PORT_IRQ_SERIAL);
    assert_int_equal(*port_serial.to_receive, '\0'); /* drained all the same */
    assert_int_equal(console_read(), '1');
    for (int i = 1; i < 256; i++) {
        assert_int_equal(console_read(), 'f');
    }
    port_serial.to_receive = "n";
    port_irq_raise(PORT_IRQ_SERIAL);
    assert_int_equal(console_read(), 'n');
}

static int start(void **unused)
{
    (void)unused;
    hal_init_early(NULL);
    console_init();
    hal_irq_enable();
    return hal_init_platform(NULL) == HX_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(console_gets_what_is_urgent_enough),
        cmocka_unit_test(line_has_time_area_and_severity),
        cmocka_unit_test(console_output_has_carriage_returns),
        cmocka_unit_test(every_console_gets_everything),
        cmocka_unit_test(input_arrives_in_order),
        cmocka_unit_test(input_beyond_the_ring_is_dropped),
    };
    return cmocka_run_group_tests_name("log", tests, start, NULL);
}
