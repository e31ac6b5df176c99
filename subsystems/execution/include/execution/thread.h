/* SPDX-License-Identifier: MIT */
/* Threads of processes: a task that goes to user mode and belongs to a process.
 */
#ifndef EXECUTION_THREAD_H
#define EXECUTION_THREAD_H

#include <execution/process.h>

#define PROCESS_THREADS_MAX 1024

struct thread {
    struct object object;    /* first */
    struct process *process; /* I; a reference */
    struct task *task;       /* I; a reference */
    struct list_node node;   /* processes.lock */
    vaddr_t entry, stack;    /* I: how it starts */
    u64 arg0, arg1, tls;
    struct realtime_right *right; /* intent.c: what its reservation counts against, or NULL */
    u32 right_permille;           /* intent.c */
};

struct thread_start {
    vaddr_t entry, stack;
    u64 arg0, arg1, tls;
};

/* A new thread of the process, running. The caller gets a reference.
 * Return: HX_OK; HX_ERR_NO_MEMORY; HX_ERR_LIMIT, too many; HX_ERR_CANCELLED, the process ends.
 * Context: thread. */
enum hx_status thread_spawn(struct process *process, const struct thread_start *start,
                            struct thread **out_thread) HX_MUST_CHECK;

/* A right to reserve up to so much of a CPU. The caller has the reference. Thread.
 * Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status realtime_right_create(u32 permille, struct object **out_object) HX_MUST_CHECK;

/* Its reservation no longer counts against the right that it was made by. Thread. */
void thread_right_release(struct thread *thread);

/* Ends the current thread, and with the last one the process. Context: its own, no locks held. */
void thread_end(s64 value) HX_NORETURN;

#endif
