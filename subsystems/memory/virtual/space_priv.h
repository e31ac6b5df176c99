/* SPDX-License-Identifier: MIT */
/* Between space.c and object.c.
 */
#ifndef SPACE_PRIV_H
#define SPACE_PRIV_H

#include <core/sync.h>
#include <memory/space.h>

#define MEMORY_OBJECT_PAGES_MAX (1u << 18) /* 1 GiB */

/* The frame of page `index`, below the object's count, with a reference for the caller.
 * Return: HX_OK, HX_ERR_NO_MEMORY. Context: thread; the space's lock may be held. */
enum hx_status memory_object_page(struct memory_object *object, u64 index,
                                  paddr_t *out_frame) HX_MUST_CHECK;

#endif
