/* SPDX-License-Identifier: MIT */
/* The heap's front: magazines, size classes, large allocations.
 * Owns:      the caches and each CPU's magazines.      Callers: everyone, by <core/memory.h>.
 * Context:   thread or interrupts masked; never blocks. Trimming and destroying: thread.
 * Locks:     a magazine is its CPU's, with interrupts masked; heap.lock (LOCK_RANK_HEAP_TABLE): the
 *            table of caches. Slabs have locks of their own, taken only to fill or empty a
 * magazine: the common call takes none. Invariant: (1) an object is in one place: a slab's free
 * list, a magazine, or its user's hands. (2) the cache of magazines has no magazines, so that
 * getting one does not recurse. (3) heap_caches[n] is the cache whose slabs carry n; it changes
 * only while it has none. The size classes are multiples of 64 from 64 on, so that alignment
 * follows from size.
 */
#include "heap_priv.h"

#include <core/cpu.h>
#include <core/debug.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/panic.h>
#include <helix/string.h>

static const u16 class_sizes[] = {16,  32,  48,   64,   128,  192,  256,  384,
                                  512, 768, 1024, 1536, 2048, 3072, 4096, HEAP_SMALL_MAX};
static const char *const class_names[] = {
    "kmalloc-16",   "kmalloc-32",   "kmalloc-48",   "kmalloc-64",  "kmalloc-128",  "kmalloc-192",
    "kmalloc-256",  "kmalloc-384",  "kmalloc-512",  "kmalloc-768", "kmalloc-1024", "kmalloc-1536",
    "kmalloc-2048", "kmalloc-3072", "kmalloc-4096", "kmalloc-8192"};
#define CLASSES    HX_ARRAY_SIZE(class_sizes)
#define FINE_MAX   1024 /* looked up by steps of 16 up to here, of 512 beyond */
#define FINE_STEPS (FINE_MAX / 16 + 1)

_Static_assert(HX_ARRAY_SIZE(class_names) == CLASSES, "a class without a name");
_Static_assert(sizeof(struct magazine) <= 256, "a magazine is four cache lines");

/* Marking: l lock; a atomic; I immutable after memory_init_heap(). */
static struct {
    struct spinlock lock;            /* table of caches */
    u8 fine[FINE_STEPS];             /* I: class of (size + 15) / 16 */
    u8 coarse[HEAP_SMALL_MAX / 512]; /* I: class of (size - 1) / 512 */
    u32 fail_after;                  /* a: 0 off */
    u64 large_pages;                 /* a */
    struct kmem_cache classes[CLASSES];
    struct kmem_cache magazines, headers; /* of struct magazine; of struct kmem_cache */
} heap = {.lock = SPINLOCK_INIT("heap caches", LOCK_RANK_HEAP_TABLE)};

struct kmem_cache *heap_caches[CACHES_MAX];

static struct magazine no_magazine; /* empty and full at once: every use takes the slow path */

void heap_site_name(vaddr_t site, char *buf, size_t size)
{
    struct symbol symbol;
    if (symbol_lookup(site, &symbol)) {
        format_buffer(buf, size, "%s+0x%lx", symbol.name, symbol.offset);
    } else {
        format_buffer(buf, size, "0x%lx", site);
    }
}

struct heap_where heap_where(vaddr_t site)
{
    struct heap_where where = {.text = ""};
    heap_site_name(site, where.text, sizeof(where.text));
    return where;
}

/* Fault injection */

void heap_fail_after(u32 n)
{
    __atomic_store_n(&heap.fail_after, n, __ATOMIC_RELAXED);
}

