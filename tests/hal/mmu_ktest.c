/* SPDX-License-Identifier: MIT */
/* Contract of <hal/mmu.h>, as far as it can be seen in the tables: ranges, page sizes, statuses,
 * and that a failure changes nothing. mmu_access_ktest.c looks at what the CPU makes of them.
 * No case touches the memory that it maps.
 */
#include <hal/cpu.h>
#include <helix/bits.h>
#include <fixture.h>
#include <ktest.h>

#define VA   FIXTURE_BASE
#define PAGE HX_PAGE_SIZE

static struct hal_space *const space = &hal_kernel_space;

/* Expects `va` to lie in a mapping of `size` bytes that continues at `pa`. */
static void expect_mapped(vaddr_t va, paddr_t pa, u64 size, u32 flags)
{
    struct hal_mapping m;
    KTEST_STATUS(hal_mmu.query(space, va, &m), HX_OK);
    KTEST_EQUAL(m.size, size);
    KTEST_EQUAL(m.va, hx_align_down(va, size));
    KTEST_EQUAL(m.pa + (va - m.va), pa);
    KTEST_EQUAL(m.flags, flags);
}

static bool is_mapped(vaddr_t va)
{
    struct hal_mapping m;
    return hal_mmu.query(space, va, &m) == HX_OK;
}

struct census {
    u64 leaves, bytes;
    vaddr_t last_end;
    bool ascends;
    u64 sum; /* of everything about every leaf: equal sums, equal tables */
};

static enum hx_status count_leaf(void *ctx, const struct hal_mapping *m)
{
    struct census *c = ctx;
    c->ascends = c->ascends && m->va >= c->last_end;
    c->last_end = m->va + m->size;
    c->leaves++;
    c->bytes += m->size;
    c->sum = c->sum * 31 + (m->va ^ m->pa * 7 ^ m->size * 13 ^ m->flags);
    return HX_OK;
}

static struct census take_census(void)
{
    struct census c = {.ascends = true};
    HX_IGNORE(hal_mmu.walk(space, count_leaf, &c), "the visitor never ends the walk");
    return c;
}

KTEST(hal_mmu, maps_one_page_and_unmaps_it)
{
    KTEST_ASSERT(!is_mapped(VA));
    KTEST_STATUS(hal_mmu.map(space, VA, 5 * PAGE, PAGE, MAP_WRITE | MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(VA, 5 * PAGE, PAGE, MAP_WRITE | MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + 123, 5 * PAGE + 123, PAGE, MAP_WRITE | MAP_GLOBAL));
    KTEST_ASSERT(!is_mapped(VA - 1));
    KTEST_ASSERT(!is_mapped(VA + PAGE));
    KTEST_STATUS(hal_mmu.unmap(space, VA, PAGE), HX_OK);
    KTEST_ASSERT(!is_mapped(VA));
}

KTEST(hal_mmu, gives_back_the_flags_it_was_given)
{
    static const u32 sets[] = {
        MAP_GLOBAL,
        MAP_GLOBAL | MAP_WRITE,
        MAP_GLOBAL | MAP_EXEC,
        MAP_GLOBAL | MAP_WRITE | MAP_DEVICE,
        MAP_GLOBAL | MAP_WRITE | MAP_COMBINE,
        MAP_GLOBAL | MAP_DEVICE,
        0,
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(sets); i++) {
        KTEST_STATUS(hal_mmu.map(space, VA, PAGE, PAGE, sets[i]), HX_OK);
        KTEST_CALL(expect_mapped(VA, PAGE, PAGE, sets[i]));
        KTEST_STATUS(hal_mmu.unmap(space, VA, PAGE), HX_OK);
    }
}

KTEST(hal_mmu, uses_the_largest_page_that_fits)
{
    u64 large = HX_MIB(2), huge = hal_cpu.has(CPU_HUGE_PAGES) ? HX_GIB(1) : large;
    /* From a page before 1 GiB to two pages behind a 2 MiB border after it. */
    vaddr_t va = VA + HX_GIB(1) - PAGE;
    paddr_t pa = HX_GIB(2) - PAGE;
    u64 size = PAGE + HX_GIB(1) + HX_MIB(2) + 2 * PAGE;
    KTEST_STATUS(hal_mmu.map(space, va, pa, size, MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(va, pa, PAGE, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + HX_GIB(1), HX_GIB(2), huge, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + HX_GIB(2) - 1, HX_GIB(3) - 1, huge, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + HX_GIB(2), HX_GIB(3), large, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(va + size - 1, pa + size - 1, PAGE, MAP_GLOBAL));
    KTEST_ASSERT(!is_mapped(va + size));
    KTEST_STATUS(hal_mmu.unmap(space, va, size), HX_OK);
    KTEST_ASSERT(!is_mapped(va) && !is_mapped(VA + HX_GIB(1)) && !is_mapped(va + size - 1));
}

KTEST(hal_mmu, uses_small_pages_where_physical_is_unaligned)
{
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(2) + PAGE, HX_MIB(4), MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(VA, HX_MIB(2) + PAGE, PAGE, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + HX_MIB(4) - PAGE, HX_MIB(6), PAGE, MAP_GLOBAL));
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_MIB(4)), HX_OK);
}

