/* SPDX-License-Identifier: MIT */
/* core/cmdline: what fills it, and the host's words. Ordinary words are in cmdline_ktest.c. The
 * cases share one command line, in this order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <core/cmdline.h>
#include <core/log.h>
#include <hal/hal.h>
#include <port/fake.h>

static bool logged(u64 cursor, const char *text)
{
    struct log_entry entry;
    while (log_read(&cursor, &entry)) {
        if (strstr(entry.text, text)) {
            return true;
        }
    }
    return false;
}

static void without_a_blob_the_host_adds_nothing(void **unused)
{
    (void)unused;
    cmdline_add("before=1");
    cmdline_add_from_host();
    assert_string_equal(cmdline_get("before"), "1");
}

static void the_hosts_words_come_last(void **unused)
{
    (void)unused;
    port_firmware.blob_name = "opt/helix/cmdline";
    port_firmware.blob_text = "before=2 from=\"the host\"";
    cmdline_add_from_host();
    assert_string_equal(cmdline_get("before"), "2");
    assert_string_equal(cmdline_get("from"), "the host");
}

static void unknown_words_are_reported_by_name(void **unused)
{
    (void)unused;
    static const char *const known[] = {"from", NULL};
    u64 cursor = log_next_sequence();
    cmdline_report_unknown(known);
    assert_true(logged(cursor, "'before'"));
    assert_false(logged(cursor, "'from'"));
}

static void a_word_that_does_not_fit_is_dropped_whole(void **unused)
{
    (void)unused;
    static char text[20000];
    u64 cursor = log_next_sequence();
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "huge=", 5);
    cmdline_add(text);
    assert_null(cmdline_get("huge"));
    assert_true(logged(cursor, "dropped"));
    cmdline_add("after=1"); /* there is room for a short one */
    assert_string_equal(cmdline_get("after"), "1");
}

static void a_long_text_from_the_host_is_cut(void **unused)
{
    (void)unused;
    static char text[5000];
    u64 cursor = log_next_sequence();
    memset(text, ' ', sizeof(text) - 1);
    memcpy(text, "cut=1", 5);
    memcpy(text + 4000, "uncut=1", 7);
    port_firmware.blob_text = text;
    cmdline_add_from_host();
    assert_string_equal(cmdline_get("cut"), "1");
    assert_null(cmdline_get("uncut"));
    assert_true(logged(cursor, "cut at"));
}

static void too_many_words_are_dropped(void **unused)
{
    (void)unused;
    char word[32];
    int kept = 0;
    for (int i = 0; i < 200; i++) {
        snprintf(word, sizeof(word), "many%d=%d", i, i);
        cmdline_add(word);
        const char *value = cmdline_get(strtok(word, "="));
        kept += value != NULL;
        assert_true(value == NULL || atoi(value) == i);
        assert_true((value != NULL) == (kept == i + 1)); /* once full, always full */
    }
    assert_true(kept > 20 && kept < 64);
    assert_string_equal(cmdline_get("before"), "2");
}

static int start(void **unused)
{
    (void)unused;
    log_console_level(LOG_PANIC);
    return hal_init_platform(NULL) == HX_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_blob_the_host_adds_nothing),
        cmocka_unit_test(the_hosts_words_come_last),
        cmocka_unit_test(unknown_words_are_reported_by_name),
        cmocka_unit_test(a_word_that_does_not_fit_is_dropped_whole),
        cmocka_unit_test(a_long_text_from_the_host_is_cut),
        cmocka_unit_test(too_many_words_are_dropped),
    };
    return cmocka_run_group_tests_name("cmdline", tests, start, NULL);
}
