/* SPDX-License-Identifier: MIT */
/* Time since the kernel's first instruction, and one-shot timers. Nothing ticks: the hardware is
 * programmed to the earliest timer of each CPU.
 */
#ifndef CORE_TIME_H
#define CORE_TIME_H

#include <helix/pheap.h>
#include <helix/status.h>
#include <helix/types.h>

/* Nanoseconds, monotonic. 0 until time_init(). Context: any. */
u64 time_now_ns(void);

/* The same for a given value of hal_counter_read(); an earlier time than the kernel's start is 0. */
u64 time_from_counter_ns(u64 counter);

/* A callback at a time. The caller's memory, zero before its first use, untouched by the caller
 * while armed. */
struct timer {
    struct pheap_node node;               /* key: the deadline, ns */
    void (*expired)(struct timer *timer); /* IRQ context, interrupts masked; may start it again */
    u32 cpu;                              /* where it was started last */
    bool armed;
};

/* Arms the timer on this CPU. A deadline in the past expires at once. An armed timer is moved.
 * Context: any but NMI. */
void timer_start(struct timer *timer, u64 deadline_ns);

/* Return: true when it was armed; false when it has expired or never was. When it returns, the
 * callback is not running, unless it is the callback that calls. Context: any but NMI; no lock is
 * held that the callback takes. */
bool timer_cancel(struct timer *timer);

/* Takes the counter's start and the timer's frequency, and the timer's interrupt. Context: early,
 * after hal_init_platform(). */
enum hx_status time_init(u64 entry_counter) HX_MUST_CHECK;

/* Readies the timer of another CPU. Context: that CPU, interrupts masked. */
void time_init_cpu(cpu_id_t cpu);

#endif
