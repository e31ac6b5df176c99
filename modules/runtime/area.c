/* SPDX-License-Identifier: MIT */
/* Memory of loaded modules.
 * Owns:      the module window (docs/memory-map.md), the pool of code frames.   Caller: loader.c.
 * Context:   thread, under the registry's mutex.
 * Code needs frames that nothing can write any more, so their alias in the direct map turns
 * read-only with them. That splits a large page of the direct map for good; so code comes from a
 * few runs of frames that stay with the pool, and the rest of the direct map stays in large pages.
 * Invariant: (1) a frame of the pool is writable through the direct map exactly while it is not
 *            executable anywhere: area_map() takes the one away, with a flush, before it gives the
 *            other, area_free() goes the other way.
 *            (2) areas are disjoint, in ascending order; each begins and ends with an unmapped
 * page.
 */
#include "runtime_priv.h"

#include <core/memory.h>
#include <hal/cpu.h>
#include <hal/layout.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <memory/frame.h>
#include <memory/kernel_space.h>

#define RUN_ORDER  5 /* 32 frames: a run of the pool */
#define RUN_FRAMES (1u << RUN_ORDER)
#define RUNS_MAX   64
#define POOL_OWNER FRAME_FIRST_MODULE /* module numbers begin at 1 */

static struct list_node areas = LIST_INIT(areas);

static struct {
    struct {
        paddr_t base;
        u32 used; /* bit per frame */
    } runs[RUNS_MAX];
    u32 run_count;
} window;

_Static_assert(RUN_FRAMES == 32, "a run's map is one word");

static void code_free(paddr_t base, u32 pages);

/* -- code frames */

static bool run_take(u32 run, u32 pages, paddr_t *out)
{
    u32 mask = pages == 32 ? ~0u : (1u << pages) - 1;
    for (u32 at = 0; at + pages <= RUN_FRAMES; at++) {
        if (!(window.runs[run].used & mask << at)) {
            window.runs[run].used |= mask << at;
            *out = window.runs[run].base + (u64)at * HX_PAGE_SIZE;
            return true;
        }
    }
    return false;
}

static u32 order_of(u32 pages)
{
    return pages <= 1 ? 0 : hx_log2_floor(pages - 1) + 1;
}

/* Frames in a row; what is more than a run is not the pool's. */
static enum hx_status code_alloc(u32 pages, u32 owner, paddr_t *out)
{
    if (pages > RUN_FRAMES) {
        if (order_of(pages) > FRAME_ORDER_MAX) {
            return HX_ERR_NO_MEMORY;
        }
        return frame_alloc_block(order_of(pages), 0, owner, out);
    }
    for (u32 i = 0; i < window.run_count; i++) {
        if (run_take(i, pages, out)) {
            return HX_OK;
        }
    }
    if (window.run_count == RUNS_MAX) {
        return HX_ERR_NO_MEMORY;
    }
    paddr_t base;
    enum hx_status status = frame_alloc_block(RUN_ORDER, 0, POOL_OWNER, &base);
    if (status != HX_OK) {
        return status;
    }
    window.runs[window.run_count].base = base;
    window.runs[window.run_count].used = 0;
    return run_take(window.run_count++, pages, out) ? HX_OK : HX_ERR_NO_MEMORY;
}

/* A run, its alias split into pages, before anything is counted: what stays with the pool for good
 * is taken at boot and not by whoever happens to load the first module. */
enum hx_status area_init(void)
{
    paddr_t base;
    enum hx_status status = code_alloc(1, POOL_OWNER, &base);
    if (status == HX_OK) {
        vaddr_t alias = (vaddr_t)hal_phys_to_virt(base);
        status = kernel_protect(alias, HX_PAGE_SIZE, 0);
        if (status == HX_OK) {
            status = kernel_protect(alias, HX_PAGE_SIZE, MAP_WRITE);
        }
        code_free(base, 1);
    }
    return status;
}

static void code_free(paddr_t base, u32 pages)
{
    if (pages > RUN_FRAMES) {
        frame_free_run(base, 1u << order_of(pages));
        return;
    }
    for (u32 i = 0; i < window.run_count; i++) {
        if (base - window.runs[i].base < RUN_FRAMES * HX_PAGE_SIZE) {
            u32 mask = pages == 32 ? ~0u : (1u << pages) - 1;
            window.runs[i].used &= ~(mask << (u32)((base - window.runs[i].base) / HX_PAGE_SIZE));
        }
    }
}

/* -- the window */

/* The first gap of `size` bytes; first fit, for there are few. */
static bool window_take(struct module_area *area, u64 size)
{
    vaddr_t at = MODULE_BASE;
    struct list_node *before = &areas;
    struct module_area *other;
    LIST_FOREACH (&areas, other, node) {
        if (other->base - at >= size) {
            break;
        }
        at = other->end;
        before = &other->node;
    }
    if (MODULE_BASE + MODULE_SIZE - at < size) {
        return false;
    }
    area->base = at;
    area->end = at + size;
    list_insert_between(&area->node, before, before->next);
    return true;
}

