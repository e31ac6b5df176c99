/* SPDX-License-Identifier: MIT */
/* Frames inside the kernel: owners, zones, exhaustion, the exchange of allocators under use.
 * Context: thread; each test leaves as many frames free as it found.
 */
#include <hal/mmu.h>
#include <helix/bits.h>
#include <ktest.h>
#include <memory/frame_alloc.h>

#define SLOTS 256

static u64 random_next(u64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

KTEST(frame, alloc_gives_a_zeroed_frame_with_its_owner)
{
    u64 before = frame_free_count();
    paddr_t frame;
    KTEST_STATUS(frame_alloc(0, FRAME_TEST, &frame), HX_OK);
    u8 *p = hal_phys_to_virt(frame);
    memset(p, 0xff, HX_PAGE_SIZE);
    frame_free(frame);
    KTEST_STATUS(frame_alloc(FRAME_ZERO, FRAME_TEST, &frame), HX_OK);
    p = hal_phys_to_virt(frame);
    for (u32 i = 0; i < HX_PAGE_SIZE; i++) {
        KTEST_EQUAL(p[i], 0);
    }
    KTEST_EQUAL(frame_at(frame)->owner, FRAME_TEST);
    KTEST_EQUAL(frame_at(frame)->refs, 1);
    KTEST_ASSERT(frame_is_ram(frame));
    KTEST_EQUAL(frame_free_count(), before - 1);
    frame_free(frame);
    KTEST_EQUAL(frame_free_count(), before);
}

KTEST(frame, blocks_of_every_order_are_aligned_and_owned_whole)
{
    u64 before = frame_free_count();
    for (u32 order = 0; order <= FRAME_ORDER_MAX; order++) {
        paddr_t first;
        KTEST_STATUS(frame_alloc_block(order, FRAME_ZERO, FRAME_TEST, &first), HX_OK);
        KTEST_ASSERT(hx_is_aligned(first, HX_PAGE_SIZE << order));
        for (u32 i = 0; i < 1u << order; i++) {
            KTEST_EQUAL(frame_table[frame_number(first) + i].owner, FRAME_TEST);
        }
        const u64 *last = (const u64 *)hal_phys_to_virt(first + (HX_PAGE_SIZE << order)) - 1;
        KTEST_EQUAL(*last, 0);
        KTEST_EQUAL(frame_free_count(), before - (1u << order));
        frame_free_run(first, 1u << order);
        KTEST_EQUAL(frame_free_count(), before);
    }
    paddr_t none;
    KTEST_STATUS(frame_alloc_block(FRAME_ORDER_MAX + 1, 0, FRAME_TEST, &none), HX_ERR_INVALID);
    KTEST_STATUS(frame_alloc_block(0, 0, FRAME_FREE, &none), HX_ERR_INVALID);
    KTEST_ASSERT(frame_allocator_check());
}

KTEST(frame, block_can_be_freed_in_parts)
{
    u64 before = frame_free_count();
    paddr_t first;
    KTEST_STATUS(frame_alloc_block(5, 0, FRAME_TEST, &first), HX_OK);
    frame_free_run(first + 7 * HX_PAGE_SIZE, 13);
    frame_free(first + 3 * HX_PAGE_SIZE);
    frame_free_run(first + 20 * HX_PAGE_SIZE, 12);
    frame_free_run(first, 3);
    frame_free_run(first + 4 * HX_PAGE_SIZE, 3);
    frame_cache_drain();
    KTEST_EQUAL(frame_free_count(), before);
    KTEST_ASSERT(frame_allocator_check());
}

/* Is there a free frame below the limit at all? virt has its RAM at 1 GiB. */
static bool has_free_below(paddr_t limit)
{
    for (paddr_t at = 0; at < limit; at += HX_PAGE_SIZE) {
        if (frame_is_ram(at) && frame_at(at)->owner == FRAME_FREE) {
            return true;
        }
    }
    return false;
}

KTEST(frame, limits_are_kept_and_low_memory_is_left_alone)
{
    static const struct {
        u32 flag;
        paddr_t limit;
    } zones[] = {{FRAME_BELOW_16M, HX_MIB(16)}, {FRAME_BELOW_4G, HX_GIB(4)}};
    frame_cache_drain();
    for (u32 i = 0; i < HX_ARRAY_SIZE(zones); i++) {
        paddr_t frame;
        enum hx_status status = frame_alloc(zones[i].flag, FRAME_TEST, &frame);
        if (!has_free_below(zones[i].limit)) {
            KTEST_STATUS(status, HX_ERR_NO_MEMORY);
            continue;
        }
        KTEST_STATUS(status, HX_OK);
        KTEST_ASSERT(frame < zones[i].limit);
        frame_free(frame);
        frame_cache_drain();
    }
    paddr_t anywhere;
    KTEST_STATUS(frame_alloc(0, FRAME_TEST, &anywhere), HX_OK);
    KTEST_ASSERT(anywhere >= HX_MIB(16));
    frame_free(anywhere);
}

KTEST(frame, owners_are_counted_and_reclaimed)
{
    const u32 owner = FRAME_FIRST_MODULE + 7;
    u64 before = frame_free_count();
    struct frame_usage usage, usage_before;
    frame_usage_read(&usage_before);
    KTEST_EQUAL(frame_count_owner(owner), 0);
    for (u32 i = 0; i < 5; i++) {
        paddr_t frame;
        KTEST_STATUS(frame_alloc(0, owner, &frame), HX_OK);
    }
    paddr_t block;
    KTEST_STATUS(frame_alloc_block(3, 0, owner, &block), HX_OK);
    KTEST_EQUAL(frame_count_owner(owner), 13);
    frame_usage_read(&usage);
    KTEST_EQUAL(usage.modules, usage_before.modules + 13);
    KTEST_EQUAL(usage.free, before - 13);
    KTEST_EQUAL(frame_reclaim_owner(owner), 13);
    KTEST_EQUAL(frame_count_owner(owner), 0);
    KTEST_EQUAL(frame_free_count(), before);
}

KTEST(frame, references_keep_it_until_the_last)
{
    u64 before = frame_free_count();
    paddr_t frame;
    KTEST_STATUS(frame_alloc(0, FRAME_TEST, &frame), HX_OK);
    frame_get(frame);
    frame_put(frame);
    KTEST_EQUAL(frame_at(frame)->owner, FRAME_TEST);
    frame_put(frame);
    KTEST_EQUAL(frame_free_count(), before);
}

/* Takes everything, linked through the frames themselves, and gives it back. */
static void exhaust(void)
{
    u64 before = frame_free_count(), taken = 0;
    paddr_t list = 0, frame;
    enum hx_status status;
    while ((status = frame_alloc(0, FRAME_TEST, &frame)) == HX_OK) {
        *(paddr_t *)hal_phys_to_virt(frame) = list;
        list = frame;
        taken++;
    }
    u64 left = frame_free_count();
    enum hx_status block = frame_alloc_block(0, 0, FRAME_TEST, &frame);
    while (list) {
        paddr_t next = *(paddr_t *)hal_phys_to_virt(list);
        frame_free(list);
        list = next;
    }
    KTEST_STATUS(status, HX_ERR_NO_MEMORY);
    KTEST_STATUS(block, HX_ERR_NO_MEMORY);
    KTEST_EQUAL(taken + left, before);
    KTEST_EQUAL(frame_free_count(), before);
    KTEST_ASSERT(frame_allocator_check());
}

/* Random blocks of random orders held at random times; every allocator. */
static void churn(u64 seed)
{
    static struct {
        paddr_t first;
        u32 order;
        u64 stamp;
    } held[SLOTS];
    u64 before = frame_free_count(), state = seed;
    for (u32 round = 0; round < 20000; round++) {
        u32 slot = random_next(&state) % SLOTS;
        u64 *p = held[slot].first ? hal_phys_to_virt(held[slot].first) : NULL;
        if (p) {
            KTEST_EQUAL(p[0], held[slot].stamp); /* nobody else had it */
            KTEST_EQUAL(p[(HX_PAGE_SIZE << held[slot].order) / 8 - 1], held[slot].stamp);
            frame_free_run(held[slot].first, 1u << held[slot].order);
            held[slot].first = 0;
            continue;
        }
        u32 order = random_next(&state) % 8;
        order = order > 5 ? 0 : order;
        KTEST_STATUS(frame_alloc_block(order, 0, FRAME_TEST, &held[slot].first), HX_OK);
        p = hal_phys_to_virt(held[slot].first);
        held[slot].order = order;
        held[slot].stamp = state;
        p[0] = p[(HX_PAGE_SIZE << order) / 8 - 1] = state;
    }
    for (u32 slot = 0; slot < SLOTS; slot++) {
        if (held[slot].first) {
            frame_free_run(held[slot].first, 1u << held[slot].order);
            held[slot].first = 0;
        }
    }
    KTEST_EQUAL(frame_free_count(), before);
    KTEST_ASSERT(frame_allocator_check());
}

KTEST(frame, every_allocator_serves_and_is_exchanged_in_use)
{
    const struct frame_alloc_ops *first = frame_allocator();
    const struct frame_alloc_ops *const all[] = {
        &frame_bitmap_ops, &frame_bump_ops, &frame_buddy_ops, &frame_buddy_ops, &frame_bitmap_ops};
    u64 before = frame_free_count() + frame_count_owner(FRAME_INDEX);
    paddr_t kept;
    KTEST_STATUS(frame_alloc_block(4, 0, FRAME_TEST, &kept), HX_OK);
    for (u32 i = 0; i < HX_ARRAY_SIZE(all); i++) {
        KTEST_STATUS(frame_allocator_switch(all[i]), HX_OK);
        KTEST_STRING(frame_allocator()->name, all[i]->name);
        KTEST_ASSERT(frame_allocator_check());
        KTEST_CALL(churn(i + 1));
        if (all[i] != &frame_bump_ops) { /* which would take O(n * n) */
            KTEST_CALL(exhaust());
        }
    }
    frame_free_run(kept, 16);
    KTEST_STATUS(frame_allocator_switch(first), HX_OK);
    KTEST_EQUAL(frame_free_count() + frame_count_owner(FRAME_INDEX), before);
}

/* An allocator that answers with a frame that is taken. */
static u32 stolen = FRAME_NO_PFN;

static u32 lying_alloc(void *index, enum frame_zone zone, u32 order)
{
    return stolen != FRAME_NO_PFN ? stolen : frame_buddy_ops.alloc(index, zone, order);
}

KTEST(frame, allocator_that_lies_is_ejected)
{
    const struct frame_alloc_ops *first = frame_allocator();
    struct frame_alloc_ops liar = frame_buddy_ops;
    liar.name = "liar";
    liar.alloc = lying_alloc;
    KTEST_STATUS(frame_allocator_switch(&liar), HX_OK);
    u64 before = frame_free_count() + frame_count_owner(FRAME_INDEX);
    paddr_t mine, other;
    KTEST_STATUS(frame_alloc_block(1, 0, FRAME_TEST, &mine), HX_OK);
    stolen = frame_number(mine);
    enum hx_status status = frame_alloc_block(1, 0, FRAME_TEST, &other);
    stolen = FRAME_NO_PFN;
    KTEST_STATUS(status, HX_OK);
    KTEST_STRING(frame_allocator()->name, "bump");
    KTEST_ASSERT(other != mine);
    frame_free_run(mine, 2);
    frame_free_run(other, 2);
    KTEST_ASSERT(frame_allocator_check());
    KTEST_STATUS(frame_allocator_switch(first), HX_OK);
    KTEST_EQUAL(frame_free_count() + frame_count_owner(FRAME_INDEX), before);
}

KTEST(frame, allocator_of_another_version_is_refused)
{
    struct frame_alloc_ops other = frame_buddy_ops;
    other.abi_version++;
    KTEST_STATUS(frame_allocator_switch(&other), HX_ERR_ABI);
    other = frame_buddy_ops;
    other.size--;
    KTEST_STATUS(frame_allocator_switch(&other), HX_ERR_ABI);
}

/* Whether the third allocation failed, and those after it, and the two before it were given back.
 */
static bool third_fails(void)
{
    u64 before = frame_free_count();
    paddr_t frames[4] = {0};
    frame_fail_after(3);
    enum hx_status status[4] = {
        frame_alloc(0, FRAME_TEST, &frames[0]), frame_alloc(FRAME_ZERO, FRAME_TEST, &frames[1]),
        frame_alloc(0, FRAME_TEST, &frames[2]), frame_alloc_block(2, 0, FRAME_TEST, &frames[3])};
    frame_fail_after(0);
    bool expected = status[0] == HX_OK && status[1] == HX_OK && status[2] == HX_ERR_NO_MEMORY &&
                    status[3] == HX_ERR_NO_MEMORY;
    for (u32 i = 0; i < 4; i++) {
        if (status[i] == HX_OK) {
            frame_free_run(frames[i], i < 3 ? 1 : 4);
        }
    }
    return expected && frame_free_count() == before;
}

/* The failure is everybody's: a thread of the kernel's own that wants a frame meanwhile takes its
 * place in the count, now and then. */
KTEST(frame, injected_failure_is_a_status)
{
    bool failed = false;
    for (u32 attempt = 0; attempt < 5 && !failed; attempt++) {
        failed = third_fails();
    }
    KTEST_ASSERT(failed);
    frame_fail_after(1);
    enum hx_status status = frame_allocator_switch(&frame_bitmap_ops);
    frame_fail_after(0);
    KTEST_STATUS(status, HX_ERR_NO_MEMORY);
    KTEST_ASSERT(frame_allocator_check());
}

KTEST(frame, kernel_image_and_tables_are_never_free)
{
    extern const char __text_start[];
    struct hal_mapping m;
    KTEST_STATUS(hal_mmu.query(&hal_kernel_space, (vaddr_t)__text_start, &m), HX_OK);
    paddr_t text = m.pa + ((vaddr_t)__text_start - m.va);
    KTEST_EQUAL(frame_at(text)->owner, FRAME_KERNEL);
    KTEST_STATUS(hal_mmu.query(&hal_kernel_space, (vaddr_t)frame_at(text), &m), HX_OK);
    KTEST_EQUAL(frame_at(m.pa + ((vaddr_t)frame_at(text) - m.va))->owner, FRAME_TABLE);
}
