/* SPDX-License-Identifier: MIT */
/* Waiting with an end, for tests.
 * Owns:      nothing.      Context: thread, interrupts enabled.
 */
#include <core/time.h>
#include <fixture.h>

#define REFINED_NS (150 * HX_NS_PER_MS) /* core/time refines after 100 ms */

bool fixture_wait(const volatile u32 *flag)
{
    u64 end = time_now_ns() + HX_NS_PER_SEC;
    while (!*flag && time_now_ns() < end) {
        hal_cpu_relax();
    }
    return *flag != 0;
}

void fixture_spin_ns(u64 ns)
{
    u64 end = time_now_ns() + ns;
    while (time_now_ns() < end) {
        hal_cpu_relax();
    }
}

void fixture_quiet(void)
{
    while (time_now_ns() < REFINED_NS) {
        hal_cpu_relax();
    }
}
