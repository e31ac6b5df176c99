/* SPDX-License-Identifier: MIT */
/* Messages between threads of processes: channels (a call and its reply), queues, topics, and the
 * registry of names. What programs see is in <abi/ipc.h>; here is what the rest of the kernel asks.
 */
#ifndef CORE_IPC_H
#define CORE_IPC_H

#include <core/handle.h>
#include <hal/trap.h>
#include <helix/compiler.h>
#include <helix/status.h>

struct ipc_channel;
struct task;

/* The current thread ends: whoever waits for its reply is told, and what it has for calls goes.
 * Context: the thread, no locks held. */
void ipc_thread_end(void);

/* The channel behind a client's end, with a reference to that end for the caller. Thread. */
struct ipc_channel *ipc_channel_of(struct object *object);
struct object *ipc_channel_object(struct ipc_channel *channel);

/* The current thread has a fault that `channel`'s server may mend: asks it, and changes the frame
 * as it answers. True: the thread goes on; false: it is to die. Context: the thread, interrupts
 * enabled. */
bool ipc_fault(struct ipc_channel *channel, struct hal_trap_frame *frame,
               const struct hal_trap *trap);

#endif
