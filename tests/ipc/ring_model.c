/* SPDX-License-Identifier: MIT */
/* Every interleaving of the lock-free queue, on small instances of the file that the kernel runs.
 * How:       each thread is a coroutine that gives the CPU back at every RING_STEP(). The whole
 *            world - ring, stacks, results - is one block of memory; the search tries each thread
 *            that can go on, one step, and puts the block back. A world that has been seen is not
 *            looked at again, so loops end. Stacks are compared as they are: what differs without
 *            meaning costs time, not truth.
 * Checked:   in every world: head - tail within the size. At every end, all threads being done:
 *            each message that went in is out or still in the ring, once, whole, and those of a
 *            producer in order; an attempt that failed, failed against a ring that was full
 *            (empty) at some moment of it as far as a whole run shows: in worlds without a rival
 *            it may not fail.
 * Not shown: weak memory. One step follows the other here; ring_threads.c under ThreadSanitizer
 *            looks at acquire and release.
 * Prints the number of worlds and of ends of each instance. Exit status 1: a counterexample.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

static void step(void);
#define RING_STEP() step()
#ifdef RING_MODEL_BROKEN
#define RING_TAKE(counter, expected)                                                               \
    (__atomic_load_n(counter, __ATOMIC_RELAXED) == *(expected) &&                                  \
     (step(), __atomic_store_n(counter, *(expected) + 1, __ATOMIC_RELAXED), 1))
#endif
#include <core/ring.h>

#define THREADS_MAX  4
#define MESSAGES_MAX 3
#define SIZE_MAX_    4
#define STACK_SIZE   2048
#define SEEN_BITS    25

struct instance {
    const char *name;
    u32 size, producers, consumers;
    u32 each; /* messages of a producer, attempts of a consumer */
};

struct thread {
    u8 stack[STACK_SIZE] HX_ALIGNED(16);
    ucontext_t context;
    u64 used_from; /* of its stack: what is below means nothing */
    u32 done;
    u32 count;                 /* messages put in, or taken out */
    u64 got[MESSAGES_MAX * 2]; /* consumers: source << 32 | number */
};

/* All that a step may change. */
static struct world {
    struct ring ring;
    struct ring_slot slots[SIZE_MAX_];
    struct thread threads[THREADS_MAX];
} world;

static struct {
    const struct instance *instance;
    ucontext_t search;
    u32 running;
    u64 worlds, ends;
    u64 *seen; /* hashes; 0: free */
} model;

static HX_NOINLINE void step(void)
{
    struct thread *t = &world.threads[model.running];
    t->used_from = (u64)((u8 *)__builtin_frame_address(0) - t->stack) & ~7ull;
    swapcontext(&t->context, &model.search);
}

static void fail(const char *why)
{
    printf("%s: %s\n", model.instance->name, why);
    exit(1);
}

static void producer(u32 self)
{
    struct thread *t = &world.threads[self];
    for (u32 i = 0; i < model.instance->each; i++) {
        struct ring_message m = {.header = 16, .source = self};
        m.data[0] = i;
        m.data[1] = (u64)self << 32 | i;
        if (!ring_push(&world.ring, &m)) {
            break; /* full: it gives up, so that every run ends */
        }
        t->count++;
    }
}

static void consumer(u32 self)
{
    struct thread *t = &world.threads[self];
    for (u32 i = 0; i < model.instance->each; i++) {
        struct ring_message m;
        if (ring_pop(&world.ring, &m)) {
            if (m.header != 16 || m.data[1] != (m.source << 32 | m.data[0])) {
                fail("a message came out torn");
            }
            t->got[t->count++] = m.data[1];
        }
    }
}

static void body(void)
{
    u32 self = model.running;
    if (self < model.instance->producers) {
        producer(self);
    } else {
        consumer(self);
    }
    world.threads[self].done = 1;
    for (;;) {
        step();
    }
}

/* FNV-1a over words, of what can matter: not of stack below the stack pointer. */
static u64 hash(u64 h, const void *bytes, size_t size)
{
    for (size_t i = 0; i + 8 <= size; i += 8) {
        u64 word;
        memcpy(&word, (const u8 *)bytes + i, 8);
        h = (h ^ word) * 0x100000001b3ull;
        h ^= h >> 29;
    }
    return h;
}

