/* SPDX-License-Identifier: MIT */
/* Slabs: runs of frames cut into objects of one size.
 * Owns:      the slabs of every cache; their headers are the frame table's entries, so that an
 *            object's cache is found from its address alone, whoever allocated it.
 * Callers:   heap.c, to fill and to empty magazines.     Context: interrupts masked.
 * Locks:     cache->lock (LOCK_RANK_HEAP); frames are allocated and freed outside of it.
 * Invariant: (1) a slab's header has used + length of its free list == per_slab.  (2) a slab is on
 *            its cache's partial list exactly when it has a free object.  (3) every frame of a slab
 *            names its cache in `mark`; all but the first name the first in `next`.
 * A slab is as small as wastes at most an eighth. Free objects are linked by number through their
 * own memory, or in debug variants through their trailer, so that the poison stays whole.
 * Built without sanitizers: free objects are nobody else's to touch.
 */
#include "heap_priv.h"

#include <helix/bits.h>
#include <helix/panic.h>

static u16 *link_of(const struct kmem_cache *cache, u32 slab, u32 object)
{
    return (u16 *)((u8 *)slab_object(cache, slab, object) + cache->link);
}

HX_COLD void slab_cache_init(struct kmem_cache *cache, const char *name, size_t size, size_t align)
{
    cache->name = name;
    cache->size = (u32)size;
    cache->lock = (struct spinlock)SPINLOCK_INIT("heap cache", LOCK_RANK_HEAP);
    cache->partial = FRAME_NO_PFN;
#ifdef HX_DEBUG
    cache->trailer = (u32)hx_align_up(size, 8) + HEAP_RED_ZONE;
    cache->link = cache->trailer + offsetof(struct trailer, link);
    size = cache->trailer + sizeof(struct trailer);
#endif
    cache->stride = (u32)hx_align_up(size, align);
    u32 bytes = HX_PAGE_SIZE;
    while (bytes < cache->stride || (bytes % cache->stride > bytes / 8 && bytes < SLAB_BYTES)) {
        bytes *= 2;
        cache->order++;
    }
    cache->per_slab = (u16)(bytes / cache->stride);
    cache->magazine = cache->stride <= 512 ? MAGAZINE_MAX : cache->stride <= 2048 ? 14 : 6;
}

static void partial_add_locked(struct kmem_cache *cache, u32 slab)
{
    frame_table[slab].next = cache->partial;
    frame_table[slab].prev = FRAME_NO_PFN;
    if (cache->partial != FRAME_NO_PFN) {
        frame_table[cache->partial].prev = slab;
    }
    cache->partial = slab;
}

static void partial_remove_locked(struct kmem_cache *cache, u32 slab)
{
    const struct frame *f = &frame_table[slab];
    if (f->next != FRAME_NO_PFN) {
        frame_table[f->next].prev = f->prev;
    }
    if (f->prev != FRAME_NO_PFN) {
        frame_table[f->prev].next = f->next;
    } else {
        cache->partial = f->next;
    }
}

/* A new slab, on no list. FRAME_NO_PFN: no memory. */
static u32 slab_create(struct kmem_cache *cache)
{
    paddr_t first;
    enum hx_status status = cache->order == 0
                                ? frame_alloc(0, FRAME_HEAP, &first)
                                : frame_alloc_block(cache->order, 0, FRAME_HEAP, &first);
    if (status != HX_OK) {
        return FRAME_NO_PFN;
    }
    u32 slab = frame_number(first);
    for (u32 i = 0; i < 1u << cache->order; i++) { /* inv 3 */
        frame_table[slab + i].mark = cache->number;
        frame_table[slab + i].kind = i == 0 ? FRAME_SLAB : FRAME_SLAB_TAIL;
        frame_table[slab + i].next = slab;
    }
    heap_debug_fresh(cache, hal_phys_to_virt(first), HX_PAGE_SIZE << cache->order);
    for (u32 i = 0; i < cache->per_slab; i++) {
        *link_of(cache, slab, i) = (u16)(i + 1 < cache->per_slab ? i + 1 : SLAB_END);
    }
    frame_table[slab].slab.used = 0;
    frame_table[slab].slab.first = 0;
    return slab;
}

