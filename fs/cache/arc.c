/* SPDX-License-Identifier: MIT */
/* Adaptive replacement cache (Megiddo and Modha, FAST 2003), in bytes instead of pages.
 * Owns:      the lists and the hash; entries belong to the caller until the evict callback.
 * Callers:   one owner, which serialises.   Context: thread; allocates only ghosts, and does
 *            without when there is no memory.
 * Invariant: (1) an entry with refs > 0 is on no list.  (2) resident is the sum of the sizes in the
 *            hash.  (3) the ghosts of each side stand for at most `limit` bytes.
 *
 * Two lists hold what was asked for once and what was asked for again. Two ghost lists remember
 * the keys that each lost; a request for one of those moves the border in favour of that side.
 * Against plain LRU this keeps a scan of one big file from pushing the tree's inner nodes out.
 */
#include <fs/arc.h>
#include <fs/os.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>

struct arc_ghost {
    u64 key;
    u32 size;
    u32 side;
    struct list_node lru;
    struct arc_ghost *chain;
};

static u32 slot_of(const struct arc *arc, u64 key)
{
    return (u32)((key * 0x9e3779b97f4a7c15ull) >> 32) & arc->hash_mask;
}

enum hx_status arc_init(struct arc *arc, u64 limit,
                        void (*evict)(struct arc *arc, struct arc_entry *entry))
{
    *arc = (struct arc){.limit = limit, .evict = evict};
    list_init(&arc->recent);
    list_init(&arc->frequent);
    list_init(&arc->ghosts[0]);
    list_init(&arc->ghosts[1]);
    u64 want = hx_max_u64(256, limit / 8192);
    u32 slots = 1u << hx_log2_floor(want);
    arc->hash_mask = slots - 1;
    arc->hash = os_alloc(slots * sizeof(*arc->hash));
    arc->ghost_hash = os_alloc(slots * sizeof(*arc->ghost_hash));
    if (arc->hash == NULL || arc->ghost_hash == NULL) {
        os_free(arc->hash);
        os_free(arc->ghost_hash);
        return HX_ERR_NO_MEMORY;
    }
    memset(arc->hash, 0, slots * sizeof(*arc->hash));
    memset(arc->ghost_hash, 0, slots * sizeof(*arc->ghost_hash));
    return HX_OK;
}

static void ghost_free(struct arc *arc, struct arc_ghost *ghost)
{
    struct arc_ghost **at = &arc->ghost_hash[slot_of(arc, ghost->key)];
    while (*at != ghost) {
        at = &(*at)->chain;
    }
    *at = ghost->chain;
    list_remove(&ghost->lru);
    arc->ghost_bytes[ghost->side] -= ghost->size;
    os_free(ghost);
}

static void ghost_add(struct arc *arc, const struct arc_entry *entry, u32 side)
{
    struct arc_ghost *ghost = os_alloc(sizeof(*ghost));
    if (ghost == NULL) {
        return; /* the cache adapts less, nothing else */
    }
    u32 slot = slot_of(arc, entry->key);
    *ghost = (struct arc_ghost){
        .key = entry->key, .size = entry->size, .side = side, .chain = arc->ghost_hash[slot]};
    arc->ghost_hash[slot] = ghost;
    list_add_head(&arc->ghosts[side], &ghost->lru);
    arc->ghost_bytes[side] += ghost->size;
    while (arc->ghost_bytes[side] > arc->limit) { /* inv 3 */
        ghost_free(arc, LIST_ENTRY(arc->ghosts[side].prev, struct arc_ghost, lru));
    }
}

static struct arc_ghost *ghost_find(struct arc *arc, u64 key)
{
    struct arc_ghost *ghost = arc->ghost_hash[slot_of(arc, key)];
    while (ghost != NULL && ghost->key != key) {
        ghost = ghost->chain;
    }
    return ghost;
}

static void unhash(struct arc *arc, struct arc_entry *entry)
{
    struct arc_entry **at = &arc->hash[slot_of(arc, entry->key)];
    while (*at != entry) {
        HX_ASSERT(*at != NULL);
        at = &(*at)->chain;
    }
    *at = entry->chain;
}

static void unlist(struct arc *arc, struct arc_entry *entry)
{
    if (!entry->frequent) {
        arc->recent_bytes -= entry->size;
    }
    list_remove(&entry->lru);
}

