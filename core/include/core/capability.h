/* SPDX-License-Identifier: MIT */
/* Capabilities: the authority behind a handle. Each names an object and rights; it may be derived
 * from another, with the same rights or fewer, and then lives no longer than that one allows.
 * Revoking a capability ends all that was ever derived from it, at a cost that does not depend on
 * how many that is.
 */
#ifndef CORE_CAPABILITY_H
#define CORE_CAPABILITY_H

#include <core/object.h>
#include <helix/status.h>

#define CAP_DEPTH_MAX  8  /* derivations between a capability and the first for its object */
#define CAP_TYPE_SHIFT 24 /* of the object's type in `grant`; below it the rights */

/* Marking: I immutable; a atomic; t the lock of the table that holds it. */
struct cap {
    u32 handle;            /* t: what its table calls it; read without the lock too */
    u32 grant;             /* I: rights | type << CAP_TYPE_SHIFT; 0 means nothing */
    u64 seen;              /* a: the epoch at which it was found valid; 0: not to be cached */
    struct object *object; /* I: with a reference while a table or a message holds the capability */
    struct cap *parent;    /* I: with a reference; NULL: the first for its object */
    u64 born;              /* I: epoch of its derivation */
    u64 revoked;           /* a: children born before this are dead */
    u64 expires_ns;        /* I: since boot; HX_DEADLINE_NEVER */
    u32 references;        /* a: its holder, children */
    u8 depth;              /* I */
    bool ended;            /* a: by who supervises its holder */
    struct grace_callback grace;
};

_Static_assert(HX_OBJECT_TYPE_COUNT <= 1 << (32 - CAP_TYPE_SHIFT), "a type fits the grant");
_Static_assert(HX_RIGHTS_ALL >> CAP_TYPE_SHIFT == 0, "rights fit below the type");

/* Grows by one with every revocation. A capability whose `seen` is this number is valid. */
extern u64 cap_epoch;

/* A capability that no table holds yet. It takes over the caller's reference to the object.
 * Return: NULL: no memory, the reference is the caller's still. Thread. */
struct cap *cap_create(struct object *object, u32 rights) HX_MUST_CHECK;

/* One derived from `parent`, to which and to whose object the caller holds references. `rights` is
 * a part of its rights. Return: HX_OK; HX_ERR_LOOP, derived too often; HX_ERR_REVOKED;
 * HX_ERR_BUSY, claimed by another (or to be claimed, and somebody has); HX_ERR_NO_MEMORY. */
enum hx_status cap_derive(struct cap *parent, u32 rights, u64 expires_ns, bool exclusive,
                          struct cap **out_cap) HX_MUST_CHECK;

/* A second one like `source`, with the same parent. The same references and results. */
enum hx_status cap_duplicate(struct cap *source, u32 rights, struct cap **out_cap) HX_MUST_CHECK;

/* References to what a table's lock, or a reference, keeps there. cap_put(): thread. */
static inline void cap_get(struct cap *cap)
{
    __atomic_fetch_add(&cap->references, 1, __ATOMIC_RELAXED);
}
void cap_put(struct cap *cap);

/* Ends all that was derived from it, and with `itself` the capability too. When this returns, no
 * check that begins later on any CPU succeeds for them. The lock of its table is held. */
void cap_revoke_locked(struct cap *cap, bool itself);

/* Gives up a capability that no table holds: its claim, its object. Thread. */
void cap_drop(struct cap *cap);

/* HX_OK; HX_ERR_REVOKED: it, or what it was derived from, has been revoked or has expired;
 * HX_ERR_BUSY: another has claimed the object. In a section of <core/grace.h>. */
enum hx_status cap_validate(struct cap *cap) HX_MUST_CHECK;

#endif
