/* SPDX-License-Identifier: MIT */
/* The trace rings.
 * Owns:      a ring of events for each CPU; the mask of kinds.     Callers: hooks everywhere.
 * Context:   recording: any but NMI, interrupts masked for its length. Starting: thread.
 * Locks:     trace_lock, a mutex, around starting, stopping and reading. Recording takes none: a
 *            ring is written by its own CPU only.
 * Invariant: (1) `next` counts every event recorded since the start; the last TRACE_RING_EVENTS are
 *            kept, the others are lost, and each dump says how many.
 *            (2) a ring, once allocated, is never freed: a hook that was overtaken by the stop may
 *            still write its one event.
 */
#include "trace_priv.h"

#include <core/task.h>

_Static_assert((TRACE_RING_EVENTS & (TRACE_RING_EVENTS - 1)) == 0, "indices are masked");

u32 trace_mask;
struct trace_ring trace_rings[HAL_CPUS_MAX];
struct mutex trace_lock = MUTEX_INIT(trace_lock);

HX_NOINLINE void trace_record(enum trace_kind kind, u32 extra, u64 a, u64 b)
{
    u64 irqs = hal_irq_save();
    struct trace_ring *ring = &trace_rings[hal_cpu_number()];
    if (ring->events) {
        struct task *task = task_current();
        ring->events[ring->next++ % TRACE_RING_EVENTS] = (struct trace_event){
            .counter = hal_counter_read(),
            .a = a,
            .b = b,
            .task = (u32)task->id,
            .kind = (u16)kind,
            .extra = (u16)extra,
        };
    }
    hal_irq_restore(irqs);
}

void trace_irq(const struct hal_trap_frame *frame, u64 begin, u32 line)
{
    trace_span_end(TRACE_IRQ, begin, line, 0);
    struct trace_ring *ring = &trace_rings[hal_cpu_number()];
    if (trace_is_on(TRACE_SAMPLE) && ring->sample_due) {
        ring->sample_due = false;
        trace_record(TRACE_SAMPLE, hal_frame_is_user(frame), hal_frame_pc(frame), 0);
    }
}
