/* SPDX-License-Identifier: MIT */
/* Building the frame table, and giving boot-time memory back.
 * Owns:      which ranges have a table.       Callers: kernel_main.     Context: early; thread.
 * The table is an array indexed by frame number at the start of HEAP, mapped only where there is
 * RAM, so holes between RAM cost addresses, not memory. Entries are written once, in the pattern of
 * their owner; the allocator gets the free runs whole, not frame by frame.
 * Invariant: (1) the table is mapped for every largest block that holds a frame of RAM, so that an
 *            allocator may look at any neighbour inside such a block; entries of holes are
 *            FRAME_NONE.  (2) frame 0 is nobody's: physical address 0 means "none" in many places.
 */
#include <core/init.h>
#include <core/orchestrator.h>
#include <core/memory.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/cmdline.h>
#include <helix/log.h>
#include <helix/string.h>
#include <memory/early.h>
#include <memory/frame.h>
#include <memory/frame_alloc.h>
#include <memory/heap.h>

#define CHUNK      (1u << FRAME_ORDER_MAX)
#define TABLE_SIZE ((u64)FRAME_NO_PFN * sizeof(struct frame))

_Static_assert(TABLE_SIZE <= HEAP_SIZE / 2, "the table leaves room in its region");

static struct {
    struct frame_range ranges[BOOT_REGIONS_MAX]; /* RAM of any kind, neighbours joined */
    u32 range_count;
    struct frame_range free[BOOT_REGIONS_MAX + 2]; /* a region is cut twice at most */
    u32 free_count;
    struct frame_range tables; /* frames that hold the table: one run */
} setup;

static const u8 owner_of_kind[] = {[BOOT_REGION_RAM] = FRAME_FREE,
                                   [BOOT_REGION_RECLAIMABLE] = FRAME_FIRMWARE,
                                   [BOOT_REGION_LOADER] = FRAME_BOOT,
                                   [BOOT_REGION_KERNEL] = FRAME_KERNEL,
                                   [BOOT_REGION_NVS] = FRAME_FIRMWARE};

/* The frames of a region; none of what is reserved or too high. */
static struct frame_range region_frames(const struct boot_region *r)
{
    u64 first = r->base >> HX_PAGE_SHIFT, end = (r->base + r->size) >> HX_PAGE_SHIFT;
    const u64 limit = FRAME_NO_PFN & ~(CHUNK - 1);
    if (r->kind == BOOT_REGION_RESERVED || first >= limit) {
        return (struct frame_range){0, 0};
    }
    return (struct frame_range){(u32)first, (u32)hx_min_u64(end, limit)};
}

static void ranges_collect(const struct boot_info *info)
{
    for (u32 i = 0; i < info->region_count; i++) {
        struct frame_range r = region_frames(&info->regions[i]);
        u32 count = setup.range_count;
        if (r.first == r.end) {
            continue;
        }
        if (count > 0 && setup.ranges[count - 1].end == r.first) {
            setup.ranges[count - 1].end = r.end;
        } else {
            setup.ranges[setup.range_count++] = r;
        }
    }
}

/* Frame numbers [*out_first, *out_end) whose entries have to be mapped for range i: whole chunks,
 * without those that the range before has mapped. inv 1 */
static void table_part(u32 i, u32 *out_first, u32 *out_end)
{
    u32 first = setup.ranges[i].first & ~(CHUNK - 1);
    u32 before = i == 0 ? 0 : (u32)hx_align_up(setup.ranges[i - 1].end, CHUNK);
    *out_first = first > before ? first : before;
    *out_end = (u32)hx_align_up(setup.ranges[i].end, CHUNK);
}

