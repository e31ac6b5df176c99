/* SPDX-License-Identifier: MIT */
/* The hot primitives of <hal/port.h> for the do-nothing port: a machine that is a few variables.
 * A porter copies this file and replaces every body; the list of functions is complete, the build
 * of a port that lacks one fails. Host tests read and set the variables.
 * Context:   the one thread of a host program. Interrupts arrive where a real CPU could take them:
 *            when they are enabled, while spinning or waiting, and on reading the counter.
 */
#ifndef PORT_INLINE_H
#define PORT_INLINE_H

#include <helix/compiler.h>
#include <helix/types.h>
#include <stdlib.h>

struct hal_trap_frame {
    vaddr_t pc, sp, fp;
    bool user, irqs_enabled;
    u64 number, args[6]; /* of a system call */
    u64 message[8];      /* HAL_MESSAGE_WORDS */
};

struct hal_cpu_local {
    u64 number;
    void *current;
};

extern struct hal_cpu_local *port_local; /* context.c */

#define HAL_FPU_STATE_SIZE 64
#define PORT_STACK_MIN     4096 /* what a context may use of its stack at least */

struct port_cpu {
    bool irqs_enabled;
    u64 counter;      /* nanoseconds: the frequency is 1 GHz */
    u64 counter_step; /* what each reading adds, so that spinning with a deadline ends */
};

extern struct port_cpu port_cpu;

/* Takes what is pending, if interrupts are enabled. controller.c */
void port_interrupts_take(void);

/* Sleeps: moves the counter to the next deadline. oneshot.c */
void port_counter_skip(void);

static inline u64 hal_irq_save(void)
{
    u64 state = port_cpu.irqs_enabled;
    port_cpu.irqs_enabled = false;
    return state;
}

static inline void hal_irq_restore(u64 state)
{
    port_cpu.irqs_enabled = state != 0;
    port_interrupts_take();
}

static inline void hal_irq_enable(void)
{
    hal_irq_restore(1);
}

static inline void hal_irq_disable(void)
{
    port_cpu.irqs_enabled = false;
}

static inline bool hal_irq_is_enabled(void)
{
    return port_cpu.irqs_enabled;
}

static inline struct hal_cpu_local *hal_cpu_local(void)
{
    return port_local;
}

static inline cpu_id_t hal_cpu_number(void)
{
    return (cpu_id_t)port_local->number;
}

static inline void hal_cpu_local_set(struct hal_cpu_local *local)
{
    *local = *port_local;
    port_local = local;
}

static inline void *hal_current(void)
{
    return port_local->current;
}

static inline void hal_current_set(void *current)
{
    port_local->current = current;
}

static inline void hal_cpu_relax(void)
{
    port_cpu.counter += port_cpu.counter_step;
    port_interrupts_take();
}

static inline void hal_cpu_wait(void)
{
    port_counter_skip();
    hal_irq_enable();
    hal_irq_disable();
}

static inline HX_NORETURN void hal_cpu_halt(void)
{
    abort();
}

static inline void hal_mb(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void hal_rmb(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void hal_wmb(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void hal_release_increment(u32 *p)
{
    __atomic_store_n(p, *p + 1, __ATOMIC_RELEASE);
}

static inline u64 hal_counter_read(void)
{
    port_cpu.counter += port_cpu.counter_step;
    port_interrupts_take();
    return port_cpu.counter;
}

static inline u64 hal_cycles_read(void)
{
    return hal_counter_read();
}

static HX_ALWAYS_INLINE vaddr_t hal_frame_pointer(void)
{
    return (vaddr_t)__builtin_frame_address(0);
}

static HX_ALWAYS_INLINE vaddr_t hal_stack_pointer(void)
{
    return (vaddr_t)__builtin_frame_address(0); /* near enough: nothing here switches stacks */
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
    return frame->fp;
}

static inline bool hal_frame_is_user(const struct hal_trap_frame *frame)
{
    return frame->user;
}

static inline bool hal_frame_irqs_enabled(const struct hal_trap_frame *frame)
{
    return frame->irqs_enabled;
}

static inline void hal_page_zero(void *page)
{
    __builtin_memset(page, 0, HX_PAGE_SIZE);
}

static inline void hal_page_copy(void *dst, const void *src)
{
    __builtin_memcpy(dst, src, HX_PAGE_SIZE);
}

static inline bool hal_crc32c_is_supported(void)
{
    return true;
}

static inline u32 hal_crc32c(u32 crc, u64 word)
{
    for (u32 bit = 0; bit < 64; bit++) {
        crc = crc >> 1 ^ (0x82f63b78u & (0u - ((crc ^ (u32)(word >> bit)) & 1)));
    }
    return crc;
}

#define PORT_MMIO(bits)                                                                            \
    static inline u##bits hal_mmio_read##bits(vaddr_t at)                                          \
    {                                                                                              \
        return *(const volatile u##bits *)at;                                                      \
    }                                                                                              \
    static inline void hal_mmio_write##bits(vaddr_t at, u##bits value)                             \
    {                                                                                              \
        *(volatile u##bits *)at = value;                                                           \
    }
PORT_MMIO(8)
PORT_MMIO(16)
PORT_MMIO(32)
PORT_MMIO(64)
#undef PORT_MMIO

#endif