KTEST(hal_mmu, refuses_bad_ranges)
{
    u64 limit = hal_mmu.phys_limit();
    struct census before = take_census();
    KTEST_STATUS(hal_mmu.map(space, VA + 1, 0, PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, 1, PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, PAGE + 1, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, 0, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, 0, 0, PAGE, 0), HX_ERR_INVALID); /* not the kernel's half */
    KTEST_STATUS(hal_mmu.map(space, USER_SPACE_END, 0, PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, DIRECT_MAP_BASE - PAGE, 0, 2 * PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, (vaddr_t)-PAGE, 0, 2 * PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, limit, PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, limit - PAGE, 2 * PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, (paddr_t)-PAGE, 2 * PAGE, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.unmap(space, VA + 1, PAGE), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.unmap(space, VA, 0), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.unmap(space, (vaddr_t)-PAGE, 2 * PAGE), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.protect(space, VA, PAGE - 1, 0), HX_ERR_INVALID);
    KTEST_EQUAL(take_census().sum, before.sum);
}

KTEST(hal_mmu, refuses_bad_flags)
{
    struct census before = take_census();
    KTEST_STATUS(hal_mmu.map(space, VA, 0, PAGE, MAP_WRITE | MAP_EXEC), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, PAGE, MAP_DEVICE | MAP_COMBINE), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, PAGE, MAP_FLAGS_ALL + 1), HX_ERR_INVALID);
    KTEST_EQUAL(take_census().sum, before.sum);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, PAGE, MAP_GLOBAL), HX_OK);
    KTEST_STATUS(hal_mmu.protect(space, VA, PAGE, MAP_WRITE | MAP_EXEC), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.protect(space, VA, PAGE, MAP_FLAGS_ALL + 1), HX_ERR_INVALID);
    KTEST_CALL(expect_mapped(VA, 0, PAGE, MAP_GLOBAL));
    KTEST_STATUS(hal_mmu.unmap(space, VA, PAGE), HX_OK);
}

KTEST(hal_mmu, refuses_to_map_over_a_mapping)
{
    vaddr_t middle = VA + 3 * PAGE;
    KTEST_STATUS(hal_mmu.map(space, middle, 9 * PAGE, PAGE, MAP_GLOBAL), HX_OK);
    struct census before = take_census();
    KTEST_STATUS(hal_mmu.map(space, VA, 0, 8 * PAGE, MAP_GLOBAL), HX_ERR_EXISTS);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, 4 * PAGE, MAP_GLOBAL), HX_ERR_EXISTS);
    KTEST_STATUS(hal_mmu.map(space, middle, 0, PAGE, MAP_GLOBAL), HX_ERR_EXISTS);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, HX_GIB(1), MAP_GLOBAL), HX_ERR_EXISTS);
    KTEST_EQUAL(take_census().sum, before.sum);
    KTEST_ASSERT(!is_mapped(VA));
    KTEST_STATUS(hal_mmu.unmap(space, middle, PAGE), HX_OK);
    KTEST_STATUS(hal_mmu.map(space, VA, 0, HX_GIB(1), MAP_GLOBAL), HX_OK);
    before = take_census();
    KTEST_STATUS(hal_mmu.map(space, VA + HX_MIB(4), 0, PAGE, MAP_GLOBAL), HX_ERR_EXISTS);
    KTEST_EQUAL(take_census().sum, before.sum);
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_GIB(1)), HX_OK);
}

