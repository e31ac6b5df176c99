/* SPDX-License-Identifier: MIT */
/* What C cannot say on aarch64: the system call instruction, the counter that benchmarks read, and
 * where thread-local variables lie.
 * Spec: <abi/syscalls.h> for the registers; Procedure Call Standard for the Arm 64-bit
 * Architecture; "ELF Handling For Thread-Local Storage", variant I; Arm ARM D13 (registers).
 */
#ifndef HX_PROCESSOR_H
#define HX_PROCESSOR_H

#include <helix/compiler.h>
#include <helix/types.h>

#define HX_ARCH_NAME "aarch64"

/* The call itself, with 0 to 6 arguments. It may read and write memory. */
static inline s64 hx_syscall0(u64 number)
{
    register u64 x8 __asm__("x8") = number;
    register s64 x0 __asm__("x0");
    __asm__ volatile("svc #0" : "=r"(x0) : "r"(x8) : "memory");
    return x0;
}

#define HX_SYSCALL_ASM(first, ...)                                                                 \
    register u64 x8 __asm__("x8") = number;                                                        \
    register u64 x0 __asm__("x0") = first;                                                         \
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), ##__VA_ARGS__ : "memory");                     \
    return (s64)x0

static inline s64 hx_syscall1(u64 number, u64 a)
{
    HX_SYSCALL_ASM(a);
}

static inline s64 hx_syscall2(u64 number, u64 a, u64 b)
{
    register u64 x1 __asm__("x1") = b;
    HX_SYSCALL_ASM(a, "r"(x1));
}

static inline s64 hx_syscall3(u64 number, u64 a, u64 b, u64 c)
{
    register u64 x1 __asm__("x1") = b;
    register u64 x2 __asm__("x2") = c;
    HX_SYSCALL_ASM(a, "r"(x1), "r"(x2));
}

static inline s64 hx_syscall4(u64 number, u64 a, u64 b, u64 c, u64 d)
{
    register u64 x1 __asm__("x1") = b;
    register u64 x2 __asm__("x2") = c;
    register u64 x3 __asm__("x3") = d;
    HX_SYSCALL_ASM(a, "r"(x1), "r"(x2), "r"(x3));
}

static inline s64 hx_syscall5(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 x1 __asm__("x1") = b;
    register u64 x2 __asm__("x2") = c;
    register u64 x3 __asm__("x3") = d;
    register u64 x4 __asm__("x4") = e;
    HX_SYSCALL_ASM(a, "r"(x1), "r"(x2), "r"(x3), "r"(x4));
}

static inline s64 hx_syscall6(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    register u64 x1 __asm__("x1") = b;
    register u64 x2 __asm__("x2") = c;
    register u64 x3 __asm__("x3") = d;
    register u64 x4 __asm__("x4") = e;
    register u64 x5 __asm__("x5") = f;
    HX_SYSCALL_ASM(a, "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5));
}
#undef HX_SYSCALL_ASM

/* A call with a message in registers: eight words out of `words`. What the registers hold
 * afterwards is written to *header, *source and, where *header says that it is short, `words`.
 * Spec: <abi/ipc.h>. */
static HX_ALWAYS_INLINE s64 hx_syscall_message(u64 number, u64 handle, u64 *header, u64 *source,
                                               u64 *words)
{
    register u64 x8 __asm__("x8") = number;
    register u64 x0 __asm__("x0") = handle;
    register u64 x1 __asm__("x1") = *header;
    register u64 x2 __asm__("x2") = *source;
    register u64 x10 __asm__("x10") = words[0];
    register u64 x11 __asm__("x11") = words[1];
    register u64 x12 __asm__("x12") = words[2];
    register u64 x13 __asm__("x13") = words[3];
    register u64 x14 __asm__("x14") = words[4];
    register u64 x15 __asm__("x15") = words[5];
    register u64 x16 __asm__("x16") = words[6];
    register u64 x17 __asm__("x17") = words[7];
    /* The immediate says that a message may be in the registers. */
    __asm__ volatile("svc #1"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x10), "+r"(x11), "+r"(x12), "+r"(x13),
                       "+r"(x14), "+r"(x15), "+r"(x16), "+r"(x17)
                     : "r"(x8)
                     : "memory");
    if (x0 == 0) {
        *header = x1;
        *source = x2;
        if ((x1 & 0xffff) <= 64) {
            words[0] = x10, words[1] = x11, words[2] = x12, words[3] = x13;
            words[4] = x14, words[5] = x15, words[6] = x16, words[7] = x17;
        }
    }
    return (s64)x0;
}

/* PMUSERENR_EL0, which may always be read here, says whether the cycle counter may. */
static inline bool hx_cycle_counter_is_open(void)
{
    u64 enabled;
    __asm__ volatile("mrs %0, pmuserenr_el0" : "=r"(enabled));
    return enabled & (1u << 0 | 1u << 2); /* EN: all of it; CR: the cycle counter */
}

/* A counter that goes on while other threads run. Under QEMU's instruction clock (-icount shift=0)
 * it counts guest instructions: the cycle counter one each, the virtual counter in steps of 16
 * (62.5 MHz), scaled here. */
static inline u64 hx_counter(void)
{
    u64 value, frequency;
    if (hx_cycle_counter_is_open()) {
        __asm__ volatile("isb\n\tmrs %0, pmccntr_el0" : "=r"(value)::"memory");
        return value;
    }
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tmrs %1, cntfrq_el0"
                     : "=r"(value), "=r"(frequency)::"memory");
    return value * (1000000000 / frequency);
}

/* The same for a call that sends only: nothing comes back but the status. */
static inline s64 hx_syscall_send(u64 number, u64 handle, u64 header, u64 third, const u64 *words)
{
    register u64 x8 __asm__("x8") = number;
    register u64 x0 __asm__("x0") = handle;
    register u64 x1 __asm__("x1") = header;
    register u64 x2 __asm__("x2") = third;
    register u64 x10 __asm__("x10") = words[0];
    register u64 x11 __asm__("x11") = words[1];
    register u64 x12 __asm__("x12") = words[2];
    register u64 x13 __asm__("x13") = words[3];
    register u64 x14 __asm__("x14") = words[4];
    register u64 x15 __asm__("x15") = words[5];
    register u64 x16 __asm__("x16") = words[6];
    register u64 x17 __asm__("x17") = words[7];
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x10), "r"(x11), "r"(x12), "r"(x13), "r"(x14),
                       "r"(x15), "r"(x16), "r"(x17)
                     : "memory");
    return (s64)x0;
}

/* What is no instruction, now or later; and its length in bytes. */
static inline void hx_undefined(void)
{
    __asm__ volatile("udf #0" ::: "memory");
}
#define HX_UNDEFINED_SIZE 4

/* The steps that hx_counter() goes in. */
static inline u64 hx_counter_step(void)
{
    u64 frequency;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    return hx_cycle_counter_is_open() ? 1 : 1000000000 / frequency;
}

#define HX_TLS_HEAD 64 /* 16 bytes that belong to the system, then the variables' alignment */

/* Thread-local variables: the block begins behind the head that the thread pointer points to.
 * `size` is a multiple of the block's alignment. */
static inline size_t hx_tls_area_size(size_t size)
{
    return HX_TLS_HEAD + size;
}

/* Lays out an area. Return: the thread pointer; *out_block is where the variables begin. */
static inline u64 hx_tls_area_init(void *area, size_t size, void **out_block)
{
    (void)size;
    *out_block = (char *)area + HX_TLS_HEAD;
    return (u64)(uintptr_t)area;
}

#endif
