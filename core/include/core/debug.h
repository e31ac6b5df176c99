/* SPDX-License-Identifier: MIT */
/* Names for addresses, and backtraces.
 */
#ifndef CORE_DEBUG_H
#define CORE_DEBUG_H

#include <helix/types.h>

/* The kernel function that contains `address`: name and offset into it. False when none does.
 * The name lives as long as the kernel. Context: any. */
bool symbol_lookup(vaddr_t address, const char **out_name, u64 *out_offset);

/* Follows frame records from `fp` and calls `visit` with each return address, at most `max` times,
 * until a record lies outside mapped kernel memory or goes backwards. Context: any. */
void backtrace_walk(vaddr_t fp, u32 max, void (*visit)(void *ctx, u32 depth, vaddr_t pc),
                    void *ctx);

#endif
