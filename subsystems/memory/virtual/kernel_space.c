/* SPDX-License-Identifier: MIT */
/* The kernel's own address space.
 * Owns:      every mapping in the kernel's half.    Callers: kernel_main; drivers by device maps;
 *            kernel stacks.     Context: early what kernel_main calls; thread the rest.
 * Locks:     space.lock (LOCK_RANK_SPACE), interrupts masked: the tables once memory_init() is
 * done. Order:     the loader's map reaches the image only (the rest differs by machine). So the
 * image and one run of RAM are mapped with tables from the image's own pool; with that map active,
 * tables come from the run, and the rest of RAM is mapped. Invariant: (1) no frame has a writable
 * and an executable mapping at once, through any alias: the image's code and constants are
 * read-only in the direct map too; wx_check() walks the tables and says so.  (2) the null page and
 * the guard pages are not mapped.
 */
#include <core/cpu.h>
#include <core/init.h>
#include <core/spinlock.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>
#include <memory/early.h>
#include <memory/frame_alloc.h>
#include <memory/kernel_space.h>

#define FIRST_RUN_SIZE  HX_MIB(4) /* enough for the tables of a terabyte in 2 MiB pages */
#define TABLE_SHARE     192       /* one part of RAM more, for the frame table and its index */
#define DEVICE_MAPS_MAX 64
#define EXEC_RANGES_MAX 16

extern const char __image_start[], __image_end[];
extern const char __text_start[], __text_end[];
extern const char __rodata_start[], __rodata_end[];
extern const char __ro_after_init_start[], __ro_after_init_end[];
extern const char __data_start[], __data_end[];
extern const char __bss_start[], __bss_end[];
extern const char __boot_stack_guard[], __boot_stack_bottom[];

static struct {
    const struct boot_info *boot;
    struct {
        paddr_t pa; /* page-aligned */
        u64 size;
        vaddr_t va;
        u32 flags;
    } devices[DEVICE_MAPS_MAX];
    u32 device_count;
    u64 device_used;      /* bytes from DEVICE_BASE */
    struct spinlock lock; /* page tables, devices */
} space = {.lock = SPINLOCK_INIT("kernel space", LOCK_RANK_SPACE)};

enum hx_status hal_event_table_alloc(paddr_t *out_frame)
{
    return frame_allocator() ? frame_alloc_zeroed(FRAME_PAGE_TABLE, out_frame)
                             : early_frame_alloc(out_frame);
}

void hal_event_table_free(paddr_t frame)
{
    if (frame_allocator() && frame_at(frame)->owner == FRAME_PAGE_TABLE) {
        frame_free_zeroed(frame); /* early ones are not returned: inv 1 of early.c */
    }
}

static paddr_t image_phys(const char *p)
{
    return space.boot->kernel_base + (u64)(p - __image_start);
}

static enum hx_status map_image_part(const char *start, const char *end, u32 flags)
{
    if (start == end) {
        return HX_OK;
    }
    return hal_mmu.map(&hal_kernel_space, (vaddr_t)start, image_phys(start), (u64)(end - start),
                       flags | MAP_GLOBAL);
}