KTEST(hal_mmu, refuses_to_change_a_range_with_a_hole)
{
    KTEST_STATUS(hal_mmu.map(space, VA, 0, 2 * PAGE, MAP_GLOBAL), HX_OK);
    KTEST_STATUS(hal_mmu.map(space, VA + 3 * PAGE, 3 * PAGE, 2 * PAGE, MAP_GLOBAL), HX_OK);
    struct census before = take_census();
    KTEST_STATUS(hal_mmu.unmap(space, VA, 5 * PAGE), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.unmap(space, VA, 3 * PAGE), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.unmap(space, VA + 2 * PAGE, PAGE), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.unmap(space, VA - PAGE, 2 * PAGE), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.protect(space, VA, 5 * PAGE, MAP_WRITE), HX_ERR_NOT_FOUND);
    KTEST_EQUAL(take_census().sum, before.sum);
    KTEST_STATUS(hal_mmu.unmap(space, VA, 2 * PAGE), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(space, VA + 3 * PAGE, 2 * PAGE), HX_OK);
}

KTEST(hal_mmu, splits_a_huge_page_around_what_is_unmapped)
{
    u64 large = HX_MIB(2);
    vaddr_t hole = VA + HX_MIB(6) + 7 * PAGE;
    KTEST_STATUS(hal_mmu.map(space, VA, HX_GIB(1), HX_GIB(1), MAP_GLOBAL | MAP_WRITE), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(space, hole, 3 * PAGE), HX_OK);
    KTEST_ASSERT(!is_mapped(hole) && !is_mapped(hole + 3 * PAGE - 1));
    KTEST_CALL(expect_mapped(hole - 1, HX_GIB(1) + (hole - 1 - VA), PAGE, MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(hole + 3 * PAGE, HX_GIB(1) + (hole + 3 * PAGE - VA), PAGE,
                             MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(VA, HX_GIB(1), large, MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(VA + HX_MIB(8), HX_GIB(1) + HX_MIB(8), large, MAP_GLOBAL | MAP_WRITE));
    KTEST_STATUS(hal_mmu.unmap(space, VA, hole - VA), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(space, hole + 3 * PAGE, HX_GIB(1) - (hole + 3 * PAGE - VA)), HX_OK);
    KTEST_ASSERT(!is_mapped(VA) && !is_mapped(VA + HX_GIB(1) - 1));
}

KTEST(hal_mmu, splits_a_large_page_around_what_is_protected)
{
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(2), HX_MIB(2), MAP_GLOBAL | MAP_WRITE), HX_OK);
    KTEST_STATUS(hal_mmu.protect(space, VA + PAGE, PAGE, MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(VA, HX_MIB(2), PAGE, MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(VA + PAGE, HX_MIB(2) + PAGE, PAGE, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + 2 * PAGE, HX_MIB(2) + 2 * PAGE, PAGE, MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(VA + HX_MIB(2) - 1, HX_MIB(4) - 1, PAGE, MAP_GLOBAL | MAP_WRITE));
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_MIB(2)), HX_OK);
}

KTEST(hal_mmu, splits_where_the_range_ends_only)
{
    const u32 rw = MAP_GLOBAL | MAP_WRITE;
    u64 size = HX_MIB(2) + PAGE;
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(4), HX_MIB(4), rw), HX_OK);
    KTEST_STATUS(hal_mmu.protect(space, VA, size, MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(VA, HX_MIB(4), HX_MIB(2), MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + size - 1, HX_MIB(4) + size - 1, PAGE, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(VA + size, HX_MIB(4) + size, PAGE, rw));
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_MIB(4)), HX_OK);
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(4), HX_MIB(4), rw), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(space, VA, size), HX_OK);
    KTEST_ASSERT(!is_mapped(VA) && !is_mapped(VA + size - 1));
    KTEST_CALL(expect_mapped(VA + size, HX_MIB(4) + size, PAGE, rw));
    KTEST_CALL(expect_mapped(VA + HX_MIB(4) - 1, HX_MIB(8) - 1, PAGE, rw));
    KTEST_STATUS(hal_mmu.unmap(space, VA + size, HX_MIB(4) - size), HX_OK);
}

