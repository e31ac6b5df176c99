/* SPDX-License-Identifier: MIT */
/* Four-level page tables of x86_64.
 * Owns:      every page table; hal_kernel_space.      Callers: memory.
 * Context:   any with the space's changes serialised by the caller; never blocks.
 * Invariant: (1) the entry that points to a table holds, in bits the CPU ignores, how many entries
 *            of that table are in use; a table is freed when that falls to zero. Counting beats
 *            scanning 512 entries on every unmap.
 *            (2) tables right below the kernel's top level are never freed: other spaces share
 *            them by value of the top-level entry.
 *            (3) an operation that fails has changed no translation: ranges are checked first, the
 *            two ends split next, and what a failed map had entered is taken out again.
 * Spec:      Intel SDM vol. 3, 4.5 (4-level paging), 4.9.2 (PAT), 4.10.4 (invalidation).
 */
#include <port/pc.h>

#include <hal/mmu.h>
#include <helix/bits.h>
#include <port/x86.h>

#define ENTRY_PRESENT  (1ull << 0)
#define ENTRY_WRITE    (1ull << 1)
#define ENTRY_USER     (1ull << 2)
#define ENTRY_PWT      (1ull << 3)
#define ENTRY_PCD      (1ull << 4)
#define ENTRY_ACCESSED (1ull << 5)
#define ENTRY_DIRTY    (1ull << 6)
#define ENTRY_LARGE    (1ull << 7)
#define ENTRY_GLOBAL   (1ull << 8)
#define ENTRY_NX       (1ull << 63)
#define ENTRY_ADDRESS  0x000ffffffffff000ull
#define COUNT_SHIFT    52 /* bits 61:52 of an entry that points to a table are ignored */
#define COUNT_ONE      (1ull << COUNT_SHIFT)
#define COUNT_MASK     (0x3ffull << COUNT_SHIFT)

#define TOP                3 /* level of the PML4; 0 is the last level */
#define ENTRIES            512
#define LEVEL_SHIFT(level) (HX_PAGE_SHIFT + 9 * (level))
#define LEVEL_SIZE(level)  (1ull << LEVEL_SHIFT(level))
#define CANONICAL_TOP      0xffff000000000000ull

struct hal_space hal_kernel_space;
static paddr_t kernel_root;

static u64 *table_at(u64 entry)
{
    return hal_phys_to_virt(entry & ENTRY_ADDRESS);
}

static u64 *slot(u64 *table, vaddr_t va, u32 level)
{
    return &table[va >> LEVEL_SHIFT(level) & (ENTRIES - 1)];
}

static u64 *root_of(const struct hal_space *space)
{
    return hal_phys_to_virt(space->root ? space->root : kernel_root);
}

static bool is_leaf(u64 entry, u32 level)
{
    return level == 0 || (entry & ENTRY_LARGE);
}

static u64 entry_from_flags(u32 flags)
{
    return ENTRY_PRESENT | ENTRY_ACCESSED | ENTRY_DIRTY | (flags & MAP_WRITE ? ENTRY_WRITE : 0) |
           (flags & MAP_EXEC ? 0 : ENTRY_NX) | (flags & MAP_USER ? ENTRY_USER : 0) |
           (flags & MAP_GLOBAL ? ENTRY_GLOBAL : 0) |
           (flags & MAP_DEVICE ? ENTRY_PCD | ENTRY_PWT : 0) | (flags & MAP_COMBINE ? ENTRY_PWT : 0);
}

static u32 flags_from_entry(u64 entry)
{
    return (entry & ENTRY_WRITE ? MAP_WRITE : 0) | (entry & ENTRY_NX ? 0 : MAP_EXEC) |
           (entry & ENTRY_USER ? MAP_USER : 0) | (entry & ENTRY_GLOBAL ? MAP_GLOBAL : 0) |
           (entry & ENTRY_PCD   ? MAP_DEVICE
            : entry & ENTRY_PWT ? MAP_COMBINE
                                : 0);
}

