/* SPDX-License-Identifier: MIT */
/* Calls that can be ended from outside, by the C library's jumps.
 * Owns:      nothing.      Callers: core/heal.
 */
#include <hal/guard.h>
#include <setjmp.h>

struct landing {
    struct hal_guard guard; /* first: what the caller sees */
    jmp_buf jump;
};

struct hal_guard_result hal_guard_call(struct hal_guard **head, void *domain, u64 mark,
                                       guarded_fn *fn, u64 a0, u64 a1, u64 a2, u64 a3)
{
    struct landing landing;
    struct hal_guard_result result = {.ended = 1};
    landing.guard = (struct hal_guard){domain, mark, *head, head};
    if (setjmp(landing.jump) == 0) {
        *head = &landing.guard;
        result.value = fn(a0, a1, a2, a3);
        result.ended = 0;
    }
    *landing.guard.head = landing.guard.outer;
    return result;
}

void hal_guard_leave(struct hal_guard *guard)
{
    longjmp(((struct landing *)guard)->jump, 1);
}

/* There is no frame that could be resumed elsewhere: the exception's handler is left for good. */
void hal_guard_unwind(struct hal_trap_frame *frame, struct hal_guard *guard, bool irqs_enabled)
{
    (void)frame;
    (void)irqs_enabled;
    hal_guard_leave(guard);
}
