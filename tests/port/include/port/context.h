/* SPDX-License-Identifier: MIT */
/* The inline half of <hal/context.h> for the do-nothing port: a frame keeps the registers of a
 * system call as they are counted.
 */
#ifndef PORT_CONTEXT_H
#define PORT_CONTEXT_H

void port_context_switch(struct hal_context *from, const struct hal_context *to);

static inline void hal_context_switch(struct hal_context *from, const struct hal_context *to)
{
    port_context_switch(from, to);
}

static inline u64 hal_syscall_number(const struct hal_trap_frame *frame)
{
    return frame->number;
}

static inline u64 hal_syscall_arg(const struct hal_trap_frame *frame, u32 index)
{
    return frame->args[index];
}

static inline void hal_syscall_result(struct hal_trap_frame *frame, s64 value)
{
    frame->args[0] = (u64)value;
}

#endif
