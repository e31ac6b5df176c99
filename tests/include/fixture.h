/* SPDX-License-Identifier: MIT */
/* What the contract suite needs from the system that it runs in: kernel or host program.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <hal/mmu.h>

/* Kernel addresses that nothing uses, aligned to 1 GiB, 8 GiB of them. */
#define FIXTURE_BASE (HEAP_BASE + HEAP_SIZE / 2)

/* From now on hal_event_table_alloc() gives this many frames and no more, until lifted. */
void fixture_tables_limit(u32 frames);
void fixture_tables_unlimit(void);

/* Spins until *flag is not 0. Return: false when it still is after a second. */
bool fixture_wait(const volatile u32 *flag);

/* Spins for this long. */
void fixture_spin_ns(u64 ns);

/* Waits until the kernel's own start-up timer, which measures the clock again and logs, is through:
 * from then on no timer runs and nothing logs but the test. */
void fixture_quiet(void);

#endif
