/* SPDX-License-Identifier: MIT */
/* Fault injection: the next call into a module does something bad instead.
 * Owns:      nothing.      Callers: guard_call_injected(); the shell's `inject`, stress runs.
 * Context:   that of the call.
 * The bad code is the kernel's but runs as the module's: the guard takes its addresses for the
 * module's own. So what is tested is what happens after a fault, whichever code had it.
 */
#include <core/guard.h>

#include <helix/panic.h>
#include <helix/string.h>

static const char *const inject_names[] = {
    [INJECT_NONE] = "none",           [INJECT_NULL] = "null",     [INJECT_WILD] = "wild",
    [INJECT_UNDEFINED] = "undefined", [INJECT_DIVIDE] = "divide", [INJECT_ASSERT] = "assert",
    [INJECT_STACK] = "stack",         [INJECT_HANG] = "hang"};
_Static_assert(HX_ARRAY_SIZE(inject_names) == INJECT_COUNT, "a fault without a name");

const char *inject_name(enum inject_fault fault)
{
    return fault < INJECT_COUNT ? inject_names[fault] : "?";
}

enum inject_fault inject_parse(const char *name)
{
    enum inject_fault fault = INJECT_COUNT - 1;
    while (fault != INJECT_NONE && !str_equal(inject_names[fault], name)) {
        fault--;
    }
    return fault;
}

void inject(struct guard_domain *domain, enum inject_fault fault)
{
    __atomic_store_n(&domain->inject, (u32)fault, __ATOMIC_RELEASE);
}

static volatile u32 zero; /* nobody knows at compile time */

/* Deep enough for any stack; the result depends on every frame, so none is left out. */
HX_NOINLINE static u64 overflow(u64 depth)
{
    volatile u8 frame[512];
    memset((void *)(uintptr_t)frame, (int)depth, sizeof(frame));
    return depth == 0 ? frame[0] : overflow(depth - 1) + frame[depth % sizeof(frame)];
}

/* The module's text is preceded by its guard page: memory of its own that is not there. */
HX_NO_SANITIZE u64 inject_run(u64 fault, u64 text, u64 a2, u64 a3)
{
    (void)a2;
    (void)a3;
    switch ((enum inject_fault)fault) {
    case INJECT_NULL:
        return *(volatile u32 *)(uintptr_t)zero;
    case INJECT_WILD:
        *(volatile u32 *)(text - 8) = 1;
        break;
    case INJECT_DIVIDE: /* not every processor traps it: modules are compiled to check */
        if (zero == 0) {
            __builtin_trap();
        }
        return 1 / zero;
    case INJECT_ASSERT:
        HX_ASSERT(zero != 0);
        break;
    case INJECT_STACK:
        return overflow(1u << 20);
    case INJECT_HANG:
        while (zero == 0) {
        }
        break;
    default:
        __builtin_trap();
    }
    return 0;
}