KTEST(hal_mmu, protect_keeps_addresses_and_memory_type)
{
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(2), HX_MIB(2), MAP_GLOBAL | MAP_WRITE | MAP_DEVICE),
                 HX_OK);
    KTEST_STATUS(hal_mmu.protect(space, VA, HX_MIB(2), MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(VA, HX_MIB(2), HX_MIB(2), MAP_GLOBAL | MAP_DEVICE));
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_MIB(2)), HX_OK);
    KTEST_STATUS(hal_mmu.map(space, VA, PAGE, PAGE, MAP_GLOBAL | MAP_WRITE | MAP_COMBINE), HX_OK);
    KTEST_STATUS(hal_mmu.protect(space, VA, PAGE, MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(VA, PAGE, PAGE, MAP_GLOBAL | MAP_COMBINE));
    KTEST_STATUS(hal_mmu.unmap(space, VA, PAGE), HX_OK);
}

KTEST(hal_mmu, protect_and_unmap_span_tables)
{
    u64 size = HX_MIB(4) + 2 * PAGE;
    vaddr_t va = VA + HX_GIB(1) - HX_MIB(2) - PAGE;
    KTEST_STATUS(hal_mmu.map(space, va, PAGE, size, MAP_GLOBAL), HX_OK);
    KTEST_STATUS(hal_mmu.protect(space, va + PAGE, size - 2 * PAGE, MAP_GLOBAL | MAP_WRITE), HX_OK);
    KTEST_CALL(expect_mapped(va, PAGE, PAGE, MAP_GLOBAL));
    KTEST_CALL(expect_mapped(va + PAGE, 2 * PAGE, PAGE, MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(va + size - 2 * PAGE, size - PAGE, PAGE, MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(va + size - PAGE, size, PAGE, MAP_GLOBAL));
    KTEST_STATUS(hal_mmu.unmap(space, va, size), HX_OK);
    KTEST_ASSERT(!is_mapped(va) && !is_mapped(va + size - 1));
}

KTEST(hal_mmu, the_last_page_of_the_space_can_be_mapped)
{
    vaddr_t last = (vaddr_t)-PAGE;
    if (is_mapped(last)) {
        KTEST_SKIP("the port uses the last page");
    }
    KTEST_STATUS(hal_mmu.map(space, last, PAGE, PAGE, MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_mapped(last + 5, PAGE + 5, PAGE, MAP_GLOBAL));
    KTEST_STATUS(hal_mmu.protect(space, last, PAGE, MAP_GLOBAL | MAP_WRITE), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(space, last, PAGE), HX_OK);
    KTEST_ASSERT(!is_mapped(last));
}

KTEST(hal_mmu, walk_visits_each_leaf_once_and_ascends)
{
    struct census before = take_census();
    KTEST_STATUS(hal_mmu.map(space, VA, 0, 3 * PAGE, MAP_GLOBAL), HX_OK);
    KTEST_STATUS(hal_mmu.map(space, VA + HX_MIB(2), 0, HX_MIB(2), MAP_GLOBAL), HX_OK);
    struct census with = take_census();
    KTEST_STATUS(hal_mmu.unmap(space, VA, 3 * PAGE), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(space, VA + HX_MIB(2), HX_MIB(2)), HX_OK);
    KTEST_ASSERT(before.ascends && with.ascends);
    KTEST_EQUAL(with.leaves - before.leaves, 4);
    KTEST_EQUAL(with.bytes - before.bytes, 3 * PAGE + HX_MIB(2));
    KTEST_EQUAL(take_census().sum, before.sum);
}

static enum hx_status stop_at_third(void *ctx, const struct hal_mapping *m)
{
    (void)m;
    return ++*(u32 *)ctx == 3 ? HX_ERR_LIMIT : HX_OK;
}

KTEST(hal_mmu, walk_ends_when_the_visitor_says_so)
{
    u32 visits = 0;
    KTEST_STATUS(hal_mmu.map(space, VA, 0, 5 * PAGE, MAP_GLOBAL), HX_OK);
    enum hx_status status = hal_mmu.walk(space, stop_at_third, &visits);
    KTEST_STATUS(hal_mmu.unmap(space, VA, 5 * PAGE), HX_OK);
    KTEST_STATUS(status, HX_ERR_LIMIT);
    KTEST_EQUAL(visits, 3);
}

KTEST(hal_mmu, map_without_table_frames_changes_nothing)
{
    /* Two pages on both sides of a border of every table level below the top. */
    vaddr_t va = VA + HX_GIB(4) - PAGE;
    struct census before = take_census();
    enum hx_status status = HX_ERR_NO_MEMORY;
    u32 refused = 0;
    for (u32 frames = 0; frames < 16 && status != HX_OK; frames++) {
        fixture_tables_limit(frames);
        status = hal_mmu.map(space, va, 0, 2 * PAGE, MAP_GLOBAL);
        fixture_tables_unlimit();
        if (status != HX_OK) {
            KTEST_STATUS(status, HX_ERR_NO_MEMORY);
            KTEST_EQUAL(take_census().sum, before.sum);
            refused++;
        }
    }
    KTEST_STATUS(status, HX_OK);
    KTEST_ASSERT(refused > 0);
    KTEST_STATUS(hal_mmu.unmap(space, va, 2 * PAGE), HX_OK);
    KTEST_EQUAL(take_census().sum, before.sum);
}

/* The translations of `pages` pages in a census, whatever page sizes they come in. */
static u64 translations(vaddr_t va, u64 step, u64 size)
{
    u64 sum = 0;
    for (u64 at = 0; at < size; at += step) {
        struct hal_mapping m;
        if (hal_mmu.query(space, va + at, &m) == HX_OK) {
            sum = sum * 31 + (m.pa + (va + at - m.va)) * 2 + m.flags;
        }
    }
    return sum;
}

KTEST(hal_mmu, split_without_table_frames_changes_no_translation)
{
    KTEST_STATUS(hal_mmu.map(space, VA, 0, HX_MIB(2), MAP_GLOBAL), HX_OK);
    u64 before = translations(VA, PAGE, HX_MIB(2));
    fixture_tables_limit(0);
    enum hx_status unmap = hal_mmu.unmap(space, VA + PAGE, PAGE);
    enum hx_status protect = hal_mmu.protect(space, VA + PAGE, PAGE, MAP_GLOBAL | MAP_WRITE);
    fixture_tables_unlimit();
    KTEST_STATUS(unmap, HX_ERR_NO_MEMORY);
    KTEST_STATUS(protect, HX_ERR_NO_MEMORY);
    KTEST_EQUAL(translations(VA, PAGE, HX_MIB(2)), before);
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_MIB(2)), HX_OK);
}

KTEST(hal_mmu, random_changes_agree_with_a_model)
{
    enum { PAGES = 64, STEPS = 300 };
    static struct {
        bool mapped;
        paddr_t pa;
        u32 flags;
    } model[PAGES];
    const vaddr_t base = VA + HX_GIB(2) - PAGES / 2 * PAGE; /* across table borders */
    u64 random = 88172645463325252ull;
    memset(model, 0, sizeof(model));
    for (u32 step = 0; step < STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        u32 first = (u32)(random >> 8) % PAGES, count = 1 + (u32)(random >> 16) % (PAGES - first);
        u32 flags = MAP_GLOBAL | (random >> 24 & 1 ? MAP_WRITE : 0);
        paddr_t pa = (random >> 32 & 0xffff) * PAGE;
        u32 mapped = 0;
        for (u32 i = first; i < first + count; i++) {
            mapped += model[i].mapped;
        }
        vaddr_t va = base + first * PAGE;
        switch (random >> 48 & 3) {
        case 0:
        case 1:
            KTEST_STATUS(hal_mmu.map(space, va, pa, count * PAGE, flags),
                         mapped ? HX_ERR_EXISTS : HX_OK);
            for (u32 i = first; !mapped && i < first + count; i++) {
                model[i].mapped = true;
                model[i].pa = pa + (i - first) * PAGE;
                model[i].flags = flags;
            }
            break;
        case 2:
            KTEST_STATUS(hal_mmu.unmap(space, va, count * PAGE),
                         mapped == count ? HX_OK : HX_ERR_NOT_FOUND);
            for (u32 i = first; mapped == count && i < first + count; i++) {
                model[i].mapped = false;
            }
            break;
        default:
            KTEST_STATUS(hal_mmu.protect(space, va, count * PAGE, flags),
                         mapped == count ? HX_OK : HX_ERR_NOT_FOUND);
            for (u32 i = first; mapped == count && i < first + count; i++) {
                model[i].flags = flags;
            }
        }
        for (u32 i = 0; i < PAGES; i++) {
            struct hal_mapping m;
            bool found = hal_mmu.query(space, base + i * PAGE, &m) == HX_OK;
            KTEST_EQUAL(found, model[i].mapped);
            KTEST_ASSERT(!found || (m.pa == model[i].pa && m.flags == model[i].flags));
        }
    }
    for (u32 i = 0; i < PAGES; i++) {
        if (model[i].mapped) {
            KTEST_STATUS(hal_mmu.unmap(space, base + i * PAGE, PAGE), HX_OK);
        }
    }
}

/* Frees what an operation has emptied, as its caller does after the flush. */
static void release_tables(struct hal_space *of)
{
    while (of->freed) {
        paddr_t table = of->freed;
        u64 *link = hal_phys_to_virt(table);
        of->freed = *link;
        *link = 0;
        hal_event_table_free(table);
    }
}

struct updates {
    u32 seen;
    vaddr_t last;
    bool ascends;
};

/* By page number: every third goes, every third becomes read-only, every third stays. */
static u32 update_by_number(void *ctx, const struct hal_mapping *m)
{
    struct updates *u = ctx;
    u->seen++;
    u->ascends = u->ascends && m->va >= u->last;
    u->last = m->va;
    switch (m->va / PAGE % 3) {
    case 0:
        return UPDATE_REMOVE;
    case 1:
        return m->flags & ~MAP_WRITE;
    default:
        return UPDATE_KEEP;
    }
}

static u32 remove_all(void *ctx, const struct hal_mapping *m)
{
    u32 *seen = ctx;
    *seen += m->size == PAGE;
    return UPDATE_REMOVE;
}

KTEST(hal_mmu, update_does_what_it_is_told_and_skips_holes)
{
    const u32 rw = MAP_GLOBAL | MAP_WRITE;
    const vaddr_t va = VA + HX_MIB(2) - 30 * PAGE; /* in two tables */
    struct census before = take_census();
    for (u32 i = 0; i < 60; i += 2) {
        KTEST_STATUS(hal_mmu.map(space, va + i * PAGE, (100 + i) * PAGE, PAGE, rw), HX_OK);
    }
    struct updates u = {.ascends = true};
    KTEST_STATUS(hal_mmu.update(space, va + 2 * PAGE, 56 * PAGE, update_by_number, &u), HX_OK);
    KTEST_EQUAL(u.seen, 28);
    KTEST_ASSERT(u.ascends);
    for (u32 i = 0; i < 60; i += 2) {
        u32 what = i < 2 || i >= 58 ? 2 : (va / PAGE + i) % 3;
        if (what == 0) {
            KTEST_ASSERT(!is_mapped(va + i * PAGE));
        } else {
            KTEST_CALL(
                expect_mapped(va + i * PAGE, (100 + i) * PAGE, PAGE, what == 1 ? MAP_GLOBAL : rw));
        }
    }
    u32 left = 0;
    KTEST_STATUS(hal_mmu.update(space, VA, HX_MIB(4), remove_all, &left), HX_OK);
    KTEST_ASSERT(left > 0 && left < 30);
    hal_mmu.flush(VA, HX_MIB(4));
    release_tables(space);
    KTEST_EQUAL(take_census().sum, before.sum);
    KTEST_STATUS(hal_mmu.update(space, VA + 1, PAGE, remove_all, &left), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.update(space, VA, 0, remove_all, &left), HX_ERR_INVALID);
}

KTEST(hal_mmu, update_refuses_to_cut_a_large_page)
{
    u32 seen = 0;
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(2), HX_MIB(2), MAP_GLOBAL), HX_OK);
    KTEST_STATUS(hal_mmu.update(space, VA + PAGE, PAGE, remove_all, &seen), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.update(space, VA, HX_MIB(2) - PAGE, remove_all, &seen), HX_ERR_INVALID);
    KTEST_CALL(expect_mapped(VA, HX_MIB(2), HX_MIB(2), MAP_GLOBAL));
    KTEST_STATUS(hal_mmu.update(space, VA, HX_MIB(2), remove_all, &seen), HX_OK);
    KTEST_ASSERT(!is_mapped(VA));
    hal_mmu.flush(VA, HX_MIB(2));
    release_tables(space);
}

