/* SPDX-License-Identifier: MIT */
/* The hot primitives of <hal/port.h> for aarch64.
 * Context:   any.      State: none but TPIDR_EL1, which holds this CPU's logical number.
 * Interrupts are PSTATE.I alone: F stays open, for what must reach a CPU that masks interrupts.
 */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <helix/compiler.h>
#include <helix/types.h>
#include <port/frame.h>
#include <port/sysreg.h>

struct hal_trap_frame {
    u64 x[31];
    u64 sp;
    u64 pc;
    u64 state; /* SPSR */
    u64 esr;
    u64 far;
    u64 record[2];
};

_Static_assert(offsetof(struct hal_trap_frame, x) == FRAME_X, "frame layout");
_Static_assert(offsetof(struct hal_trap_frame, sp) == FRAME_SP, "frame layout");
_Static_assert(offsetof(struct hal_trap_frame, pc) == FRAME_PC, "frame layout");
_Static_assert(offsetof(struct hal_trap_frame, state) == FRAME_STATE, "frame layout");
_Static_assert(offsetof(struct hal_trap_frame, esr) == FRAME_ESR, "frame layout");
_Static_assert(offsetof(struct hal_trap_frame, far) == FRAME_FAR, "frame layout");
_Static_assert(offsetof(struct hal_trap_frame, record) == FRAME_RECORD, "frame layout");
_Static_assert(sizeof(struct hal_trap_frame) == FRAME_SIZE && FRAME_SIZE % 16 == 0, "SP alignment");

#define DAIF_I 0x80u

static inline u64 hal_irq_save(void)
{
    u64 state;
    __asm__ volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(state)::"memory");
    return state;
}

static inline void hal_irq_restore(u64 state)
{
    __asm__ volatile("msr daif, %0" ::"r"(state) : "memory");
}

static inline void hal_irq_enable(void)
{
    __asm__ volatile("msr daifclr, #2" ::: "memory");
}

static inline void hal_irq_disable(void)
{
    __asm__ volatile("msr daifset, #2" ::: "memory");
}

static inline bool hal_irq_is_enabled(void)
{
    return (sysreg_read(daif) & DAIF_I) == 0;
}

static inline cpu_id_t hal_cpu_number(void)
{
    return (cpu_id_t)sysreg_read(tpidr_el1);
}

static inline void hal_cpu_relax(void)
{
    __asm__ volatile("yield" ::: "memory");
}

/* WFI wakes for a pending interrupt although PSTATE.I masks it (Arm ARM, D1.6.2). */
static inline void hal_cpu_wait(void)
{
    __asm__ volatile("dsb sy\n\twfi" ::: "memory");
}

static inline HX_NORETURN void hal_cpu_halt(void)
{
    __asm__ volatile("msr daifset, #15" ::: "memory");
    for (;;) {
        __asm__ volatile("wfi");
    }
}

static inline void hal_mb(void)
{
    __asm__ volatile("dsb sy" ::: "memory");
}

static inline void hal_rmb(void)
{
    __asm__ volatile("dsb ld" ::: "memory");
}

static inline void hal_wmb(void)
{
    __asm__ volatile("dsb st" ::: "memory");
}

/* The virtual counter: with CNTVOFF 0 it is the physical one, and no hypervisor traps it. */
static inline u64 hal_counter_read(void)
{
    u64 value;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(value)::"memory");
    return value;
}

static HX_ALWAYS_INLINE vaddr_t hal_frame_pointer(void)
{
    return (vaddr_t)__builtin_frame_address(0);
}

static inline vaddr_t hal_stack_pointer(void)
{
    vaddr_t sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

static inline vaddr_t hal_frame_pc(const struct hal_trap_frame *frame)
{
    return frame->pc;
}

static inline vaddr_t hal_frame_sp(const struct hal_trap_frame *frame)
{
    return frame->sp;
}

static inline vaddr_t hal_frame_fp(const struct hal_trap_frame *frame)
{
    return frame->x[29];
}

/* SPSR.M[3:0] is 0 for EL0 in either execution state. */
static inline bool hal_frame_is_user(const struct hal_trap_frame *frame)
{
    return (frame->state & 0xf) == 0;
}

/* One load or store without writeback: a hypervisor that emulates the device can decode it. */
#define PORT_MMIO(bits, insn, w)                                                                   \
    static inline u##bits hal_mmio_read##bits(vaddr_t address)                                     \
    {                                                                                              \
        u##bits value;                                                                             \
        __asm__ volatile("ldr" insn " %" w "0, [%1]" : "=r"(value) : "r"(address) : "memory");     \
        return value;                                                                              \
    }                                                                                              \
    static inline void hal_mmio_write##bits(vaddr_t address, u##bits value)                        \
    {                                                                                              \
        __asm__ volatile("str" insn " %" w "0, [%1]" ::"rZ"(value), "r"(address) : "memory");      \
    }
PORT_MMIO(8, "b", "w")
PORT_MMIO(16, "h", "w")
PORT_MMIO(32, "", "w")
PORT_MMIO(64, "", "x")
#undef PORT_MMIO

#endif