static HX_NOINLINE bool fails_now(void)
{
    u32 left = __atomic_load_n(&heap.fail_after, __ATOMIC_RELAXED);
    while (left > 1 && !__atomic_compare_exchange_n(&heap.fail_after, &left, left - 1, false,
                                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return left == 1;
}

/* Magazines, interrupts masked */

static struct magazine *magazine_create(u32 capacity)
{
    void *p;
    if (slab_refill(&heap.magazines, &p, 1) == 0) {
        return NULL;
    }
    heap_debug_alloc(&heap.magazines, p, sizeof(struct magazine), (vaddr_t)magazine_create);
    struct magazine *m = p;
    m->count = 0;
    m->capacity = capacity;
    return m;
}

static void magazine_destroy(struct magazine *m)
{
    void *p = m;
    heap_debug_free(&heap.magazines, p, (vaddr_t)magazine_destroy);
    slab_flush(&heap.magazines, &p, 1);
}

/* This CPU's magazine of the cache; NULL when it has none and gets none. */
static struct magazine *magazine_get(struct kmem_cache *cache)
{
    struct magazine **at = &cache->cpu[hal_cpu_number()];
    if (*at == &no_magazine && cache->magazine > 0) { /* inv 2 */
        struct magazine *m = magazine_create(cache->magazine);
        if (m) {
            *at = m;
        }
    }
    return *at == &no_magazine ? NULL : *at;
}

static HX_NOINLINE void *cache_alloc_slow(struct kmem_cache *cache)
{
    void *p = NULL;
    if (heap.fail_after != 0 && fails_now()) {
        return NULL;
    }
    u64 state = hal_irq_save();
    struct magazine *m = magazine_get(cache);
    if (!m) {
        HX_IGNORE(slab_refill(cache, &p, 1), "p stays NULL when there is none");
    } else {
        if (m->count == 0) {
            m->count = slab_refill(cache, m->objects, (m->capacity + 1) / 2);
        }
        if (m->count > 0) {
            p = m->objects[--m->count];
        }
    }
    hal_irq_restore(state);
    return p;
}

static HX_NOINLINE void cache_free_slow(struct kmem_cache *cache, void *p)
{
    u64 state = hal_irq_save();
    struct magazine *m = magazine_get(cache);
    if (!m) {
        slab_flush(cache, &p, 1);
    } else {
        if (m->count == m->capacity) { /* the older half goes; what was just used stays warm */
            u32 half = m->capacity / 2;
            slab_flush(cache, m->objects, half);
            m->count -= half;
            memmove(m->objects, m->objects + half, m->count * sizeof(m->objects[0]));
        }
        m->objects[m->count++] = p;
    }
    hal_irq_restore(state);
}

static HX_ALWAYS_INLINE void *cache_alloc(struct kmem_cache *cache, size_t size, vaddr_t site)
{
    void *p;
    u64 state = hal_irq_save();
    struct magazine *m = cache->cpu[hal_cpu_number()];
    if (hx_likely(m->count > 0 && heap.fail_after == 0)) {
        p = m->objects[--m->count];
        hal_irq_restore(state);
    } else {
        hal_irq_restore(state);
        p = cache_alloc_slow(cache);
        if (!p) {
            return NULL;
        }
    }
    heap_debug_alloc(cache, p, size, site);
    return p;
}

static HX_ALWAYS_INLINE void cache_free(struct kmem_cache *cache, void *p, vaddr_t site)
{
    heap_debug_free(cache, p, site);
    u64 state = hal_irq_save();
    struct magazine *m = cache->cpu[hal_cpu_number()];
    if (hx_likely(m->count < m->capacity)) {
        m->objects[m->count++] = p;
        hal_irq_restore(state);
    } else {
        hal_irq_restore(state);
        cache_free_slow(cache, p);
    }
}

/* Large allocations: whole frames; the part of the block that is not needed goes back at once. */

static HX_NOINLINE void *large_alloc(size_t size, vaddr_t site)
{
    if (size == 0 || size > HEAP_LARGE_MAX || (heap.fail_after != 0 && fails_now())) {
        return NULL;
    }
    u32 pages = (u32)((size + HX_PAGE_SIZE - 1) >> HX_PAGE_SHIFT);
    u32 order = hx_log2_floor(pages - 1) + 1;
    paddr_t first;
    if (frame_alloc_block(order, 0, FRAME_HEAP, &first) != HX_OK) {
        return NULL;
    }
    if (1u << order > pages) {
        frame_free_run(first + ((u64)pages << HX_PAGE_SHIFT), (1u << order) - pages);
    }
    struct frame *f = frame_at(first);
    f->kind = FRAME_LARGE;
    f->refs = pages;
    f->next = (u32)site; /* code is in the top 2 GiB: the low half says it all */
    __atomic_fetch_add(&heap.large_pages, pages, __ATOMIC_RELAXED);
    return hal_phys_to_virt(first);
}

static HX_NOINLINE void free_unusual(void *p, vaddr_t site)
{
    struct frame *f = frame_at(hal_virt_to_phys(p));
    if (f->owner != FRAME_HEAP || f->kind != FRAME_LARGE ||
        !hx_is_aligned((vaddr_t)p, HX_PAGE_SIZE)) {
        panic("heap: 0x%lx freed by %s is not an allocation; its frame's owner is %s", (vaddr_t)p,
              heap_where(site).text, frame_owner_name(f->owner));
    }
    u32 pages = f->refs;
    f->kind = FRAME_PLAIN;
    __atomic_fetch_sub(&heap.large_pages, pages, __ATOMIC_RELAXED);
    frame_free_run(hal_virt_to_phys(p), pages);
}

/* kmalloc */

static HX_ALWAYS_INLINE void *alloc(size_t size, vaddr_t site)
{
    if (hx_likely(size - 1 < FINE_MAX)) {
        return cache_alloc(&heap.classes[heap.fine[(size + 15) / 16]], size, site);
    }
    if (hx_likely(size - 1 < HEAP_SMALL_MAX)) {
        return cache_alloc(&heap.classes[heap.coarse[(size - 1) / 512]], size, site);
    }
    return large_alloc(size, site);
}

void *kmalloc(size_t size)
{
    return alloc(size, (vaddr_t)__builtin_return_address(0));
}

void *kzalloc(size_t size)
{
    void *p = alloc(size, (vaddr_t)__builtin_return_address(0));
    if (p) {
        memset(p, 0, size);
    }
    return p;
}

void kfree(void *p)
{
    if (!p) {
        return;
    }
    const struct frame *f = frame_at(hal_virt_to_phys(p));
    vaddr_t site = (vaddr_t)__builtin_return_address(0);
    if (hx_likely(f->owner == FRAME_HEAP && f->kind - 1u < FRAME_SLAB_TAIL)) {
        cache_free(heap_caches[f->mark], p, site);
    } else {
        free_unusual(p, site);
    }
}

/* Object caches */

/* Enters the cache in the table; false when that is full. */
static HX_COLD bool cache_enter(struct kmem_cache *cache)
{
    for (u32 i = 0; i < HAL_CPUS_MAX; i++) {
        cache->cpu[i] = &no_magazine;
    }
    u64 state = spin_lock_irq(&heap.lock);
    u32 number = 0;
    while (number < CACHES_MAX && heap_caches[number]) {
        number++;
    }
    if (number < CACHES_MAX) {
        cache->number = (u8)number;
        __atomic_store_n(&heap_caches[number], cache, __ATOMIC_RELEASE);
    }
    spin_unlock_irq(&heap.lock, state);
    return number < CACHES_MAX;
}

HX_COLD struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align)
{
    if (size == 0 || size > HEAP_SMALL_MAX || !hx_is_pow2(align) || align > HX_PAGE_SIZE) {
        return NULL;
    }
    struct kmem_cache *cache = kmem_cache_alloc(&heap.headers);
    if (!cache) {
        return NULL;
    }
    memset(cache, 0, sizeof(*cache));
    slab_cache_init(cache, name, size, hx_max_u64(align, size >= 64 ? 64 : 16));
    if (!cache_enter(cache)) {
        kmem_cache_free(&heap.headers, cache);
        return NULL;
    }
    return cache;
}

void *kmem_cache_alloc(struct kmem_cache *cache)
{
    return cache_alloc(cache, cache->size, (vaddr_t)__builtin_return_address(0));
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
    HX_DEBUG_ASSERT(heap_caches[frame_at(hal_virt_to_phys(object))->mark] == cache);
    cache_free(cache, object, (vaddr_t)__builtin_return_address(0));
}

/* Empties this CPU's magazine of the cache, and gives the magazine back too. */
static HX_COLD void drain(void *arg)
{
    struct kmem_cache *cache = arg;
    u64 state = hal_irq_save();
    struct magazine **at = &cache->cpu[hal_cpu_number()], *m = *at;
    if (m != &no_magazine) {
        *at = &no_magazine;
        slab_flush(cache, m->objects, m->count);
        magazine_destroy(m);
    }
    slab_trim(cache);
    hal_irq_restore(state);
}

static void drain_all(void *arg)
{
    (void)arg;
    for (u32 i = 0; i < CACHES_MAX; i++) {
        struct kmem_cache *cache = __atomic_load_n(&heap_caches[i], __ATOMIC_ACQUIRE);
        if (cache) {
            drain(cache);
        }
    }
    drain(&heap.magazines); /* last: the others have just filled it */
}

static void everywhere(void (*fn)(void *arg), void *arg)
{
    if (cpu_online_count() > 1) {
        cpu_call(cpu_online_mask(), fn, arg);
    } else {
        fn(arg);
    }
}

void heap_trim(void)
{
    everywhere(drain_all, NULL);
}

HX_COLD enum hx_status kmem_cache_destroy(struct kmem_cache *cache)
{
    everywhere(drain, cache);
    u64 state = spin_lock_irq(&heap.lock);
    bool busy = cache->slabs > 0;
    if (!busy) {
        __atomic_store_n(&heap_caches[cache->number], NULL, __ATOMIC_RELEASE); /* inv 3 */
    }
    spin_unlock_irq(&heap.lock, state);
    if (busy) {
        return HX_ERR_BUSY;
    }
    kmem_cache_free(&heap.headers, cache);
    return HX_OK;
}

/* Usage */

HX_COLD bool heap_usage_read(u32 index, struct heap_cache_usage *out)
{
    if (index >= CACHES_MAX) {
        return false;
    }
    *out = (struct heap_cache_usage){0};
    u64 state = spin_lock_irq(&heap.lock);
    const struct kmem_cache *cache = heap_caches[index];
    if (cache) {
        *out = (struct heap_cache_usage){.name = cache->name,
                                         .size = cache->size,
                                         .stride = cache->stride,
                                         .slabs = cache->slabs,
                                         .bytes = cache->slabs << cache->order << HX_PAGE_SHIFT,
                                         .objects = cache->used};
        for (u32 cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
            out->at_hand += HX_READ_ONCE(cache->cpu[cpu]->count);
        }
    }
    spin_unlock_irq(&heap.lock, state);
    return true;
}

struct heap_total heap_total_read(void)
{
    struct heap_cache_usage u;
    struct heap_total total = {.bytes = heap_large_bytes()};
    for (u32 i = 0; heap_usage_read(i, &u); i++) {
        u64 out = u.name ? u.objects - u.at_hand : 0;
        total.objects += out;
        total.bytes += out * u.stride;
    }
    return total;
}

u64 heap_large_bytes(void)
{
    return __atomic_load_n(&heap.large_pages, __ATOMIC_RELAXED) << HX_PAGE_SHIFT;
}

HX_COLD enum hx_status memory_init_heap(void)
{
    u32 class = 0;
    for (u32 i = 0; i < FINE_STEPS; i++) {
        class += i * 16 > class_sizes[class];
        heap.fine[i] = (u8) class;
    }
    class = 0;
    for (u32 i = 0; i < HX_ARRAY_SIZE(heap.coarse); i++) {
        while (class_sizes[class] < (i + 1) * 512) {
            class ++;
        }
        heap.coarse[i] = (u8) class;
    }
    heap_debug_init();
    bool entered = true;
    for (u32 i = 0; i < CLASSES; i++) {
        slab_cache_init(&heap.classes[i], class_names[i], class_sizes[i],
                        class_sizes[i] < 64 ? 16 : 64);
        entered &= cache_enter(&heap.classes[i]);
    }
    slab_cache_init(&heap.magazines, "magazines", sizeof(struct magazine), 64);
    heap.magazines.magazine = 0; /* inv 2 */
    slab_cache_init(&heap.headers, "caches", sizeof(struct kmem_cache), 64);
    entered &= cache_enter(&heap.magazines) && cache_enter(&heap.headers);
    return entered ? HX_OK : HX_ERR_BAD_STATE;
}
