/* SPDX-License-Identifier: MIT */
/* Derivation, revocation, expiry and claims of capabilities.
 * Owns:      struct cap; the epoch.      Callers: handle tables.     Context: thread; validation:
 *            a section of <core/grace.h>.
 * Locks:     none of its own. `revoked` is written under the lock of the table that holds the
 *            capability, so that it only grows.
 * Method:    a child remembers the epoch of its birth, a parent that of its last revocation: a link
 *            is alive iff born >= revoked, and a capability iff all links above it are. Walking
 * them costs up to CAP_DEPTH_MAX steps, so the result is kept with the epoch (`seen`). A revocation
 * marks one capability and advances the epoch, which makes everybody's kept results old: O(1),
 * however many descendants there are. A list of children, as other kernels walk it, makes
 * revocation a loop that must be preempted and resumed. Invariant: (1) seen == cap_epoch implies
 * valid: the epoch is read before the links are walked, and advanced after a mark is written. So
 * whoever still sees the old epoch began before the revocation was complete, and whoever sees the
 * new one walks into the mark. (2) rights and expiry never grow from parent to child. (3) one that
 * can expire is never kept as seen: each check reads the clock. (4) at most one valid capability
 * has claimed an object; while one has, only it and what was derived from it are valid. A claim
 * advances the epoch too. (5) a capability's memory lives while it has a holder or children, and a
 * grace period longer: readers find it without locks. The epoch has 64 bits: it does not wrap.
 */
#include <core/capability.h>
#include <core/memory.h>
#include <core/orchestrator.h>
#include <core/time.h>
#include <hal/port.h>
#include <helix/bits.h>
#include <helix/panic.h>

/* Of its own line: every check reads it, only revocations write it. */
HX_ALIGNED(64) u64 cap_epoch = 1;

static struct kmem_cache *cache; /* I */

static HX_COLD enum hx_status cap_init(void)
{
    cache = kmem_cache_create("capability", sizeof(struct cap), 16);
    return cache ? HX_OK : HX_ERR_NO_MEMORY;
}

COMPONENT(capabilities, .name = "capabilities", .version = "1.0", .needs = "grace", .vital = true,
          .init = cap_init);

static u64 epoch_read(void)
{
    return __atomic_load_n(&cap_epoch, __ATOMIC_ACQUIRE);
}

/* inv 1: the marks before, the barrier after. */
static void epoch_advance(void)
{
    __atomic_fetch_add(&cap_epoch, 1, __ATOMIC_ACQ_REL);
    hal_mb();
}

static void object_free_now(struct grace_callback *callback)
{
    kfree(HX_CONTAINER_OF(callback, struct object, grace));
}

void object_free(struct object *object)
{
    grace_call_lazy(&object->grace, object_free_now);
}

struct cap *cap_create(struct object *object, u32 rights)
{
    struct cap *cap = kmem_cache_alloc(cache);
    if (cap) {
        *cap = (struct cap){
            .grant = rights | (u32)object->type << CAP_TYPE_SHIFT,
            .object = object,
            .born = epoch_read(),
            .expires_ns = HX_DEADLINE_NEVER,
            .references = 1,
        };
    }
    return cap;
}

static bool is_alive(const struct cap *cap)
{
    if (cap->expires_ns != HX_DEADLINE_NEVER && time_now_ns() >= cap->expires_ns) {
        return false;
    }
    for (const struct cap *c = cap, *parent; c; c = parent) {
        parent = c->parent;
        if (__atomic_load_n(&c->ended, __ATOMIC_RELAXED) ||
            (parent && c->born < __atomic_load_n(&parent->revoked, __ATOMIC_RELAXED))) {
            return false;
        }
    }
    return true;
}

static bool descends_from(const struct cap *cap, const struct cap *ancestor)
{
    while (cap && cap != ancestor) {
        cap = cap->parent;
    }
    return cap;
}

enum hx_status cap_validate(struct cap *cap)
{
    u64 epoch = epoch_read(); /* inv 1 */
    if (!is_alive(cap)) {
        return HX_ERR_REVOKED;
    }
    const struct cap *claimant = __atomic_load_n(&cap->object->exclusive, __ATOMIC_ACQUIRE);
    if (claimant && !descends_from(cap, claimant) && is_alive(claimant)) {
        return HX_ERR_BUSY;
    }
    if (cap->expires_ns == HX_DEADLINE_NEVER) { /* inv 3 */
        __atomic_store_n(&cap->seen, epoch, __ATOMIC_RELAXED);
    }
    return HX_OK;
}

