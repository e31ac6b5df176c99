/* SPDX-License-Identifier: MIT */
/* Optional table: a clock that knows the date and runs while the machine is off.
 */
#ifndef HAL_CLOCK_H
#define HAL_CLOCK_H

#include <helix/status.h>
#include <helix/types.h>

struct hal_clock_ops {
    const char *name; /* mandatory: "CMOS", "PL031" */
    /* Mandatory. Seconds since 1970-01-01 00:00 UTC. May poll for a few microseconds. Thread or
     * early. Return: HX_OK; HX_ERR_IO: it shows no date, or stands still. */
    enum hx_status (*read)(u64 *out_seconds);
};

/* Without a clock, reading answers HX_ERR_NOT_SUPPORTED. */
enum hx_status hal_clock_register(const struct hal_clock_ops *ops) HX_MUST_CHECK;

extern struct hal_clock_ops hal_clock;

#endif
