/* SPDX-License-Identifier: MIT */
/* What the file systems need from whatever runs them: memory, a lock, time, random bytes and the
 * one checksum that CPUs have instructions for. The kernel implements these over its own services,
 * host programs over tools/hostport; the log is <helix/log.h>, assertions are <helix/panic.h>.
 */
#ifndef FS_OS_H
#define FS_OS_H

#include <helix/compiler.h>
#include <helix/types.h>

/* Memory aligned for any type, to 4 KiB when size is a multiple of 4 KiB; contents undefined.
 * Context: thread, may block. Return: NULL when there is none: callers must go on. */
void *os_alloc(size_t size) HX_MUST_CHECK;

/* Takes what os_alloc returned, or NULL. */
void os_free(void *p);

/* A sleeping lock, not recursive. Context: thread. */
struct os_mutex;
struct os_mutex *os_mutex_create(void) HX_MUST_CHECK; /* NULL: out of memory */
void os_mutex_destroy(struct os_mutex *mutex);
void os_mutex_acquire(struct os_mutex *mutex);
void os_mutex_release(struct os_mutex *mutex);

/* Wall-clock time, nanoseconds since 1970-01-01 UTC. */
s64 os_time_ns(void);

/* Fills buf with bytes fit for keys and nonces. */
void os_random(void *buf, size_t n);

/* CRC-32C (Castagnoli, reflected), continuing from crc; start from 0. As in RFC 3720 B.4, the
 * bits are inverted on the way in and out. */
u32 os_crc32c(u32 crc, const void *data, size_t n);

#endif
