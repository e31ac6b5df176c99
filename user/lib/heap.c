/* SPDX-License-Identifier: MIT */
/* The heap: a free list for each power of two, over chunks of pages; large blocks are mappings.
 * Owns:      the chunks, which are never given back: what was needed once is needed again.
 * Context:   any thread.     Lock: heap.lock, for the lists; no call into the kernel with it held
 *            but for a new chunk.
 * Invariant: (1) a block begins with its header, whose `check` tells one that is in use from every
 *            other 16 bytes: it is made of the block's address, and cleared by free().
 *            (2) a free block is on the list of its class, linked through its first bytes.
 */
#include <helix/string.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/thread.h>

#define CHUNK_SIZE  HX_KIB(64)
#define SHIFT_FIRST 5  /* the smallest block, header included: 32 bytes */
#define SHIFT_LAST  15 /* the largest that comes from a chunk: 32 KiB */
#define MAPPED      0  /* in place of a shift: a mapping of its own */
#define CHECK       0x48454c4958000000ull

struct block {
    u64 size_and_shift; /* bytes asked for << 8 | shift of the class */
    union {
        u64 check;
        struct block *next;
    };
};
_Static_assert(sizeof(struct block) == 16, "payloads are aligned to 16 bytes");

static struct {
    struct hx_lock lock;
    struct block *free[SHIFT_LAST + 1]; /* by shift */
    char *chunk;                        /* what is left of the newest chunk */
    size_t left;
} heap;

static u64 check_of(const struct block *block)
{
    return CHECK ^ (u64)(uintptr_t)block;
}

static u32 shift_for(size_t whole)
{
    u32 shift = SHIFT_FIRST;
    while (((size_t)1 << shift) < whole) {
        shift++;
    }
    return shift;
}

/* Cuts a block off the newest chunk. What is left of an old one goes onto the lists first. */
static struct block *cut_locked(u32 shift)
{
    size_t size = (size_t)1 << shift;
    if (heap.left < size) {
        void *chunk;
        if (hx_memory_map(NULL, CHUNK_SIZE, HX_MAP_WRITE, &chunk) != HX_OK) {
            return NULL;
        }
        for (u32 i = SHIFT_LAST; i >= SHIFT_FIRST; i--) {
            if (heap.left >= (size_t)1 << i) {
                struct block *rest = (struct block *)(void *)heap.chunk;
                rest->next = heap.free[i];
                heap.free[i] = rest;
                heap.chunk += (size_t)1 << i;
                heap.left -= (size_t)1 << i;
            }
        }
        heap.chunk = chunk;
        heap.left = CHUNK_SIZE;
    }
    struct block *block = (struct block *)(void *)heap.chunk;
    heap.chunk += size;
    heap.left -= size;
    return block;
}

static struct block *take(u32 shift)
{
    hx_lock_acquire(&heap.lock);
    struct block *block = heap.free[shift];
    if (block) {
        heap.free[shift] = block->next;
    } else {
        block = cut_locked(shift);
    }
    hx_lock_release(&heap.lock);
    return block;
}

static size_t mapping_size(size_t size)
{
    return (size + sizeof(struct block) + HX_PAGE_MASK) & ~HX_PAGE_MASK;
}

void *malloc(size_t size)
{
    struct block *block = NULL;
    u32 shift = MAPPED;
    if (size > PTRDIFF_MAX >> 8) {
        return NULL;
    }
    if (size + sizeof(*block) <= (size_t)1 << SHIFT_LAST) {
        shift = shift_for(size + sizeof(*block));
        block = take(shift);
    } else {
        void *mapping;
        if (hx_memory_map(NULL, mapping_size(size), HX_MAP_WRITE, &mapping) == HX_OK) {
            block = mapping;
        }
    }
    if (!block) {
        return NULL;
    }
    block->size_and_shift = size << 8 | shift;
    block->check = check_of(block);
    return block + 1;
}

static struct block *block_of(void *memory)
{
    struct block *block = (struct block *)memory - 1;
    if ((uintptr_t)memory % sizeof(*block) || block->check != check_of(block)) { /* inv 1 */
        __builtin_trap();
    }
    return block;
}

void free(void *memory)
{
    if (!memory) {
        return;
    }
    struct block *block = block_of(memory);
    u32 shift = block->size_and_shift & 0xff;
    if (shift == MAPPED) {
        HX_IGNORE(hx_memory_unmap(block, mapping_size(block->size_and_shift >> 8)),
                  "it was mapped by malloc; a failure would only keep it");
        return;
    }
    hx_lock_acquire(&heap.lock);
    block->next = heap.free[shift];
    heap.free[shift] = block;
    hx_lock_release(&heap.lock);
}

void *calloc(size_t count, size_t size)
{
    size_t whole;
    if (__builtin_mul_overflow(count, size, &whole)) {
        return NULL;
    }
    void *memory = malloc(whole);
    if (memory && (block_of(memory)->size_and_shift & 0xff) != MAPPED) {
        memset(memory, 0, whole); /* a fresh mapping is zero already */
    }
    return memory;
}

void *realloc(void *memory, size_t size)
{
    void *moved = malloc(size);
    if (memory && moved) {
        size_t old = block_of(memory)->size_and_shift >> 8;
        memcpy(moved, memory, old < size ? old : size);
        free(memory);
    }
    return moved;
}
