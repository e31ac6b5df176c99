/* SPDX-License-Identifier: MIT */
/* Clock and timers.
 * Owns:      the scale from counter to nanoseconds; each CPU's heap of armed timers.
 * Callers:   everyone.      Context: any but NMI.
 * Locks:     queue.lock of a CPU around its heap and its hardware timer.
 * Invariant: (1) ns = base_ns + (counter - base_counter) * mult >> 32, and a change of scale moves
 *            the base to the present, so time never goes back. A scale is published whole, by one
 *            pointer, and not changed afterwards.
 *            (2) a CPU's hardware timer is armed for `programmed`, never later than its first
 *            timer; firing early costs one interrupt that finds nothing, so a timer that is
 *            cancelled or moved back leaves the hardware alone.
 */
#include <core/cpu.h>
#include <core/spinlock.h>
#include <core/time.h>
#include <hal/timer.h>
#include <helix/bits.h>
#include <helix/irq.h>
#include <helix/log.h>

#define REFINE_AFTER_NS (100 * HX_NS_PER_MS) /* long enough for a tenth of the first error */
#define NOT_PROGRAMMED  UINT64_MAX

static struct {
    struct time_scale scales[3]; /* none yet, the first, the refined */
    struct irq_action action;
    struct timer refine;
} clock;

const struct time_scale *time_scale = &clock.scales[0];

struct timer_queue {
    struct spinlock lock;
    struct pheap armed;    /* l */
    u64 programmed;        /* l; ns, inv 2 */
    struct timer *running; /* l; whose callback is being called */
};

static struct timer_queue queues[HAL_CPUS_MAX] = {
    [0 ... HAL_CPUS_MAX - 1] = {.lock = SPINLOCK_INIT("timers", LOCK_RANK_TIMER)},
};

u64 time_from_counter_ns(u64 counter)
{
    const struct time_scale *scale = time_scale;
    if ((s64)(counter - scale->base_counter) < 0) {
        scale = &clock.scales[scale == &clock.scales[2]]; /* what was in force then */
    }
    u64 ticks = counter - scale->base_counter;
    return (s64)ticks < 0 ? scale->base_ns
                          : scale->base_ns + (u64)((u128)ticks * scale->mult >> 32);
}

static u64 counter_from_ns(u64 ns)
{
    const struct time_scale *scale = time_scale;
    if (ns <= scale->base_ns) {
        return scale->base_counter;
    }
    u128 ticks = ((u128)(ns - scale->base_ns) * scale->inverse >> 32) + 1;
    u64 room = UINT64_MAX - scale->base_counter;
    return scale->base_counter + (ticks > room ? room : (u64)ticks);
}

static void set_scale(struct time_scale *scale, u64 counter, u64 ns, u64 frequency)
{
    *scale = (struct time_scale){
        .base_counter = counter,
        .base_ns = ns,
        .mult = hx_mul_div(HX_NS_PER_SEC, 1ull << 32, frequency),
        .inverse = hx_mul_div(frequency, 1ull << 32, HX_NS_PER_SEC),
    };
    __atomic_store_n(&time_scale, scale, __ATOMIC_RELEASE);
}

static void program_locked(struct timer_queue *queue, u64 deadline_ns)
{
    queue->programmed = deadline_ns;
    hal_timer.arm(counter_from_ns(deadline_ns));
}

void timer_start(struct timer *timer, u64 deadline_ns)
{
    u64 state = hal_irq_save();
    cpu_id_t cpu = hal_cpu_number();
    if (hx_unlikely(timer->armed && timer->cpu != cpu)) {
        timer_cancel(timer);
    }
    struct timer_queue *queue = &queues[cpu];
    spin_lock(&queue->lock);
    if (timer->armed) {
        pheap_remove(&queue->armed, &timer->node);
    }
    timer->cpu = cpu;
    timer->armed = true;
    pheap_insert(&queue->armed, &timer->node, deadline_ns);
    if (deadline_ns < queue->programmed) {
        program_locked(queue, deadline_ns);
    }
    spin_unlock(&queue->lock);
    hal_irq_restore(state);
}

bool timer_cancel(struct timer *timer)
{
    struct timer_queue *queue = &queues[timer->cpu];
    u64 state = spin_lock_irq(&queue->lock);
    bool armed = timer->armed;
    if (armed) {
        pheap_remove(&queue->armed, &timer->node);
        timer->armed = false;
    }
    bool elsewhere = queue->running == timer && timer->cpu != hal_cpu_number();
    spin_unlock_irq(&queue->lock, state);
    while (elsewhere && __atomic_load_n(&queue->running, __ATOMIC_ACQUIRE) == timer) {
        hal_cpu_relax();
    }
    return armed;
}

static bool timer_interrupt(void *ctx, irq_t irq)
{
    (void)ctx;
    (void)irq;
    struct timer_queue *queue = &queues[hal_cpu_number()];
    spin_lock(&queue->lock);
    u64 now = time_now_ns();
    while (queue->armed.root && queue->armed.root->key <= now) {
        struct timer *timer = HX_CONTAINER_OF(queue->armed.root, struct timer, node);
        pheap_remove(&queue->armed, &timer->node);
        timer->armed = false;
        queue->running = timer;
        spin_unlock(&queue->lock);
        timer->expired(timer);
        spin_lock(&queue->lock);
        __atomic_store_n(&queue->running, NULL, __ATOMIC_RELEASE);
    }
    if (queue->armed.root) {
        program_locked(queue, queue->armed.root->key);
    } else {
        queue->programmed = NOT_PROGRAMMED;
        hal_timer.disarm();
    }
    spin_unlock(&queue->lock);
    return true;
}

static HX_COLD void refine(struct timer *timer)
{
    (void)timer;
    u64 before = hal_timer.frequency();
    hal_timer.refine();
    u64 frequency = hal_timer.frequency();
    if (frequency != before && frequency != 0) {
        u64 counter = hal_counter_read() - before / 1000; /* a millisecond ago */
        set_scale(&clock.scales[2], counter, time_from_counter_ns(counter), frequency);
        log_debug("time", "counter refined from %lu to %lu Hz", before, frequency);
    }
}

void time_init_cpu(cpu_id_t cpu)
{
    hal_timer.init_cpu(cpu);
}

HX_COLD enum hx_status time_init(u64 entry_counter)
{
    u64 frequency = hal_timer.frequency();
    if (frequency == 0) {
        return HX_ERR_NOT_READY;
    }
    set_scale(&clock.scales[1], entry_counter, 0, frequency);
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        queues[cpu].programmed = NOT_PROGRAMMED;
    }
    time_init_cpu(0);
    clock.action = (struct irq_action){.handler = timer_interrupt, .name = "timer"};
    enum hx_status status = irq_register(hal_timer.irq(), &clock.action, IRQ_TRIGGER_DEFAULT);
    if (status == HX_OK) {
        clock.refine.expired = refine;
        timer_start(&clock.refine, REFINE_AFTER_NS);
    }
    return status;
}
