/* SPDX-License-Identifier: MIT */
/* Clock and timers.
 * Owns:      the scale from counter to nanoseconds; the queue of armed timers.   Callers: everyone.
 * Context:   any.      Locks: clock.lock around the queue and the hardware timer.
 * Invariant: (1) ns = base_ns + (counter - base_counter) * mult >> 32, and a change of scale moves
 *            the base to the present, so time never goes back.  Readers see one scale: the three
 *            values change under a sequence count.
 *            (2) the hardware is armed for the first timer of the queue, or disarmed.
 */
#include <core/spinlock.h>
#include <core/time.h>
#include <hal/timer.h>
#include <helix/bits.h>
#include <helix/irq.h>
#include <helix/log.h>

#define REFINE_AFTER_NS (100 * HX_NS_PER_MS) /* long enough for a tenth of the first error */

static struct {
    u32 sequence; /* a; odd while the scale changes */
    u64 base_counter, base_ns, mult;
    u64 inverse; /* ticks a nanosecond, 32 fraction bits */
    struct spinlock lock;
    struct list_node armed; /* l; ascending deadlines */
    struct irq_action action;
    struct timer refine;
} clock = {.lock = SPINLOCK_INIT("timers", LOCK_RANK_TIMER), .armed = LIST_INIT(clock.armed)};

u64 time_from_counter_ns(u64 counter)
{
    u32 sequence;
    u64 ns;
    do {
        sequence = __atomic_load_n(&clock.sequence, __ATOMIC_ACQUIRE);
        u64 ticks = counter - clock.base_counter;
        ns = (s64)ticks < 0 ? 0 : clock.base_ns + (u64)((u128)ticks * clock.mult >> 32);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((sequence & 1) || sequence != __atomic_load_n(&clock.sequence, __ATOMIC_RELAXED));
    return ns;
}

u64 time_now_ns(void)
{
    return time_from_counter_ns(hal_counter_read());
}

static u64 counter_from_ns(u64 ns)
{
    if (ns <= clock.base_ns) {
        return clock.base_counter;
    }
    u128 ticks = ((u128)(ns - clock.base_ns) * clock.inverse >> 32) + 1;
    u64 room = UINT64_MAX - clock.base_counter;
    return clock.base_counter + (ticks > room ? room : (u64)ticks);
}

static void set_scale(u64 counter, u64 ns, u64 frequency)
{
    __atomic_store_n(&clock.sequence, clock.sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    clock.base_counter = counter;
    clock.base_ns = ns;
    clock.mult = hx_mul_div(HX_NS_PER_SEC, 1ull << 32, frequency);
    clock.inverse = hx_mul_div(frequency, 1ull << 32, HX_NS_PER_SEC);
    __atomic_store_n(&clock.sequence, clock.sequence + 1, __ATOMIC_RELEASE);
}

static void program_locked(void)
{
    struct timer *first = LIST_FIRST(&clock.armed, struct timer, node); /* inv 2 */
    if (first) {
        hal_timer.arm(counter_from_ns(first->deadline_ns));
    } else {
        hal_timer.disarm();
    }
}

void timer_start(struct timer *timer, u64 deadline_ns)
{
    u64 state = spin_lock_irq(&clock.lock);
    if (timer->node.next) {
        list_remove(&timer->node);
    }
    timer->deadline_ns = deadline_ns;
    struct list_node *at = clock.armed.prev; /* most timers are later than those armed before */
    while (at != &clock.armed && LIST_ENTRY(at, struct timer, node)->deadline_ns > deadline_ns) {
        at = at->prev;
    }
    list_insert_between(&timer->node, at, at->next);
    if (at == &clock.armed) {
        program_locked();
    }
    spin_unlock_irq(&clock.lock, state);
}

bool timer_cancel(struct timer *timer)
{
    u64 state = spin_lock_irq(&clock.lock);
    bool armed = timer->node.next && list_node_is_linked(&timer->node);
    if (armed) {
        bool was_first = clock.armed.next == &timer->node;
        list_remove(&timer->node);
        if (was_first) {
            program_locked();
        }
    }
    spin_unlock_irq(&clock.lock, state);
    return armed;
}

static bool timer_interrupt(void *ctx, irq_t irq)
{
    (void)ctx;
    (void)irq;
    spin_lock(&clock.lock);
    u64 now = time_now_ns();
    struct timer *first;
    while ((first = LIST_FIRST(&clock.armed, struct timer, node)) && first->deadline_ns <= now) {
        list_remove(&first->node);
        spin_unlock(&clock.lock);
        first->expired(first);
        spin_lock(&clock.lock);
    }
    program_locked();
    spin_unlock(&clock.lock);
    return true;
}

static void refine(struct timer *timer)
{
    (void)timer;
    u64 before = hal_timer.frequency();
    hal_timer.refine();
    u64 frequency = hal_timer.frequency();
    if (frequency != before && frequency != 0) {
        u64 counter = hal_counter_read();
        set_scale(counter, time_from_counter_ns(counter), frequency);
        log_debug("time", "counter refined from %lu to %lu Hz", before, frequency);
    }
}

enum hx_status time_init(u64 entry_counter)
{
    u64 frequency = hal_timer.frequency();
    if (frequency == 0) {
        return HX_ERR_NOT_READY;
    }
    set_scale(entry_counter, 0, frequency);
    hal_timer.init_cpu(0);
    clock.action = (struct irq_action){.handler = timer_interrupt, .name = "timer"};
    enum hx_status status = irq_register(hal_timer.irq(), &clock.action, IRQ_TRIGGER_DEFAULT);
    if (status == HX_OK) {
        clock.refine.expired = refine;
        timer_start(&clock.refine, REFINE_AFTER_NS);
    }
    return status;
}
