/* SPDX-License-Identifier: MIT */
/* The rings, for those that read them: the dump and the profile.
 */
#ifndef CORE_TRACE_PRIV_H
#define CORE_TRACE_PRIV_H

#include <core/sync.h>
#include <core/task.h>
#include <core/trace.h>

#define TRACE_RING_EVENTS 8192 /* 256 KiB a CPU */
#define TRACE_NAMES_MAX   512  /* tasks that can be named */

/* TRACE_SAMPLE: extra: user mode; a: where. */
struct trace_event {
    u64 counter;
    u64 a, b;
    u32 task; /* low half of the running task's id */
    u16 kind, extra;
};

/* Marking: c its own CPU; a atomic. */
struct trace_ring {
    struct trace_event *events; /* a */
    u64 next;                   /* c */
    bool sample_due;            /* c: the next interrupt to end is one of the profile's */
} HX_ALIGNED(64);

extern struct trace_ring trace_rings[HAL_CPUS_MAX];
extern struct mutex trace_lock;

/* Empties the rings, allocating those that are missing, and records the kinds of `mask`.
 * Return: HX_OK, HX_ERR_NO_MEMORY. Context: thread, trace_lock held. */
enum hx_status trace_start(u32 mask) HX_MUST_CHECK;

struct trace_names {
    u32 count;
    struct trace_name {
        u32 id;
        char name[TASK_NAME_MAX];
    } entries[TRACE_NAMES_MAX];
};

/* Of the tasks that live, and of those whose end was recorded. */
void trace_names_collect(struct trace_names *names);

/* "idle" for 0, "?" for one that nobody knows. */
const char *trace_name_of(const struct trace_names *names, u32 id);

#endif
