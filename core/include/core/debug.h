/* SPDX-License-Identifier: MIT */
/* Names for addresses, and backtraces.
 */
#ifndef CORE_DEBUG_H
#define CORE_DEBUG_H

#include <helix/types.h>

#define SYMBOL_NAME_MAX 64 /* with the NUL; what is longer is cut */

struct symbol {
    char name[SYMBOL_NAME_MAX];
    u64 offset; /* into the function */
};

/* The kernel function that contains `address`. False, and *out as it was, when none does.
 * Context: any. */
bool symbol_lookup(vaddr_t address, struct symbol *out);

/* Follows frame records from `fp` and calls `visit` with each return address, at most `max` times,
 * until a record lies outside mapped kernel memory or goes backwards. Context: any. */
void backtrace_walk(vaddr_t fp, u32 max, void (*visit)(void *ctx, u32 depth, vaddr_t pc),
                    void *ctx);

#endif
