/* SPDX-License-Identifier: MIT */
/* The scheduler, as tasks see it. The mechanism is here: blocking, waking, switching. What runs
 * next is the choice of the intent scheduler (<core/dis.h>), whose queues hold scheduling contexts
 * (<core/sched_policy.h>).
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include <core/dis.h>
#include <core/task.h>

/* Sets up the queues of all CPUs, of which this one is on line. Context: early, after the heap.
 * Defined in subsystems/dis. Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status sched_init(void) HX_MUST_CHECK;

/* The run queue of a CPU that starts: `idle` is its running task. That CPU, interrupts masked. */
void sched_cpu_online(struct task *idle);

/* Makes the boot path's task the running one of CPU 0, beside its idle task. Early. */
void sched_adopt_boot(struct task *boot, struct task *idle);

/* A blocked task becomes ready. False when it was not blocked. Context: any but NMI. */
bool sched_wake(struct task *task);
bool sched_wake_masked(struct task *task); /* the same with interrupts masked already */

/* Leaves the CPU until woken, unless the wake-up came first: the task's state says so. A task that
 * has ended does not come back. Interrupts masked. */
void sched_block(void);
void sched_block_cancellable(void); /* returns also when the task has been killed */

/* The first thing that a new task does: ends the switch that led to it. Interrupts masked. */
void sched_finish_switch(void);

/* For hal_event_return(): switches if somebody should run instead. Interrupts masked. */
void sched_preempt(void);

/* Has a CPU look at its queue, and at what happened to its running task, soon. Any. */
void sched_kick(cpu_id_t cpu);

/* CPU time of a task up to now, wherever it was charged. Context: any but NMI. */
u64 sched_cpu_time_ns(struct task *task);

/* The loop of an idle task. */
void sched_idle(void) HX_NORETURN;

/* Confines a task to the CPUs of the mask and moves it there; the caller itself has moved when this
 * returns. Context: thread.
 * Return: HX_OK; HX_ERR_INVALID, no CPU of it is online; HX_ERR_NO_FIT, HX_ERR_BUSY: see
 * dis_affinity_set(). */
enum hx_status sched_affinity_set(struct task *task, u64 mask) HX_MUST_CHECK;

/* Chooses the policy of the fair layers by name, on all CPUs, tasks running; and says which it is.
 * Defined in subsystems/dis. Context: thread. Return: HX_OK; HX_ERR_NOT_FOUND; HX_ERR_BUSY, the
 * last exchange is still under way; or what its init said. */
enum hx_status sched_policy_set(const char *name) HX_MUST_CHECK;
const char *sched_policy_name(void);

/* The caller waits for `to` and lends it what it runs on, until it takes it back: whoever has
 * something that an urgent task wants runs with that task's urgency. Context: thread, preemption
 * may be off. Batch lends nothing to Batch, unless somebody has lent to it. Return: HX_OK;
 * HX_ERR_DEADLOCK, `to` waits for the caller; HX_ERR_LOOP, the chain is too long; HX_ERR_BAD_STATE,
 * it lends already. Without HX_OK nothing is lent. */
enum hx_status sched_donate(struct task *to) HX_MUST_CHECK;
void sched_donate_end(struct task *from);

/* A task that waits lends to `to` instead of, maybe, another before. Any but NMI. */
void sched_donate_move(struct task *from, struct task *to);

/* Synchronous calls: the callee runs at once, on the caller's context and CPU, at the caller's
 * expense; no queue changes. `from` is the current task, `cpu` this CPU; interrupts masked
 * throughout. sched_wake() of a task that lends takes the context back first; the last borrower of
 * the chain goes on with that of the first.
 *
 * lock: true, with the CPU's run queue locked, if `to` is TASK_BLOCKED there (call: and lends
 * nothing; reply: and lends to `from`), nothing more urgent wants the CPU and nobody waits for
 * either by other means. False: the slow way, by sched_wake(). `park`, and always for a reply:
 * `from` will park. */
bool sched_handoff_call_lock(struct cpu *cpu, struct task *from, struct task *to,
                             bool park) HX_MUST_CHECK;
bool sched_handoff_reply_lock(struct cpu *cpu, struct task *from, struct task *to) HX_MUST_CHECK;

/* Returns when `from` is resumed. */
void sched_handoff_call(struct cpu *cpu, struct task *from, struct task *to);

/* The same for a caller that parks (<hal/context.h>), and so does not come back here. */
void sched_handoff_call_park(struct cpu *cpu, struct task *from, struct task *to) HX_NORETURN;
void sched_handoff_reply_park(struct cpu *cpu, struct task *from, struct task *to) HX_NORETURN;

/* The same to a task that has parked too, and goes on in user mode with a message in registers, of
 * which these are header and source. */
void sched_handoff_call_user(struct cpu *cpu, struct task *from, struct task *to, u64 header,
                             u64 source) HX_NORETURN;
void sched_handoff_reply_user(struct cpu *cpu, struct task *from, struct task *to, u64 header,
                              u64 source) HX_NORETURN;

/* Takes back what `lender` lends, if it does; it stays asleep. Any but NMI. */
void sched_lend_end(struct task *lender);

#endif
