/* SPDX-License-Identifier: MIT */
/* printf-class formatting without a C library: %d %i %u %x %X %o %c %s %p %% with flags `-`, `0`,
 * `+`, ` `, `#`, width, precision, `*`, and lengths hh h l ll z j t. No floating point: the kernel
 * has none. Context: any, early and panic included; no state.
 */
#ifndef HELIX_FORMAT_H
#define HELIX_FORMAT_H

#include <helix/compiler.h>
#include <helix/types.h>
#include <stdarg.h>

/* Takes n bytes of output. */
typedef void format_sink_fn(void *ctx, const char *text, size_t n);

/* Return: the number of bytes handed to the sink. */
size_t format_to(format_sink_fn *sink, void *ctx, const char *fmt, va_list args);

/* Writes at most size bytes, NUL included, always terminated when size > 0.
 * Return: the length that unlimited room would have given, as snprintf. */
size_t format_buffer(char *buf, size_t size, const char *fmt, ...) HX_PRINTF(3, 4);
size_t format_buffer_va(char *buf, size_t size, const char *fmt, va_list args);

#endif
