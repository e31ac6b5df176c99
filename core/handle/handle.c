/* SPDX-License-Identifier: MIT */
/* Handle tables.
 * Owns:      the entries of each table.     Callers: system calls.     Context: thread.
 * Locks:     table.lock. References are dropped outside of it: the last one may do anything.
 * Invariant: (1) an entry is free iff object is NULL, and then on the chain of free entries, which
 *            starts at first_free and ends at NO_ENTRY.
 *            (2) a handle is valid iff its index is below size, the entry is in use and the tags
 *            agree; freeing an entry changes its tag, so a stale handle is BAD_HANDLE until the
 *            same entry has been used TAG_COUNT - 1 times more.
 */
#include <core/handle.h>
#include <core/memory.h>
#include <helix/string.h>

#define TAG_BITS   10
#define TAG_COUNT  (1u << TAG_BITS)
#define NO_ENTRY   0xffffu
#define FIRST_SIZE 16

_Static_assert(HANDLE_TABLE_MAX < NO_ENTRY, "an index fits the chain");

void handle_table_init(struct handle_table *table)
{
    *table = (struct handle_table){.lock = SPINLOCK_INIT("handles", LOCK_RANK_HANDLES),
                                   .first_free = NO_ENTRY};
}

void handle_table_fini(struct handle_table *table)
{
    for (u32 i = 0; i < table->size; i++) {
        if (table->entries[i].object) {
            object_put(table->entries[i].object);
        }
    }
    kfree(table->entries);
    table->entries = NULL;
    table->size = table->used = 0;
    table->first_free = NO_ENTRY;
}

/* Doubles the table. The memory is got without the lock, so another thread may have been faster. */
static enum hx_status grow(struct handle_table *table)
{
    u32 size = HX_READ_ONCE(table->size);
    u32 wanted = size ? size * 2 : FIRST_SIZE;
    if (wanted > HANDLE_TABLE_MAX) {
        return HX_ERR_LIMIT;
    }
    struct handle_entry *entries = kzalloc(wanted * sizeof(*entries)), *old = NULL;
    if (!entries) {
        return HX_ERR_NO_MEMORY;
    }
    u64 state = spin_lock_irq(&table->lock);
    if (table->size == size) {
        if (size) {
            memcpy(entries, table->entries, size * sizeof(*entries));
        }
        for (u32 i = wanted; i-- > size;) {
            entries[i].tag = 1; /* so that no handle is 0 */
            entries[i].next_free = table->first_free;
            table->first_free = (u16)i;
        }
        old = table->entries;
        table->entries = entries;
        table->size = wanted;
    } else {
        old = entries;
    }
    spin_unlock_irq(&table->lock, state);
    kfree(old);
    return HX_OK;
}

enum hx_status handle_add(struct handle_table *table, struct object *object, u32 rights,
                          hx_handle_t *out_handle)
{
    for (;;) {
        u64 state = spin_lock_irq(&table->lock);
        u32 index = table->first_free;
        if (index != NO_ENTRY) {
            struct handle_entry *entry = &table->entries[index];
            table->first_free = entry->next_free;
            entry->object = object;
            entry->rights = rights;
            table->used++;
            *out_handle = index << TAG_BITS | entry->tag;
            spin_unlock_irq(&table->lock, state);
            return HX_OK;
        }
        spin_unlock_irq(&table->lock, state);
        enum hx_status status = grow(table);
        if (status != HX_OK) {
            return status;
        }
    }
}

/* inv 2 */
static struct handle_entry *find_locked(struct handle_table *table, hx_handle_t handle)
{
    u32 index = handle >> TAG_BITS;
    if (index >= table->size) {
        return NULL;
    }
    struct handle_entry *entry = &table->entries[index];
    return entry->object && entry->tag == (handle & (TAG_COUNT - 1)) ? entry : NULL;
}

enum hx_status handle_get(struct handle_table *table, hx_handle_t handle, enum hx_object_type type,
                          u32 rights, struct object **out_object)
{
    enum hx_status status = HX_OK;
    u64 state = spin_lock_irq(&table->lock);
    struct handle_entry *entry = find_locked(table, handle);
    if (!entry || entry->object->type != type) {
        status = HX_ERR_BAD_HANDLE;
    } else if ((entry->rights & rights) != rights) {
        status = HX_ERR_ACCESS;
    } else {
        *out_object = entry->object;
        object_get(entry->object);
    }
    spin_unlock_irq(&table->lock, state);
    return status;
}

enum hx_status handle_close(struct handle_table *table, hx_handle_t handle)
{
    struct object *object = NULL;
    u64 state = spin_lock_irq(&table->lock);
    struct handle_entry *entry = find_locked(table, handle);
    if (entry) {
        object = entry->object;
        entry->object = NULL;
        entry->tag = (u16)(entry->tag % (TAG_COUNT - 1) + 1); /* 1 .. TAG_COUNT - 1 */
        entry->next_free = table->first_free;
        table->first_free = (u16)(entry - table->entries);
        table->used--;
    }
    spin_unlock_irq(&table->lock, state);
    if (!object) {
        return HX_ERR_BAD_HANDLE;
    }
    object_put(object);
    return HX_OK;
}
