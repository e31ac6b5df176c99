/* SPDX-License-Identifier: MIT */
/* Page tables: four levels, 4 KiB granule, 48-bit halves. TTBR1 is the kernel's, TTBR0 a process's.
 * Owns:      every table below a root; tables are frames of hal_event_table_alloc.
 * Callers:   subsystems/memory.     Context: as <hal/mmu.h>.     Locks: the caller serialises.
 * A table descriptor ignores bits 11:2; they hold how many entries of the table below are in use,
 * so that an emptied table is freed without reading it.
 * Invariant: (1) every table but a root has at least one entry in use, and its count says how many.
 *            (2) no descriptor is writable and executable; SCTLR.WXN would refuse it as well.
 *            (3) a valid descriptor changes into another valid one only in its permissions;
 *            anything else goes through invalid and a TLB flush (break before make).
 * Splitting a large page of the direct map unmaps, for some instructions, memory that may hold the
 * very table being changed. So the change is made through the window, a page of its own, with
 * interrupts off; code and stack of this file lie in the image or in STACKS, never in the page
 * being split. Another CPU that touched the page then would fault: that is the caller's to prevent.
 * Spec:      Arm ARM D8 (translation, TLB maintenance D8.14). */
#include <hal/context.h>
#include <hal/mmu.h>

#include <helix/bits.h>
#include <helix/panic.h>
#include <port/mmu.h>
#include <port/platform.h>
#include <port/sysreg.h>

#define LEVELS        4
#define ENTRIES       512
#define COUNT_SHIFT   2
#define COUNT_MASK    (0x3ffull << COUNT_SHIFT)
#define PTE_TYPE_MASK (PTE_VALID | PTE_TABLE)
#define PTE_TYPE_PAGE (PTE_VALID | PTE_TABLE)
#define PTE_INDEXES   PTE_INDEX(7)
#define PTE_PERMS     (PTE_USER | PTE_READ_ONLY | PTE_NOT_GLOBAL | PTE_PXN | PTE_UXN)
#define KERNEL_HALF   0xffff000000000000ull
#define FLUSH_MAX     64 /* pages that are flushed one by one */
/* The window lies below the image, with which it shares all tables but the last. */
#define WINDOW_BASE KERNEL_IMAGE_BASE

_Static_assert(WINDOW_BASE + 0x200000 <= KERNEL_LINK_BASE, "the window has its own last table");
_Static_assert(ENTRIES < COUNT_MASK >> COUNT_SHIFT, "a full table's count fits");

struct hal_space hal_kernel_space;

static struct {
    paddr_t kernel_root;
    u64 *window;         /* the entry that maps WINDOW_BASE */
    bool running;        /* the kernel's own tables are active */
    u64 phys_limit;      /* 0 until first asked for */
    u64 asids[256 / 64]; /* a: in use */
} mmu;

static u64 empty_root[ENTRIES] HX_ALIGNED(4096); /* TTBR0 when there is no user half */

/* lib.S: makes `root` TTBR1 from code that runs in TTBR0, then `empty` TTBR0. */
void port_ttbr1_replace(paddr_t root, paddr_t empty, paddr_t code);
extern const char port_ttbr1_replace_code[];

static u32 level_shift(u32 level)
{
    return 39 - 9 * level;
}

static u64 level_span(u32 level)
{
    return 1ull << level_shift(level);
}

static u32 level_index(vaddr_t va, u32 level)
{
    return (u32)(va >> level_shift(level)) & (ENTRIES - 1);
}

static bool entry_is_table(u64 entry, u32 level)
{
    return level < LEVELS - 1 && (entry & PTE_TYPE_MASK) == (PTE_VALID | PTE_TABLE);
}

static u64 *entry_table(u64 entry)
{
    return hal_phys_to_virt(entry & PTE_ADDRESS);
}

static void count_add(u64 *parent, u64 n)
{
    *parent += n << COUNT_SHIFT;
}

