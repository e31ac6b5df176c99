/* SPDX-License-Identifier: MIT */
/* Exceptions: who may handle one before it becomes a panic.
 */
#ifndef CORE_TRAP_H
#define CORE_TRAP_H

#include <hal/trap.h>

/* Looks at an exception; true when it has been dealt with and the frame may be resumed.
 * Context: that of the interrupted code, interrupts masked. */
typedef bool trap_handler_fn(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap);

/* Offers every exception to `handler`, the last registered first. At most TRAP_HANDLERS_MAX.
 * Context: thread or early. Return: false when there is no room. */
bool trap_handler_push(trap_handler_fn *handler, void *ctx);

/* Removes the handler pushed last, which must be this one. */
void trap_handler_pop(trap_handler_fn *handler);

#define TRAP_HANDLERS_MAX 8

/* Exceptions taken since boot, by kind. */
u64 trap_count(enum hal_trap_kind kind);

#endif
