/* SPDX-License-Identifier: MIT */
/* Page tables of the do-nothing port: a sorted list of leaves.
 * Owns:      the leaves of all spaces.      Callers: tests of the contract.
 * Nothing is translated; what the operations promise about ranges, page sizes, statuses and
 * failures is kept. Each leaf costs one table frame, so that running out of frames can be tested.
 * Invariant: (1) leaves ascend by address and do not overlap within a space.
 *            (2) an operation that fails has changed nothing: ranges are checked first, then the
 *            ends split, and what a failed map or split had entered is taken out again.
 */
#include <hal/mmu.h>
#include <helix/bits.h>

#define LEAVES_MAX 4096
#define PARTS      512 /* of a large page */

static const u64 page_sizes[] = {HX_GIB(1), HX_MIB(2), HX_PAGE_SIZE}; /* largest first */

struct leaf {
    paddr_t root, frame;
    struct hal_mapping m;
};

struct hal_space hal_kernel_space;

static struct {
    struct leaf leaves[LEAVES_MAX]; /* inv 1 */
    u32 count;
} mmu;

static u64 mmu_phys_limit(void)
{
    return 1ull << 48;
}

static bool range_is_valid(const struct hal_space *space, vaddr_t va, u64 size)
{
    if (size == 0 || !hx_is_aligned(va | size, HX_PAGE_SIZE) || va + (size - 1) < va) {
        return false;
    }
    return space->root ? hx_range_fits(va, size, USER_SPACE_END) : va >= DIRECT_MAP_BASE;
}

static bool flags_are_valid(u32 flags)
{
    const u32 crime = MAP_WRITE | MAP_EXEC, types = MAP_DEVICE | MAP_COMBINE;
    return !(flags & ~MAP_FLAGS_ALL) && (flags & crime) != crime && (flags & types) != types;
}

static struct leaf *find(const struct hal_space *space, vaddr_t va)
{
    for (u32 i = 0; i < mmu.count; i++) {
        struct leaf *leaf = &mmu.leaves[i];
        if (leaf->root == space->root && va - leaf->m.va < leaf->m.size) {
            return leaf;
        }
    }
    return NULL;
}

static bool range_is_mapped(const struct hal_space *space, vaddr_t va, u64 size)
{
    for (u64 done = 0; done < size;) {
        const struct leaf *leaf = find(space, va + done);
        if (!leaf) {
            return false;
        }
        done += leaf->m.size - (va + done - leaf->m.va);
    }
    return true;
}

static bool range_is_free(const struct hal_space *space, vaddr_t va, u64 size)
{
    for (u32 i = 0; i < mmu.count; i++) {
        const struct leaf *leaf = &mmu.leaves[i];
        if (leaf->root == space->root &&
            (leaf->m.va - va < size || va - leaf->m.va < leaf->m.size)) {
            return false;
        }
    }
    return true;
}

static enum hx_status leaf_insert(const struct hal_space *space, const struct hal_mapping *m)
{
    paddr_t frame;
    if (mmu.count == LEAVES_MAX || hal_event_table_alloc(&frame) != HX_OK) {
        return HX_ERR_NO_MEMORY;
    }
    u32 at = mmu.count++;
    for (; at > 0 && mmu.leaves[at - 1].m.va > m->va; at--) {
        mmu.leaves[at] = mmu.leaves[at - 1];
    }
    mmu.leaves[at] = (struct leaf){space->root, frame, *m};
    return HX_OK;
}

static void leaf_remove(struct leaf *leaf)
{
    hal_event_table_free(leaf->frame);
    mmu.count--;
    for (u32 i = (u32)(leaf - mmu.leaves); i < mmu.count; i++) {
        mmu.leaves[i] = mmu.leaves[i + 1];
    }
}

static void range_remove(const struct hal_space *space, vaddr_t va, u64 size)
{
    for (u64 done = 0; done < size;) {
        struct leaf *leaf = find(space, va + done);
        done += leaf->m.size;
        leaf_remove(leaf);
    }
}

static enum hx_status range_insert(const struct hal_space *space, struct hal_mapping m, u64 size)
{
    const struct hal_mapping whole = m;
    for (u64 done = 0; done < size; done += m.size) {
        m.va = whole.va + done;
        m.pa = whole.pa + done;
        for (u32 i = 0; i < HX_ARRAY_SIZE(page_sizes); i++) {
            m.size = page_sizes[i];
            if (m.size <= whole.size && m.size <= size - done &&
                hx_is_aligned(m.va | m.pa, m.size)) {
                break;
            }
        }
        enum hx_status status = leaf_insert(space, &m);
        if (status != HX_OK) {
            range_remove(space, whole.va, done); /* inv 2 */
            return status;
        }
    }
    return HX_OK;
}

/* Makes `va` the border of a leaf. */
static enum hx_status split_at(const struct hal_space *space, vaddr_t va)
{
    for (;;) {
        struct leaf *leaf = find(space, va);
        if (!leaf || leaf->m.va == va) {
            return HX_OK;
        }
        struct hal_mapping whole = leaf->m, part = whole;
        leaf_remove(leaf);
        part.size = whole.size / PARTS; /* no part is larger */
        enum hx_status status = range_insert(space, part, whole.size);
        if (status != HX_OK) {
            HX_IGNORE(leaf_insert(space, &whole), "its frame was returned just before"); /* inv 2 */
            return status;
        }
    }
}

static enum hx_status prepare_change(const struct hal_space *space, vaddr_t va, u64 size)
{
    if (!range_is_valid(space, va, size)) {
        return HX_ERR_INVALID;
    }
    if (!range_is_mapped(space, va, size)) {
        return HX_ERR_NOT_FOUND;
    }
    enum hx_status status = split_at(space, va);
    return status == HX_OK ? split_at(space, va + size) : status;
}

