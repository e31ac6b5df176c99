/* SPDX-License-Identifier: MIT */
/* What the HAL reports upwards. Each function has one implementer, in core.
 */
#ifndef HAL_EVENTS_H
#define HAL_EVENTS_H

#include <hal/trap.h>
#include <helix/compiler.h>
#include <helix/status.h>
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

/* A system call from user mode. The implementer reads number and arguments from the frame and puts
 * the result there. Context: thread, interrupts enabled, on the thread's kernel stack. */
void hal_event_syscall(struct hal_trap_frame *frame);

/* The two system calls that carry a message in registers, before hal_event_syscall(): they return
 * for it to do all of the work, or not at all. Context: the same; interrupts masked, then and
 * before. */
void hal_event_channel_call(u64 handle, u64 header, u64 buffer);
void hal_event_channel_reply_receive(u64 handle, u64 header, u64 buffer);

/* A thread that had parked in a system call (<hal/context.h>) runs again: puts the call's result in
 * its frame. Context: in the middle of a switch, interrupts masked; enabled or not on return. */
void hal_event_message_resumed(struct hal_trap_frame *frame);

/* About to return to the interrupted context, after an exception, an interrupt or a system call:
 * the place to switch threads and to end threads that were killed. `frame` says whether that is
 * user mode. Not called for what runs on a stack of its own: non-maskable interrupts, stack
 * overflows. Context: that of the interrupted code, interrupts masked. */
void hal_event_return(struct hal_trap_frame *frame);

/* The same where it is known to be user mode: after a system call. */
void hal_event_return_user(void);

/* Memory for good: the top of a kernel stack between guard pages, for exceptions of a CPU that is
 * about to be started. Return: HX_OK, HX_ERR_NO_MEMORY. Context: thread. */
enum hx_status hal_event_stack_alloc(vaddr_t *out_top) HX_MUST_CHECK;

/* A CPU that hal_smp.start() started has arrived in C, on the stack it was given, with the kernel's
 * address space active, its vectors and descriptor tables loaded. Does not return. */
void hal_event_cpu_started(cpu_id_t cpu) HX_NORETURN;

#endif
