/* SPDX-License-Identifier: MIT */
/* The kernel's own symbol table, which the build links in after the code, and backtraces by frame
 * records.
 * Owns:      nothing.        Callers: panic, prof.        Context: any; reads constants only.
 * Invariant: (1) ksyms_offsets ascends; the build sorts it and checks the addresses again in the
 *            final image.
 */
#include <core/debug.h>
#include <hal/mmu.h>
#include <helix/bits.h>

extern const u32 ksyms_count;
extern const u32 ksyms_offsets[];      /* from __text_start */
extern const u32 ksyms_name_offsets[]; /* into ksyms_names */
extern const char ksyms_names[];
extern const char __text_start[], __text_end[];

bool symbol_lookup(vaddr_t address, const char **out_name, u64 *out_offset)
{
    if (address < (vaddr_t)__text_start || address >= (vaddr_t)__text_end || !ksyms_count) {
        return false;
    }
    u64 offset = address - (vaddr_t)__text_start;
    u32 low = 0, high = ksyms_count; /* the answer is in [low, high) if there is one */
    while (high - low > 1) {
        u32 middle = low + (high - low) / 2;
        if (ksyms_offsets[middle] <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if (ksyms_offsets[low] > offset) {
        return false;
    }
    *out_name = ksyms_names + ksyms_name_offsets[low];
    *out_offset = offset - ksyms_offsets[low];
    return true;
}

static bool is_mapped(vaddr_t va)
{
    struct hal_mapping mapping;
    return va >= DIRECT_MAP_BASE && hal_mmu.query(&hal_kernel_space, va, &mapping) == HX_OK &&
           !(mapping.flags & (MAP_DEVICE | MAP_USER));
}

HX_NO_SANITIZE void backtrace_walk(vaddr_t fp, u32 max,
                                   void (*visit)(void *ctx, u32 depth, vaddr_t pc), void *ctx)
{
    for (u32 depth = 0; depth < max; depth++) {
        /* 16 bytes at an aligned address cannot straddle a page. */
        if (!hx_is_aligned(fp, 16) || !is_mapped(fp)) {
            return;
        }
        const vaddr_t *record = (const vaddr_t *)fp;
        vaddr_t next = record[0], pc = record[1];
        if (pc == 0) {
            return;
        }
        visit(ctx, depth, pc);
        if (next <= fp) {
            return; /* stacks grow down, so callers lie above; anything else is a loop or damage */
        }
        fp = next;
    }
}
