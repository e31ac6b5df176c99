/* SPDX-License-Identifier: MIT */
/* core/log: order, cursors, cutting, and the ring when it wraps.
 */
#include <core/log.h>
#include <helix/format.h>
#include <fixture.h>
#include <ktest.h>

static struct log_entry entry; /* too large for a stack */

/* Reads the line that `cursor` stands at; false when there is none. */
static bool next(u64 *cursor)
{
    memset(&entry, 'x', sizeof(entry));
    return log_read(cursor, &entry);
}

KTEST(log, lines_come_back_in_order_with_level_and_area)
{
    fixture_quiet();
    u64 cursor = log_next_sequence(), first = cursor;
    log_debug("ktest", "one %d", 1);
    log_write(LOG_DEBUG, "other", "two");
    KTEST_ASSERT(next(&cursor));
    KTEST_EQUAL(entry.sequence, first);
    KTEST_EQUAL(entry.level, LOG_DEBUG);
    KTEST_STRING(entry.area, "ktest");
    KTEST_STRING(entry.text, "one 1");
    u64 time = entry.time_ns;
    KTEST_ASSERT(next(&cursor));
    KTEST_EQUAL(entry.sequence, first + 1);
    KTEST_STRING(entry.area, "other");
    KTEST_STRING(entry.text, "two");
    KTEST_ASSERT(entry.time_ns >= time);
    KTEST_EQUAL(cursor, first + 2);
    KTEST_ASSERT(!next(&cursor));
    KTEST_EQUAL(cursor, first + 2);
    KTEST_EQUAL(log_next_sequence(), first + 2);
}

KTEST(log, empty_and_overlong_lines_are_kept)
{
    char text[2 * LOG_LINE_MAX];
    fixture_quiet();
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    u64 cursor = log_next_sequence();
    log_debug("ktest", "%s", "");
    log_debug("ktest", "%s", text);
    text[LOG_LINE_MAX] = '\0';
    log_debug("ktest", "%s", text);
    KTEST_ASSERT(next(&cursor));
    KTEST_STRING(entry.text, "");
    KTEST_ASSERT(next(&cursor));
    KTEST_STRING(entry.text, text); /* cut at LOG_LINE_MAX */
    KTEST_ASSERT(next(&cursor));
    KTEST_STRING(entry.text, text);
    KTEST_ASSERT(!next(&cursor));
}

KTEST(log, wrapping_drops_the_oldest_whole_lines)
{
    enum { LINES = 3000 };
    char text[100];
    fixture_quiet();
    u64 first = log_next_sequence();
    for (u32 i = 0; i < LINES; i++) {
        log_debug("wrap", "%u %.*s", i, (int)(i % 90),
                  "................................................................................"
                  "..........");
    }
    u64 cursor = first, kept = 0, number = 0;
    while (next(&cursor)) {
        number = entry.sequence - first;
        KTEST_ASSERT(kept == 0 || number == LINES - 1 || entry.sequence + 1 == cursor);
        format_buffer(text, sizeof(text), "%lu %.*s", number, (int)(number % 90),
                      "............................................................................"
                      "..............");
        KTEST_STRING(entry.text, text);
        KTEST_STRING(entry.area, "wrap");
        kept++;
    }
    KTEST_EQUAL(number, LINES - 1);
    KTEST_ASSERT(kept > 500 && kept < LINES); /* some 64 KiB of them */
    cursor = 0;                               /* long overwritten: starts at the oldest kept */
    KTEST_ASSERT(next(&cursor));
    KTEST_EQUAL(entry.sequence, first + LINES - kept);
}

KTEST(log, cursor_beyond_the_end_waits_for_it)
{
    fixture_quiet();
    u64 cursor = log_next_sequence() + 1;
    log_debug("ktest", "before it");
    KTEST_ASSERT(!next(&cursor));
    log_debug("ktest", "at it");
    KTEST_ASSERT(next(&cursor));
    KTEST_STRING(entry.text, "at it");
}

KTEST(log, levels_have_names_and_names_have_levels)
{
    for (u32 i = 0; i < LOG_LEVEL_COUNT; i++) {
        enum log_level level = LOG_LEVEL_COUNT;
        KTEST_ASSERT(log_level_parse(log_level_name(i), &level));
        KTEST_EQUAL(level, i);
    }
    enum log_level untouched = LOG_WARN;
    KTEST_ASSERT(!log_level_parse("", &untouched) && !log_level_parse("INFO", &untouched));
    KTEST_ASSERT(!log_level_parse("informed", &untouched));
    KTEST_EQUAL(untouched, LOG_WARN);
    KTEST_STRING(log_level_name(LOG_LEVEL_COUNT), "?");
}

KTEST(log, console_level_is_exchanged)
{
    enum log_level before = log_console_level(LOG_ERROR);
    enum log_level mine = log_console_level(before);
    KTEST_EQUAL(mine, LOG_ERROR);
}
