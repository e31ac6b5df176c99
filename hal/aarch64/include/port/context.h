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

static inline s64 hal_syscall_result_get(const struct hal_trap_frame *frame)
{
    return (s64)frame->x[0];
}

static inline struct hal_trap_frame *hal_user_frame(vaddr_t stack_top)
{
    return (struct hal_trap_frame *)stack_top - 1;
}

#define PORT_MESSAGE_FIRST 10 /* x10 .. x17 */

static HX_ALWAYS_INLINE void hal_message_move(struct hal_trap_frame *to,
                                              const struct hal_trap_frame *from)
{
    struct {
        u64 words[HAL_MESSAGE_WORDS];
    } *dst = (void *)&to->x[PORT_MESSAGE_FIRST];
    const typeof(*dst) *src = (const void *)&from->x[PORT_MESSAGE_FIRST];
    u64 a = src->words[0], b = src->words[1], c = src->words[2], d = src->words[3];
    u64 e = src->words[4], f = src->words[5], g = src->words[6], h = src->words[7];
    dst->words[0] = a, dst->words[1] = b, dst->words[2] = c, dst->words[3] = d;
    dst->words[4] = e, dst->words[5] = f, dst->words[6] = g, dst->words[7] = h;
}

static inline void hal_message_load(const struct hal_trap_frame *frame, u64 *words)
{
    for (u32 i = 0; i < HAL_MESSAGE_WORDS; i++) {
        words[i] = frame->x[PORT_MESSAGE_FIRST + i];
    }
}

static inline void hal_message_store(struct hal_trap_frame *frame, const u64 *words)
{
    for (u32 i = 0; i < HAL_MESSAGE_WORDS; i++) {
        frame->x[PORT_MESSAGE_FIRST + i] = words[i];
    }
}

static HX_ALWAYS_INLINE void hal_message_result(struct hal_trap_frame *frame, s64 status,
                                                u64 header, u64 source)
{
    frame->x[0] = (u64)status;
    frame->x[1] = header;
    frame->x[2] = source;
}

static HX_ALWAYS_INLINE vaddr_t hal_context_parked(vaddr_t stack_top)
{
    return (vaddr_t)hal_user_frame(stack_top) - 16; /* x29, and where to go on */
}

static HX_ALWAYS_INLINE HX_NORETURN void hal_context_continue(vaddr_t stack_top,
                                                              const struct hal_context *to)
{
    register const struct hal_trap_frame *x3 __asm__("x3") = hal_user_frame(stack_top);
    register const struct hal_context *x1 __asm__("x1") = to;
    __asm__ volatile("b port_context_continue" ::"r"(x3), "r"(x1) : "memory");
    __builtin_unreachable();
}

static HX_ALWAYS_INLINE HX_NORETURN void hal_message_leave(vaddr_t stack_top, vaddr_t to_stack_top,
                                                           u64 header, u64 source, bool *on_cpu,
                                                           u32 *lock)
{
    register const struct hal_trap_frame *x0 __asm__("x0") = hal_user_frame(to_stack_top);
    register u64 x1 __asm__("x1") = header;
    register u64 x2 __asm__("x2") = source;
    register const struct hal_trap_frame *x3 __asm__("x3") = hal_user_frame(stack_top);
    register bool *x4 __asm__("x4") = on_cpu;
    register u32 *x5 __asm__("x5") = lock;
    __asm__ volatile("b port_message_leave" ::"r"(x0), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    __builtin_unreachable();
}

static inline void hal_user_frame_set_sp(struct hal_trap_frame *frame, vaddr_t sp)
{
    frame->sp = sp;
}

static inline u64 hal_user_frame_result(const struct hal_trap_frame *frame)
{
    return frame->x[0];
}

static inline void hal_user_frame_set_result(struct hal_trap_frame *frame, u64 value)
{
    frame->x[0] = value;
}

/* hal_space.port[PORT_ASID]: 0 where the numbers ran out; its place in TTBR0. */
#define PORT_ASID       0
#define PORT_ASID_SHIFT 48

static HX_ALWAYS_INLINE void hal_space_load(struct hal_space *space)
{
    u64 asid = space->port[PORT_ASID];
    if (hx_likely(asid != 0)) {
        sysreg_write(ttbr0_el1, space->root | asid << PORT_ASID_SHIFT);
        sysreg_isb();
    } else {
        hal_mmu.activate(space);
    }
}

static HX_ALWAYS_INLINE void hal_user_tls_switch(u64 *from, u64 to)
{
    *from = sysreg_read(tpidr_el0);
    sysreg_write(tpidr_el0, to);
}

#endif
