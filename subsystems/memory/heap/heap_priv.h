/* SPDX-License-Identifier: MIT */
/* What the files of the heap share.
 */
#ifndef HEAP_PRIV_H
#define HEAP_PRIV_H

#include <core/sanitize.h>
#include <core/spinlock.h>
#include <hal/mmu.h>
#include <hal/smp.h>
#include <memory/frame.h>
#include <memory/heap.h>

#define CACHES_MAX   256 /* a cache's number is a byte of the frame table */
#define MAGAZINE_MAX 30
#define SLAB_END     0xffffu
#define SLAB_BYTES   (HX_PAGE_SIZE << 3) /* slabs grow up to here to waste less */

/* Free objects at hand for one CPU. c: that CPU with interrupts masked. */
struct magazine {
    u32 count, capacity;         /* c; capacity I */
    void *objects[MAGAZINE_MAX]; /* c */
};

/* Marking: I immutable after creation; l lock; c the CPU with interrupts masked. */
struct kmem_cache {
    struct magazine *cpu[HAL_CPUS_MAX]; /* c: a shared empty one until first used */
    const char *name;                   /* I: the creator's */
    u32 size;                           /* I: bytes for the user */
    u32 stride;                         /* I */
    u32 trailer;                        /* I: offset of struct trailer; debug variants */
    u32 link;                           /* I: offset of a free object's link */
    u16 per_slab;                       /* I */
    u8 order;                           /* I: frames of a slab */
    u8 number;                          /* I: index into heap_caches */
    u8 magazine;                        /* I: capacity of a magazine; 0: none */
    struct spinlock lock;
    u32 partial;     /* l: first slab with a free object, linked by next and prev */
    u32 empty;       /* l: of those, slabs without any object handed out */
    u64 slabs, used; /* l: used counts objects in magazines too */
};

extern struct kmem_cache *heap_caches[CACHES_MAX];

/* The site in words, for one report. */
struct heap_where {
    char text[80];
};
struct heap_where heap_where(vaddr_t site);

/* slab.c: between slabs and magazines. Interrupts masked, but for init. */
void slab_cache_init(struct kmem_cache *cache, const char *name, size_t size, size_t align);
u32 slab_refill(struct kmem_cache *cache, void **objects, u32 wanted); /* how many it got */
void slab_flush(struct kmem_cache *cache, void **objects, u32 count);
void slab_trim(struct kmem_cache *cache); /* empty slabs go */
/* The slab that holds p, and the number of the object that p points at the start of; FRAME_NO_PFN
 * when it does not. */
u32 slab_find(const struct kmem_cache *cache, const void *p, u32 *out_object);

static inline void *slab_object(const struct kmem_cache *cache, u32 slab, u32 object)
{
    return (u8 *)hal_phys_to_virt(frame_address(slab)) + (size_t)object * cache->stride;
}

/* debug.c: what debug variants keep and check. size: as the user asked; site: who asked. */
#ifdef HX_DEBUG
#define HEAP_RED_ZONE 8 /* bytes at least between an object and its trailer */

struct trailer {
    u32 state;     /* TRAILER_* */
    u32 size;      /* as asked for */
    vaddr_t site;  /* of the last allocation */
    vaddr_t freed; /* of the last free */
    u64 sequence;  /* of the last allocation */
    u64 link;      /* while free */
};

void heap_debug_init(void);
void heap_debug_fresh(struct kmem_cache *cache, void *slab, size_t bytes);
void heap_debug_gone(void *slab, size_t bytes);
void heap_debug_alloc(struct kmem_cache *cache, void *p, size_t size, vaddr_t site);
void heap_debug_free(struct kmem_cache *cache, void *p, vaddr_t site);
#else
#define heap_debug_init()                      ((void)0)
#define heap_debug_fresh(cache, slab, bytes)   ((void)0)
#define heap_debug_gone(slab, bytes)           ((void)0)
#define heap_debug_alloc(cache, p, size, site) ((void)(size), (void)(site))
#define heap_debug_free(cache, p, site)        ((void)(site))
#endif

#endif
