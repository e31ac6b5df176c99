/* SPDX-License-Identifier: MIT */
/* Processes and their threads.
 * Owns:      struct process, struct thread; the tree of processes.     Callers: system calls,
 * shell. Locks:     processes.lock (a mutex) around the tree, the lists of threads and how a
 * process ends. Invariant: (1) a process holds a reference to itself while it has threads; so do
 * its threads. (2) ending: `ending` is set once, with the exit status; from then on no thread is
 *            added, and every thread that is there has been killed. The thread that takes
 *            thread_count to 0 takes the process apart, on its own kernel stack, after it has left
 *            the address space for good.
 *            (3) after that, nothing remembers the process but those who hold references: handles
 *            closed, frames of its number counted as 0 (checked), children without a parent.
 */
#include <core/console.h>
#include <core/execution.h>
#include <core/ipc.h>
#include <core/log.h>
#include <core/memory.h>
#include <core/random.h>
#include <core/sched.h>
#include <core/shell.h>
#include <core/syscall.h>
#include <core/token.h>
#include <execution/process.h>
#include <execution/thread.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/layout.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/frame.h>
#include <memory/space.h>
#include <userspace/program.h>
#include "load.h"

/* What a thread takes of the kernel's memory, near enough. */
#define THREAD_COST (KERNEL_STACK_SIZE + sizeof(struct task) + HAL_FPU_STATE_SIZE)

#define PROCESS_PAGES_MAX (HX_GIB(1) / HX_PAGE_SIZE)

static struct {
    struct mutex lock;
    struct list_node all; /* l */
    u64 next_id;          /* l */
    u32 count;            /* l */
} processes = {.lock = MUTEX_INIT(processes.lock), .all = LIST_INIT(processes.all)};

static struct thread *thread_current(void)
{
    return task_current()->owner;
}

struct process *process_current(void)
{
    struct thread *thread = thread_current();
    return thread ? thread->process : NULL;
}

bool process_next(u64 id, struct process **out_process)
{
    struct process *process;
    bool found = false;
    mutex_acquire(&processes.lock);
    LIST_FOREACH (&processes.all, process, all) { /* in the order of their ids */
        if (process->id > id) {
            object_get(&process->object);
            *out_process = process;
            found = true;
            break;
        }
    }
    mutex_release(&processes.lock);
    return found;
}

u32 process_count(void)
{
    return HX_READ_ONCE(processes.count);
}

/* life of the objects */

static void process_destroy(struct object *object)
{
    struct process *process = HX_CONTAINER_OF(object, struct process, object);
    kfree(process->args);
    quota_uncharge(process->quota, HX_QUOTA_PROCESSES, 1);
    quota_put(process->quota);
    object_free(object);
}

void process_put(struct process *process)
{
    object_put(&process->object);
}

static void thread_destroy(struct object *object)
{
    struct thread *thread = HX_CONTAINER_OF(object, struct thread, object);
    thread_right_release(thread);
    if (thread->task) {
        task_put(thread->task);
    }
    quota_uncharge(thread->process->quota, HX_QUOTA_THREADS, 1);
    quota_uncharge(thread->process->quota, HX_QUOTA_MEMORY, THREAD_COST);
    object_put(&thread->process->object);
    object_free(object);
}

/* threads */

/* Never returns to C: from here the thread lives in user mode, and ends in thread_end(). */
static void thread_main(void *arg)
{
    struct thread *thread = arg;
    struct task *task = task_current();
    hal_irq_disable();
    task->space = thread->process->space;
    space_activate(task->space);
    hal_kernel_stack_set(task->stack_top);
    hal_user_tls_set(thread->tls);
    hal_fpu_disable();
    if (HX_READ_ONCE(task->killed)) {
        hal_irq_enable();
        thread_end(0);
    }
    hal_user_enter(thread->entry, thread->stack, thread->arg0, thread->arg1);
}

