/* SPDX-License-Identifier: MIT */
/* What C cannot say on x86_64: the system call instruction, the counter that benchmarks read, and
 * where thread-local variables lie.
 * Spec: <abi/syscalls.h> for the registers; System V ABI, AMD64 supplement; "ELF Handling For
 * Thread-Local Storage", variant II.
 */
#ifndef HX_PROCESSOR_H
#define HX_PROCESSOR_H

#include <helix/compiler.h>
#include <helix/types.h>

#define HX_ARCH_NAME "x86_64"

/* The call itself, with 0 to 6 arguments. It may read and write memory, and loses rcx and r11. */
#define HX_SYSCALL_ASM(...)                                                                        \
    s64 result;                                                                                    \
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), ##__VA_ARGS__ : HX_SYSCALL_LOSES);    \
    return result
#define HX_SYSCALL_LOSES "rcx", "r11", "memory"

static inline s64 hx_syscall0(u64 number)
{
    HX_SYSCALL_ASM();
}

static inline s64 hx_syscall1(u64 number, u64 a)
{
    HX_SYSCALL_ASM("D"(a));
}

static inline s64 hx_syscall2(u64 number, u64 a, u64 b)
{
    HX_SYSCALL_ASM("D"(a), "S"(b));
}

static inline s64 hx_syscall3(u64 number, u64 a, u64 b, u64 c)
{
    HX_SYSCALL_ASM("D"(a), "S"(b), "d"(c));
}

static inline s64 hx_syscall4(u64 number, u64 a, u64 b, u64 c, u64 d)
{
    register u64 r10 __asm__("r10") = d;
    HX_SYSCALL_ASM("D"(a), "S"(b), "d"(c), "r"(r10));
}

static inline s64 hx_syscall5(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    HX_SYSCALL_ASM("D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8));
}

static inline s64 hx_syscall6(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    register u64 r9 __asm__("r9") = f;
    HX_SYSCALL_ASM("D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9));
}
#undef HX_SYSCALL_ASM
#undef HX_SYSCALL_LOSES

/* A call with a message in registers: eight words out of `words`. What the registers hold
 * afterwards is written to *header, *source and, where *header says that it is short, `words`.
 * Spec: <abi/ipc.h>. */
static HX_ALWAYS_INLINE s64 hx_syscall_message(u64 number, u64 handle, u64 *header, u64 *source,
                                               u64 *words)
{
    register u64 r10 __asm__("r10") = words[0];
    register u64 r8 __asm__("r8") = words[1];
    register u64 r9 __asm__("r9") = words[2];
    register u64 rbx __asm__("rbx") = words[3];
    register u64 r12 __asm__("r12") = words[4];
    register u64 r13 __asm__("r13") = words[5];
    register u64 r14 __asm__("r14") = words[6];
    register u64 r15 __asm__("r15") = words[7];
    s64 result;
    u64 rsi = *header, rdx = *source;
    __asm__ volatile("syscall"
                     : "=a"(result), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9), "+r"(rbx),
                       "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
                     : "a"(number), "D"(handle)
                     : "rcx", "r11", "memory");
    if (result == 0) {
        *header = rsi;
        *source = rdx;
        if ((rsi & 0xffff) <= 64) {
            words[0] = r10, words[1] = r8, words[2] = r9, words[3] = rbx;
            words[4] = r12, words[5] = r13, words[6] = r14, words[7] = r15;
        }
    }
    return result;
}

/* A counter that goes on while other threads run. Under QEMU's instruction clock (-icount shift=0)
 * it counts guest instructions, one each. */
static inline u64 hx_counter(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (u64)high << 32 | low;
}

/* The same for a call that sends only: nothing comes back but the status. */
static inline s64 hx_syscall_send(u64 number, u64 handle, u64 header, u64 third, const u64 *words)
{
    register u64 r10 __asm__("r10") = words[0];
    register u64 r8 __asm__("r8") = words[1];
    register u64 r9 __asm__("r9") = words[2];
    register u64 rbx __asm__("rbx") = words[3];
    register u64 r12 __asm__("r12") = words[4];
    register u64 r13 __asm__("r13") = words[5];
    register u64 r14 __asm__("r14") = words[6];
    register u64 r15 __asm__("r15") = words[7];
    s64 result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(handle), "S"(header), "d"(third), "r"(r10), "r"(r8),
                       "r"(r9), "r"(rbx), "r"(r12), "r"(r13), "r"(r14), "r"(r15)
                     : "rcx", "r11", "memory");
    return result;
}

/* What is no instruction, now or later; and its length in bytes. */
static inline void hx_undefined(void)
{
    __asm__ volatile("ud2" ::: "memory");
}
#define HX_UNDEFINED_SIZE 2

/* The steps that hx_counter() goes in. */
static inline u64 hx_counter_step(void)
{
    return 1;
}

/* Thread-local variables: the block ends where the thread pointer points, and there a word points
 * to itself. `size` is a multiple of the block's alignment. */
static inline size_t hx_tls_area_size(size_t size)
{
    return size + sizeof(u64);
}

/* Lays out an area. Return: the thread pointer; *out_block is where the variables begin. */
static inline u64 hx_tls_area_init(void *area, size_t size, void **out_block)
{
    u64 *pointer = (u64 *)(void *)((char *)area + size);
    *pointer = (u64)(uintptr_t)pointer;
    *out_block = area;
    return (u64)(uintptr_t)pointer;
}

#endif