static void evict_one(struct arc *arc, struct arc_entry *entry, bool remember)
{
    unlist(arc, entry);
    unhash(arc, entry);
    arc->resident -= entry->size;
    if (remember) {
        ghost_add(arc, entry, entry->frequent);
    }
    arc->evict(arc, entry);
}

static void shrink(struct arc *arc)
{
    while (arc->resident > arc->limit) {
        bool from_recent = !list_is_empty(&arc->recent) &&
                           (arc->recent_bytes > arc->target || list_is_empty(&arc->frequent));
        struct list_node *list = from_recent ? &arc->recent : &arc->frequent;
        if (list_is_empty(list)) {
            return; /* the rest is held */
        }
        evict_one(arc, LIST_ENTRY(list->prev, struct arc_entry, lru), true);
    }
}

void arc_fini(struct arc *arc)
{
    struct list_node *lists[] = {&arc->recent, &arc->frequent};
    for (u32 i = 0; i < HX_ARRAY_SIZE(lists); i++) {
        while (!list_is_empty(lists[i])) {
            evict_one(arc, LIST_ENTRY(lists[i]->prev, struct arc_entry, lru), false);
        }
    }
    for (u32 side = 0; side < 2; side++) {
        while (!list_is_empty(&arc->ghosts[side])) {
            ghost_free(arc, LIST_ENTRY(arc->ghosts[side].prev, struct arc_ghost, lru));
        }
    }
    HX_ASSERT(arc->resident == 0); /* inv 2: nobody holds anything */
    os_free(arc->hash);
    os_free(arc->ghost_hash);
}

struct arc_entry *arc_get(struct arc *arc, u64 key)
{
    struct arc_entry *entry = arc->hash[slot_of(arc, key)];
    while (entry != NULL && entry->key != key) {
        entry = entry->chain;
    }
    if (entry == NULL) {
        arc->misses++;
        return NULL;
    }
    arc->hits++;
    if (entry->refs++ == 0) {
        unlist(arc, entry);
        entry->frequent = true;
    }
    return entry;
}

void arc_put(struct arc *arc, struct arc_entry *entry)
{
    HX_ASSERT(entry->refs > 0);
    if (--entry->refs > 0) {
        return;
    }
    if (entry->frequent) {
        list_add_head(&arc->frequent, &entry->lru);
    } else {
        list_add_head(&arc->recent, &entry->lru);
        arc->recent_bytes += entry->size;
    }
    shrink(arc);
}

static void hash_add(struct arc *arc, struct arc_entry *entry, u64 key)
{
    u32 slot = slot_of(arc, key);
    entry->key = key;
    entry->chain = arc->hash[slot];
    arc->hash[slot] = entry;
}

void arc_insert(struct arc *arc, struct arc_entry *entry, u64 key, u32 size)
{
    list_init(&entry->lru);
    entry->size = size;
    entry->refs = 1;
    entry->frequent = false;
    struct arc_ghost *ghost = ghost_find(arc, key);
    if (ghost != NULL) {
        entry->frequent = true;
        u64 own = arc->ghost_bytes[ghost->side], other = arc->ghost_bytes[!ghost->side];
        u64 step = size * hx_max_u64(1, other / hx_max_u64(1, own));
        if (ghost->side == 0) {
            arc->target = hx_min_u64(arc->limit, arc->target + step);
        } else {
            arc->target -= hx_min_u64(arc->target, step);
        }
        ghost_free(arc, ghost);
    }
    hash_add(arc, entry, key);
    arc->resident += size;
    shrink(arc);
}

void arc_rekey(struct arc *arc, struct arc_entry *entry, u64 key)
{
    HX_ASSERT(entry->refs > 0);
    unhash(arc, entry);
    hash_add(arc, entry, key);
}

void arc_remove(struct arc *arc, struct arc_entry *entry)
{
    HX_ASSERT(entry->refs == 1);
    unhash(arc, entry);
    entry->refs = 0;
    arc->resident -= entry->size;
}

void arc_drop(struct arc *arc, u64 key)
{
    struct arc_entry *entry = arc->hash[slot_of(arc, key)];
    while (entry != NULL && entry->key != key) {
        entry = entry->chain;
    }
    if (entry != NULL && entry->refs == 0) {
        evict_one(arc, entry, false);
    }
}