enum hx_status thread_spawn(struct process *process, const struct thread_start *start,
                            struct thread **out_thread)
{
    enum hx_status status = quota_charge(process->quota, HX_QUOTA_THREADS, 1);
    if (status != HX_OK) {
        return status;
    }
    status = quota_charge(process->quota, HX_QUOTA_MEMORY, THREAD_COST);
    struct thread *thread = status == HX_OK ? kzalloc(sizeof(*thread)) : NULL;
    if (!thread) {
        quota_uncharge(process->quota, HX_QUOTA_THREADS, 1);
        if (status == HX_OK) {
            quota_uncharge(process->quota, HX_QUOTA_MEMORY, THREAD_COST);
            status = HX_ERR_NO_MEMORY;
        }
        return status;
    }
    object_init(&thread->object, HX_OBJECT_THREAD, thread_destroy);
    object_get(&process->object);
    thread->process = process;
    thread->entry = start->entry;
    thread->stack = start->stack;
    thread->arg0 = start->arg0;
    thread->arg1 = start->arg1;
    thread->tls = start->tls;
    status = task_create(process->name, thread_main, thread, &thread->task);
    if (status != HX_OK) {
        goto out_put_thread;
    }
    thread->task->owner = thread;
    thread->task->handles = &process->handles;
    thread->task->quota = process->quota;
    thread->task->user_tls = start->tls;
    thread->task->fpu = kmalloc(HAL_FPU_STATE_SIZE);
    if (!thread->task->fpu) {
        status = HX_ERR_NO_MEMORY;
        goto out_put_thread;
    }
    mutex_acquire(&processes.lock);
    if (process->ending) {
        status = HX_ERR_CANCELLED;
    } else if (process->thread_count == PROCESS_THREADS_MAX) {
        status = HX_ERR_LIMIT;
    } else {
        process->thread_count++;
        list_add_tail(&process->threads, &thread->node);
        object_get(&thread->object); /* the running thread's own */
    }
    mutex_release(&processes.lock);
    if (status == HX_OK) {
        task_start(thread->task);
        *out_thread = thread;
        return HX_OK;
    }

out_put_thread:
    object_put(&thread->object);
    return status;
}

static void fault_handler_set(struct process *process, struct object *handler);

/* What a process that never ran, or runs no more, holds of the outside. */
static void process_let_go(struct process *process)
{
    handle_table_fini(&process->handles);
    if (process->ns) {
        namespace_put(process->ns);
        process->ns = NULL;
    }
}

/* The last thread takes the process apart; inv 2, 3. */
static void process_finish(struct process *process)
{
    space_destroy(process->space);
    process->space = NULL;
    fault_handler_set(process, NULL);
    process_let_go(process);
    token_sweep();
    mutex_acquire(&processes.lock);
    struct process *child, *next;
    LIST_FOREACH_SAFE (&process->children, child, next, sibling) {
        child->parent = NULL;
        list_remove(&child->sibling);
    }
    if (process->parent) {
        process->parent = NULL;
        list_remove(&process->sibling);
    }
    list_remove(&process->all);
    processes.count--;
    u64 irqs = spin_lock_irq(&process->waiters.lock);
    process->ended = true;
    wait_wake_all_locked(&process->waiters);
    spin_unlock_irq(&process->waiters.lock, irqs);
    mutex_release(&processes.lock);
    object_put(&process->object); /* its own reference, inv 1 */
}

void thread_end(s64 value)
{
    struct thread *thread = thread_current();
    struct process *process = thread->process;
    struct task *task = task_current();

    ipc_thread_end();
    hal_irq_disable();
    space_activate(NULL);
    task->space = NULL;
    if (task->fpu_used) {
        hal_fpu_disable();
        task->fpu_used = false;
    }
    hal_irq_enable();

    mutex_acquire(&processes.lock);
    list_remove(&thread->node);
    bool last = --process->thread_count == 0;
    if (last && !process->ending) {
        process->ending = true;
        process->exit_status = value;
    }
    mutex_release(&processes.lock);
    if (last) {
        process_finish(process);
    }
    task->owner = NULL;
    object_put(&thread->object);
    task_exit(value);
}

/* Sets the exit status, kills every thread. processes.lock is held. */
static void process_end_locked(struct process *process, s64 status)
{
    struct thread *thread;
    if (process->ending) {
        return;
    }
    process->ending = true;
    process->exit_status = status;
    LIST_FOREACH (&process->threads, thread, node) {
        task_kill(thread->task);
    }
}

void process_kill(struct process *process, s64 status)
{
    mutex_acquire(&processes.lock);
    process_end_locked(process, status);
    mutex_release(&processes.lock);
}

