/* SPDX-License-Identifier: MIT */
/* The date: the clock's reading at boot, and the time since.
 * Owns:      the offset between both.     Context: thread or early.
 */
#include <core/shell.h>
#include <core/time.h>
#include <hal/clock.h>

static u64 offset_ns; /* a; 0: not read yet */

enum hx_status time_wall_ns(u64 *out_ns)
{
    u64 offset = __atomic_load_n(&offset_ns, __ATOMIC_RELAXED);
    if (offset == 0) {
        u64 seconds;
        enum hx_status status = hal_clock.read(&seconds);
        if (status != HX_OK) {
            return status;
        }
        offset = seconds * HX_NS_PER_SEC - time_now_ns();
        __atomic_store_n(&offset_ns, offset, __ATOMIC_RELAXED);
    }
    *out_ns = offset + time_now_ns();
    return HX_OK;
}

/* Civil date of a day number since 1970-01-01. */
static void date_from_days(u64 days, u32 *out_year, u32 *out_month, u32 *out_day)
{
    u64 z = days + 719468, era = z / 146097, doe = z % 146097;
    u64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    u64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *out_day = (u32)(doy - (153 * mp + 2) / 5 + 1);
    *out_month = (u32)(mp < 10 ? mp + 3 : mp - 9);
    *out_year = (u32)(yoe + era * 400 + (*out_month <= 2));
}

static int command_date(int argc, char **argv)
{
    u64 ns;
    enum hx_status status = time_wall_ns(&ns);
    if (status != HX_OK) {
        shell_printf("date: %s\n", hx_status_words(status));
        return SHELL_FAILED;
    }
    u64 seconds = ns / HX_NS_PER_SEC;
    if (shell_has_option(argc, argv, "--json")) {
        shell_printf("{\"unix\":%lu}\n", seconds);
        return SHELL_OK;
    }
    u32 year, month, day;
    date_from_days(seconds / 86400, &year, &month, &day);
    shell_printf("%04u-%02u-%02u %02lu:%02lu:%02lu UTC\n", year, month, day, seconds / 3600 % 24,
                 seconds / 60 % 60, seconds % 60);
    return SHELL_OK;
}

SHELL_COMMAND(date, "date", "[--json]", "the date and time of day", "", command_date);
