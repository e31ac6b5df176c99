/* SPDX-License-Identifier: MIT */
/* The inline half of <hal/context.h> for x86_64.
 */
#ifndef PORT_CONTEXT_H
#define PORT_CONTEXT_H

static inline u64 hal_syscall_number(const struct hal_trap_frame *frame)
{
    return frame->rax;
}

/* With a constant index this is one load. */
static inline HX_ALWAYS_INLINE u64 hal_syscall_arg(const struct hal_trap_frame *frame, u32 index)
{
    switch (index) {
    case 0:
        return frame->rdi;
    case 1:
        return frame->rsi;
    case 2:
        return frame->rdx;
    case 3:
        return frame->r10;
    case 4:
        return frame->r8;
    default:
        return frame->r9;
    }
}

static inline void hal_syscall_result(struct hal_trap_frame *frame, s64 value)
{
    frame->rax = (u64)value;
}

#endif
