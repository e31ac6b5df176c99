/* SPDX-License-Identifier: MIT */
/* What debug variants check in the heap.
 * Owns:      the trailer behind each object.      Callers: heap.c, slab.c.
 * Context:   that of the heap call, outside of its locks.
 * An object's stride is [asked-for bytes][red zone][trailer]. The red zone and free objects hold
 * patterns; a free or the next allocation finds what has written over them. In the asan variant the
 * shadow says the same to every single access, at the moment of the crime.
 * Invariant: (1) trailer.state is TRAILER_FREE or TRAILER_USED; anything else is damage.
 * Built without sanitizers: it reads what nobody else may.
 */
#include "heap_priv.h"

#ifdef HX_DEBUG

#include <core/init.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/panic.h>

#define TRAILER_FREE 0xf4eef4eeu
#define TRAILER_USED 0x05ed05edu
#define POISON_FREE  0x6b /* freed bytes */
#define POISON_FRESH 0xa5 /* allocated, not yet written */
#define POISON_RED   0xbb

static u64 sequence; /* a: allocations so far */

static struct trailer *trailer_of(const struct kmem_cache *cache, void *p)
{
    return (struct trailer *)((u8 *)p + cache->trailer);
}

/* Without memset, which asks the shadow. */
static void fill(u8 *p, u8 value, size_t n)
{
    for (; n > 0; n--) {
        *p++ = value;
        hx_compiler_barrier();
    }
}

/* Offset of the first byte that is not `value`, or n. */
static size_t differs_at(const u8 *p, u8 value, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] == value) {
        i++;
    }
    return i;
}

#ifdef HX_KASAN
static bool covered; /* every place where an object may lie has a shadow */

void heap_debug_init(void)
{
    const struct boot_info *info = boot_info_get();
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        if (r->kind != BOOT_REGION_RAM && r->kind != BOOT_REGION_LOADER &&
            r->kind != BOOT_REGION_RECLAIMABLE) {
            continue;
        }
        enum hx_status status = kasan_cover(DIRECT_MAP_BASE + r->base, r->size);
        if (status != HX_OK) {
            log_warn("heap", "not watched by the address sanitizer: RAM at 0x%lx: %s", r->base,
                     hx_status_words(status));
            return;
        }
    }
    covered = true;
}

static void shadow_poison(void *p, size_t n, u8 why)
{
    if (covered) {
        kasan_poison((vaddr_t)p, n, why);
    }
}

static void shadow_unpoison(void *p, size_t n)
{
    if (covered) {
        kasan_unpoison((vaddr_t)p, n);
    }
}
#else
void heap_debug_init(void)
{
}

static void shadow_poison(void *p, size_t n, u8 why)
{
    (void)p;
    (void)n;
    (void)why;
}

static void shadow_unpoison(void *p, size_t n)
{
    (void)p;
    (void)n;
}
#endif

void heap_debug_fresh(struct kmem_cache *cache, void *slab, size_t bytes)
{
    for (u32 i = 0; i < cache->per_slab; i++) {
        u8 *p = (u8 *)slab + (size_t)i * cache->stride;
        fill(p, POISON_FREE, cache->trailer);
        trailer_of(cache, p)->state = TRAILER_FREE;
        trailer_of(cache, p)->site = 0;
        trailer_of(cache, p)->freed = 0;
    }
    shadow_poison(slab, bytes, KASAN_FREED);
}

void heap_debug_gone(void *slab, size_t bytes)
{
    shadow_unpoison(slab, bytes);
}

void heap_debug_alloc(struct kmem_cache *cache, void *p, size_t size, vaddr_t site)
{
    struct trailer *t = trailer_of(cache, p);
    if (t->state != TRAILER_FREE) { /* inv 1 */
        panic("heap: the end of free object 0x%lx of %s was overwritten", (vaddr_t)p, cache->name);
    }
    size_t bad = differs_at(p, POISON_FREE, cache->trailer);
    if (bad < cache->trailer) {
        struct heap_where before = heap_where(t->site), end = heap_where(t->freed);
        panic("heap: use after free: byte %zu of 0x%lx (%s) was written; allocated by %s, freed by "
              "%s",
              bad, (vaddr_t)p, cache->name, before.text, end.text);
    }
    fill(p, POISON_FRESH, size);
    fill((u8 *)p + size, POISON_RED, cache->trailer - size);
    t->state = TRAILER_USED;
    t->size = (u32)size;
    t->site = site;
    t->sequence = __atomic_fetch_add(&sequence, 1, __ATOMIC_RELAXED);
    shadow_unpoison(p, size);
    vaddr_t rest = hx_align_up((vaddr_t)p + size, 8);
    shadow_poison((void *)rest, (vaddr_t)p + cache->stride - rest, KASAN_HEAP_RED_ZONE);
}

