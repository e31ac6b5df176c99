/* SPDX-License-Identifier: MIT */
/* Handle tables.
 * Owns:      the slots of each table.     Callers: system calls.     Context: thread.
 * Locks:     table.lock around every change. References are dropped outside of it: the last one may
 *            do anything. Readers take no lock: they are sections of <core/grace.h>.
 * Reading:   a slot holds a capability that says itself which handle it answers to. A reader loads
 *            the slot once, and all that it then compares is of that one capability, which neither
 *            changes its authority nor is freed before the section ends. So no tag has to be read
 *            twice, and no reuse of a slot in between can mix two capabilities up.
 * Invariant: (1) a slot is free iff it holds &nothing, and then on the chain of free slots, which
 *            starts at first_free and ends at NO_SLOT. &nothing has no type: it agrees with nobody.
 *            (2) a handle is valid iff the capability in its slot answers to it. Emptying a slot
 *            changes its tag, so a stale handle is BAD_HANDLE until the same slot has been used
 *            TAG_COUNT - 1 times more. No tag is 0, so no handle is.
 *            (3) `used` slots are charged to the quota as handles.
 *            (4) a block of slots that has been replaced is not written any more, and is freed
 *            after a grace period: who still reads it began before the table grew.
 */
#include <core/handle.h>
#include <core/memory.h>
#include <helix/panic.h>
#include <helix/string.h>

#define TAG_COUNT  (1u << HANDLE_TAG_BITS)
#define NO_SLOT    0xffffu
#define FIRST_SIZE 16

_Static_assert(HANDLE_TABLE_MAX < NO_SLOT, "an index fits the chain");
_Static_assert((HANDLE_TABLE_MAX & (HANDLE_TABLE_MAX - 1)) == 0, "the mask makes an index");

static struct cap nothing; /* inv 1 */
static struct handle_slots no_slots = {.at = {&nothing}};

void handle_table_init(struct handle_table *table, struct quota *quota)
{
    *table = (struct handle_table){.slots = &no_slots,
                                   .lock = SPINLOCK_INIT("handles", LOCK_RANK_HANDLES),
                                   .first_free = NO_SLOT,
                                   .quota = quota};
}

static void slots_free(struct grace_callback *callback)
{
    kfree(HX_CONTAINER_OF(callback, struct handle_slots, grace));
}

/* Publishes another block of slots and lets go of the one before. inv 4 */
static struct handle_slots *slots_replace_locked(struct handle_table *table,
                                                 struct handle_slots *slots)
{
    struct handle_slots *old = table->slots;
    __atomic_store_n(&table->slots, slots, __ATOMIC_RELEASE);
    return old;
}

static void slots_retire(struct handle_slots *slots)
{
    if (slots != &no_slots) {
        grace_call_lazy(&slots->grace, slots_free);
    }
}

void handle_table_fini(struct handle_table *table)
{
    u64 irqs = spin_lock_irq(&table->lock);
    struct handle_slots *slots = slots_replace_locked(table, &no_slots);
    u32 size = table->size, used = table->used;
    table->closed = true;
    table->size = table->used = 0;
    table->first_free = NO_SLOT;
    spin_unlock_irq(&table->lock, irqs);
    for (u32 i = 0; i < size; i++) {
        if (slots->at[i] != &nothing) {
            cap_drop(slots->at[i]);
        }
    }
    quota_uncharge(table->quota, HX_QUOTA_HANDLES, used);
    slots_retire(slots);
}