/* Frees slabs that are linked by next. */
static void slabs_destroy(struct kmem_cache *cache, u32 slab)
{
    while (slab != FRAME_NO_PFN) {
        u32 next = frame_table[slab].next;
        heap_debug_gone(hal_phys_to_virt(frame_address(slab)), HX_PAGE_SIZE << cache->order);
        if (cache->order == 0) {
            frame_free(frame_address(slab));
        } else {
            frame_free_run(frame_address(slab), 1u << cache->order);
        }
        slab = next;
    }
}

u32 slab_refill(struct kmem_cache *cache, void **objects, u32 wanted)
{
    u32 got = 0;
    spin_lock(&cache->lock);
    while (got < wanted) {
        if (cache->partial == FRAME_NO_PFN) {
            if (got > 0) {
                break; /* enough to go on with */
            }
            spin_unlock(&cache->lock);
            u32 fresh = slab_create(cache);
            if (fresh == FRAME_NO_PFN) {
                return 0;
            }
            spin_lock(&cache->lock);
            partial_add_locked(cache, fresh);
            cache->slabs++;
            cache->empty++;
        }
        u32 slab = cache->partial;
        struct frame *f = &frame_table[slab];
        cache->empty -= f->slab.used == 0;
        while (got < wanted && f->slab.first != SLAB_END) {
            HX_ASSERT(f->slab.first < cache->per_slab); /* inv 1: nobody wrote to a free object */
            objects[got++] = slab_object(cache, slab, f->slab.first);
            f->slab.first = *link_of(cache, slab, f->slab.first);
            f->slab.used++;
        }
        if (f->slab.first == SLAB_END) { /* inv 2 */
            partial_remove_locked(cache, slab);
        }
    }
    cache->used += got;
    spin_unlock(&cache->lock);
    return got;
}

u32 slab_find(const struct kmem_cache *cache, const void *p, u32 *out_object)
{
    u32 pfn = frame_number(hal_virt_to_phys(p));
    u32 slab = frame_table[pfn].kind == FRAME_SLAB_TAIL ? frame_table[pfn].next : pfn;
    size_t offset = (size_t)((const u8 *)p - (const u8 *)slab_object(cache, slab, 0));
    *out_object = (u32)(offset / cache->stride);
    return offset % cache->stride == 0 && *out_object < cache->per_slab ? slab : FRAME_NO_PFN;
}

void slab_flush(struct kmem_cache *cache, void **objects, u32 count)
{
    u32 doomed = FRAME_NO_PFN; /* emptied slabs too many */
    spin_lock(&cache->lock);
    for (u32 i = 0; i < count; i++) {
        u32 object, slab = slab_find(cache, objects[i], &object);
        HX_ASSERT(slab != FRAME_NO_PFN);
        struct frame *f = &frame_table[slab];
        HX_ASSERT(f->slab.used > 0); /* inv 1 */
        if (f->slab.first == SLAB_END) {
            partial_add_locked(cache, slab); /* inv 2 */
        }
        *link_of(cache, slab, object) = f->slab.first;
        f->slab.first = (u16)object;
        if (--f->slab.used == 0 && cache->empty++ > 0) { /* one may stay */
            partial_remove_locked(cache, slab);
            cache->empty--;
            cache->slabs--;
            f->next = doomed;
            doomed = slab;
        }
    }
    cache->used -= count;
    spin_unlock(&cache->lock);
    slabs_destroy(cache, doomed);
}

void slab_trim(struct kmem_cache *cache)
{
    u32 doomed = FRAME_NO_PFN;
    spin_lock(&cache->lock);
    for (u32 slab = cache->partial, next; slab != FRAME_NO_PFN; slab = next) {
        next = frame_table[slab].next;
        if (frame_table[slab].slab.used == 0) {
            partial_remove_locked(cache, slab);
            cache->empty--;
            cache->slabs--;
            frame_table[slab].next = doomed;
            doomed = slab;
        }
    }
    spin_unlock(&cache->lock);
    slabs_destroy(cache, doomed);
}
