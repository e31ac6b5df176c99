/* SPDX-License-Identifier: MIT */
/* Interrupt router.
 * Owns:      the list of handlers and the counts of every line.    Callers: drivers; hal_event_irq.
 * Context:   registration: thread or early. Dispatch: IRQ.
 * Locks:     irqs.lock for changes. Dispatch takes none: lists change by single pointer stores
 *            that a reader sees whole, and irq_unregister waits until no dispatch is under way.
 * Why a stuck line is masked: a level interrupt that nobody claims comes back at once, for ever;
 *            one bad device would stop the machine. STUCK_LIMIT in a row, and the line is masked
 *            and named in the log; a new registration unmasks it.
 * Invariant: (1) a line is enabled at the controller iff it has a handler and is not stuck.
 *            (2) count is the sum over dispatches; unhandled of those that no handler claimed.
 */
#include <core/cpu.h>
#include <core/irq.h>
#include <core/spinlock.h>
#include <core/trace.h>
#include <hal/events.h>
#include <helix/log.h>

#define STUCK_LIMIT 1000

struct irq_line {
    struct irq_action *first; /* a: singly walked by dispatch, through node.next */
    u64 count, unhandled;     /* c: written by the CPU that took the interrupt */
    u32 unhandled_in_row;
    bool stuck;
};

static struct {
    struct spinlock lock;
    struct irq_line lines[HAL_IRQ_LINES_MAX];
    u64 spurious; /* a */
} irqs = {.lock = SPINLOCK_INIT("irq", LOCK_RANK_IRQ)};

/* Actions of a line form a chain through node.next, ended by NULL: no head to reach around. */
static struct irq_action *next_action(const struct irq_action *action)
{
    struct list_node *next = __atomic_load_n(&action->node.next, __ATOMIC_ACQUIRE);
    return next ? LIST_ENTRY(next, struct irq_action, node) : NULL;
}

HX_COLD enum hx_status irq_register(irq_t irq, struct irq_action *action,
                                    enum hal_irq_trigger trigger)
{
    if (irq >= hal_irq.lines || !action->handler || !action->name) {
        return HX_ERR_INVALID;
    }
    struct irq_line *line = &irqs.lines[irq];
    enum hx_status status = HX_OK;
    u64 state = spin_lock_irq(&irqs.lock);
    struct irq_action *last = NULL;
    for (struct irq_action *a = line->first; a; a = next_action(a)) {
        if (a == action) {
            status = HX_ERR_EXISTS;
            goto out_unlock;
        }
        last = a;
    }
    action->irq = irq;
    action->count = 0;
    action->node.next = NULL;
    if (last) {
        __atomic_store_n(&last->node.next, &action->node, __ATOMIC_RELEASE);
    } else {
        __atomic_store_n(&line->first, action, __ATOMIC_RELEASE);
    }
    if (!last || line->stuck) { /* inv 1 */
        line->stuck = false;
        line->unhandled_in_row = 0;
        status = hal_irq.enable(irq, trigger);
        if (status != HX_OK) {
            if (last) {
                __atomic_store_n(&last->node.next, NULL, __ATOMIC_RELEASE);
            } else {
                __atomic_store_n(&line->first, NULL, __ATOMIC_RELEASE);
            }
        }
    }
out_unlock:
    spin_unlock_irq(&irqs.lock, state);
    return status;
}

/* This CPU is in thread context, so it waits for others only. */
void irq_quiesce(void)
{
    for (u64 mask = cpu_online_mask(); mask; mask &= mask - 1) {
        struct cpu *cpu = &cpus[__builtin_ctzll(mask)];
        while (__atomic_load_n(&cpu->irq_depth, __ATOMIC_ACQUIRE)) {
            hal_cpu_relax();
        }
    }
}

HX_COLD enum hx_status irq_unregister(struct irq_action *action)
{
    if (action->irq >= hal_irq.lines) {
        return HX_ERR_NOT_FOUND;
    }
    struct irq_line *line = &irqs.lines[action->irq];
    u64 state = spin_lock_irq(&irqs.lock);
    struct irq_action *before = NULL, *a = line->first;
    while (a && a != action) {
        before = a;
        a = next_action(a);
    }
    if (!a) {
        spin_unlock_irq(&irqs.lock, state);
        return HX_ERR_NOT_FOUND;
    }
    if (before) {
        __atomic_store_n(&before->node.next, action->node.next, __ATOMIC_RELEASE);
    } else {
        __atomic_store_n(&line->first, next_action(action), __ATOMIC_RELEASE);
        if (!line->first) {
            hal_irq.mask(action->irq);
        }
    }
    spin_unlock_irq(&irqs.lock, state);
    irq_quiesce(); /* a dispatch that started before may still hold the action */
    return HX_OK;
}

static void report_unhandled(irq_t irq, struct irq_line *line)
{
    line->unhandled++;
    if (line->unhandled == 1) {
        log_warn("irq", "line %u interrupted and nobody claimed it", irq);
    }
    if (++line->unhandled_in_row == STUCK_LIMIT) {
        line->stuck = true;
        hal_irq.mask(irq);
        log_error("irq", "line %u masked: %u interrupts in a row without a taker", irq,
                  STUCK_LIMIT);
    }
}

void hal_event_irq(struct hal_trap_frame *frame)
{
    irq_t irq = hal_irq.ack(frame);
    if (irq >= HAL_IRQ_LINES_MAX) {
        __atomic_fetch_add(&irqs.spurious, 1, __ATOMIC_RELAXED);
        return;
    }
    u64 begin = trace_span_begin(TRACE_IRQ);
    struct cpu *cpu = cpu_this();
    cpu_idle_ends(cpu);
    __atomic_store_n(&cpu->irq_depth, cpu->irq_depth + 1, __ATOMIC_SEQ_CST);
    struct irq_line *line = &irqs.lines[irq];
    bool claimed = false;
    line->count++;
    for (struct irq_action *a = __atomic_load_n(&line->first, __ATOMIC_ACQUIRE); a;
         a = next_action(a)) {
        if (a->handler(a->ctx, irq)) {
            a->count++;
            claimed = true;
        }
    }
    if (claimed) {
        line->unhandled_in_row = 0;
    } else {
        report_unhandled(irq, line);
    }
    __atomic_store_n(&cpu->irq_depth, cpu->irq_depth - 1, __ATOMIC_RELEASE);
    trace_irq_end(frame, begin, irq);
    hal_irq.eoi(irq);
}

HX_COLD bool irq_stats_read(irq_t irq, struct irq_stats *out)
{
    if (irq >= hal_irq.lines) {
        return false;
    }
    struct irq_line *line = &irqs.lines[irq];
    u64 state = spin_lock_irq(&irqs.lock);
    *out = (struct irq_stats){
        .count = line->count, .unhandled = line->unhandled, .masked_as_stuck = line->stuck};
    out->name = line->first ? line->first->name : NULL;
    for (struct irq_action *a = line->first; a; a = next_action(a)) {
        out->handlers++;
    }
    spin_unlock_irq(&irqs.lock, state);
    return true;
}

u64 irq_spurious_count(void)
{
    return __atomic_load_n(&irqs.spurious, __ATOMIC_RELAXED);
}
