/* SPDX-License-Identifier: MIT */
/* What the core asks of subsystems/execution about threads of processes.
 */
#ifndef CORE_EXECUTION_H
#define CORE_EXECUTION_H

#include <hal/trap.h>
#include <helix/compiler.h>

/* A fault in user mode that cannot be mended: says so in one line and ends the process. Returns;
 * the thread ends on its way out of the kernel. Context: the thread, interrupts enabled. */
void execution_user_fault(struct hal_trap_frame *frame, const struct hal_trap *trap,
                          const char *reason);

/* The current thread was killed and is about to enter user mode. Context: the thread, interrupts
 * enabled, no locks held. */
void execution_killed(void) HX_NORETURN;

/* The words of the last such line, for the shell that started the program. */
const char *execution_last_fault(void);

#endif
