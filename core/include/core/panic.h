/* SPDX-License-Identifier: MIT */
/* How the machine ends. Causing a panic is in <helix/panic.h>.
 */
#ifndef CORE_PANIC_H
#define CORE_PANIC_H

#include <helix/compiler.h>
#include <helix/types.h>

#define EXIT_STATUS_PANIC 125

/* What to do once the report of a panic is out; from the command line word `panic=`. */
enum panic_action { PANIC_HALT, PANIC_REBOOT };
void panic_set_action(enum panic_action action);

/* Ends the machine: by the debug exit device with `status` when the command line has `exit=qemu`,
 * otherwise by switching it off; halts if that fails. Context: any. */
void machine_end(u32 status) HX_NORETURN;

#endif
