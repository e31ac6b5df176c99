/* SPDX-License-Identifier: MIT */
/* Rationing page-table frames inside the kernel, where they come from the early frames' run.
 * Owns:      the run's true size meanwhile.      Callers: mmu_ktest.c.      Context: thread.
 * The pool behind the run is emptied on the first use: it serves boot only.
 */
#include <core/init.h>
#include <helix/panic.h>
#include <memory/early.h>
#include <fixture.h>

static paddr_t run_end(paddr_t run_base)
{
    const struct boot_info *info = boot_info_get();
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        if (run_base >= r->base && run_base - r->base < r->size) {
            return r->base + r->size; /* the run is the end of its region */
        }
    }
    HX_ASSERT(false);
}

void fixture_tables_limit(u32 frames)
{
    struct early_usage usage;
    paddr_t frame;
    early_usage_read(&usage);
    early_frame_add_run(usage.run_base, usage.run_used);
    while (early_frame_alloc(&frame) == HX_OK) {
    }
    early_frame_add_run(usage.run_base, usage.run_used + (u64)frames * HX_PAGE_SIZE);
}

void fixture_tables_unlimit(void)
{
    struct early_usage usage;
    early_usage_read(&usage);
    early_frame_add_run(usage.run_base, run_end(usage.run_base) - usage.run_base);
}
