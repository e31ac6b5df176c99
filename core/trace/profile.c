/* SPDX-License-Identifier: MIT */
/* The profiler: where the CPUs are when a timer looks.
 * Owns:      a timer on each CPU while it runs. The samples are events in the trace rings, so it
 *            and `trace` exclude each other.
 * Context:   the timers: IRQ. The command: thread, under trace_lock.
 * What it cannot see: code that runs with interrupts masked is charged to where they are unmasked.
 */
#include "trace_priv.h"

#include <core/cpu.h>
#include <core/debug.h>
#include <core/memory.h>
#include <core/shell.h>
#include <core/time.h>
#include <helix/bits.h>
#include <helix/string.h>

#define PERIOD_NS (HX_NS_PER_MS * 997 / 1000) /* not in step with what happens each millisecond */
#define LINES_MAX 40

static struct {
    bool running;
    struct timer timers[HAL_CPUS_MAX];
} profile;

/* A place: a kernel function's first byte, or a task in user mode; and how often it was met. */
struct place {
    u64 where;
    u32 user, count;
};

static void expired(struct timer *timer)
{
    trace_rings[hal_cpu_number()].sample_due = true;
    if (HX_READ_ONCE(profile.running)) {
        timer_start(timer, time_now_ns() + PERIOD_NS);
    }
}

static void start_here(void *arg)
{
    (void)arg;
    struct timer *timer = &profile.timers[hal_cpu_number()];
    timer->expired = expired;
    timer_start(timer, time_now_ns() + PERIOD_NS);
}

static enum hx_status start(void)
{
    if (trace_mask) {
        return HX_ERR_BUSY;
    }
    enum hx_status status = trace_start(1u << TRACE_SAMPLE | 1u << TRACE_TASK_END);
    if (status == HX_OK) {
        profile.running = true;
        cpu_call(cpu_online_mask(), start_here, NULL);
    }
    return status;
}

static void stop(void)
{
    __atomic_store_n(&profile.running, false, __ATOMIC_RELEASE);
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        if (cpu_is_online(cpu)) {
            timer_cancel(&profile.timers[cpu]);
        }
    }
    trace_kinds_set(0, 1u << TRACE_SAMPLE | 1u << TRACE_TASK_END);
}

static bool comes_before(const struct place *a, const struct place *b)
{
    return a->user != b->user ? a->user < b->user : a->where < b->where;
}

/* Shell sort: no recursion, no memory. */
static void sort(struct place *places, u32 count,
                 bool (*before)(const struct place *a, const struct place *b))
{
    for (u32 gap = count / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11) {
        for (u32 i = gap; i < count; i++) {
            struct place place = places[i];
            u32 at = i;
            for (; at >= gap && before(&place, &places[at - gap]); at -= gap) {
                places[at] = places[at - gap];
            }
            places[at] = place;
        }
    }
}

static bool is_more(const struct place *a, const struct place *b)
{
    return a->count > b->count;
}

/* All samples as places, equal ones counted together, the most frequent first. */
static u32 gather(struct place *places, u64 *out_overwritten)
{
    u32 count = 0, distinct = 0;
    *out_overwritten = 0;
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        const struct trace_ring *ring = &trace_rings[cpu];
        u64 next = ring->next, kept = hx_min_u64(next, TRACE_RING_EVENTS);
        *out_overwritten += next - kept;
        for (u64 i = 0; ring->events && i < kept; i++) {
            const struct trace_event *e = &ring->events[i];
            struct symbol symbol;
            if (e->kind != TRACE_SAMPLE) {
                continue;
            }
            bool named = !e->extra && symbol_lookup(e->a, &symbol);
            places[count++] = (struct place){e->extra ? e->task
                                             : named  ? e->a - symbol.offset
                                                      : e->a,
                                             e->extra, 1};
        }
    }
    sort(places, count, comes_before);
    for (u32 i = 0; i < count; i++) {
        if (distinct && !comes_before(&places[distinct - 1], &places[i])) {
            places[distinct - 1].count++;
        } else {
            places[distinct++] = places[i];
        }
    }
    sort(places, distinct, is_more);
    return distinct;
}

static void print_places(const struct place *places, u32 count, u64 overwritten,
                         const struct trace_names *names, bool json)
{
    u64 total = 0;
    for (u32 i = 0; i < count; i++) {
        total += places[i].count;
    }
    if (!json) {
        shell_printf("%lu samples, one each %lu us and CPU, %lu overwritten\n", total,
                     PERIOD_NS / HX_NS_PER_US, overwritten);
        shell_printf("%8s %6s  %s\n", "samples", "%", "where");
    }
    for (u32 i = 0; i < count && i < LINES_MAX; i++) {
        const char *name = "?";
        struct symbol symbol;
        u64 permille = places[i].count * 1000ull / total;
        if (places[i].user) {
            name = trace_name_of(names, (u32)places[i].where);
        } else if (symbol_lookup(places[i].where, &symbol)) {
            name = symbol.name;
        }
        if (json) {
            shell_printf("{\"samples\":%u,\"user\":%s,\"where\":", places[i].count,
                         places[i].user ? "true" : "false");
            shell_print_json_string(name);
            shell_printf("}\n");
        } else {
            shell_printf("%8u %4lu.%lu  %s%s\n", places[i].count, permille / 10, permille % 10,
                         places[i].user ? "user mode: " : "", name);
        }
    }
}

static enum hx_status report(bool json)
{
    u64 overwritten;
    struct trace_names *names = kzalloc(sizeof(*names));
    struct place *places =
        kmalloc((size_t)cpu_online_count() * TRACE_RING_EVENTS * sizeof(*places));
    if (names && places) {
        trace_names_collect(names);
        u32 count = gather(places, &overwritten);
        print_places(places, count, overwritten, names, json);
    }
    enum hx_status status = names && places ? HX_OK : HX_ERR_NO_MEMORY;
    kfree(places);
    kfree(names);
    return status;
}

static int command_profile(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    bool starts = argc == 2 && str_equal(argv[1], "start");
    if (!starts && (argc != 2 + json || !str_equal(argv[1], "stop"))) {
        return shell_usage("profile");
    }
    enum hx_status status = HX_ERR_BAD_STATE;
    mutex_acquire(&trace_lock);
    if (starts && !profile.running) {
        status = start();
    } else if (!starts && profile.running) {
        stop();
        status = report(json);
    }
    mutex_release(&trace_lock);
    if (status != HX_OK) {
        shell_printf("profile: %s\n", hx_status_words(status));
    }
    return status == HX_OK ? SHELL_OK : SHELL_FAILED;
}

SHELL_COMMAND_ADMIN(profile, "profile", "start | stop [--json]",
                    "sample what the CPUs execute, and print a flat profile",
                    "`prof COMMAND` does both around a command.", command_profile);
