/* SPDX-License-Identifier: MIT */
/* Panic, assertions, and exceptions that nobody handles.
 * Owns:      the state "the system has stopped".      Callers: everyone.
 * Context:   any: IRQ, NMI, on an emergency stack, with any lock held. So it takes none, allocates
 *            nothing and trusts nothing but the image's own data.
 * Invariant: (1) the first panic reports; a second one on the way (a fault in the report itself)
 *            says so in one line and ends the machine without touching anything else; a third
 *            halts.
 */
#include <core/console.h>
#include <core/debug.h>
#include <core/guard.h>
#include <core/log.h>
#include <core/orchestrator.h>
#include <core/panic.h>
#include <core/time.h>
#include <hal/cpu.h>
#include <hal/events.h>
#include <hal/firmware.h>
#include <hal/irq.h>
#include <hal/smp.h>
#include <helix/cmdline.h>
#include <helix/format.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <helix/version.h>

#define LAST_LINES      12 /* log lines in the report */
#define BACKTRACE_DEPTH 24 /* frames in the report */

static struct {
    u32 depth; /* a: panics under way, inv 1 */
    enum panic_action action;
} state;

void panic_set_action(enum panic_action action)
{
    state.action = action;
}

void machine_end(u32 status)
{
    const char *exit = cmdline_get("exit");
    if (exit && str_equal(exit, "qemu")) {
        HX_IGNORE(hal_firmware.exit(status), "what follows is the fallback");
    }
    if (status == 0) {
        HX_IGNORE(hal_firmware.poweroff(), "what follows is the fallback");
        console_printf("This machine cannot switch itself off; it is safe to do so now.\n");
    }
    hal_irq_disable();
    hal_cpu_halt();
}

static void print_line(void *ctx, const char *fmt, ...)
{
    (void)ctx;
    char line[160];
    va_list args;
    va_start(args, fmt);
    format_buffer_va(line, sizeof(line), fmt, args);
    va_end(args);
    console_printf("  %s\n", line);
}

static void print_location(void *ctx, u32 depth, vaddr_t pc)
{
    depth += ctx ? *(const u32 *)ctx : 0;
    struct symbol symbol;
    /* A return address points behind the call, possibly into the next function. */
    if (symbol_lookup(pc - 1, &symbol)) {
        console_printf("  #%-2u 0x%016lx %s+0x%lx\n", depth, pc, symbol.name, symbol.offset + 1);
    } else {
        console_printf("  #%-2u 0x%016lx ?\n", depth, pc);
    }
}

static void print_last_lines(void)
{
    static struct log_entry entry; /* too large for an emergency stack */
    u64 next = log_next_sequence();
    u64 cursor = next > LAST_LINES ? next - LAST_LINES : 0;
    while (cursor < next && log_read(&cursor, &entry)) {
        console_printf("  [%4lu.%06lu] %s: %s\n", entry.time_ns / HX_NS_PER_SEC,
                       entry.time_ns / HX_NS_PER_US % 1000000, entry.area, entry.text);
    }
}

static void end_after_report(void)
{
    const char *exit = cmdline_get("exit");
    if (exit && str_equal(exit, "qemu")) {
        HX_IGNORE(hal_firmware.exit(EXIT_STATUS_PANIC), "halting is the fallback");
    }
    if (state.action == PANIC_REBOOT) {
        HX_IGNORE(hal_firmware.reset(), "halting is the fallback");
    }
    hal_cpu_halt();
}

/* No sanitizer here: a report about a report would recurse. */
HX_NO_SANITIZE HX_NORETURN static void report(const struct hal_trap_frame *frame, const char *fmt,
                                              va_list args)
{
    hal_irq_disable();
    u32 depth = __atomic_fetch_add(&state.depth, 1, __ATOMIC_RELAXED);
    HX_IGNORE(system_state_set(SYSTEM_PANIC), "a second panic finds it set");
    console_panic();
    log_panic();
    if (depth > 0) {
        if (depth == 1) {
            char again[160];
            format_buffer_va(again, sizeof(again), fmt, args);
            console_printf("\nPANIC: again, while reporting: %s\n", again);
            end_after_report();
        }
        hal_cpu_halt();
    }
    if (hal_smp.count() > 1) {
        for (cpu_id_t cpu = 0; cpu < hal_smp.count(); cpu++) {
            if (cpu != hal_cpu_number()) {
                hal_irq.send_ipi(cpu, IPI_STOP);
            }
        }
    }

    char reason[LOG_LINE_MAX];
    format_buffer_va(reason, sizeof(reason), fmt, args);
    u64 now = time_now_ns();
    console_printf("\nPANIC: %s\n", reason);
    console_printf("Helix %s %s on %s, build %s %s, CPU %u, %lu.%06lu s after start\n",
                   helix_version, hal_arch_name, hal_board_name(), helix_build_id, helix_variant,
                   hal_cpu_number(), now / HX_NS_PER_SEC, now / HX_NS_PER_US % 1000000);
    console_printf("Registers:\n");
    hal_trap_frame_print(frame, print_line, NULL);
    console_printf("Backtrace:\n");
    print_location(NULL, 0, hal_frame_pc(frame) + 1);
    u32 first = 1;
    backtrace_walk(hal_frame_fp(frame), BACKTRACE_DEPTH, print_location, &first);
    console_printf("Last log lines:\n");
    print_last_lines();
    console_printf("The system has stopped.\n");
    end_after_report();
    hal_cpu_halt();
}

void panic(const char *fmt, ...)
{
    struct hal_trap_frame frame;
    hal_trap_frame_capture(&frame);
    va_list args;
    va_start(args, fmt);
    report(&frame, fmt, args);
}

void panic_trap(const struct hal_trap_frame *frame, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    report(frame, fmt, args);
}

void hx_assert_failed(const char *expr, const char *file, int line)
{
    guard_assert((vaddr_t)__builtin_return_address(0), expr);
    panic("assertion failed: %s at %s:%d", expr, file, line);
}

/* Stack protector: the guard's value is set at boot; see <helix/compiler.h>. */
HX_USED uintptr_t __stack_chk_guard = 0x5ca1ab1e0ddba11ull;
void __stack_chk_fail(void);
HX_USED HX_NORETURN void __stack_chk_fail(void)
{
    panic("a function's stack frame was overwritten");
}
