/* SPDX-License-Identifier: MIT */
/* Watching probes: a trap handler that notes the trap and leaves the probe.
 * Owns:      nothing; the record is on the stack of who tries.      Callers: tests/hal.
 * Context:   thread, or a trap handler: trying nests.
 */
#include "probe.h"

#include <core/trap.h>
#include <helix/panic.h>

static bool note(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    struct probe_seen *seen = ctx;
    seen->traps++;
    seen->trap = *trap;
    seen->pc = hal_frame_pc(frame);
    hal_trap_frame_set_pc(frame, (vaddr_t)probe_return);
    return true;
}

static void watch(struct probe_seen *seen)
{
    bool watched = trap_handler_push(note, seen);
    HX_ASSERT(watched); /* no test nests that deep */
}

struct probe_seen probe_try_read(vaddr_t at)
{
    struct probe_seen seen = {0};
    watch(&seen);
    seen.value = probe_read(at);
    trap_handler_pop(note);
    return seen;
}

struct probe_seen probe_try_write(vaddr_t at, u8 byte)
{
    struct probe_seen seen = {0};
    watch(&seen);
    probe_write(at, byte);
    trap_handler_pop(note);
    return seen;
}

struct probe_seen probe_try_execute(vaddr_t at)
{
    struct probe_seen seen = {0};
    watch(&seen);
    seen.value = probe_execute(at);
    trap_handler_pop(note);
    return seen;
}

struct probe_seen probe_try(void (*probe)(void))
{
    struct probe_seen seen = {0};
    watch(&seen);
    probe();
    trap_handler_pop(note);
    return seen;
}
