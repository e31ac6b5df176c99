/* SPDX-License-Identifier: MIT */
/* Guards: how the kernel enters a module's code and outlives what happens there. An exception in
 * the module's own text, a failed assertion of its, an overflow of the stack or a run of timer
 * ticks without an end makes the call return here with the news, as if the module had. What a
 * module holds at that moment is on its ledger; kernel functions that it calls are not unwound:
 * they check what they are given first, and an exception inside one is still a panic. A wild write
 * by a module into memory that is not its own is not contained.
 */
#ifndef CORE_GUARD_H
#define CORE_GUARD_H

#include <core/task.h>
#include <hal/guard.h>
#include <helix/list.h>

#define GUARD_TICK_NS HX_NS_PER_MS /* one tick of a hang's count */

/* Why a call was ended. */
enum guard_fault {
    GUARD_NONE,
    GUARD_EXCEPTION, /* in the module's text */
    GUARD_ASSERT,
    GUARD_STACK, /* the stack ran into its guard page */
    GUARD_HANG,  /* its ticks are used up */
    GUARD_FAULT_COUNT
};

/* What `inject` can have a module do. */
enum inject_fault {
    INJECT_NONE,
    INJECT_NULL,      /* reads through a null pointer */
    INJECT_WILD,      /* writes to its own guard page */
    INJECT_UNDEFINED, /* runs what is no instruction */
    INJECT_DIVIDE,    /* divides by zero */
    INJECT_ASSERT,
    INJECT_STACK, /* recurses without end */
    INJECT_HANG,  /* loops without end; only where a hang is noticed */
    INJECT_COUNT
};

const char *inject_name(enum inject_fault fault);
enum inject_fault inject_parse(const char *name); /* INJECT_NONE: no such fault */

struct guard_report {
    enum guard_fault fault;
    vaddr_t pc, address; /* where, and of what; 0 where that means nothing */
    const char *what;    /* the exception's name, or the assertion; a hang's "no end" */
};

/* What may fail without the kernel: the code of one module. */
struct guard_domain {
    vaddr_t text, text_end;
    const char *name;              /* for reports */
    u32 inject;                    /* a: enum inject_fault, for the next call */
    u32 faults[GUARD_FAULT_COUNT]; /* a */
    struct guard_report report;    /* of the last fault; of two at once, parts of both */
};

/* Arms this CPU's timer of ticks. Any but NMI. */
void guard_watch(void);

/* Around a call with ticks: the task says first that it is watched, so that a tick between arming
 * and entering, however late, does not take the timer for idle. Thread. */
static HX_ALWAYS_INLINE void guard_count_begin(void)
{
    task_current()->guards_counted++;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* it is this CPU's timer that looks */
    if (hx_unlikely(!cpu_this()->guard_watched)) {
        guard_watch();
    }
}

static HX_ALWAYS_INLINE void guard_count_end(void)
{
    task_current()->guards_counted--;
}

/* The same as below when something is to be injected. */
enum hx_status guard_call_injected(struct guard_domain *domain, u32 ticks, u64 *out_value);

/* Calls fn(a0, a1, a2, a3) of a domain with at most `ticks` ticks to spend. Return: HX_OK and what
 * it returned in *out_value; HX_ERR_FAULT, it was ended, domain->report says why. Context: thread;
 * or, with 0 ticks, any but NMI with interrupts masked: a hang is not noticed then. In line: it is
 * what every call into a module pays. */
static HX_ALWAYS_INLINE enum hx_status guard_call(struct guard_domain *domain, u32 ticks,
                                                  guarded_fn *fn, u64 a0, u64 a1, u64 a2, u64 a3,
                                                  u64 *out_value)
{
    if (hx_unlikely(domain->inject != INJECT_NONE)) {
        enum hx_status status = guard_call_injected(domain, ticks, out_value);
        if (status != HX_OK) {
            return status;
        }
    }
    if (ticks) {
        guard_count_begin();
    }
    struct hal_guard_result result =
        hal_guard_call(&task_current()->guard, domain, (u64)ticks << 32, fn, a0, a1, a2, a3);
    if (ticks) {
        guard_count_end();
    }
    if (hx_unlikely(result.ended)) {
        return HX_ERR_FAULT;
    }
    *out_value = result.value;
    return HX_OK;
}

/* The next call into the domain has `fault` instead. A hang is injected into a call that would
 * notice it. Any. */
void inject(struct guard_domain *domain, enum inject_fault fault);
u64 inject_run(u64 fault, u64 text, u64 a2, u64 a3); /* for guard_call_injected() */

/* The text in *report for a person. */
const char *guard_fault_name(enum guard_fault fault);

/* For hal_event_trap(): true when the exception was a guarded module's and the frame goes on at its
 * caller. */
bool guard_trap(struct hal_trap_frame *frame, const struct hal_trap *trap);

/* For hal_event_return(), interrupts masked, about to go on with interrupted kernel code: true when
 * that is a module whose ticks are used up, and the frame goes on at its caller. */
bool guard_expired(struct hal_trap_frame *frame);

/* For hx_assert_failed(): does not return when `pc` is in the text of the guarded module. */
void guard_assert(vaddr_t pc, const char *expr);

#endif