KTEST(hal_mmu, replace_changes_frame_and_permissions_of_one_page)
{
    KTEST_STATUS(hal_mmu.replace(space, VA, PAGE, MAP_GLOBAL), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.map(space, VA, 5 * PAGE, 2 * PAGE, MAP_GLOBAL), HX_OK);
    KTEST_STATUS(hal_mmu.replace(space, VA, 9 * PAGE, MAP_GLOBAL | MAP_WRITE), HX_OK);
    KTEST_CALL(expect_mapped(VA, 9 * PAGE, PAGE, MAP_GLOBAL | MAP_WRITE));
    KTEST_CALL(expect_mapped(VA + PAGE, 6 * PAGE, PAGE, MAP_GLOBAL));
    KTEST_STATUS(hal_mmu.replace(space, VA + 8, PAGE, MAP_GLOBAL), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.replace(space, VA, 8, MAP_GLOBAL), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.replace(space, VA, PAGE, MAP_WRITE | MAP_EXEC), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.unmap(space, VA, 2 * PAGE), HX_OK);
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(2), HX_MIB(2), MAP_GLOBAL), HX_OK);
    KTEST_STATUS(hal_mmu.replace(space, VA, PAGE, MAP_GLOBAL), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_MIB(2)), HX_OK);
    hal_mmu.flush(VA, HX_MIB(2));
    release_tables(space);
}

