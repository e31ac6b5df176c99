/* SPDX-License-Identifier: MIT */
/* Benchmarks of the kernel's own memory: what an allocation costs when it is given back soon, which
 * is what the CPUs' caches are for.
 * Context: the shell's thread, one CPU.
 */
#include <core/bench.h>
#include <core/memory.h>
#include <memory/frame.h>

/* One 64-byte object, allocated and freed. */
static enum hx_status kmalloc_64(struct bench_samples *s)
{
    for (u32 i = 0; i < s->max; i++) {
        u64 before = hal_cycles_read();
        void *p = kmalloc(64);
        hx_compiler_barrier();
        kfree(p);
        bench_add(s, before, hal_cycles_read(), 1);
        if (!p) {
            return HX_ERR_NO_MEMORY;
        }
    }
    return HX_OK;
}

/* One frame, as it comes, allocated and freed. */
static enum hx_status frame_pair(struct bench_samples *s)
{
    for (u32 i = 0; i < s->max; i++) {
        paddr_t frame;
        u64 before = hal_cycles_read();
        enum hx_status status = frame_alloc(0, FRAME_DRIVER, &frame);
        if (status != HX_OK) {
            return status;
        }
        frame_free(frame);
        bench_add(s, before, hal_cycles_read(), 1);
    }
    return HX_OK;
}

BENCHMARK(kmalloc_64, "mem.kmalloc_64", 1000, kmalloc_64);
BENCHMARK(frame_alloc, "mem.frame_alloc", 1000, frame_pair);
