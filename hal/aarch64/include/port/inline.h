/* SPDX-License-Identifier: MIT */
/* The hot primitives of <hal/port.h> for aarch64.
 * Context:   any.      State: TPIDR_EL1 points at this CPU's struct hal_cpu_local; SP_EL0, which
 * EL1 does not use as a stack, holds the running thread. What reads them is volatile: a thread may
 * be on another CPU the next time.
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

/* What TPIDR_EL1 points at; offsets in <port/frame.h>. */
struct hal_cpu_local {
    u64 number;
    void *current;        /* SP_EL0 while in the kernel */
    vaddr_t kernel_stack; /* where hal_user_enter() leaves SP_EL1 */
    vaddr_t emergency;    /* top of the stack for a stack overflow */
    u64 scratch;          /* of the emergency entry */
};

_Static_assert(offsetof(struct hal_cpu_local, current) == LOCAL_CURRENT, "local layout");
_Static_assert(offsetof(struct hal_cpu_local, kernel_stack) == LOCAL_KERNEL_STACK, "local layout");
_Static_assert(offsetof(struct hal_cpu_local, emergency) == LOCAL_EMERGENCY, "local layout");
_Static_assert(offsetof(struct hal_cpu_local, scratch) == LOCAL_SCRATCH, "local layout");

#define HAL_FPU_STATE_SIZE FPU_SIZE

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

static inline struct hal_cpu_local *hal_cpu_local(void)
{
    return (struct hal_cpu_local *)sysreg_read(tpidr_el1);
}

static inline cpu_id_t hal_cpu_number(void)
{
    return (cpu_id_t)hal_cpu_local()->number;
}

/* The block takes over what the one before it held. */
static inline void hal_cpu_local_set(struct hal_cpu_local *local)
{
    *local = *hal_cpu_local();
    hx_compiler_barrier();
    sysreg_write(tpidr_el1, (vaddr_t)local);
}

static inline void *hal_current(void)
{
    return (void *)sysreg_read(sp_el0);
}

/* The block's copy is for entries from EL0, where SP_EL0 is the program's. */
static inline void hal_current_set(void *current)
{
    hal_cpu_local()->current = current;
    sysreg_write(sp_el0, (vaddr_t)current);
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

static inline void hal_release_increment(u32 *p)
{
    __atomic_store_n(p, *p + 1, __ATOMIC_RELEASE);
}

/* The virtual counter: with CNTVOFF 0 it is the physical one, and no hypervisor traps it. */
static inline u64 hal_counter_read(void)
{
    u64 value;
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
    return value;
}

/* PMCCNTR_EL0, which hal_cpu.init starts: the virtual counter steps once in 16 instructions. */
static inline u64 hal_cycles_read(void)
{
    u64 value;
    __asm__ volatile("isb\n\tmrs %0, pmccntr_el0" : "=r"(value)::"memory");
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

static inline bool hal_frame_irqs_enabled(const struct hal_trap_frame *frame)
{
    return (frame->state & DAIF_I) == 0;
}

void port_page_zero(void *page); /* switch.S */
void port_page_copy(void *dst, const void *src);

static inline void hal_page_zero(void *page)
{
    port_page_zero(page);
}

static inline void hal_page_copy(void *dst, const void *src)
{
    port_page_copy(dst, src);
}

/* One load or store without writeback: a hypervisor that emulates the device can decode it. */
/* ID_AA64ISAR0_EL1.CRC32, bits 19:16 (Arm ARM D19.2.61, C6.2.66). */
static inline bool hal_crc32c_is_supported(void)
{
    u64 features;
    __asm__("mrs %0, id_aa64isar0_el1" : "=r"(features));
    return (features >> 16 & 0xf) != 0;
}

static inline u32 hal_crc32c(u32 crc, u64 word)
{
    u32 next;
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w1, %x2" : "=r"(next) : "r"(crc), "r"(word));
    return next;
}

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
