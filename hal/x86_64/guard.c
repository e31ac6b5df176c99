/* SPDX-License-Identifier: MIT */
/* Ending a guarded call from an exception.
 * Owns:      nothing.      Caller: core/heal.      Context: that of the exception.
 */
#include <hal/guard.h>

#include <port/x86.h>

/* guard_call.asm knows. */
_Static_assert(offsetof(struct hal_guard, outer) == 16 && offsetof(struct hal_guard, head) == 24 &&
                   sizeof(struct hal_guard) == 32,
               "layout on the stack");

void hal_guard_unwind(struct hal_trap_frame *frame, struct hal_guard *guard, bool irqs_enabled)
{
    frame->rip = (vaddr_t)hal_guard_leave;
    frame->rdi = (vaddr_t)guard;
    frame->rsp =
        (vaddr_t)guard; /* hal_guard_leave() sets it again; so that it is never a bad one */
    frame->rflags = irqs_enabled ? RFLAGS_IF | 2 : 2; /* bit 1 is always set */
}
