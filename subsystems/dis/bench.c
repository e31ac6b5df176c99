/* SPDX-License-Identifier: MIT */
/* Benchmarks of the scheduler: what a policy costs with many contexts, and how soon an urgent task
 * runs while 64 others want the CPU.
 * Context: the shell's thread, one CPU.
 */
#include <core/bench.h>
#include <core/memory.h>
#include <core/time.h>
#include <dis/policy.h>
#include <dis/task.h>
#include <helix/bits.h>
#include <helix/string.h>

#define HOGS       64
#define PICK_MAX   100000
#define CHUNK      64 /* contexts of one allocation */
#define WAKE_EVERY (3 * HX_NS_PER_MS)
#define JOB_NS     (20 * HX_NS_PER_US)

/* enqueue, pick, dequeue of the picked one with `count` others in the queue. Contexts without
 * stacks; their lags differ, so that the queue is as mixed as a real one. */
static enum hx_status pick(struct bench_samples *s, u32 count)
{
    static struct sched_ctx *chunks[PICK_MAX / CHUNK + 1];
    static struct sched_queue queue;
    const struct sched_policy_ops *ops = &dis_policy_fair;
    enum hx_status status = HX_ERR_NO_MEMORY;
    u64 random = 88172645463325252ull;
    u32 made = 0;
    memset(&queue, 0, sizeof(queue));
    HX_IGNORE(ops->init(&queue), "it cannot fail");
    for (; made <= count; made++) {
        struct sched_ctx **chunk = &chunks[made / CHUNK];
        if (made % CHUNK == 0 && !(*chunk = kzalloc(CHUNK * sizeof(struct sched_ctx)))) {
            goto out_free;
        }
        struct sched_ctx *ctx = &(*chunk)[made % CHUNK];
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        ctx->id = made;
        ctx->weight = SCHED_WEIGHT_UNIT;
        ctx->inv_weight = 1ull << SCHED_INV_SHIFT;
        ctx->slice_ns = 3 * HX_NS_PER_MS;
        ctx->lag_ns = (s64)(random % (6 * HX_NS_PER_MS)) - (s64)(3 * HX_NS_PER_MS);
        queue.nr++;
        if (made < count) {
            ops->enqueue(&queue, ctx, 0);
        }
    }
    struct sched_ctx *outside = &chunks[count / CHUNK][count % CHUNK];
    for (u32 i = 0; i < s->max; i++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        outside->lag_ns = (s64)(random % (6 * HX_NS_PER_MS)) - (s64)(3 * HX_NS_PER_MS);
        u64 before = hal_cycles_read();
        ops->enqueue(&queue, outside, 0);
        u32 id = ops->pick(&queue);
        outside = &chunks[id / CHUNK][id % CHUNK];
        ops->dequeue(&queue, outside);
        bench_add(s, before, hal_cycles_read(), 1);
    }
    status = HX_OK;
out_free:
    for (u32 i = 0; i <= PICK_MAX / CHUNK; i++) {
        kfree(chunks[i]);
        chunks[i] = NULL;
    }
    return status;
}

static enum hx_status pick_10(struct bench_samples *s)
{
    return pick(s, 10);
}

static enum hx_status pick_1000(struct bench_samples *s)
{
    return pick(s, 1000);
}

static enum hx_status pick_100000(struct bench_samples *s)
{
    return pick(s, PICK_MAX);
}

static struct {
    struct bench_samples *samples;
    bool stop; /* a */
    u64 end;   /* when it was set */
    enum hx_status status;
} wake;

static void hog(void *arg)
{
    (void)arg;
    while (!HX_READ_ONCE(wake.stop)) {
        hal_cpu_relax();
    }
}

static void sleeper(void *arg)
{
    (void)arg;
    struct bench_samples *s = wake.samples;
    for (u32 i = 0; i < s->max && wake.status == HX_OK; i++) {
        u64 deadline = time_now_ns() + WAKE_EVERY;
        wake.status = task_sleep_until(deadline);
        u64 now = time_now_ns(), end = now + JOB_NS;
        bench_add(s, deadline, now, 1);
        while (time_now_ns() < end) {
            hal_cpu_relax();
        }
    }
    wake.end = time_now_ns();
    HX_WRITE_ONCE(wake.stop, true);
}

/* How much later than asked for it runs, with HOGS tasks that never block; of what it leaves, they
 * get at least 99.7 %. */
static enum hx_status wake_among_hogs(struct bench_samples *s, const struct hx_intent *intent)
{
    const struct hx_intent batch = {.size = sizeof(batch), .cls = SCHED_CLASS_BATCH};
    struct hx_intent_result result;
    struct task *tasks[HOGS + 1];
    u64 start = time_now_ns(), ran[2] = {0, 0};
    u32 count = 0;
    wake.samples = s;
    wake.stop = false;
    wake.status = HX_OK;
    enum hx_status status = HX_OK;
    for (; status == HX_OK && count < HOGS; count += status == HX_OK) {
        status = dis_task_start("hog", &batch, hog, NULL, &result, &tasks[count]);
    }
    if (status == HX_OK) {
        status = dis_task_start("urgent", intent, sleeper, NULL, &result, &tasks[count]);
        count += status == HX_OK;
    }
    if (status == HX_OK && result.verdict != HX_INTENT_ADMITTED) {
        status = HX_ERR_NO_FIT;
    }
    if (status != HX_OK) {
        HX_WRITE_ONCE(wake.stop, true);
    }
    while (!HX_READ_ONCE(wake.stop)) {
        HX_IGNORE(task_sleep_until(time_now_ns() + 10 * WAKE_EVERY), "it looks again anyway");
    }
    for (u32 i = 0; i < count; i++) {
        ran[i == HOGS] += tasks[i]->own.acct.exec_ns;
    }
    u64 elapsed = wake.end - start;
    for (u32 i = 0; i < count; i++) {
        s64 value;
        enum hx_status joined = task_join(tasks[i], WAIT_FOREVER, &value);
        status = status == HX_OK ? joined : status;
        task_put(tasks[i]);
    }
    if (status == HX_OK && ran[0] < (elapsed - ran[1]) / 1000 * 997) {
        status = HX_ERR_LIMIT; /* it is bought with the others' time */
    }
    return status == HX_OK ? wake.status : status;
}

static enum hx_status wake_interactive(struct bench_samples *s)
{
    const struct hx_intent intent = {
        .size = sizeof(intent), .cls = SCHED_CLASS_INTERACTIVE, .latency = HX_NS_PER_MS};
    return wake_among_hogs(s, &intent);
}

static enum hx_status wake_realtime(struct bench_samples *s)
{
    const struct hx_intent intent = {.size = sizeof(intent),
                                     .cls = SCHED_CLASS_REALTIME,
                                     .period = WAKE_EVERY - 100 * HX_NS_PER_US,
                                     .wcet = 5 * JOB_NS};
    return wake_among_hogs(s, &intent);
}

BENCHMARK(pick_10, "sched.pick_10", 1000, pick_10);
BENCHMARK(pick_1000, "sched.pick_1000", 1000, pick_1000);
BENCHMARK(pick_100000, "sched.pick_100000", 1000, pick_100000);
BENCHMARK(wake_interactive, "timer.wake_interactive_64hogs", 200, wake_interactive);
BENCHMARK(wake_realtime, "timer.wake_realtime_64hogs", 200, wake_realtime);