KTEST(hal_mmu, split_makes_a_border_and_changes_nothing_else)
{
    const u32 rw = MAP_GLOBAL | MAP_WRITE;
    KTEST_STATUS(hal_mmu.split(space, VA), HX_OK); /* nothing there is nothing to split */
    KTEST_STATUS(hal_mmu.map(space, VA, HX_MIB(2), HX_MIB(4), rw), HX_OK);
    KTEST_STATUS(hal_mmu.split(space, VA + HX_MIB(2)), HX_OK);
    KTEST_CALL(expect_mapped(VA, HX_MIB(2), HX_MIB(2), rw));
    KTEST_STATUS(hal_mmu.split(space, VA + 5 * PAGE), HX_OK);
    for (u32 i = 0; i < HX_MIB(2) / PAGE; i++) {
        KTEST_CALL(expect_mapped(VA + i * PAGE, HX_MIB(2) + i * PAGE, PAGE, rw));
    }
    KTEST_CALL(expect_mapped(VA + HX_MIB(2), HX_MIB(4), HX_MIB(2), rw));
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_MIB(4)), HX_OK);
    hal_mmu.flush(VA, HX_MIB(4));
    release_tables(space);
}

/* page_map and page_unmap as they are meant to be used: what they leave is done the long way. */
static void short_map(struct hal_space *user, vaddr_t at, paddr_t pa, u32 flags)
{
    struct hal_mapping m;
    enum hx_status status = hal_mmu.page_map(user, at, pa, flags);
    KTEST_STATUS(status == HX_ERR_NOT_FOUND ? hal_mmu.map(user, at, pa, PAGE, flags) : status,
                 HX_OK);
    KTEST_STATUS(hal_mmu.query(user, at, &m), HX_OK);
    KTEST_EQUAL(m.pa, pa);
    KTEST_EQUAL(m.size, PAGE);
    KTEST_EQUAL(m.flags, flags);
    KTEST_STATUS(hal_mmu.page_map(user, at, pa, flags), HX_ERR_EXISTS);
}