/* Doubles the table. The memory is got without the lock, so another thread may have been faster. */
static enum hx_status grow(struct handle_table *table, u32 size)
{
    u32 wanted = size ? size * 2 : FIRST_SIZE;
    if (wanted > HANDLE_TABLE_MAX) {
        return HX_ERR_LIMIT;
    }
    struct handle_slots *slots =
        kmalloc(sizeof(*slots) + wanted * (sizeof(slots->at[0]) + sizeof(slots->state[0])));
    if (!slots) {
        return HX_ERR_NO_MEMORY;
    }
    slots->mask = (wanted - 1) * sizeof(slots->at[0]);
    slots->state = (struct handle_slot *)&slots->at[wanted];
    u64 irqs = spin_lock_irq(&table->lock);
    if (table->size == size && !table->closed) {
        memcpy(slots->at, table->slots->at, size * sizeof(slots->at[0]));
        if (size) {
            memcpy(slots->state, table->slots->state, size * sizeof(slots->state[0]));
        }
        for (u32 i = wanted; i-- > size;) {
            slots->at[i] = &nothing;
            slots->state[i] = (struct handle_slot){.tag = 1, .next_free = table->first_free};
            table->first_free = (u16)i;
        }
        table->size = wanted;
        slots = slots_replace_locked(table, slots);
        spin_unlock_irq(&table->lock, irqs);
        slots_retire(slots);
    } else {
        spin_unlock_irq(&table->lock, irqs);
        kfree(slots);
    }
    return HX_OK;
}

/* inv 2; NULL: none. */
static struct cap *find_locked(struct handle_table *table, hx_handle_t handle)
{
    struct cap *cap =
        table->slots
            ->at[handle >> HANDLE_TAG_BITS & table->slots->mask / sizeof(table->slots->at[0])];
    return cap != &nothing && cap->handle == handle ? cap : NULL;
}

/* Empties the slot of a handle that is there. */
static void remove_locked(struct handle_table *table, hx_handle_t handle)
{
    u32 index = handle >> HANDLE_TAG_BITS;
    struct handle_slot *slot = &table->slots->state[index];
    __atomic_store_n(&table->slots->at[index], &nothing, __ATOMIC_RELAXED);
    slot->tag = (u16)(slot->tag % (TAG_COUNT - 1) + 1); /* 1 .. TAG_COUNT - 1 */
    slot->next_free = table->first_free;
    table->first_free = (u16)index;
    table->used--;
}

static void insert_locked(struct handle_table *table, struct cap *cap, hx_handle_t *out_handle)
{
    u32 index = table->first_free;
    struct handle_slot *slot = &table->slots->state[index];
    table->first_free = slot->next_free;
    table->used++;
    *out_handle = index << HANDLE_TAG_BITS | slot->tag;
    HX_WRITE_ONCE(cap->handle, *out_handle);
    __atomic_store_n(&table->slots->at[index], cap, __ATOMIC_RELEASE);
}

enum hx_status handle_give_many(struct handle_table *table, struct cap *const *caps, u32 count,
                                hx_handle_t *out_handles)
{
    enum hx_status status = quota_charge(table->quota, HX_QUOTA_HANDLES, count); /* inv 3 */
    if (status != HX_OK) {
        return status;
    }
    do {
        u64 irqs = spin_lock_irq(&table->lock);
        u32 size = table->size;
        bool closed = table->closed, fits = size - table->used >= count;
        for (u32 i = 0; fits && i < count; i++) {
            insert_locked(table, caps[i], &out_handles[i]);
        }
        spin_unlock_irq(&table->lock, irqs);
        if (fits) {
            return HX_OK;
        }
        status = closed ? HX_ERR_CLOSED : grow(table, size);
    } while (status == HX_OK);
    quota_uncharge(table->quota, HX_QUOTA_HANDLES, count);
    return status;
}

enum hx_status handle_add(struct handle_table *table, struct object *object, u32 rights,
                          hx_handle_t *out_handle)
{
    struct cap *cap = cap_create(object, rights);
    if (!cap) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = handle_give_many(table, &cap, 1, out_handle);
    if (status != HX_OK) {
        object_get(object); /* the caller keeps one, cap_drop() drops one */
        cap_drop(cap);
    }
    return status;
}

/* The type and rights of a capability that a handle was found to name. HX_OBJECT_NONE: any type. */
static enum hx_status grant_check(const struct cap *cap, enum hx_object_type type, u32 rights)
{
    if (type != HX_OBJECT_NONE && cap->grant >> CAP_TYPE_SHIFT != type) {
        return HX_ERR_BAD_HANDLE;
    }
    return (cap->grant & rights) == rights ? HX_OK : HX_ERR_ACCESS;
}

