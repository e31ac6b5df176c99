/* SPDX-License-Identifier: MIT */
/* Learns burst and sleep lengths in integers (averages over about eight, with mean deviation), and
 * sets slices of the fair layers from them.
 * Context:   run queue locked; about a hundred instructions a wake-up.
 * Idea:      a context that runs for 0.3 ms at a time and sleeps gets a request of that size: under
 *            EEVDF that is an earlier turn, and no more time. One that never sleeps gets long
 *            requests, hence fewer switches.
 * Invariant: slice_ns lies in SCHED_SLICE_MIN_NS..MAX_NS, and for Interactive at most at half its
 *            latency (or the minimum), whatever the proposer says.
 */
#include <dis/optimizer.h>

#include "dis_priv.h"

#define EXPIRY_NS  HX_NS_PER_SEC
#define BURST_LEFT 8u /* of so many bursts the average keeps seven parts */
#define US_MAX     100000000u

static struct {
    dis_opt_fn *propose; /* a */
} opt;

static u32 to_us(u64 ns)
{
    return (u32)hx_min_u64(ns / HX_NS_PER_US, US_MAX);
}

static void average(u32 *avg, u32 sample)
{
    *avg = (u32)((s64)*avg + ((s64)sample - (s64)*avg) / (s64)BURST_LEFT);
}

static u64 propose(const struct sched_ctx *ctx, u64 now)
{
    u64 burst = (u64)ctx->burst_avg + 2ull * ctx->burst_dev;
    (void)now;
    if (ctx->acct.wakes < BURST_LEFT) {
        return 0;
    }
    if (burst < 2000 && ctx->sleep_avg > ctx->burst_avg) {
        return (burst + burst / 4) * HX_NS_PER_US;
    }
    return 0;
}

static void clamp_and_set(struct sched_ctx *ctx, u64 slice, u64 now)
{
    u64 most = SCHED_SLICE_MAX_NS;
    if (ctx->cls == SCHED_CLASS_INTERACTIVE) {
        most = hx_max_u64(hx_min_u64(ctx->latency_ns / 2, most), SCHED_SLICE_MIN_NS);
    }
    slice = hx_min_u64(hx_max_u64(slice, SCHED_SLICE_MIN_NS), most);
    ctx->slice_ns = slice;
    ctx->opt_slice_us = (u32)(slice / HX_NS_PER_US);
    ctx->opt_expiry = now + EXPIRY_NS;
}

void dis_opt_wake(struct sched_ctx *ctx, u64 now)
{
    u64 slice;
    average(&ctx->sleep_avg, to_us(ctx->slept_ns));
    if (!dis.opt_enabled) {
        ctx->slice_ns = ctx->user_slice_ns;
        ctx->opt_slice_us = 0;
        return;
    }
    slice = opt.propose != NULL ? opt.propose(ctx, now) : propose(ctx, now);
    if (slice != 0) {
        clamp_and_set(ctx, slice, now);
    } else if (ctx->opt_slice_us != 0 && now >= ctx->opt_expiry) {
        ctx->slice_ns = ctx->user_slice_ns;
        ctx->opt_slice_us = 0;
    }
}

void dis_opt_block(struct sched_ctx *ctx, u64 now)
{
    u32 burst = to_us(ctx->acct.exec_ns - ctx->burst_start_ns);
    u32 off = burst > ctx->burst_avg ? burst - ctx->burst_avg : ctx->burst_avg - burst;
    (void)now;
    average(&ctx->burst_avg, burst);
    average(&ctx->burst_dev, off);
    if (ctx->hist != NULL) {
        ctx->hist->burst[dis_hist_bucket((u64)burst * HX_NS_PER_US)]++;
    }
}

void dis_opt_set(dis_opt_fn *fn)
{
    opt.propose = fn;
}

void dis_opt_enable(bool on)
{
    dis.opt_enabled = on;
}

enum dis_advice dis_opt_advice(const struct sched_ctx *ctx)
{
    u64 cycle = (u64)ctx->burst_avg + ctx->sleep_avg;
    if (ctx->cls == SCHED_CLASS_REALTIME) {
        if (ctx->acct.overruns != 0) {
            return DIS_ADVICE_WCET_LOW;
        }
        if (ctx->acct.wakes >= BURST_LEFT && ctx->pieces == 1 &&
            2ull * ctx->burst_avg * HX_NS_PER_US < ctx->split[0].runtime) {
            return DIS_ADVICE_WCET_HIGH;
        }
        return DIS_ADVICE_NONE;
    }
    if (ctx->acct.wakes == 0 || cycle == 0) {
        return DIS_ADVICE_NONE;
    }
    if (ctx->cls == SCHED_CLASS_INTERACTIVE && ctx->burst_avg * 10ull >= cycle * 9) {
        return DIS_ADVICE_NOT_INTERACTIVE;
    }
    if (ctx->cls == SCHED_CLASS_BATCH && ctx->acct.wakes >= BURST_LEFT && ctx->burst_avg < 1000 &&
        ctx->burst_avg * 10ull <= cycle) {
        return DIS_ADVICE_INTERACTIVE;
    }
    return DIS_ADVICE_NONE;
}

const char *dis_opt_advice_words(enum dis_advice advice)
{
    switch (advice) {
    case DIS_ADVICE_NOT_INTERACTIVE:
        return "declared Interactive, but uses 90 % of a CPU or more";
    case DIS_ADVICE_INTERACTIVE:
        return "declared Batch, but runs briefly and sleeps: Interactive would start it sooner";
    case DIS_ADVICE_WCET_LOW:
        return "ran longer than its declared worst case";
    case DIS_ADVICE_WCET_HIGH:
        return "uses less than half of its declared worst case";
    default:
        return "nothing to say";
    }
}
