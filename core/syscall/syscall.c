/* SPDX-License-Identifier: MIT */
/* System call dispatch.
 * Owns:      the table made from <abi/syscalls.h>.      Caller: the HAL's entry code.
 * Context:   thread of a process, interrupts enabled, on its kernel stack.
 * Invariant: (1) a call starts only after its flags are within their mask and its buffers lie
 *            below USER_SPACE_END as a whole; numbers beyond the table get HX_ERR_BAD_SYSCALL.
 *            (2) arguments are read from the frame once.
 */
#include <core/syscall.h>
#include <core/task.h>
#include <hal/context.h>
#include <hal/events.h>
#include <hal/layout.h>
#include <helix/bits.h>

#define N                                                                                          \
    {                                                                                              \
        .kind = SYSCALL_ARG_NONE                                                                   \
    }
#define V(arg_name)                                                                                \
    {                                                                                              \
        .name = #arg_name, .kind = SYSCALL_ARG_VALUE                                               \
    }
#define F(arg_name, mask)                                                                          \
    {                                                                                              \
        .name = #arg_name, .kind = SYSCALL_ARG_FLAGS, .detail = (mask)                             \
    }
#define I(arg_name, length)                                                                        \
    {                                                                                              \
        .name = #arg_name, .kind = SYSCALL_ARG_IN, LENGTH_##length                                 \
    }
#define O(arg_name, length)                                                                        \
    {                                                                                              \
        .name = #arg_name, .kind = SYSCALL_ARG_OUT, LENGTH_##length                                \
    }
#define H(arg_name, object_type, needed)                                                           \
    {                                                                                              \
        .name = #arg_name, .kind = SYSCALL_ARG_HANDLE, .detail = (object_type),                    \
        .rights = (needed)                                                                         \
    }
/* A length is the next argument, or a number of bytes. */
#define NEXT_ARG 0xfe
#define NO_ARG 0xff
#define LENGTH_length .length_arg = NEXT_ARG
#define LENGTH_name_length .length_arg = NEXT_ARG
#define LENGTH_args_length .length_arg = NEXT_ARG
#define LENGTH_8 .length_arg = NO_ARG, .detail = 8

static const struct syscall_entry table[] = {
#define ENTRY(number, call_name, ...)                                                              \
    [number] = {.call = sys_##call_name, .name = #call_name, .args = {__VA_ARGS__}},
    HX_SYSCALLS(ENTRY)
#undef ENTRY
};
_Static_assert(HX_ARRAY_SIZE(table) == HX_SYSCALL_COUNT, "a number is missing");

static enum hx_status check_args(const struct syscall_entry *entry, const u64 *args)
{
    for (u32 i = 0; i < 6; i++) {
        const struct syscall_arg *arg = &entry->args[i];
        if (arg->kind == SYSCALL_ARG_FLAGS && (args[i] & ~arg->detail)) {
            return HX_ERR_INVALID;
        }
        if (arg->kind == SYSCALL_ARG_IN || arg->kind == SYSCALL_ARG_OUT) {
            u64 length = arg->length_arg == NO_ARG ? arg->detail : args[i + 1];
            if (!hx_range_fits(args[i], length, USER_SPACE_END)) {
                return HX_ERR_FAULT;
            }
        }
    }
    return HX_OK;
}

const struct syscall_entry *syscall_entry(u64 number)
{
    return number < HX_SYSCALL_COUNT ? &table[number] : NULL;
}

void hal_event_syscall(struct hal_trap_frame *frame)
{
    u64 number = hal_syscall_number(frame);
    if (hx_unlikely(number >= HX_SYSCALL_COUNT)) {
        hal_syscall_result(frame, HX_ERR_BAD_SYSCALL);
        return;
    }
    const struct syscall_entry *entry = &table[number];
    u64 args[6];
    for (u32 i = 0; i < 6; i++) {
        args[i] = hal_syscall_arg(frame, i);
    }
    s64 result = HX_OK;
    if (entry->args[0].kind != SYSCALL_ARG_NONE) {
        result = check_args(entry, args);
    }
    if (hx_likely(result == HX_OK)) {
        result = entry->call(args[0], args[1], args[2], args[3], args[4], args[5]);
    }
    hal_syscall_result(frame, result);
}

s64 sys_null(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    return HX_OK;
}

s64 sys_yield(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    task_yield();
    return HX_OK;
}

s64 sys_sleep_until(u64 deadline_ns, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    return task_sleep_until(deadline_ns);
}
