/* SPDX-License-Identifier: MIT */
/* What the HAL reports upwards. Each function has one implementer, in core.
 */
#ifndef HAL_EVENTS_H
#define HAL_EVENTS_H

#include <hal/trap.h>
#include <helix/types.h>

/* An exception. Returning resumes the interrupted context, as `frame` then says; what nobody
 * handles does not return. Context: that of the interrupted code, interrupts masked. */
void hal_event_trap(struct hal_trap_frame *frame, const struct hal_trap *trap);

/* An interrupt is pending at the controller: the implementer acks, dispatches and ends it with
 * the hal_irq functions. Context: IRQ. */
void hal_event_irq(struct hal_trap_frame *frame);

/* A byte typed at a keyboard that the HAL drives itself (PS/2), in ASCII; keys without an ASCII
 * code arrive as the VT100 sequence that a terminal would send. Context: IRQ. */
void hal_event_input(u8 byte);

/* A system call from user mode; see <core/syscall.h>. */

#endif
