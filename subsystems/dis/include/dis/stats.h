/* SPDX-License-Identifier: MIT */
/* Statistics of the scheduler: a versioned page that readers copy without locks, and histograms
 * per context. Histograms count by power of two of microseconds: bucket n holds 2^(n-1)..2^n-1.
 */
#ifndef DIS_STATS_H
#define DIS_STATS_H

#include <core/sched_policy.h>
#include <dis/dis.h>

#define DIS_STATS_VERSION 1u
#define DIS_HIST_BUCKETS  32u

struct dis_hist {
    u32 wake[DIS_HIST_BUCKETS];  /* from runnable to running */
    u32 burst[DIS_HIST_BUCKETS]; /* CPU time from wake-up to block */
    u32 slack[DIS_HIST_BUCKETS]; /* Realtime: deadline minus completion */
};

/* The page. `sequence` is odd while a writer is at work: copy, and copy again if it changed. */
struct dis_stats_page {
    u32 version;  /* DIS_STATS_VERSION */
    u32 size;     /* sizeof(struct dis_stats_page) */
    u32 sequence; /* a */
    u32 cpus;
    u64 now;
    u64 misses, overruns, refused, admitted;
    u64 last_miss_ns, last_overrun_ns;
    u32 last_miss_id, last_overrun_id;
    u32 policy_generation, strikes, ejections, exchanges;
    char policy[32];
    struct dis_rq_stats rq[SCHED_CPUS_MAX];
};

/* Brings the page up to date. Context: thread; takes run queue locks. */
void dis_stats_publish(struct dis_stats_page *page, u64 now);

/* Copies a page that another CPU may be publishing. Context: any. Return: HX_OK; HX_ERR_BUSY, it
 * changed each of a hundred times. */
enum hx_status dis_stats_read(const struct dis_stats_page *page,
                              struct dis_stats_page *out) HX_MUST_CHECK;

/* The account of ctx at `now`, the running stint included. Context: thread. */
void dis_stats_ctx(struct sched_ctx *ctx, u64 now, struct sched_account *out);

#endif
