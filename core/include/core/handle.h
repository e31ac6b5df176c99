/* SPDX-License-Identifier: MIT */
/* Handle tables: the names by which a process knows its capabilities (<core/capability.h>). Reading
 * one takes no lock. A handle is an index and a tag that changes with every use of the index.
 */
#ifndef CORE_HANDLE_H
#define CORE_HANDLE_H

#include <core/capability.h>
#include <core/quota.h>
#include <core/spinlock.h>

#define HANDLE_TABLE_MAX 4096 /* handles of one process */
#define HANDLE_TAG_BITS  10

struct handle_slot {
    u16 tag;       /* the next handle's */
    u16 next_free; /* while free */
};

/* What readers see at once: replaced as a whole when it grows. */
struct handle_slots {
    u32 mask; /* I: (number of slots - 1) * sizeof(at[0]) */
    struct grace_callback grace;
    struct handle_slot *state; /* l: one for each of `at`, behind them */
    struct cap *at[];          /* a: never NULL; a free one holds what no handle agrees with */
};

struct handle_table {
    struct handle_slots *slots; /* a */
    struct spinlock lock;
    u32 size, used;      /* l */
    u16 first_free;      /* l */
    bool closed;         /* l: its process is gone */
    struct quota *quota; /* I: what handles are charged to, or NULL */
};

/* Context of all that follows, unless said otherwise: thread, no spinlock held. */

/* `quota` must outlive the table. */
void handle_table_init(struct handle_table *table, struct quota *quota);
void handle_table_fini(struct handle_table *table); /* drops all; nothing can be added after */

/* Names `object` with `rights`, taking over the caller's reference.
 * Return: HX_OK; HX_ERR_LIMIT, the table or the quota is full; HX_ERR_NO_MEMORY; HX_ERR_CLOSED, the
 * table's process is gone; the reference is kept then. */
enum hx_status handle_add(struct handle_table *table, struct object *object, u32 rights,
                          hx_handle_t *out_handle) HX_MUST_CHECK;

/* The object behind a handle, with a reference for the caller. HX_OBJECT_NONE: of any type.
 * Return: HX_OK; HX_ERR_BAD_HANDLE, none or of another type; HX_ERR_ACCESS, rights are missing;
 * HX_ERR_REVOKED; HX_ERR_BUSY, another holder has claimed the object. */
enum hx_status handle_get(struct handle_table *table, hx_handle_t handle, enum hx_object_type type,
                          u32 rights, struct object **out_object) HX_MUST_CHECK;

/* Return: HX_OK, HX_ERR_BAD_HANDLE. */
enum hx_status handle_close(struct handle_table *table, hx_handle_t handle) HX_MUST_CHECK;

/* A second handle with the same authority or less. The handle has HX_RIGHT_DELEGATE.
 * Return: HX_OK; HX_ERR_INVALID, unknown rights; HX_ERR_ACCESS, rights that it lacks; what
 * handle_get() and handle_add() say. */
enum hx_status handle_duplicate(struct handle_table *table, hx_handle_t handle, u32 rights,
                                hx_handle_t *out_handle) HX_MUST_CHECK;

/* The same, and the second one is in another table: the handle has HX_RIGHT_TRANSFER too. */
enum hx_status handle_copy(struct handle_table *from, hx_handle_t handle, u32 rights,
                           struct handle_table *to, hx_handle_t *out_handle) HX_MUST_CHECK;

/* A handle whose authority comes from this one, and ends when this one is revoked or at
 * `expires_ns`. `exclusive` claims the object (the handle has HX_RIGHT_EXCLUSIVE): until the new
 * one is closed or dead, only it and what is derived from it can be used.
 * Return: as handle_duplicate(), and HX_ERR_LOOP, derived more than CAP_DEPTH_MAX times. */
enum hx_status handle_derive(struct handle_table *table, hx_handle_t handle, u32 rights,
                             u64 expires_ns, bool exclusive, hx_handle_t *out_handle) HX_MUST_CHECK;

