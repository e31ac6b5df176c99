/* SPDX-License-Identifier: MIT */
/* Benchmarks of tasks: switching, waiting, locking, sleeping.
 * Context: the shell's thread, one CPU. What runs beside is started and joined by each benchmark.
 */
#include <core/bench.h>
#include <core/sched.h>
#include <core/sync.h>
#include <core/task.h>

static struct {
    struct event ping, pong;
    bool stop;
} partner;

static enum hx_status start(const char *name, void (*entry)(void *arg), struct task **out)
{
    enum hx_status status = task_create(name, entry, NULL, out);
    if (status == HX_OK) {
        task_start(*out);
    }
    return status;
}

static enum hx_status finish(struct task *task)
{
    s64 value;
    enum hx_status status = task_join(task, WAIT_FOREVER, &value);
    task_put(task);
    return status;
}

static void yield_partner(void *arg)
{
    (void)arg;
    while (!HX_READ_ONCE(partner.stop)) {
        task_yield();
    }
}

/* There and back again is two switches. */
static enum hx_status yield_fair(struct bench_samples *s)
{
    struct task *other;
    partner.stop = false;
    enum hx_status status = start("yield", yield_partner, &other);
    if (status != HX_OK) {
        return status;
    }
    for (u32 i = 0; i < s->max; i++) {
        u64 before = hal_cycles_read();
        task_yield();
        bench_add(s, before, hal_cycles_read(), 2);
    }
    HX_WRITE_ONCE(partner.stop, true);
    return finish(other);
}

/* While the exchange before is under way, another is refused. */
static enum hx_status use_policy(const char *name)
{
    enum hx_status status;
    while ((status = sched_policy_set(name)) == HX_ERR_BUSY) {
        task_yield();
    }
    return status;
}

static enum hx_status yield(struct bench_samples *s)
{
    const char *before = sched_policy_name();
    enum hx_status status = use_policy("round_robin");
    if (status == HX_OK) {
        status = yield_fair(s);
    }
    enum hx_status back = use_policy(before);
    return status == HX_OK ? back : status;
}

static void pong_partner(void *arg)
{
    (void)arg;
    for (;;) {
        HX_IGNORE(event_wait(&partner.ping, WAIT_FOREVER), "nobody kills it");
        if (HX_READ_ONCE(partner.stop)) {
            return;
        }
        event_set(&partner.pong);
    }
}

static enum hx_status ping_pong(struct bench_samples *s)
{
    struct task *other;
    partner.stop = false;
    event_init(&partner.ping, false, true);
    event_init(&partner.pong, false, true);
    enum hx_status status = start("pong", pong_partner, &other);
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        u64 before = hal_cycles_read();
        event_set(&partner.ping);
        status = event_wait(&partner.pong, WAIT_FOREVER);
        bench_add(s, before, hal_cycles_read(), 1);
    }
    HX_WRITE_ONCE(partner.stop, true);
    event_set(&partner.ping);
    enum hx_status joined = finish(other);
    return status == HX_OK ? joined : status;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static enum hx_status create_join(struct bench_samples *s)
{
    enum hx_status status = HX_OK;
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        struct task *task;
        u64 before = hal_cycles_read();
        status = start("nothing", do_nothing, &task);
        if (status == HX_OK) {
            status = finish(task);
        }
        bench_add(s, before, hal_cycles_read(), 1);
    }
    return status;
}

static enum hx_status mutex_pair(struct bench_samples *s)
{
    static struct mutex mutex;
    mutex_init(&mutex);
    for (u32 i = 0; i < s->max; i++) {
        u64 before = hal_cycles_read();
        mutex_acquire(&mutex);
        mutex_release(&mutex);
        bench_add(s, before, hal_cycles_read(), 1);
    }
    return HX_OK;
}

/* How much later than asked for a thread runs again, with the CPU idle meanwhile. */
static enum hx_status sleep_overrun(struct bench_samples *s)
{
    enum hx_status status = HX_OK;
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        u64 deadline = time_now_ns() + HX_NS_PER_MS;
        status = task_sleep_until(deadline);
        bench_add(s, deadline, time_now_ns(), 1);
    }
    return status;
}

BENCHMARK(yield, "thread.yield", 2000, yield);
BENCHMARK(yield_fair, "thread.yield_fair", 2000, yield_fair);
BENCHMARK(ping_pong, "thread.switch", 2000, ping_pong);
BENCHMARK(create_join, "thread.create_join_kernel", 1000, create_join);
BENCHMARK(mutex_pair, "thread.mutex", 1000, mutex_pair);
BENCHMARK(sleep_overrun, "thread.sleep_overrun", 500, sleep_overrun);