static struct cap *cap_make(struct cap *parent, struct object *object, u32 rights)
{
    struct cap *cap = cap_create(object, rights);
    if (cap) {
        cap->parent = parent;
        object_get(object);
        if (parent) {
            cap_get(parent);
        }
    }
    return cap;
}

/* inv 4. A claim of one that is dead is as good as none. */
static enum hx_status claim(struct cap *cap)
{
    struct cap *claimant = NULL;
    u64 irqs = hal_irq_save(); /* a section: the claimant found may be going */
    bool won = __atomic_compare_exchange_n(&cap->object->exclusive, &claimant, cap, false,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    if (!won && !is_alive(claimant)) {
        won = __atomic_compare_exchange_n(&cap->object->exclusive, &claimant, cap, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
    if (won) {
        epoch_advance();
    }
    hal_irq_restore(irqs);
    return won ? HX_OK : HX_ERR_BUSY;
}

/* The new one is checked like any other: what was revoked meanwhile is noticed here or, as its
 * birth is older than that, at its first use. */
static enum hx_status make_valid(struct cap *cap, bool exclusive, struct cap **out_cap)
{
    u64 irqs = hal_irq_save();
    enum hx_status status = cap_validate(cap);
    hal_irq_restore(irqs);
    if (status == HX_OK && exclusive) {
        status = claim(cap);
    }
    if (status != HX_OK) {
        cap_drop(cap);
        return status;
    }
    *out_cap = cap;
    return HX_OK;
}

enum hx_status cap_derive(struct cap *parent, u32 rights, u64 expires_ns, bool exclusive,
                          struct cap **out_cap)
{
    HX_DEBUG_ASSERT((rights & ~parent->grant) == 0); /* inv 2 */
    if (parent->depth == CAP_DEPTH_MAX) {
        return HX_ERR_LOOP;
    }
    struct cap *cap = cap_make(parent, parent->object, rights);
    if (!cap) {
        return HX_ERR_NO_MEMORY;
    }
    cap->depth = parent->depth + 1;
    cap->expires_ns = hx_min_u64(expires_ns, parent->expires_ns); /* inv 2 */
    return make_valid(cap, exclusive, out_cap);
}

enum hx_status cap_duplicate(struct cap *source, u32 rights, struct cap **out_cap)
{
    struct cap *cap = cap_make(source->parent, source->object, rights);
    if (!cap) {
        return HX_ERR_NO_MEMORY;
    }
    cap->depth = source->depth;
    cap->born = source->born; /* it dies of what the source dies of */
    cap->expires_ns = source->expires_ns;
    __atomic_store_n(&cap->ended, __atomic_load_n(&source->ended, __ATOMIC_ACQUIRE),
                     __ATOMIC_RELAXED);
    return make_valid(cap, false, out_cap);
}

void cap_revoke_locked(struct cap *cap, bool itself)
{
    if (itself) {
        __atomic_store_n(&cap->ended, true, __ATOMIC_RELAXED);
    }
    /* Who is born while this runs may be either side of it; who was born before is dead. */
    __atomic_store_n(&cap->revoked, __atomic_load_n(&cap_epoch, __ATOMIC_RELAXED) + 1,
                     __ATOMIC_RELAXED);
    epoch_advance();
}

static void cap_free(struct grace_callback *callback)
{
    kmem_cache_free(cache, HX_CONTAINER_OF(callback, struct cap, grace));
}

void cap_put(struct cap *cap)
{
    while (cap && __atomic_sub_fetch(&cap->references, 1, __ATOMIC_ACQ_REL) == 0) {
        struct cap *parent = cap->parent;
        grace_call_lazy(&cap->grace, cap_free); /* inv 5 */
        cap = parent;
    }
}

void cap_drop(struct cap *cap)
{
    struct cap *expected = cap;
    __atomic_compare_exchange_n(&cap->object->exclusive, &expected, NULL, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_RELAXED);
    object_put(cap->object);
    cap_put(cap);
}
