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

enum hx_object_type {
    HX_OBJECT_NONE,
    HX_OBJECT_PROCESS,
    HX_OBJECT_THREAD,
    HX_OBJECT_CHANNEL = 20,   /* the end that calls */
    HX_OBJECT_CHANNEL_SERVER, /* the end that receives */
    HX_OBJECT_REPLY,          /* a call to be answered later */
    HX_OBJECT_QUEUE,          /* the end that sends */
    HX_OBJECT_QUEUE_RECEIVER,
    HX_OBJECT_TOPIC,
    HX_OBJECT_SUBSCRIPTION,
    HX_OBJECT_REGISTRY,
    HX_OBJECT_FILE = 30, /* whatever is read and written: files, devices, ends of pipes */
    HX_OBJECT_DIRECTORY,
    HX_OBJECT_SYSTEM = 40,         /* the kernel's own commands: READ looks, ADMIN changes */
    HX_OBJECT_REALTIME_RIGHT = 50, /* <abi/intent.h> */
    HX_OBJECT_TYPE_COUNT,
};

/* Rights of a handle; they only ever shrink. DELEGATE: to duplicate it and to derive from it;
 * EXCLUSIVE: to claim the object; TRANSFER: to give the handle to another process; REVOKE: to end
 * what was derived from it. */
#define HX_RIGHT_READ      (1u << 0)
#define HX_RIGHT_WRITE     (1u << 1)
#define HX_RIGHT_EXECUTE   (1u << 2)
#define HX_RIGHT_DELETE    (1u << 3)
#define HX_RIGHT_CREATE    (1u << 4)
#define HX_RIGHT_ADMIN     (1u << 5)
#define HX_RIGHT_DELEGATE  (1u << 6)
#define HX_RIGHT_EXCLUSIVE (1u << 7)
#define HX_RIGHT_WAIT      (1u << 8)
#define HX_RIGHT_TRANSFER  (1u << 9)
#define HX_RIGHT_REVOKE    (1u << 10)
#define HX_RIGHT_MAP       (1u << 11)
#define HX_RIGHT_SIGNAL    (1u << 12)
#define HX_RIGHTS_ALL      0x1fffu

/* handle_derive. Absent: others may go on to use the object. */
#define HX_DERIVE_EXCLUSIVE (1u << 0)
#define HX_DERIVE_FLAGS     HX_DERIVE_EXCLUSIVE

/* What handle_info says. */
struct hx_handle_info {
    u32 size; /* of this structure */
    hx_handle_t handle;
    u32 type; /* enum hx_object_type */
    u32 rights;
    u64 expires_ns; /* since boot; HX_DEADLINE_NEVER */
    s32 status;     /* HX_OK, HX_ERR_REVOKED, HX_ERR_BUSY: claimed by another */
    u32 depth;      /* derivations since the first handle for the object */
    u32 derived;    /* handles derived from it that are still there, dead or not */
    u32 exclusive;  /* 1: it has claimed the object */
};

/* A handle as bytes, sealed by the kernel that made it: token_export, token_import. */
struct hx_token {
    u32 size; /* of this structure */
    u32 rights;
    u64 number;     /* of the kernel's record */
    u64 audience;   /* the process that may import it; 0: any */
    u64 expires_ns; /* since boot */
    u8 mac[32];     /* over all before it */
};

/* What a tree of processes may have at once. Memory is the kernel's, in bytes. */
enum hx_quota {
    HX_QUOTA_HANDLES,
    HX_QUOTA_PROCESSES,
    HX_QUOTA_THREADS,
    HX_QUOTA_MEMORY,
    HX_QUOTA_CHANNELS,
    HX_QUOTA_TIMERS,
    HX_QUOTA_COUNT,
};

/* quota_read: one for each kind, in their order. */
struct hx_quota_count {
    u64 used, limit, peak;
};
/* memory_map, memory_protect. Readable always; absent: not writable, not executable. Both at once
 * is HX_ERR_INVALID. */
#define HX_MAP_WRITE   (1u << 0)
#define HX_MAP_EXECUTE (1u << 1)
#define HX_MAP_FIXED   (1u << 2) /* exactly at the address; absent: the address is a wish */
#define HX_MAP_GUARD   (1u << 3) /* reserved and never accessible */
/* Aligned 2 MiB appear as one page where there is memory in one piece: faster to walk, more to
 * clear at the first touch. Absent: single pages. Without effect on a guard. */
#define HX_MAP_LARGE (1u << 4)

#define HX_MAP_FLAGS         (HX_MAP_WRITE | HX_MAP_EXECUTE | HX_MAP_FIXED | HX_MAP_GUARD | HX_MAP_LARGE)
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
