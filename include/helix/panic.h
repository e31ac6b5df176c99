/* SPDX-License-Identifier: MIT */
/* The end of the road, and the assertions that lead there. A panic stops every CPU, reports the
 * reason, registers, a backtrace and the last log lines on every console, and ends the machine as
 * the command line says. Never reached by anything a user or a module's input does: those get a
 * status. core/panic implements it.
 */
#ifndef HELIX_PANIC_H
#define HELIX_PANIC_H

#include <helix/compiler.h>
#include <helix/types.h>

struct hal_trap_frame;

/* Context: any. `fmt` is the reason, one line. */
void panic(const char *fmt, ...) HX_PRINTF(1, 2) HX_NORETURN HX_COLD;

/* The same for an exception: prints the interrupted registers instead of the caller's. */
void panic_trap(const struct hal_trap_frame *frame, const char *fmt, ...)
    HX_PRINTF(2, 3) HX_NORETURN HX_COLD;

/* Reports a failed assertion; does not return in the kernel proper. */
void hx_assert_failed(const char *expr, const char *file, int line) HX_NORETURN HX_COLD;

/* States an invariant; cite its number in a comment. In every variant. */
#define HX_ASSERT(expr)                                                                            \
    do {                                                                                           \
        if (hx_unlikely(!(expr))) {                                                                \
            hx_assert_failed(#expr, __FILE__, __LINE__);                                           \
        }                                                                                          \
    } while (0)

/* In debug builds only, where the check costs too much for a hot path. */
#ifdef HX_DEBUG
#define HX_DEBUG_ASSERT(expr) HX_ASSERT(expr)
#else
#define HX_DEBUG_ASSERT(expr)                                                                      \
    do {                                                                                           \
        (void)sizeof(expr);                                                                        \
    } while (0)
#endif

#endif
