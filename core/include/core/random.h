/* SPDX-License-Identifier: MIT */
/* Random numbers, seeded at boot from the CPU's generator, the loader's seed and the clocks; or
 * from the command line (`seed=N`), so that a run can be repeated. Good for choosing, hashing and
 * testing; whoever needs keys asks for more than this promises.
 */
#ifndef CORE_RANDOM_H
#define CORE_RANDOM_H

#include <helix/types.h>

/* Seeds the generator. Context: early, after the command line is complete. */
void random_init(void);

/* Context: any but NMI. */
u64 random_u64(void);
void random_fill(void *buf, size_t size);

/* Stirs what a device calls random into the generator's state, unless the command line seeded it.
 * Context: any but NMI. */
void random_add(const void *bytes, size_t size);

/* True when anything unpredictable went into the seed. */
bool random_is_seeded(void);

#endif
