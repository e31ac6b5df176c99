/* SPDX-License-Identifier: MIT */
/* Names that are remembered: which directory has them, and what they mean, "nothing" included.
 * Owns:      struct dentry.     Callers: fs/vfs.     Context: thread.
 * Locks:     dcache.lock, a spinlock held for one name at a time; super->lock for what a name
 * means. Invariant: (1) hashed: found by (parent, name). A dentry refers to its parent, so the way
 * up from any of them is complete, and only those without children and users are on the LRU list.
 *            (2) parent and name change under super->lock and dcache.lock both, so either is enough
 *            to read them; vnode goes from NULL to not under both as well, and back only while
 *            nobody but the caller refers to the dentry.
 *            (3) at most `limit` dentries that nobody refers to are kept after dcache_trim().
 *            (4) who takes dentries off the LRU list to free them does so under dcache.trimming, so
 *            a file system that ends can wait for them.
 */
#include <core/memory.h>
#include <core/random.h>
#include <fs/name.h>
#include <helix/panic.h>
#include <helix/string.h>
#include "vfs_priv.h"

#define BUCKET_BITS   11
#define BUCKETS       (1u << BUCKET_BITS)
#define DEFAULT_LIMIT 4096

static struct {
    struct kmem_cache *cache; /* I */
    struct dentry **buckets;  /* l */
    u64 seed;                 /* I: so that nobody can choose names of one hash */
    struct mutex trimming;
    struct spinlock lock;
    struct list_node lru; /* l: oldest first */
    u64 unused, count;    /* l: on that list; all */
    u64 limit;
    u64 hits, misses; /* l */
} dcache = {.trimming = MUTEX_INIT(dcache.trimming),
            .lock = SPINLOCK_INIT("dcache", LOCK_RANK_DCACHE),
            .lru = LIST_INIT(dcache.lru),
            .limit = DEFAULT_LIMIT};

enum hx_status dcache_init(void)
{
    dcache.cache = kmem_cache_create("dentry", sizeof(struct dentry), 8);
    dcache.buckets = kzalloc(BUCKETS * sizeof(*dcache.buckets));
    dcache.seed = random_u64();
    return dcache.cache && dcache.buckets ? HX_OK : HX_ERR_NO_MEMORY;
}

u32 dentry_hash(const struct dentry *parent, struct fs_name name)
{
    return name_hash(dcache.seed ^ (uintptr_t)parent, name.text, name.size);
}

static struct dentry **bucket_of(u32 hash)
{
    return &dcache.buckets[hash & (BUCKETS - 1)];
}

static struct dentry *find_locked(const struct dentry *parent, struct fs_name name, u32 hash)
{
    for (struct dentry *d = *bucket_of(hash); d; d = d->chain) {
        if (d->hash == hash && d->parent == parent && d->name_size == name.size &&
            name_equal(d->name, name.text, name.size)) {
            return d;
        }
    }
    return NULL;
}

static void hash_locked(struct dentry *d)
{
    struct dentry **bucket = bucket_of(d->hash);
    d->chain = *bucket;
    d->back = bucket;
    if (d->chain) {
        d->chain->back = &d->chain;
    }
    *bucket = d;
    d->hashed = true;
}

static void unhash_locked(struct dentry *d)
{
    if (d->hashed) {
        *d->back = d->chain;
        if (d->chain) {
            d->chain->back = d->back;
        }
        d->hashed = false;
    }
}

static void get_locked(struct dentry *d)
{
    if (d->references++ == 0) {
        list_remove(&d->lru);
        dcache.unused--;
    }
}

/* Gives a reference back. Return: true when the dentry is to be freed. */
static bool put_locked(struct dentry *d)
{
    HX_DEBUG_ASSERT(d->references > 0);
    if (--d->references > 0) {
        return false;
    }
    if (!d->hashed) {
        return true;
    }
    list_add_tail(&dcache.lru, &d->lru);
    dcache.unused++;
    return false;
}

void dentry_get(struct dentry *dentry)
{
    u64 irqs = spin_lock_irq(&dcache.lock);
    get_locked(dentry);
    spin_unlock_irq(&dcache.lock, irqs);
}

/* Frees one that nothing finds and nobody refers to. Return: its parent, whose reference is the
 * caller's to give back. */
static struct dentry *dentry_free(struct dentry *d)
{
    struct dentry *parent = d->parent;
    HX_DEBUG_ASSERT(list_is_empty(&d->children) && !list_node_is_linked(&d->sibling));
    if (d->vnode) {
        vnode_put(d->vnode);
    }
    if (d->name != d->short_name) {
        kfree(d->name);
    }
    kmem_cache_free(dcache.cache, d);
    return parent;
}

void dentry_put(struct dentry *dentry)
{
    while (dentry) {
        u64 irqs = spin_lock_irq(&dcache.lock);
        bool free = put_locked(dentry);
        if (free) {
            list_remove(&dentry->sibling);
            dcache.count--;
        }
        spin_unlock_irq(&dcache.lock, irqs);
        if (!free) {
            return;
        }
        dentry = dentry_free(dentry);
    }
}

