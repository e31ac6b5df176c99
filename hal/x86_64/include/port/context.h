/* SPDX-License-Identifier: MIT */
/* The inline half of <hal/context.h> for x86_64.
 */
#ifndef PORT_CONTEXT_H
#define PORT_CONTEXT_H

/* In line, so that the compiler saves only the registers that are in use. A suspended thread's
 * stack holds, from its RSP up, where to go on and, if that is here, RBP. */
static HX_ALWAYS_INLINE void hal_context_switch(struct hal_context *from,
                                                const struct hal_context *to)
{
    __asm__ volatile("pushq %%rbp\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "movq %%rsp, (%0)\n\t"
                     "movq (%1), %%rsp\n\t"
                     "popq %%rax\n\t"
                     "jmp *%%rax\n"
                     "1:\n\t"
                     "popq %%rbp"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "cc", "memory");
}

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
