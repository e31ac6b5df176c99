/* SPDX-License-Identifier: MIT */
/* Kernel objects that programs can name. An object lives as long as somebody holds a reference;
 * its memory lives on until no lock-free reader (<core/grace.h>) can still look at it.
 */
#ifndef CORE_OBJECT_H
#define CORE_OBJECT_H

#include <abi/types.h>
#include <core/grace.h>
#include <helix/compiler.h>

struct cap;

/* First member of what kmalloc made, so that object_free() can free it. */
struct object {
    u32 references;                    /* a */
    enum hx_object_type type;          /* I */
    void (*destroy)(struct object *o); /* I: gives up what it holds; ends with object_free() */
    struct cap *exclusive;             /* a: who has claimed it; <core/capability.h> */
    struct grace_callback grace;
};

static inline void object_init(struct object *object, enum hx_object_type type,
                               void (*destroy)(struct object *o))
{
    object->references = 1;
    object->type = type;
    object->destroy = destroy;
    object->exclusive = NULL;
}

/* The caller has a reference already. Any context. */
static inline void object_get(struct object *object)
{
    __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
}

/* For an object found without a reference, in a section of <core/grace.h>. False: it is going. */
static inline bool object_get_try(struct object *object)
{
    u32 references = __atomic_load_n(&object->references, __ATOMIC_RELAXED);
    do {
        if (hx_unlikely(references == 0)) {
            return false;
        }
    } while (
        hx_unlikely(!__atomic_compare_exchange_n(&object->references, &references, references + 1,
                                                 false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)));
    return true;
}

/* Context: thread: the last reference destroys it. */
static inline void object_put(struct object *object)
{
    if (__atomic_sub_fetch(&object->references, 1, __ATOMIC_ACQ_REL) == 0) {
        object->destroy(object);
    }
}

/* Frees the memory of a destroyed object, which kmalloc made, after a grace period. Thread. */
void object_free(struct object *object);

#endif
