/* SPDX-License-Identifier: MIT */
/* The system call gateway: from the table in <abi/syscalls.h> to one function a call.
 */
#ifndef CORE_SYSCALL_H
#define CORE_SYSCALL_H

#include <abi/syscalls.h>
#include <helix/types.h>

/* Every call is implemented once, by whoever owns its subject. Flags are within their mask and
 * buffers below USER_SPACE_END when it is called; everything else about the arguments is hostile.
 * Context: thread of a process, interrupts enabled. Return: a value, or a negative status. */
#define HX_SYSCALL_DECLARE(number, name, ...)                                                      \
    HX_NOINLINE s64 sys_##name(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
HX_SYSCALLS(HX_SYSCALL_DECLARE)
#undef HX_SYSCALL_DECLARE

enum syscall_arg_kind {
    SYSCALL_ARG_VALUE, /* or none: a call has as many arguments as it has words for them */
    SYSCALL_ARG_HANDLE,
    SYSCALL_ARG_FLAGS,
    SYSCALL_ARG_IN,
    SYSCALL_ARG_OUT,
};

struct syscall_entry {
    const char *words; /* the call's name, its arguments', and an empty string */
    u32 kinds;         /* of argument i in the four bits from 4 * i: enum syscall_arg_kind */
    u16 details[6];    /* flags: the mask; buffers: the bytes, 0 when the next argument says them */
};

/* What the table says of a call; NULL for a number that is none. */
const struct syscall_entry *syscall_entry(u64 number);

/* Logs a call that has returned, if its program is one of those that `calls` shows. */
void syscall_show(u64 number, const u64 *args, s64 result);

#endif
