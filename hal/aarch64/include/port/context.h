/* SPDX-License-Identifier: MIT */
/* The inline half of <hal/context.h> for aarch64.
 */
#ifndef PORT_CONTEXT_H
#define PORT_CONTEXT_H

/* In line, so that the compiler saves only the registers that are in use. A suspended thread's
 * stack holds, from its SP up, x29 and where to go on. */
static HX_ALWAYS_INLINE void hal_context_switch(struct hal_context *from,
                                                const struct hal_context *to)
{
    register struct hal_context *x0 __asm__("x0") = from;
    register const struct hal_context *x1 __asm__("x1") = to;
    __asm__ volatile("adr x2, 1f\n\t"
                     "stp x29, x2, [sp, #-16]!\n\t"
                     "mov x3, sp\n\t"
                     "str x3, [x0]\n\t"
                     "ldr x3, [x1]\n\t"
                     "mov sp, x3\n\t"
                     "ldp x29, x2, [sp], #16\n\t"
                     "br x2\n"
                     "1:"
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
                       "x25", "x26", "x27", "x28", "x30", "cc", "memory");
}

static inline u64 hal_syscall_number(const struct hal_trap_frame *frame)
{
    return frame->x[8];
}

static inline u64 hal_syscall_arg(const struct hal_trap_frame *frame, u32 index)
{
    return frame->x[index];
}

static inline void hal_syscall_result(struct hal_trap_frame *frame, s64 value)
{
    frame->x[0] = (u64)value;
}

#endif
