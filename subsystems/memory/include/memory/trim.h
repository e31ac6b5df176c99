/* SPDX-License-Identifier: MIT */
/* Exact counts: what caches keep for the next use goes back.
 */
#ifndef MEMORY_TRIM_H
#define MEMORY_TRIM_H

/* Empties heap magazines and slabs, and idle kernel stacks, on all CPUs: what is then not free is
 * in use. Slow: for tests, stress runs and a system that is out of memory. Thread. */
void memory_trim(void);

#endif
