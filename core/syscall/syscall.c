/* SPDX-License-Identifier: MIT */
/* System call dispatch.
 * Owns:      the table made from <abi/syscalls.h>.      Caller: the HAL's entry code.
 * Context:   thread of a process, interrupts enabled, on its kernel stack.
 * Invariant: (1) a call starts only after its flags are within their mask and its buffers lie
 *            below USER_SPACE_END as a whole; numbers beyond the table get HX_ERR_BAD_SYSCALL.
 *            (2) arguments are read from the frame once.
 * The checks of each call are compiled from its line of the table: a call without flags or buffers
 * pays for none.
 */
#include <core/syscall.h>
#include <core/task.h>
#include <core/trace.h>
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
        .name = #arg_name, .kind = SYSCALL_ARG_HANDLE, .detail = (object_type), .rights = (needed) \
    }
/* A length is the next argument, or a number of bytes. */
#define NEXT_ARG           0xfe
#define NO_ARG             0xff
#define LENGTH_length      .length_arg = NEXT_ARG
#define LENGTH_name_length .length_arg = NEXT_ARG
#define LENGTH_args_length .length_arg = NEXT_ARG
#define LENGTH_32          .length_arg = NO_ARG, .detail = 32
#define LENGTH_304         .length_arg = NO_ARG, .detail = 304
#define LENGTH_path_length .length_arg = NEXT_ARG
#define LENGTH_to_length   .length_arg = NEXT_ARG
#define LENGTH_8           .length_arg = NO_ARG, .detail = 8
#define LENGTH_24          .length_arg = NO_ARG, .detail = 24
#define LENGTH_64          .length_arg = NO_ARG, .detail = 64
#define LENGTH_40          .length_arg = NO_ARG, .detail = 40
#define LENGTH_80          .length_arg = NO_ARG, .detail = 80

static const struct syscall_entry table[] = {
#define ENTRY(number, call_name, ...) [number] = {.name = #call_name, .args = {__VA_ARGS__}},
    HX_SYSCALLS(ENTRY)
#undef ENTRY
};
_Static_assert(HX_ARRAY_SIZE(table) == HX_SYSCALL_COUNT, "the lines are sorted by number");

/* Inlined where the entry is a constant, so that only what the call really has is checked. */
static HX_ALWAYS_INLINE enum hx_status check_args(const struct syscall_entry *entry,
                                                  const u64 *args)
{
#pragma GCC unroll 6
    for (u32 i = 0; i < 6; i++) {
        const struct syscall_arg *arg = &entry->args[i];
        if (arg->kind == SYSCALL_ARG_FLAGS && (args[i] & ~arg->detail)) {
            return HX_ERR_INVALID;
        }
        if (arg->kind == SYSCALL_ARG_HANDLE && args[i] > UINT32_MAX) {
            return HX_ERR_BAD_HANDLE;
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

/* One function a call: its checks, then the call. inv 1 */
#define CHECKED(number, call_name, ...)                                                            \
    static s64 checked_##call_name(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)                 \
    {                                                                                              \
        const u64 args[] = {a0, a1, a2, a3, a4, a5};                                               \
        enum hx_status status = check_args(&table[number], args);                                  \
        return hx_likely(status == HX_OK) ? sys_##call_name(a0, a1, a2, a3, a4, a5) : (s64)status; \
    }
HX_SYSCALLS(CHECKED)
#undef CHECKED

static s64 no_such_call(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a0, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    return HX_ERR_BAD_SYSCALL;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* a number without a line keeps the first */
/* In a section of its own it has an address of its own, which aarch64 forms with an instruction
 * less than that of a place among other constants. */
__attribute__((section(".rodata.syscalls"))) static s64 (*const calls[])(u64 a0, u64 a1, u64 a2,
                                                                         u64 a3, u64 a4, u64 a5) = {
    [0 ... HX_SYSCALL_COUNT - 1] = no_such_call,
#define CALL(number, call_name, ...) [number] = checked_##call_name,
    HX_SYSCALLS(CALL)
#undef CALL
};
#pragma GCC diagnostic pop

const struct syscall_entry *syscall_entry(u64 number)
{
    return number < HX_SYSCALL_COUNT && table[number].name ? &table[number] : NULL;
}

static HX_ALWAYS_INLINE s64 call(struct hal_trap_frame *frame, u64 number)
{
    s64 result = calls[number](hal_syscall_arg(frame, 0), hal_syscall_arg(frame, 1),
                               hal_syscall_arg(frame, 2), hal_syscall_arg(frame, 3),
                               hal_syscall_arg(frame, 4), hal_syscall_arg(frame, 5));
    hal_syscall_result(frame, result);
    return result;
}

static HX_NOINLINE void call_traced(struct hal_trap_frame *frame, u64 number)
{
    u64 begin = hal_counter_read(), args[6];
    for (u32 i = 0; i < HX_ARRAY_SIZE(args); i++) {
        args[i] = hal_syscall_arg(frame, i); /* for the log; the call reads its own */
    }
    if (trace_is_on(TRACE_CALLS) &&
        (number == HX_SYS_process_exit || number == HX_SYS_thread_exit)) {
        syscall_show(number, args, HX_OK); /* they do not come back */
    }
    s64 result = call(frame, number);
    trace(TRACE_SYSCALL, (u32)number, begin, (u64)result);
    if (trace_is_on(TRACE_CALLS)) {
        syscall_show(number, args, result);
    }
}

void hal_event_syscall(struct hal_trap_frame *frame)
{
    u64 number = hal_syscall_number(frame);
    if (hx_unlikely(number >= HX_SYSCALL_COUNT)) {
        hal_syscall_result(frame, HX_ERR_BAD_SYSCALL);
        return;
    }
    if (hx_unlikely(trace_mask & (1u << TRACE_SYSCALL | 1u << TRACE_CALLS))) {
        call_traced(frame, number);
    } else {
        call(frame, number);
    }
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
