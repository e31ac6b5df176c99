/* SPDX-License-Identifier: MIT */
/* bench-user [--json] [NAME...]: what a program pays for the system, by name or glob.
 *
 * Each sample is counted with hx_counter(), which under QEMU's instruction clock counts guest
 * instructions. What two readings cost with an empty loop in between is subtracted, and nothing
 * else: the stub, the entry, the checks and all work of the kernel are in the figure. Where the
 * counter goes in steps, a sample repeats the operation until a step is small against it, and is
 * the mean. bench-user yield COUNT   the other process of process.switch
 */
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/io.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/thread.h>

#define SAMPLES       1000
#define SAMPLES_SPAWN 100
#define WARM_UP       20
#define REPEAT        64 /* operations a sample, when the counter goes in steps */
#define PROGRAM       "bin/bench-user"

struct benchmark {
    const char *name;
    u32 samples, divisor; /* divisor: operations in what sample() repeats */
    /* Before and after the samples; either may be absent. False: it cannot be measured. */
    bool (*begin)(u32 rounds);
    bool (*end)(void);
    /* Does the operation `repeat` times; what surrounds it is not counted. Return: the count. */
    u64 (*sample)(u32 repeat);
};

static struct {
    u64 overhead; /* of two readings and the loop */
    u64 values[SAMPLES];
    hx_handle_t partner;
    char *page;
    const char *why; /* the first thing that went wrong */
} bench;

static void fail(const char *why)
{
    bench.why = bench.why ? bench.why : why;
}

static void need(enum hx_status status, const char *why)
{
    if (status != HX_OK) {
        fail(why);
    }
}

/* The instructions of `operation`, `repeat` times. One loop for all, so that it costs the same. */
#define COUNT(repeat, operation)                                                                   \
    ({                                                                                             \
        u64 begin_ = hx_counter();                                                                 \
        for (u32 i_ = 0; i_ < (repeat); i_++) {                                                    \
            operation;                                                                             \
            hx_compiler_barrier();                                                                 \
        }                                                                                          \
        hx_counter() - begin_;                                                                     \
    })

static u64 sample_nothing(u32 repeat)
{
    return COUNT(repeat, (void)0);
}

static u64 sample_null(u32 repeat)
{
    return COUNT(repeat, hx_sys_null());
}

static u64 sample_clock(u32 repeat)
{
    return COUNT(repeat, (void)hx_clock(HX_CLOCK_MONOTONIC));
}

/* process.switch: two processes that yield to each other. That they really alternate shows in the
 * end: the partner yields as often as we do and then exits, so it has nothing left to do. */
static bool begin_switch(u32 rounds)
{
    char count[24];
    u32 at = sizeof(count) - 1;
    count[at] = '\0';
    for (u32 left = rounds; left; left /= 10) {
        count[--at] = (char)('0' + left % 10);
    }
    const char *argv[] = {PROGRAM, "yield", count + at};
    return hx_process_spawn(PROGRAM, 3, argv, &bench.partner) == HX_OK;
}

static u64 sample_switch(u32 repeat)
{
    return COUNT(repeat, hx_yield());
}

static bool end_switch(void)
{
    u64 status = 0;
    s64 result = hx_process_wait(bench.partner, hx_deadline_after(HX_NS_PER_MS), &status);
    if (result != HX_OK) {
        fail("the two processes did not take turns");
        need(hx_process_kill(bench.partner), "kill");
    }
    need(hx_handle_close(bench.partner), "close");
    return result == HX_OK && status == 0;
}

static u64 thread_of_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void create_and_join(void)
{
    struct hx_thread thread;
    enum hx_status status = hx_thread_create(thread_of_nothing, NULL, &thread);
    if (status == HX_OK) {
        status = hx_thread_join(&thread, HX_DEADLINE_NEVER, NULL);
    }
    need(status, "a thread");
}

static u64 sample_create_join(u32 repeat)
{
    return COUNT(repeat, create_and_join());
}

static void spawn_and_wait(void)
{
    static const char *const argv[] = {"true"};
    hx_handle_t process;
    u64 exit_status = 1;
    enum hx_status status = hx_process_spawn("bin/true", 1, argv, &process);
    if (status == HX_OK) {
        status = hx_process_wait(process, HX_DEADLINE_NEVER, &exit_status);
        need(hx_handle_close(process), "close");
    }
    need(status, "spawn");
    if (exit_status != 0) {
        fail("bin/true failed");
    }
}

static u64 sample_spawn_wait(u32 repeat)
{
    return COUNT(repeat, spawn_and_wait());
}

/* mem.page_fault: the first write to a page of fresh memory, `repeat` pages in a row. */
static u64 sample_page_fault(u32 repeat)
{
    void *memory;
    size_t size = repeat * HX_PAGE_SIZE;
    if (hx_memory_map(NULL, size, HX_MAP_WRITE, &memory) != HX_OK) {
        fail("map");
        return 0;
    }
    volatile char *at = memory;
    u64 count = COUNT(repeat, (*at = 1, at += HX_PAGE_SIZE));
    need(hx_memory_unmap(memory, size), "unmap");
    return count;
}

/* mem.map_unmap_4k: a page that is really there, so it is touched. */
static void map_and_unmap(void)
{
    void *memory;
    enum hx_status status = hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, &memory);
    if (status == HX_OK) {
        *(volatile char *)memory = 1;
        status = hx_memory_unmap(memory, HX_PAGE_SIZE);
    }
    need(status, "map and unmap");
}

