/* SPDX-License-Identifier: MIT */
/* The hot primitives of <hal/port.h> for x86_64.
 * GS base points at this CPU's struct hal_cpu_local in kernel mode; entry.asm swaps it with the
 * user's. Whatever reads through it is volatile: a task may be on another CPU the next time.
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

struct port_tss;

/* What GS points at. The assembly below and entry.asm know the offsets. */
struct hal_cpu_local {
    u64 number;                 /* 0 */
    void *current;              /* 8 */
    struct hal_cpu_local *self; /* 16 */
    vaddr_t kernel_stack;       /* 24: where SYSCALL puts its frame; the TSS has a copy */
    u64 user_sp;                /* 32: scratch of the SYSCALL entry */
    struct port_tss *tss;       /* 40 */
};
_Static_assert(offsetof(struct hal_cpu_local, number) == 0, "used as gs:0");
_Static_assert(offsetof(struct hal_cpu_local, current) == 8, "used as gs:8");
_Static_assert(offsetof(struct hal_cpu_local, self) == 16, "used as gs:16");

#define HAL_FPU_STATE_SIZE 512 /* FXSAVE */

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
    __asm__ volatile("movq %%gs:0, %0" : "=r"(number));
    return (cpu_id_t)number;
}

static inline struct hal_cpu_local *hal_cpu_local(void)
{
    struct hal_cpu_local *local;
    __asm__ volatile("movq %%gs:16, %0" : "=r"(local));
    return local;
}

/* The block takes over what the one before it held. MSR 0xc0000101 is the GS base. */
static inline void hal_cpu_local_set(struct hal_cpu_local *local)
{
    *local = *hal_cpu_local();
    local->self = local;
    __asm__ volatile("wrmsr" ::"c"(0xc0000101u), "a"((u32)(u64)local), "d"((u32)((u64)local >> 32))
                     : "memory");
}

static inline void *hal_current(void)
{
    void *current;
    __asm__ volatile("movq %%gs:8, %0" : "=r"(current));
    return current;
}

static inline void hal_current_set(void *current)
{
    __asm__ volatile("movq %0, %%gs:8" ::"r"(current) : "memory");
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

/* Stores are not reordered with earlier accesses here (SDM vol. 3, 8.2.2). */
static inline void hal_release_increment(u32 *p)
{
    __asm__ volatile("incl %0" : "+m"(*p)::"memory", "cc");
}

static inline u64 hal_counter_read(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

static inline u64 hal_cycles_read(void)
{
    return hal_counter_read();
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

static inline bool hal_frame_irqs_enabled(const struct hal_trap_frame *frame)
{
    return frame->rflags & RFLAGS_IF;
}

/* True on a CPU whose string instructions move bytes one by one (no ERMS), once SSE can be used. */
extern bool port_zero_by_sse;
void port_page_zero(void *page); /* switch.asm */

static inline void hal_page_zero(void *page)
{
    if (port_zero_by_sse) {
        port_page_zero(page);
        return;
    }
    u64 words = HX_PAGE_SIZE / 8;
    __asm__ volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(0) : "memory");
}

static inline void hal_page_copy(void *dst, const void *src)
{
    u64 words = HX_PAGE_SIZE / 8;
    __asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(words)::"memory");
}

/* SSE4.2 has it; CPUID leaf 1, ECX bit 20 (Intel SDM volume 2A, CPUID and CRC32). */
static inline bool hal_crc32c_is_supported(void)
{
    u32 a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 20 & 1;
}

static inline u32 hal_crc32c(u32 crc, u64 word)
{
    u64 wide = crc;
    __asm__("crc32q %1, %0" : "+r"(wide) : "rm"(word));
    return (u32)wide;
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
