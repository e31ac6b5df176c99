/* SPDX-License-Identifier: MIT */
/* Kernel stacks, for who looks at them; getting one is in <core/memory.h>.
 */
#ifndef MEMORY_STACK_H
#define MEMORY_STACK_H

#include <helix/types.h>

#define KERNEL_STACKS_MAX 32768 /* mapped at one time */

/* Stacks that are mapped, those kept for the next use included. Any. */
u32 kernel_stack_count(void);

/* Gives back the stacks that are kept for the next use, on all CPUs. Thread. */
void kernel_stack_trim(void);

#endif
