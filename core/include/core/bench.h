/* SPDX-License-Identifier: MIT */
/* Benchmarks inside the kernel. Each takes samples in cycles of hal_cycles_read(), which are
 * instructions when the machine runs under the instruction clock; `bench` prints the smallest, the
 * median, the 99th percentile and the largest. They are a linker set, beside what they measure.
 */
#ifndef CORE_BENCH_H
#define CORE_BENCH_H

#include <hal/port.h>
#include <helix/compiler.h>
#include <helix/status.h>

struct bench_samples {
    u32 *values;
    u32 count, max;
    u32 overhead; /* of two reads of the counter with nothing between */
};

struct benchmark {
    const char *name; /* as command-line documentation lists them */
    u32 samples;      /* wanted */
    /* Takes up to s->max samples. HX_ERR_NOT_SUPPORTED: this machine lacks what it measures, and
     * it is left out. Context: the shell's thread. */
    enum hx_status (*run)(struct bench_samples *s);
};

#define BENCHMARK(id, ...)                                                                         \
    static const struct benchmark benchmark_##id = {__VA_ARGS__};                                  \
    HX_SET_ADD(benchmarks, benchmark_##id)
HX_SET_DECLARE(benchmarks, struct benchmark);

/* Adds what lay between two reads of the counter, `per` operations of it. */
static inline void bench_add(struct bench_samples *s, u64 start, u64 end, u32 per)
{
    u64 cycles = end - start;
    cycles -= cycles > s->overhead ? s->overhead : cycles;
    if (s->count < s->max) {
        s->values[s->count++] = (u32)((cycles + per - 1) / per);
    }
}

#endif
