/* SPDX-License-Identifier: MIT */
/* Kernel objects that programs can name, and the tables that name them. An object lives as long as
 * somebody holds a reference; a handle is a reference with rights, in one process's table.
 */
#ifndef CORE_HANDLE_H
#define CORE_HANDLE_H

#include <abi/types.h>
#include <core/spinlock.h>
#include <helix/compiler.h>

struct object {
    u32 references;                    /* a */
    enum hx_object_type type;          /* I */
    void (*destroy)(struct object *o); /* I; thread context */
};

static inline void object_init(struct object *object, enum hx_object_type type,
                               void (*destroy)(struct object *o))
{
    object->references = 1;
    object->type = type;
    object->destroy = destroy;
}

static inline void object_get(struct object *object)
{
    __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
}

/* Context: thread: the last reference destroys it. */
static inline void object_put(struct object *object)
{
    if (__atomic_sub_fetch(&object->references, 1, __ATOMIC_ACQ_REL) == 0) {
        object->destroy(object);
    }
}

#define HANDLE_TABLE_MAX 4096 /* handles of one process */

struct handle_entry {
    struct object *object; /* NULL: free */
    u32 rights;
    u16 tag;       /* changes with every use of the entry */
    u16 next_free; /* while free */
};

struct handle_table {
    struct spinlock lock;
    struct handle_entry *entries; /* l */
    u32 size, used;               /* l */
    u16 first_free;               /* l */
};

/* Context of all: thread. */
void handle_table_init(struct handle_table *table);
void handle_table_fini(struct handle_table *table); /* drops every reference */

/* Names `object` with `rights`, taking over the caller's reference.
 * Return: HX_OK; HX_ERR_LIMIT, the table is full; HX_ERR_NO_MEMORY; the reference is kept then. */
enum hx_status handle_add(struct handle_table *table, struct object *object, u32 rights,
                          hx_handle_t *out_handle) HX_MUST_CHECK;

/* The object behind a handle, with a reference for the caller.
 * Return: HX_OK; HX_ERR_BAD_HANDLE, none or of another type; HX_ERR_ACCESS, rights are missing. */
enum hx_status handle_get(struct handle_table *table, hx_handle_t handle, enum hx_object_type type,
                          u32 rights, struct object **out_object) HX_MUST_CHECK;

/* Return: HX_OK, HX_ERR_BAD_HANDLE. */
enum hx_status handle_close(struct handle_table *table, hx_handle_t handle) HX_MUST_CHECK;

#endif
