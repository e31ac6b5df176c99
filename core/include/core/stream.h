/* SPDX-License-Identifier: MIT */
/* Objects that bytes can be written to, as the core sees them: files, devices, pipes. The virtual
 * file system implements them.
 */
#ifndef CORE_STREAM_H
#define CORE_STREAM_H

#include <core/handle.h>

/* True when the object takes stream_write(). */
bool stream_is_one(const struct object *object);

/* Writes n bytes; returns when all are taken. Return: HX_OK; HX_ERR_CLOSED, nobody reads any more;
 * HX_ERR_CANCELLED, the task was killed; what the file system says. Context: thread. */
enum hx_status stream_write(struct object *object, const void *data, size_t n) HX_MUST_CHECK;

#endif
