/* SPDX-License-Identifier: MIT */
/* What a program says it is for, and the answer it gets. The structures are the system call ABI:
 * `size` first, reserved fields zero, unknown flags refused. All times are ns.
 */
#ifndef DIS_INTENT_H
#define DIS_INTENT_H

#include <core/sched_policy.h>

#define DIS_INTENT_HARD                                                                            \
    1u                       /* Realtime: an overrun waits for the next period; absent: it is      \
                              * postponed to a later deadline and reported */
#define DIS_INTENT_PINNED 2u /* Realtime: never split over CPUs, never moved by re-packing */
#define DIS_INTENT_FLAGS  3u

#define DIS_PERIOD_MIN_NS  50000ull /* 50 us */
#define DIS_PERIOD_MAX_NS  (100ull * HX_NS_PER_SEC)
#define DIS_RUNTIME_MIN_NS 1000ull
#define DIS_LATENCY_MIN_NS 50000ull
#define DIS_LATENCY_MAX_NS HX_NS_PER_SEC

struct dis_intent {
    u32 size;     /* sizeof(struct dis_intent) */
    u32 cls;      /* enum sched_class */
    u32 flags;    /* DIS_INTENT_* */
    u32 weight;   /* Batch, Background, Interactive without tokens; 0: SCHED_WEIGHT_UNIT */
    u64 period;   /* Realtime: least time between releases */
    u64 deadline; /* Realtime: after the release, at most `period`; 0: the period */
    u64 wcet;     /* Realtime: CPU time of one job */
    u64 latency;  /* Interactive: a wake-up starts within this time */
    u64 burst;    /* Interactive: largest token balance; 0: min(2 ms, latency) */
    u32 rate;     /* Interactive: tokens regained, permille of a CPU; 0: 100 */
    u32 reserved; /* 0 */
    u64 slice;    /* fair layers: request size; 0: by class */
    u64 affinity; /* bit per CPU; 0: any */
};

enum dis_verdict {
    DIS_ADMITTED,    /* guaranteed, on `cpu` (the first of its CPUs when split) */
    DIS_BEST_EFFORT, /* accepted without a guarantee */
    DIS_REFUSED
};

enum dis_reason {
    DIS_REASON_NONE,
    DIS_REASON_FIELD,    /* a field is out of range, or reserved bits are set */
    DIS_REASON_CLASS,    /* no such class */
    DIS_REASON_DEMAND,   /* deadlines would be missed: see max_wcet */
    DIS_REASON_LIMIT,    /* the caller's right or its group's share is too small */
    DIS_REASON_AFFINITY, /* no CPU in the affinity is on line */
    DIS_REASON_UNDECIDED /* the test did not end within its step limit */
};

struct dis_result {
    u32 size;
    u32 verdict; /* enum dis_verdict */
    u32 reason;  /* enum dis_reason */
    u32 cpu;     /* where it was admitted */
    u32 pieces;  /* over how many CPUs; 1 usually */
    u32 reserved;
    u64 slack;    /* admitted: by how much wcet could still grow, all else equal */
    u64 max_wcet; /* refused for demand: the largest wcet that would be admitted; 0: none */
};

_Static_assert(sizeof(struct dis_intent) == 80, "system call ABI");
_Static_assert(sizeof(struct dis_result) == 40, "system call ABI");

/* What the caller may ask for: from its capabilities. */
struct dis_rights {
    u32 rt_permille;     /* Realtime utilisation that this and its other contexts may sum to */
    u32 prompt_permille; /* the same for Interactive reservations */
    u64 burst_max;       /* largest Interactive burst, ns */
    bool system;         /* may use the class System */
};

/* Everything out of range is found here, before any work. Fills defaults into *intent.
 * Context: any. Return: HX_OK; HX_ERR_INVALID, *out_reason says why. */
enum hx_status dis_intent_check(struct dis_intent *intent, u32 *out_reason) HX_MUST_CHECK;

/* Gives ctx a new intent; it stays what it was unless HX_OK. *out_result is filled in every case.
 * Context: thread; takes the admission lock and run queue locks; may run for milliseconds on
 * hundreds of reservations. Return: HX_OK (also for best effort); HX_ERR_INVALID; HX_ERR_NO_FIT,
 * admission refused; HX_ERR_LIMIT, the rights do not cover it; HX_ERR_ACCESS, class System without
 * the right. */
enum hx_status dis_intent_set(struct sched_ctx *ctx, const struct dis_intent *intent,
                              const struct dis_rights *rights,
                              struct dis_result *out_result) HX_MUST_CHECK;

/* The words for a reason, for a person. Context: any. */
const char *dis_reason_words(u32 reason);

#endif
