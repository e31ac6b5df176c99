/* SPDX-License-Identifier: MIT */
/* The one table of system calls, and nothing else: the kernel's dispatcher and argument checks, the
 * user stubs and the listing of calls are all made from it.
 *
 * A call returns s64: negative is a status of <helix/status.h>, otherwise a value. Arguments are
 * 64 bits each. Registers: x86_64 rax = number, rdi rsi rdx r10 r8 r9, result in rax; rcx and r11
 * are lost. aarch64 x8 = number, x0 - x5, result in x0.
 *
 * An argument is described by its kind:
 *   V(name)               a value; the call itself says what is allowed
 *   F(name, mask)         flags; any bit outside the mask is HX_ERR_INVALID before any work
 *   I(name, length)       a buffer to be read, and the argument that says its length in bytes
 *   O(name, length)       a buffer to be written
 *   H(name, type, rights) a handle to an object of that type, with at least these rights
 *   N                     none; ignored
 * Numbers are never used again for something else.
 */
#ifndef ABI_SYSCALLS_H
#define ABI_SYSCALLS_H

#include <abi/types.h>

/* X(number, name, arguments...) */
#define HX_SYSCALLS(X)                                                                             \
    X(0, null, N, N, N, N, N, N)                                                                   \
    X(1, process_exit, V(status), N, N, N, N, N)                                                   \
    X(2, log_write, I(text, length), V(length), N, N, N, N)                                        \
    X(3, yield, N, N, N, N, N, N)                                                                  \
    X(4, sleep_until, V(deadline_ns), N, N, N, N, N)                                               \
    X(5, clock_read, V(clock), N, N, N, N, N)                                                      \
    X(6, thread_create, V(entry), V(stack), V(arg), V(tls), N, N)                                  \
    X(7, thread_exit, V(value), N, N, N, N, N)                                                     \
    X(8, thread_join, H(thread, HX_OBJECT_THREAD, HX_RIGHT_WAIT), V(deadline_ns), O(value, 8), N,  \
      N, N)                                                                                        \
    X(9, memory_map, V(address), V(size), F(flags, HX_MAP_FLAGS), N, N, N)                         \
    X(10, memory_unmap, V(address), V(size), N, N, N, N)                                           \
    X(11, memory_protect, V(address), V(size), F(flags, HX_MAP_PROTECT_FLAGS), N, N, N)            \
    X(12, process_spawn, I(name, name_length), V(name_length), I(args, args_length),               \
      V(args_length), F(flags, 0), N)                                                              \
    X(13, process_wait, H(process, HX_OBJECT_PROCESS, HX_RIGHT_WAIT), V(deadline_ns),              \
      O(status, 8), N, N, N)                                                                       \
    X(14, process_kill, H(process, HX_OBJECT_PROCESS, HX_RIGHT_DELETE), V(status), N, N, N, N)     \
    X(15, handle_close, V(handle), N, N, N, N, N)                                                  \
    X(16, random_read, O(buffer, length), V(length), N, N, N, N)                                   \
    X(17, thread_tls_set, V(tls), N, N, N, N, N)

enum hx_syscall {
#define HX_SYSCALL_NUMBER(number, name, ...) HX_SYS_##name = number,
    HX_SYSCALLS(HX_SYSCALL_NUMBER)
#undef HX_SYSCALL_NUMBER
        HX_SYSCALL_COUNT
};

#endif
