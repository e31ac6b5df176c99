/* SPDX-License-Identifier: MIT */
/* A bounded queue of messages for many producers and many consumers, without locks.
 * Owns:      the memory that it is given.          Callers: core/ipc/queue.c; tests.
 * Context:   any; a producer or consumer that stops half-way holds up those behind it, so the
 * kernel keeps interrupts masked meanwhile. How:       a position that only grows belongs to one
 * message for good; its slot is position modulo size. The slot's `turn` says whose it is:
 * `position` - a producer may write it, `position + 1` - a consumer may read it, `position + size`
 * - the producer of the next round may. Producers take positions by compare-and-swap of `head`,
 * consumers of `tail`. Invariant: (1) turn of a slot only grows, and each step is made by the one
 * that the slot belongs to, by a release store, after all its accesses to the message; it is read
 * with acquire. (2) head - tail is at most size, as soon as nobody is half-way. (3) messages of one
 * producer are consumed in the order in which it put them in. Full and empty are what one slot says
 * at one moment: a ring that is being emptied may be called full, and one that is being filled
 * empty. Whoever finishes the step afterwards wakes who waits. Checked:   tests/ipc/ring_model.c
 * tries every interleaving of small instances of this file; tests/ipc/ring_threads.c runs it under
 * ThreadSanitizer.
 */
#ifndef CORE_RING_H
#define CORE_RING_H

#include <abi/ipc.h>
#include <helix/compiler.h>
#include <helix/types.h>

/* A test may look in between two steps of what follows. */
#ifndef RING_STEP
#define RING_STEP() ((void)0)
#endif
#ifndef RING_TAKE /* and may take a position in a way that is wrong, to see that it notices */
#define RING_TAKE(counter, expected)                                                               \
    __atomic_compare_exchange_n(counter, expected, *(expected) + 1, false, __ATOMIC_RELAXED,       \
                                __ATOMIC_RELAXED)
#endif

struct ring_message {
    u64 header; /* HX_MESSAGE_LENGTH() of it says how much of `data` there is */
    u64 source;
    u64 data[HX_MESSAGE_MAX / 8];
};

struct ring_slot {
    u64 turn; /* a: inv 1 */
    struct ring_message message;
};

struct ring {
    struct ring_slot *slots; /* I */
    u64 mask;                /* I: size - 1; the size is a power of two, at least 2 */
    u64 head HX_ALIGNED(64); /* a: next position to be written */
    u64 tail HX_ALIGNED(64); /* a: next position to be read */
};

static inline void ring_init(struct ring *ring, struct ring_slot *slots, u64 size)
{
    ring->slots = slots;
    ring->mask = size - 1;
    ring->head = ring->tail = 0;
    for (u64 i = 0; i < size; i++) {
        slots[i].turn = i;
    }
}

static HX_ALWAYS_INLINE void ring_copy(struct ring_message *to, const struct ring_message *from)
{
    u32 words = (HX_MESSAGE_LENGTH(from->header) + 7) / 8;
    to->header = from->header;
    to->source = from->source;
    RING_STEP();
    for (u32 i = 0; i < words; i++) {
        to->data[i] = from->data[i];
    }
}

/* The slot whose turn is `wanted` steps after its position, which is then the caller's; NULL: the
 * next slot is not so far. */
static HX_ALWAYS_INLINE struct ring_slot *ring_claim(struct ring *ring, u64 *counter, u64 wanted,
                                                     u64 *out_position)
{
    RING_STEP();
    u64 position = __atomic_load_n(counter, __ATOMIC_RELAXED);
    for (;;) {
        struct ring_slot *slot = &ring->slots[position & ring->mask];
        RING_STEP();
        s64 ahead = (s64)(__atomic_load_n(&slot->turn, __ATOMIC_ACQUIRE) - position - wanted);
        if (hx_unlikely(ahead < 0)) {
            return NULL;
        }
        RING_STEP();
        if (hx_unlikely(ahead > 0)) { /* another was faster */
            position = __atomic_load_n(counter, __ATOMIC_RELAXED);
        } else if (hx_likely(RING_TAKE(counter, &position))) {
            *out_position = position;
            return slot;
        }
    }
}

/* Puts a message in. False: it is full. */
static HX_ALWAYS_INLINE bool ring_push(struct ring *ring, const struct ring_message *message)
{
    u64 position;
    struct ring_slot *slot = ring_claim(ring, &ring->head, 0, &position);
    if (!slot) {
        return false;
    }
    RING_STEP();
    ring_copy(&slot->message, message);
    RING_STEP();
    __atomic_store_n(&slot->turn, position + 1, __ATOMIC_RELEASE);
    return true;
}

/* Takes the oldest message out. False: it is empty. */
static HX_ALWAYS_INLINE bool ring_pop(struct ring *ring, struct ring_message *out)
{
    u64 position;
    struct ring_slot *slot = ring_claim(ring, &ring->tail, 1, &position);
    if (!slot) {
        return false;
    }
    RING_STEP();
    ring_copy(out, &slot->message);
    RING_STEP();
    __atomic_store_n(&slot->turn, position + ring->mask + 1, __ATOMIC_RELEASE);
    return true;
}

/* Messages in it, a moment old. */
static inline u64 ring_length(const struct ring *ring)
{
    u64 tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
    u64 length = __atomic_load_n(&ring->head, __ATOMIC_RELAXED) - tail;
    return length > ring->mask + 1 ? ring->mask + 1 : length;
}

#endif
