/* SPDX-License-Identifier: MIT */
/* Tasks: birth, death, and the way to sleep.
 * Owns:      struct task and its stack; the list of all tasks.     Callers: everyone above.
 * Locks:     tasks.lock for the list.  References are atomic.
 * Invariant: (1) a task's memory lives while references > 0: one is the creator's, one its own from
 *            start to the moment after its last switch, one each joiner's.
 *            (2) its stack is not freed before the switch away from it is over: task_finish() runs
 *            on the next task's stack.
 * Freeing:   task_finish() runs with interrupts masked, where memory cannot be freed; what it drops
 *            last goes through a list that the next creator or the reaper empties.
 */
#include <core/grace.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/sync.h>
#include <core/task.h>
#include <core/trace.h>
#include <hal/layout.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>

static struct {
    struct spinlock lock;
    struct list_node all; /* l */
    u64 next_id;          /* l */
    u32 count;            /* l */
    struct kmem_cache *cache;
} tasks = {.lock = SPINLOCK_INIT("tasks", LOCK_RANK_TASKS), .all = LIST_INIT(tasks.all)};

static struct task boot_task;

static struct {
    struct spinlock lock;
    struct list_node dead; /* l: through task.all */
    struct event wanted;
    u32 count; /* l */
} reaper = {.lock = SPINLOCK_INIT("dead tasks", LOCK_RANK_TASKS), .dead = LIST_INIT(reaper.dead)};

/* Dead tasks that wait at most for the reaper, unless a creator comes first. */
#define REAP_BATCH 8

const char *task_state_name(enum task_state state)
{
    static const char *const names[] = {
        [TASK_READY] = "ready",       [TASK_RUNNING] = "running",       [TASK_BLOCKED] = "blocked",
        [TASK_SLEEPING] = "sleeping", [TASK_TERMINATED] = "terminated", [TASK_ZOMBIE] = "zombie",
    };
    _Static_assert(HX_ARRAY_SIZE(names) == TASK_STATE_COUNT, "a state without a name");
    return state < TASK_STATE_COUNT ? names[state] : "?";
}

static HX_COLD void list_task(struct task *task)
{
    u64 state = spin_lock_irq(&tasks.lock);
    task->id = ++tasks.next_id;
    list_add_tail(&tasks.all, &task->all);
    tasks.count++;
    spin_unlock_irq(&tasks.lock, state);
}

static void unlist_task(struct task *task)
{
    u64 state = spin_lock_irq(&tasks.lock);
    list_remove(&task->all);
    tasks.count--;
    spin_unlock_irq(&tasks.lock, state);
}

static void task_free(struct task *task)
{
    unlist_task(task);
    dis_ctx_destroy(&task->own);
    kernel_stack_free(task->stack_bottom);
    kfree(task->fpu);
    kmem_cache_free(tasks.cache, task);
}

static void task_main(void *arg)
{
    struct task *task = arg;
    sched_finish_switch();
    hal_irq_enable();
    task->entry(task->arg);
    task_exit(0);
}

enum hx_status task_create(const char *name, void (*entry)(void *arg), void *arg,
                           struct task **out_task)
{
    struct task *task = kmem_cache_alloc(tasks.cache);
    if (!task) {
        return HX_ERR_NO_MEMORY;
    }
    memset(task, 0, offsetof(struct task, own));
    memset((u8 *)task + offsetof(struct task, runner), 0,
           sizeof(*task) - offsetof(struct task, runner));
    enum hx_status status = kernel_stack_alloc(&task->stack_bottom);
    if (status != HX_OK) {
        goto out_free_task;
    }
    status = dis_ctx_create(&task->own, NULL, 0);
    if (status != HX_OK) {
        goto out_free_stack;
    }
    task->own.owner = task;
    dis_runner_init(&task->runner, &task->own, task);
    task->stack_top = task->stack_bottom + KERNEL_STACK_SIZE;
    task->state = TASK_BLOCKED;
    task->entry = entry;
    task->arg = arg;
    task->references = 1;
    wait_queue_init(&task->exited);
    HX_IGNORE(str_copy(task->name, name, sizeof(task->name)), "a cut name is a name");
    hal_context_init(&task->context, task->stack_top, task_main, task);
    list_task(task);
    *out_task = task;
    return HX_OK;

out_free_stack:
    kernel_stack_free(task->stack_bottom);
out_free_task:
    kmem_cache_free(tasks.cache, task);
    return status;
}

void task_start(struct task *task)
{
    task_get(task); /* its own, inv 1 */
    sched_wake(task);
}

void task_get(struct task *task)
{
    __atomic_fetch_add(&task->references, 1, __ATOMIC_RELAXED);
}

void task_put(struct task *task)
{
    if (__atomic_sub_fetch(&task->references, 1, __ATOMIC_ACQ_REL) == 0) {
        HX_ASSERT(task != task_current());
        task_free(task);
    }
}

void task_exit(s64 value)
{
    struct task *task = task_current();
    task->exit_value = value;
    if (trace_is_on(TRACE_TASK_END)) {
        u64 name[2];
        memcpy(name, task->name, sizeof(name));
        trace_record(TRACE_TASK_END, 0, name[0], name[1]);
    }
    if (task->caller) {
        sched_lend_end(task->caller); /* it sleeps on, on its own again */
    }
    hal_irq_disable();
    task->state = TASK_TERMINATED;
    sched_block();
    panic("task %s came back from the dead", task->name);
}