static enum hx_status tables_map(void)
{
    for (u32 i = 0; i < setup.range_count; i++) {
        u32 first, end;
        table_part(i, &first, &end);
        if (first >= end) {
            continue;
        }
        vaddr_t va = (vaddr_t)&frame_table[first];
        u64 size = (u64)(end - first) * sizeof(struct frame);
        u64 align = size >= HX_MIB(2) ? HX_MIB(2) : HX_PAGE_SIZE; /* large pages where they fit */
        paddr_t pa;
        enum hx_status status = early_run_take(size, align, va & (align - 1), &pa);
        if (status == HX_OK) {
            status = hal_mmu.map(&hal_kernel_space, va, pa, size, MAP_WRITE | MAP_GLOBAL);
        }
        if (status != HX_OK) {
            return status;
        }
        if (setup.tables.first == setup.tables.end) {
            setup.tables.first = frame_number(pa);
        }
        setup.tables.end = frame_number(pa + size);
    }
    return HX_OK;
}

/* Writes the entries [first, end): 65,536 of them on a small machine, hence by words. */
static void entries_fill(u32 first, u32 end, u32 owner)
{
    typedef u64 __attribute__((may_alias)) word;
    const struct frame pattern = {.owner = (u16)owner, .refs = owner > FRAME_FREE ? 1 : 0};
    word low, *at = (word *)&frame_table[first], *stop = (word *)&frame_table[end];
    memcpy(&low, &pattern, sizeof(low));
    for (; stop - at >= 8; at += 8) {
        at[0] = at[2] = at[4] = at[6] = low;
        at[1] = at[3] = at[5] = at[7] = 0;
    }
    for (; at < stop; at += 2) {
        at[0] = low;
        at[1] = 0;
    }
}

static void tables_fill(const struct boot_info *info)
{
    for (u32 i = 0; i < setup.range_count; i++) {
        u32 first, end;
        table_part(i, &first, &end);
        /* The edges may belong to a neighbour range, whose regions are written below. */
        entries_fill(first, (u32)hx_max_u64(first, setup.ranges[i].first), FRAME_NONE);
        entries_fill((u32)hx_max_u64(first, setup.ranges[i].end), end, FRAME_NONE);
    }
    for (u32 i = 0; i < info->region_count; i++) {
        struct frame_range r = region_frames(&info->regions[i]);
        entries_fill(r.first, r.end, owner_of_kind[info->regions[i].kind % BOOT_REGION_RESERVED]);
    }
}

static void free_add(u32 first, u32 end)
{
    if (first < end) {
        setup.free[setup.free_count++] = (struct frame_range){first, end};
    }
}

/* What is free: RAM without frame 0 (inv 2) and what was taken early. */
static void free_collect(const struct boot_info *info, u32 taken_first, u32 taken_end)
{
    for (u32 i = 0; i < info->region_count; i++) {
        struct frame_range r = region_frames(&info->regions[i]);
        if (info->regions[i].kind != BOOT_REGION_RAM || r.first == r.end) {
            continue;
        }
        if (r.first == 0) {
            frame_table[0].owner = FRAME_FIRMWARE;
            r.first = 1;
        }
        if (taken_first >= r.first && taken_end <= r.end) {
            free_add(r.first, taken_first);
            free_add(taken_end, r.end);
        } else {
            free_add(r.first, r.end);
        }
    }
}

static const struct frame_alloc_ops *chosen_allocator(void)
{
    const char *word = cmdline_get("frames");
    if (word && str_equal(word, "bitmap")) {
        return &frame_bitmap_ops;
    }
    if (word && str_equal(word, "bump")) {
        return &frame_bump_ops;
    }
    if (word && !str_equal(word, "buddy")) {
        log_warn("memory", "frames=%s is none of buddy, bitmap, bump", word);
    }
    return &frame_buddy_ops;
}

