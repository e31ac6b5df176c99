/* SPDX-License-Identifier: MIT */
/* The lock-free queue under true concurrency, and under ThreadSanitizer, which knows acquire from
 * relaxed whatever this machine's memory does.
 * Usage: ring-threads MESSAGES [CONSUMERS]: eight producers send MESSAGES in all.
 * Checks: each producer's messages arrive in order (with one consumer), none is lost, none twice.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <core/ring.h>

#define PRODUCERS     8u
#define CONSUMERS_MAX 8u
#define SLOTS         64u

static struct {
    struct ring ring;
    struct ring_slot slots[SLOTS];
    u64 each;
    u64 left;     /* a: messages still to be taken */
    u32 *arrived; /* a: how often, by producer and number */
    u64 wrong;    /* a */
    u32 consumers;
} st;

static void *producer(void *arg)
{
    struct ring_message m = {.header = 24, .source = (u64)(uintptr_t)arg};
    for (u64 i = 0; i < st.each; i++) {
        m.data[0] = i;
        m.data[1] = ~i;
        m.data[2] = m.source;
        while (!ring_push(&st.ring, &m)) {
            sched_yield();
        }
    }
    return NULL;
}

static void *consumer(void *arg)
{
    u64 next[PRODUCERS] = {0};
    (void)arg;
    while (__atomic_load_n(&st.left, __ATOMIC_RELAXED)) {
        struct ring_message m;
        if (!ring_pop(&st.ring, &m)) {
            sched_yield();
            continue;
        }
        bool whole = m.header == 24 && m.source < PRODUCERS && m.data[0] < st.each &&
                     m.data[1] == ~m.data[0] && m.data[2] == m.source;
        if (!whole || m.data[0] < next[m.source] ||
            (st.consumers == 1 && m.data[0] > next[m.source])) {
            __atomic_fetch_add(&st.wrong, 1, __ATOMIC_RELAXED);
        } else {
            next[m.source] = m.data[0] + 1;
            __atomic_fetch_add(&st.arrived[m.source * st.each + m.data[0]], 1, __ATOMIC_RELAXED);
        }
        __atomic_fetch_sub(&st.left, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[PRODUCERS + CONSUMERS_MAX];
    u64 count = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    st.consumers = argc > 2 ? (u32)strtoul(argv[2], NULL, 10) : 1;
    st.each = count / PRODUCERS;
    if (st.each == 0 || st.consumers == 0 || st.consumers > CONSUMERS_MAX) {
        fprintf(stderr, "usage: ring-threads MESSAGES [CONSUMERS]\n");
        return 2;
    }
    st.left = st.each * PRODUCERS;
    st.arrived = calloc(st.left, sizeof(u32));
    if (!st.arrived) {
        return 2;
    }
    ring_init(&st.ring, st.slots, SLOTS);
    u32 all = PRODUCERS + st.consumers;
    for (u32 i = 0; i < all; i++) {
        if (pthread_create(&threads[i], NULL, i < PRODUCERS ? producer : consumer,
                           (void *)(uintptr_t)i)) {
            return 2;
        }
    }
    for (u32 i = 0; i < all; i++) {
        pthread_join(threads[i], NULL);
    }
    u64 lost = 0, twice = 0;
    for (u64 i = 0; i < st.each * PRODUCERS; i++) {
        lost += st.arrived[i] == 0;
        twice += st.arrived[i] > 1;
    }
    printf("%lu messages of %u producers to %u consumers: %lu lost, %lu twice, %lu wrong\n",
           st.each * PRODUCERS, PRODUCERS, st.consumers, lost, twice, st.wrong);
    return lost || twice || st.wrong;
}
