/* SPDX-License-Identifier: MIT */
/* Time in nanoseconds, by one of the clocks of enum hx_clock. Deadlines are on HX_CLOCK_MONOTONIC.
 */
#ifndef HX_CLOCK_H
#define HX_CLOCK_H

#include <hx/syscall.h>

/* The time on a clock; a clock that the machine lacks reads 0. Context: any thread. */
static inline u64 hx_clock(enum hx_clock clock)
{
    s64 now = hx_sys_clock_read(clock);
    return now < 0 ? 0 : (u64)now;
}

/* The deadline that lies `ns` from now; HX_DEADLINE_NEVER when that is beyond all time. */
static inline u64 hx_deadline_after(u64 ns)
{
    u64 now = hx_clock(HX_CLOCK_MONOTONIC);
    return ns > HX_DEADLINE_NEVER - now ? HX_DEADLINE_NEVER : now + ns;
}

/* Sleeps at least `ns`. Context: any thread; blocks. */
static inline void hx_sleep(u64 ns)
{
    hx_sys_sleep_until(hx_deadline_after(ns));
}

#endif