/* Interrupts are masked and the caller is whoever runs next, on its own stack. */
void task_finish(struct task *task)
{
    wait_wake_all(&task->exited);
    if (__atomic_sub_fetch(&task->references, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    unlist_task(task);
    spin_lock(&reaper.lock);
    list_add_tail(&reaper.dead, &task->all);
    bool wake = ++reaper.count == REAP_BATCH;
    spin_unlock(&reaper.lock);
    if (wake) {
        event_set(&reaper.wanted);
    }
}

void task_reap(void)
{
    for (;;) {
        u64 state = spin_lock_irq(&reaper.lock);
        struct task *task = LIST_FIRST(&reaper.dead, struct task, all);
        if (task) {
            list_remove(&task->all);
            reaper.count--;
        }
        spin_unlock_irq(&reaper.lock, state);
        if (!task) {
            return;
        }
        list_task(task); /* task_free() takes it off again */
        task_free(task);
    }
}

static void reaper_main(void *arg)
{
    (void)arg;
    for (;;) {
        HX_IGNORE(event_wait(&reaper.wanted, WAIT_FOREVER), "nobody kills the reaper");
        task_reap();
    }
}

enum hx_status task_join(struct task *task, u64 deadline_ns, s64 *out_value)
{
    if (task == task_current()) {
        return HX_ERR_DEADLOCK;
    }
    u64 irqs = spin_lock_irq(&task->exited.lock);
    while (HX_READ_ONCE(task->state) != TASK_ZOMBIE) {
        enum hx_status status = wait_locked(&task->exited, deadline_ns);
        if (status != HX_OK) {
            hal_irq_restore(irqs);
            return status;
        }
        spin_lock(&task->exited.lock);
    }
    /* The waker may still be inside task_finish(): its reference keeps the queue alive. */
    *out_value = task->exit_value;
    spin_unlock_irq(&task->exited.lock, irqs);
    return HX_OK;
}

bool task_wake(struct task *task)
{
    return sched_wake(task);
}

void task_kill(struct task *task)
{
    __atomic_store_n(&task->killed, true, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* see task_block_prepare() */
    if (!sched_wake(task)) {                 /* a wait that this does not end goes back to sleep */
        sched_kick(task_cpu(task)); /* if it runs there, it looks on its way to user mode */
    }
}

struct sleeper {
    struct timer timer;
    struct task *task;
};

static void sleep_over(struct timer *timer)
{
    sched_wake(HX_CONTAINER_OF(timer, struct sleeper, timer)->task);
}

enum hx_status task_sleep_until(u64 deadline_ns)
{
    struct sleeper sleeper = {.timer.expired = sleep_over, .task = task_current()};
    enum hx_status status = HX_OK;
    u64 irqs = hal_irq_save();
    while (time_now_ns() < deadline_ns) {
        if (!sleeper.timer.armed) {
            timer_start(&sleeper.timer, deadline_ns);
        }
        if (!task_block_prepare(TASK_SLEEPING)) {
            status = HX_ERR_CANCELLED;
            break;
        }
        task_block(TASK_SLEEPING);
    }
    hal_irq_restore(irqs);
    timer_cancel(&sleeper.timer);
    return status;
}

void preempt_enable_slow(void)
{
    if (hal_irq_is_enabled()) {
        hal_irq_disable();
        sched_preempt();
        hal_irq_enable();
    }
}

HX_COLD struct task *task_find(u64 id)
{
    struct task *task, *found = NULL;
    u64 state = spin_lock_irq(&tasks.lock);
    LIST_FOREACH (&tasks.all, task, all) {
        u32 references = HX_READ_ONCE(task->references);
        /* One without references is on its way out. */
        while (task->id == id && references != 0 && !found) {
            if (__atomic_compare_exchange_n(&task->references, &references, references + 1, false,
                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
                found = task;
            }
        }
    }
    spin_unlock_irq(&tasks.lock, state);
    return found;
}

HX_COLD void task_for_each(void (*visit)(struct task *task, void *ctx), void *ctx)
{
    u64 state = spin_lock_irq(&tasks.lock);
    struct task *task;
    LIST_FOREACH (&tasks.all, task, all) {
        visit(task, ctx);
    }
    spin_unlock_irq(&tasks.lock, state);
}

void task_adopt_idle(struct task *task)
{
    hal_current_set(task);
    sched_cpu_online(task);
}

void task_init_early(void)
{
    hal_current_set(&boot_task);
}

static void idle_main(void *arg)
{
    (void)arg;
    sched_idle();
}

HX_COLD enum hx_status task_init(void)
{
    extern const char __boot_stack_bottom[], __boot_stack_top[];
    struct task *boot = &boot_task, *idle, *reaper_task;
    tasks.cache = kmem_cache_create("task", sizeof(struct task), 64);
    if (!tasks.cache) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = dis_ctx_create(&boot->own, NULL, 0);
    if (status != HX_OK) {
        return status;
    }
    boot->own.owner = boot;
    dis_runner_init(&boot->runner, &boot->own, boot);
    boot->references = 1;
    boot->stack_bottom = (vaddr_t)__boot_stack_bottom;
    boot->stack_top = (vaddr_t)__boot_stack_top;
    wait_queue_init(&boot->exited);
    HX_IGNORE(str_copy(boot->name, "main", sizeof(boot->name)), "it fits");
    list_task(boot);
    event_init(&reaper.wanted, false, true);
    status = task_create("idle", idle_main, NULL, &idle);
    if (status != HX_OK) {
        return status;
    }
    sched_adopt_boot(boot, idle);
    status = task_create("reaper", reaper_main, NULL, &reaper_task);
    if (status == HX_OK) {
        task_start(reaper_task);
    }
    return status;
}