static u64 sample_map_unmap(u32 repeat)
{
    return COUNT(repeat, map_and_unmap());
}

/* mem.protect_4k: one change of a touched page, to read-only and back by turns. */
static bool begin_protect(u32 rounds)
{
    void *memory;
    (void)rounds;
    if (hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, &memory) != HX_OK) {
        return false;
    }
    bench.page = memory;
    bench.page[0] = 1;
    return true;
}

static void protect_twice(void)
{
    enum hx_status first = hx_memory_protect(bench.page, HX_PAGE_SIZE, 0);
    enum hx_status second = hx_memory_protect(bench.page, HX_PAGE_SIZE, HX_MAP_WRITE);
    need(first != HX_OK ? first : second, "protect");
}

static u64 sample_protect(u32 repeat)
{
    u64 count = COUNT(repeat, protect_twice());
    ((volatile char *)bench.page)[0]++;
    return count;
}

static bool end_protect(void)
{
    return hx_memory_unmap(bench.page, HX_PAGE_SIZE) == HX_OK;
}

static const struct benchmark benchmarks[] = {
    {"syscall.null", SAMPLES, 1, NULL, NULL, sample_null},
    {"syscall.clock", SAMPLES, 1, NULL, NULL, sample_clock},
    {"process.switch", SAMPLES, 2, begin_switch, end_switch, sample_switch},
    {"thread.create_join", SAMPLES, 1, NULL, NULL, sample_create_join},
    {"process.spawn_wait", SAMPLES_SPAWN, 1, NULL, NULL, sample_spawn_wait},
    {"mem.page_fault", SAMPLES, 1, NULL, NULL, sample_page_fault},
    {"mem.map_unmap_4k", SAMPLES, 1, NULL, NULL, sample_map_unmap},
    {"mem.protect_4k", SAMPLES, 2, begin_protect, end_protect, sample_protect},
};

static void sort(u64 *values, u32 n)
{
    for (u32 gap = n / 2; gap; gap /= 2) {
        for (u32 i = gap; i < n; i++) {
            u64 value = values[i];
            u32 at = i;
            for (; at >= gap && values[at - gap] > value; at -= gap) {
                values[at] = values[at - gap];
            }
            values[at] = value;
        }
    }
}

/* Takes the samples of one. Return: whether bench.values holds them, sorted. */
static bool measure(const struct benchmark *b, u32 repeat)
{
    u64 operations = (u64)repeat * b->divisor;
    bench.why = NULL;
    if (b->begin && !b->begin((b->samples + WARM_UP) * repeat)) {
        fail("cannot be set up");
        return false;
    }
    for (u32 i = 0; i < WARM_UP; i++) {
        b->sample(repeat);
    }
    for (u32 i = 0; i < b->samples; i++) {
        u64 count = b->sample(repeat);
        bench.values[i] = (count > bench.overhead ? count - bench.overhead : 0) / operations;
    }
    if (b->end && !b->end()) {
        fail("did not end well");
    }
    sort(bench.values, b->samples);
    return !bench.why;
}

static void print(const struct benchmark *b, bool json)
{
    const u64 *v = bench.values;
    u32 n = b->samples;
    const char *fmt = json ? "{\"name\":\"%s\",\"arch\":\"%s\",\"unit\":\"instructions\","
                             "\"min\":%llu,\"p50\":%llu,\"p99\":%llu,\"max\":%llu,\"n\":%u}\n"
                           : "%-20s %-8s min %llu p50 %llu p99 %llu max %llu n %u\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    hx_printf(fmt, b->name, HX_ARCH_NAME, (unsigned long long)v[0], (unsigned long long)v[n / 2],
              (unsigned long long)v[n * 99 / 100], (unsigned long long)v[n - 1], n);
#pragma GCC diagnostic pop
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    bool any = false, wanted = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            any = true;
            wanted |= str_glob_match(argv[i], name);
        }
    }
    return wanted || !any;
}

int main(int argc, char **argv)
{
    u64 count = 0;
    bool json = false;
    if (argc == 3 && str_equal(argv[1], "yield") && str_to_u64(argv[2], &count)) {
        while (count--) {
            hx_yield();
        }
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        json |= str_equal(argv[i], "--json");
        if (argv[i][0] == '-' && !str_equal(argv[i], "--json")) {
            hx_printf("usage: bench-user [--json] [NAME...]\n");
            return 2;
        }
    }
    u32 repeat = hx_counter_step() == 1 ? 1 : REPEAT;
    bench.overhead = UINT64_MAX;
    for (u32 i = 0; i < WARM_UP; i++) {
        u64 nothing = sample_nothing(repeat);
        bench.overhead = nothing < bench.overhead ? nothing : bench.overhead;
    }
    int result = 0;
    for (u32 i = 0; i < HX_ARRAY_SIZE(benchmarks); i++) {
        const struct benchmark *b = &benchmarks[i];
        if (!is_wanted(b->name, argc, argv)) {
            continue;
        }
        if (measure(b, repeat)) {
            print(b, json);
        } else {
            hx_printf("bench-user: %s: %s\n", b->name, bench.why);
            result = 1;
        }
    }
    return result;
}