void heap_debug_free(struct kmem_cache *cache, void *p, vaddr_t site)
{
    u32 object;
    if (slab_find(cache, p, &object) == FRAME_NO_PFN) {
        panic("heap: 0x%lx freed by %s is inside an object of %s, not at its start", (vaddr_t)p,
              heap_where(site).text, cache->name);
    }
    struct trailer *t = trailer_of(cache, p);
    if (t->state == TRAILER_FREE) {
        struct heap_where before = heap_where(t->freed);
        panic("heap: double free of 0x%lx (%s) by %s; freed before by %s", (vaddr_t)p, cache->name,
              heap_where(site).text, before.text);
    }
    if (t->state != TRAILER_USED || t->size > cache->size) {
        panic("heap: overflow of 0x%lx (%s), found when %s freed it: what lies behind it is gone",
              (vaddr_t)p, cache->name, heap_where(site).text);
    }
    size_t red = cache->trailer - t->size;
    size_t bad = differs_at((u8 *)p + t->size, POISON_RED, red);
    if (bad < red) {
        panic("heap: overflow of 0x%lx (%s, %u bytes): byte %zu past its end was written; "
              "allocated by %s",
              (vaddr_t)p, cache->name, t->size, bad, heap_where(t->site).text);
    }
    fill(p, POISON_FREE, cache->trailer);
    t->state = TRAILER_FREE;
    t->freed = site;
    shadow_poison(p, cache->stride, KASAN_FREED);
}

/* Who has what */

u64 heap_sequence(void)
{
    return __atomic_load_n(&sequence, __ATOMIC_RELAXED);
}

struct census {
    struct heap_site *out;
    u32 max, count;
    u64 since;
};

static void census_add(struct census *c, vaddr_t site, u64 bytes)
{
    u32 i = 0, kept = c->count < c->max ? c->count : c->max;
    while (i < kept && c->out[i].site != site) {
        i++;
    }
    if (i == kept) {
        c->count++;
        if (i == c->max) {
            return;
        }
        c->out[i] = (struct heap_site){.site = site};
    }
    c->out[i].objects++;
    c->out[i].bytes += bytes;
}

static void census_slab(struct census *c, u32 slab)
{
    struct kmem_cache *cache = heap_caches[frame_table[slab].mark];
    if (cache->magazine == 0) {
        return; /* magazines are the heap's own */
    }
    for (u32 i = 0; i < cache->per_slab; i++) {
        const struct trailer *t = trailer_of(cache, slab_object(cache, slab, i));
        if (t->state == TRAILER_USED && t->sequence >= c->since) {
            census_add(c, t->site, t->size);
        }
    }
}

u32 heap_sites_read(u64 since, struct heap_site *out, u32 max)
{
    struct census c = {.out = out, .max = max, .since = since};
    const struct boot_info *info = boot_info_get();
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        for (paddr_t at = r->base; at < r->base + r->size && frame_is_ram(at); at += HX_PAGE_SIZE) {
            const struct frame *f = frame_at(at);
            if (f->owner == FRAME_HEAP && f->kind == FRAME_SLAB) {
                census_slab(&c, frame_number(at));
            } else if (f->owner == FRAME_HEAP && f->kind == FRAME_LARGE && since == 0) {
                census_add(&c, (vaddr_t)(s64)(s32)f->next, (u64)f->refs << HX_PAGE_SHIFT);
            }
        }
    }
    return c.count;
}

#else

u64 heap_sequence(void)
{
    return 0;
}

u32 heap_sites_read(u64 since, struct heap_site *out, u32 max)
{
    (void)since;
    (void)out;
    (void)max;
    return 0;
}

#endif
