/* SPDX-License-Identifier: MIT */
/* What the core asks of subsystems/execution about threads of processes.
 */
#ifndef CORE_EXECUTION_H
#define CORE_EXECUTION_H

#include <hal/trap.h>
#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

/* A fault in user mode that the kernel cannot mend: asks the handler of the process; else says so
 * in one line and ends the process. Returns; the thread ends on its way out of the kernel. Context:
 * the thread, interrupts enabled. */
void execution_user_fault(struct hal_trap_frame *frame, const struct hal_trap *trap,
                          const char *reason);

/* The number of the current thread's process. Context: thread of a process. */
u64 execution_process_id(void);

/* The current thread was killed and is about to enter user mode. Context: the thread, interrupts
 * enabled, no locks held. */
void execution_killed(void) HX_NORETURN;

/* Starts /bin/NAME as the first process, with the console as its standard handles, the system
 * object behind them, and the words exec= and nonce= as its environment; waits for its end. Return:
 * HX_OK, it has ended, with *out_status; HX_ERR_NOT_FOUND, there is no such file; why else it did
 * not start. Context: thread. By fs/vfs. */
enum hx_status execution_first_process(const char *name, s64 *out_status) HX_MUST_CHECK;

/* The words of the last such line, for the shell that started the program. */
const char *execution_last_fault(void);

#endif
