/* SPDX-License-Identifier: MIT */
/* Trace: what happened when, per CPU, in rings that overwrite their oldest events. While no kind is
 * being recorded a hook is one load and one untaken branch: it belongs into every path, hot ones
 * included. `trace` starts, stops and dumps.
 */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include <hal/port.h>
#include <helix/compiler.h>
#include <helix/types.h>

/* What an event means. Beside each: `extra`, then a and b. A span lasts from a, a value of
 * hal_counter_read(), to the moment it is recorded. */
enum trace_kind {
    TRACE_SWITCH,   /* state of who leaves; its id, the id of who comes */
    TRACE_WAKE,     /* CPU it will run on; id of the task, - */
    TRACE_TASK_END, /* -; the first 16 bytes of the task's name */
    TRACE_IRQ,      /* line; start, - */
    TRACE_SYSCALL,  /* number; start, result */
    TRACE_FAULT,    /* enum hal_trap_kind; start, address */
    TRACE_IPC,      /* enum trace_ipc; id of the object, bytes */
    TRACE_SCHED,    /* enum trace_sched; two numbers of the scheduler's choice */
    TRACE_CAP,      /* enum trace_cap; handle or object, rights */
    TRACE_MODULE,   /* enum trace_module; instance, a number */
    TRACE_KIND_COUNT,
    TRACE_SAMPLE = TRACE_KIND_COUNT, /* for `profile` alone */
    TRACE_CALLS                      /* no events: lines in the log, <core/syscall.h> */
};

/* Names stand in trace.c, in the same order. */
enum trace_ipc {
    TRACE_IPC_CALL,
    TRACE_IPC_RECEIVE,
    TRACE_IPC_REPLY,
    TRACE_IPC_SEND,
    TRACE_IPC_PUBLISH,
    TRACE_IPC_LOST,
    TRACE_IPC_COUNT
};
enum trace_sched {
    TRACE_SCHED_ADMIT,
    TRACE_SCHED_REFUSE,
    TRACE_SCHED_MISS,
    TRACE_SCHED_THROTTLE,
    TRACE_SCHED_DONATE,
    TRACE_SCHED_EJECT,
    TRACE_SCHED_COUNT
};
enum trace_cap { TRACE_CAP_DERIVE, TRACE_CAP_TRANSFER, TRACE_CAP_REVOKE, TRACE_CAP_COUNT };
enum trace_module { TRACE_MODULE_LOAD, TRACE_MODULE_SWAP, TRACE_MODULE_FAULT, TRACE_MODULE_COUNT };

/* Kinds being recorded, a bit each. Written by trace_kinds_set(); a hook that reads it a moment
 * late loses or adds an event, no more. */
extern u32 trace_mask;

static HX_ALWAYS_INLINE bool trace_is_on(enum trace_kind kind)
{
    return hx_unlikely(trace_mask & 1u << kind);
}

/* Puts an event into this CPU's ring. Context: any but NMI; takes no lock. */
void trace_record(enum trace_kind kind, u32 extra, u64 a, u64 b);

/* The hook. Context: any but NMI. */
static HX_ALWAYS_INLINE void trace(enum trace_kind kind, u32 extra, u64 a, u64 b)
{
    if (trace_is_on(kind)) {
        trace_record(kind, extra, a, b);
    }
}

/* The hook at the beginning of a span; what it gives goes to trace_span_end(). */
static HX_ALWAYS_INLINE u64 trace_span_begin(enum trace_kind kind)
{
    return trace_is_on(kind) ? hal_counter_read() : 0;
}

static HX_ALWAYS_INLINE void trace_span_end(enum trace_kind kind, u64 begin, u32 extra, u64 b)
{
    if (hx_unlikely(begin)) {
        trace_record(kind, extra, begin, b);
    }
}

/* The hook at the end of an interrupt: its span, and the sample that `prof` takes of what it
 * interrupted. Context: IRQ. */
void trace_irq(const struct hal_trap_frame *frame, u64 begin, u32 line);

static HX_ALWAYS_INLINE void trace_irq_end(const struct hal_trap_frame *frame, u64 begin, u32 line)
{
    if (hx_unlikely(trace_mask & (1u << TRACE_IRQ | 1u << TRACE_SAMPLE))) {
        trace_irq(frame, begin, line);
    }
}

/* Takes kinds away from what is recorded, then adds others. When it returns, no CPU is recording
 * what was taken away. Context: thread. */
void trace_kinds_set(u32 add, u32 remove);

#endif