enum hx_status cap_check_slow(const struct handle_table *table, hx_handle_t handle,
                              enum hx_object_type type, u32 rights, struct object **out_object)
{
    const struct handle_slots *slots = HX_READ_ONCE(table->slots);
    struct cap *cap =
        HX_READ_ONCE(slots->at[handle >> HANDLE_TAG_BITS & slots->mask / sizeof(slots->at[0])]);
    if (cap == &nothing || HX_READ_ONCE(cap->handle) != handle) {
        return HX_ERR_BAD_HANDLE;
    }
    enum hx_status status = grant_check(cap, type, rights);
    if (status == HX_OK) {
        status = cap_validate(cap);
    }
    if (status == HX_OK) {
        *out_object = cap->object;
    }
    return status;
}

enum hx_status handle_get(struct handle_table *table, hx_handle_t handle, enum hx_object_type type,
                          u32 rights, struct object **out_object)
{
    struct object *object;
    u64 irqs = hal_irq_save();
    enum hx_status status = cap_check(table, handle, type, rights, &object);
    if (status == HX_OK) {
        if (object_get_try(object)) {
            *out_object = object;
        } else {
            status = HX_ERR_BAD_HANDLE; /* closed meanwhile */
        }
    }
    hal_irq_restore(irqs);
    return status;
}

enum hx_status handle_close(struct handle_table *table, hx_handle_t handle)
{
    u64 irqs = spin_lock_irq(&table->lock);
    struct cap *cap = find_locked(table, handle);
    if (cap) {
        remove_locked(table, handle);
    }
    spin_unlock_irq(&table->lock, irqs);
    if (!cap) {
        return HX_ERR_BAD_HANDLE;
    }
    quota_uncharge(table->quota, HX_QUOTA_HANDLES, 1);
    cap_drop(cap);
    return HX_OK;
}

/* What duplicating and deriving share: a new capability from the one behind a handle. */
struct making {
    u32 rights, needed; /* of the new one; beside those, of the old one */
    bool derived, exclusive;
    u64 expires_ns;
};

static enum hx_status make_from(struct handle_table *table, hx_handle_t handle,
                                const struct making *making, struct handle_table *to,
                                hx_handle_t *out_handle)
{
    if (making->rights & ~HX_RIGHTS_ALL) {
        return HX_ERR_INVALID;
    }
    u64 irqs = spin_lock_irq(&table->lock);
    struct cap *cap = find_locked(table, handle), *made;
    enum hx_status status =
        cap ? grant_check(cap, HX_OBJECT_NONE, making->rights | making->needed) : HX_ERR_BAD_HANDLE;
    if (status == HX_OK) {
        cap_get(cap); /* the slot holds both, and cannot be emptied here */
        object_get(cap->object);
    }
    spin_unlock_irq(&table->lock, irqs);
    if (status != HX_OK) {
        return status;
    }
    struct object *object = cap->object;
    status = making->derived
                 ? cap_derive(cap, making->rights, making->expires_ns, making->exclusive, &made)
                 : cap_duplicate(cap, making->rights, &made);
    cap_put(cap);
    object_put(object);
    if (status != HX_OK) {
        return status;
    }
    status = handle_give_many(to, &made, 1, out_handle);
    if (status != HX_OK) {
        cap_drop(made);
    }
    return status;
}

enum hx_status handle_duplicate(struct handle_table *table, hx_handle_t handle, u32 rights,
                                hx_handle_t *out_handle)
{
    const struct making making = {.rights = rights, .needed = HX_RIGHT_DELEGATE};
    return make_from(table, handle, &making, table, out_handle);
}

enum hx_status handle_copy(struct handle_table *from, hx_handle_t handle, u32 rights,
                           struct handle_table *to, hx_handle_t *out_handle)
{
    const struct making making = {.rights = rights,
                                  .needed = HX_RIGHT_DELEGATE | HX_RIGHT_TRANSFER};
    return make_from(from, handle, &making, to, out_handle);
}