static u64 *space_root(const struct hal_space *space)
{
    return hal_phys_to_virt(space->root != 0 ? space->root : mmu.kernel_root);
}

static paddr_t image_phys(const void *p)
{
    u64 par;
    __asm__ volatile("at s1e1r, %1\n\tisb\n\tmrs %0, par_el1" : "=r"(par) : "r"(p) : "memory");
    HX_ASSERT((par & 1) == 0);
    return (par & PTE_ADDRESS) | ((vaddr_t)p & HX_PAGE_MASK);
}

static void publish(void)
{
    __asm__ volatile("dsb ishst\n\tisb" ::: "memory");
}

static void flush_page(vaddr_t va)
{
    __asm__ volatile("tlbi vaae1is, %0" ::"r"((va >> 12) & 0xfffffffffffull) : "memory");
}

static void flush_begin(void)
{
    __asm__ volatile("dsb ishst" ::: "memory");
}

static void flush_end(void)
{
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

static void mmu_flush(vaddr_t va, u64 size)
{
    flush_begin();
    if (size / HX_PAGE_SIZE > FLUSH_MAX) {
        __asm__ volatile("tlbi vmalle1is" ::: "memory");
    } else {
        for (u64 at = 0; at < size; at += HX_PAGE_SIZE) {
            flush_page(va + at);
        }
    }
    flush_end();
}

static u64 mmu_phys_limit(void)
{
    static const u8 bits[] = {32, 36, 40, 42, 44, 48};
    if (hx_unlikely(mmu.phys_limit == 0)) { /* asked for every mapping, and the register may trap */
        u32 range = sysreg_field(sysreg_read(id_aa64mmfr0_el1), 0);
        mmu.phys_limit = 1ull << bits[hx_min_u64(range, HX_ARRAY_SIZE(bits) - 1)];
    }
    return mmu.phys_limit;
}

/* Flags */

static bool flags_are_valid(const struct hal_space *space, u32 flags)
{
    const u32 type = MAP_DEVICE | MAP_COMBINE;
    if ((flags & ~MAP_FLAGS_ALL) != 0 || (flags & type) == type) {
        return false;
    }
    if ((flags & MAP_EXEC) != 0 && (flags & (MAP_WRITE | type)) != 0) {
        return false; /* inv 2 */
    }
    return space->root != 0 || (flags & MAP_USER) == 0;
}

static u64 perms_from_flags(u32 flags)
{
    u64 perms = (flags & MAP_WRITE) != 0 ? 0 : PTE_READ_ONLY;
    perms |= (flags & MAP_USER) != 0 ? PTE_USER | PTE_PXN : PTE_UXN;
    if ((flags & MAP_EXEC) == 0) {
        perms |= PTE_PXN | PTE_UXN;
    }
    return perms | ((flags & MAP_GLOBAL) != 0 ? 0 : PTE_NOT_GLOBAL);
}

static u64 attrs_from_flags(u32 flags)
{
    u64 index = (flags & MAP_DEVICE) != 0    ? MMU_INDEX_DEVICE
                : (flags & MAP_COMBINE) != 0 ? MMU_INDEX_NC
                                             : MMU_INDEX_NORMAL;
    return PTE_VALID | PTE_ACCESSED | PTE_INNER | PTE_INDEX(index) | perms_from_flags(flags);
}

static u32 flags_from_entry(u64 entry)
{
    u64 no_exec = (entry & PTE_USER) != 0 ? PTE_UXN : PTE_PXN;
    u64 index = entry & PTE_INDEXES;
    u32 flags = (entry & PTE_READ_ONLY) == 0 ? MAP_WRITE : 0;
    flags |= (entry & no_exec) == 0 ? MAP_EXEC : 0;
    flags |= (entry & PTE_USER) != 0 ? MAP_USER : 0;
    flags |= (entry & PTE_NOT_GLOBAL) == 0 ? MAP_GLOBAL : 0;
    flags |= index == PTE_INDEX(MMU_INDEX_DEVICE) ? MAP_DEVICE : 0;
    flags |= index == PTE_INDEX(MMU_INDEX_NC) ? MAP_COMBINE : 0;
    return flags;
}

/* Looking up */

/* The entry that decides about va: a leaf, or an empty one; *out_level says how much it covers. */
static u64 *entry_find(const struct hal_space *space, vaddr_t va, u32 *out_level)
{
    u64 *entry = &space_root(space)[level_index(va, 0)];
    u32 level = 0;
    while (entry_is_table(*entry, level)) {
        level++;
        entry = &entry_table(*entry)[level_index(va, level)];
    }
    *out_level = level;
    return entry;
}

/* The last-level table that va lies in, and the descriptor that points to it; NULL: there is none.
 * What page faults, stacks and small system calls need, unrolled. */
static HX_ALWAYS_INLINE u64 *leaf_table(const struct hal_space *space, vaddr_t va, u64 **out_parent)
{
    u64 *entry = &space_root(space)[level_index(va, 0)];
    if (!entry_is_table(*entry, 0)) {
        return NULL;
    }
    entry = &entry_table(*entry)[level_index(va, 1)];
    if (!entry_is_table(*entry, 1)) {
        return NULL;
    }
    entry = &entry_table(*entry)[level_index(va, 2)];
    if (!entry_is_table(*entry, 2)) {
        return NULL;
    }
    *out_parent = entry;
    return entry_table(*entry);
}

/* The same, looked for first where it was last: a program's pages lie together. */
enum {
    NEAR_SPAN = PORT_ASID + 1,
    NEAR_PARENT
}; /* in hal_space.port; va >> 21, address of the descriptor */
#define NEAR_NONE (~0ull)

static HX_ALWAYS_INLINE u64 *leaf_table_near(struct hal_space *space, vaddr_t va, u64 **out_parent)
{
    if (hx_likely(space->port[NEAR_SPAN] == va >> level_shift(LEVELS - 2))) {
        *out_parent = (u64 *)space->port[NEAR_PARENT];
        return entry_table(**out_parent);
    }
    u64 *table = leaf_table(space, va, out_parent);
    if (table != NULL) {
        space->port[NEAR_SPAN] = va >> level_shift(LEVELS - 2);
        space->port[NEAR_PARENT] = (u64)*out_parent;
    }
    return table;
}

/* True when every page of the range is mapped, or (mapped false) none is. */
static HX_COLD bool range_is(const struct hal_space *space, vaddr_t va, u64 size, bool mapped)
{
    while (size > 0) {
        u32 level;
        if ((*entry_find(space, va, &level) != 0) != mapped) {
            return false;
        }
        u64 step = level_span(level) - (va & (level_span(level) - 1));
        if (step >= size) {
            return true;
        }
        va += step;
        size -= step;
    }
    return true;
}

static bool range_is_valid(const struct hal_space *space, vaddr_t va, u64 size)
{
    if (size == 0 || !hx_is_aligned(va | size, HX_PAGE_SIZE) || va + (size - 1) < va) {
        return false;
    }
    return space->root != 0 ? hx_range_fits(va, size, USER_SPACE_END) : va >= DIRECT_MAP_BASE;
}

static HX_COLD enum hx_status mmu_query(struct hal_space *space, vaddr_t va,
                                        struct hal_mapping *out)
{
    u32 level;
    if (!range_is_valid(space, hx_align_down(va, HX_PAGE_SIZE), HX_PAGE_SIZE)) {
        return HX_ERR_NOT_FOUND;
    }
    u64 *parent = NULL, *table = leaf_table(space, va, &parent);
    u64 entry = table != NULL ? table[level_index(va, LEVELS - 1)] : *entry_find(space, va, &level);
    level = table != NULL ? LEVELS - 1 : level;
    if (entry == 0) {
        return HX_ERR_NOT_FOUND;
    }
    out->va = hx_align_down(va, level_span(level));
    out->pa = entry & PTE_ADDRESS;
    out->size = level_span(level);
    out->flags = flags_from_entry(entry);
    return HX_OK;
}

static enum hx_status table_walk(const u64 *table, u32 level, vaddr_t va, hal_walk_fn *fn,
                                 void *ctx)
{
    for (u32 i = 0; i < ENTRIES; i++, va += level_span(level)) {
        enum hx_status status = HX_OK;
        if (entry_is_table(table[i], level)) {
            status = table_walk(entry_table(table[i]), level + 1, va, fn, ctx);
        } else if (table[i] != 0) {
            struct hal_mapping m = {.va = va,
                                    .pa = table[i] & PTE_ADDRESS,
                                    .size = level_span(level),
                                    .flags = flags_from_entry(table[i])};
            status = fn(ctx, &m);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status mmu_walk(struct hal_space *space, hal_walk_fn *fn, void *ctx)
{
    return table_walk(space_root(space), 0, space->root != 0 ? 0 : KERNEL_HALF, fn, ctx);
}

/* Changing */

/* The chunk of the range that one entry of this level covers. */
static u64 chunk_size(vaddr_t va, u64 size, u32 level)
{
    return hx_min_u64(size, level_span(level) - (va & (level_span(level) - 1)));
}

/* An emptied table waits on the space's list until the caller has flushed. */
static void table_retire(struct hal_space *space, u64 entry)
{
    space->port[NEAR_SPAN] = NEAR_NONE;
    *entry_table(entry) = space->freed;
    space->freed = entry & PTE_ADDRESS;
}

/* `parent` is the descriptor of `table`, whose count follows (inv 1). */
static enum hx_status range_map(u64 *parent, u64 *table, u32 level, vaddr_t va, paddr_t pa,
                                u64 size, u64 attrs)
{
    while (size > 0) {
        u64 *entry = &table[level_index(va, level)];
        u64 chunk = chunk_size(va, size, level);
        bool last = level == LEVELS - 1;
        if (last ||
            (level > 0 && *entry == 0 && chunk == level_span(level) && hx_is_aligned(pa, chunk))) {
            *entry = pa | attrs | (last ? PTE_TYPE_PAGE : 0);
            count_add(parent, 1);
        } else {
            if (*entry == 0) {
                paddr_t frame;
                if (hal_event_table_alloc(&frame) != HX_OK) {
                    return HX_ERR_NO_MEMORY;
                }
                *entry = frame | PTE_VALID | PTE_TABLE;
                count_add(parent, 1);
            }
            enum hx_status status =
                range_map(entry, entry_table(*entry), level + 1, va, pa, chunk, attrs);
            if (status != HX_OK) {
                return status;
            }
        }
        va += chunk;
        pa += chunk;
        size -= chunk;
    }
    return HX_OK;
}

/* Empties what is mapped in the range, whose ends cut no large page, and retires emptied tables. */
static void range_unmap(struct hal_space *space, u64 *parent, u64 *table, u32 level, vaddr_t va,
                        u64 size)
{
    while (size > 0) {
        u64 *entry = &table[level_index(va, level)];
        u64 chunk = chunk_size(va, size, level);
        if (entry_is_table(*entry, level)) {
            range_unmap(space, entry, entry_table(*entry), level + 1, va, chunk);
            if ((*entry & COUNT_MASK) == 0) {
                u64 gone = *entry;
                *entry = 0;
                count_add(parent, (u64)-1);
                table_retire(space, gone);
            }
        } else if (*entry != 0) {
            *entry = 0;
            count_add(parent, (u64)-1);
        }
        va += chunk;
        size -= chunk;
    }
}

static void range_protect(u64 *table, u32 level, vaddr_t va, u64 size, u64 perms)
{
    while (size > 0) {
        u64 *entry = &table[level_index(va, level)];
        u64 chunk = chunk_size(va, size, level);
        if (entry_is_table(*entry, level)) {
            range_protect(entry_table(*entry), level + 1, va, chunk, perms);
        } else {
            *entry = (*entry & ~PTE_PERMS) | perms;
        }
        va += chunk;
        size -= chunk;
    }
}

/* Does with a leaf what fn says. Permissions alone change in place (inv 3). */
static HX_ALWAYS_INLINE void update_leaf(u64 *parent, u64 *entry, u64 span, vaddr_t va,
                                         hal_update_fn *fn, void *ctx)
{
    struct hal_mapping m = {
        .va = va, .pa = *entry & PTE_ADDRESS, .size = span, .flags = flags_from_entry(*entry)};
    u32 answer = fn(ctx, &m);
    if (answer == UPDATE_REMOVE) {
        *entry = 0;
        count_add(parent, (u64)-1);
    } else if (answer != UPDATE_KEEP) {
        *entry = (*entry & ~PTE_PERMS) | perms_from_flags(answer);
    }
}

/* The part [va, last] of a last-level table. Its count says how many entries can still be found, so
 * that a table with few is not read to its end; likewise below. */
static void update_leaves(u64 *parent, u64 *table, vaddr_t va, vaddr_t last, hal_update_fn *fn,
                          void *ctx)
{
    u64 *end = &table[level_index(last, LEVELS - 1)];
    u64 left = *parent & COUNT_MASK;
    for (u64 *entry = &table[level_index(va, LEVELS - 1)]; entry <= end && left > 0;
         entry++, va += HX_PAGE_SIZE) {
        if (*entry != 0) {
            left -= 1u << COUNT_SHIFT;
            update_leaf(parent, entry, HX_PAGE_SIZE, va, fn, ctx);
        }
    }
}

/* The same for any table. */
static enum hx_status update_table(struct hal_space *space, u64 *parent, u64 *table, u32 level,
                                   vaddr_t va, vaddr_t last, hal_update_fn *fn, void *ctx)
{
    u64 span = level_span(level);
    u64 *end = &table[level_index(last, level)];
    u64 left = level > 0 ? *parent & COUNT_MASK : COUNT_MASK;
    for (u64 *entry = &table[level_index(va, level)]; entry <= end && left > 0;
         entry++, va = (va & ~(span - 1)) + span) {
        if (*entry == 0) {
            continue;
        }
        left -= 1u << COUNT_SHIFT;
        vaddr_t entry_last = hx_min_u64(last, va | (span - 1));
        if (!entry_is_table(*entry, level)) {
            if ((va & (span - 1)) != 0 || entry_last - va != span - 1) {
                return HX_ERR_INVALID;
            }
            update_leaf(parent, entry, span, va, fn, ctx);
            continue;
        }
        enum hx_status status = HX_OK;
        if (level == LEVELS - 2) {
            update_leaves(entry, entry_table(*entry), va, entry_last, fn, ctx);
        } else {
            status =
                update_table(space, entry, entry_table(*entry), level + 1, va, entry_last, fn, ctx);
        }
        if ((*entry & COUNT_MASK) == 0) {
            u64 gone = *entry;
            *entry = 0;
            count_add(parent, (u64)-1);
            table_retire(space, gone);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

/* Gives `entry`, a large page at va, another descriptor for the same memory (inv 3). */
static void entry_replace(u64 *entry, vaddr_t va, u64 descriptor)
{
    if (mmu.window == NULL || !mmu.running) {
        *entry = descriptor; /* nobody translates by these tables yet */
        return;
    }
    vaddr_t offset = (vaddr_t)entry & HX_PAGE_MASK;
    volatile u64 *through = (volatile u64 *)(WINDOW_BASE + offset);
    u64 state = hal_irq_save();
    *mmu.window = (hal_virt_to_phys(entry) - offset) | PTE_TYPE_PAGE |
                  attrs_from_flags(MAP_WRITE | MAP_GLOBAL);
    publish();
    *through = 0;
    mmu_flush(va, HX_PAGE_SIZE);
    *through = descriptor;
    publish();
    *mmu.window = 0;
    mmu_flush(WINDOW_BASE, HX_PAGE_SIZE);
    hal_irq_restore(state);
}

/* Splits large pages until a page border lies at va. */
static HX_COLD enum hx_status border_make(struct hal_space *space, vaddr_t va)
{
    for (;;) {
        u32 level;
        u64 *entry = entry_find(space, va, &level);
        if (*entry == 0 || hx_is_aligned(va, level_span(level))) {
            return HX_OK;
        }
        paddr_t frame;
        if (hal_event_table_alloc(&frame) != HX_OK) {
            return HX_ERR_NO_MEMORY;
        }
        u64 *table = hal_phys_to_virt(frame);
        u64 step = level_span(level + 1);
        u64 kind = level + 1 == LEVELS - 1 ? PTE_TYPE_PAGE : 0;
        for (u32 i = 0; i < ENTRIES; i++) {
            table[i] = (*entry + i * step) | kind;
        }
        publish();
        entry_replace(entry, hx_align_down(va, level_span(level)),
                      frame | PTE_VALID | PTE_TABLE | (u64)ENTRIES << COUNT_SHIFT);
    }
}

static enum hx_status borders_make(struct hal_space *space, vaddr_t va, u64 size)
{
    enum hx_status status = border_make(space, va);
    /* The end of the address space is a border already. */
    return status != HX_OK || va + size == 0 ? status : border_make(space, va + size);
}

static enum hx_status mmu_map(struct hal_space *space, vaddr_t va, paddr_t pa, u64 size, u32 flags)
{
    if (!range_is_valid(space, va, size) || !flags_are_valid(space, flags) ||
        !hx_is_aligned(pa, HX_PAGE_SIZE) || !hx_range_fits(pa, size, mmu_phys_limit())) {
        return HX_ERR_INVALID;
    }
    u64 *parent = NULL, *table = size == HX_PAGE_SIZE ? leaf_table(space, va, &parent) : NULL;
    if (table != NULL) {
        u64 *entry = &table[level_index(va, LEVELS - 1)];
        if (*entry != 0) {
            return HX_ERR_EXISTS;
        }
        *entry = pa | attrs_from_flags(flags) | PTE_TYPE_PAGE;
        count_add(parent, 1);
        publish();
        return HX_OK;
    }
    if (!range_is(space, va, size, false)) {
        return HX_ERR_EXISTS;
    }
    u64 root_count = 0;
    enum hx_status status =
        range_map(&root_count, space_root(space), 0, va, pa, size, attrs_from_flags(flags));
    if (status != HX_OK) {
        range_unmap(space, &root_count, space_root(space), 0, va, size);
    }
    publish();
    return status;
}

static enum hx_status mmu_unmap(struct hal_space *space, vaddr_t va, u64 size)
{
    if (!range_is_valid(space, va, size)) {
        return HX_ERR_INVALID;
    }
    u64 *parent = NULL, *table = size == HX_PAGE_SIZE ? leaf_table(space, va, &parent) : NULL;
    if (table != NULL && table[level_index(va, LEVELS - 1)] != 0 &&
        (*parent & COUNT_MASK) > 1ull << COUNT_SHIFT) {
        table[level_index(va, LEVELS - 1)] = 0;
        count_add(parent, (u64)-1);
        publish();
        return HX_OK;
    }
    if (!range_is(space, va, size, true)) {
        return HX_ERR_NOT_FOUND;
    }
    enum hx_status status = borders_make(space, va, size);
    if (status == HX_OK) {
        u64 root_count = 0;
        range_unmap(space, &root_count, space_root(space), 0, va, size);
        publish();
    }
    return status;
}

static enum hx_status mmu_protect(struct hal_space *space, vaddr_t va, u64 size, u32 flags)
{
    if (!range_is_valid(space, va, size) || !flags_are_valid(space, flags)) {
        return HX_ERR_INVALID;
    }
    if (!range_is(space, va, size, true)) {
        return HX_ERR_NOT_FOUND;
    }
    enum hx_status status = borders_make(space, va, size);
    if (status == HX_OK) {
        range_protect(space_root(space), 0, va, size, perms_from_flags(flags));
        publish();
    }
    return status;
}

static enum hx_status mmu_replace(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags)
{
    if (!range_is_valid(space, va, HX_PAGE_SIZE) || !flags_are_valid(space, flags) ||
        !hx_is_aligned(pa, HX_PAGE_SIZE) || !hx_range_fits(pa, HX_PAGE_SIZE, mmu_phys_limit())) {
        return HX_ERR_INVALID;
    }
    u32 level;
    u64 *entry = entry_find(space, va, &level);
    if (level != LEVELS - 1 || *entry == 0) {
        return HX_ERR_NOT_FOUND;
    }
    *entry = 0; /* inv 3: a fault in between waits for the caller's lock */
    mmu_flush(va, HX_PAGE_SIZE);
    *entry = pa | attrs_from_flags(flags) | PTE_TYPE_PAGE;
    publish();
    return HX_OK;
}

static enum hx_status mmu_update(struct hal_space *space, vaddr_t va, u64 size, hal_update_fn *fn,
                                 void *ctx)
{
    if (!range_is_valid(space, va, size)) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = HX_OK;
    vaddr_t last = va + (size - 1);
    u64 root_count = 0, *parent = NULL, *table = NULL;
    if ((va ^ last) >> level_shift(LEVELS - 2) == 0) {
        table = leaf_table_near(space, va, &parent);
    }
    if (table != NULL) {
        update_leaves(parent, table, va, last, fn, ctx);
    }
    if (table == NULL || (*parent & COUNT_MASK) == 0) { /* an emptied one goes on this walk */
        status = update_table(space, &root_count, space_root(space), 0, va, last, fn, ctx);
    }
    publish();
    return status;
}

static enum hx_status mmu_split(struct hal_space *space, vaddr_t va)
{
    return border_make(space, va);
}

/* User pages of normal memory, by MAP_WRITE and MAP_EXEC: worked out by the compiler, for the path
 * of page faults. */
#define USER_LEAF(perms)                                                                           \
    (PTE_TYPE_PAGE | PTE_ACCESSED | PTE_INNER | PTE_INDEX(MMU_INDEX_NORMAL) | PTE_USER | PTE_PXN | \
     PTE_NOT_GLOBAL | (perms))
static const u64 user_leaves[] = {
    [0] = USER_LEAF(PTE_READ_ONLY | PTE_UXN),
    [MAP_WRITE] = USER_LEAF(PTE_UXN),
    [MAP_EXEC] = USER_LEAF(PTE_READ_ONLY),
};

static enum hx_status mmu_page_map(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags)
{
    u64 *parent = NULL, *table = leaf_table_near(space, va, &parent);
    if (hx_unlikely(table == NULL)) {
        return HX_ERR_NOT_FOUND;
    }
    u64 *entry = &table[level_index(va, LEVELS - 1)];
    if (hx_unlikely(*entry != 0)) {
        return HX_ERR_EXISTS;
    }
    *entry = pa | (hx_likely((flags & ~(MAP_WRITE | MAP_EXEC)) == MAP_USER)
                       ? user_leaves[flags & (MAP_WRITE | MAP_EXEC)]
                       : attrs_from_flags(flags) | PTE_TYPE_PAGE);
    count_add(parent, 1);
    publish();
    return HX_OK;
}

static enum hx_status mmu_page_unmap(struct hal_space *space, vaddr_t va, paddr_t *out_pa)
{
    u64 *parent = NULL, *table = leaf_table_near(space, va, &parent);
    if (hx_unlikely(table == NULL || (*parent & COUNT_MASK) == 1ull << COUNT_SHIFT)) {
        return HX_ERR_NOT_FOUND;
    }
    u64 *entry = &table[level_index(va, LEVELS - 1)], leaf = *entry;
    if (hx_unlikely(leaf == 0)) {
        return HX_ERR_NOT_FOUND;
    }
    *entry = 0; /* the caller's flush publishes it */
    count_add(parent, (u64)-1);
    *out_pa = leaf & PTE_ADDRESS;
    return HX_OK;
}

/* Address space identifiers: 1 to 255, of a space each while there are any. The other spaces share
 * identifier 0, whose translations die with every switch. */
#define ASIDS 256

static u32 asid_alloc(void)
{
    for (u32 i = 0; i < ASIDS / 64; i++) {
        u64 used = __atomic_load_n(&mmu.asids[i], __ATOMIC_RELAXED) | (i == 0);
        while (~used != 0) {
            u32 bit = (u32)__builtin_ctzll(~used);
            u64 before = __atomic_fetch_or(&mmu.asids[i], 1ull << bit, __ATOMIC_ACQUIRE);
            if ((before >> bit & 1) == 0) {
                return i * 64 + bit;
            }
            used = before | (i == 0);
        }
    }
    return 0;
}

static HX_COLD enum hx_status mmu_space_init(struct hal_space *space)
{
    paddr_t root;
    enum hx_status status = hal_event_table_alloc(&root);
    if (status == HX_OK) {
        *space = (struct hal_space){
            .root = root, .port[PORT_ASID] = asid_alloc(), .port[NEAR_SPAN] = NEAR_NONE};
    }
    return status;
}

static HX_COLD void mmu_space_fini(struct hal_space *space)
{
    u64 asid = space->port[PORT_ASID];
    if (asid != 0) {
        __asm__ volatile(
            "dsb ishst\n\ttlbi aside1is, %0\n\tdsb ish\n\tisb" ::"r"(asid << PORT_ASID_SHIFT)
            : "memory");
        __atomic_fetch_and(&mmu.asids[asid / 64], ~(1ull << asid % 64), __ATOMIC_RELEASE);
    }
    hal_event_table_free(space->root);
    space->root = 0;
}

static HX_COLD enum hx_status mmu_init(void)
{
    enum hx_status status = hal_event_table_alloc(&mmu.kernel_root);
    if (status != HX_OK) {
        return status;
    }
    /* Mapping a page there makes the window's tables; the entry is then emptied by hand, so that
     * they stay: their counts include it. */
    status = mmu_map(&hal_kernel_space, WINDOW_BASE, 0, HX_PAGE_SIZE, MAP_GLOBAL);
    if (status == HX_OK) {
        u32 level;
        mmu.window = entry_find(&hal_kernel_space, WINDOW_BASE, &level);
        *mmu.window = 0;
    }
    return status;
}

static void mmu_activate(struct hal_space *space)
{
    paddr_t user = space->root != 0 ? space->root : image_phys(empty_root);
    if (!mmu.running) {
        port_ttbr1_replace(mmu.kernel_root, image_phys(empty_root),
                           image_phys(port_ttbr1_replace_code));
        mmu.running = true;
    }
    u64 asid = space->root != 0 ? space->port[PORT_ASID] : 0;
    if (hx_likely(asid != 0)) {
        sysreg_write(ttbr0_el1, user | asid << PORT_ASID_SHIFT);
        sysreg_isb();
        return;
    }
    u64 state = hal_irq_save();
    sysreg_write(ttbr0_el1, user);
    sysreg_isb();
    if (space->root != 0) { /* kernel pages are global and stay */
        __asm__ volatile("tlbi aside1, xzr\n\tdsb nsh\n\tisb" ::: "memory");
    }
    hal_irq_restore(state);
}

paddr_t port_mmu_root(void)
{
    return mmu.kernel_root;
}

paddr_t port_image_phys(const void *p)
{
    return image_phys(p);
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
    .split_hides = true,
    .flush_is_global = true,
    .activate = mmu_activate,
    .flush = mmu_flush,
    .phys_limit = mmu_phys_limit,
};
