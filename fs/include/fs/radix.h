/* SPDX-License-Identifier: MIT */
/* A sparse array of 64-bit values, 0 being absent: pages of a file, files of a file system. A tree
 * of nodes with RADIX_FANOUT places, as high as the largest key needs; one value of key 0 needs no
 * node. No locking: the owner serialises.
 */
#ifndef FS_RADIX_H
#define FS_RADIX_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define RADIX_BITS   6
#define RADIX_FANOUT (1u << RADIX_BITS)

struct radix {
    u64 root;   /* height 0: the value of key 0; else a struct radix_node * */
    u32 height; /* levels of nodes */
};

/* All zero is empty. */

/* Readies the cache that nodes come from. Return: HX_OK, HX_ERR_NO_MEMORY. Thread, once. */
enum hx_status radix_init(void) HX_MUST_CHECK;

/* Context of all: any in which its owner may be; set: where kmalloc is legal. */
u64 radix_get(const struct radix *tree, u64 key); /* 0: absent */

/* value is not 0; one that is there is replaced. Return: HX_OK; HX_ERR_NO_MEMORY, as before. */
enum hx_status radix_set(struct radix *tree, u64 key, u64 value) HX_MUST_CHECK;

/* Takes a value out. Return: it, or 0. */
u64 radix_remove(struct radix *tree, u64 key);

/* The first value at *key or above, and moves *key to it. 0: there is none. */
u64 radix_next(const struct radix *tree, u64 *key);

#endif
