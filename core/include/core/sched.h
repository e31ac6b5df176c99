/* SPDX-License-Identifier: MIT */
/* The scheduler, as tasks see it. Each CPU has a run queue of scheduling contexts; the kernel keeps
 * the time and the set of what is runnable, a policy (<core/sched_policy.h>) orders it.
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include <core/sched_policy.h>
#include <core/task.h>

/* Round robin in equal slices, always there: the floor under every other policy. */
extern const struct sched_policy_ops sched_round_robin;

/* Sets up the run queues. Context: early. */
enum hx_status sched_init(const struct sched_policy_ops *policy) HX_MUST_CHECK;

/* Hands the queue of a CPU, with all that is runnable on it, to another policy.
 * Return: HX_OK; HX_ERR_ABI; what its init said, nothing changed. Any but NMI. */
enum hx_status sched_policy_set(cpu_id_t cpu, const struct sched_policy_ops *ops) HX_MUST_CHECK;

/* The run queue of a CPU that starts: `idle` is its running task. That CPU, interrupts masked. */
void sched_cpu_online(struct task *idle);

/* Makes the boot path's task the running one of CPU 0, beside its idle task. Early. */
void sched_adopt_boot(struct task *boot, struct task *idle);

/* Pulls work from the longest queue if this CPU's is shorter by two. Thread or IRQ. */
void sched_balance(void);

/* Gives a new context an id and makes it ordinary. Context: thread. Return: HX_OK, NO_SPACE. */
enum hx_status sched_ctx_init(struct sched_ctx *ctx, struct task *owner) HX_MUST_CHECK;
void sched_ctx_fini(struct sched_ctx *ctx);

/* A blocked task becomes ready. False when it was not blocked. Context: any but NMI. */
bool sched_wake(struct task *task);
bool sched_wake_masked(struct task *task); /* the same with interrupts masked already */

/* Leaves the CPU to whom the policy picks. The current task's state says whether it stays ready
 * (TASK_RUNNING) or not. Interrupts masked. */
void sched_switch(enum sched_put why);

/* The first thing that a new task does: ends the switch that led to it. Interrupts masked. */
void sched_finish_switch(void);

/* For hal_event_return(): switches if somebody should run instead. Interrupts masked. */
void sched_preempt(void);

/* Has a CPU look at its queue, and at what happened to its running task, soon. Any. */
void sched_kick(cpu_id_t cpu);

/* CPU time of the current task, up to now. Thread. */
u64 sched_cpu_time_ns(void);

/* The loop of an idle task. */
void sched_idle(void) HX_NORETURN;

/* Confines a task to the CPUs of the mask and moves it there. Context: thread.
 * Return: HX_OK; HX_ERR_INVALID, no CPU of it is online. */
enum hx_status sched_affinity_set(struct task *task, u64 mask) HX_MUST_CHECK;

/* Length of a CPU's queue, the running task included. Any; a moment old. */
u32 sched_queue_length(cpu_id_t cpu);

#endif
