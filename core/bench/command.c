/* SPDX-License-Identifier: MIT */
/* The `bench` command: runs benchmarks and prints their order statistics.
 * Owns:      the sample buffer while a benchmark runs.      Context: the shell's thread.
 */
#include <core/bench.h>
#include <core/memory.h>
#include <core/shell.h>
#include <hal/cpu.h>
#include <helix/string.h>

#define NAMES_MAX 16

/* Shell sort: a few thousand numbers, no recursion, no memory. */
static void sort(u32 *values, u32 count)
{
    for (u32 gap = count / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11) {
        for (u32 i = gap; i < count; i++) {
            u32 value = values[i], at = i;
            for (; at >= gap && values[at - gap] > value; at -= gap) {
                values[at] = values[at - gap];
            }
            values[at] = value;
        }
    }
}

static void print(const char *name, const u32 *sorted, u32 n, bool json)
{
    u32 p50 = sorted[n / 2], p99 = sorted[n - 1 - n / 100], max = sorted[n - 1];
    if (json) {
        shell_printf("{\"name\":\"%s\",\"arch\":\"%s\",\"unit\":\"instructions\",\"min\":%u,"
                     "\"p50\":%u,\"p99\":%u,\"max\":%u,\"n\":%u}\n",
                     name, hal_arch_name, sorted[0], p50, p99, max, n);
    } else {
        shell_printf("%-28s %9u %9u %9u %9u %7u\n", name, sorted[0], p50, p99, max, n);
    }
}

static enum hx_status run(const struct benchmark *b, bool json)
{
    struct bench_samples s = {.max = b->samples};
    s.values = kmalloc(b->samples * sizeof(u32));
    if (!s.values) {
        return HX_ERR_NO_MEMORY;
    }
    u64 best = UINT64_MAX;
    for (u32 i = 0; i < 16; i++) {
        u64 start = hal_cycles_read(), end = hal_cycles_read();
        best = end - start < best ? end - start : best;
    }
    s.overhead = (u32)best;
    enum hx_status status = b->run(&s);
    if (status == HX_OK && s.count == 0) {
        status = HX_ERR_NOT_FOUND;
    }
    if (status == HX_OK) {
        sort(s.values, s.count);
        print(b->name, s.values, s.count, json);
    }
    kfree(s.values);
    return status;
}

static bool wanted(int argc, char **argv, const char *name)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            any = true;
            if (str_glob_match(argv[i], name)) {
                return true;
            }
        }
    }
    return !any;
}

static int command_bench(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    int result = SHELL_OK;
    if (!json) {
        shell_printf("%-28s %9s %9s %9s %9s %7s\n", "name", "min", "p50", "p99", "max", "n");
    }
    HX_SET_FOREACH (benchmarks, it) {
        if (!wanted(argc, argv, (*it)->name)) {
            continue;
        }
        enum hx_status status = run(*it, json);
        if (status == HX_ERR_NOT_SUPPORTED) {
            continue; /* this machine lacks what it measures */
        }
        if (status != HX_OK) {
            shell_printf("bench: %s: %s\n", (*it)->name, hx_status_words(status));
            result = SHELL_FAILED;
        }
    }
    return result;
}

static enum hx_status boot_time(struct bench_samples *s)
{
    s->values[s->count++] = (u32)shell_ready_ns();
    return HX_OK;
}

BENCHMARK(boot, "boot.kernel_to_shell", 1, boot_time);
SHELL_COMMAND(bench, "bench", "[--json] [NAME...]", "measure; NAME may hold * and ?",
              "Figures are instructions when the machine runs under the instruction clock.",
              command_bench);
