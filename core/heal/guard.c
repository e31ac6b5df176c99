/* SPDX-License-Identifier: MIT */
/* Guarded calls: entering them, and the ways in which they end.
 * Owns:      each CPU's timer of ticks.      Callers: slots, the module registry; traps.
 * Context:   as <core/guard.h> says of each.
 *
 *   guard_call -> module -> returns                                   HX_OK
 *                        -> exception -> guard_trap ---.
 *                        -> assertion -> guard_assert --+-> landing    HX_ERR_FAULT
 *                        -> ticks     -> guard_expired -'
 *
 * A hang is counted in ticks that the frame itself took, never in time that passed: a module that
 * is preempted for a second has not hung. The timer runs while a guarded task runs: a call arms it,
 * and so does coming back to one after it was preempted; it stops by itself when it meets none.
 * task->guards_counted is there for this: it counts a call from before arming to after the return,
 * while task->guard is only set inside. A CPU may lose any time between the two, to an interrupt or
 * to the host, and the tick that then comes must not stop; without a tick, nothing ends a hang.
 * Invariant: (1) task->guard is the innermost call of the task, NULL when it is in none; only the
 *            task changes it, so whoever interrupts it on its CPU reads it safely.
 *            Interrupt handlers enter modules by guards of their own, so what faults in a module's
 *            text faults in the innermost call.
 *            (2) a call is ended only while the module's own text runs: never inside a kernel
 *            function that it called, which may hold a lock.
 */
#include <core/guard.h>

#include <core/cpu.h>
#include <hal/events.h>
#include <helix/log.h>
#include <helix/panic.h>

#define INJECTED (1u << 31) /* in a guard's limit of ticks: what runs is inject_run() */

static struct timer watch[HAL_CPUS_MAX];

/* What a guard's mark holds. */
struct ticks {
    u32 taken, limit; /* 0: interrupts are masked, nobody counts */
};

static struct ticks *ticks_of(struct hal_guard *g)
{
    return (struct ticks *)(void *)&g->mark;
}

static const char *const fault_names[] = {[GUARD_NONE] = "nothing",
                                          [GUARD_EXCEPTION] = "exception",
                                          [GUARD_ASSERT] = "assertion",
                                          [GUARD_STACK] = "stack overflow",
                                          [GUARD_HANG] = "hang"};
_Static_assert(HX_ARRAY_SIZE(fault_names) == GUARD_FAULT_COUNT, "a fault without a name");

const char *guard_fault_name(enum guard_fault fault)
{
    return fault < GUARD_FAULT_COUNT ? fault_names[fault] : "?";
}

static bool in_text(struct hal_guard *g, vaddr_t pc)
{
    const struct guard_domain *domain = g->domain;
    return (ticks_of(g)->limit & INJECTED) || (pc >= domain->text && pc < domain->text_end);
}

static bool is_used_up(struct hal_guard *g)
{
    u32 limit = ticks_of(g)->limit & ~INJECTED;
    return limit != 0 && ticks_of(g)->taken > limit;
}

static void report(struct hal_guard *g, struct guard_report report)
{
    struct guard_domain *domain = g->domain;
    domain->report = report;
    __atomic_fetch_add(&domain->faults[report.fault], 1, __ATOMIC_RELAXED);
}

static void tick(struct timer *timer)
{
    struct task *task = task_current();
    struct hal_guard *g = task->guard;
    if (!task->guards_counted) {
        cpu_this()->guard_watched = false;
        return;
    }
    if (g) {
        ticks_of(g)->taken++;
        if (is_used_up(g)) {
            cpu_this()->resched = true; /* hal_event_return() looks then */
        }
    }
    timer_start(timer, time_now_ns() + GUARD_TICK_NS);
}

void guard_watch(void)
{
    u64 irqs = hal_irq_save();
    struct cpu *cpu = cpu_this();
    if (!cpu->guard_watched) {
        struct timer *timer = &watch[hal_cpu_number()];
        cpu->guard_watched = true;
        timer->expired = tick;
        timer_start(timer, time_now_ns() + GUARD_TICK_NS);
    }
    hal_irq_restore(irqs);
}

/* HX_OK: nothing was injected after all, and the call goes on. */
enum hx_status guard_call_injected(struct guard_domain *domain, u32 ticks, u64 *out_value)
{
    if (ticks == 0 && domain->inject == INJECT_HANG) {
        return HX_OK;
    }
    u64 fault = __atomic_exchange_n(&domain->inject, INJECT_NONE, __ATOMIC_RELAXED);
    if (fault == INJECT_NONE) {
        return HX_OK;
    }
    if (ticks) {
        guard_count_begin();
    }
    struct hal_guard_result result =
        hal_guard_call(&task_current()->guard, domain, (u64)(ticks | INJECTED) << 32, inject_run,
                       fault, domain->text, 0, 0);
    if (ticks) {
        guard_count_end();
    }
    *out_value = result.value;
    return result.ended ? HX_ERR_FAULT : HX_OK;
}

bool guard_trap(struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    struct hal_guard *g = task_current()->guard;
    vaddr_t pc = hal_frame_pc(frame);
    bool overflow = trap->kind == TRAP_STACK_OVERFLOW;
    /* A jump to nowhere has left the text; it is the module's all the same. */
    bool jumped = trap->kind == TRAP_PAGE_FAULT && trap->access == ACCESS_EXECUTE;
    if (!g || trap->kind == TRAP_NMI || trap->kind == TRAP_MACHINE ||
        (!in_text(g, pc) && !jumped)) { /* inv 2 */
        return false;
    }
    report(g, (struct guard_report){.fault = overflow ? GUARD_STACK : GUARD_EXCEPTION,
                                    .pc = pc,
                                    .address = trap->address_valid ? trap->address : 0,
                                    .what = trap->name});
    hal_guard_unwind(frame, g, (ticks_of(g)->limit & ~INJECTED) != 0);
    return true;
}

bool guard_expired(struct hal_trap_frame *frame)
{
    struct hal_guard *g = task_current()->guard;
    if (!g || !is_used_up(g) || !in_text(g, hal_frame_pc(frame))) { /* inv 2 */
        return false;
    }
    report(g, (struct guard_report){
                  .fault = GUARD_HANG, .pc = hal_frame_pc(frame), .what = "no end in sight"});
    hal_guard_unwind(frame, g, true);
    return true;
}

void guard_assert(vaddr_t pc, const char *expr)
{
    struct hal_guard *g = task_current()->guard;
    if (g && in_text(g, pc)) {
        report(g, (struct guard_report){.fault = GUARD_ASSERT, .pc = pc, .what = expr});
        hal_guard_leave(g);
    }
}
