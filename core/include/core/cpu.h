/* SPDX-License-Identifier: MIT */
/* What each CPU has for itself.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include <hal/port.h>
#include <hal/smp.h>
#include <helix/types.h>

struct run_queue;
struct task;

/* Marking: I immutable once the CPU runs; c its own CPU with interrupts masked; a atomic. */
struct cpu {
    struct hal_cpu_local hal; /* first: hal_cpu_local() points here */
    struct task *idle;        /* I: what runs when nothing else does */
    struct run_queue *rq;     /* I: its run queue */
    struct task *previous;    /* c: who ran before the switch under way */
    u32 irq_depth;            /* c: interrupt handlers under way */
    bool resched;             /* a: run the scheduler before leaving the kernel */
    bool online;              /* a */
    u32 quiescent; /* a: counts passages through a state without references; <core/grace.h> */
} HX_ALIGNED(64);

extern struct cpu cpus[HAL_CPUS_MAX];

/* This CPU. Context: the caller cannot be moved to another CPU: interrupts or preemption off. */
static inline struct cpu *cpu_this(void)
{
    return (struct cpu *)hal_cpu_local();
}

/* CPUs that run. Context: any. */
u32 cpu_online_count(void);

static inline bool cpu_is_online(cpu_id_t cpu)
{
    return __atomic_load_n(&cpus[cpu].online, __ATOMIC_ACQUIRE);
}

/* Gives the boot CPU its struct cpu. Context: early, first. */
void cpu_init_boot(void);

/* Starts the other CPUs and waits for each. What does not come up is named in the log and left
 * out. Context: thread, at boot. */
void cpu_start_others(void);

/* Runs fn(arg) on every CPU of the mask, this one included if it is in, and waits for all.
 * fn runs in IRQ context or, here, with interrupts masked. Context: thread, interrupts enabled,
 * no spinlock held. */
void cpu_call(u64 mask, void (*fn)(void *arg), void *arg);

/* All online CPUs, a bit each. */
u64 cpu_online_mask(void);

#endif
