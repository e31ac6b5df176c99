/* SPDX-License-Identifier: MIT */
/* Reading the log and steering what reaches the console; writing is in <helix/log.h>.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <helix/log.h>
#include <helix/types.h>

struct log_entry {
    u64 sequence; /* 0, 1, 2 ... over all lines ever written */
    u64 time_ns;  /* since the kernel's first instruction */
    enum log_level level;
    const char *area;
    char text[LOG_LINE_MAX + 1];
};

/* Copies the oldest kept line whose sequence is at least *cursor and moves *cursor past it. False
 * when there is none. Start with 0. Context: any. */
bool log_read(u64 *cursor, struct log_entry *out);

/* The sequence number that the next line will get. */
u64 log_next_sequence(void);

/* Lines of this level and those more urgent go to the console; the others to the ring only.
 * Return: the level before. Context: any. */
enum log_level log_console_level(enum log_level level);

/* True when lines of this level go to the console. Context: any. */
bool log_is_shown(enum log_level level);

const char *log_level_name(enum log_level level);

/* False when `name` is no level. */
bool log_level_parse(const char *name, enum log_level *out);

/* From a panic on: no lock is taken. */
void log_panic(void);

#endif