static enum hx_status part_alloc(struct module_area *area, enum module_part part)
{
    u32 pages = area->part[part].pages;
    paddr_t *pa = &area->part[part].pa;
    enum hx_status status;
    if (part == PART_CODE) {
        status = code_alloc(pages, area->owner, pa);
    } else if (order_of(pages) > FRAME_ORDER_MAX) {
        status = HX_ERR_NO_MEMORY;
    } else {
        status = frame_alloc_block(order_of(pages), 0, area->owner, pa);
        if (status == HX_OK && pages < 1u << order_of(pages)) {
            frame_free_run(*pa + (u64)pages * HX_PAGE_SIZE, (1u << order_of(pages)) - pages);
        }
    }
    for (u32 i = 0; status == HX_OK && i < pages; i++) {
        hal_page_zero(hal_phys_to_virt(*pa + (u64)i * HX_PAGE_SIZE));
    }
    return status;
}

static void part_free(struct module_area *area, enum module_part part)
{
    if (part == PART_CODE) {
        code_free(area->part[part].pa, area->part[part].pages);
    } else {
        frame_free_run(area->part[part].pa, area->part[part].pages);
    }
}

enum hx_status area_alloc(const u32 size[PART_COUNT], u32 owner, struct module_area **out)
{
    struct module_area *area = kzalloc(sizeof(*area));
    if (!area) {
        return HX_ERR_NO_MEMORY;
    }
    list_init(&area->node);
    area->owner = owner;
    u64 total = HX_PAGE_SIZE;
    for (u32 i = 0; i < PART_COUNT; i++) {
        area->part[i].pages = (u32)(hx_align_up(size[i], HX_PAGE_SIZE) >> HX_PAGE_SHIFT);
        total += ((u64)area->part[i].pages + 1) << HX_PAGE_SHIFT;
    }
    enum hx_status status = HX_ERR_NO_SPACE;
    if (!window_take(area, total)) {
        goto out_free;
    }
    vaddr_t va = area->base + HX_PAGE_SIZE;
    u32 done = 0;
    for (; done < PART_COUNT; done++) {
        area->part[done].va = va;
        va += ((u64)area->part[done].pages + 1) << HX_PAGE_SHIFT;
        status = area->part[done].pages ? part_alloc(area, done) : HX_OK;
        if (status != HX_OK) {
            goto out_parts;
        }
    }
    *out = area;
    return HX_OK;

out_parts:
    while (done-- > 0) {
        if (area->part[done].pages) {
            part_free(area, done);
        }
    }
    list_remove(&area->node);
out_free:
    kfree(area);
    return status;
}

void area_memory(const struct module_area *area, struct module_memory out[PART_COUNT])
{
    for (u32 i = 0; i < PART_COUNT; i++) {
        out[i].data = hal_phys_to_virt(area->part[i].pa);
        out[i].va = area->part[i].va;
    }
}

static u64 part_bytes(const struct module_area *area, u32 part)
{
    return (u64)area->part[part].pages << HX_PAGE_SHIFT;
}

/* The direct map's alias of the code: writable or not. inv 1 */
static enum hx_status alias_protect(const struct module_area *area, u32 flags)
{
    vaddr_t alias = (vaddr_t)hal_phys_to_virt(area->part[PART_CODE].pa);
    return kernel_protect(alias, part_bytes(area, PART_CODE), flags);
}

enum hx_status area_map(struct module_area *area)
{
    static const u32 flags[PART_COUNT] = {
        [PART_CODE] = MAP_EXEC, [PART_CONSTANT] = 0, [PART_DATA] = MAP_WRITE};
    enum hx_status status = HX_OK;
    u32 done = 0;
    if (area->part[PART_CODE].pages) {
        status = alias_protect(area, 0);
        if (status != HX_OK) {
            return status;
        }
    }
    for (; done < PART_COUNT; done++) {
        if (!area->part[done].pages) {
            continue;
        }
        status = kernel_map(area->part[done].va, area->part[done].pa, part_bytes(area, done),
                            flags[done]);
        if (status != HX_OK) {
            goto out_unmap;
        }
    }
    if (area->part[PART_CODE].pages) {
        hal_cpu.sync_icache(area->part[PART_CODE].va, part_bytes(area, PART_CODE));
    }
    return HX_OK;

out_unmap:
    while (done-- > 0) {
        if (area->part[done].pages) {
            HX_IGNORE(kernel_unmap(area->part[done].va, part_bytes(area, done)), "just mapped");
        }
    }
    if (area->part[PART_CODE].pages) {
        HX_IGNORE(alias_protect(area, MAP_WRITE), "it is split already");
    }
    return status;
}

void area_free(struct module_area *area)
{
    paddr_t tables = 0;
    paddr_t pa;
    bool mapped = false;
    for (u32 i = 0; i < PART_COUNT; i++) {
        if (area->part[i].pages && kernel_query(area->part[i].va, &pa)) {
            HX_IGNORE(kernel_unmap_begin(area->part[i].va, part_bytes(area, i), &tables),
                      "it is mapped");
            mapped = true;
        }
    }
    if (mapped) {
        kernel_unmap_end(area->base, area->end - area->base, &tables);
        if (area->part[PART_CODE].pages) {
            HX_IGNORE(alias_protect(area, MAP_WRITE), "it is split already"); /* inv 1 */
        }
    }
    for (u32 i = 0; i < PART_COUNT; i++) {
        if (area->part[i].pages) {
            part_free(area, i);
        }
    }
    list_remove(&area->node);
    kfree(area);
}
