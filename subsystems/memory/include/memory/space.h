/* SPDX-License-Identifier: MIT */
/* User address spaces: regions that say what may be where, and pages that appear when touched.
 * Context of all: thread, no spinlock held; each takes the space's own lock and may wait for it.
 */
#ifndef MEMORY_SPACE_H
#define MEMORY_SPACE_H

#include <core/memory.h>
#include <hal/mmu.h>
#include <helix/status.h>

#define SPACE_REGIONS_MAX 4096             /* of one space */
#define SPACE_LOWEST      HX_PAGE_SIZE     /* the null page is never mapped */
#define SPACE_CHOICE_BASE 0x100000000ull   /* where addresses are chosen from */

/* Absent: read-only, not executable. Both at once is HX_ERR_INVALID. */
#define SPACE_WRITE   (1u << 0)
#define SPACE_EXECUTE (1u << 1)
#define SPACE_GUARD   (1u << 2) /* reserved; every access is a fault */
#define SPACE_FIXED   (1u << 3) /* exactly there; absent: the address is a wish */
#define SPACE_PRIVATE (1u << 4) /* of an object: copied on the first write; absent: shared */

/* An empty space. Return: HX_OK, HX_ERR_NO_MEMORY, HX_ERR_LIMIT (too many spaces). */
enum hx_status space_create(struct space **out_space) HX_MUST_CHECK;

/* Gives back everything. No thread runs in it any more. */
void space_destroy(struct space *space);

/* Memory that reads as zero, a page at a time as it is touched.
 * Return: HX_OK and the address; HX_ERR_INVALID: sizes or addresses not of whole pages, outside
 * user memory, or writable and executable; HX_ERR_EXISTS: FIXED, and something is there;
 * HX_ERR_NO_SPACE: no gap that large; HX_ERR_LIMIT; HX_ERR_NO_MEMORY. */
enum hx_status space_map(struct space *space, vaddr_t wish, u64 size, u32 flags,
                         vaddr_t *out_address) HX_MUST_CHECK;

/* A private copy of kernel memory that stays as it is: `head` bytes of zero, then data_size bytes
 * of `data`, then zero up to `size`. At exactly `base`. The statuses of space_map. */
enum hx_status space_map_image(struct space *space, vaddr_t base, u64 size, u32 flags,
                               const void *data, u64 data_size, u32 head) HX_MUST_CHECK;

/* Pages of an object from `offset` on, shared with whoever else maps it, or private. Takes a
 * reference of its own. The statuses of space_map; HX_ERR_INVALID also beyond the object's end. */
struct memory_object;
enum hx_status space_map_object(struct space *space, vaddr_t wish, u64 size, u32 flags,
                                struct memory_object *object, u64 offset,
                                vaddr_t *out_address) HX_MUST_CHECK;

/* Removes whatever is in the range. Return: HX_OK, also for holes; HX_ERR_INVALID; and
 * HX_ERR_NO_MEMORY or HX_ERR_LIMIT when a region had to be split: nothing is changed then. */
enum hx_status space_unmap(struct space *space, vaddr_t address, u64 size) HX_MUST_CHECK;

/* Changes what may be done. Return: HX_OK; HX_ERR_INVALID; HX_ERR_NOT_FOUND: there is a hole or a
 * guard in the range; HX_ERR_NO_MEMORY, HX_ERR_LIMIT. Nothing is changed by a failure. */
enum hx_status space_protect(struct space *space, vaddr_t address, u64 size,
                             u32 flags) HX_MUST_CHECK;

/* Frame owner number of the space's private pages, for accounting. */
u32 space_owner(const struct space *space);

/* Calls visit for each region, in ascending order, with the space locked. */
struct space_region_info {
    vaddr_t base;
    u64 size;
    u32 flags;
};
void space_for_each(struct space *space, void (*visit)(const struct space_region_info *r, void *ctx),
                    void *ctx);

/* Memory that several spaces can map: pages appear, zeroed, when first touched, and live as long
 * as the object. Reference counted. */
enum hx_status memory_object_create(u64 size, struct memory_object **out_object) HX_MUST_CHECK;
void memory_object_get(struct memory_object *object);
void memory_object_put(struct memory_object *object);
u64 memory_object_size(const struct memory_object *object);

#endif
