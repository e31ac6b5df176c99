/* SPDX-License-Identifier: MIT */
/* An adaptive replacement cache of buffers named by a 64-bit key, bounded in bytes. Entries are
 * embedded in the caller's objects. An entry that someone holds is never evicted, so the caller's
 * pinned set must stay below the limit; it is counted. No locking: the owner serialises.
 */
#ifndef FS_ARC_H
#define FS_ARC_H

#include <helix/list.h>
#include <helix/status.h>
#include <helix/types.h>

struct arc_entry {
    u64 key;
    u32 size;      /* bytes charged */
    u32 refs;      /* holders; the entry is on a list, and may go, only at 0 */
    bool frequent; /* it was asked for again since it came */
    struct list_node lru;
    struct arc_entry *chain; /* hash chain */
};

struct arc_ghost;

struct arc {
    u64 limit;        /* bytes; resident entries stay at or below it, held ones apart */
    u64 resident;     /* bytes of all entries, held ones included */
    u64 target;       /* what the recent list may have, adapted by ghost hits */
    u64 recent_bytes; /* evictable bytes on `recent` */
    u64 ghost_bytes[2];
    struct list_node recent, frequent; /* evictable entries, oldest last */
    struct list_node ghosts[2];        /* keys evicted from recent [0] and frequent [1] */
    struct arc_entry **hash;
    struct arc_ghost **ghost_hash;
    u32 hash_mask;
    void (*evict)(struct arc *arc, struct arc_entry *entry); /* frees; entry is unlinked already */
    u64 hits, misses;
};

/* Return: HX_ERR_NO_MEMORY. */
enum hx_status arc_init(struct arc *arc, u64 limit,
                        void (*evict)(struct arc *arc, struct arc_entry *entry)) HX_MUST_CHECK;

/* Evicts everything; no entry may be held. */
void arc_fini(struct arc *arc);

/* The entry of that key, held, or NULL. */
struct arc_entry *arc_get(struct arc *arc, u64 key);

/* Lets go of a hold; entries beyond the limit are evicted at this moment. */
void arc_put(struct arc *arc, struct arc_entry *entry);

/* Adds an entry, held once by the caller. No entry of that key is present. */
void arc_insert(struct arc *arc, struct arc_entry *entry, u64 key, u32 size);

/* Gives a held entry another key. No entry of that key is present. */
void arc_rekey(struct arc *arc, struct arc_entry *entry, u64 key);

/* Removes an entry with one hold, the caller's, who then owns the object again. */
void arc_remove(struct arc *arc, struct arc_entry *entry);

/* Evicts the entry of that key if there is one and nobody holds it. */
void arc_drop(struct arc *arc, u64 key);

#endif
