/* SPDX-License-Identifier: MIT */
/* The kernel's ground floor on the host: <fs/os.h>, the log, assertions and the strings that the C
 * library lacks, for unit tests, simulators and tools. What follows is only for tests: a failing
 * allocator, a clock that stands still, random numbers that repeat.
 */
#ifndef HOSTPORT_H
#define HOSTPORT_H

#include <helix/log.h>
#include <helix/types.h>

/* The n-th os_alloc from now fails (1: the next), and only that one; 0: none. */
void hostport_fail_alloc(u64 n);

/* os_alloc calls, and blocks that were not freed, since the program began. */
u64 hostport_alloc_count(void);
u64 hostport_alloc_live(void);

/* From now on os_random repeats a sequence and os_time_ns advances 1 us a call from a fixed
 * date: the same calls give the same bytes. */
void hostport_seed(u64 seed);

/* Log lines above that level are dropped; LOG_WARN at first. */
void hostport_log_level(enum log_level level);

/* Takes each line instead of standard error; NULL: standard error again. */
void hostport_log_sink(void (*sink)(enum log_level level, const char *area, const char *line));

#endif
