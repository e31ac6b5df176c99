/* SPDX-License-Identifier: MIT */
/* Processes: an address space, a table of handles, and threads; made from a program in the boot
 * archive. When the last thread ends, or the process is killed, everything it owned goes.
 */
#ifndef EXECUTION_PROCESS_H
#define EXECUTION_PROCESS_H

#include <core/handle.h>
#include <core/sync.h>
#include <core/task.h>
#include <helix/status.h>

/* Marking: I immutable; p processes.lock; a atomic; l its own lock. */
struct process {
    struct object object;     /* first: a handle's reference */
    u64 id;                   /* I: never used twice */
    char name[TASK_NAME_MAX]; /* I */
    char *args;               /* I: the argument strings, which its memory maps */
    struct space *space;      /* I until the last thread is gone */
    struct handle_table handles;
    struct list_node threads;  /* p */
    u32 thread_count;          /* p: not ended yet */
    struct process *parent;    /* p: NULL: nobody, or it is gone */
    struct list_node children; /* p */
    struct list_node sibling;  /* p */
    struct list_node all;      /* p */
    bool ending;               /* p: no new threads */
    bool ended;                /* p */
    s64 exit_status;           /* p, then constant once ended */
    struct wait_queue waiters; /* woken when it has ended */
};

/* Starts the program `name` of the boot archive with the argument strings in [args, args_size),
 * NUL-terminated one after the other. The caller gets a reference.
 * Return: HX_OK; HX_ERR_NOT_FOUND; what elf_check() said, with a line in the log; HX_ERR_NO_MEMORY;
 * HX_ERR_LIMIT. Nothing is left behind by a failure. Context: thread. */
enum hx_status process_spawn(const char *name, const char *args, size_t args_size,
                             struct process *parent, struct process **out_process) HX_MUST_CHECK;

/* Waits until it has ended. Return: HX_OK, HX_ERR_TIMED_OUT, HX_ERR_CANCELLED. Thread. */
enum hx_status process_wait(struct process *process, u64 deadline_ns,
                            s64 *out_status) HX_MUST_CHECK;

/* Ends all of its threads; the exit status is `status` unless it has one already. Thread. */
void process_kill(struct process *process, s64 status);

void process_put(struct process *process);

/* The process of the running thread, NULL for a kernel task. */
struct process *process_current(void);

/* Processes that have not ended. */
u32 process_count(void);

#endif
