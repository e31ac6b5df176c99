/* SPDX-License-Identifier: MIT */
/* Regions in a sorted array.
 * Owns:      the arrays.        Callers: space.c, under the space's lock.     Context: thread.
 * Invariant: (1) list[0 .. count) ascends, no two overlap, none is empty.  (2) what is reserved is
 *            there: spare_count spares, and capacity for them.
 *            (3) capacity is 0 or FIRST_CAPACITY times a power of two, and at most
 *            SPACE_REGIONS_MAX. (4) no gap in [dense, dense_end): what is removed there moves
 *            dense_end down, so that region_gap() need not begin at the first region every time.
 * An array beats a tree here: a process has some tens of regions and SPACE_REGIONS_MAX at most; a
 * search is a few comparisons in adjacent memory, and most changes are near its end.
 */
#include <memory/region.h>

#include <core/memory.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/object.h>

#define FIRST_CAPACITY 16
#define SPARES_MAX     4 /* kept; more are freed */

_Static_assert(SPACE_REGIONS_MAX % FIRST_CAPACITY == 0 &&
                   (SPACE_REGIONS_MAX & (SPACE_REGIONS_MAX - 1)) == 0,
               "doubling ends at the limit; inv 3");

void region_map_init(struct region_map *map)
{
    *map = (struct region_map){0};
}

static void spare_push(struct region_map *map, struct region *r)
{
    if (map->spare_count == SPARES_MAX) {
        kfree(r);
        return;
    }
    r->object = (struct memory_object *)map->spare;
    map->spare = r;
    map->spare_count++;
}

static struct region *spare_pop(struct region_map *map)
{
    struct region *r = map->spare;
    HX_ASSERT(r); /* inv 2: the caller has reserved it */
    map->spare = (struct region *)r->object;
    map->spare_count--;
    return r;
}

void region_map_fini(struct region_map *map)
{
    for (u32 i = 0; i < map->count; i++) {
        kfree(map->list[i]);
    }
    while (map->spare) {
        kfree(spare_pop(map));
    }
    kfree(map->list);
    region_map_init(map);
}

enum hx_status region_reserve_more(struct region_map *map, u32 n)
{
    HX_ASSERT(n <= SPARES_MAX);
    if (map->count + n > SPACE_REGIONS_MAX) {
        return HX_ERR_LIMIT;
    }
    if (map->count + n > map->capacity) {
        u32 capacity = map->capacity ? 2 * map->capacity : FIRST_CAPACITY;
        struct region **list = kmalloc(capacity * sizeof(struct region *));
        if (!list) {
            return HX_ERR_NO_MEMORY;
        }
        if (map->count > 0) {
            memcpy(list, map->list, map->count * sizeof(struct region *));
        }
        kfree(map->list);
        map->list = list;
        map->capacity = capacity;
    }
    while (map->spare_count < n) {
        struct region *r = kmalloc(sizeof(*r));
        if (!r) {
            return HX_ERR_NO_MEMORY;
        }
        spare_push(map, r);
    }
    return HX_OK;
}

