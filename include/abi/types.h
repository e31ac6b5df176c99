/* SPDX-License-Identifier: MIT */
/* Numbers that programs and the kernel share, beside the table of calls.
 */
#ifndef ABI_TYPES_H
#define ABI_TYPES_H

#include <helix/status.h>
#include <helix/types.h>

/* A handle names an object in the table of the process that holds it: 22 bits of index, 10 of tag,
 * so that a stale one is noticed. 0 is never a handle. */
typedef u32 hx_handle_t;
#define HX_HANDLE_NONE 0u

enum hx_object_type { HX_OBJECT_NONE, HX_OBJECT_PROCESS, HX_OBJECT_THREAD, HX_OBJECT_TYPE_COUNT };

/* Rights of a handle; they only ever shrink. */
#define HX_RIGHT_READ      (1u << 0)
#define HX_RIGHT_WRITE     (1u << 1)
#define HX_RIGHT_EXECUTE   (1u << 2)
#define HX_RIGHT_DELETE    (1u << 3)
#define HX_RIGHT_CREATE    (1u << 4)
#define HX_RIGHT_ADMIN     (1u << 5)
#define HX_RIGHT_DELEGATE  (1u << 6)
#define HX_RIGHT_EXCLUSIVE (1u << 7)
#define HX_RIGHT_WAIT      (1u << 8)
#define HX_RIGHTS_ALL      0x1ffu

/* memory_map, memory_protect. Readable always; absent: not writable, not executable. Both at once
 * is HX_ERR_INVALID. */
#define HX_MAP_WRITE   (1u << 0)
#define HX_MAP_EXECUTE (1u << 1)
#define HX_MAP_FIXED   (1u << 2) /* exactly at the address; absent: the address is a wish */
#define HX_MAP_GUARD   (1u << 3) /* reserved and never accessible */

#define HX_MAP_FLAGS         (HX_MAP_WRITE | HX_MAP_EXECUTE | HX_MAP_FIXED | HX_MAP_GUARD)
#define HX_MAP_PROTECT_FLAGS (HX_MAP_WRITE | HX_MAP_EXECUTE)

/* A deadline in ns since boot; one in the past asks without waiting. */
#define HX_DEADLINE_NEVER UINT64_MAX

/* clock_read, in ns: since boot; since 1970-01-01 00:00 UTC; CPU time of the calling thread. */
enum hx_clock { HX_CLOCK_MONOTONIC, HX_CLOCK_WALL, HX_CLOCK_THREAD, HX_CLOCK_COUNT };

/* Exit statuses of a process: 0 .. 255 by its own choice; these when it was ended. */
#define HX_EXIT_KILLED 256
#define HX_EXIT_FAULT  257

/* process_spawn: `args` is the argument vector as NUL-terminated strings one after the other, at
 * most this many bytes; argv[0] is the name. Name: at most HX_NAME_MAX bytes. */
#define HX_ARGS_MAX 4096
#define HX_NAME_MAX 255

/* What a new process finds: entry(arguments, size) with the argument strings at `arguments`, on a
 * stack of HX_STACK_SIZE bytes with a guard below it. A thread starts in entry(arg). */
#define HX_STACK_SIZE 65536

#endif
