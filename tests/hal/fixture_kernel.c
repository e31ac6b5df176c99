/* SPDX-License-Identifier: MIT */
/* Rationing page-table frames inside the kernel, where they come from the frame allocator.
 * Owns:      nothing.      Callers: mmu_ktest.c.      Context: thread, nobody else allocates.
 */
#include <memory/frame.h>
#include <fixture.h>

void fixture_tables_limit(u32 frames)
{
    frame_fail_after(frames + 1);
}

void fixture_tables_unlimit(void)
{
    frame_fail_after(0);
}
