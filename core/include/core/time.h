/* SPDX-License-Identifier: MIT */
/* Time since the kernel's first instruction, and one-shot timers. Nothing ticks: the hardware is
 * programmed to the earliest timer of each CPU.
 */
#ifndef CORE_TIME_H
#define CORE_TIME_H

#include <helix/list.h>
#include <helix/status.h>
#include <helix/types.h>

/* Nanoseconds, monotonic. 0 until time_init(). Context: any. */
u64 time_now_ns(void);

/* The same for a given value of hal_counter_read(); an earlier time than the kernel's start is 0.
 */
u64 time_from_counter_ns(u64 counter);

/* A callback at a time. The caller's memory, untouched by the caller while armed. */
struct timer {
    u64 deadline_ns;                      /* set by timer_start */
    void (*expired)(struct timer *timer); /* IRQ context, interrupts masked; may start it again */
    struct list_node node;
};

/* Arms the timer on this CPU. A deadline in the past expires at once. An armed timer is moved.
 * Context: any but NMI. */
void timer_start(struct timer *timer, u64 deadline_ns);

/* Return: true when it was armed; false when it has expired or never was. Context: any but NMI. */
bool timer_cancel(struct timer *timer);

/* Takes the counter's start and the timer's frequency, and the timer's interrupt. Context: early,
 * after hal_init_platform(). */
enum hx_status time_init(u64 entry_counter) HX_MUST_CHECK;

#endif
