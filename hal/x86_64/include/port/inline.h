/* SPDX-License-Identifier: MIT */
/* The hot primitives of <hal/port.h> for x86_64.
 * GS base points at struct port_cpu of this CPU in kernel mode; entry.asm swaps it with the user's.
 */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <helix/compiler.h>
#include <helix/types.h>

/* Pushed by entry.asm; its offsets are checked there through the generated constants. */
struct hal_trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8;
    u64 rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector;
    u64 error; /* 0 where the exception has none */
    u64 rip, cs, rflags, rsp, ss;
};

/* What GS points at. */
struct port_cpu {
    u64 number; /* logical CPU; read as gs:0 */
};

#define RFLAGS_IF (1u << 9)

static inline bool hal_irq_is_enabled(void)
{
    u64 flags;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags)::"memory");
    return flags & RFLAGS_IF;
}

static inline u64 hal_irq_save(void)
{
    u64 flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
    return flags;
}

/* Writing all of RFLAGS back would cost a POPF; only IF can have changed. */
static inline void hal_irq_restore(u64 state)
{
    if (state & RFLAGS_IF) {
        __asm__ volatile("sti" ::: "memory");
    } else {
        __asm__ volatile("cli" ::: "memory");
    }
}

static inline void hal_irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline void hal_irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline cpu_id_t hal_cpu_number(void)
{
    u64 number;
    __asm__("movq %%gs:0, %0" : "=r"(number));
    return (cpu_id_t)number;
}

static inline void hal_cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

/* STI takes effect after the next instruction, so nothing comes between it and HLT (SDM vol. 2,
 * STI): an interrupt that is pending ends the HLT. */
static inline void hal_cpu_wait(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

static inline HX_NORETURN void hal_cpu_halt(void)
{
    for (;;) {
        __asm__ volatile("cli; hlt" ::: "memory");
    }
}

static inline void hal_mb(void)
{
    __asm__ volatile("mfence" ::: "memory");
}

static inline void hal_rmb(void)
{
    __asm__ volatile("lfence" ::: "memory");
}

static inline void hal_wmb(void)
{
    __asm__ volatile("sfence" ::: "memory");
}

static inline u64 hal_counter_read(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

static inline HX_ALWAYS_INLINE vaddr_t hal_frame_pointer(void)
{
    return (vaddr_t)__builtin_frame_address(0);
}

static inline vaddr_t hal_stack_pointer(void)
{
    vaddr_t sp;
    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

static inline vaddr_t hal_frame_pc(const struct hal_trap_frame *frame)
{
    return frame->rip;
}

static inline vaddr_t hal_frame_sp(const struct hal_trap_frame *frame)
{
    return frame->rsp;
}

static inline vaddr_t hal_frame_fp(const struct hal_trap_frame *frame)
{
    return frame->rbp;
}

static inline bool hal_frame_is_user(const struct hal_trap_frame *frame)
{
    return (frame->cs & 3) == 3;
}

#define PORT_MMIO(bits)                                                                            \
    static inline u##bits hal_mmio_read##bits(vaddr_t at)                                          \
    {                                                                                              \
        u##bits value = *(const volatile u##bits *)at;                                             \
        hx_compiler_barrier();                                                                     \
        return value;                                                                              \
    }                                                                                              \
    static inline void hal_mmio_write##bits(vaddr_t at, u##bits value)                             \
    {                                                                                              \
        hx_compiler_barrier();                                                                     \
        *(volatile u##bits *)at = value;                                                           \
    }
PORT_MMIO(8)
PORT_MMIO(16)
PORT_MMIO(32)
PORT_MMIO(64)
#undef PORT_MMIO

#endif
