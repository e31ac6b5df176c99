/* SPDX-License-Identifier: MIT */
/* Routing of exceptions: to the handlers that asked for them, else to a panic that says what
 * happened in words.
 * Owns:      the stack of handlers, the counts.       Callers: the HAL.
 * Context:   that of the interrupted code.
 */
#include <core/trap.h>
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

void hal_event_trap(struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    __atomic_fetch_add(&traps.counts[trap->kind], 1, __ATOMIC_RELAXED);
    for (u32 i = __atomic_load_n(&traps.depth, __ATOMIC_ACQUIRE); i-- > 0;) {
        if (traps.stack[i].handler(traps.stack[i].ctx, frame, trap)) {
            return;
        }
    }
    if (trap->kind == TRAP_BREAKPOINT) {
        log_warn("trap", "breakpoint at 0x%lx without a debugger", hal_frame_pc(frame));
        return;
    }
    static const char *const accesses[] = {
        [ACCESS_READ] = "read", [ACCESS_WRITE] = "write", [ACCESS_EXECUTE] = "execution"};
    if (trap->kind == TRAP_STACK_OVERFLOW) {
        panic_trap(frame, "kernel stack overflow at 0x%lx, stack pointer 0x%lx",
                   hal_frame_pc(frame), hal_frame_sp(frame));
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
