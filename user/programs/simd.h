/* SPDX-License-Identifier: MIT */
/* The registers that only floating point and vectors use; one file a processor in arch/.
 */
#ifndef PROGRAMS_SIMD_H
#define PROGRAMS_SIMD_H

#include <helix/types.h>

/* Fills every vector register with values made of `seed`, spins `spins` times, yielding to other
 * threads `yields` times in between, and counts the registers whose value changed. spins, yields:
 * at least 1. Return: that number, 0 when all is well. */
u64 simd_hold(u64 seed, u64 spins, u64 yields);

/* Whether a fresh thread's vector registers are all zero, as they must be: other values are
 * another's. To be called before anything that could use them. Return: how many are not. */
u64 simd_count_nonzero(void);

#endif
