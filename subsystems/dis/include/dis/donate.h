/* SPDX-License-Identifier: MIT */
/* Donation: who runs on a context. A runner is the scheduler's idea of a thread: it has a context
 * of its own (or none) and may lend everything it runs on to another runner while it waits for
 * it: a synchronous call, or a mutex. The chain's last runner then runs on the first one's intent
 * and budget; the queues do not change at all, so an inversion cannot arise.
 */
#ifndef DIS_DONATE_H
#define DIS_DONATE_H

#include <core/sched_policy.h>

#define DIS_DONATE_DEPTH_MAX 16u

/* Context: thread. */
void dis_runner_init(struct dis_runner *runner, struct sched_ctx *own, void *owner);

/* `from` waits for `to` and lends it all it runs on. Context: thread; `from` is running.
 * Return: HX_OK; HX_ERR_DEADLOCK, `to` already waits for `from`; HX_ERR_LOOP, the chain would be
 * deeper than DIS_DONATE_DEPTH_MAX; HX_ERR_BAD_STATE, `from` lends already. */
enum hx_status dis_donate_begin(struct dis_runner *from, struct dis_runner *to) HX_MUST_CHECK;

/* Takes everything back: the call returned, the mutex is ours, the peer died. Context: thread. */
void dis_donate_end(struct dis_runner *from);

/* `runner` blocks (or can run again): every context it runs on blocks (wakes) with it.
 * Context: thread or interrupt. */
void dis_runner_block(struct dis_runner *runner, u64 now);
void dis_runner_wake(struct dis_runner *runner, u32 from_cpu, u64 now);

/* The runner goes away: donors get their contexts back. Context: thread. */
void dis_runner_fini(struct dis_runner *runner);

/* Who is to run when dis_schedule() answered ctx. Context: run queue locked. */
static inline struct dis_runner *dis_ctx_runner(const struct sched_ctx *ctx)
{
    return ctx->runner;
}

#endif
