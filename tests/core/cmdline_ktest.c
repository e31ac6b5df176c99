/* SPDX-License-Identifier: MIT */
/* core/cmdline: words, values, quotes. Each case adds words of its own; nothing is ever removed.
 */
#include <core/cmdline.h>
#include <ktest.h>

KTEST(cmdline, words_with_and_without_values)
{
    cmdline_add("  ka1 \t ka2=v ka3=\nka4=a=b\r");
    KTEST_STRING(cmdline_get("ka1"), "");
    KTEST_STRING(cmdline_get("ka2"), "v");
    KTEST_STRING(cmdline_get("ka3"), "");
    KTEST_STRING(cmdline_get("ka4"), "a=b");
    KTEST_ASSERT(cmdline_has("ka1"));
    KTEST_ASSERT(!cmdline_get("ka") && !cmdline_get("ka5") && !cmdline_get("ka2=v"));
}

KTEST(cmdline, quoted_values_keep_blanks)
{
    cmdline_add("kb1=\"two words\" kb2=\"a \\\"b\\\" \\\\ \\c\" kb3=x\"y z\"w");
    KTEST_STRING(cmdline_get("kb1"), "two words");
    KTEST_STRING(cmdline_get("kb2"), "a \"b\" \\ \\c");
    KTEST_STRING(cmdline_get("kb3"), "xy zw");
}

KTEST(cmdline, last_of_equal_names_counts)
{
    cmdline_add("kc=1 kc=2");
    KTEST_STRING(cmdline_get("kc"), "2");
    cmdline_add("kc");
    KTEST_STRING(cmdline_get("kc"), "");
}

KTEST(cmdline, open_quote_ends_with_the_text)
{
    cmdline_add("kd=\"open to the end");
    KTEST_STRING(cmdline_get("kd"), "open to the end");
    cmdline_add("ke=\\ kf=1");
    KTEST_STRING(cmdline_get("ke"), "\\");
    KTEST_STRING(cmdline_get("kf"), "1");
}

KTEST(cmdline, nothing_but_blanks_is_nothing)
{
    cmdline_add("");
    cmdline_add("  \t\r\n ");
    KTEST_ASSERT(!cmdline_get(""));
}
