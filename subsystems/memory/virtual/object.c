/* SPDX-License-Identifier: MIT */
/* Memory objects.
 * Owns:      the frames of FRAME_OBJECT.       Callers: spaces, IPC, the process loader.
 * Context:   thread.       Locks: object->lock, a mutex below a space's, to make a page.
 * Invariant: (1) a page, once made, keeps its frame until the last reference goes: readers need no
 *            lock.  (2) every mapping of the object holds a reference to it, so frames are not
 *            counted one by one.
 * A flat array of frame numbers was chosen over a tree: 4 bytes a page are a thousandth of what it
 * describes, and a fault finds the page in one step.
 */
#include <core/memory.h>
#include <core/sync.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory/object.h>

/* Marking: I immutable; l lock; a atomic. */
struct memory_object {
    u32 references; /* a */
    u32 pages;      /* I */
    u32 resident;   /* l */
    struct mutex lock;
    u32 frames[]; /* a, changed under l: frame numbers, 0 absent */
};

_Static_assert((MEMORY_OBJECT_MAX >> HX_PAGE_SHIFT) * sizeof(u32) + sizeof(struct memory_object) <=
                   HEAP_LARGE_MAX,
               "the largest object's array fits one allocation");

HX_COLD enum hx_status memory_object_create(u64 size, struct memory_object **out_object)
{
    if (size == 0 || size > MEMORY_OBJECT_MAX) {
        return HX_ERR_INVALID;
    }
    u32 pages = (u32)((size + HX_PAGE_SIZE - 1) >> HX_PAGE_SHIFT);
    struct memory_object *object = kzalloc(sizeof(*object) + pages * sizeof(u32));
    if (!object) {
        return HX_ERR_NO_MEMORY;
    }
    object->references = 1;
    object->pages = pages;
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
    if (__atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL) > 1) {
        return;
    }
    for (u32 i = 0; i < object->pages && object->resident > 0; i++) {
        if (object->frames[i]) {
            frame_free(frame_address(object->frames[i]));
            object->resident--;
        }
    }
    kfree(object);
}

u64 memory_object_size(const struct memory_object *object)
{
    return (u64)object->pages << HX_PAGE_SHIFT;
}

u64 memory_object_resident(const struct memory_object *object)
{
    return __atomic_load_n(&object->resident, __ATOMIC_RELAXED);
}

enum hx_status memory_object_frame(struct memory_object *object, u64 page, paddr_t *out_frame)
{
    if (page >= object->pages) {
        return HX_ERR_INVALID;
    }
    u32 pfn = __atomic_load_n(&object->frames[page], __ATOMIC_ACQUIRE); /* inv 1 */
    enum hx_status status = HX_OK;
    if (pfn == 0) {
        mutex_acquire(&object->lock);
        pfn = object->frames[page];
        if (pfn == 0) {
            paddr_t frame;
            status = frame_alloc(FRAME_ZERO, FRAME_OBJECT, &frame);
            if (status == HX_OK) {
                pfn = frame_number(frame);
                object->resident++;
                __atomic_store_n(&object->frames[page], pfn, __ATOMIC_RELEASE);
            }
        }
        mutex_release(&object->lock);
    }
    if (status == HX_OK) {
        *out_frame = frame_address(pfn);
    }
    return status;
}

/* Copies between the object and `buf`. */
static enum hx_status copy(struct memory_object *object, u64 offset, u8 *buf, size_t size,
                           bool write)
{
    if (!hx_range_fits(offset, size, memory_object_size(object))) {
        return HX_ERR_INVALID;
    }
    while (size > 0) {
        paddr_t frame;
        size_t within = offset & HX_PAGE_MASK, n = hx_min_u64(size, HX_PAGE_SIZE - within);
        enum hx_status status = memory_object_frame(object, offset >> HX_PAGE_SHIFT, &frame);
        if (status != HX_OK) {
            return status;
        }
        u8 *page = (u8 *)hal_phys_to_virt(frame) + within;
        if (write) {
            memcpy(page, buf, n);
        } else {
            memcpy(buf, page, n);
        }
        offset += n;
        buf += n;
        size -= n;
    }
    return HX_OK;
}

enum hx_status memory_object_read(struct memory_object *object, u64 offset, void *to, size_t size)
{
    return copy(object, offset, to, size, false);
}

enum hx_status memory_object_write(struct memory_object *object, u64 offset, const void *from,
                                   size_t size)
{
    return copy(object, offset, (u8 *)from, size, true);
}