static void short_unmap(struct hal_space *user, vaddr_t at, paddr_t want)
{
    struct hal_mapping m;
    paddr_t pa = want;
    u32 seen = 0;
    enum hx_status status = hal_mmu.page_unmap(user, at, &pa);
    if (status == HX_ERR_NOT_FOUND) {
        status = hal_mmu.update(user, at, PAGE, remove_all, &seen);
        KTEST_EQUAL(seen, 1);
    }
    KTEST_STATUS(status, HX_OK);
    KTEST_EQUAL(pa, want);
    KTEST_STATUS(hal_mmu.query(user, at, &m), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.page_unmap(user, at, &pa), HX_ERR_NOT_FOUND);
}

KTEST(hal_mmu, single_user_pages_take_the_short_way)
{
    struct hal_space user;
    paddr_t pa = 0;
    u32 seen = 0;
    const vaddr_t places[] = {0x400000, 0x7fff00000000}; /* from table to table and back */
    const u32 flags[] = {MAP_USER, MAP_USER | MAP_WRITE, MAP_USER | MAP_EXEC};
    KTEST_STATUS(hal_mmu.space_init(&user), HX_OK);
    for (u32 round = 0; round < 3; round++) { /* tables come and go with the first and last */
        for (u32 i = 0; i < 12; i++) {
            KTEST_CALL(short_map(&user, places[i % 2] + i * PAGE, (i + 7) * PAGE, flags[i % 3]));
        }
        for (u32 i = 0; i < 12; i++) {
            KTEST_CALL(short_unmap(&user, places[i % 2] + i * PAGE, (i + 7) * PAGE));
        }
    }
    /* A large page where a table was is not taken for one, nor changed. */
    KTEST_STATUS(hal_mmu.map(&user, places[0], HX_MIB(2), HX_MIB(2), MAP_USER), HX_OK);
    KTEST_ASSERT(hal_mmu.page_map(&user, places[0], PAGE, MAP_USER) != HX_OK);
    KTEST_STATUS(hal_mmu.page_unmap(&user, places[0], &pa), HX_ERR_NOT_FOUND);
    struct hal_mapping m;
    KTEST_STATUS(hal_mmu.query(&user, places[0] + PAGE, &m), HX_OK);
    KTEST_EQUAL(m.size, HX_MIB(2));
    KTEST_STATUS(hal_mmu.update(&user, 0, USER_SPACE_END, remove_all, &seen), HX_OK);
    release_tables(&user);
    hal_mmu.space_fini(&user);
}

