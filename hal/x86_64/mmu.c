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
 *            (4) every space's top level holds the kernel's entries by value. They are complete
 *            before the first is made, a table for the first 512 GiB of each region included, and
 *            never change afterwards; copying lazily on a fault would put that fault on every path
 *            of the kernel, exception entry and stack switch included.
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
/* User spaces have copies of the kernel's top-level entries; inv 4 says why they may be listed. */
static bool kernel_top_shared;
static struct {
    u16 count;
    u16 index[ENTRIES / 2];
} kernel_top HX_RO_AFTER_INIT; /* the entries in use */

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

/* A leaf's bits by MAP_* flags, worked out by the compiler: this is on the path of page faults. 0:
 * flags that no mapping may have. */
#define TYPES (MAP_DEVICE | MAP_COMBINE)
#define LEAF(f)                                                                                    \
    (((f)&TYPES) == TYPES || (((f)&MAP_EXEC) && ((f) & (MAP_WRITE | TYPES)))                       \
         ? 0                                                                                       \
         : ENTRY_PRESENT | ENTRY_ACCESSED | ENTRY_DIRTY | ((f)&MAP_WRITE ? ENTRY_WRITE : 0) |      \
               ((f)&MAP_EXEC ? 0 : ENTRY_NX) | ((f)&MAP_USER ? ENTRY_USER : 0) |                   \
               ((f)&MAP_GLOBAL ? ENTRY_GLOBAL : 0) |                                               \
               ((f)&MAP_DEVICE ? ENTRY_PCD | ENTRY_PWT : 0) | ((f)&MAP_COMBINE ? ENTRY_PWT : 0))
#define LEAF4(f)  LEAF(f), LEAF((f) + 1), LEAF((f) + 2), LEAF((f) + 3)
#define LEAF16(f) LEAF4(f), LEAF4((f) + 4), LEAF4((f) + 8), LEAF4((f) + 12)

// NOLINTNEXTLINE(misc-redundant-expression): it is a table of all cases
static const u64 leaf_bits[] = {LEAF16(0), LEAF16(16), LEAF16(32), LEAF16(48)};
_Static_assert(HX_ARRAY_SIZE(leaf_bits) == MAP_FLAGS_ALL + 1, "all sets of flags");

/* flags are valid. */
static u64 entry_from_flags(u32 flags)
{
    return leaf_bits[flags];
}

static bool flags_are_valid(const struct hal_space *space, u32 flags)
{
    return flags <= MAP_FLAGS_ALL && leaf_bits[flags] != 0 && (space->root || !(flags & MAP_USER));
}

_Static_assert(ENTRY_USER == MAP_USER && ENTRY_PCD == MAP_DEVICE && ENTRY_PCD >> 1 == ENTRY_PWT,
               "flags_from_entry() knows");

