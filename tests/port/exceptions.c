/* SPDX-License-Identifier: MIT */
/* Exceptions of the do-nothing port: it takes none; a test calls hal_event_trap() with a frame.
 * Owns:      nothing.
 */
#include <hal/trap.h>

void hal_trap_frame_print(const struct hal_trap_frame *frame,
                          void (*print)(void *ctx, const char *fmt, ...), void *ctx)
{
    print(ctx, "pc %016lx  sp %016lx  fp %016lx", frame->pc, frame->sp, frame->fp);
}

HX_NOINLINE void hal_trap_frame_capture(struct hal_trap_frame *frame)
{
    *frame = (struct hal_trap_frame){
        .pc = (vaddr_t)__builtin_return_address(0),
        .sp = hal_stack_pointer(),
        .fp = *(const vaddr_t *)hal_frame_pointer(), /* the caller's */
    };
}

void hal_trap_frame_set_pc(struct hal_trap_frame *frame, vaddr_t pc)
{
    frame->pc = pc;
}
