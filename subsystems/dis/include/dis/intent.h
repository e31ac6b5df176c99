/* SPDX-License-Identifier: MIT */
/* What a program says it is for, and the answer it gets: <abi/intent.h>, checked and applied.
 */
#ifndef DIS_INTENT_H
#define DIS_INTENT_H

#include <abi/intent.h>
#include <core/sched_policy.h>

#define DIS_PERIOD_MIN_NS  50000ull /* 50 us */
#define DIS_PERIOD_MAX_NS  (100ull * HX_NS_PER_SEC)
#define DIS_RUNTIME_MIN_NS 1000ull
#define DIS_LATENCY_MIN_NS 50000ull
#define DIS_LATENCY_MAX_NS HX_NS_PER_SEC

_Static_assert((int)HX_CLASS_BATCH == SCHED_CLASS_BATCH &&
                   (int)HX_CLASS_INTERACTIVE == SCHED_CLASS_INTERACTIVE &&
                   (int)HX_CLASS_BACKGROUND == SCHED_CLASS_BACKGROUND &&
                   (int)HX_CLASS_SYSTEM == SCHED_CLASS_SYSTEM &&
                   (int)HX_CLASS_REALTIME == SCHED_CLASS_REALTIME &&
                   (int)HX_CLASS_COUNT == SCHED_CLASS_COUNT,
               "one numbering");

/* What the caller may ask for: from its capabilities. */
struct dis_rights {
    u32 rt_permille;     /* Realtime utilisation that this and its other contexts may sum to */
    u32 prompt_permille; /* the same for Interactive reservations */
    u64 burst_max;       /* largest Interactive burst, ns */
    bool system;         /* may use the class System */
};

/* Everything out of range is found here, before any work. Fills defaults into *intent.
 * Context: any. Return: HX_OK; HX_ERR_INVALID, *out_reason says why. */
enum hx_status dis_intent_check(struct hx_intent *intent, u32 *out_reason) HX_MUST_CHECK;

/* Gives ctx a new intent; it stays what it was unless HX_OK. *out_result is filled in every case.
 * Context: thread; takes the admission lock and run queue locks; may run for milliseconds on
 * hundreds of reservations. Return: HX_OK (also for best effort); HX_ERR_INVALID; HX_ERR_NO_FIT,
 * admission refused; HX_ERR_LIMIT, the rights do not cover it; HX_ERR_ACCESS, class System without
 * the right. */
enum hx_status dis_intent_set(struct sched_ctx *ctx, const struct hx_intent *intent,
                              const struct dis_rights *rights,
                              struct hx_intent_result *out_result) HX_MUST_CHECK;

/* The words for a reason, for a person. Context: any. */
const char *dis_reason_words(u32 reason);

#endif