struct dentry *dentry_step(struct dentry *parent, struct fs_name name, u32 hash)
{
    u64 irqs = spin_lock_irq(&dcache.lock);
    struct dentry *d = find_locked(parent, name, hash);
    if (d) {
        get_locked(d);
        dcache.hits++;
    }
    spin_unlock_irq(&dcache.lock, irqs);
    return d;
}

static struct dentry *dentry_create(struct super *super, struct dentry *parent, const char *name,
                                    u32 size)
{
    struct dentry *d = kmem_cache_alloc(dcache.cache);
    if (!d) {
        return NULL;
    }
    *d = (struct dentry){.references = 1,
                         .super = super,
                         .parent = parent,
                         .name_size = (u8)size,
                         .name = d->short_name};
    list_init(&d->lru);
    list_init(&d->children);
    list_init(&d->sibling);
    if (size > sizeof(d->short_name)) {
        d->name = kmalloc(size);
        if (!d->name) {
            kmem_cache_free(dcache.cache, d);
            return NULL;
        }
    }
    name_copy(d->name, name, size);
    return d;
}

struct dentry *dentry_create_root(struct super *super, struct vnode *vnode)
{
    struct dentry *d = dentry_create(super, NULL, "", 0);
    if (d) {
        d->vnode = vnode;
        u64 irqs = spin_lock_irq(&dcache.lock);
        dcache.count++;
        spin_unlock_irq(&dcache.lock, irqs);
    }
    return d;
}

enum hx_status dentry_lookup_locked(struct dentry *parent, struct fs_name name, u32 hash,
                                    struct dentry **out)
{
    struct super *super = parent->super;
    HX_DEBUG_ASSERT(mutex_is_held(&super->lock));
    struct dentry *d = dentry_step(parent, name, hash);
    if (d) {
        *out = d;
        return HX_OK;
    }
    if (name.size > HX_FILE_NAME_MAX) {
        return HX_ERR_NAME_TOO_LONG;
    }
    d = dentry_create(super, parent, name.text, name.size);
    if (!d) {
        return HX_ERR_NO_MEMORY;
    }
    struct fs_attr attr;
    super->changes++; /* what is found is in use */
    enum hx_status status = super->ops->lookup(super->state, parent->vnode->attr.ino, name, &attr);
    if (status == HX_OK) {
        status = vnode_find_locked(super, &attr, &d->vnode);
        if (status != HX_OK && super->ops->forget && !radix_get(&super->vnodes, attr.ino)) {
            super->ops->forget(super->state, attr.ino);
        }
    } else if (status == HX_ERR_NOT_FOUND) {
        status = HX_OK; /* worth remembering, too */
    }
    if (status != HX_OK) {
        d->parent = NULL;
        dentry_free(d);
        return status;
    }
    d->hash = hash;
    u64 irqs = spin_lock_irq(&dcache.lock);
    get_locked(parent);
    list_add_tail(&parent->children, &d->sibling);
    hash_locked(d);
    dcache.count++;
    dcache.misses++;
    spin_unlock_irq(&dcache.lock, irqs);
    *out = d;
    return HX_OK;
}

struct vnode *dentry_vnode(struct dentry *dentry)
{
    return __atomic_load_n(&dentry->vnode, __ATOMIC_ACQUIRE);
}

void dentry_fill_locked(struct dentry *dentry, struct vnode *vnode)
{
    HX_DEBUG_ASSERT(mutex_is_held(&dentry->super->lock) && !dentry->vnode);
    __atomic_store_n(&dentry->vnode, vnode, __ATOMIC_RELEASE);
}

void dentry_drop_locked(struct dentry *dentry)
{
    struct vnode *vnode = NULL;
    u64 irqs = spin_lock_irq(&dcache.lock);
    if (dentry->references == 1) { /* the caller's: inv 2 */
        vnode = dentry->vnode;
        dentry->vnode = NULL;
    } else {
        unhash_locked(dentry);
    }
    spin_unlock_irq(&dcache.lock, irqs);
    if (vnode) {
        vnode_put_locked(vnode);
    }
}

static void swap_u64(u64 *a, u64 *b)
{
    u64 t = *a;
    *a = *b;
    *b = t;
}