static enum hx_status map_image(void)
{
    const struct {
        const char *start, *end;
        u32 flags;
    } parts[] = {
        {__text_start, __text_end, MAP_EXEC},
        {__rodata_start, __rodata_end, 0},
        {__ro_after_init_start, __ro_after_init_end, MAP_WRITE},
        {__data_start, __data_end, MAP_WRITE},
        {__bss_start, __boot_stack_guard, MAP_WRITE}, /* inv 2: the guard stays unmapped */
        {__boot_stack_bottom, __bss_end, MAP_WRITE},
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(parts); i++) {
        enum hx_status status = map_image_part(parts[i].start, parts[i].end, parts[i].flags);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status map_direct(paddr_t base, paddr_t end, u32 flags)
{
    if (base >= end) {
        return HX_OK;
    }
    return hal_mmu.map(&hal_kernel_space, DIRECT_MAP_BASE + base, base, end - base,
                       flags | MAP_GLOBAL);
}

/* Maps [base, end) but for [hole_base, hole_end). */
static enum hx_status map_direct_around(paddr_t base, paddr_t end, paddr_t hole_base,
                                        paddr_t hole_end)
{
    enum hx_status status = map_direct(base, hx_min_u64(end, hole_base), MAP_WRITE);
    if (status == HX_OK) {
        status = map_direct(hx_max_u64(base, hole_end), end, MAP_WRITE);
    }
    return status;
}

/* The image in the direct map, where the first page tables are reached. Its code and constants
 * come first and are read-only here too; inv 1. */
static enum hx_status map_image_alias(void)
{
    paddr_t constant_end = image_phys(__rodata_end);
    enum hx_status status = map_direct(space.boot->kernel_base, constant_end, 0);
    if (status == HX_OK) {
        status = map_direct(constant_end, image_phys(__image_end), MAP_WRITE);
    }
    return status;
}

/* The run: the last part of the largest region of RAM, or all of a small one. Low memory is left
 * for devices that can reach nothing else. */
static struct boot_region choose_run(void)
{
    struct boot_region best = {0};
    u64 wanted = FIRST_RUN_SIZE;
    for (u32 i = 0; i < space.boot->region_count; i++) {
        const struct boot_region *r = &space.boot->regions[i];
        wanted += r->kind != BOOT_REGION_RESERVED ? r->size / TABLE_SHARE : 0;
        if (r->kind == BOOT_REGION_RAM && r->size > best.size) {
            best = *r;
        }
    }
    wanted = hx_align_up(wanted, HX_MIB(2));
    if (best.size > wanted) {
        best.base += best.size - wanted;
        best.size = wanted;
    }
    return best;
}

static enum hx_status map_ram(const struct boot_region *run)
{
    paddr_t run_end = run->base + run->size;
    for (u32 i = 0; i < space.boot->region_count; i++) {
        const struct boot_region *r = &space.boot->regions[i];
        paddr_t end = hx_min_u64(r->base + r->size, DIRECT_MAP_SIZE);
        enum hx_status status = HX_OK;
        /* The image is mapped already: the first tables lie in it. */
        if (r->kind != BOOT_REGION_RESERVED && r->kind != BOOT_REGION_KERNEL) {
            status = map_direct_around(r->base, end, run->base, run_end);
        }
        if (status != HX_OK) {
            log_error("memory", "RAM at 0x%lx, %lu KiB: %s", r->base, r->size >> 10,
                      hx_status_words(status));
            return status;
        }
    }
    return HX_OK;
}

struct wx_scan {
    struct {
        paddr_t base, end;
    } exec[EXEC_RANGES_MAX];
    u32 count;
    u64 pages;
    bool second_pass;
};

static enum hx_status wx_visit(void *ctx, const struct hal_mapping *m)
{
    struct wx_scan *scan = ctx;
    paddr_t end = m->pa + m->size;
    if ((m->flags & MAP_EXEC) && (m->flags & MAP_WRITE)) {
        log_error("memory", "page at 0x%lx is writable and executable", m->va);
        return HX_ERR_BAD_STATE;
    }
    if (!scan->second_pass && (m->flags & MAP_EXEC)) {
        scan->pages += m->size / HX_PAGE_SIZE;
        if (scan->count && scan->exec[scan->count - 1].end == m->pa) {
            scan->exec[scan->count - 1].end = end;
        } else if (scan->count == EXEC_RANGES_MAX) {
            return HX_ERR_NO_SPACE;
        } else {
            scan->exec[scan->count].base = m->pa;
            scan->exec[scan->count++].end = end;
        }
    }
    for (u32 i = 0; scan->second_pass && (m->flags & MAP_WRITE) && i < scan->count; i++) {
        if (m->pa < scan->exec[i].end && end > scan->exec[i].base) {
            log_error("memory", "executable frames at 0x%lx are writable at 0x%lx",
                      scan->exec[i].base, m->va);
            return HX_ERR_BAD_STATE;
        }
    }
    return HX_OK;
}

enum hx_status memory_wx_check(u64 *out_exec_pages)
{
    struct wx_scan scan = {0};
    enum hx_status status = hal_mmu.walk(&hal_kernel_space, wx_visit, &scan);
    if (status == HX_OK) {
        scan.second_pass = true;
        status = hal_mmu.walk(&hal_kernel_space, wx_visit, &scan);
    }
    if (status == HX_OK) {
        *out_exec_pages = scan.pages;
    }
    return status;
}

static void keep_early_device(void)
{
    if (!space.boot->early_device) {
        return;
    }
    space.devices[space.device_count].pa = space.boot->early_device;
    space.devices[space.device_count].size = HX_PAGE_SIZE;
    space.devices[space.device_count].va = DEVICE_BASE + space.device_used;
    space.devices[space.device_count++].flags = MAP_DEVICE;
    space.device_used += 2 * HX_PAGE_SIZE;
}

enum hx_status memory_init(const struct boot_info *info)
{
    space.boot = info;
    early_init(info->kernel_base);
    struct boot_region run = choose_run();
    if (run.size == 0) {
        log_error("memory", "the boot loader names no usable memory");
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = hal_mmu.init();
    if (status == HX_OK) {
        status = map_image();
    }
    if (status == HX_OK && info->early_device) {
        status = hal_mmu.map(&hal_kernel_space, DEVICE_BASE, info->early_device, HX_PAGE_SIZE,
                             MAP_WRITE | MAP_DEVICE | MAP_GLOBAL);
        keep_early_device();
    }
    if (status == HX_OK) {
        status = map_direct(run.base, run.base + run.size, MAP_WRITE);
    }
    if (status == HX_OK) {
        status = map_image_alias();
    }
    if (status != HX_OK) {
        return status;
    }
    hal_mmu.activate(&hal_kernel_space);
    early_frame_add_run(run.base, run.size);
    status = map_ram(&run);
    u64 exec_pages = 0;
    if (status == HX_OK) {
        status = memory_wx_check(&exec_pages);
    }
    if (status == HX_OK) {
        log_info("memory", "own page tables, %lu KiB executable, nothing writable among it",
                 exec_pages * HX_PAGE_SIZE >> 10);
    }
    return status;
}

/* A first user space, made and dropped, completes what all of them share of the kernel's half. */
static enum hx_status complete_kernel_half(void)
{
    struct hal_space first;
    enum hx_status status = hal_mmu.space_init(&first);
    if (status == HX_OK) {
        hal_mmu.space_fini(&first);
    }
    return status;
}

enum hx_status memory_seal(void)
{
    enum hx_status status = complete_kernel_half();
    if (status != HX_OK) {
        return status;
    }
    u64 size = (u64)(__ro_after_init_end - __ro_after_init_start);
    if (size == 0) {
        return HX_OK;
    }
    status = hal_mmu.protect(&hal_kernel_space, (vaddr_t)__ro_after_init_start, size, MAP_GLOBAL);
    if (status == HX_OK) {
        hal_mmu.flush((vaddr_t)__ro_after_init_start, size);
    }
    return status;
}

static bool overlaps_ram(paddr_t base, paddr_t end)
{
    for (u32 i = 0; i < space.boot->region_count; i++) {
        const struct boot_region *r = &space.boot->regions[i];
        if (r->kind != BOOT_REGION_RESERVED && base < r->base + r->size && end > r->base) {
            return true;
        }
    }
    return false;
}

/* Both ends are whole pages. */
static enum hx_status device_map_locked(paddr_t page, paddr_t end, u32 flags, vaddr_t *out_va)
{
    for (u32 i = 0; i < space.device_count; i++) {
        if (space.devices[i].flags == flags && page >= space.devices[i].pa &&
            end <= space.devices[i].pa + space.devices[i].size) {
            *out_va = space.devices[i].va + (page - space.devices[i].pa);
            return HX_OK;
        }
    }
    u64 length = end - page;
    if (space.device_count == DEVICE_MAPS_MAX || length > DEVICE_SIZE - space.device_used) {
        return HX_ERR_NO_SPACE;
    }
    vaddr_t va = DEVICE_BASE + space.device_used;
    if (length >= HX_MIB(2)) { /* large framebuffers get large pages */
        va = hx_align_up(va, HX_MIB(2)) + (page & (HX_MIB(2) - 1));
    }
    enum hx_status status =
        hal_mmu.map(&hal_kernel_space, va, page, length, MAP_WRITE | MAP_GLOBAL | flags);
    if (status != HX_OK) {
        return status;
    }
    space.devices[space.device_count].pa = page;
    space.devices[space.device_count].size = length;
    space.devices[space.device_count].va = va;
    space.devices[space.device_count++].flags = flags;
    space.device_used = va + length + HX_PAGE_SIZE - DEVICE_BASE; /* a hole catches runaways */
    *out_va = va;
    return HX_OK;
}

enum hx_status hal_event_device_map(paddr_t pa, u64 size, u32 flags, vaddr_t *out_va)
{
    u64 end, page = hx_align_down(pa, HX_PAGE_SIZE);
    vaddr_t va = 0;
    if (size == 0 || !hx_add_checked(pa, size, &end) ||
        !hx_align_up_checked(end, HX_PAGE_SIZE, &end) || end > hal_mmu.phys_limit() ||
        (flags != MAP_DEVICE && flags != MAP_COMBINE) || overlaps_ram(page, end)) {
        return HX_ERR_INVALID;
    }
    u64 irqs = spin_lock_irq(&space.lock);
    enum hx_status status = device_map_locked(page, end, flags, &va);
    spin_unlock_irq(&space.lock, irqs);
    if (status == HX_OK) {
        *out_va = va + (pa - page);
    }
    return status;
}

/* Mapping and unmapping while the system runs */

enum hx_status kernel_map(vaddr_t va, paddr_t pa, u64 size, u32 flags)
{
    u64 irqs = spin_lock_irq(&space.lock);
    enum hx_status status = hal_mmu.map(&hal_kernel_space, va, pa, size, flags | MAP_GLOBAL);
    spin_unlock_irq(&space.lock, irqs);
    return status;
}

void tables_release(paddr_t *list)
{
    while (*list) {
        paddr_t frame = *list;
        u64 *table = hal_phys_to_virt(frame);
        *list = table[0];
        table[0] = 0;
        hal_event_table_free(frame);
    }
}

struct flush_range {
    vaddr_t va;
    u64 size;
};

static void flush_here(void *arg)
{
    const struct flush_range *range = arg;
    hal_mmu.flush(range->va, range->size);
}

void kernel_flush(vaddr_t va, u64 size)
{
    struct flush_range range = {va, size};
    if (hal_mmu.flush_is_global || cpu_online_count() <= 1) {
        hal_mmu.flush(va, size);
    } else {
        cpu_call(cpu_online_mask(), flush_here, &range);
    }
}

/* Moves the emptied tables from the space to the caller's list. */
static void tables_take_locked(paddr_t *tables)
{
    for (paddr_t table = hal_kernel_space.freed, next; table; table = next) {
        u64 *link = hal_phys_to_virt(table);
        next = *link;
        *link = *tables;
        *tables = table;
    }
    hal_kernel_space.freed = 0;
}

enum hx_status kernel_unmap_begin(vaddr_t va, u64 size, paddr_t *tables)
{
    u64 irqs = spin_lock_irq(&space.lock);
    enum hx_status status = hal_mmu.unmap(&hal_kernel_space, va, size);
    tables_take_locked(tables);
    spin_unlock_irq(&space.lock, irqs);
    return status;
}

void kernel_space_trim(void)
{
    paddr_t tables = 0;
    u64 irqs = spin_lock_irq(&space.lock);
    tables_take_locked(&tables);
    spin_unlock_irq(&space.lock, irqs);
    if (tables) {
        kernel_unmap_end(DIRECT_MAP_BASE, KERNEL_IMAGE_BASE - DIRECT_MAP_BASE, &tables);
    }
}

void kernel_unmap_end(vaddr_t va, u64 size, paddr_t *tables)
{
    kernel_flush(va, size);
    tables_release(tables);
}

/* Splitting where that hides the page (hal_mmu.split_hides): any CPU may have a task, a stack
 * frame's target or a page table in it. So all CPUs come together with interrupts masked, and the
 * last to come splits while the others wait; what they touch lies in the image and on their stacks,
 * which are made of single pages. */
struct splitting {
    vaddr_t va, end;
    u32 expected;
    u32 arrived, done; /* a */
    enum hx_status status;
};

static void split_together(void *arg)
{
    struct splitting *s = arg;
    if (__atomic_add_fetch(&s->arrived, 1, __ATOMIC_ACQ_REL) < s->expected) {
        while (!__atomic_load_n(&s->done, __ATOMIC_ACQUIRE)) {
            hal_cpu_relax();
        }
        return;
    }
    spin_lock(&space.lock);
    s->status = hal_mmu.split(&hal_kernel_space, s->va);
    if (s->status == HX_OK && s->end != 0) {
        s->status = hal_mmu.split(&hal_kernel_space, s->end);
    }
    spin_unlock(&space.lock);
    __atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
}

static bool is_inside_page_locked(vaddr_t va)
{
    struct hal_mapping m;
    return hal_mmu.query(&hal_kernel_space, va, &m) == HX_OK && m.va != va;
}

/* Makes both ends of a range the borders of pages, which the change that follows would do as well,
 * but unseen. */
static enum hx_status split_ends(vaddr_t va, u64 size)
{
    u64 mask = cpu_online_mask();
    if (!hal_mmu.split_hides || (mask & (mask - 1)) == 0 ||
        !hx_is_aligned(va | size, HX_PAGE_SIZE)) {
        return HX_OK;
    }
    u64 irqs = spin_lock_irq(&space.lock);
    bool needed = is_inside_page_locked(va) || is_inside_page_locked(va + size);
    spin_unlock_irq(&space.lock, irqs);
    if (!needed) {
        return HX_OK;
    }
    struct splitting s = {.va = va, .end = va + size};
    for (u64 left = mask; left; left &= left - 1) {
        s.expected++;
    }
    cpu_call(mask, split_together, &s);
    return s.status;
}

enum hx_status kernel_unmap(vaddr_t va, u64 size)
{
    paddr_t tables = 0;
    enum hx_status status = split_ends(va, size);
    if (status != HX_OK) {
        return status;
    }
    status = kernel_unmap_begin(va, size, &tables);
    if (status == HX_OK || tables) {
        kernel_unmap_end(va, size, &tables);
    }
    return status;
}

enum hx_status kernel_protect(vaddr_t va, u64 size, u32 flags)
{
    enum hx_status status = split_ends(va, size);
    if (status != HX_OK) {
        return status;
    }
    u64 irqs = spin_lock_irq(&space.lock);
    status = hal_mmu.protect(&hal_kernel_space, va, size, flags | MAP_GLOBAL);
    spin_unlock_irq(&space.lock, irqs);
    if (status == HX_OK) {
        kernel_flush(va, size);
    }
    return status;
}

bool kernel_query(vaddr_t va, paddr_t *out_pa)
{
    struct hal_mapping m;
    u64 irqs = spin_lock_irq(&space.lock);
    bool found = hal_mmu.query(&hal_kernel_space, va, &m) == HX_OK;
    spin_unlock_irq(&space.lock, irqs);
    if (found) {
        *out_pa = m.pa + (va - m.va);
    }
    return found;
}