KTEST(hal_mmu, user_spaces_are_apart)
{
    struct hal_space a, b;
    struct hal_mapping m;
    u32 seen = 0;
    const vaddr_t va = 0x400000;
    KTEST_STATUS(hal_mmu.space_init(&a), HX_OK);
    KTEST_STATUS(hal_mmu.space_init(&b), HX_OK);
    KTEST_ASSERT(a.root != 0 && b.root != 0 && a.root != b.root && a.freed == 0);
    KTEST_STATUS(hal_mmu.map(&a, va, PAGE, PAGE, MAP_USER | MAP_WRITE), HX_OK);
    KTEST_STATUS(hal_mmu.query(&b, va, &m), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.map(&b, va, 2 * PAGE, PAGE, MAP_USER | MAP_EXEC), HX_OK);
    KTEST_STATUS(hal_mmu.query(&a, va, &m), HX_OK);
    KTEST_EQUAL(m.pa, PAGE);
    KTEST_EQUAL(m.flags, MAP_USER | MAP_WRITE);
    KTEST_STATUS(hal_mmu.map(&a, VA, PAGE, PAGE, MAP_USER), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.map(&a, USER_SPACE_END - PAGE, PAGE, 2 * PAGE, MAP_USER), HX_ERR_INVALID);
    KTEST_STATUS(hal_mmu.update(&a, 0, USER_SPACE_END, remove_all, &seen), HX_OK);
    KTEST_STATUS(hal_mmu.update(&b, 0, USER_SPACE_END, remove_all, &seen), HX_OK);
    KTEST_EQUAL(seen, 2);
    release_tables(&a);
    release_tables(&b);
    hal_mmu.space_fini(&a);
    hal_mmu.space_fini(&b);
}
