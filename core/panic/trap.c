/* SPDX-License-Identifier: MIT */
/* Routing of exceptions: to the handlers that asked for them, else to a panic that says what
 * happened in words.
 * Owns:      the stack of handlers, the counts.       Callers: the HAL.
 * Context:   that of the interrupted code.
 */
#include <core/execution.h>
#include <core/guard.h>
#include <core/memory.h>
#include <core/task.h>
#include <core/trace.h>
#include <core/trap.h>
#include <hal/context.h>
#include <hal/layout.h>
#include <hal/events.h>
#include <helix/log.h>
#include <helix/panic.h>

static struct {
    struct {
        trap_handler_fn *handler;
        void *ctx;
    } stack[TRAP_HANDLERS_MAX];
    u32 depth;                   /* a */
    u64 counts[TRAP_KIND_COUNT]; /* a */
} traps;

bool trap_handler_push(trap_handler_fn *handler, void *ctx)
{
    if (traps.depth == TRAP_HANDLERS_MAX) {
        return false;
    }
    traps.stack[traps.depth].handler = handler;
    traps.stack[traps.depth].ctx = ctx;
    __atomic_store_n(&traps.depth, traps.depth + 1, __ATOMIC_RELEASE);
    return true;
}

void trap_handler_pop(trap_handler_fn *handler)
{
    HX_ASSERT(traps.depth > 0 && traps.stack[traps.depth - 1].handler == handler);
    __atomic_store_n(&traps.depth, traps.depth - 1, __ATOMIC_RELEASE);
}

u64 trap_count(enum hal_trap_kind kind)
{
    return __atomic_load_n(&traps.counts[kind], __ATOMIC_RELAXED);
}

/* The space of the current task mends the fault, or says why not. Interrupts are enabled meanwhile:
 * it may wait for the space's lock. */
static bool mend(const struct hal_trap *trap, const char **out_reason)
{
    struct space *space = task_current()->space;
    *out_reason = "outside user memory";
    if (trap->address >= USER_SPACE_END || !space) {
        return false;
    }
    return space_fault(space, trap->address, trap->access, trap->present, out_reason);
}

static void user_trap(struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    struct task *task = task_current();
    if (trap->kind == TRAP_FLOAT && !task->fpu_used) {
        /* The first use of the FPU: from here on its registers are kept over switches. */
        hal_fpu_enable();
        hal_fpu_init(task->fpu);
        hal_fpu_restore(task->fpu);
        task->fpu_used = true;
        return;
    }
    const char *reason = "";
    u64 begin = trace_span_begin(TRACE_FAULT);
    hal_irq_enable();
    if (trap->kind != TRAP_PAGE_FAULT || !mend(trap, &reason)) {
        execution_user_fault(frame, trap, reason);
    }
    trace_span_end(TRACE_FAULT, begin, trap->kind, trap->address);
    hal_irq_disable();
}

/* A copy to or from user memory met a page that is not there: it goes on, or ends short. */
static void copy_fault(struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    const char *reason;
    bool enabled = hal_frame_irqs_enabled(frame);
    if (enabled) {
        hal_irq_enable();
    }
    bool mended = enabled && mend(trap, &reason);
    hal_irq_disable();
    if (!mended) {
        hal_user_copy_fixup(frame);
    }
}

void hal_event_trap(struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    __atomic_fetch_add(&traps.counts[trap->kind], 1, __ATOMIC_RELAXED);
    for (u32 i = __atomic_load_n(&traps.depth, __ATOMIC_ACQUIRE); i-- > 0;) {
        if (traps.stack[i].handler(traps.stack[i].ctx, frame, trap)) {
            return;
        }
    }
    if (trap->user) {
        user_trap(frame, trap);
        return;
    }
    if (trap->kind == TRAP_PAGE_FAULT && trap->address < USER_SPACE_END &&
        hal_user_copy_covers(frame)) {
        copy_fault(frame, trap);
        return;
    }
    if (guard_trap(frame, trap)) {
        return;
    }
    if (trap->kind == TRAP_BREAKPOINT) {
        log_warn("trap", "breakpoint at 0x%lx without a debugger", hal_frame_pc(frame));
        return;
    }
    static const char *const accesses[] = {
        [ACCESS_READ] = "read", [ACCESS_WRITE] = "write", [ACCESS_EXECUTE] = "execution"};
    if (trap->kind == TRAP_STACK_OVERFLOW) {
        panic_trap(frame, "kernel stack overflow of task %s at 0x%lx, stack pointer 0x%lx",
                   task_current()->name, hal_frame_pc(frame), hal_frame_sp(frame));
    }
    if (trap->kind == TRAP_PAGE_FAULT) {
        panic_trap(frame, "%s: %s of 0x%lx (%s) at 0x%lx, code 0x%lx", trap->name,
                   accesses[trap->access], trap->address,
                   trap->address < HX_PAGE_SIZE ? "null pointer"
                   : trap->present              ? "mapped, but not for this"
                                                : "nothing mapped there",
                   hal_frame_pc(frame), trap->code);
    }
    if (trap->address_valid) {
        panic_trap(frame, "%s at 0x%lx, address 0x%lx, code 0x%lx", trap->name, hal_frame_pc(frame),
                   trap->address, trap->code);
    }
    panic_trap(frame, "%s at 0x%lx, code 0x%lx", trap->name, hal_frame_pc(frame), trap->code);
}