u32 region_search(struct region_map *map, vaddr_t va)
{
    u32 low = 0, high = map->count; /* the answer is in [low, high] */
    if (high == 0 || map->list[high - 1]->end <= va) {
        return high;
    }
    while (low < high) {
        u32 middle = low + (high - low) / 2;
        if (map->list[middle]->end > va) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    map->hint = low;
    return low;
}

bool region_is_free(struct region_map *map, vaddr_t start, vaddr_t end)
{
    u32 i = region_find(map, start);
    return i == map->count || map->list[i]->start >= end;
}

bool region_gap(struct region_map *map, vaddr_t first, vaddr_t limit, u64 size, vaddr_t *out_start,
                u32 *out_index)
{
    vaddr_t at = first;
    if (map->dense == first && map->dense_end > first) {
        at = map->dense_end; /* inv 4 */
    }
    bool dense = true;
    u32 i = region_find(map, at);
    for (; i < map->count && at < limit; i++) {
        const struct region *r = map->list[i];
        if (r->start > at) {
            if (dense) {
                map->dense = first;
                map->dense_end = at;
                dense = false;
            }
            if (r->start - at >= size) {
                break;
            }
        }
        at = r->end;
    }
    if (dense) {
        map->dense = first;
        map->dense_end = at;
    }
    if (at >= limit || limit - at < size) {
        return false;
    }
    *out_start = at;
    *out_index = i;
    return true;
}

static bool alike(const struct region *a, const struct region *b)
{
    return a->end == b->start && a->backing == SPACE_ANONYMOUS && b->backing == SPACE_ANONYMOUS &&
           a->flags == b->flags;
}

void region_join(struct region_map *map, u32 i)
{
    if (i + 1 < map->count && alike(map->list[i], map->list[i + 1])) {
        map->list[i]->end = map->list[i + 1]->end;
        map->hint = i;
        region_remove(map, i + 1);
    }
}

static void insert(struct region_map *map, u32 i, struct region *r)
{
    for (u32 at = map->count; at > i; at--) {
        map->list[at] = map->list[at - 1];
    }
    map->list[i] = r;
    map->count++;
}

void region_add_at(struct region_map *map, u32 i, const struct region *model)
{
    HX_DEBUG_ASSERT(i == map->count || map->list[i]->start >= model->end); /* inv 1 */
    if (i > 0 && alike(map->list[i - 1], model)) {
        map->list[i - 1]->end = model->end;
        map->hint = i - 1;
        region_join(map, i - 1);
        return;
    }
    struct region *r = spare_pop(map);
    *r = *model;
    insert(map, i, r);
    map->hint = i;
    region_join(map, i);
}

void region_add(struct region_map *map, const struct region *model)
{
    region_add_at(map, region_find(map, model->start), model);
}

struct region_range region_range_find(struct region_map *map, vaddr_t start, vaddr_t end)
{
    struct region_range range = {.first = region_find(map, start), .whole = true};
    vaddr_t at = start;
    u32 i = range.first;
    for (; i < map->count && map->list[i]->start < end; i++) {
        const struct region *r = map->list[i];
        range.whole &= r->start <= at && r->backing != SPACE_GUARD;
        at = r->end;
    }
    range.whole &= at >= end;
    range.last = i;
    if (i > range.first) {
        range.cuts = (u32)(map->list[range.first]->start < start) + (u32)(at > end);
    }
    return range;
}

/* Makes the region begin at va, which lies in it. */
static void begin_at(struct region *r, vaddr_t va)
{
    u64 skipped = va - r->start;
    r->start = va;
    r->offset += skipped;
    if (r->data) {
        r->data = skipped < r->data_size ? r->data + skipped : NULL;
        r->data_size -= r->data ? skipped : r->data_size;
    }
}

static void cut(struct region_map *map, u32 i, vaddr_t va)
{
    struct region *low = map->list[i], *high = spare_pop(map);
    *high = *low;
    begin_at(high, va);
    low->end = va;
    if (high->object) {
        memory_object_get(high->object);
    }
    insert(map, i + 1, high);
}

void region_trim(struct region_map *map, u32 i, vaddr_t start, vaddr_t end)
{
    struct region *r = map->list[i];
    vaddr_t gone = start > r->start ? start : r->start;
    if (start > r->start) {
        r->end = start;
    } else {
        begin_at(r, end);
    }
    if (gone < map->dense_end) {
        map->dense_end = gone; /* inv 4 */
    }
}

void region_range_cut(struct region_map *map, struct region_range *range, vaddr_t start,
                      vaddr_t end)
{
    if (map->list[range->first]->start < start) {
        cut(map, range->first, start);
        range->first++;
        range->last++;
    }
    if (map->list[range->last - 1]->end > end) {
        cut(map, range->last - 1, end);
    }
    range->cuts = 0;
    map->hint = range->first;
}

void region_remove(struct region_map *map, u32 i)
{
    struct region *r = map->list[i];
    if (r->start < map->dense_end) {
        map->dense_end = r->start; /* inv 4 */
    }
    map->count--;
    for (; i < map->count; i++) {
        map->list[i] = map->list[i + 1];
    }
    spare_push(map, r);
}