enum hx_status process_wait(struct process *process, u64 deadline_ns, s64 *out_status)
{
    enum hx_status status = HX_OK;
    u64 irqs = spin_lock_irq(&process->waiters.lock);
    while (!process->ended) {
        status = wait_locked(&process->waiters, deadline_ns);
        if (status != HX_OK) {
            hal_irq_restore(irqs);
            return status;
        }
        spin_lock(&process->waiters.lock);
    }
    *out_status = process->exit_status;
    spin_unlock_irq(&process->waiters.lock, irqs);
    return HX_OK;
}

/* starting */

static const char *last_component(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* The quota of a new process, which it is charged to: one of its own within its parent's, so that
 * whoever starts a process can limit it, and what it starts in turn, and nothing else. */
static enum hx_status quota_join(struct process *parent, struct quota **out_quota)
{
    struct quota *around = parent ? parent->quota : &quota_root, *quota = NULL;
    enum hx_status status = HX_OK;
    if (around->depth == QUOTA_DEPTH_MAX) {
        quota = quota_get(around); /* so deep that they share */
    } else {
        status = quota_create(around, &quota);
    }
    if (status == HX_OK) {
        status = quota_charge(quota, HX_QUOTA_PROCESSES, 1);
        if (status == HX_OK) {
            *out_quota = quota;
        } else {
            quota_put(quota);
        }
    }
    return status;
}

/* The handles that it starts with. */
static enum hx_status hand_over(struct process *process, const struct process_request *request,
                                struct hx_startup *startup)
{
    for (u32 i = 0; i < request->handle_count; i++) {
        struct hx_handle_info info;
        if (request->handles[i] == HX_HANDLE_NONE) {
            continue;
        }
        enum hx_status status = handle_info(request->from, request->handles[i], &info);
        if (status == HX_OK) {
            status = handle_copy(request->from, request->handles[i], info.rights, &process->handles,
                                 &startup->handles[i]);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    startup->handle_count = request->handle_count;
    return HX_OK;
}

static enum hx_status process_make(const struct process_request *request,
                                   const struct program *program, struct process **out_process)
{
    struct process *parent = request->parent;
    struct process *process = kzalloc(sizeof(*process));
    if (!process) {
        return HX_ERR_NO_MEMORY;
    }
    object_init(&process->object, HX_OBJECT_PROCESS, process_destroy);
    enum hx_status status = quota_join(parent, &process->quota);
    if (status != HX_OK) {
        kfree(process);
        return status;
    }
    handle_table_init(&process->handles, process->quota);
    wait_queue_init(&process->waiters);
    list_init(&process->threads);
    list_init(&process->children);
    list_init(&process->sibling);
    HX_IGNORE(str_copy(process->name, last_component(request->name), sizeof(process->name)),
              "a cut name is a name");
    process->ns = request->ns;
    namespace_get(process->ns);
    struct hx_startup startup = {.size = sizeof(startup),
                                 .args_length = (u32)request->args_size,
                                 .environment_length = (u32)request->environment_size};
    struct thread_start start = {0};
    status = hand_over(process, request, &startup);
    if (status == HX_OK) {
        status = space_create(PROCESS_PAGES_MAX, &process->space);
    }
    if (status != HX_OK) {
        goto out_put;
    }
    status = process_load(process, program, request, &startup, &start);
    if (status != HX_OK) {
        goto out_destroy_space;
    }

    mutex_acquire(&processes.lock);
    process->id = ++processes.next_id;
    processes.count++;
    list_add_tail(&processes.all, &process->all);
    if (parent) {
        process->parent = parent;
        list_add_tail(&parent->children, &process->sibling);
    }
    mutex_release(&processes.lock);

    struct thread *thread;
    object_get(&process->object); /* its own, inv 1 */
    status = thread_spawn(process, &start, &thread);
    if (status != HX_OK) {
        process->ending = true;
        process_finish(process);
        object_put(&process->object);
        return status;
    }
    object_put(&thread->object);
    *out_process = process;
    return HX_OK;

out_destroy_space:
    space_destroy(process->space);
out_put:
    process_let_go(process);
    object_put(&process->object);
    return status;
}

enum hx_status process_start(const struct process_request *request, struct process **out_process)
{
    struct process_request r = *request;
    struct program program;
    r.ns = r.ns ? r.ns : r.parent ? r.parent->ns : namespace_boot();
    enum hx_status status = r.file ? program_of_file(r.file, &program)
                                   : program_open(r.ns, r.name, strlen(r.name), &program);
    if (status == HX_OK) {
        status = process_make(&r, &program, out_process);
        program_close(&program);
    }
    return status;
}

enum hx_status process_spawn(const char *name, const char *args, size_t args_size,
                             struct process *parent, struct process **out_process)
{
    struct process_request request = {
        .name = name, .args = args, .args_size = args_size, .parent = parent};
    return process_start(&request, out_process);
}

void process_for_each(void (*visit)(struct process *process, void *ctx), void *ctx)
{
    struct process *process;
    mutex_acquire(&processes.lock);
    LIST_FOREACH (&processes.all, process, all) {
        visit(process, ctx);
    }
    mutex_release(&processes.lock);
}

/* faults */

static struct {
    struct spinlock lock;
    char line[160]; /* l: what ended a process last */
} faults = {.lock = SPINLOCK_INIT("faults", LOCK_RANK_PROCESS)};

const char *execution_last_fault(void)
{
    return faults.line;
}

u64 execution_process_id(void)
{
    return thread_current()->process->id;
}

/* The handler that the process has, with a reference; NULL: none. */
static struct object *fault_handler_get(struct process *process)
{
    u64 irqs = spin_lock_irq(&faults.lock);
    struct object *handler = process->fault_handler;
    if (handler) {
        object_get(handler);
    }
    spin_unlock_irq(&faults.lock, irqs);
    return handler;
}

static void fault_handler_set(struct process *process, struct object *handler)
{
    u64 irqs = spin_lock_irq(&faults.lock);
    struct object *before = process->fault_handler;
    process->fault_handler = handler;
    spin_unlock_irq(&faults.lock, irqs);
    if (before) {
        object_put(before);
    }
}

s64 sys_fault_handler_set(u64 process_handle, u64 channel, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct handle_table *table = task_current()->handles;
    struct object *object = &process_current()->object, *handler = NULL;
    enum hx_status status = HX_OK;
    if (process_handle != HX_HANDLE_NONE) {
        status = handle_get(table, (hx_handle_t)process_handle, HX_OBJECT_PROCESS, HX_RIGHT_ADMIN,
                            &object);
    } else {
        object_get(object);
    }
    if (status != HX_OK) {
        return status;
    }
    if (channel != HX_HANDLE_NONE) {
        status =
            handle_get(table, (hx_handle_t)channel, HX_OBJECT_CHANNEL, HX_RIGHT_WRITE, &handler);
    }
    if (status == HX_OK) {
        fault_handler_set(HX_CONTAINER_OF(object, struct process, object), handler);
    }
    object_put(object);
    return status;
}

/* Whether the handler of the process, if it has one, has mended the fault. */
static bool fault_is_mended(struct process *process, struct hal_trap_frame *frame,
                            const struct hal_trap *trap)
{
    struct object *handler =
        hx_unlikely(process->fault_handler) ? fault_handler_get(process) : NULL;
    if (!handler) {
        return false;
    }
    bool mended = ipc_fault(ipc_channel_of(handler), frame, trap);
    object_put(handler);
    return mended;
}

void execution_user_fault(struct hal_trap_frame *frame, const struct hal_trap *trap,
                          const char *reason)
{
    struct process *process = process_current();
    static const char *const accesses[] = {
        [ACCESS_READ] = "read", [ACCESS_WRITE] = "write", [ACCESS_EXECUTE] = "execution"};
    char line[sizeof(faults.line)];
    if (fault_is_mended(process, frame, trap)) {
        return;
    }
    if (trap->kind == TRAP_PAGE_FAULT) {
        format_buffer(line, sizeof(line), "%s of 0x%lx at 0x%lx: %s", accesses[trap->access],
                      trap->address, hal_frame_pc(frame), reason);
    } else {
        format_buffer(line, sizeof(line), "%s at 0x%lx", trap->name, hal_frame_pc(frame));
    }
    log_warn("process", "%s (%lu) ended: %s", process->name, process->id, line);
    u64 irqs = spin_lock_irq(&faults.lock);
    HX_IGNORE(str_copy(faults.line, line, sizeof(faults.line)), "the same size");
    spin_unlock_irq(&faults.lock, irqs);
    process_kill(process, HX_EXIT_FAULT);
}

void execution_killed(void)
{
    thread_end(HX_EXIT_KILLED);
}

/* system calls */

s64 sys_process_exit(u64 status, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    process_kill(process_current(), (s64)(status & 0xff));
    thread_end((s64)(status & 0xff));
}

s64 sys_thread_exit(u64 value, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    thread_end((s64)value);
}

/* Gives the caller a handle to the object, whose reference is used up either way. */
static s64 answer_with_handle(struct object *object, u32 rights)
{
    hx_handle_t handle;
    enum hx_status status = handle_add(&process_current()->handles, object, rights, &handle);
    if (status != HX_OK) {
        object_put(object);
        return status;
    }
    return handle;
}

s64 sys_thread_create(u64 entry, u64 stack, u64 arg, u64 tls, u64 a4, u64 a5)
{
    (void)a4, (void)a5;
    if (entry >= USER_SPACE_END || stack > USER_SPACE_END || tls >= USER_SPACE_END ||
        (stack & 15)) {
        return HX_ERR_INVALID;
    }
    struct thread_start start = {.entry = entry, .stack = stack, .arg0 = arg, .tls = tls};
    struct thread *thread;
    enum hx_status status = thread_spawn(process_current(), &start, &thread);
    return status == HX_OK ? answer_with_handle(&thread->object, HX_RIGHT_WAIT | HX_RIGHT_DELEGATE |
                                                                     HX_RIGHT_TRANSFER)
                           : status;
}

s64 sys_thread_join(u64 handle, u64 deadline_ns, u64 value_at, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct object *object;
    enum hx_status status = handle_get(&process_current()->handles, (hx_handle_t)handle,
                                       HX_OBJECT_THREAD, HX_RIGHT_WAIT, &object);
    if (status != HX_OK) {
        return status;
    }
    s64 value;
    status = task_join(HX_CONTAINER_OF(object, struct thread, object)->task, deadline_ns, &value);
    object_put(object);
    return status == HX_OK ? (s64)user_copy_out(value_at, &value, sizeof(value)) : (s64)status;
}

s64 sys_thread_tls_set(u64 tls, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    if (tls >= USER_SPACE_END) {
        return HX_ERR_INVALID;
    }
    u64 irqs = hal_irq_save();
    task_current()->user_tls = tls;
    hal_user_tls_set(tls);
    hal_irq_restore(irqs);
    return HX_OK;
}

/* Copies a string of `size` bytes in and ends it. */
static enum hx_status string_in(char *dst, size_t room, u64 user, u64 size)
{
    if (size == 0 || size >= room) {
        return HX_ERR_INVALID;
    }
    dst[size] = '\0';
    return user_copy_in(dst, user, size);
}

s64 sys_process_spawn(u64 name_at, u64 name_size, u64 args_at, u64 args_size, u64 flags, u64 a5)
{
    (void)flags, (void)a5;
    char name[HX_NAME_MAX + 1];
    if (args_size > HX_ARGS_MAX) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = string_in(name, sizeof(name), name_at, name_size);
    if (status != HX_OK) {
        return status;
    }
    char *args = kmalloc(args_size + 1);
    if (!args) {
        return HX_ERR_NO_MEMORY;
    }
    struct process *process = NULL;
    status = args_size ? user_copy_in(args, args_at, args_size) : HX_OK;
    if (status == HX_OK && args_size && args[args_size - 1] != '\0') {
        status = HX_ERR_INVALID;
    }
    if (status == HX_OK) {
        status = process_spawn(name, args, args_size, process_current(), &process);
    }
    kfree(args);
    return status == HX_OK ? answer_with_handle(&process->object, HX_RIGHTS_ALL) : status;
}

s64 sys_process_wait(u64 handle, u64 deadline_ns, u64 status_at, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    struct object *object;
    enum hx_status status = handle_get(&process_current()->handles, (hx_handle_t)handle,
                                       HX_OBJECT_PROCESS, HX_RIGHT_WAIT, &object);
    if (status != HX_OK) {
        return status;
    }
    s64 value;
    status = process_wait(HX_CONTAINER_OF(object, struct process, object), deadline_ns, &value);
    object_put(object);
    return status == HX_OK ? (s64)user_copy_out(status_at, &value, sizeof(value)) : (s64)status;
}

s64 sys_process_kill(u64 handle, u64 exit_status, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    struct object *object;
    enum hx_status status = handle_get(&process_current()->handles, (hx_handle_t)handle,
                                       HX_OBJECT_PROCESS, HX_RIGHT_DELETE, &object);
    if (status == HX_OK) {
        process_kill(HX_CONTAINER_OF(object, struct process, object), (s64)exit_status);
        object_put(object);
    }
    return status;
}

#define WRITE_MAX 1024 /* bytes a call; the caller goes on from there */

s64 sys_log_write(u64 text_at, u64 size, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    char text[WRITE_MAX];
    size = hx_min_u64(size, WRITE_MAX);
    enum hx_status status = user_copy_in(text, text_at, size);
    if (status != HX_OK) {
        return status;
    }
    console_write(text, size);
    return (s64)size;
}

s64 sys_clock_read(u64 clock, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    switch (clock) {
    case HX_CLOCK_MONOTONIC:
        return (s64)time_now_ns();
    case HX_CLOCK_WALL: {
        u64 ns;
        enum hx_status status = time_wall_ns(&ns);
        return status == HX_OK ? (s64)ns : (s64)status;
    }
    case HX_CLOCK_THREAD:
        return (s64)sched_cpu_time_ns(task_current());
    default:
        return HX_ERR_INVALID;
    }
}

s64 sys_random_read(u64 buffer_at, u64 size, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    u8 bytes[256];
    size = hx_min_u64(size, sizeof(bytes));
    random_fill(bytes, size);
    enum hx_status status = user_copy_out(buffer_at, bytes, size);
    return status == HX_OK ? (s64)size : (s64)status;
}

static enum hx_status map_guard(struct space *space, vaddr_t address, u64 size, u32 flags,
                                vaddr_t *out_at)
{
    const struct space_request request = {
        .address = address, .size = size, .flags = flags, .backing = SPACE_GUARD};
    return space_map(space, &request, out_at);
}

s64 sys_memory_map(u64 address, u64 size, u64 flags, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    u32 allowed = flags & (SPACE_WRITE | SPACE_EXEC);
    bool fixed = flags & HX_MAP_FIXED, guard = flags & HX_MAP_GUARD;
    if (size > USER_SPACE_END || (size & HX_PAGE_MASK) || (fixed && address == 0)) {
        return HX_ERR_INVALID;
    }
    struct space *space = process_current()->space;
    u64 pages = guard ? 0 : size >> HX_PAGE_SHIFT;
    if (pages + space_committed_pages(space) > PROCESS_PAGES_MAX) {
        return HX_ERR_LIMIT; /* threads that map at once may pass; the touch then says it */
    }
    for (;;) {
        vaddr_t at;
        enum hx_status status =
            hx_unlikely(guard)
                ? map_guard(space, address, size, allowed, &at)
                : space_map_anonymous(space, address, size,
                                      allowed | (flags & HX_MAP_LARGE ? SPACE_LARGE : 0), &at);
        if (hx_likely(status == HX_OK)) {
            return (s64)at;
        }
        if (fixed || address == 0 || (status != HX_ERR_EXISTS && status != HX_ERR_INVALID)) {
            return status;
        }
        address = 0; /* the wish cannot be granted */
    }
}

s64 sys_memory_unmap(u64 address, u64 size, u64 a2, u64 a3, u64 a4, u64 a5)
{
    (void)a2, (void)a3, (void)a4, (void)a5;
    return size & HX_PAGE_MASK ? HX_ERR_INVALID
                               : space_unmap(process_current()->space, address, size);
}

s64 sys_memory_protect(u64 address, u64 size, u64 flags, u64 a3, u64 a4, u64 a5)
{
    (void)a3, (void)a4, (void)a5;
    if (size & HX_PAGE_MASK) {
        return HX_ERR_INVALID;
    }
    return space_protect(process_current()->space, address, size,
                         (flags & HX_MAP_WRITE ? SPACE_WRITE : 0) |
                             (flags & HX_MAP_EXECUTE ? SPACE_EXEC : 0));
}
