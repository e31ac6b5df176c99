/* SPDX-License-Identifier: MIT */
/* Time since the kernel's first instruction, and one-shot timers. Nothing ticks: the hardware is
 * programmed to the earliest timer of each CPU.
 */
#ifndef CORE_TIME_H
#define CORE_TIME_H

#include <hal/port.h>
#include <helix/compiler.h>
#include <helix/pheap.h>
#include <helix/status.h>
#include <helix/types.h>

/* From counter to nanoseconds. A scale never changes once published; refining publishes another. */
struct time_scale {
    u64 base_counter, base_ns;
    u64 mult;    /* ns a tick, 32 fraction bits */
    u64 inverse; /* ticks a ns, 32 fraction bits */
};
extern const struct time_scale *time_scale;

/* Nanoseconds since the kernel started, monotonic; 0 until time_init(). A scale begins a moment
 * before it is published, so no CPU's counter is behind it. Context: any. */
static inline u64 time_now_ns(void)
{
    const struct time_scale *scale = time_scale;
    u64 ticks = hal_counter_read() - scale->base_counter;
    return scale->base_ns + (u64)((u128)ticks * scale->mult >> 32);
}

/* The same for an earlier value of hal_counter_read(), since the kernel's first instruction. */
u64 time_from_counter_ns(u64 counter);

/* Nanoseconds since 1970-01-01 00:00 UTC. Return: HX_OK, HX_ERR_NOT_SUPPORTED (this machine has no
 * clock), HX_ERR_IO. Context: thread or early. */
enum hx_status time_wall_ns(u64 *out_ns) HX_MUST_CHECK;

/* A callback at a time; several at one time come in any order. The caller's memory, zero before
 * its first use, untouched by the caller
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
