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

static inline s64 hal_syscall_result_get(const struct hal_trap_frame *frame)
{
    return (s64)frame->args[0];
}

static inline struct hal_trap_frame *hal_user_frame(vaddr_t stack_top)
{
    return (struct hal_trap_frame *)(stack_top - sizeof(struct hal_trap_frame));
}

static inline void hal_message_load(const struct hal_trap_frame *frame, u64 *words)
{
    for (u32 i = 0; i < HAL_MESSAGE_WORDS; i++) {
        words[i] = frame->message[i];
    }
}

static inline void hal_message_store(struct hal_trap_frame *frame, const u64 *words)
{
    for (u32 i = 0; i < HAL_MESSAGE_WORDS; i++) {
        frame->message[i] = words[i];
    }
}

static inline void hal_message_move(struct hal_trap_frame *to, const struct hal_trap_frame *from)
{
    hal_message_store(to, from->message);
}

static inline void hal_message_result(struct hal_trap_frame *frame, s64 status, u64 header,
                                      u64 source)
{
    frame->args[0] = (u64)status;
    frame->args[1] = header;
    frame->args[2] = source;
}

static inline vaddr_t hal_context_parked(vaddr_t stack_top)
{
    return stack_top;
}

static inline HX_NORETURN void hal_context_continue(vaddr_t stack_top, const struct hal_context *to)
{
    (void)stack_top, (void)to;
    __builtin_trap();
}

static inline HX_NORETURN void hal_message_leave(vaddr_t stack_top, vaddr_t to_stack_top,
                                                 u64 header, u64 source, bool *on_cpu, u32 *lock)
{
    (void)stack_top, (void)to_stack_top, (void)header, (void)source, (void)on_cpu, (void)lock;
    __builtin_trap();
}

static inline void hal_user_frame_set_sp(struct hal_trap_frame *frame, vaddr_t sp)
{
    frame->sp = sp;
}

static inline u64 hal_user_frame_result(const struct hal_trap_frame *frame)
{
    return frame->args[0];
}

static inline void hal_user_frame_set_result(struct hal_trap_frame *frame, u64 value)
{
    frame->args[0] = value;
}

static inline void hal_space_load(struct hal_space *space)
{
    hal_mmu.activate(space);
}

static inline void hal_user_tls_switch(u64 *from, u64 to)
{
    *from = hal_user_tls_get();
    hal_user_tls_set(to);
}

#endif
