/* SPDX-License-Identifier: MIT */
/* The heap, for who looks at it or tests it; using it is in <core/memory.h>.
 * Debug variants keep, behind each object, who allocated it and when, and check it for overflow,
 * double free and use after free; what they find is a panic that names the allocation site.
 */
#ifndef MEMORY_HEAP_H
#define MEMORY_HEAP_H

#include <core/memory.h>

#define HEAP_SMALL_MAX 8192      /* larger requests get whole frames */
#define HEAP_LARGE_MAX HX_MIB(4) /* larger ones get NULL */

struct heap_cache_usage {
    const char *name; /* NULL: no cache has this number */
    u32 size;         /* bytes of an object as its user sees it */
    u32 stride;       /* bytes from one to the next */
    u64 slabs, bytes; /* what it occupies */
    u64 objects;      /* handed out, those in the CPUs' magazines included */
    u64 at_hand;      /* in the magazines */
};

/* Usage of cache number `index`. False past the last number there can be. Thread. */
bool heap_usage_read(u32 index, struct heap_cache_usage *out);

/* Bytes in allocations too large for a cache. */
u64 heap_large_bytes(void);

/* What is handed out: objects, and their bytes with what lies between them. Unlike the frames
 * behind them, neither depends on how old and new ones lie mixed. Exact after heap_trim(). Thread.
 */
struct heap_total {
    u64 objects, bytes;
};
struct heap_total heap_total_read(void);

/* Fault injection: the n-th allocation from now (1: the next) and all after it fail, until called
 * with 0. Any. */
void heap_fail_after(u32 n);

/* Gives back what the magazines and empty slabs hold, on all CPUs. Thread. */
void heap_trim(void);

/* Allocations alive, by who made them; debug variants only. */
struct heap_site {
    vaddr_t site; /* return address of the allocating call */
    u64 objects, bytes;
};

/* "function+0x12", or the bare address, for a report. Any. */
void heap_site_name(vaddr_t site, char *buf, size_t size);

/* A mark in time for heap_sites_read(). */
u64 heap_sequence(void);

/* Fills `out` with the sites of what was allocated at or after the mark and is still there, as many
 * as fit; mark 0 includes large allocations, which are not dated. Return: how many sites there are;
 * 0 in the release variant. Thread, while nobody allocates. */
u32 heap_sites_read(u64 since, struct heap_site *out, u32 max);

#endif