/* Where each level's entry for one address is; valid from TOP down to `level`. */
struct path {
    u64 *entry[TOP + 1];
    u32 level; /* of the leaf or of the first absent entry */
};

static void path_find(struct hal_space *space, vaddr_t va, struct path *path)
{
    u64 *table = root_of(space);
    for (u32 level = TOP;; level--) {
        path->entry[level] = slot(table, va, level);
        path->level = level;
        u64 entry = *path->entry[level];
        if (level == 0 || !(entry & ENTRY_PRESENT) || (entry & ENTRY_LARGE)) {
            return;
        }
        table = table_at(entry);
    }
}

/* Enters or removes one entry's worth in the count of the table that holds `level`'s entry. */
static void count_add(struct path *path, u32 level)
{
    if (level < TOP) {
        *path->entry[level + 1] += COUNT_ONE;
    }
}

static void count_sub(struct path *path, u32 level)
{
    for (; level < TOP; level++) {
        u64 *parent = path->entry[level + 1];
        *parent -= COUNT_ONE;
        if ((*parent & COUNT_MASK) != 0 || (level + 1 == TOP)) { /* inv 2 */
            return;
        }
        paddr_t frame = *parent & ENTRY_ADDRESS;
        *parent = 0;
        hal_event_table_free(frame);
    }
}

static bool range_is_valid(const struct hal_space *space, vaddr_t va, u64 size)
{
    u64 end;
    if (size == 0 || !hx_is_aligned(va | size, HX_PAGE_SIZE) ||
        !hx_add_checked(va, size - 1, &end)) {
        return false;
    }
    return space->root ? end < USER_SPACE_END : va >= DIRECT_MAP_BASE;
}

static enum hx_status descend(struct path *path, vaddr_t va, u32 target, bool user)
{
    while (path->level > target) {
        u64 *entry = path->entry[path->level];
        if (!(*entry & ENTRY_PRESENT)) {
            paddr_t frame;
            enum hx_status status = hal_event_table_alloc(&frame);
            if (status != HX_OK) {
                return status;
            }
            *entry = frame | ENTRY_PRESENT | ENTRY_WRITE | (user ? ENTRY_USER : 0);
            count_add(path, path->level);
        }
        path->level--;
        path->entry[path->level] = slot(table_at(*entry), va, path->level);
    }
    return HX_OK;
}

/* Replaces a large leaf by a table of leaves with the same translations. */
static enum hx_status split(struct path *path)
{
    u64 *entry = path->entry[path->level], leaf = *entry;
    u64 step = LEVEL_SIZE(path->level - 1);
    paddr_t frame;
    enum hx_status status = hal_event_table_alloc(&frame);
    if (status != HX_OK) {
        return status;
    }
    u64 *table = hal_phys_to_virt(frame);
    u64 child = path->level == 1 ? leaf & ~ENTRY_LARGE : leaf;
    for (u32 i = 0; i < ENTRIES; i++) {
        table[i] = child + i * step;
    }
    *entry =
        frame | ENTRY_PRESENT | ENTRY_WRITE | (leaf & ENTRY_USER) | (u64)ENTRIES << COUNT_SHIFT;
    return HX_OK;
}

/* Makes `va` the start of a leaf. Return: NOT_FOUND when nothing is mapped there. */
static enum hx_status split_at(struct hal_space *space, vaddr_t va)
{
    for (;;) {
        struct path path;
        path_find(space, va, &path);
        if (!(*path.entry[path.level] & ENTRY_PRESENT)) {
            return HX_ERR_NOT_FOUND;
        }
        if (hx_is_aligned(va, LEVEL_SIZE(path.level))) {
            return HX_OK;
        }
        enum hx_status status = split(&path);
        if (status != HX_OK) {
            return status;
        }
        cr3_write(cr3_read());
    }
}

