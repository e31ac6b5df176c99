/* SPDX-License-Identifier: MIT */
/* Counting free frames in a system that runs: what tests before this one have set free arrives a
 * little later, by grace periods and by threads that end.
 */
#ifndef MEMORY_SETTLE_H
#define MEMORY_SETTLE_H

#include <core/task.h>
#include <core/time.h>
#include <memory/frame.h>
#include <memory/trim.h>

/* Frames free once every cache is trimmed and the count has stood still for three looks. */
static inline u64 memory_settle(void)
{
    u64 before = 0, now;
    for (u32 same = 0; same < 3; same++) {
        memory_trim();
        now = frame_free_count();
        same = now == before ? same : 0;
        before = now;
        HX_IGNORE(task_sleep_until(time_now_ns() + 2 * HX_NS_PER_MS), "no kill while testing");
    }
    return before;
}

#endif
