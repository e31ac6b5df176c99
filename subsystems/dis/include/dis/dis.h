/* SPDX-License-Identifier: MIT */
/* The intent scheduler: what the kernel (or the simulator) calls.
 * Each CPU has one run queue. The caller runs what dis_schedule() answers, calls it again when
 * kicked, when its context blocks, yields or exits, and calls dis_timer() when the armed timer
 * fires. Contexts are memory of the caller; DIS links them and never frees them.
 */
#ifndef DIS_DIS_H
#define DIS_DIS_H

#include <core/dis.h>
#include <dis/intent.h>
#include <dis/port.h>

struct dis_group;

/* Costs and shares, fixed at dis_init(). Zero overheads suit a simulator without a cost model. */
struct dis_config {
    u32 cpus;            /* 1..SCHED_CPUS_MAX */
    u64 switch_ns;       /* one context switch; a job pays two */
    u64 irq_ns;          /* interrupt work that one job may bring */
    u64 block_ns;        /* longest section with interrupts masked */
    u32 rt_permille;     /* most that Realtime may reserve of a CPU */
    u32 prompt_permille; /* most that Interactive may reserve of a CPU */
    u32 guard_permille;  /* what the fair layer keeps under any Realtime load */
    u32 system_permille; /* the System server, every 10 ms */
    u64 online;          /* CPUs on line at the start, a bit each; 0: all */
};

#define DIS_CONFIG_DEFAULT(n)                                                                      \
    (struct dis_config)                                                                            \
    {                                                                                              \
        .cpus = (n), .rt_permille = 900, .prompt_permille = 500, .guard_permille = 50,             \
        .system_permille = 50                                                                      \
    }

/* Once at boot, `ops` for the fair layers. Context: thread. Return: HX_OK, HX_ERR_INVALID,
 * HX_ERR_NO_MEMORY, HX_ERR_ABI (see dis_policy_set). */
enum hx_status dis_init(const struct dis_config *config,
                        const struct sched_policy_ops *ops) HX_MUST_CHECK;
void dis_fini(void);

void dis_rq_lock(struct dis_rq *rq);
void dis_rq_unlock(struct dis_rq *rq);

/* Makes *ctx a blocked Batch context of `group` (NULL: the root group) and gives it an id.
 * Context: thread. Return: HX_OK, HX_ERR_NO_MEMORY, HX_ERR_NO_SPACE. */
#define DIS_CREATE_HIST 1u /* with histograms */
enum hx_status dis_ctx_create(struct sched_ctx *ctx, struct dis_group *group,
                              u32 flags) HX_MUST_CHECK;

/* The reverse; ctx is blocked, and on no CPU. Gives back its reservation. Context: thread. */
void dis_ctx_destroy(struct sched_ctx *ctx);

/* ctx becomes runnable; nothing happens when it is already. `from_cpu` is where the waker runs.
 * Context: any; no run queue locked. */
void dis_wake(struct sched_ctx *ctx, u32 from_cpu, u64 now);

/* Confines ctx to the CPUs of `mask`. A reservation moves along, or the mask is refused.
 * Context: thread. Return: HX_OK; HX_ERR_INVALID, no CPU of it is on line; HX_ERR_NO_FIT;
 * HX_ERR_BUSY, it went along with a call that is not over. */
enum hx_status dis_affinity_set(struct sched_ctx *ctx, u64 mask) HX_MUST_CHECK;

/* A blocked ctx that is woken on `cpu` next goes before everything else there. For bounded
 * kernel work. Context: thread. */
void dis_ctx_make_stop(struct sched_ctx *ctx, u32 cpu);

/* CPU on and off line. Offline moves every context away, reservations by admission elsewhere.
 * Context: thread. Return: HX_OK; HX_ERR_BUSY, the last one, or a context (its id in *out_id)
 * serves donors there; HX_ERR_NO_FIT, a reservation (its id in *out_id) fits nowhere else;
 * HX_ERR_INVALID. */
enum hx_status dis_cpu_online(u32 cpu) HX_MUST_CHECK;
enum hx_status dis_cpu_offline(u32 cpu, u32 *out_id) HX_MUST_CHECK;

/* Housekeeping, every 100 ms or so: balances weights over CPUs, moves the shares of groups to
 * where their work is. Context: thread. */
void dis_housekeep(u64 now);

/* The context with that id, NULL if there is none. Context: any. */
struct sched_ctx *dis_ctx_find(u32 id);

#endif