/* All of the range is mapped, and begins and ends with leaves. */
static enum hx_status prepare_change(struct hal_space *space, vaddr_t va, u64 size)
{
    if (!range_is_valid(space, va, size)) {
        return HX_ERR_INVALID;
    }
    for (u64 done = 0; done < size;) { /* inv 3 */
        struct path path;
        path_find(space, va + done, &path);
        if (!(*path.entry[path.level] & ENTRY_PRESENT)) {
            return HX_ERR_NOT_FOUND;
        }
        u64 leaf = LEVEL_SIZE(path.level);
        done += leaf - ((va + done) & (leaf - 1));
    }
    enum hx_status status = split_at(space, va);
    if (status == HX_OK && va + size != 0) {
        status = split_at(space, va + size);
        status = status == HX_ERR_NOT_FOUND ? HX_OK : status; /* nothing is mapped behind it */
    }
    return status;
}

static void clear_range(struct hal_space *space, vaddr_t va, u64 size)
{
    for (u64 done = 0; done < size;) {
        struct path path;
        path_find(space, va + done, &path);
        *path.entry[path.level] = 0;
        count_sub(&path, path.level);
        done += LEVEL_SIZE(path.level);
    }
}

static bool flags_are_valid(const struct hal_space *space, u32 flags)
{
    const u32 type = MAP_DEVICE | MAP_COMBINE;
    if ((flags & ~MAP_FLAGS_ALL) || (flags & type) == type ||
        ((flags & MAP_EXEC) && (flags & (MAP_WRITE | type)))) {
        return false;
    }
    return space->root || !(flags & MAP_USER);
}

static u32 best_level(vaddr_t va, paddr_t pa, u64 size)
{
    for (u32 level = cpu_has_1g_pages() ? 2 : 1; level > 0; level--) {
        if (size >= LEVEL_SIZE(level) && hx_is_aligned(va | pa, LEVEL_SIZE(level))) {
            return level;
        }
    }
    return 0;
}

static enum hx_status mmu_map(struct hal_space *space, vaddr_t va, paddr_t pa, u64 size, u32 flags)
{
    u64 pa_end;
    if (!range_is_valid(space, va, size) || !hx_is_aligned(pa, HX_PAGE_SIZE) ||
        !hx_add_checked(pa, size, &pa_end) || pa_end > cpu_phys_limit() ||
        !flags_are_valid(space, flags)) {
        return HX_ERR_INVALID;
    }
    for (u64 done = 0; done < size;) { /* inv 3 */
        struct path path;
        path_find(space, va + done, &path);
        if (*path.entry[path.level] & ENTRY_PRESENT) {
            return HX_ERR_EXISTS;
        }
        u64 hole = LEVEL_SIZE(path.level);
        done += hole - ((va + done) & (hole - 1));
    }
    u64 leaf = entry_from_flags(flags);
    for (u64 done = 0; done < size;) {
        u32 level = best_level(va + done, pa + done, size - done);
        struct path path;
        path_find(space, va + done, &path);
        enum hx_status status = descend(&path, va + done, level, flags & MAP_USER);
        if (status != HX_OK) {
            clear_range(space, va, done);
            return status;
        }
        *path.entry[level] = (pa + done) | leaf | (level ? ENTRY_LARGE : 0);
        count_add(&path, level);
        done += LEVEL_SIZE(level);
    }
    return HX_OK;
}

static enum hx_status mmu_unmap(struct hal_space *space, vaddr_t va, u64 size)
{
    enum hx_status status = prepare_change(space, va, size);
    if (status == HX_OK) {
        clear_range(space, va, size);
    }
    return status;
}