/* Ends everything derived from it, directly or not; it stays. The handle has HX_RIGHT_REVOKE.
 * When this returns, no operation that begins later on any CPU succeeds with one of them; what has
 * begun may finish. Return: HX_OK, HX_ERR_BAD_HANDLE, HX_ERR_ACCESS. */
enum hx_status handle_revoke(struct handle_table *table, hx_handle_t handle) HX_MUST_CHECK;

/* Ends the handle itself too, whatever its rights: for who supervises the process.
 * Return: HX_OK, HX_ERR_BAD_HANDLE. */
enum hx_status handle_end(struct handle_table *table, hx_handle_t handle) HX_MUST_CHECK;

/* Takes `count` (at most HANDLE_MOVE_MAX) different handles out of the table: all, or none. The
 * capabilities are the caller's: for handle_give_many() or cap_drop(). Each has HX_RIGHT_TRANSFER.
 * Return: HX_OK; HX_ERR_INVALID, a handle twice or too many; what handle_get() says. */
#define HANDLE_MOVE_MAX 8
enum hx_status handle_take_many(struct handle_table *table, const hx_handle_t *handles, u32 count,
                                struct cap **out_caps) HX_MUST_CHECK;

/* Puts capabilities into the table: all, or none. Return: as handle_add(). */
enum hx_status handle_give_many(struct handle_table *table, struct cap *const *caps, u32 count,
                                hx_handle_t *out_handles) HX_MUST_CHECK;

/* Describes the first handle at or after index *cursor, and moves the cursor behind it.
 * Return: HX_OK; HX_ERR_END, none. */
enum hx_status handle_next(struct handle_table *table, u32 *cursor,
                           struct hx_handle_info *out_info) HX_MUST_CHECK;

/* Describes one. Return: HX_OK, HX_ERR_BAD_HANDLE. */
enum hx_status handle_info(struct handle_table *table, hx_handle_t handle,
                           struct hx_handle_info *out_info) HX_MUST_CHECK;

/* For the inlined check: why it does not hold, or that it does after all. */
enum hx_status cap_check_slow(const struct handle_table *table, hx_handle_t handle,
                              enum hx_object_type type, u32 rights, struct object **out_object);

/* Whether cap_check() would say HX_OK, if that can be told at once. The handle may be any number.
 * Context: as there. */
static HX_ALWAYS_INLINE bool cap_check_quick(const struct handle_table *table, u64 handle,
                                             enum hx_object_type type, u32 rights,
                                             struct object **out_object)
{
    /* Plain loads: each address depends on the value before it. */
    const struct handle_slots *slots = HX_READ_ONCE(table->slots);
    const u8 *at = (const u8 *)slots->at;
    const struct cap *cap = HX_READ_ONCE(
        *(struct cap *const *)(at + ((u32)handle >> (HANDLE_TAG_BITS - 3) & slots->mask)));
    u32 asked = rights | (type == HX_OBJECT_NONE ? 0 : 0xffu << CAP_TYPE_SHIFT);
    *out_object = cap->object;
    return hx_likely(HX_READ_ONCE(cap->handle) == handle &&
                     (cap->grant & asked) == (rights | (u32)type << CAP_TYPE_SHIFT) &&
                     HX_READ_ONCE(cap->seen) == HX_READ_ONCE(cap_epoch));
}

/* The object behind a handle, without a reference: it may be used until the section ends, and may
 * have been destroyed meanwhile, which its own lock then tells. HX_OBJECT_NONE: of any type.
 * Context: a section of <core/grace.h>: interrupts or preemption off.
 * Return: as handle_get(). */
static HX_ALWAYS_INLINE enum hx_status cap_check(const struct handle_table *table,
                                                 hx_handle_t handle, enum hx_object_type type,
                                                 u32 rights, struct object **out_object)
{
    struct object *found; /* of no use to a caller who may not have it */
    if (cap_check_quick(table, handle, type, rights, &found)) {
        *out_object = found;
        return HX_OK;
    }
    return cap_check_slow(table, handle, type, rights, out_object);
}

#endif