static enum hx_status mmu_init(void)
{
    return HX_OK;
}

static enum hx_status mmu_map(struct hal_space *space, vaddr_t va, paddr_t pa, u64 size, u32 flags)
{
    if (!range_is_valid(space, va, size) || !flags_are_valid(flags) ||
        !hx_is_aligned(pa, HX_PAGE_SIZE) || !hx_range_fits(pa, size, mmu_phys_limit())) {
        return HX_ERR_INVALID;
    }
    if (!range_is_free(space, va, size)) {
        return HX_ERR_EXISTS;
    }
    const struct hal_mapping m = {.va = va, .pa = pa, .size = page_sizes[0], .flags = flags};
    return range_insert(space, m, size);
}

static enum hx_status mmu_unmap(struct hal_space *space, vaddr_t va, u64 size)
{
    enum hx_status status = prepare_change(space, va, size);
    if (status == HX_OK) {
        range_remove(space, va, size);
    }
    return status;
}

static enum hx_status mmu_protect(struct hal_space *space, vaddr_t va, u64 size, u32 flags)
{
    const u32 kept = MAP_DEVICE | MAP_COMBINE;
    if (!flags_are_valid(flags)) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = prepare_change(space, va, size);
    for (u64 done = 0; status == HX_OK && done < size;) {
        struct leaf *leaf = find(space, va + done);
        leaf->m.flags = (leaf->m.flags & kept) | (flags & ~kept);
        done += leaf->m.size;
    }
    return status;
}

static enum hx_status mmu_query(struct hal_space *space, vaddr_t va, struct hal_mapping *out)
{
    const struct leaf *leaf = find(space, va);
    if (!leaf) {
        return HX_ERR_NOT_FOUND;
    }
    *out = leaf->m;
    return HX_OK;
}

static enum hx_status mmu_walk(struct hal_space *space, hal_walk_fn *fn, void *ctx)
{
    for (u32 i = 0; i < mmu.count; i++) {
        enum hx_status status =
            mmu.leaves[i].root == space->root ? fn(ctx, &mmu.leaves[i].m) : HX_OK;
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status mmu_replace(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags)
{
    if (!range_is_valid(space, va, HX_PAGE_SIZE) || !flags_are_valid(flags) ||
        !hx_is_aligned(pa, HX_PAGE_SIZE) || !hx_range_fits(pa, HX_PAGE_SIZE, mmu_phys_limit())) {
        return HX_ERR_INVALID;
    }
    struct leaf *leaf = find(space, va);
    if (!leaf || leaf->m.size != HX_PAGE_SIZE) {
        return HX_ERR_NOT_FOUND;
    }
    leaf->m.pa = pa;
    leaf->m.flags = flags;
    return HX_OK;
}

static enum hx_status mmu_split(struct hal_space *space, vaddr_t va)
{
    return split_at(space, va);
}

static enum hx_status mmu_page_map(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags)
{
    return mmu_map(space, va, pa, HX_PAGE_SIZE, flags);
}

static enum hx_status mmu_page_unmap(struct hal_space *space, vaddr_t va, paddr_t *out_pa)
{
    struct leaf *leaf = find(space, va);
    if (!leaf || leaf->m.size != HX_PAGE_SIZE) {
        return HX_ERR_NOT_FOUND;
    }
    *out_pa = leaf->m.pa;
    leaf_remove(leaf);
    return HX_OK;
}

/* Nothing walks these tables behind the caller's back, so what is emptied is freed at once. */
static enum hx_status mmu_update(struct hal_space *space, vaddr_t va, u64 size, hal_update_fn *fn,
                                 void *ctx)
{
    const u32 kept = MAP_DEVICE | MAP_COMBINE;
    if (!range_is_valid(space, va, size)) {
        return HX_ERR_INVALID;
    }
    for (u32 i = 0; i < mmu.count;) {
        struct leaf *leaf = &mmu.leaves[i];
        if (leaf->root != space->root ||
            (leaf->m.va - va >= size && va - leaf->m.va >= leaf->m.size)) {
            i++;
            continue;
        }
        if (leaf->m.va - va >= size || leaf->m.size > size - (leaf->m.va - va)) {
            return HX_ERR_INVALID;
        }
        u32 answer = fn(ctx, &leaf->m);
        if (answer == UPDATE_REMOVE) {
            leaf_remove(leaf);
            continue;
        }
        if (answer != UPDATE_KEEP) {
            leaf->m.flags = (leaf->m.flags & kept) | (answer & ~kept);
        }
        i++;
    }
    return HX_OK;
}

static enum hx_status mmu_space_init(struct hal_space *space)
{
    paddr_t root;
    enum hx_status status = hal_event_table_alloc(&root);
    if (status == HX_OK) {
        *space = (struct hal_space){.root = root};
    }
    return status;
}

static void mmu_space_fini(struct hal_space *space)
{
    hal_event_table_free(space->root);
    space->root = 0;
}

static void mmu_activate(struct hal_space *space)
{
    (void)space;
}

static void mmu_flush(vaddr_t va, u64 size)
{
    (void)va;
    (void)size;
}

const struct hal_mmu_ops hal_mmu = {
    .init = mmu_init,
    .map = mmu_map,
    .unmap = mmu_unmap,
    .protect = mmu_protect,
    .query = mmu_query,
    .walk = mmu_walk,
    .replace = mmu_replace,
    .update = mmu_update,
    .split = mmu_split,
    .page_map = mmu_page_map,
    .page_unmap = mmu_page_unmap,
    .space_init = mmu_space_init,
    .space_fini = mmu_space_fini,
    .flush_is_global = true,
    .activate = mmu_activate,
    .flush = mmu_flush,
    .phys_limit = mmu_phys_limit,
};
