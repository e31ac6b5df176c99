/* SPDX-License-Identifier: MIT */
/* Contract of <hal/trap.h>: what is reported, that a handler can resume, that nothing is lost.
 */
#include "probe.h"

#include <core/time.h>
#include <core/trap.h>
#include <fixture.h>
#include <ktest.h>

struct note {
    u32 count;
    enum hal_trap_kind kind;
    vaddr_t pc;
    bool masked;
};

static bool note_and_resume(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    struct note *note = ctx;
    note->count++;
    note->kind = trap->kind;
    note->pc = hal_frame_pc(frame);
    note->masked = !hal_irq_is_enabled();
    probe_scramble();
    return true;
}

KTEST(hal_trap, breakpoint_resumes_behind_itself)
{
    struct note note = {0};
    KTEST_ASSERT(trap_handler_push(note_and_resume, &note));
    probe_breakpoint();
    probe_breakpoint();
    trap_handler_pop(note_and_resume);
    KTEST_EQUAL(note.count, 2);
    KTEST_EQUAL(note.kind, TRAP_BREAKPOINT);
    KTEST_ASSERT(note.pc > (vaddr_t)probe_breakpoint && note.pc < (vaddr_t)probe_breakpoint + 16);
    KTEST_ASSERT(note.masked);
    KTEST_ASSERT(hal_irq_is_enabled());
}

KTEST(hal_trap, registers_survive_an_exception)
{
    struct note note = {0};
    KTEST_ASSERT(trap_handler_push(note_and_resume, &note));
    u64 unchanged = 1;
    for (u32 i = 0; i < 100; i++) {
        unchanged &= probe_registers_trap();
    }
    trap_handler_pop(note_and_resume);
    KTEST_EQUAL(note.count, 100);
    KTEST_EQUAL(unchanged, 1);
}

static volatile u32 fired;

static void fire(struct timer *timer)
{
    (void)timer;
    fired = 1;
    probe_scramble();
}

KTEST(hal_trap, registers_survive_an_interrupt)
{
    static struct timer timer = {.expired = fire};
    u64 unchanged = 1;
    for (u32 i = 0; i < 20; i++) {
        fired = 0;
        timer_start(&timer, time_now_ns() + 200 * HX_NS_PER_US);
        unchanged &= probe_registers_wait(&fired);
    }
    KTEST_EQUAL(unchanged, 1);
}

KTEST(hal_trap, undefined_instruction_is_reported_as_one)
{
    struct probe_seen seen = probe_try(probe_undefined);
    KTEST_EQUAL(seen.traps, 1);
    KTEST_EQUAL(seen.trap.kind, TRAP_UNDEFINED);
    KTEST_EQUAL(seen.pc, (vaddr_t)probe_undefined);
    KTEST_ASSERT(!seen.trap.user && !seen.trap.address_valid);
    KTEST_ASSERT(seen.trap.name && seen.trap.name[0]);
}

/* So that no kernel code can change a program's floating-point registers unseen. */
KTEST(hal_trap, floating_point_in_the_kernel_traps)
{
    struct probe_seen seen = probe_try(probe_float);
    KTEST_EQUAL(seen.traps, 1);
    KTEST_ASSERT(seen.trap.kind == TRAP_FLOAT || seen.trap.kind == TRAP_UNDEFINED);
}

static struct probe_seen inner;

static bool fault_inside(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    inner = probe_try_read(FIXTURE_BASE + 77);
    return note_and_resume(ctx, frame, trap);
}

KTEST(hal_trap, a_fault_inside_a_handler_nests)
{
    struct note note = {0};
    KTEST_ASSERT(trap_handler_push(fault_inside, &note));
    u64 unchanged = probe_registers_trap();
    trap_handler_pop(fault_inside);
    KTEST_EQUAL(inner.traps, 1);
    KTEST_EQUAL(inner.trap.kind, TRAP_PAGE_FAULT);
    KTEST_EQUAL(inner.trap.address, FIXTURE_BASE + 77);
    KTEST_EQUAL(note.count, 1);
    KTEST_EQUAL(note.kind, TRAP_BREAKPOINT);
    KTEST_EQUAL(unchanged, 1);
}

static bool decline(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    (void)frame;
    (void)trap;
    ++*(u32 *)ctx;
    return false;
}

KTEST(hal_trap, the_last_handler_is_asked_first_and_may_decline)
{
    struct note note = {0};
    u32 declined = 0;
    u64 before = trap_count(TRAP_BREAKPOINT);
    KTEST_ASSERT(trap_handler_push(note_and_resume, &note));
    KTEST_ASSERT(trap_handler_push(decline, &declined));
    probe_breakpoint();
    trap_handler_pop(decline);
    probe_breakpoint();
    trap_handler_pop(note_and_resume);
    KTEST_EQUAL(declined, 1);
    KTEST_EQUAL(note.count, 2);
    KTEST_EQUAL(trap_count(TRAP_BREAKPOINT) - before, 2);
}

KTEST(hal_trap, handlers_are_bounded)
{
    u32 pushed = 0, declined = 0;
    while (pushed < 2 * TRAP_HANDLERS_MAX && trap_handler_push(decline, &declined)) {
        pushed++;
    }
    for (u32 i = 0; i < pushed; i++) {
        trap_handler_pop(decline);
    }
    KTEST_ASSERT(pushed > 0 && pushed <= TRAP_HANDLERS_MAX);
}

static void count_line(void *ctx, const char *fmt, ...)
{
    KTEST_ASSERT(fmt && !strchr(fmt, '\n'));
    ++*(u32 *)ctx;
}

static HX_NOINLINE void capture(struct hal_trap_frame *frame)
{
    hal_trap_frame_capture(frame);
    hx_compiler_barrier();
}

KTEST(hal_trap, a_captured_frame_is_here)
{
    struct hal_trap_frame frame;
    u32 lines = 0;
    capture(&frame);
    KTEST_ASSERT(hal_frame_pc(&frame) >= (vaddr_t)capture);
    KTEST_ASSERT(hal_frame_pc(&frame) < (vaddr_t)capture + 256);
    KTEST_ASSERT(hal_frame_sp(&frame) < (vaddr_t)&frame + sizeof(frame) + 1024);
    KTEST_ASSERT(hal_frame_fp(&frame) >= hal_frame_sp(&frame));
    KTEST_ASSERT(!hal_frame_is_user(&frame));
    hal_trap_frame_set_pc(&frame, 0x1234);
    KTEST_EQUAL(hal_frame_pc(&frame), 0x1234);
    hal_trap_frame_print(&frame, count_line, &lines);
    KTEST_ASSERT(lines > 0);
}
