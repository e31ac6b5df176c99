/* SPDX-License-Identifier: MIT */
/* Memory objects.
 * Owns:      the object's pages (owner FRAME_OBJECT), one reference each beside the mappings'.
 * Locks:     object.lock, taken below a space's lock.      Context: thread.
 * Invariant: (1) pages[i] is 0 until page i is first touched, and the same frame ever after: a
 *            mapping that has the frame never has to look again.
 */
#include "space_priv.h"

#include <memory/frame.h>

struct memory_object {
    u32 references; /* a */
    struct mutex lock;
    u64 count;       /* I: pages */
    paddr_t pages[]; /* l */
};

enum hx_status memory_object_create(u64 size, struct memory_object **out_object)
{
    u64 count = size >> HX_PAGE_SHIFT;
    if (count == 0 || (size & HX_PAGE_MASK) || count > MEMORY_OBJECT_PAGES_MAX) {
        return HX_ERR_INVALID;
    }
    struct memory_object *object = kzalloc(sizeof(*object) + count * sizeof(paddr_t));
    if (!object) {
        return HX_ERR_NO_MEMORY;
    }
    object->references = 1;
    object->count = count;
    mutex_init(&object->lock);
    *out_object = object;
    return HX_OK;
}

void memory_object_get(struct memory_object *object)
{
    __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
}

void memory_object_put(struct memory_object *object)
{
    if (__atomic_sub_fetch(&object->references, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    for (u64 i = 0; i < object->count; i++) {
        if (object->pages[i]) {
            frame_put(object->pages[i]);
        }
    }
    kfree(object);
}

u64 memory_object_size(const struct memory_object *object)
{
    return object->count << HX_PAGE_SHIFT;
}

enum hx_status memory_object_page(struct memory_object *object, u64 index, paddr_t *out_frame)
{
    enum hx_status status = HX_OK;
    mutex_acquire(&object->lock);
    if (!object->pages[index]) {
        status = frame_alloc(FRAME_ZERO, FRAME_OBJECT, &object->pages[index]);
    }
    if (status == HX_OK) {
        frame_get(object->pages[index]);
        *out_frame = object->pages[index];
    }
    mutex_release(&object->lock);
    return status;
}
