/* SPDX-License-Identifier: MIT */
/* threads [COUNT]: threads come and go by the hundred, and while they are preempted in the midst of
 * it, nobody's vector registers, thread-local variables or stack become another's.
 */
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/process.h>
#include <hx/thread.h>
#include "expect.h"
#include "simd.h"

#define AT_ONCE     16
#define ROUNDS      4
#define SPINS       200000 /* between two yields: longer than a time slice, all rounds together */
#define YIELDS      4
#define INITIAL     0x1234567890abcdefull
#define COUNT_UNTIL 20000

static _Thread_local u64 initialised = INITIAL;
static _Thread_local u64 zeroed;
static _Thread_local char aligned[64] HX_ALIGNED(64);

static struct {
    struct hx_lock lock;
    u64 counter; /* lock */
} shared;

/* A thread that keeps what is its own, for a while. */
static u64 keeper(void *arg)
{
    u64 leaked = simd_count_nonzero();
    u64 id = (u64)(uintptr_t)arg;
    u64 on_stack[64];
    EXPECT(leaked == 0, "thread %llu began with %llu vector registers of another",
           (unsigned long long)id, (unsigned long long)leaked);
    EXPECT(initialised == INITIAL, "thread %llu's variable begins as %#llx", (unsigned long long)id,
           (unsigned long long)initialised);
    EXPECT(zeroed == 0, "thread %llu's variable begins as %#llx", (unsigned long long)id,
           (unsigned long long)zeroed);
    EXPECT((uintptr_t)aligned % 64 == 0, "a thread's variable lies at %p", (void *)aligned);
    initialised = id;
    memset(aligned, (int)id, sizeof(aligned));
    for (u32 i = 0; i < HX_ARRAY_SIZE(on_stack); i++) {
        HX_WRITE_ONCE(on_stack[i], id * i);
    }
    for (u64 round = 1; round <= ROUNDS; round++) {
        zeroed = id * round;
        u64 lost = simd_hold(id << 32 | round, SPINS, YIELDS);
        EXPECT(lost == 0, "thread %llu lost %llu vector registers", (unsigned long long)id,
               (unsigned long long)lost);
        EXPECT(zeroed == id * round && initialised == id && aligned[63] == (char)id,
               "thread %llu lost a variable", (unsigned long long)id);
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(on_stack); i++) {
        EXPECT(HX_READ_ONCE(on_stack[i]) == id * i, "thread %llu lost its stack",
               (unsigned long long)id);
    }
    return id + INITIAL;
}

static u64 counter(void *arg)
{
    (void)arg;
    for (u32 i = 0; i < COUNT_UNTIL; i++) {
        hx_lock_acquire(&shared.lock);
        shared.counter++;
        hx_lock_release(&shared.lock);
    }
    return 0;
}

static u64 early_leaver(void *arg)
{
    hx_thread_exit((u64)(uintptr_t)arg);
}

static u64 sleeper(void *arg)
{
    hx_sleep((u64)(uintptr_t)arg);
    return 1;
}

/* Starts AT_ONCE threads, joins them, and looks at what they returned. */
static void run_all(hx_thread_fn *fn, u64 first_arg, u64 added)
{
    struct hx_thread threads[AT_ONCE];
    for (u64 i = 0; i < AT_ONCE; i++) {
        EXPECT_STATUS(HX_OK, hx_thread_create(fn, (void *)(uintptr_t)(first_arg + i), &threads[i]));
    }
    for (u64 i = 0; i < AT_ONCE; i++) {
        u64 value = 0;
        EXPECT_STATUS(HX_OK, hx_thread_join(&threads[i], HX_DEADLINE_NEVER, &value));
        EXPECT(fn == counter || value == first_arg + i + added, "thread %llu returned %#llx",
               (unsigned long long)i, (unsigned long long)value);
    }
}

int main(int argc, char **argv)
{
    u64 count = 500;
    if (argc > 2 || (argc == 2 && !str_to_u64(argv[1], &count))) {
        hx_printf("usage: threads [COUNT]\n");
        return 2;
    }
    EXPECT(initialised == INITIAL && zeroed == 0, "the first thread's variables");
    run_all(keeper, 1, INITIAL);
    EXPECT(initialised == INITIAL && zeroed == 0, "the first thread's variables, later");

    run_all(counter, 0, 0);
    EXPECT(shared.counter == (u64)AT_ONCE * COUNT_UNTIL, "%llu counted",
           (unsigned long long)shared.counter);

    for (u64 i = 0; i < count; i++) {
        struct hx_thread thread;
        u64 value = 0;
        enum hx_status status = hx_thread_create(early_leaver, (void *)(uintptr_t)i, &thread);
        EXPECT(status == HX_OK, "thread %llu: %s", (unsigned long long)i, hx_status_name(status));
        if (status != HX_OK) {
            break;
        }
        EXPECT_STATUS(HX_OK, hx_thread_join(&thread, HX_DEADLINE_NEVER, &value));
        EXPECT(value == i, "thread %llu returned %llu", (unsigned long long)i,
               (unsigned long long)value);
    }

    struct hx_thread thread;
    u64 before = hx_clock(HX_CLOCK_MONOTONIC);
    EXPECT_STATUS(HX_OK,
                  hx_thread_create(sleeper, (void *)(uintptr_t)(50 * HX_NS_PER_MS), &thread));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_thread_join(&thread, 0, NULL));
    EXPECT_STATUS(HX_ERR_TIMED_OUT, hx_thread_join(&thread, hx_deadline_after(HX_NS_PER_MS), NULL));
    EXPECT_STATUS(HX_OK, hx_thread_join(&thread, HX_DEADLINE_NEVER, NULL));
    EXPECT(hx_clock(HX_CLOCK_MONOTONIC) - before >= 50 * HX_NS_PER_MS, "it slept less");
    return expect_result("threads");
}
