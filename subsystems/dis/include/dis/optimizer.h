/* SPDX-License-Identifier: MIT */
/* The optimizer: learns how long contexts run and sleep, and proposes slices. Whatever it proposes
 * is clamped and lapses after a second, and nothing that was guaranteed depends on it: it cannot
 * change a class, a reservation, a weight, a share or an affinity.
 */
#ifndef DIS_OPTIMIZER_H
#define DIS_OPTIMIZER_H

#include <core/sched_policy.h>

enum dis_advice {
    DIS_ADVICE_NONE,
    DIS_ADVICE_NOT_INTERACTIVE, /* declared Interactive, uses 90 % of a CPU or more */
    DIS_ADVICE_INTERACTIVE,     /* declared Batch, runs shortly and sleeps mostly */
    DIS_ADVICE_WCET_LOW,        /* overran its declared runtime */
    DIS_ADVICE_WCET_HIGH        /* never used half of it */
};

/* Proposes a slice in ns for ctx, 0 for none. Context: run queue locked, interrupts masked. */
typedef u64 dis_opt_fn(const struct sched_ctx *ctx, u64 now);

/* Replaces the proposer (NULL: the built-in one). Context: thread. */
void dis_opt_set(dis_opt_fn *fn);

/* Off restores what was asked for at each context's next wake-up. Context: any. */
void dis_opt_enable(bool on);

/* What the program should be told. Context: any. */
enum dis_advice dis_opt_advice(const struct sched_ctx *ctx);
const char *dis_opt_advice_words(enum dis_advice advice);

#endif
