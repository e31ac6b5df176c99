/* SPDX-License-Identifier: MIT */
/* Threads as the processor sees them: first stack frame, kernel stack, thread pointer, FPU.
 * Owns:      CPACR_EL1, TPIDR_EL0.     Callers: core.
 * Context:   this CPU, interrupts masked, unless <hal/context.h> says otherwise.
 * Invariant: CPACR_EL1.FPEN is open only between hal_fpu_enable() and hal_fpu_disable(), so a use
 *            of SIMD registers by anybody else is an exception.
 * Spec:      Arm ARM D17.2.30 (CPACR_EL1). */
#include <hal/context.h>

#include <helix/string.h>

#define CPACR_OPEN (3u << 20) /* FPEN: EL1 and EL0 */

/* switch.S */
void port_context_begin(void);
struct copy_fixup {
    vaddr_t start, end, target;
};
extern const struct copy_fixup port_copy_fixups[];

void hal_context_init(struct hal_context *ctx, vaddr_t stack_top, void (*entry)(void *arg),
                      void *arg)
{
    u64 *record = (u64 *)(stack_top - 16); /* of zeroes: ends backtraces */
    u64 *saved = record - 4;
    saved[0] = (u64)record; /* x29 */
    saved[1] = (u64)port_context_begin;
    saved[2] = (u64)entry;
    saved[3] = (u64)arg;
    record[0] = record[1] = 0;
    ctx->sp = (vaddr_t)saved;
}

void hal_kernel_stack_set(vaddr_t stack_top)
{
    hal_cpu_local()->kernel_stack = stack_top;
}

void hal_user_tls_set(u64 value)
{
    sysreg_write(tpidr_el0, value);
}

u64 hal_user_tls_get(void)
{
    return sysreg_read(tpidr_el0);
}

/* All zero: round to nearest, no exceptions trapped. */
void hal_fpu_init(void *state)
{
    memset(state, 0, HAL_FPU_STATE_SIZE);
}

void hal_fpu_enable(void)
{
    sysreg_write(cpacr_el1, CPACR_OPEN);
    sysreg_isb();
}

void hal_fpu_disable(void)
{
    sysreg_write(cpacr_el1, 0);
    sysreg_isb();
}

static const struct copy_fixup *fixup_find(const struct hal_trap_frame *frame)
{
    for (const struct copy_fixup *f = port_copy_fixups; f->start != 0; f++) {
        if (frame->pc >= f->start && frame->pc < f->end) {
            return f;
        }
    }
    return NULL;
}

bool hal_user_copy_covers(const struct hal_trap_frame *frame)
{
    return fixup_find(frame) != NULL;
}

bool hal_user_copy_fixup(struct hal_trap_frame *frame)
{
    const struct copy_fixup *fixup = fixup_find(frame);
    if (fixup != NULL) {
        frame->pc = fixup->target;
    }
    return fixup != NULL;
}
