/* SPDX-License-Identifier: MIT */
/* Groups of contexts: a weight among its siblings, a least and a largest share.
 * Shares are permille of one CPU, so 2500 is two and a half CPUs. `min` is a hard
 * constant-bandwidth server on each CPU, admitted by the same test as Realtime; `max` is a budget
 * per 100 ms shared by all CPUs.
 */
#ifndef DIS_GROUP_H
#define DIS_GROUP_H

#include <core/sched_policy.h>

#define DIS_GROUP_DEPTH_MAX 8u

struct dis_group_params {
    u32 weight;          /* SCHED_WEIGHT_MIN..MAX; 0: SCHED_WEIGHT_UNIT */
    u32 min_permille;    /* 0: none */
    u32 max_permille;    /* 0: no limit; else at least min_permille */
    u32 prompt_permille; /* Interactive reservations of the group, of one CPU; 0: 500 */
};

struct dis_group_stats {
    u64 exec_ns;
    u64 throttled;       /* how often a CPU ran out of `max` */
    u32 nr;              /* runnable contexts, all CPUs */
    u32 prompt_permille; /* reserved */
};

/* Context: thread. Return: HX_OK, HX_ERR_INVALID, HX_ERR_NO_MEMORY, HX_ERR_NO_FIT (min does not
 * fit beside what is admitted), HX_ERR_LOOP (deeper than DIS_GROUP_DEPTH_MAX). The caller owns
 * the group until dis_group_destroy(). */
enum hx_status dis_group_create(struct dis_group *parent, const struct dis_group_params *params,
                                struct dis_group **out_group) HX_MUST_CHECK;

/* Context: thread. Return: HX_OK; HX_ERR_BUSY, contexts or groups are in it. */
enum hx_status dis_group_destroy(struct dis_group *group) HX_MUST_CHECK;

/* As create, for an existing group; unchanged unless HX_OK. */
enum hx_status dis_group_set(struct dis_group *group,
                             const struct dis_group_params *params) HX_MUST_CHECK;

/* Moves ctx, which keeps its lag. NULL: the root group. Context: thread. */
enum hx_status dis_group_attach(struct sched_ctx *ctx, struct dis_group *group) HX_MUST_CHECK;

void dis_group_stats(const struct dis_group *group, struct dis_group_stats *out);

#endif
