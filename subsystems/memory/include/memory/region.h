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
    u32 hint;             /* what was found last: any number will do */
    struct region *spare; /* reserved, linked by object */
    u32 spare_count;
    vaddr_t dense, dense_end; /* no gap in [dense, dense_end), where region_gap() looked last */
};

void region_map_init(struct region_map *map);
/* Frees the map; the caller has dropped the regions' references. */
void region_map_fini(struct region_map *map);

/* Makes sure that n regions can be added without failing.
 * Return: HX_OK, HX_ERR_LIMIT, HX_ERR_NO_MEMORY. */
enum hx_status region_reserve_more(struct region_map *map, u32 n) HX_MUST_CHECK;

HX_MUST_CHECK static inline enum hx_status region_reserve(struct region_map *map, u32 n)
{
    return hx_likely(map->spare_count >= n && map->count + n <= map->capacity)
               ? HX_OK
               : region_reserve_more(map, n);
}

/* Index of the first region that ends above va; map->count when there is none. Inline for what is
 * asked most: a program maps, touches and unmaps the same places. */
u32 region_search(struct region_map *map, vaddr_t va);

static inline u32 region_find(struct region_map *map, vaddr_t va)
{
    u32 hint = map->hint;
    return hx_likely(hint < map->count && map->list[hint]->end > va &&
                     (map->list[hint]->start <= va || hint == 0 || map->list[hint - 1]->end <= va))
               ? hint
               : region_search(map, va);
}

/* The region that holds va, or NULL. */
static inline struct region *region_at(struct region_map *map, vaddr_t va)
{
    u32 i = region_find(map, va);
    return hx_likely(i < map->count && map->list[i]->start <= va) ? map->list[i] : NULL;
}

/* True when nothing is in [start, end). */
bool region_is_free(struct region_map *map, vaddr_t start, vaddr_t end);

/* The lowest gap of `size` bytes in [first, limit), and the index of the region behind it. False:
 * there is none. */
bool region_gap(struct region_map *map, vaddr_t first, vaddr_t limit, u64 size, vaddr_t *out_start,
                u32 *out_index);

/* Adds a copy of `model`, for whose range there is room and for which a region is reserved. A
 * reference to its object passes to the map. Anonymous neighbours of the same flags are joined. */
void region_add(struct region_map *map, const struct region *model);

/* The same where `i` is known to be region_find(map, model->start). */
void region_add_at(struct region_map *map, u32 i, const struct region *model);

/* What [start, end) touches. */
struct region_range {
    u32 first, last; /* list[first .. last) */
    u32 cuts;        /* ends that lie inside a region: regions to reserve before cutting */
    bool whole;      /* every page lies in a region that is not a guard */
};
struct region_range region_range_find(struct region_map *map, vaddr_t start, vaddr_t end);

/* Inline for what is asked most: a range in the region that was found last. */
static inline struct region_range region_range(struct region_map *map, vaddr_t start, vaddr_t end)
{
    u32 i = map->hint;
    if (i < map->count && map->list[i]->start <= start && map->list[i]->end >= end) {
        const struct region *r = map->list[i];
        return (struct region_range){.first = i,
                                     .last = i + 1,
                                     .cuts = (u32)(r->start < start) + (u32)(r->end > end),
                                     .whole = r->backing != SPACE_GUARD};
    }
    return region_range_find(map, start, end);
}

/* Cuts regions in two where the range ends inside them; range->cuts are reserved. Afterwards
 * list[first .. last) is what the range is made of. */
void region_range_cut(struct region_map *map, struct region_range *range, vaddr_t start,
                      vaddr_t end);

/* Takes [start, end) off region number i, which reaches out of the range at one side and is alone
 * in it: what range.cuts == 1 and one region mean. Nothing has to be reserved. */
void region_trim(struct region_map *map, u32 i, vaddr_t start, vaddr_t end);

static inline bool region_range_is_trim(const struct region_range *range)
{
    return range->cuts == 1 && range->last - range->first == 1;
}

/* Takes region number i out and keeps it as a spare; its object's reference is the caller's. */
void region_remove(struct region_map *map, u32 i);

/* Joins region number i with the next when they are anonymous and alike. */
void region_join(struct region_map *map, u32 i);

#endif
