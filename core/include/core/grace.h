/* SPDX-License-Identifier: MIT */
/* Grace periods: freeing what lock-free readers may still see. A reader is a section with
 * preemption off; a CPU that switches tasks, idles or returns to user mode is in none. When every
 * online CPU has done one of these since the call, whatever was unlinked before it is unreachable.
 */
#ifndef CORE_GRACE_H
#define CORE_GRACE_H

#include <core/cpu.h>
#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

struct grace_callback {
    void (*run)(struct grace_callback *callback); /* thread context */
    struct grace_callback *next;
};

/* Runs callback->run after a grace period. Context: any but NMI. */
void grace_call(struct grace_callback *callback, void (*run)(struct grace_callback *callback));

/* The same for memory that nobody waits for: it goes with the next period that somebody asks for,
 * or when GRACE_LAZY_MAX have come together. Context: any but NMI. */
#define GRACE_LAZY_MAX 64
void grace_call_lazy(struct grace_callback *callback, void (*run)(struct grace_callback *callback));

/* Waits for a grace period. Context: thread, preemption on. */
void grace_wait(void);

/* This CPU passes a quiescent state. Interrupts masked; scheduler, idle loop, return to user. */
static inline void grace_quiescent(struct cpu *cpu)
{
    hal_release_increment(&cpu->quiescent);
}

/* Starts the task that waits for the periods. Context: thread, at boot. */
enum hx_status grace_init(void) HX_MUST_CHECK;

#endif
