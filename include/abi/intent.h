/* SPDX-License-Identifier: MIT */
/* What a program says it is for, and the answer it gets. `size` first, reserved fields zero,
 * unknown flags refused. All times are ns.
 */
#ifndef ABI_INTENT_H
#define ABI_INTENT_H

#include <helix/types.h>

/* What a thread is for. */
enum hx_class {
    HX_CLASS_BATCH,       /* throughput by weight; the default */
    HX_CLASS_INTERACTIVE, /* starts soon after a wake-up, within a budget */
    HX_CLASS_BACKGROUND,  /* what is left over, and a little more */
    HX_CLASS_SYSTEM,      /* services of the system: not for programs */
    HX_CLASS_REALTIME,    /* admitted (period, deadline, wcet); needs a right */
    HX_CLASS_COUNT
};

#define HX_INTENT_HARD                                                                             \
    1u                      /* Realtime: an overrun waits for the next period; absent: it is       \
                             * postponed to a later deadline and reported */
#define HX_INTENT_PINNED 2u /* Realtime: never split over CPUs, never moved by re-packing */
#define HX_INTENT_FLAGS  3u

struct hx_intent {
    u32 size;     /* sizeof(struct hx_intent) */
    u32 cls;      /* enum hx_class */
    u32 flags;    /* HX_INTENT_* */
    u32 weight;   /* Batch, Background, Interactive without tokens; 0: 1024 */
    u64 period;   /* Realtime: least time between releases */
    u64 deadline; /* Realtime: after the release, at most `period`; 0: the period */
    u64 wcet;     /* Realtime: CPU time of one job */
    u64 latency;  /* Interactive: a wake-up starts within this time */
    u64 burst;    /* Interactive: largest token balance; 0: min(2 ms, latency / 2) */
    u32 rate;     /* Interactive: tokens regained, permille of a CPU; 0: 100 */
    u32 reserved; /* 0 */
    u64 slice;    /* fair layers: request size; 0: by class */
    u64 affinity; /* bit per CPU; 0: any */
};

enum hx_verdict {
    HX_INTENT_ADMITTED,    /* guaranteed, on `cpu` (the first of its CPUs when split) */
    HX_INTENT_BEST_EFFORT, /* accepted without a guarantee */
    HX_INTENT_REFUSED
};

enum hx_reason {
    HX_REASON_NONE,
    HX_REASON_FIELD,    /* a field is out of range, or reserved bits are set */
    HX_REASON_CLASS,    /* no such class */
    HX_REASON_DEMAND,   /* deadlines would be missed: see max_wcet */
    HX_REASON_LIMIT,    /* the caller's right or its group's share is too small */
    HX_REASON_AFFINITY, /* no CPU in the affinity is on line */
    HX_REASON_UNDECIDED /* the test did not end within its step limit */
};

struct hx_intent_result {
    u32 size;
    u32 verdict; /* enum hx_verdict */
    u32 reason;  /* enum hx_reason */
    u32 cpu;     /* where it was admitted */
    u32 pieces;  /* over how many CPUs; 1 usually */
    u32 reserved;
    u64 slack;    /* admitted: by how much wcet could still grow, all else equal */
    u64 max_wcet; /* refused for demand: the largest wcet that would be admitted; 0: none */
};

_Static_assert(sizeof(struct hx_intent) == 80, "system call ABI");
_Static_assert(sizeof(struct hx_intent_result) == 40, "system call ABI");

/* intent_set: `thread` is a handle with HX_RIGHT_ADMIN, 0: the caller. `right` is a handle to a
 * HX_OBJECT_REALTIME_RIGHT with HX_RIGHT_WRITE, needed for Realtime; 0: none. Such a right has a
 * limit, in permille of a CPU, for all that is reserved by it at a time. `result` is written
 * whenever the arguments could be read.
 * HX_OK, also for best effort; HX_ERR_INVALID; HX_ERR_NO_FIT, refused, see the result;
 * HX_ERR_LIMIT, beyond the right; HX_ERR_ACCESS; HX_ERR_BAD_HANDLE; HX_ERR_FAULT. */

/* sched_stats: the whole page, as of now. */
#define HX_SCHED_STATS_VERSION 1u
struct hx_sched_stats {
    u32 version, size; /* HX_SCHED_STATS_VERSION, bytes */
    u32 cpus, policy_generation;
    u64 now_ns;
    u64 misses, overruns, refused, admitted;
    u64 last_miss_ns, last_overrun_ns;
    u32 strikes, ejections, exchanges, reserved;
    char policy[32];
    struct {
        u64 switches[6]; /* to: stop, deadline, prompt, fair, idle-work, nothing */
        u64 busy_ns[6];  /* in the same */
        u64 steals, kicks, timers;
        u32 runnable, reserved;
    } cpu[16];
};

#endif
