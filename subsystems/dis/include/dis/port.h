/* SPDX-License-Identifier: MIT */
/* What DIS needs from the machine below it. The kernel implements it over the HAL, the simulator
 * over its event queue; each is the only implementer in its program, so these are plain functions
 * that link-time optimisation inlines. Times are ns of one monotone clock shared by all CPUs.
 */
#ifndef DIS_PORT_H
#define DIS_PORT_H

#include <core/dis.h>

/* A lock whose waiters sleep. */
struct dis_mutex {
    u64 word[8];
};

/* In the order in which they are taken, all below the admission mutex. */
enum dis_rank { DIS_RANK_DONATION, DIS_RANK_RUNQUEUE, DIS_RANK_INBOX, DIS_RANK_POOL, DIS_RANK_IDS };

/* Zeroed memory becomes a lock. Context: any. */
void dis_port_lock_init(struct dis_lock *lock, enum dis_rank rank);
void dis_port_mutex_init(struct dis_mutex *mutex);

/* Context: thread; may wait. */
void dis_port_mutex_lock(struct dis_mutex *mutex);
void dis_port_mutex_unlock(struct dis_mutex *mutex);

/* Context: any. lock() masks interrupts and unlock() restores what lock() found; they nest in
 * order. */
void dis_port_lock(struct dis_lock *lock);
void dis_port_unlock(struct dis_lock *lock);
bool dis_port_lock_try(struct dis_lock *lock);
bool dis_port_lock_is_held(const struct dis_lock *lock);

/* Context: any. ns since boot. */
u64 dis_port_now(void);

/* The CPU that asks. Context: any; the answer holds while it cannot be preempted. */
u32 dis_port_cpu(void);

/* One interrupt on `cpu` at time `at`, then dis_timer(). Replaces what was armed; ~0: none.
 * Context: that CPU, its run queue locked. */
void dis_port_timer_arm(u32 cpu, u64 at);

/* Makes `cpu` call dis_schedule() soon: on this CPU before it leaves the kernel, elsewhere by
 * interrupt. May be called too often. Context: any; run queues may be locked. */
void dis_port_kick(u32 cpu);

/* Zeroed memory, NULL when there is none. No dis_lock is held.
 * Context: thread. free() takes NULL. */
void *dis_port_alloc(size_t size);
void dis_port_free(void *p, size_t size);

/* What happened, for the trace. `arg` depends on the event. Context: run queue locked. */
enum dis_event {
    DIS_EVENT_SWITCH,    /* ctx runs now (0xffffffff: idle); arg: the layer */
    DIS_EVENT_WAKE,      /* ctx became runnable; arg: the layer */
    DIS_EVENT_BLOCK,     /* ctx blocked */
    DIS_EVENT_OVERRUN,   /* ctx used up its declared runtime and wants more; arg: overruns so far */
    DIS_EVENT_MISS,      /* a job of ctx ended late; arg: by how much, ns */
    DIS_EVENT_THROTTLE,  /* ctx waits for its next budget; arg: until when */
    DIS_EVENT_REPLENISH, /* ... and got it; arg: its deadline */
    DIS_EVENT_DEMOTE,    /* Interactive without tokens or reservation goes to the fair layer */
    DIS_EVENT_MIGRATE,   /* ctx goes to another CPU; arg: which */
    DIS_EVENT_STRIKE,    /* the policy answered wrong; ctx: the id it gave; arg: strikes so far */
    DIS_EVENT_EJECT,     /* the policy was replaced by the built-in FIFO */
    DIS_EVENT_POLICY,    /* a queue took over a new policy; arg: generation */
    DIS_EVENT_COUNT
};
void dis_port_trace(u32 cpu, u64 now, enum dis_event event, u32 id, u64 arg);

#endif