enum hx_status handle_derive(struct handle_table *table, hx_handle_t handle, u32 rights,
                             u64 expires_ns, bool exclusive, hx_handle_t *out_handle)
{
    const struct making making = {
        .rights = rights,
        .needed = HX_RIGHT_DELEGATE | (exclusive ? HX_RIGHT_EXCLUSIVE : 0),
        .derived = true,
        .exclusive = exclusive,
        .expires_ns = expires_ns,
    };
    return make_from(table, handle, &making, table, out_handle);
}

static enum hx_status revoke(struct handle_table *table, hx_handle_t handle, u32 rights,
                             bool itself)
{
    u64 irqs = spin_lock_irq(&table->lock);
    struct cap *cap = find_locked(table, handle);
    enum hx_status status = cap ? grant_check(cap, HX_OBJECT_NONE, rights) : HX_ERR_BAD_HANDLE;
    if (status == HX_OK) {
        cap_revoke_locked(cap, itself);
    }
    spin_unlock_irq(&table->lock, irqs);
    return status;
}

enum hx_status handle_revoke(struct handle_table *table, hx_handle_t handle)
{
    return revoke(table, handle, HX_RIGHT_REVOKE, false);
}

enum hx_status handle_end(struct handle_table *table, hx_handle_t handle)
{
    return revoke(table, handle, 0, true);
}

enum hx_status handle_take_many(struct handle_table *table, const hx_handle_t *handles, u32 count,
                                struct cap **out_caps)
{
    if (count > HANDLE_MOVE_MAX) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = HX_OK;
    u64 irqs = spin_lock_irq(&table->lock);
    for (u32 i = 0; status == HX_OK && i < count; i++) {
        struct cap *cap = find_locked(table, handles[i]);
        status = cap ? grant_check(cap, HX_OBJECT_NONE, HX_RIGHT_TRANSFER) : HX_ERR_BAD_HANDLE;
        if (status == HX_OK) {
            status = cap_validate(cap);
        }
        for (u32 before = 0; before < i; before++) {
            if (out_caps[before] == cap) {
                status = HX_ERR_INVALID;
            }
        }
        out_caps[i] = cap;
    }
    for (u32 i = 0; status == HX_OK && i < count; i++) {
        remove_locked(table, handles[i]);
    }
    spin_unlock_irq(&table->lock, irqs);
    if (status == HX_OK) {
        quota_uncharge(table->quota, HX_QUOTA_HANDLES, count);
    }
    return status;
}

static void describe(const struct cap *cap, struct hx_handle_info *info)
{
    *info = (struct hx_handle_info){
        .size = sizeof(*info),
        .handle = cap->handle,
        .type = cap->grant >> CAP_TYPE_SHIFT,
        .rights = cap->grant & HX_RIGHTS_ALL,
        .expires_ns = cap->expires_ns,
        .depth = cap->depth,
        .derived = HX_READ_ONCE(cap->references) - 1,
        .exclusive = HX_READ_ONCE(cap->object->exclusive) == cap,
    };
}

HX_COLD enum hx_status handle_info(struct handle_table *table, hx_handle_t handle,
                                   struct hx_handle_info *out_info)
{
    u64 irqs = spin_lock_irq(&table->lock);
    struct cap *cap = find_locked(table, handle);
    if (cap) {
        describe(cap, out_info);
        out_info->status = cap_validate(cap);
    }
    spin_unlock_irq(&table->lock, irqs);
    return cap ? HX_OK : HX_ERR_BAD_HANDLE;
}

HX_COLD enum hx_status handle_next(struct handle_table *table, u32 *cursor,
                                   struct hx_handle_info *out_info)
{
    enum hx_status status = HX_ERR_END;
    u64 irqs = spin_lock_irq(&table->lock);
    while (status != HX_OK && *cursor < table->size) {
        struct cap *cap = table->slots->at[(*cursor)++];
        if (cap != &nothing) {
            describe(cap, out_info);
            out_info->status = cap_validate(cap);
            status = HX_OK;
        }
    }
    spin_unlock_irq(&table->lock, irqs);
    return status;
}
