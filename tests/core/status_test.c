/* SPDX-License-Identifier: MIT */
/* <helix/status.h>: numbers are what system calls return, so they are pinned here by value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <helix/status.h>
#include <helix/types.h>

static void numbers_are_dense_and_named(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        int number;
    } list[] = {
#define ENTRY(name, number, words) {#name, number},
        HX_STATUS_LIST(ENTRY)
#undef ENTRY
    };
    assert_int_equal(HX_ARRAY_SIZE(list), HX_STATUS_LAST + 1);
    for (int i = 0; i <= HX_STATUS_LAST; i++) {
        assert_int_equal(list[i].number, -i);
        assert_string_equal(hx_status_name(-i), list[i].name);
        assert_true(strlen(hx_status_words(-i)) > 3);
        assert_int_equal(strncmp(list[i].name, i ? "HX_ERR_" : "HX_OK", i ? 7 : 6), 0);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(hx_status_name(-i), hx_status_name(-k));
            assert_string_not_equal(hx_status_words(-i), hx_status_words(-k));
        }
    }
}

static void released_numbers_have_not_moved(void **unused)
{
    (void)unused;
    assert_int_equal(HX_OK, 0);
    assert_int_equal(HX_ERR_INVALID, -1);
    assert_int_equal(HX_ERR_NO_SPACE, -13);
    assert_int_equal(HX_ERR_BAD_SYSCALL, -22);
    assert_int_equal(HX_ERR_INTERRUPTED, -35);
    assert_int_equal(HX_ERR_END, -37);
}

static void other_numbers_are_said_to_be_none(void **unused)
{
    (void)unused;
    static const int none[] = {1, 2, -HX_STATUS_LAST - 1, INT32_MIN, INT32_MAX};
    for (u32 i = 0; i < HX_ARRAY_SIZE(none); i++) {
        assert_string_equal(hx_status_name((enum hx_status)none[i]), "HX_ERR_?");
        assert_string_equal(hx_status_words((enum hx_status)none[i]), "unknown status");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_dense_and_named),
        cmocka_unit_test(released_numbers_have_not_moved),
        cmocka_unit_test(other_numbers_are_said_to_be_none),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
