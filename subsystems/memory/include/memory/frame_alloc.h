/* SPDX-License-Identifier: MIT */
/* Frame allocators: what keeps track of which free frames lie together. The truth, which frames are
 * free, is the frame table, and belongs to the kernel: an allocator is an index over it, may be
 * rebuilt from it at any time, and its answers are checked against it. One that answers wrong is
 * replaced by `bump`, which needs no index.
 * Blocks never exceed 2^FRAME_ORDER_MAX frames, aligned to their size, so the memory is handed from
 * one allocator to another block by block while both serve.
 */
#ifndef MEMORY_FRAME_ALLOC_H
#define MEMORY_FRAME_ALLOC_H

#include <memory/frame.h>

#define FRAME_ALLOC_ABI 1u

struct frame_range {
    u32 first, end; /* frame numbers [first, end) */
};

enum frame_zone {
    FRAME_ZONE_16M,  /* below 16 MiB */
    FRAME_ZONE_4G,   /* from there to 4 GiB */
    FRAME_ZONE_REST, /* above */
    FRAME_ZONE_COUNT
};

static inline enum frame_zone frame_zone_of(u32 pfn)
{
    return pfn < 0x1000 ? FRAME_ZONE_16M : pfn < 0x100000 ? FRAME_ZONE_4G : FRAME_ZONE_REST;
}

/* Frame numbers of a zone. */
static inline struct frame_range frame_zone_range(enum frame_zone zone)
{
    static const struct frame_range zones[FRAME_ZONE_COUNT] = {
        {0, 0x1000}, {0x1000, 0x100000}, {0x100000, FRAME_NO_PFN}};
    return zones[zone];
}

/* All mandatory. Calls come under the frame lock with interrupts masked: an allocator neither
 * waits, allocates nor calls back. `index` is its storage. It may use `mark`, `next` and `prev` of
 * free frames that it holds; `mark` is 0 in frames that it is given and in frames it gives away. */
struct frame_alloc_ops {
    u32 abi_version; /* FRAME_ALLOC_ABI */
    u32 size;        /* sizeof(struct frame_alloc_ops) */
    const char *name;
    /* Bytes of storage for an index over these ranges, at most 4 MiB. */
    size_t (*footprint)(const struct frame_range *ranges, u32 count);
    /* Makes an empty index. `storage` is page-aligned; `ranges` ascend and live for ever. */
    void (*init)(void *index, const struct frame_range *ranges, u32 count);
    /* [first, first + count) have become free. They lie in one range. */
    void (*add)(void *index, u32 first, u32 count);
    /* Forgets whatever it holds of [first, first + count): whole blocks of the largest order. */
    void (*remove)(void *index, u32 first, u32 count);
    /* Gives away 2^order frames of `zone`, or answers FRAME_NO_PFN. */
    u32 (*alloc)(void *index, enum frame_zone zone, u32 order);
    /* Is the index consistent in itself and with the table? O(frames): tests. */
    bool (*selfcheck)(void *index);
};

extern const struct frame_alloc_ops frame_bump_ops;   /* no index: a cursor over the frame table */
extern const struct frame_alloc_ops frame_bitmap_ops; /* a bit for each frame */
extern const struct frame_alloc_ops frame_buddy_ops;  /* lists of free blocks by order: default */

/* Hands all free memory over to another allocator while the old one serves, a block at a time.
 * Return: HX_OK; HX_ERR_ABI; HX_ERR_BUSY, another switch is under way; HX_ERR_NO_MEMORY for its
 * storage, nothing changed; HX_ERR_BAD_STATE, one of the two was ejected meanwhile and bump serves.
 * Context: thread. */
enum hx_status frame_allocator_switch(const struct frame_alloc_ops *ops) HX_MUST_CHECK;

/* The longest that a call had to wait for the last switch: cycles under the frame lock. Thread. */
u64 frame_allocator_pause(void);

/* The allocator in use. */
const struct frame_alloc_ops *frame_allocator(void);

/* Runs the allocator's selfcheck and compares its free set with the frame table. Thread. */
bool frame_allocator_check(void);

/* Takes the ranges of RAM and what is free of it; `ops` keeps its index in `storage`, whole frames
 * up to a power of two of them. The frame table stands. Early, once. */
void frame_allocator_start(const struct frame_alloc_ops *ops, void *storage,
                           const struct frame_range *ranges, u32 range_count,
                           const struct frame_range *free, u32 free_count);

#endif
