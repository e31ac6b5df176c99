/* SPDX-License-Identifier: MIT */
/* What each CPU has for itself.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include <hal/port.h>
#include <hal/smp.h>
#include <helix/types.h>

struct dis_rq;
struct space;
struct task;

/* Marking: I immutable once the CPU runs; c its own CPU with interrupts masked; a atomic. */
struct cpu {
    struct hal_cpu_local hal; /* first: hal_cpu_local() points here */
    struct task *idle;        /* I: what runs when nothing else does */
    struct dis_rq *rq;        /* I: its run queue */
    struct space *space;      /* a: the user address space that it has loaded, or NULL */
    struct task *previous;    /* c: who ran before the switch under way */
    union {
        struct {
            u32 irq_depth; /* c: interrupt handlers under way */
            bool resched;  /* a: run the scheduler before leaving the kernel */
        };
        u64 attention; /* both at a glance: 0, nothing keeps a task from leaving as it likes */
    };
    bool online;        /* a */
    bool guard_watched; /* c: the timer of <core/guard.h> runs; a hint to others */
    u32 quiescent;      /* a: counts passages through a state without references; <core/grace.h> */
    u64 idle_since;     /* c: cycle counter when it began to wait, 0 while it works */
    u64 idle_cycles;    /* c: waited through before that */
} HX_ALIGNED(64);

extern struct cpu cpus[HAL_CPUS_MAX];

/* This CPU. Context: the caller cannot be moved to another CPU: interrupts or preemption off. */
static inline struct cpu *cpu_this(void)
{
    return (struct cpu *)hal_cpu_local();
}

/* It works again, whatever woke it. That CPU, interrupts masked. */
static inline void cpu_idle_ends(struct cpu *cpu)
{
    if (hx_unlikely(cpu->idle_since)) {
        cpu->idle_cycles += hal_cycles_read() - cpu->idle_since;
        cpu->idle_since = 0;
    }
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
