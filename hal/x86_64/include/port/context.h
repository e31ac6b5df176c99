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

static inline s64 hal_syscall_result_get(const struct hal_trap_frame *frame)
{
    return (s64)frame->rax;
}

static inline struct hal_trap_frame *hal_user_frame(vaddr_t stack_top)
{
    return (struct hal_trap_frame *)stack_top - 1;
}

/* r10 r8 r9 rbx r12 r13 r14 r15. */
static HX_ALWAYS_INLINE void hal_message_move(struct hal_trap_frame *to,
                                              const struct hal_trap_frame *from)
{
    to->r10 = from->r10;
    to->r8 = from->r8;
    to->r9 = from->r9;
    to->rbx = from->rbx;
    to->r12 = from->r12;
    to->r13 = from->r13;
    to->r14 = from->r14;
    to->r15 = from->r15;
}

static inline void hal_message_load(const struct hal_trap_frame *frame, u64 *words)
{
    words[0] = frame->r10;
    words[1] = frame->r8;
    words[2] = frame->r9;
    words[3] = frame->rbx;
    words[4] = frame->r12;
    words[5] = frame->r13;
    words[6] = frame->r14;
    words[7] = frame->r15;
}

static inline void hal_message_store(struct hal_trap_frame *frame, const u64 *words)
{
    frame->r10 = words[0];
    frame->r8 = words[1];
    frame->r9 = words[2];
    frame->rbx = words[3];
    frame->r12 = words[4];
    frame->r13 = words[5];
    frame->r14 = words[6];
    frame->r15 = words[7];
}

/* entry.asm restores all registers of a frame in which RCX is not RIP; a SYSCALL's frame has 1
 * where exceptions have their error code then, and may still leave by SYSRET. */
static HX_ALWAYS_INLINE void hal_message_result(struct hal_trap_frame *frame, s64 status,
                                                u64 header, u64 source)
{
    frame->rax = (u64)status;
    frame->rsi = header;
    frame->rdx = source;
    frame->rcx = ~frame->rip;
}

static HX_ALWAYS_INLINE vaddr_t hal_context_parked(vaddr_t stack_top)
{
    return (vaddr_t)hal_user_frame(stack_top) - 16; /* where to go on, and a word for RBP */
}

static HX_ALWAYS_INLINE HX_NORETURN void hal_context_continue(vaddr_t stack_top,
                                                              const struct hal_context *to)
{
    __asm__ volatile("jmp port_context_continue" ::"a"(hal_user_frame(stack_top)), "S"(to)
                     : "memory");
    __builtin_unreachable();
}

static HX_ALWAYS_INLINE HX_NORETURN void hal_message_leave(vaddr_t stack_top, vaddr_t to_stack_top,
                                                           u64 header, u64 source, bool *on_cpu,
                                                           u32 *lock)
{
    __asm__ volatile("jmp port_message_leave" ::"a"(hal_user_frame(stack_top)),
                     "b"(hal_user_frame(to_stack_top)), "S"(header), "d"(source), "c"(on_cpu),
                     "D"(lock)
                     : "memory");
    __builtin_unreachable();
}

static inline void hal_user_frame_set_sp(struct hal_trap_frame *frame, vaddr_t sp)
{
    frame->rsp = sp;
}

static inline u64 hal_user_frame_result(const struct hal_trap_frame *frame)
{
    return frame->rax;
}

static inline void hal_user_frame_set_result(struct hal_trap_frame *frame, u64 value)
{
    frame->rax = value;
}

static HX_ALWAYS_INLINE void hal_space_load(struct hal_space *space)
{
    __asm__ volatile("movq %0, %%cr3" ::"r"(space->root) : "memory");
}

/* Programs cannot write FS base: CR4.FSGSBASE is off. So *from is what it is already. */
static HX_ALWAYS_INLINE void hal_user_tls_switch(u64 *from, u64 to)
{
    if (hx_unlikely(*from != to)) {
        hal_user_tls_set(to);
    }
}

#endif
