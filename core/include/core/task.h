/* SPDX-License-Identifier: MIT */
/* Tasks: the kernel's threads of control. A task runs on a scheduling context
 * (<core/sched_policy.h>) that it borrows, usually its own. Blocking and waking are here; who runs
 * next is the scheduler's.
 *
 *   Ready -> Running -> Ready         preempted, yields
 *            Running -> Blocked       task_block()       -> Ready  task_wake()
 *            Running -> Sleeping      the same, with a deadline
 *            Running -> Terminated    task_exit(): off its stack next
 *            Terminated -> Zombie     switched away from; its stack may be freed
 */
#ifndef CORE_TASK_H
#define CORE_TASK_H

#include <core/cpu.h>
#include <core/sched_policy.h>
#include <core/time.h>
#include <core/wait.h>
#include <hal/context.h>
#include <helix/compiler.h>
#include <helix/status.h>

#define TASK_NAME_MAX 24

struct object;

enum task_state {
    TASK_READY,
    TASK_RUNNING,
    TASK_BLOCKED, /* the two that have the bit TASK_ASLEEP */
    TASK_SLEEPING,
    TASK_TERMINATED,
    TASK_ZOMBIE,
    TASK_STATE_COUNT
};

#define TASK_ASLEEP 2
#define TASK_ENDED  4 /* the bit of the last two */

const char *task_state_name(enum task_state state);

/* Marking: I immutable after creation; o the task itself; r the run queue lock of own.cpu, or the
 * donation lock: core/sched; a atomic. */
struct task {
    struct hal_context context; /* r: valid while it does not run */
    u32 preempt_off;            /* o: nesting of preempt_disable() */
    union {
        struct {
            u8 state;      /* r: enum task_state, TASK_RUNNING also while ready */
            bool fpu_used; /* o: has FPU state worth keeping */
            bool killed;   /* a: to end before it reaches user mode */
        };
        u32 glance; /* all three: equal to a state, the others are false */
    };
    u32 cpu;                  /* a: where it runs or ran last */
    bool on_cpu;              /* a: a CPU runs it, or is still leaving it */
    struct sched_ctx own;     /* its scheduling context, which others may run on and pay */
    struct dis_runner runner; /* what it runs on, lends and serves; core/sched */
    struct task *lent_to;     /* r: it waits for that one's reply, which runs on its context */
    struct task *caller;      /* r: who is lent_to this one; NULL: nobody */
    vaddr_t stack_bottom, stack_top; /* I */
    struct hal_guard *guard;         /* o: the call into a module it is in; <core/guard.h> */
    u32 guards_counted;              /* o: such calls whose ticks are counted, or soon will be */
    void *fpu;                       /* o: HAL_FPU_STATE_SIZE bytes, or NULL: no user mode */
    u64 user_tls;                    /* o: while it does not run */
    struct space *space;             /* o: user address space, NULL: none */
    void *owner;                     /* I: the thread object above it, or NULL */
    struct handle_table *handles;    /* I: its process's, NULL: a kernel task */
    struct quota *quota;             /* I: its process's, NULL: a kernel task */
    struct ipc_thread *ipc;          /* o: <core/ipc.h>; NULL until it first needs one */
    void (*entry)(void *arg);        /* I */
    void *arg;                       /* I */
    s64 exit_value;                  /* o, then read by who joined */
    u32 references;                  /* a: creator, running task, each joiner */
    struct wait_queue exited;        /* woken when it becomes a zombie */
    struct list_node all;            /* task list lock */
    u64 id;                          /* I: never used twice */
    struct object *output;           /* o: where its commands print, NULL: the console */
    char name[TASK_NAME_MAX];        /* I */
};

/* What it is, for a person: a task that runs is so only while a CPU has it. A moment old. */
static inline enum task_state task_state(const struct task *task)
{
    enum task_state state = (enum task_state)task->state;
    return state == TASK_RUNNING && !task->on_cpu ? TASK_READY : state;
}

/* Where it runs, or ran last. A moment old. */
static inline u32 task_cpu(const struct task *task)
{
    u32 cpu = task->runner.cpu; /* while it has donors */
    return cpu != SCHED_ID_NONE ? cpu : task->own.cpu;
}

