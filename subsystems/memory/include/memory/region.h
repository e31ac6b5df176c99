/* SPDX-License-Identifier: MIT */
/* The regions of one user address space: a sorted array of disjoint ranges. Pure bookkeeping, no
 * page tables: it also runs on the host, against a model.
 */
#ifndef MEMORY_REGION_H
#define MEMORY_REGION_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>
#include <memory/space.h>

struct region {
    vaddr_t start, end;
    u8 backing; /* enum space_backing */
    u8 flags;
    struct memory_object *object; /* a reference, or NULL */
    u64 offset;                   /* into the object */
    const u8 *data;               /* of `start`; NULL: no data left for this part */
    u64 data_size;
};

struct region_map {
    struct region **list; /* ascending */
    u32 count, capacity;
    struct region *spare; /* reserved, linked by object */
    u32 spare_count;
};

void region_map_init(struct region_map *map);
/* Frees the map; the caller has dropped the regions' references. */
void region_map_fini(struct region_map *map);

/* Makes sure that n regions can be added without failing.
 * Return: HX_OK, HX_ERR_LIMIT, HX_ERR_NO_MEMORY. */
enum hx_status region_reserve(struct region_map *map, u32 n) HX_MUST_CHECK;

/* Index of the first region that ends above va; map->count when there is none. */
u32 region_find(const struct region_map *map, vaddr_t va);

/* The region that holds va, or NULL. */
struct region *region_at(const struct region_map *map, vaddr_t va);

/* True when nothing is in [start, end). */
bool region_is_free(const struct region_map *map, vaddr_t start, vaddr_t end);

/* The lowest gap of `size` bytes in [first, limit). False: there is none. */
bool region_gap(const struct region_map *map, vaddr_t first, vaddr_t limit, u64 size,
                vaddr_t *out_start);

/* Adds a copy of `model`, for whose range there is room and for which a region is reserved. A
 * reference to its object passes to the map. Anonymous neighbours of the same flags are joined. */
void region_add(struct region_map *map, const struct region *model);

/* Cuts the region that has va inside in two; one is reserved. At a border: nothing. */
void region_cut(struct region_map *map, vaddr_t va);

/* Takes region number i out and keeps it as a spare; its object's reference is the caller's. */
void region_remove(struct region_map *map, u32 i);

/* Joins region number i with the next when they are anonymous and alike. */
void region_join(struct region_map *map, u32 i);

/* Regions that [start, end) cuts in two or three: what has to be reserved to cut at both. */
u32 region_cuts(const struct region_map *map, vaddr_t start, vaddr_t end);

/* True when every page of the range lies in a region that is not a guard. */
bool region_covers(const struct region_map *map, vaddr_t start, vaddr_t end);

#endif
