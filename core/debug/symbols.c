/* SPDX-License-Identifier: MIT */
/* The kernel's own symbol table, which the build links in after the code, and backtraces by frame
 * records.
 * Owns:      nothing.        Callers: panic, prof.        Context: any; reads constants only.
 * Invariant: (1) offsets ascend, and a code stands for codes below itself: the build makes the
 * table (site_scons/site_tools/image.py describes it) and checks the final image.
 */
#include <core/debug.h>
#include <hal/mmu.h>
#include <helix/bits.h>

#define BLOCK 32 /* entries */

extern const u32 ksyms_count;
extern const struct {
    u32 offset; /* of the first entry from __text_start */
    u32 at;     /* in ksyms_stream */
} ksyms_blocks[];
extern const u8 ksyms_stream[];
extern const u8 ksyms_pairs[][2];
extern const char __text_start[], __text_end[];

/* Adds what `code` stands for to the name, whose `size` bytes are not exceeded. inv 1 */
static void name_add(struct symbol *symbol, u32 *size, u8 code)
{
    if (code >= 128) {
        name_add(symbol, size, ksyms_pairs[code - 128][0]);
        name_add(symbol, size, ksyms_pairs[code - 128][1]);
    } else if (*size < sizeof(symbol->name) - 1) {
        symbol->name[(*size)++] = (char)code;
    }
}

bool symbol_lookup(vaddr_t address, struct symbol *out)
{
    if (address < (vaddr_t)__text_start || address >= (vaddr_t)__text_end || !ksyms_count) {
        return false;
    }
    u64 offset = address - (vaddr_t)__text_start;
    u32 block = 0, blocks = (ksyms_count + BLOCK - 1) / BLOCK, size = 0;
    while (block + 1 < blocks && ksyms_blocks[block + 1].offset <= offset) {
        block++;
    }
    u64 start = ksyms_blocks[block].offset; /* of the function that is found */
    if (start > offset) {
        return false;
    }
    const u8 *at = ksyms_stream + ksyms_blocks[block].at, *name = at;
    for (u32 i = block * BLOCK; i < ksyms_count && i < (block + 1) * BLOCK; i++) {
        u64 step = 0;
        u32 shift = 0;
        do {
            step |= (u64)(*at & 127) << shift;
            shift += 7;
        } while (*at++ & 128);
        if (start + step > offset) {
            break;
        }
        start += step;
        name = at;
        at += 1 + *at;
    }
    for (u32 i = 0; i < name[0]; i++) {
        name_add(out, &size, name[1 + i]);
    }
    out->name[size] = '\0';
    out->offset = offset - start;
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
