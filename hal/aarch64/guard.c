/* SPDX-License-Identifier: MIT */
/* Ending a guarded call from an exception.
 * Owns:      nothing.      Caller: core/heal.      Context: that of the exception.
 */
#include <hal/guard.h>

#define STATE_EL1H 5u

/* guard_call.S knows. */
_Static_assert(offsetof(struct hal_guard, outer) == 16 && offsetof(struct hal_guard, head) == 24 &&
                   sizeof(struct hal_guard) == 32,
               "layout on the stack");

void hal_guard_unwind(struct hal_trap_frame *frame, struct hal_guard *guard, bool irqs_enabled)
{
    frame->pc = (vaddr_t)hal_guard_leave;
    frame->x[0] = (vaddr_t)guard;
    frame->sp = (vaddr_t)guard; /* what a stack overflow returns with; else hal_guard_leave() */
    frame->state = (frame->state & ~(u64)(DAIF_I | 0xf)) | STATE_EL1H | (irqs_enabled ? 0 : DAIF_I);
}
