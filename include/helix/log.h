/* SPDX-License-Identifier: MIT */
/* The kernel's log: leveled lines kept in a ring until overwritten, and copied to the console when
 * their level is at or below the console's. Declared here because every layer logs, the HAL too;
 * core/log implements it.
 * Context: any, IRQ and panic included; never blocks. Works before memory is up.
 */
#ifndef HELIX_LOG_H
#define HELIX_LOG_H

#include <helix/compiler.h>

enum log_level {
    LOG_PANIC, /* the system stops */
    LOG_ERROR, /* something asked for was not done */
    LOG_WARN,  /* something is wrong but was worked around */
    LOG_INFO,  /* a step that a user may want to see */
    LOG_DEBUG, /* for who works on the area */
    LOG_LEVEL_COUNT
};

/* One line, without a newline, in words; `area` names who speaks ("irq", "acpi"). Lines longer
 * than LOG_LINE_MAX are cut. */
void log_write(enum log_level level, const char *area, const char *fmt, ...) HX_PRINTF(3, 4);

#define LOG_LINE_MAX 240 /* bytes of text in one line */

#define log_error(area, ...) log_write(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_write(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_write(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_write(LOG_DEBUG, area, __VA_ARGS__)

#endif
