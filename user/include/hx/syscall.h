/* SPDX-License-Identifier: MIT */
/* One function a system call, made from the table in <abi/syscalls.h>: hx_sys_NAME takes what the
 * table names, in its order, and gives back what the kernel answers: a negative hx_status, or a
 * value. Values and flags are u64, buffers pointers, handles hx_handle_t. A buffer's length is the
 * argument after it, or the constant in the table. Nothing is checked here.
 * Context: any thread. The wrappers of the other headers are what programs want.
 */
#ifndef HX_SYSCALL_H
#define HX_SYSCALL_H

#include <abi/syscalls.h>
#include <hx/arch.h>

/* The parameters of a call as a list that begins with a comma; N adds nothing to it. */
#define HX_PARAM_N
#define HX_PARAM_V(name)               , u64 name
#define HX_PARAM_F(name, mask)         , u64 name
#define HX_PARAM_I(name, length)       , const void *name
#define HX_PARAM_O(name, length)       , void *name
#define HX_PARAM_H(name, type, rights) , hx_handle_t name
#define HX_ARG_N
#define HX_ARG_V(name)               , name
#define HX_ARG_F(name, mask)         , name
#define HX_ARG_I(name, length)       , (u64)(uintptr_t)name
#define HX_ARG_O(name, length)       , (u64)(uintptr_t)name
#define HX_ARG_H(name, type, rights) , name

/* `void` for an empty list, else the list without what stands in front of its first comma. */
#define HX_LIST_OR_VOID(front, ...) HX_LIST_##front##__VA_OPT__(SOME)(__VA_ARGS__)
#define HX_LIST_EMPTY()             void
#define HX_LIST_EMPTYSOME(...)      __VA_ARGS__
/* Two steps, so that the list is expanded before its commas count. */
#define HX_LIST(...) HX_LIST_OR_VOID(__VA_ARGS__)

#define HX_SYSCALL_STUB(number, name, a, b, c, d, e, f)                                            \
    static inline s64 hx_sys_##name(HX_LIST(                                                       \
        EMPTY HX_PARAM_##a HX_PARAM_##b HX_PARAM_##c HX_PARAM_##d HX_PARAM_##e HX_PARAM_##f))      \
    {                                                                                              \
        return HX_SYSCALL(                                                                         \
            HX_SYS_##name HX_ARG_##a HX_ARG_##b HX_ARG_##c HX_ARG_##d HX_ARG_##e HX_ARG_##f);      \
    }

/* hx_syscallN of <hx/arch.h>, N being the number of arguments after the call's number. */
#define HX_SYSCALL(...)                                   HX_SYSCALL_PICK(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)(__VA_ARGS__)
#define HX_SYSCALL_PICK(number, a, b, c, d, e, f, n, ...) hx_syscall##n

HX_SYSCALLS(HX_SYSCALL_STUB)

#undef HX_SYSCALL_STUB

#endif