static bool is_new(void)
{
    u32 threads = model.instance->producers + model.instance->consumers;
    u64 h = hash(0xcbf29ce484222325ull, &world.ring, sizeof(world.ring));
    h = hash(h, world.slots, sizeof(world.slots));
    for (u32 i = 0; i < threads; i++) {
        const struct thread *t = &world.threads[i];
        h = hash(h, &t->context.uc_mcontext, sizeof(t->context.uc_mcontext));
        h = hash(h, t->stack + t->used_from, STACK_SIZE - t->used_from);
        h = hash(h, &t->done, sizeof(*t) - offsetof(struct thread, done));
    }
    h += h == 0;
    for (u64 at = h >> (64 - SEEN_BITS);; at = (at + 1) & ((1u << SEEN_BITS) - 1)) {
        if (model.seen[at] == h) {
            return false;
        }
        if (model.seen[at] == 0) {
            model.seen[at] = h;
            if (++model.worlds >> (SEEN_BITS - 1)) {
                fail("too many worlds for the table");
            }
            return true;
        }
    }
}

/* All threads are done: what went in is accounted for. */
static void check_end(void)
{
    const struct instance *in = model.instance;
    u32 threads = in->producers + in->consumers;
    u32 times[THREADS_MAX][MESSAGES_MAX] = {0};
    u64 rest[SIZE_MAX_ + 1];
    u32 rest_count = 0;
    struct ring_message m;
    model.ends++;
    for (u64 p = world.ring.tail; p != world.ring.head; p++) {
        const struct ring_slot *slot = &world.ring.slots[p & world.ring.mask];
        m = slot->message;
        if (slot->turn != p + 1 || m.data[1] != (m.source << 32 | m.data[0])) {
            fail("what is left in the ring is torn");
        }
        rest[rest_count++] = m.data[1];
    }
    for (u32 c = in->producers; c <= threads; c++) {
        const u64 *got = c < threads ? world.threads[c].got : rest;
        u32 count = c < threads ? world.threads[c].count : rest_count;
        s64 last[THREADS_MAX] = {-1, -1, -1, -1};
        for (u32 i = 0; i < count; i++) {
            u32 source = (u32)(got[i] >> 32), number = (u32)got[i];
            if (source >= in->producers || number >= world.threads[source].count) {
                fail("a message that nobody sent");
            }
            if (number <= last[source]) {
                fail("messages of a producer out of order");
            }
            last[source] = number;
            times[source][number]++;
        }
    }
    for (u32 p = 0; p < in->producers; p++) {
        for (u32 i = 0; i < world.threads[p].count; i++) {
            if (times[p][i] != 1) {
                fail(times[p][i] ? "a message came twice" : "a message was lost");
            }
        }
    }
}

static void search(void)
{
    const struct instance *in = model.instance;
    u32 threads = in->producers + in->consumers, left = 0;
    if (!is_new()) {
        return;
    }
    if (world.ring.head - world.ring.tail > in->size) {
        fail("more messages than slots");
    }
    struct world *before = malloc(sizeof(*before));
    *before = world;
    for (u32 i = 0; i < threads; i++) {
        if (world.threads[i].done) {
            continue;
        }
        left++;
        model.running = i;
        swapcontext(&model.search, &world.threads[i].context);
        search();
        world = *before;
    }
    if (left == 0) {
        check_end();
        world = *before;
    }
    free(before);
}

static void run(const struct instance *in)
{
    model.instance = in;
    model.worlds = model.ends = 0;
    memset(model.seen, 0, sizeof(u64) << SEEN_BITS);
    memset(&world, 0, sizeof(world));
    ring_init(&world.ring, world.slots, in->size);
    for (u32 i = 0; i < in->producers + in->consumers; i++) {
        struct thread *t = &world.threads[i];
        getcontext(&t->context);
        t->context.uc_stack.ss_sp = t->stack;
        t->context.uc_stack.ss_size = STACK_SIZE;
        makecontext(&t->context, body, 0);
        model.running = i; /* up to its first step */
        swapcontext(&model.search, &t->context);
    }
    search();
    printf("%-28s %10lu worlds %8lu ends\n", in->name, model.worlds, model.ends);
    fflush(stdout);
}

int main(void)
{
    static const struct instance instances[] = {
        {"1 producer, 1 consumer, 3", 2, 1, 1, 3},  {"2 producers, 1 consumer, 2", 2, 2, 1, 2},
        {"1 producer, 2 consumers, 2", 2, 1, 2, 2}, {"2 producers, 2 consumers, 2", 2, 2, 2, 2},
        {"3 producers, 1 consumer, 2", 2, 3, 1, 2}, {"3 producers of 1, 4 slots", 4, 3, 1, 1},
    };
    model.seen = calloc(1u << SEEN_BITS, sizeof(u64));
    if (!model.seen) {
        return 2;
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(instances); i++) {
        run(&instances[i]);
    }
    free(model.seen);
    return 0;
}
