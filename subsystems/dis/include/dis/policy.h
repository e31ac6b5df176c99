/* SPDX-License-Identifier: MIT */
/* The policy engine: which table orders the fair layers, how it is exchanged, what happens to one
 * that misbehaves. An exchange flips every queue to the new policy at its CPU's next decision, in
 * constant time; contexts then follow a few per decision, with their lag.
 */
#ifndef DIS_POLICY_H
#define DIS_POLICY_H

#include <core/sched_policy.h>

extern const struct sched_policy_ops dis_policy_fair; /* EEVDF; the default */
extern const struct sched_policy_ops dis_policy_round_robin;
extern const struct sched_policy_ops dis_policy_fifo;
extern const struct sched_policy_ops dis_policy_edf_soft; /* by ctx->deadline */
extern const struct sched_policy_ops dis_policy_chaos;    /* bad on purpose */
extern const struct sched_policy_ops dis_policy_builtin;  /* what a bad policy is ejected to */

/* Takes over `ops` on all CPUs; the old table may be unloaded once dis_policy_busy() is false.
 * Context: thread. Return: HX_OK; HX_ERR_ABI, version or size is not ours; HX_ERR_INVALID, a
 * mandatory op is missing; HX_ERR_BUSY, an exchange is under way; or what init answered. On
 * failure the old policy serves as if nothing had happened. */
enum hx_status dis_policy_set(const struct sched_policy_ops *ops) HX_MUST_CHECK;

/* True while a queue still holds contexts of the policy before the present one. */
bool dis_policy_busy(void);

/* Moves what is left of the old policy, on all CPUs. Context: thread. */
void dis_policy_settle(void);

/* Replaces the present policy by the built-in FIFO without calling it again. Context: any; this
 * CPU's run queue may be locked. */
void dis_policy_eject(const char *why);

/* The present one, and why the last one was ejected (NULL: none was). Context: any. */
const struct sched_policy_ops *dis_policy_current(void);
const char *dis_policy_ejected(void);

#endif
