/* SPDX-License-Identifier: MIT */
/* The heap inside the kernel.
 * Context: thread; each test leaves as many frames free as it found, once caches are trimmed.
 */
#include <core/memory.h>
#include <helix/bits.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory_settle.h>

#define SLOTS 512

static u64 random_next(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static u64 free_after_trim(void)
{
    memory_trim();
    return frame_free_count();
}

KTEST(heap, every_size_is_aligned_and_holds_its_bytes)
{
    u64 before = memory_settle();
    for (size_t size = 1; size <= 3 * HEAP_SMALL_MAX; size += size < 300 ? 1 : 97) {
        u8 *p = kmalloc(size), *q = kmalloc(size);
        KTEST_ASSERT(p && q && p != q);
        KTEST_ASSERT(hx_is_aligned((u64)p, size >= 64 ? 64 : 16));
        memset(p, 0x11, size);
        memset(q, 0x22, size);
        KTEST_ASSERT(p[0] == 0x11 && p[size - 1] == 0x11 && q[0] == 0x22 && q[size - 1] == 0x22);
        kfree(p);
        kfree(q);
    }
    KTEST_EQUAL(free_after_trim(), before);
}

KTEST(heap, odd_requests)
{
    KTEST_ASSERT(kmalloc(0) == NULL);
    KTEST_ASSERT(kzalloc(0) == NULL);
    KTEST_ASSERT(kmalloc(HEAP_LARGE_MAX + 1) == NULL);
    KTEST_ASSERT(kmalloc(SIZE_MAX) == NULL);
    kfree(NULL);
}

KTEST(heap, large_allocations_take_no_more_frames_than_they_need)
{
    u64 before = memory_settle(), bytes = heap_large_bytes();
    u8 *p = kmalloc(5 * HX_PAGE_SIZE + 1);
    KTEST_ASSERT(p);
    KTEST_EQUAL(frame_free_count(), before - 6);
    KTEST_EQUAL(heap_large_bytes(), bytes + 6 * HX_PAGE_SIZE);
    p[5 * HX_PAGE_SIZE] = 1;
    kfree(p);
    p = kmalloc(HEAP_LARGE_MAX);
    KTEST_ASSERT(p);
    kfree(p);
    KTEST_EQUAL(heap_large_bytes(), bytes);
    KTEST_EQUAL(free_after_trim(), before);
}

KTEST(heap, kzalloc_zeroes_what_was_dirty)
{
    for (size_t size = 8; size <= 65536; size *= 2) {
        u8 *p = kmalloc(size);
        KTEST_ASSERT(p);
        memset(p, 0xee, size);
        kfree(p);
        p = kzalloc(size);
        KTEST_ASSERT(p);
        for (size_t i = 0; i < size; i++) {
            KTEST_EQUAL(p[i], 0);
        }
        kfree(p);
    }
}

KTEST(heap, cache_keeps_size_and_alignment_and_refuses_to_go_while_used)
{
    static void *objects[300];
    u64 before = memory_settle();
    struct kmem_cache *cache = kmem_cache_create("test", 100, 256);
    KTEST_ASSERT(cache);
    for (u32 i = 0; i < HX_ARRAY_SIZE(objects); i++) {
        objects[i] = kmem_cache_alloc(cache);
        KTEST_ASSERT(objects[i] && hx_is_aligned((u64)objects[i], 256));
        memset(objects[i], (u8)i, 100);
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(objects); i++) {
        const u8 *p = objects[i];
        KTEST_ASSERT(p[0] == (u8)i && p[99] == (u8)i);
    }
    for (u32 i = 1; i < HX_ARRAY_SIZE(objects); i++) {
        kmem_cache_free(cache, objects[i]);
    }
    KTEST_STATUS(kmem_cache_destroy(cache), HX_ERR_BUSY);
    kmem_cache_free(cache, objects[0]);
    KTEST_STATUS(kmem_cache_destroy(cache), HX_OK);
    KTEST_EQUAL(free_after_trim(), before);
    KTEST_ASSERT(kmem_cache_create("odd", 0, 16) == NULL);
    KTEST_ASSERT(kmem_cache_create("odd", 64, 48) == NULL);
    KTEST_ASSERT(kmem_cache_create("odd", HEAP_SMALL_MAX + 1, 16) == NULL);
}

KTEST(heap, random_sizes_keep_their_contents_and_leave_nothing)
{
    static struct {
        u8 *p;
        size_t size;
        u8 stamp;
    } held[SLOTS];
    u64 before = memory_settle(), state = 88172645463325252ull;
    for (u32 round = 0; round < 30000; round++) {
        u32 i = random_next(&state) % SLOTS;
        if (held[i].p) {
            KTEST_ASSERT(held[i].p[0] == held[i].stamp &&
                         held[i].p[held[i].size / 2] == held[i].stamp &&
                         held[i].p[held[i].size - 1] == held[i].stamp);
            kfree(held[i].p);
            held[i].p = NULL;
            continue;
        }
        u64 r = random_next(&state);
        held[i].size = 1 + (r >> 8) % (r % 16 == 0 ? 40000 : r % 4 == 0 ? 5000 : 300);
        held[i].stamp = (u8)(r >> 40);
        held[i].p = kmalloc(held[i].size);
        KTEST_ASSERT(held[i].p);
        memset(held[i].p, held[i].stamp, held[i].size);
    }
    for (u32 i = 0; i < SLOTS; i++) {
        kfree(held[i].p);
        held[i].p = NULL;
    }
    KTEST_EQUAL(free_after_trim(), before);
}

/* Allocates all sorts; gives all back. True when nothing failed. */
static bool scenario(void)
{
    static const size_t sizes[] = {8, 64, 100, 700, 3000, 8000, 20000, 16, 48, 1500};
    void *p[HX_ARRAY_SIZE(sizes)] = {0};
    bool all = true;
    struct kmem_cache *cache = kmem_cache_create("scenario", 500, 64);
    void *object = cache ? kmem_cache_alloc(cache) : NULL;
    for (u32 i = 0; i < HX_ARRAY_SIZE(sizes); i++) {
        p[i] = kmalloc(sizes[i]);
        all &= p[i] != NULL;
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(sizes); i++) {
        kfree(p[i]);
    }
    if (object) {
        kmem_cache_free(cache, object);
    }
    if (cache && kmem_cache_destroy(cache) != HX_OK) {
        return false;
    }
    return all && cache && object;
}

static void fail_each(void (*fail_after)(u32 n))
{
    u64 before = memory_settle();
    bool done = false;
    u32 n = 1;
    for (; !done; n++) {
        memory_trim(); /* so that the frames are asked for again */
        fail_after(n);
        done = scenario();
        fail_after(0);
        KTEST_EQUAL(free_after_trim(), before);
        KTEST_ASSERT(n < 1000);
    }
    KTEST_ASSERT(n > 5); /* it did fail */
}

KTEST(heap, nth_failure_leaves_nothing_behind)
{
    KTEST_CALL(fail_each(heap_fail_after));
    KTEST_CALL(fail_each(frame_fail_after));
}

static HX_NOINLINE void *leak(void)
{
    void *p = kmalloc(40);
    hx_compiler_barrier(); /* no tail call: this function is to be the site */
    return p;
}

KTEST(heap, leak_is_reported_by_its_site)
{
    struct heap_site sites[4];
    u64 mark = heap_sequence();
    void *a = leak(), *b = leak();
    KTEST_ASSERT(a && b);
    u32 count = heap_sites_read(mark, sites, 4);
    kfree(a);
    kfree(b);
#ifdef HX_DEBUG
    KTEST_EQUAL(count, 1);
    KTEST_EQUAL(sites[0].objects, 2);
    KTEST_EQUAL(sites[0].bytes, 80);
    KTEST_ASSERT(sites[0].site > (vaddr_t)leak && sites[0].site < (vaddr_t)leak + 200);
    KTEST_EQUAL(heap_sites_read(mark, sites, 4), 0);
#else
    KTEST_EQUAL(count, 0); /* only debug variants keep sites */
#endif
}

KTEST(heap, usage_counts_what_is_handed_out)
{
    struct heap_cache_usage u = {0}, v = {0};
    u32 i = 0;
    while (heap_usage_read(i, &u) && !(u.name && str_equal(u.name, "kmalloc-1024"))) {
        i++;
    }
    KTEST_ASSERT(u.name);
    void *p[20];
    for (u32 k = 0; k < HX_ARRAY_SIZE(p); k++) {
        p[k] = kmalloc(1000);
        KTEST_ASSERT(p[k]);
    }
    heap_usage_read(i, &v);
    KTEST_EQUAL(v.objects - v.at_hand, u.objects - u.at_hand + HX_ARRAY_SIZE(p));
    for (u32 k = 0; k < HX_ARRAY_SIZE(p); k++) {
        kfree(p[k]);
    }
}