/* The running task. Context: any after task_init(). */
static inline struct task *task_current(void)
{
    return hal_current();
}

/* A kernel task that runs entry(arg) once task_start() is called; returning from entry is
 * task_exit(0). The caller holds a reference. Context: thread.
 * Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status task_create(const char *name, void (*entry)(void *arg), void *arg,
                           struct task **out_task) HX_MUST_CHECK;

/* Makes a created task runnable. */
void task_start(struct task *task);

/* Ends the current task. Context: thread, no locks held. */
void task_exit(s64 value) HX_NORETURN;

/* Waits for the end of a task and gives its exit value; the reference stays the caller's.
 * Return: HX_OK, HX_ERR_TIMED_OUT, HX_ERR_DEADLOCK (itself). Context: thread. */
enum hx_status task_join(struct task *task, u64 deadline_ns, s64 *out_value) HX_MUST_CHECK;

void task_get(struct task *task);
void task_put(struct task *task); /* the last one frees it: thread context, may not be itself */

/* Offers the CPU to others that are ready. Context: thread. */
void task_yield(void);

/* Blocks until woken. The caller has made itself findable for the waker (on a wait queue) and
 * checks its condition again afterwards. Context: thread, preemption on but for the caller's own
 * masking of interrupts: entered with them masked, and left the same way. */
void task_block(enum task_state state);
void task_block_cancellable(enum task_state state); /* ended by a kill, or not begun after one */

/* Takes back that the current task is about to block. Under the run queue's lock: a waker that has
 * seen it asleep writes its state, and must not do so after this. Interrupts masked. */
void task_block_cancel(void);

/* Says that the current task is about to block in `state`. False: it has been killed, so that a
 * wait which a kill ends must not begin; it runs on then. Interrupts masked; its waker may find it.
 */
static inline bool task_block_prepare(enum task_state state)
{
    struct task *task = task_current();
    task->state = (u8)state;
    /* Against task_kill(): it sets `killed` and then looks at the state. One of the two sees. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (hx_unlikely(__atomic_load_n(&task->killed, __ATOMIC_RELAXED))) {
        task_block_cancel();
        return false;
    }
    return true;
}

/* Makes a blocked or sleeping task ready. False when it was neither. Context: any but NMI. */
bool task_wake(struct task *task);

/* Marks a task to end before it next reaches user mode, and ends its cancellable waits. A kernel
 * task that never waits cancellably is not ended. Context: any but NMI. */
void task_kill(struct task *task);

/* Frees the tasks that have ended and that nobody refers to, which otherwise wait for company.
 * Context: thread. */
void task_reap(void);

/* Sleeps until the time. Return: HX_OK, HX_ERR_CANCELLED when killed meanwhile. Thread. */
enum hx_status task_sleep_until(u64 deadline_ns) HX_MUST_CHECK;

/* The task with that id, with a reference for the caller, NULL: there is none. Thread. */
struct task *task_find(u64 id);

/* Calls visit for each task, with the task list locked: it neither blocks nor keeps the pointer. */
void task_for_each(void (*visit)(struct task *task, void *ctx), void *ctx);

/* Makes task_current() valid. Context: early, first after cpu_init_boot(). */
void task_init_early(void);

/* Turns the boot path into the first task, and gives the boot CPU an idle task. Context: early,
 * after the heap is up. */
enum hx_status task_init(void) HX_MUST_CHECK;

/* Preemption off and on for the current task; nests. While it is off the task stays on its CPU. */
static inline void preempt_disable(void)
{
    task_current()->preempt_off++;
    hx_compiler_barrier();
}

void preempt_enable_slow(void);

/* The scheduler has switched away from a task that ended. Interrupts masked; not in thread
 * context's sense: no lock held. For sched_finish_switch(). */
void task_finish(struct task *task);

/* Turns the code that runs on a CPU into a task that has no stack of its own to free: the idle
 * task of a CPU. Context: that CPU, interrupts masked. */
void task_adopt_idle(struct task *task);

static inline void preempt_enable(void)
{
    hx_compiler_barrier();
    struct task *task = task_current();
    if (--task->preempt_off == 0 && hx_unlikely(cpu_this()->resched)) {
        preempt_enable_slow();
    }
}

#endif
