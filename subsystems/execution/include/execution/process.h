/* SPDX-License-Identifier: MIT */
/* Processes: an address space, a table of handles, a namespace, and threads; made from a program
 * file. When the last thread ends, or the process is killed, everything it owned goes.
 */
#ifndef EXECUTION_PROCESS_H
#define EXECUTION_PROCESS_H

#include <abi/file.h>
#include <core/handle.h>
#include <core/sync.h>
#include <core/task.h>
#include <helix/status.h>
#include <userspace/program.h>

/* Marking: I immutable; p processes.lock; a atomic; l its own lock. */
struct process {
    struct object object;     /* first: a handle's reference */
    u64 id;                   /* I: never used twice */
    char name[TASK_NAME_MAX]; /* I */
    char *args;               /* I: the argument strings, which its memory maps */
    struct space *space;      /* I until the last thread is gone */
    struct handle_table handles;
    struct namespace *ns; /* I until the last thread is gone: a reference */
    struct quota *quota;  /* I: with a reference */
    struct object
        *fault_handler;        /* the lock of faults: the channel it hands its faults to, or NULL */
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

/* How a process is to be started. */
struct process_request {
    const char *name;    /* of the file; its last part becomes the process's name */
    struct object *file; /* the program, opened; NULL: `name` is a path in ns */
    const char *args;    /* NUL-terminated strings in a row */
    size_t args_size;
    const char *environment; /* the same */
    size_t environment_size;
    struct process *parent;     /* or NULL */
    struct namespace *ns;       /* NULL: the parent's, or the one that the kernel boots with */
    struct handle_table *from;  /* whose handles the child gets, as <abi/file.h> says */
    const hx_handle_t *handles; /* HX_HANDLE_NONE: a gap */
    u32 handle_count;           /* at most HX_SPAWN_HANDLES */
};

/* The caller gets a reference. Return: HX_OK; what opening and reading the file says; what
 * elf_check() said, with a line in the log; what handle_copy() says; HX_ERR_NO_MEMORY;
 * HX_ERR_LIMIT. Nothing is left behind by a failure. Context: thread. */
enum hx_status process_start(const struct process_request *request,
                             struct process **out_process) HX_MUST_CHECK;

/* Starts the program `name` with the argument strings in [args, args_size),
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

/* The process with the smallest id above `id` that has not ended, with a reference. False: none.
 * Context: thread. */
bool process_next(u64 id, struct process **out_process) HX_MUST_CHECK;

/* The process of the running thread, NULL for a kernel task. */
struct process *process_current(void);

/* Processes that have not ended. */
u32 process_count(void);

/* Calls visit for each, with the tree locked: it neither blocks nor keeps the pointer. Thread. */
void process_for_each(void (*visit)(struct process *process, void *ctx), void *ctx);

#endif
