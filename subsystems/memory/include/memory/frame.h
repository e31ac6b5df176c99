/* SPDX-License-Identifier: MIT */
/* Physical memory in frames of 4 KiB. The frame table has an entry for each frame of RAM and is the
 * truth about who owns it; allocators (<memory/frame_alloc.h>) are indexes over what is free. Each
 * CPU keeps a few free frames at hand, so that most calls take no lock.
 * Context unless said otherwise: thread or interrupts masked, any lock below LOCK_RANK_FRAME held;
 * never blocks.
 */
#ifndef MEMORY_FRAME_H
#define MEMORY_FRAME_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define FRAME_ORDER_MAX 10          /* largest block: 2^10 frames, 4 MiB */
#define FRAME_NO_PFN    0xffffffffu /* no frame number: RAM is used up to 16 TiB */

/* Who a frame belongs to. */
enum frame_owner {
    FRAME_NONE,       /* a hole: no RAM, or not ours */
    FRAME_FREE,       /* in the allocator's index: the free set */
    FRAME_CACHED,     /* free, at hand for one CPU */
    FRAME_KERNEL,     /* the kernel image */
    FRAME_BOOT,       /* boot modules, device tree, what the loader left */
    FRAME_FIRMWARE,   /* firmware tables; frame 0 */
    FRAME_TABLE,      /* the frame table itself */
    FRAME_EARLY,      /* taken before the frame table stood: the first page tables */
    FRAME_INDEX,      /* the allocator's own storage */
    FRAME_PAGE_TABLE, /* page tables, the sanitizer's shadow */
    FRAME_HEAP,       /* kmalloc and object caches */
    FRAME_STACK,      /* kernel stacks */
    FRAME_OBJECT,     /* memory objects */
    FRAME_SHARED,     /* copy-on-write pages that several user spaces have */
    FRAME_FILE,       /* contents of files */
    FRAME_DRIVER,     /* buffers that a driver asked for by frame */
    FRAME_TEST,       /* in-kernel tests */
    FRAME_OWNER_COUNT,

    FRAME_FIRST_MODULE = 256, /* and up: modules, by number */
    FRAME_FIRST_SPACE = 4096, /* and up: user address spaces, by number */
    FRAME_OWNER_END = 65536
};

/* What is asked for. Absent both limits: anywhere, from the top down, so that low memory lasts. */
#define FRAME_ZERO      (1u << 0) /* absent: contents are whatever was there */
#define FRAME_BELOW_16M (1u << 1) /* for ISA DMA */
#define FRAME_BELOW_4G  (1u << 2) /* for 32-bit DMA */

/* What a heap frame is, in `kind`; 0 for all others. */
enum frame_kind { FRAME_PLAIN, FRAME_SLAB, FRAME_SLAB_TAIL, FRAME_LARGE };

/* Marking: o whoever owns the frame; f the frame lock. */
struct frame {
    u16 owner; /* o, and f while FRAME_FREE */
    u8 mark;   /* free, f: the index's own. slab: number of its cache */
    u8 kind;   /* o: enum frame_kind */
    union {
        u32 refs; /* o: mappings of a copy-on-write page; pages of a large allocation */
        struct {
            u16 used;  /* objects handed out */
            u16 first; /* first free object, or SLAB_END */
        } slab;        /* cache lock */
    };
    u32 next,
        prev; /* free, f: the index's own. slab: its cache's list; slab tail: next is its head */
};

_Static_assert(sizeof(struct frame) == 16, "one part in 256 of all RAM");

/* Indexed by frame number; mapped where there is RAM, rounded out to blocks of the largest order.
 * Fixed once memory_init_frames() has run. */
extern struct frame *frame_table;

static inline u32 frame_number(paddr_t frame)
{
    return (u32)(frame >> HX_PAGE_SHIFT);
}

static inline paddr_t frame_address(u32 pfn)
{
    return (paddr_t)pfn << HX_PAGE_SHIFT;
}

static inline struct frame *frame_at(paddr_t frame)
{
    return &frame_table[frame_number(frame)];
}

/* One frame for `owner`, which has one reference to it.
 * Return: HX_OK, HX_ERR_NO_MEMORY. What other CPUs have at hand is out of reach. */
enum hx_status frame_alloc(u32 flags, u32 owner, paddr_t *out_frame) HX_MUST_CHECK;

/* Gives a frame back, whoever owns it. Nobody else may use it any more. */
void frame_free(paddr_t frame);

/* The same for frames that are to be all zeroes and mostly are when they come back, as page tables
 * are: such frames are kept apart and not cleared again. */
enum hx_status frame_alloc_zeroed(u32 owner, paddr_t *out_frame) HX_MUST_CHECK;
void frame_free_zeroed(paddr_t frame);

/* 2^order frames in a row, aligned to their size, order <= FRAME_ORDER_MAX; every one of them gets
 * the owner. Return: HX_OK, HX_ERR_INVALID, HX_ERR_NO_MEMORY. */
enum hx_status frame_alloc_block(u32 order, u32 flags, u32 owner, paddr_t *out_first) HX_MUST_CHECK;

/* Gives back `count` frames in a row, wherever they came from. */
void frame_free_run(paddr_t first, u32 count);

/* References, for frames that several mappings share. put frees with the last, and says whether
 * that was it. Thread. */
static inline void frame_get(paddr_t frame)
{
    __atomic_fetch_add(&frame_at(frame)->refs, 1, __ATOMIC_RELAXED);
}

bool frame_put(paddr_t frame);

/* True when the frame table has an entry for this address and it is RAM. Any. */
bool frame_is_ram(paddr_t address);

/* Accounting. The table is counted when somebody asks: nothing is paid for it otherwise. */
struct frame_usage {
    u64 total;                     /* frames of RAM */
    u64 free;                      /* in the index and in the CPUs' caches */
    u64 owners[FRAME_OWNER_COUNT]; /* by owner */
    u64 modules, spaces;           /* all modules, all user spaces */
};
void frame_usage_read(struct frame_usage *out);
u64 frame_count_owner(u32 owner);

/* Frames that could be handed out, exact when nobody allocates meanwhile. Any. */
u64 frame_free_count(void);

/* A lower bound of that, in one load: without the CPUs' caches. Any. */
u64 frame_free_at_least(void);

/* Frames of RAM. Any, once memory_init_frames() has run. */
u64 frame_total_count(void);

/* Name of an owner below FRAME_OWNER_COUNT. */
const char *frame_owner_name(u32 owner);

/* This CPU's frames at hand go back to the index. Any. */
void frame_cache_drain(void);

/* Frees by owner: everything that `owner` still has. Return: how many frames. For what ends without
 * cleaning up after itself, once nothing maps its frames. Thread. */
u64 frame_reclaim_owner(u32 owner);

/* A boot module that nobody needs any more: its whole frames go to the allocator. Return: how many.
 * memory_reclaim_boot() of <core/memory.h> leaves modules and the device tree alone. Thread. */
u64 memory_release_boot(paddr_t base, u64 size);

/* Fault injection: the n-th allocation from now (1: the next) and all after it fail with NO_MEMORY,
 * until called with 0. Any. */
void frame_fail_after(u32 n);

#endif
