/* SPDX-License-Identifier: MIT */
/* Calls that can be ended from outside: what the kernel enters code by that may fault. Nothing of
 * the callee's frames is unwound; whoever ends a call knows what it held.
 */
#ifndef HAL_GUARD_H
#define HAL_GUARD_H

#include <hal/port.h>
#include <hal/trap.h>

/* A call under way, on its caller's stack. The first two are the caller's to choose; offsets are
 * known to the ports' assembly. */
struct hal_guard {
    void *domain;
    u64 mark;
    struct hal_guard *outer, **head; /* the call around this one, and where both are listed */
};

/* Returned in two registers. */
struct hal_guard_result {
    u64 value; /* what the function returned */
    u64 ended; /* not 0: it did not return */
};

typedef u64 guarded_fn(u64 a0, u64 a1, u64 a2, u64 a3);

/* Calls fn(a0, a1, a2, a3) with a struct hal_guard of this domain and mark first on the list *head,
 * which is off it again on return. Any. */
struct hal_guard_result hal_guard_call(struct hal_guard **head, void *domain, u64 mark,
                                       guarded_fn *fn, u64 a0, u64 a1, u64 a2, u64 a3);

/* From inside the call: makes it return, ended, with the registers that its caller needs. */
void hal_guard_leave(struct hal_guard *guard) HX_NORETURN;

/* For an exception inside the call: makes the frame go on where the call returns, ended, with
 * interrupts enabled or masked as told, whatever the interrupted code did to the flags. */
void hal_guard_unwind(struct hal_trap_frame *frame, struct hal_guard *guard, bool irqs_enabled);

#endif
