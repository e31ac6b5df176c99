/* SPDX-License-Identifier: MIT */
/* Memory objects: pages that exist apart from any address space, and may be mapped into several.
 * Pages appear, zeroed, at the first touch, and stay until the object goes.
 * Context: thread, no spinlock held; may sleep for the object's lock.
 */
#ifndef MEMORY_OBJECT_H
#define MEMORY_OBJECT_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define MEMORY_OBJECT_MAX HX_GIB(2)

struct memory_object;

/* size: bytes, rounded up to pages. The caller has the one reference.
 * Return: HX_OK, HX_ERR_INVALID (0 or above the maximum), HX_ERR_NO_MEMORY. */
enum hx_status memory_object_create(u64 size, struct memory_object **out_object) HX_MUST_CHECK;

void memory_object_get(struct memory_object *object);
void memory_object_put(struct memory_object *object); /* the last frees it */

/* Bytes, a multiple of the page size. Any. */
u64 memory_object_size(const struct memory_object *object);

/* Pages that are present. Any. */
u64 memory_object_resident(const struct memory_object *object);

/* The frame of a page, made if it is absent. It stays as long as the object does.
 * Return: HX_OK, HX_ERR_INVALID, HX_ERR_NO_MEMORY. */
enum hx_status memory_object_frame(struct memory_object *object, u64 page,
                                   paddr_t *out_frame) HX_MUST_CHECK;

/* Copies by the kernel. Return: HX_OK, HX_ERR_INVALID (out of bounds), HX_ERR_NO_MEMORY. */
enum hx_status memory_object_read(struct memory_object *object, u64 offset, void *to,
                                  size_t size) HX_MUST_CHECK;
enum hx_status memory_object_write(struct memory_object *object, u64 offset, const void *from,
                                   size_t size) HX_MUST_CHECK;

#endif
