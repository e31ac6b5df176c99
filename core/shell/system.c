/* SPDX-License-Identifier: MIT */
/* The kernel's commands, for programs: the system object and its call.
 * Owns:      the system object; the jobs under way.      Callers: system calls; who starts the
 * first process. Context:   thread. A command runs in a task of its own: on a whole kernel stack,
 * without user memory, so that what it measures is the kernel, and so that a process which is ended
 * does not take its command's locks with it. Invariant: (1) a job has two references, its task's
 * and its caller's; who drops the last frees it and its output.
 */
#include <core/console.h>
#include <core/memory.h>
#include <core/shell.h>
#include <core/stream.h>
#include <core/sync.h>
#include <core/syscall.h>
#include <core/task.h>
#include <helix/string.h>

#define ARGS_MAX 64

struct job {
    const struct shell_command *command; /* I */
    struct object *output;               /* I: a reference, NULL: the console */
    struct task *task;                   /* I: the caller's reference */
    int status;                          /* the task, until done */
    u32 references;                      /* a, inv 1 */
    struct event done;
    int argc;
    char *argv[ARGS_MAX + 1];
    char text[];
};

static void never(struct object *object)
{
    (void)object;
}

/* Its own reference is never given up. */
static struct object system_object = {.references = 1, .type = HX_OBJECT_SYSTEM, .destroy = never};

struct object *system_object_get(void)
{
    object_get(&system_object);
    return &system_object;
}

static void job_put(struct job *job)
{
    if (__atomic_sub_fetch(&job->references, 1, __ATOMIC_ACQ_REL) == 0) {
        if (job->output) {
            object_put(job->output);
        }
        kfree(job);
    }
}

static void job_main(void *arg)
{
    struct job *job = arg;
    task_current()->output = job->output;
    job->status = job->command->run(job->argc, job->argv);
    event_set(&job->done);
    job_put(job);
}

/* The caller's strings to a job that is not running yet. */
static enum hx_status job_create(u64 args_at, u64 size, struct job **out_job)
{
    if (size == 0 || size > HX_ARGS_MAX) {
        return HX_ERR_INVALID;
    }
    struct job *job = kzalloc(sizeof(*job) + size);
    if (!job) {
        return HX_ERR_NO_MEMORY;
    }
    job->references = 1;
    event_init(&job->done, false, false);
    enum hx_status status = user_copy_in(job->text, args_at, size);
    if (status == HX_OK && job->text[size - 1] != '\0') {
        status = HX_ERR_INVALID;
    }
    for (char *at = job->text; status == HX_OK && at < job->text + size; at += strlen(at) + 1) {
        if (job->argc == ARGS_MAX) {
            status = HX_ERR_OVERFLOW;
        } else {
            job->argv[job->argc++] = at;
        }
    }
    if (status == HX_OK) {
        job->command = shell_command_find(job->argv[0]);
        status = job->command ? HX_OK : HX_ERR_NOT_FOUND;
    }
    if (status != HX_OK) {
        job_put(job);
        return status;
    }
    *out_job = job;
    return HX_OK;
}

/* Runs it and waits. A caller that is killed leaves, and the command is told to end. */
static s64 job_run(struct job *job)
{
    enum hx_status status = task_create(job->command->name, job_main, job, &job->task);
    if (status != HX_OK) {
        return status;
    }
    __atomic_fetch_add(&job->references, 1, __ATOMIC_RELAXED);
    task_start(job->task);
    status = event_wait(&job->done, WAIT_FOREVER);
    if (status != HX_OK) {
        task_kill(job->task);
    } else {
        /* The task may still be inside event_set(); taking its lock waits until it has left. */
        spin_unlock_irq(&job->done.queue.lock, spin_lock_irq(&job->done.queue.lock));
    }
    task_put(job->task);
    return status == HX_OK ? (s64)(job->status & 0xff) : (s64)status;
}

s64 sys_system_command(u64 handle, u64 args_at, u64 args_size, u64 output, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    struct handle_table *handles = task_current()->handles;
    struct object *object;
    struct job *job;
    enum hx_status status = job_create(args_at, args_size, &job);
    if (status != HX_OK) {
        return status;
    }
    u32 rights = HX_RIGHT_READ | job->command->rights;
    status = handle_get(handles, (hx_handle_t)handle, HX_OBJECT_SYSTEM, rights, &object);
    if (status == HX_OK) {
        object_put(object);
    }
    if (status == HX_OK && output != HX_HANDLE_NONE) {
        status =
            handle_get(handles, (hx_handle_t)output, HX_OBJECT_FILE, HX_RIGHT_WRITE, &job->output);
    }
    s64 result = status == HX_OK ? job_run(job) : (s64)status;
    job_put(job);
    return result;
}