static u32 flags_from_entry(u64 entry)
{
    /* Shifts, not questions: it is done for every page that is looked at. */
    return (u32)((entry / (ENTRY_WRITE / MAP_WRITE) & MAP_WRITE) |
                 (~entry / (ENTRY_NX / MAP_EXEC) & MAP_EXEC) | (entry & MAP_USER) |
                 (entry / (ENTRY_GLOBAL / MAP_GLOBAL) & MAP_GLOBAL) | (entry & MAP_DEVICE) |
                 ((entry & ~(entry >> 1)) * (MAP_COMBINE / ENTRY_PWT) & MAP_COMBINE));
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

/* The last-level table that va lies in, and the entry that points to it; NULL: there is none. What
 * page faults, stacks and small system calls need, unrolled. */
static HX_ALWAYS_INLINE u64 *leaf_table(const struct hal_space *space, vaddr_t va, u64 **out_parent)
{
    u64 *entry = slot(root_of(space), va, 3);
    if (!(*entry & ENTRY_PRESENT)) {
        return NULL;
    }
    entry = slot(table_at(*entry), va, 2);
    if ((*entry & (ENTRY_PRESENT | ENTRY_LARGE)) != ENTRY_PRESENT) {
        return NULL;
    }
    entry = slot(table_at(*entry), va, 1);
    if ((*entry & (ENTRY_PRESENT | ENTRY_LARGE)) != ENTRY_PRESENT) {
        return NULL;
    }
    *out_parent = entry;
    return table_at(*entry);
}

/* The same, looked for first where it was last: a program's pages lie together. */
enum { NEAR_SPAN, NEAR_PARENT }; /* in hal_space.port: va >> LEVEL_SHIFT(1), the entry's address */
#define NEAR_NONE (~0ull)

static HX_ALWAYS_INLINE u64 *leaf_table_near(struct hal_space *space, vaddr_t va, u64 **out_parent)
{
    if (hx_likely(space->port[NEAR_SPAN] == va >> LEVEL_SHIFT(1))) {
        *out_parent = (u64 *)space->port[NEAR_PARENT];
        return table_at(**out_parent);
    }
    u64 *table = leaf_table(space, va, out_parent);
    if (table) {
        space->port[NEAR_SPAN] = va >> LEVEL_SHIFT(1);
        space->port[NEAR_PARENT] = (u64)*out_parent;
    }
    return table;
}

/* Enters or removes one entry's worth in the count of the table that holds `level`'s entry. */
static void count_add(struct path *path, u32 level)
{
    if (level < TOP) {
        *path->entry[level + 1] += COUNT_ONE;
    }
}

/* An emptied table waits on the space's list until the caller has flushed. */
static void table_retire(struct hal_space *space, u64 entry)
{
    space->port[NEAR_SPAN] = NEAR_NONE;
    *table_at(entry) = space->freed;
    space->freed = entry & ENTRY_ADDRESS;
}

static void count_sub(struct hal_space *space, struct path *path, u32 level)
{
    for (; level < TOP; level++) {
        u64 *parent = path->entry[level + 1], entry = *parent - COUNT_ONE;
        *parent = entry;
        if ((entry & COUNT_MASK) != 0 || (level + 1 == TOP && !space->root)) { /* inv 2 */
            return;
        }
        *parent = 0;
        table_retire(space, entry);
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
            if (path->level == TOP && kernel_top_shared && va >= DIRECT_MAP_BASE) {
                return HX_ERR_NO_SPACE; /* inv 4 */
            }
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
        count_sub(space, &path, path.level);
        done += LEVEL_SIZE(path.level);
    }
}

/* Takes out the tables without entries that a descent which failed has left on its path. */
static void empty_tables_drop(struct hal_space *space, struct path *path)
{
    for (u32 level = path->level; level < TOP; level++) {
        u64 *parent = path->entry[level + 1], entry = *parent;
        if ((entry & COUNT_MASK) != 0 || (level + 1 == TOP && !space->root)) {
            return;
        }
        *parent = 0;
        table_retire(space, entry);
        if (level + 2 <= TOP) {
            *path->entry[level + 2] -= COUNT_ONE;
        }
    }
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

static HX_NOINLINE enum hx_status map_range(struct hal_space *space, vaddr_t va, paddr_t pa,
                                            u64 size, u32 flags)
{
    u64 pa_end;
    if (!range_is_valid(space, va, size) || !hx_is_aligned(pa, HX_PAGE_SIZE) ||
        !hx_add_checked(pa, size, &pa_end) || pa_end > cpu_phys_limit() ||
        !flags_are_valid(space, flags)) {
        return HX_ERR_INVALID;
    }
    u64 leaf = entry_from_flags(flags);
    for (u64 done = 0; done < size;) { /* inv 3 */
        struct path path;
        path_find(space, va + done, &path);
        if (*path.entry[path.level] & ENTRY_PRESENT) {
            return HX_ERR_EXISTS;
        }
        u64 hole = LEVEL_SIZE(path.level);
        done += hole - ((va + done) & (hole - 1));
    }
    for (u64 done = 0; done < size;) {
        u32 level = best_level(va + done, pa + done, size - done);
        struct path path;
        path_find(space, va + done, &path);
        enum hx_status status = descend(&path, va + done, level, flags & MAP_USER);
        if (status != HX_OK) {
            empty_tables_drop(space, &path);
            clear_range(space, va, done);
            return status;
        }
        *path.entry[level] = (pa + done) | leaf | (level ? ENTRY_LARGE : 0);
        count_add(&path, level);
        done += LEVEL_SIZE(level);
    }
    return HX_OK;
}

static enum hx_status mmu_map(struct hal_space *space, vaddr_t va, paddr_t pa, u64 size, u32 flags)
{
    if (size != HX_PAGE_SIZE || !range_is_valid(space, va, HX_PAGE_SIZE) ||
        !hx_is_aligned(pa, HX_PAGE_SIZE) || pa >= cpu_phys_limit() ||
        !flags_are_valid(space, flags)) {
        return map_range(space, va, pa, size, flags);
    }
    u64 *parent = NULL, *table = leaf_table(space, va, &parent);
    if (!table) {
        return map_range(space, va, pa, size, flags);
    }
    u64 *entry = slot(table, va, 0);
    if (*entry & ENTRY_PRESENT) {
        return HX_ERR_EXISTS;
    }
    *entry = pa | entry_from_flags(flags);
    *parent += COUNT_ONE;
    return HX_OK;
}

static enum hx_status mmu_unmap(struct hal_space *space, vaddr_t va, u64 size)
{
    u64 *parent = NULL, *table = NULL;
    if (size == HX_PAGE_SIZE && range_is_valid(space, va, size)) {
        table = leaf_table(space, va, &parent);
    }
    if (table && (*slot(table, va, 0) & ENTRY_PRESENT) && (*parent & COUNT_MASK) > COUNT_ONE) {
        *slot(table, va, 0) = 0;
        *parent -= COUNT_ONE;
        return HX_OK;
    }
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

static HX_COLD enum hx_status mmu_query(struct hal_space *space, vaddr_t va,
                                        struct hal_mapping *out)
{
    struct path path;
    if (space->root ? va >= USER_SPACE_END : va < DIRECT_MAP_BASE || !kernel_root) {
        return HX_ERR_NOT_FOUND;
    }
    u64 *parent = NULL, *table = leaf_table(space, va, &parent);
    if (table) {
        u64 leaf = *slot(table, va, 0);
        if (!(leaf & ENTRY_PRESENT)) {
            return HX_ERR_NOT_FOUND;
        }
        describe(leaf, 0, va, out);
        return HX_OK;
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

/* Does with a leaf what fn says; how many entries the table has less. */
static HX_ALWAYS_INLINE u64 update_leaf(u64 *entry, u32 level, vaddr_t va, hal_update_fn *fn,
                                        void *ctx)
{
    const u64 kept = ENTRY_ADDRESS | ENTRY_LARGE | ENTRY_PWT | ENTRY_PCD;
    struct hal_mapping mapping;
    describe(*entry, level, va, &mapping);
    u32 answer = fn(ctx, &mapping);
    if (answer == UPDATE_REMOVE) {
        *entry = 0;
        return COUNT_ONE;
    }
    if (answer != UPDATE_KEEP) {
        *entry = (*entry & kept) | entry_from_flags(answer & ~(MAP_DEVICE | MAP_COMBINE));
    }
    return 0;
}

/* The part [va, last] of a last-level table. Its count says how many entries can still be found, so
 * that a table with few is not read to its end; likewise below. */
static void update_leaves(u64 *parent, u64 *table, vaddr_t va, vaddr_t last, hal_update_fn *fn,
                          void *ctx)
{
    u64 *end = slot(table, last, 0), left = *parent & COUNT_MASK;
    for (u64 *entry = slot(table, va, 0); entry <= end && left > 0; entry++, va += HX_PAGE_SIZE) {
        if (*entry != 0) {
            left -= COUNT_ONE;
            *parent -= update_leaf(entry, 0, va, fn, ctx);
        }
    }
}

/* The same for any table; `parent` counts its entries. */
static enum hx_status update_table(struct hal_space *space, u64 *parent, u64 *table, u32 level,
                                   vaddr_t va, vaddr_t last, hal_update_fn *fn, void *ctx)
{
    u64 span = LEVEL_SIZE(level);
    u64 *end = slot(table, last, level), left = level < TOP ? *parent & COUNT_MASK : COUNT_MASK;
    for (u64 *entry = slot(table, va, level); entry <= end && left > 0;
         entry++, va = (va & ~(span - 1)) + span) {
        if (*entry == 0) {
            continue;
        }
        left -= COUNT_ONE;
        vaddr_t entry_last = hx_min_u64(last, va | (span - 1));
        if (is_leaf(*entry, level)) {
            if ((va & (span - 1)) || entry_last - va != span - 1) {
                return HX_ERR_INVALID;
            }
            // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a leaf is never in the root
            *parent -= update_leaf(entry, level, va, fn, ctx);
            continue;
        }
        enum hx_status status = HX_OK;
        if (level == 1) {
            update_leaves(entry, table_at(*entry), va, entry_last, fn, ctx);
        } else {
            status =
                update_table(space, entry, table_at(*entry), level - 1, va, entry_last, fn, ctx);
        }
        if ((*entry & COUNT_MASK) == 0 && (level < TOP || space->root)) { /* inv 2 */
            u64 gone = *entry;
            *entry = 0;
            table_retire(space, gone);
            *parent -= COUNT_ONE;
        }
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status mmu_replace(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags)
{
    if (!range_is_valid(space, va, HX_PAGE_SIZE) || !hx_is_aligned(pa, HX_PAGE_SIZE) ||
        pa >= cpu_phys_limit() || !flags_are_valid(space, flags)) {
        return HX_ERR_INVALID;
    }
    u64 *parent = NULL, *table = leaf_table(space, va, &parent);
    if (!table || !(*slot(table, va, 0) & ENTRY_PRESENT)) {
        return HX_ERR_NOT_FOUND;
    }
    *slot(table, va, 0) = pa | entry_from_flags(flags);
    return HX_OK;
}

static enum hx_status mmu_update(struct hal_space *space, vaddr_t va, u64 size, hal_update_fn *fn,
                                 void *ctx)
{
    if (!range_is_valid(space, va, size)) {
        return HX_ERR_INVALID;
    }
    vaddr_t last = va + (size - 1);
    u64 top_count = 0, *parent = NULL,
        *table = NULL; /* nobody counts the entries of the top level */
    if (((va ^ last) >> LEVEL_SHIFT(1)) == 0) {
        table = leaf_table_near(space, va, &parent);
    }
    if (!table) {
        return update_table(space, &top_count, root_of(space), TOP, va, last, fn, ctx);
    }
    if (size == HX_PAGE_SIZE) {
        u64 *entry = slot(table, va, 0);
        if (*entry == 0) {
            return HX_OK;
        }
        *parent -= update_leaf(entry, 0, va, fn, ctx);
    } else {
        update_leaves(parent, table, va, last, fn, ctx);
    }
    if ((*parent & COUNT_MASK) == 0) {
        struct path path;
        path_find(space, va, &path);
        empty_tables_drop(space, &path);
    }
    return HX_OK;
}

static enum hx_status mmu_split(struct hal_space *space, vaddr_t va)
{
    enum hx_status status = split_at(space, va);
    return status == HX_ERR_NOT_FOUND ? HX_OK : status;
}

static enum hx_status mmu_page_map(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags)
{
    u64 *parent = NULL, *table = leaf_table_near(space, va, &parent);
    if (hx_unlikely(!table)) {
        return HX_ERR_NOT_FOUND;
    }
    u64 *entry = slot(table, va, 0);
    if (hx_unlikely(*entry & ENTRY_PRESENT)) {
        return HX_ERR_EXISTS;
    }
    *entry = pa | entry_from_flags(flags);
    *parent += COUNT_ONE;
    return HX_OK;
}

static enum hx_status mmu_page_unmap(struct hal_space *space, vaddr_t va, paddr_t *out_pa)
{
    u64 *parent = NULL, *table = leaf_table_near(space, va, &parent);
    if (hx_unlikely(!table || (*parent & COUNT_MASK) == COUNT_ONE)) {
        return HX_ERR_NOT_FOUND;
    }
    u64 *entry = slot(table, va, 0), leaf = *entry;
    if (hx_unlikely(!(leaf & ENTRY_PRESENT))) {
        return HX_ERR_NOT_FOUND;
    }
    *entry = 0;
    *parent -= COUNT_ONE;
    *out_pa = leaf & ENTRY_ADDRESS;
    return HX_OK;
}

/* Completes the kernel's part of the top level; inv 4. */
static enum hx_status kernel_top_share(void)
{
    static const vaddr_t regions[] = {
        DEVICE_BASE, STACKS_BASE,       HEAP_BASE,   KASAN_SHADOW_BASE,
        PERCPU_BASE, KERNEL_IMAGE_BASE, MODULE_BASE, MODULE_BASE + MODULE_SIZE - HX_PAGE_SIZE};
    for (u32 i = 0; i < HX_ARRAY_SIZE(regions); i++) {
        struct path path;
        path_find(&hal_kernel_space, regions[i], &path);
        if (path.level == TOP) {
            enum hx_status status = descend(&path, regions[i], TOP - 1, false);
            if (status != HX_OK) {
                return status;
            }
        }
    }
    const u64 *top = hal_phys_to_virt(kernel_root);
    for (u16 i = ENTRIES / 2; i < ENTRIES; i++) {
        if (top[i] & ENTRY_PRESENT) {
            kernel_top.index[kernel_top.count++] = i;
        }
    }
    kernel_top_shared = true;
    return HX_OK;
}

static HX_COLD enum hx_status mmu_space_init(struct hal_space *space)
{
    enum hx_status status = kernel_top_shared ? HX_OK : kernel_top_share();
    paddr_t root;
    if (status == HX_OK) {
        status = hal_event_table_alloc(&root);
    }
    if (status != HX_OK) {
        return status;
    }
    u64 *to = hal_phys_to_virt(root);
    const u64 *from = hal_phys_to_virt(kernel_root);
    for (u32 i = 0; i < kernel_top.count; i++) {
        to[kernel_top.index[i]] = from[kernel_top.index[i]];
    }
    *space = (struct hal_space){.root = root, .port[NEAR_SPAN] = NEAR_NONE};
    return HX_OK;
}

static HX_COLD void mmu_space_fini(struct hal_space *space)
{
    u64 *top = hal_phys_to_virt(space->root);
    for (u32 i = 0; i < kernel_top.count; i++) {
        top[kernel_top.index[i]] = 0; /* tables go back zeroed */
    }
    hal_event_table_free(space->root);
    space->root = 0;
}

static HX_COLD enum hx_status mmu_init(void)
{
    return hal_event_table_alloc(&kernel_root);
}

static void mmu_activate(struct hal_space *space)
{
    cr3_write(space->root ? space->root : kernel_root);
}

paddr_t mmu_kernel_root(void)
{
    return kernel_root;
}

/* One INVLPG a page up to this many; then everything but the global pages, then those too. */
#define FLUSH_PAGES_MAX 32

static void mmu_flush(vaddr_t va, u64 size)
{
    if (size > FLUSH_PAGES_MAX * HX_PAGE_SIZE) {
        u64 cr4 = cr4_read();
        if ((cr4 & CR4_PGE) && va >= USER_SPACE_END) {
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
    .replace = mmu_replace,
    .update = mmu_update,
    .split = mmu_split,
    .page_map = mmu_page_map,
    .page_unmap = mmu_page_unmap,
    .space_init = mmu_space_init,
    .space_fini = mmu_space_fini,
    .activate = mmu_activate,
    .flush = mmu_flush,
    .phys_limit = cpu_phys_limit,
};
