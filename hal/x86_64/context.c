/* SPDX-License-Identifier: MIT */
/* Threads as the processor sees them: first stack frame, kernel stack, thread pointer, FPU.
 * Owns:      CR0.TS, FS base, RSP0 of the TSS.     Callers: core.
 * Context:   this CPU, interrupts masked, unless <hal/context.h> says otherwise.
 * Invariant: (1) CR0.TS is clear only between hal_fpu_enable() and hal_fpu_disable(), so a use of
 *            x87 or SSE by anybody else is an exception.
 * Spec:      Intel SDM vol. 1, 10.5 (FXSAVE); vol. 3, 13.4 (TS).
 */
#include <hal/context.h>
#include <hal/layout.h>
#include <helix/string.h>
#include <port/x86.h>

/* switch.asm */
struct copy_fixup {
    vaddr_t start, end, target;
};
extern const struct copy_fixup port_copy_fixups[];
void port_context_begin(void);

void hal_context_init(struct hal_context *ctx, vaddr_t stack_top, void (*entry)(void *arg),
                      void *arg)
{
    u64 *sp = (u64 *)stack_top;
    *--sp = 0; /* the record that ends backtraces */
    *--sp = 0;
    *--sp = (u64)arg;
    *--sp = (u64)entry;
    *--sp = (u64)port_context_begin;
    ctx->sp = (vaddr_t)sp;
}

void hal_kernel_stack_set(vaddr_t stack_top)
{
    struct hal_cpu_local *local = hal_cpu_local();
    local->kernel_stack = stack_top;
    local->tss->rsp[0] = stack_top;
}

/* The MSR refuses what is no address by an exception; no program can have a use for one. */
void hal_user_tls_set(u64 value)
{
    msr_write(MSR_FS_BASE, value < USER_SPACE_END ? value : 0);
}

u64 hal_user_tls_get(void)
{
    return msr_read(MSR_FS_BASE);
}

#define FXSAVE_CONTROL 0 /* x87 control word */
#define FXSAVE_MXCSR   24

void hal_fpu_init(void *state)
{
    const u16 control = 0x037f; /* all exceptions masked, extended precision */
    const u32 mxcsr = 0x1f80;   /* all exceptions masked */
    memset(state, 0, HAL_FPU_STATE_SIZE);
    memcpy((u8 *)state + FXSAVE_CONTROL, &control, sizeof(control));
    memcpy((u8 *)state + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

void hal_fpu_save(void *state)
{
    __asm__ volatile("fxsaveq (%0)" ::"r"(state) : "memory");
}

/* Processors of AMD neither save nor restore the addresses of the last x87 instruction and operand
 * unless an exception is pending, and would show one program's to the next. Loading a constant
 * replaces them (AMD APM vol. 2, 11.4.4.3). */
void hal_fpu_restore(const void *state)
{
    static const u32 constant;
    __asm__ volatile("fnclex\n\temms\n\tfildl %0\n\tfxrstorq (%1)" ::"m"(constant), "r"(state)
                     : "memory");
}

void hal_fpu_enable(void)
{
    __asm__ volatile("clts" ::: "memory");
}

void hal_fpu_disable(void)
{
    cr0_write(cr0_read() | CR0_TS);
}

static const struct copy_fixup *fixup_find(const struct hal_trap_frame *frame)
{
    for (const struct copy_fixup *f = port_copy_fixups; f->start != 0; f++) {
        if (frame->rip >= f->start && frame->rip < f->end) {
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
        frame->rip = fixup->target;
    }
    return fixup != NULL;
}
