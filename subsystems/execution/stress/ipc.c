/* SPDX-License-Identifier: MIT */
/* stress ipc: the lock-free queue, all workers being producers and consumers of a few of them.
 * Owns:      the rings.        Context: the workers' tasks; a step has interrupts masked, as in the
 *            system calls.
 * What is checked: each message arrives whole, and those of one producer in order as far as one
 *            consumer sees them; at the end each number of messages and the sum of all are the same
 *            on both sides.
 */
#include <core/memory.h>
#include <core/ring.h>
#include <execution/stress.h>
#include <hal/port.h>
#include <helix/panic.h>
#include <helix/string.h>

#define RINGS       2
#define SLOTS       8 /* few, so that full and empty are met often */
#define WORKERS_MAX 64

static struct {
    struct {
        struct ring ring;
        struct ring_slot slots[SLOTS];
        u64 sent, received; /* a */
        u64 sent_sum, received_sum;
    } rings[RINGS];
} arena;

struct own {
    u64 next[RINGS];              /* number of the next message */
    u64 seen[RINGS][WORKERS_MAX]; /* the least that may come from each producer */
};

static void push(struct stress_worker *w, u32 ring)
{
    struct own *own = w->own;
    u64 number = own->next[ring];
    struct ring_message m = {.header = 24, .source = w->index};
    m.data[0] = number;
    m.data[1] = ~number;
    m.data[2] = w->index;
    u64 irqs = hal_irq_save();
    bool done = ring_push(&arena.rings[ring].ring, &m);
    hal_irq_restore(irqs);
    if (!done) {
        stress_count(&w->run->failed);
        return;
    }
    own->next[ring]++;
    __atomic_fetch_add(&arena.rings[ring].sent, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&arena.rings[ring].sent_sum, number + w->index, __ATOMIC_RELAXED);
}

/* False: it is empty. */
static bool pop(struct stress_run *run, u32 ring, u64 *seen)
{
    struct ring_message m = {0};
    u64 irqs = hal_irq_save();
    bool done = ring_pop(&arena.rings[ring].ring, &m);
    hal_irq_restore(irqs);
    if (!done) {
        return false;
    }
    if (m.header != 24 || m.source >= WORKERS_MAX || m.data[1] != ~m.data[0] ||
        m.data[2] != m.source) {
        stress_lost(run, "a message of %lu came out torn\n", m.source);
    } else if (seen && m.data[0] < seen[m.source]) {
        stress_lost(run, "message %lu of %lu came after %lu\n", m.data[0], m.source,
                    seen[m.source] - 1);
    } else if (seen) {
        seen[m.source] = m.data[0] + 1;
    }
    __atomic_fetch_add(&arena.rings[ring].received, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&arena.rings[ring].received_sum, m.data[0] + m.source, __ATOMIC_RELAXED);
    return true;
}

static void do_one(struct stress_worker *w)
{
    struct own *own = w->own;
    u32 ring = stress_below(w, RINGS);
    w->doing = "queue";
    if (stress_below(w, 2)) {
        push(w, ring);
    } else if (!pop(w->run, ring, own->seen[ring])) {
        stress_count(&w->run->failed);
    }
}

static enum hx_status stress_ipc(struct stress_run *run)
{
    memset(&arena, 0, sizeof(arena));
    for (u32 i = 0; i < RINGS; i++) {
        ring_init(&arena.rings[i].ring, arena.rings[i].slots, SLOTS);
    }
    run->threads = run->threads > WORKERS_MAX ? WORKERS_MAX : run->threads;
    enum hx_status status = stress_workers_run(run, sizeof(struct own), do_one, NULL);
    for (u32 i = 0; i < RINGS && status == HX_OK; i++) {
        while (pop(run, i, NULL)) {
        }
        if (arena.rings[i].sent != arena.rings[i].received ||
            arena.rings[i].sent_sum != arena.rings[i].received_sum) {
            stress_lost(run, "queue %u: %lu sent, %lu received\n", i, arena.rings[i].sent,
                        arena.rings[i].received);
        }
    }
    return status;
}

STRESS(ipc, "ipc", 200000, stress_ipc);