void dentry_move_locked(struct dentry *dentry, struct dentry *target, bool exchange)
{
    /* The two change places: no memory is needed, so nothing can fail. What stays behind means
     * "nothing" when `target` did, and is not remembered when it did not. */
    HX_DEBUG_ASSERT(mutex_is_held(&dentry->super->lock) && dentry->super == target->super);
    u64 irqs = spin_lock_irq(&dcache.lock);
    unhash_locked(dentry);
    unhash_locked(target);
    bool dentry_short = dentry->name == dentry->short_name;
    bool target_short = target->name == target->short_name;
    struct dentry *parent = dentry->parent;
    dentry->parent = target->parent;
    target->parent = parent;
    list_remove(&dentry->sibling);
    list_remove(&target->sibling);
    list_add_tail(&dentry->parent->children, &dentry->sibling);
    list_add_tail(&target->parent->children, &target->sibling);
    u32 hash = dentry->hash;
    dentry->hash = target->hash;
    target->hash = hash;
    u8 size = dentry->name_size;
    dentry->name_size = target->name_size;
    target->name_size = size;
    _Static_assert(sizeof(dentry->short_name) % sizeof(u64) == 0 &&
                       offsetof(struct dentry, short_name) % sizeof(u64) == 0,
                   "swapped by words");
    for (u32 i = 0; i < sizeof(dentry->short_name) / sizeof(u64); i++) {
        swap_u64((u64 *)(void *)dentry->short_name + i, (u64 *)(void *)target->short_name + i);
    }
    char *name = dentry->name;
    dentry->name = target_short ? dentry->short_name : target->name;
    target->name = dentry_short ? target->short_name : name;
    hash_locked(dentry);
    if (exchange || !target->vnode) {
        hash_locked(target);
    }
    spin_unlock_irq(&dcache.lock, irqs);
}

bool dentry_is(const struct dentry *dentry, const struct dentry *parent, struct fs_name name)
{
    return dentry->hashed && dentry->parent == parent && dentry->name_size == name.size &&
           name_equal(dentry->name, name.text, name.size);
}

void dentry_prune_locked(struct dentry *dentry)
{
    struct list_node gone = LIST_INIT(gone);
    struct dentry *d, *next;
    u64 irqs = spin_lock_irq(&dcache.lock);
    LIST_FOREACH_SAFE (&dentry->children, d, next, sibling) {
        if (d->references == 0 && !d->vnode) {
            list_remove(&d->lru);
            list_remove(&d->sibling);
            unhash_locked(d);
            list_add_tail(&gone, &d->lru);
            dcache.unused--;
            dcache.count--;
            dentry->references--; /* the child's; the caller has one, too */
        }
    }
    spin_unlock_irq(&dcache.lock, irqs);
    LIST_FOREACH_SAFE (&gone, d, next, lru) {
        list_remove(&d->lru);
        d->parent = NULL;
        dentry_free(d);
    }
}

bool dentry_is_below(struct dentry *dentry, struct dentry *above)
{
    HX_DEBUG_ASSERT(mutex_is_held(&dentry->super->lock));
    while (dentry && dentry != above) {
        dentry = dentry->parent;
    }
    return dentry != NULL;
}

struct dentry *dentry_up(struct dentry *dentry, struct dentry *root)
{
    struct super *super = dentry->super;
    mutex_acquire(&super->lock); /* nothing moves meanwhile, inv 2 */
    struct dentry *parent = NULL;
    if (!root || dentry_is_below(dentry, root)) {
        parent = dentry->parent;
        dentry_get(parent);
    }
    mutex_release(&super->lock);
    if (parent) {
        dentry_put(dentry);
    }
    return parent;
}

/* Frees what nobody refers to, of `super` (NULL: of all), until at most `keep` of it are left. */
static void evict(struct super *super, u64 keep)
{
    for (;;) {
        struct dentry *d, *found = NULL;
        u64 irqs = spin_lock_irq(&dcache.lock);
        if (dcache.unused > keep) {
            LIST_FOREACH (&dcache.lru, d, lru) {
                if (!super || d->super == super) {
                    found = d;
                    break;
                }
            }
        }
        if (found) {
            list_remove(&found->lru);
            list_remove(&found->sibling);
            dcache.unused--;
            dcache.count--;
            unhash_locked(found);
        }
        spin_unlock_irq(&dcache.lock, irqs);
        if (!found) {
            return;
        }
        dentry_put(dentry_free(found));
    }
}

void dcache_trim(void)
{
    if (hx_likely(HX_READ_ONCE(dcache.unused) <= HX_READ_ONCE(dcache.limit))) {
        return;
    }
    if (mutex_acquire_try(&dcache.trimming)) { /* else somebody does it already */
        evict(NULL, dcache.limit);
        mutex_release(&dcache.trimming);
    }
}

void dcache_evict(struct super *super)
{
    mutex_acquire(&dcache.trimming); /* inv 4 */
    evict(super, 0);
    mutex_release(&dcache.trimming);
}

void dcache_limit_set(u64 limit)
{
    HX_WRITE_ONCE(dcache.limit, limit);
    dcache_trim();
}

void dcache_usage_read(struct dcache_usage *out)
{
    u64 irqs = spin_lock_irq(&dcache.lock);
    *out = (struct dcache_usage){
        .count = dcache.count, .limit = dcache.limit, .hits = dcache.hits, .misses = dcache.misses};
    spin_unlock_irq(&dcache.lock, irqs);
}
