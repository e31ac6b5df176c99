/* SPDX-License-Identifier: MIT */
/* Output. Text goes to standard output, or without one where the kernel lets it appear: the console
 * of whoever runs the program. Each call arrives in one piece up to HX_WRITE_MAX bytes; longer ones
 * in several, between which other threads' output may come. There is nobody to report a failed
 * write to, so it is dropped.
 */
#ifndef HX_IO_H
#define HX_IO_H

#include <helix/compiler.h>
#include <helix/types.h>
#include <stdarg.h>

#define HX_WRITE_MAX 512

/* Writes bytes. Context: any thread. */
void hx_write(const char *text, size_t length);

/* Writes formatted text; <helix/format.h> says which conversions there are. Context: any thread. */
void hx_printf(const char *fmt, ...) HX_PRINTF(1, 2);
void hx_vprintf(const char *fmt, va_list args);

#endif