enum hx_status memory_init_frames(void)
{
    const struct boot_info *info = boot_info_get();
    const struct frame_alloc_ops *ops = chosen_allocator();
    frame_table = (struct frame *)HEAP_BASE;
    ranges_collect(info);
    paddr_t storage, run;
    u64 bytes = ops->footprint(setup.ranges, setup.range_count), taken;
    u64 size =
        HX_PAGE_SIZE << (bytes <= HX_PAGE_SIZE ? 0
                                               : hx_log2_floor((bytes - 1) >> HX_PAGE_SHIFT) + 1);
    enum hx_status status = early_run_take(size, HX_PAGE_SIZE, 0, &storage);
    if (status == HX_OK) {
        status = tables_map();
    }
    if (status != HX_OK) {
        return status;
    }
    tables_fill(info);
    early_close(&run, &taken);
    entries_fill(frame_number(run), frame_number(run + taken), FRAME_EARLY);
    entries_fill(setup.tables.first, setup.tables.end, FRAME_TABLE);
    entries_fill(frame_number(storage), frame_number(storage + size), FRAME_INDEX);
    free_collect(info, frame_number(run), frame_number(run + taken));
    frame_allocator_start(ops, hal_phys_to_virt(storage), setup.ranges, setup.range_count,
                          setup.free, setup.free_count);
    log_info("memory", "%lu MiB free, allocator %s", frame_free_count() >> 8, ops->name);
    return HX_OK;
}

/* True when the frame belongs to a boot module or to the device tree: programs are read from the
 * first for ever, drivers look things up in the second. */
static bool is_kept(const struct boot_info *info, paddr_t frame)
{
    for (u32 i = 0; i < info->module_count; i++) {
        if (frame + HX_PAGE_SIZE > info->modules[i].base &&
            frame < info->modules[i].base + info->modules[i].size) {
            return true;
        }
    }
    return info->dtb && frame + HX_PAGE_SIZE > info->dtb && frame < info->dtb + info->dtb_size;
}

void memory_reclaim_boot(void)
{
    const struct boot_info *info = boot_info_get();
    u64 count = 0;
    for (u32 i = 0; i < info->region_count; i++) {
        struct frame_range r = region_frames(&info->regions[i]);
        if (info->regions[i].kind != BOOT_REGION_LOADER &&
            info->regions[i].kind != BOOT_REGION_RECLAIMABLE) {
            continue;
        }
        for (u32 pfn = r.first; pfn < r.end; pfn++) {
            u32 owner = frame_table[pfn].owner;
            if (pfn != 0 && (owner == FRAME_BOOT || owner == FRAME_FIRMWARE) &&
                !is_kept(info, frame_address(pfn))) {
                frame_free_run(frame_address(pfn), 1);
                count++;
            }
        }
    }
    log_info("memory", "%lu KiB of boot-time memory reclaimed", count << 2);
}

u64 memory_release_boot(paddr_t base, u64 size)
{
    u64 count = 0;
    paddr_t end = hx_align_down(base + size, HX_PAGE_SIZE);
    for (paddr_t at = hx_align_up(base, HX_PAGE_SIZE); at < end; at += HX_PAGE_SIZE) {
        if (frame_is_ram(at) && frame_at(at)->owner == FRAME_BOOT) {
            frame_free_run(at, 1);
            count++;
        }
    }
    return count;
}

static void failure_begin(const char *name, void (*fail_after)(u32 n))
{
    u64 n;
    const char *word = cmdline_get(name);
    if (word && str_to_u64(word, &n)) {
        fail_after((u32)hx_min_u64(n, UINT32_MAX));
    }
}

void memory_failures_begin(void)
{
    failure_begin("heapfail", heap_fail_after);
    failure_begin("framefail", frame_fail_after);
}

void memory_failures_end(void)
{
    heap_fail_after(0);
    frame_fail_after(0);
}

/* The host's words arrive after the frames: what they choose is exchanged while the system runs. */
static enum hx_status apply_words(void)
{
    const struct frame_alloc_ops *chosen = chosen_allocator();
    return chosen == frame_allocator() ? HX_OK : frame_allocator_switch(chosen);
}

COMPONENT(frames, .name = "frames", .version = "1.0", .needs = "kernel", .init = apply_words);
