/* SPDX-License-Identifier: MIT */
/* System call dispatch.
 * Owns:      the table made from <abi/syscalls.h>.      Caller: the HAL's entry code.
 * Context:   thread of a process, interrupts enabled, on its kernel stack.
 * Invariant: (1) a call starts only after its flags are within their mask and its buffers lie
 *            below USER_SPACE_END as a whole; numbers beyond the table get HX_ERR_BAD_SYSCALL.
 *            (2) arguments are read from the frame once.
 * The checks of each call are compiled from its line of the table: a call without flags, handles or
 * buffers pays for none.
 */
#include <core/syscall.h>
#include <core/task.h>
#include <core/trace.h>
#include <hal/context.h>
#include <hal/events.h>
#include <hal/layout.h>
#include <helix/bits.h>

/* The lines are read twice: for their words, and for what their arguments are. */
#define N
#define V(arg_name)                 #arg_name "\0"
#define F(arg_name, mask)           #arg_name "\0"
#define I(arg_name, length)         #arg_name "\0"
#define O(arg_name, length)         #arg_name "\0"
#define H(arg_name, object, needed) #arg_name "\0"
#define WORDS(number, call_name, a0, a1, a2, a3, a4, a5)                                           \
    static const char words_of_##call_name[] = #call_name "\0" a0 a1 a2 a3 a4 a5;
HX_SYSCALLS(WORDS)
#undef WORDS
#undef N
#undef V
#undef F
#undef I
#undef O
#undef H

#define N                           (0, 0)
#define V(arg_name)                 (SYSCALL_ARG_VALUE, 0)
#define F(arg_name, mask)           (SYSCALL_ARG_FLAGS, (mask))
#define I(arg_name, length)         (SYSCALL_ARG_IN, LENGTH_##length)
#define O(arg_name, length)         (SYSCALL_ARG_OUT, LENGTH_##length)
#define H(arg_name, object, needed) (SYSCALL_ARG_HANDLE, 0)
/* A length is the next argument, or a number of bytes. */
#define NEXT_ARG           0
#define LENGTH_length      NEXT_ARG
#define LENGTH_name_length NEXT_ARG
#define LENGTH_args_length NEXT_ARG
#define LENGTH_path_length NEXT_ARG
#define LENGTH_to_length   NEXT_ARG
#define LENGTH_8           8
#define LENGTH_24          24
#define LENGTH_32          32
#define LENGTH_40          40
#define LENGTH_64          64
#define LENGTH_80          80
#define LENGTH_304         304

#define KIND(kind, detail)   kind
#define DETAIL(kind, detail) detail

#define KINDS(a0, a1, a2, a3, a4, a5)                                                              \
    (KIND a0 | KIND a1 << 4 | KIND a2 << 8 | KIND a3 << 12 | KIND a4 << 16 | KIND a5 << 20)

static const struct syscall_entry table[] = {
#define ENTRY(number, call_name, a0, a1, a2, a3, a4, a5)                                           \
    [number] = {.words = words_of_##call_name,                                                     \
                .kinds = KINDS(a0, a1, a2, a3, a4, a5),                                            \
                .details = {DETAIL a0, DETAIL a1, DETAIL a2, DETAIL a3, DETAIL a4, DETAIL a5}},
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
        u32 kind = entry->kinds >> 4 * i & 15;
        u64 detail = entry->details[i];
        if (kind == SYSCALL_ARG_FLAGS && (args[i] & ~detail)) {
            return HX_ERR_INVALID;
        }
        if (kind == SYSCALL_ARG_HANDLE && args[i] > UINT32_MAX) {
            return HX_ERR_BAD_HANDLE;
        }
        if (kind == SYSCALL_ARG_IN || kind == SYSCALL_ARG_OUT) {
            if (!hx_range_fits(args[i], detail ? detail : args[i + 1], USER_SPACE_END)) {
                return HX_ERR_FAULT;
            }
        }
    }
    return HX_OK;
}

/* One function a call that has something to check: its checks, then the call. inv 1 */
#define CHECKED(number, call_name, ...)                                                            \
    static s64 checked_##call_name(u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)                 \
    {                                                                                              \
        const u64 args[] = {a0, a1, a2, a3, a4, a5, 0};                                            \
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
#define CALL(number, call_name, ...)                                                               \
    [number] = KINDS(__VA_ARGS__) ? checked_##call_name : sys_##call_name,
    HX_SYSCALLS(CALL)
#undef CALL
};
#pragma GCC diagnostic pop

const struct syscall_entry *syscall_entry(u64 number)
{
    return number < HX_SYSCALL_COUNT && table[number].words ? &table[number] : NULL;
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