static enum hx_status mmu_protect(struct hal_space *space, vaddr_t va, u64 size, u32 flags)
{
    const u64 kept = ENTRY_ADDRESS | ENTRY_LARGE | ENTRY_PWT | ENTRY_PCD;
    if (!flags_are_valid(space, flags)) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = prepare_change(space, va, size);
    if (status != HX_OK) {
        return status;
    }
    u64 leaf = entry_from_flags(flags & ~(MAP_DEVICE | MAP_COMBINE));
    for (u64 done = 0; done < size;) {
        struct path path;
        path_find(space, va + done, &path);
        u64 *entry = path.entry[path.level];
        *entry = (*entry & kept) | leaf;
        done += LEVEL_SIZE(path.level);
    }
    return HX_OK;
}

static void describe(u64 entry, u32 level, vaddr_t va, struct hal_mapping *out)
{
    *out = (struct hal_mapping){
        .va = va & ~(LEVEL_SIZE(level) - 1),
        .pa = entry & ENTRY_ADDRESS & ~(LEVEL_SIZE(level) - 1),
        .size = LEVEL_SIZE(level),
        .flags = flags_from_entry(entry),
    };
}

static enum hx_status mmu_query(struct hal_space *space, vaddr_t va, struct hal_mapping *out)
{
    struct path path;
    if (space->root ? va >= USER_SPACE_END : va < DIRECT_MAP_BASE || !kernel_root) {
        return HX_ERR_NOT_FOUND;
    }
    path_find(space, va, &path);
    u64 entry = *path.entry[path.level];
    if (!(entry & ENTRY_PRESENT)) {
        return HX_ERR_NOT_FOUND;
    }
    describe(entry, path.level, va, out);
    return HX_OK;
}

static enum hx_status walk_table(u64 *table, u32 level, vaddr_t base, u32 first, u32 last,
                                 hal_walk_fn *fn, void *ctx)
{
    for (u32 i = first; i < last; i++) {
        u64 entry = table[i];
        vaddr_t va = base + ((u64)i << LEVEL_SHIFT(level));
        if (!(entry & ENTRY_PRESENT)) {
            continue;
        }
        enum hx_status status;
        if (is_leaf(entry, level)) {
            struct hal_mapping mapping;
            describe(entry, level, va, &mapping);
            status = fn(ctx, &mapping);
        } else {
            status = walk_table(table_at(entry), level - 1, va, 0, ENTRIES, fn, ctx);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status mmu_walk(struct hal_space *space, hal_walk_fn *fn, void *ctx)
{
    return space->root
               ? walk_table(root_of(space), TOP, 0, 0, ENTRIES / 2, fn, ctx)
               : walk_table(root_of(space), TOP, CANONICAL_TOP, ENTRIES / 2, ENTRIES, fn, ctx);
}

static enum hx_status mmu_init(void)
{
    return hal_event_table_alloc(&kernel_root);
}

static void mmu_activate(struct hal_space *space)
{
    cr3_write(space->root ? space->root : kernel_root);
}

/* One INVLPG a page up to this many; then everything but the global pages, then those too. */
#define FLUSH_PAGES_MAX 32

static void mmu_flush(vaddr_t va, u64 size)
{
    if (size > FLUSH_PAGES_MAX * HX_PAGE_SIZE) {
        u64 cr4 = cr4_read();
        if (cr4 & CR4_PGE) {
            cr4_write(cr4 & ~CR4_PGE);
            cr4_write(cr4);
        } else {
            cr3_write(cr3_read());
        }
        return;
    }
    for (vaddr_t at = hx_align_down(va, HX_PAGE_SIZE); at < va + size; at += HX_PAGE_SIZE) {
        __asm__ volatile("invlpg (%0)" ::"r"(at) : "memory");
    }
}

const struct hal_mmu_ops hal_mmu = {
    .init = mmu_init,
    .map = mmu_map,
    .unmap = mmu_unmap,
    .protect = mmu_protect,
    .query = mmu_query,
    .walk = mmu_walk,
    .activate = mmu_activate,
    .flush = mmu_flush,
    .phys_limit = cpu_phys_limit,
};
