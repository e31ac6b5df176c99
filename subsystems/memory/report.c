/* SPDX-License-Identifier: MIT */
/* The `mem` command: who has how much, from the places that own the figures.
 * Context: the shell's thread.
 */
#include <core/grace.h>
#include <core/init.h>
#include <core/shell.h>
#include <core/task.h>
#include <helix/string.h>
#include <memory/frame_alloc.h>
#include <memory/heap.h>
#include <memory/kernel_space.h>
#include <memory/stack.h>
#include <memory/trim.h>

#define SITES_MAX 32

static const char *const region_kinds[] = {
    [BOOT_REGION_RAM] = "ram",       [BOOT_REGION_RECLAIMABLE] = "firmware-tables",
    [BOOT_REGION_LOADER] = "loader", [BOOT_REGION_KERNEL] = "kernel",
    [BOOT_REGION_NVS] = "nvs",       [BOOT_REGION_RESERVED] = "reserved",
};
_Static_assert(HX_ARRAY_SIZE(region_kinds) == BOOT_REGION_KIND_COUNT, "a kind without a name");

void memory_trim(void)
{
    grace_wait();
    task_reap();
    kernel_stack_trim();
    kernel_space_trim();
    heap_trim();
}

static void owner_line(const char *name, u64 frames, bool json)
{
    if (json) {
        shell_printf("{\"owner\":\"%s\",\"frames\":%lu,\"bytes\":%lu}\n", name, frames,
                     frames << HX_PAGE_SHIFT);
    } else {
        shell_printf("%-12s %10lu KiB\n", name, frames << (HX_PAGE_SHIFT - 10));
    }
}

static int show_owners(bool json)
{
    struct frame_usage usage;
    frame_usage_read(&usage);
    for (u32 owner = FRAME_NONE + 1; owner < FRAME_OWNER_COUNT; owner++) {
        if (usage.owners[owner] || owner == FRAME_FREE) {
            owner_line(frame_owner_name(owner), usage.owners[owner], json);
        }
    }
    owner_line("modules", usage.modules, json);
    owner_line("processes", usage.spaces, json);
    if (json) {
        shell_printf("{\"owner\":\"total\",\"frames\":%lu,\"bytes\":%lu,\"allocator\":\"%s\"}\n",
                     usage.total, usage.total << HX_PAGE_SHIFT, frame_allocator()->name);
    } else {
        shell_printf("%-12s %10lu KiB, allocator %s, %lu KiB free\n", "total", usage.total << 2,
                     frame_allocator()->name, usage.free << 2);
    }
    return SHELL_OK;
}

static int show_owner(const char *name, bool json)
{
    u64 number = FRAME_OWNER_END;
    for (u32 owner = 0; owner < FRAME_OWNER_COUNT; owner++) {
        number = str_equal(name, frame_owner_name(owner)) ? owner : number;
    }
    if (number == FRAME_OWNER_END && (!str_to_u64(name, &number) || number >= FRAME_OWNER_END)) {
        shell_printf("mem: no owner %s; a name that `mem` lists, or a number\n", name);
        return SHELL_FAILED;
    }
    owner_line(name, frame_count_owner((u32)number), json);
    return SHELL_OK;
}

static int show_map(bool json)
{
    const struct boot_info *info = boot_info_get();
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        if (json) {
            shell_printf("{\"base\":%lu,\"size\":%lu,\"kind\":\"%s\"}\n", r->base, r->size,
                         region_kinds[r->kind]);
        } else {
            shell_printf("0x%012lx - 0x%012lx %10lu KiB %s\n", r->base, r->base + r->size,
                         r->size >> 10, region_kinds[r->kind]);
        }
    }
    return SHELL_OK;
}

static int show_heap(bool json)
{
    struct heap_cache_usage u;
    if (!json) {
        shell_printf("%-14s %6s %6s %8s %8s %8s\n", "cache", "size", "stride", "objects", "at hand",
                     "KiB");
    }
    for (u32 i = 0; heap_usage_read(i, &u); i++) {
        if (!u.name || u.slabs == 0) {
            continue;
        }
        if (json) {
            shell_printf("{\"cache\":\"%s\",\"size\":%u,\"stride\":%u,\"objects\":%lu,"
                         "\"at_hand\":%lu,\"bytes\":%lu}\n",
                         u.name, u.size, u.stride, u.objects, u.at_hand, u.bytes);
        } else {
            shell_printf("%-14s %6u %6u %8lu %8lu %8lu\n", u.name, u.size, u.stride, u.objects,
                         u.at_hand, u.bytes >> 10);
        }
    }
    if (json) {
        shell_printf("{\"cache\":\"large\",\"bytes\":%lu}\n{\"stacks\":%u}\n", heap_large_bytes(),
                     kernel_stack_count());
    } else {
        shell_printf("%lu KiB in large allocations, %u kernel stacks mapped\n",
                     heap_large_bytes() >> 10, kernel_stack_count());
    }
    return SHELL_OK;
}

static int show_sites(bool json)
{
    static struct heap_site sites[SITES_MAX];
    u32 count = heap_sites_read(0, sites, SITES_MAX);
    if (count == 0) {
        shell_printf("mem: allocation sites are kept in the debug variants only\n");
        return SHELL_FAILED;
    }
    for (u32 i = 0; i < count && i < SITES_MAX; i++) {
        char where[80];
        heap_site_name(sites[i].site, where, sizeof(where));
        shell_printf(json ? "{\"site\":\"%s\",\"objects\":%lu,\"bytes\":%lu}\n"
                          : "%-40s %8lu objects %10lu bytes\n",
                     where, sites[i].objects, sites[i].bytes);
    }
    if (count > SITES_MAX) {
        shell_printf(json ? "{\"more\":%u}\n" : "%u more sites\n", count - SITES_MAX);
    }
    return SHELL_OK;
}

static int command_mem(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    const char *what = NULL, *owner = NULL;
    for (int i = 1; i < argc; i++) {
        if (str_equal(argv[i], "--json")) {
            continue;
        }
        if (what) {
            return shell_usage("mem");
        }
        what = argv[i];
        if (str_equal(what, "-o") && i + 1 < argc && !str_equal(argv[i + 1], "--json")) {
            owner = argv[++i];
        }
    }
    if (!what || (str_equal(what, "-o") && !owner)) {
        return show_owners(json);
    }
    if (owner) {
        return show_owner(owner, json);
    }
    if (str_equal(what, "--map")) {
        return show_map(json);
    }
    if (str_equal(what, "--heap")) {
        return show_heap(json);
    }
    if (str_equal(what, "--sites")) {
        return show_sites(json);
    }
    if (str_equal(what, "--trim")) {
        memory_trim();
        return show_owners(json);
    }
    return shell_usage("mem");
}

SHELL_COMMAND(
    mem, "mem", "[-o [OWNER] | --map | --heap | --sites | --trim] [--json]", "memory by owner",
    "-o OWNER counts one owner, by name or number; --map is what the loader said of RAM; "
    "--heap lists\nthe object caches, --sites who allocated (debug variants); --trim gives "
    "back what caches keep.",
    command_mem);
