/* SPDX-License-Identifier: MIT */
/* All the CPUs: starting them, and having them do things.
 * Owns:      struct cpu of each.       Callers: kernel_main; whoever needs work done elsewhere.
 * Locks:     calls.lock: one cross-CPU call at a time, so a slot per CPU is enough.
 * Invariant: (1) a CPU is online from the moment it can take interrupts and run tasks.
 *            (2) cpu_call() returns after fn has run on every CPU of the mask; it spins with
 *            interrupts enabled, so that two callers serve each other.
 */
#include <core/cpu.h>
#include <core/execution.h>
#include <core/guard.h>
#include <core/grace.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/sync.h>
#include <core/task.h>
#include <hal/cpu.h>
#include <hal/events.h>
#include <hal/irq.h>
#include <hal/layout.h>
#include <helix/irq.h>
#include <helix/log.h>
#include <helix/panic.h>

#define START_TIMEOUT_NS (500 * HX_NS_PER_MS)

struct cpu cpus[HAL_CPUS_MAX];

static struct {
    u64 online; /* a */
    struct task *idle[HAL_CPUS_MAX];
} state;

static struct {
    struct mutex mutex;
    void (*fn)(void *arg);
    void *arg;
    u64 pending; /* a: CPUs that have not run fn yet */
    struct irq_action call, reschedule, stop;
} calls = {.mutex = MUTEX_INIT(calls.mutex)};

u64 cpu_online_mask(void)
{
    return __atomic_load_n(&state.online, __ATOMIC_ACQUIRE);
}

u32 cpu_online_count(void)
{
    u32 count = 0;
    for (u64 mask = cpu_online_mask(); mask; mask &= mask - 1) {
        count++;
    }
    return count;
}

static void set_online(cpu_id_t cpu)
{
    __atomic_store_n(&cpus[cpu].online, true, __ATOMIC_RELEASE);
    __atomic_fetch_or(&state.online, 1ull << cpu, __ATOMIC_ACQ_REL);
}

void cpu_init_boot(void)
{
    cpus[0].hal.number = 0;
    hal_cpu_local_set(&cpus[0].hal);
    set_online(0);
}

static void run_call(void)
{
    u64 bit = 1ull << hal_cpu_number();
    if (__atomic_load_n(&calls.pending, __ATOMIC_ACQUIRE) & bit) {
        calls.fn(calls.arg);
        __atomic_fetch_and(&calls.pending, ~bit, __ATOMIC_RELEASE);
    }
}

void cpu_call(u64 mask, void (*fn)(void *arg), void *arg)
{
    mutex_acquire(&calls.mutex);
    calls.fn = fn;
    calls.arg = arg;
    preempt_disable();
    u64 self = 1ull << hal_cpu_number();
    mask &= cpu_online_mask();
    __atomic_store_n(&calls.pending, mask, __ATOMIC_RELEASE);
    for (u64 others = mask & ~self; others; others &= others - 1) {
        hal_irq.send_ipi((cpu_id_t)__builtin_ctzll(others), IPI_CALL);
    }
    if (mask & self) {
        u64 irqs = hal_irq_save();
        run_call();
        hal_irq_restore(irqs);
    }
    while (__atomic_load_n(&calls.pending, __ATOMIC_ACQUIRE)) {
        hal_cpu_relax();
    }
    preempt_enable();
    mutex_release(&calls.mutex);
}

static bool call_interrupt(void *ctx, irq_t irq)
{
    (void)ctx;
    (void)irq;
    run_call();
    return true;
}

static bool reschedule_interrupt(void *ctx, irq_t irq)
{
    (void)ctx;
    (void)irq;
    return true; /* the flag is set already; the way out of the interrupt looks at it */
}

static bool stop_interrupt(void *ctx, irq_t irq)
{
    (void)ctx;
    (void)irq;
    hal_cpu_halt();
}

static enum hx_status listen(enum hal_ipi ipi, struct irq_action *action, irq_handler_fn *handler,
                             const char *name)
{
    *action = (struct irq_action){.handler = handler, .name = name};
    return irq_register(hal_irq.ipi_irq(ipi), action, IRQ_TRIGGER_DEFAULT);
}

/* On the new CPU, on its idle task's stack. */
HX_COLD void hal_event_cpu_started(cpu_id_t cpu)
{
    struct task *idle = state.idle[cpu];
    task_adopt_idle(idle);
    time_init_cpu(cpu);
    set_online(cpu);
    sched_idle();
}

static void never_entered(void *arg)
{
    (void)arg;
    panic("an idle task was entered as a new one");
}

static bool start_one(cpu_id_t cpu)
{
    enum hx_status status = task_create("idle", never_entered, NULL, &state.idle[cpu]);
    if (status == HX_OK) {
        cpus[cpu].hal.number = cpu;
        status = hal_smp.start(cpu, &cpus[cpu].hal, state.idle[cpu]->stack_top);
    }
    u64 deadline = time_now_ns() + START_TIMEOUT_NS;
    while (status == HX_OK && !cpu_is_online(cpu)) {
        if (time_now_ns() > deadline) {
            status = HX_ERR_TIMED_OUT; /* it may still come: stack and task stay its own */
        }
        hal_cpu_relax();
    }
    if (status != HX_OK) {
        log_warn("cpu", "CPU %u did not start: %s", cpu, hx_status_words(status));
    } else {
        status = dis_cpu_online(cpu);
    }
    return status == HX_OK;
}

HX_COLD void cpu_start_others(void)
{
    u32 count = hal_smp.count();
    if (count == 1) {
        return;
    }
    if (listen(IPI_CALL, &calls.call, call_interrupt, "ipi call") != HX_OK ||
        listen(IPI_RESCHEDULE, &calls.reschedule, reschedule_interrupt, "ipi reschedule") !=
            HX_OK ||
        listen(IPI_STOP, &calls.stop, stop_interrupt, "ipi stop") != HX_OK) {
        log_warn("cpu", "no interrupts between CPUs: the others stay off");
        return;
    }
    for (cpu_id_t cpu = 1; cpu < count; cpu++) {
        start_one(cpu);
    }
    log_info("cpu", "%u of %u CPUs run", cpu_online_count(), count);
}

enum hx_status hal_event_stack_alloc(vaddr_t *out_top)
{
    vaddr_t bottom;
    enum hx_status status = kernel_stack_alloc(&bottom);
    if (status == HX_OK) {
        *out_top = bottom + KERNEL_STACK_SIZE;
    }
    return status;
}

void hal_event_return_user(void)
{
    struct cpu *cpu = cpu_this();
    grace_quiescent(cpu);
    if (hx_unlikely(cpu->resched)) {
        sched_preempt();
    }
    if (hx_unlikely(HX_READ_ONCE(task_current()->killed))) {
        hal_irq_enable();
        execution_killed();
    }
}

void hal_event_return(struct hal_trap_frame *frame)
{
    struct cpu *cpu = cpu_this();
    if (hal_frame_is_user(frame)) {
        hal_event_return_user();
    } else if (hx_unlikely(cpu->resched) && cpu->irq_depth == 0 && hal_frame_irqs_enabled(frame)) {
        if (guard_expired(frame)) {
            return;
        }
        sched_preempt();
        if (task_current()->guards_counted) {
            guard_watch();
        }
    }
}
