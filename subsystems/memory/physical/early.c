/* SPDX-License-Identifier: MIT */
/* Early frames.
 * Owns:      the pool in .bss and, once given, one run of RAM.     Callers: memory_init, page
 * tables. Context:   early, one CPU. Invariant: (1) a frame is handed out once and never returned:
 * the frame allocator that takes over leaves [run_base, run_base + run_used) and the pool alone.
 */
#include <hal/mmu.h>
#include <helix/string.h>
#include <memory/early.h>

#define POOL_FRAMES 32 /* the image's tables, its alias', the first run's: fewer than 20 */

static u8 pool[POOL_FRAMES][HX_PAGE_SIZE] HX_ALIGNED(4096);

static struct {
    paddr_t image_base; /* physical address of the image's first byte */
    u32 pool_next;
    paddr_t run_base;
    u64 run_size, run_used;
} early;

extern const char __image_start[];

static paddr_t image_phys(const void *p)
{
    return early.image_base + ((vaddr_t)p - (vaddr_t)__image_start);
}

void early_init(paddr_t image_base)
{
    early.image_base = image_base;
}

void early_frame_add_run(paddr_t base, u64 size)
{
    early.run_base = base;
    early.run_size = size;
}

enum hx_status early_frame_alloc(paddr_t *out_frame)
{
    if (early.run_size - early.run_used >= HX_PAGE_SIZE) {
        *out_frame = early.run_base + early.run_used;
        early.run_used += HX_PAGE_SIZE;
        memset(hal_phys_to_virt(*out_frame), 0, HX_PAGE_SIZE);
        return HX_OK;
    }
    if (early.pool_next < POOL_FRAMES) {
        *out_frame = image_phys(pool[early.pool_next++]); /* zero: it is .bss */
        return HX_OK;
    }
    return HX_ERR_NO_MEMORY;
}

void early_usage_read(struct early_usage *out)
{
    *out = (struct early_usage){.run_base = early.run_base,
                                .run_used = early.run_used,
                                .pool_used = (u64)early.pool_next * HX_PAGE_SIZE};
}
