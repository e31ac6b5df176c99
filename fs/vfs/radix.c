/* SPDX-License-Identifier: MIT */
/* Radix tree of 64-bit values.
 * Owns:      its nodes.      Callers: page tables of files, tables of files.     Context: thread.
 * Invariant: (1) a node but the topmost has at least one place in use; `used` counts them. An
 *            empty topmost node is freed at once.
 *            (2) with `height` levels the tree covers keys below RADIX_FANOUT^height (all of them
 *            from RADIX_LEVELS on).
 * Why a tree: a hash would have to grow under its readers, and truncation wants an ordered walk.
 */
#include <core/memory.h>
#include <fs/radix.h>

#define RADIX_LEVELS ((64 + RADIX_BITS - 1) / RADIX_BITS)

struct radix_node {
    u64 slots[RADIX_FANOUT];
    u32 used;
};

static struct kmem_cache *radix_cache;

enum hx_status radix_init(void)
{
    radix_cache = kmem_cache_create("radix", sizeof(struct radix_node), 8);
    return radix_cache ? HX_OK : HX_ERR_NO_MEMORY;
}

static struct radix_node *as_node(u64 slot)
{
    return (struct radix_node *)(uintptr_t)slot;
}

static bool covers(u32 height, u64 key)
{
    return height >= RADIX_LEVELS || key >> (height * RADIX_BITS) == 0;
}

static u32 place_of(u64 key, u32 level)
{
    return (u32)(key >> (level * RADIX_BITS)) & (RADIX_FANOUT - 1);
}

static struct radix_node *node_create(void)
{
    struct radix_node *node = kmem_cache_alloc(radix_cache);
    if (node) {
        *node = (struct radix_node){0};
    }
    return node;
}

u64 radix_get(const struct radix *tree, u64 key)
{
    if (!covers(tree->height, key)) {
        return 0;
    }
    u64 at = tree->root;
    for (u32 level = tree->height; level-- > 0 && at;) {
        at = as_node(at)->slots[place_of(key, level)];
    }
    return at;
}

/* Frees the nodes on the way to `key` that have nothing in them, from the lowest up. */
static void prune(struct radix *tree, u64 key)
{
    struct radix_node *path[RADIX_LEVELS];
    u32 depth = 0;
    u64 at = tree->root;
    for (u32 level = tree->height; level-- > 0 && at;) {
        path[depth++] = as_node(at);
        at = as_node(at)->slots[place_of(key, level)];
    }
    while (depth > 0 && path[depth - 1]->used == 0) {
        kmem_cache_free(radix_cache, path[--depth]);
        if (depth > 0) {
            path[depth - 1]->slots[place_of(key, tree->height - depth)] = 0;
            path[depth - 1]->used--;
        } else {
            tree->root = 0;
        }
    }
    if (!tree->root) {
        tree->height = 0;
    }
}

/* Makes the nodes on the way to `key`. */
static enum hx_status reserve(struct radix *tree, u64 key)
{
    while (!covers(tree->height, key)) {
        if (tree->root) {
            struct radix_node *top = node_create();
            if (!top) {
                return HX_ERR_NO_MEMORY;
            }
            top->slots[0] = tree->root;
            top->used = 1;
            tree->root = (u64)(uintptr_t)top;
        }
        tree->height++;
    }
    u64 *slot = &tree->root;
    struct radix_node *above = NULL;
    for (u32 level = tree->height; level-- > 0;) {
        if (!*slot) {
            struct radix_node *node = node_create();
            if (!node) {
                prune(tree, key);
                return HX_ERR_NO_MEMORY;
            }
            *slot = (u64)(uintptr_t)node;
            if (above) {
                above->used++;
            }
        }
        above = as_node(*slot);
        slot = &above->slots[place_of(key, level)];
    }
    return HX_OK;
}

enum hx_status radix_set(struct radix *tree, u64 key, u64 value)
{
    enum hx_status status = reserve(tree, key);
    if (status != HX_OK) {
        return status;
    }
    u64 *slot = &tree->root;
    struct radix_node *node = NULL;
    for (u32 level = tree->height; level-- > 0;) {
        node = as_node(*slot);
        slot = &node->slots[place_of(key, level)];
    }
    if (tree->height > 0 && !*slot) {
        node->used++;
    }
    *slot = value;
    return HX_OK;
}

u64 radix_remove(struct radix *tree, u64 key)
{
    if (!covers(tree->height, key)) {
        return 0;
    }
    u64 *slot = &tree->root;
    struct radix_node *node = NULL;
    for (u32 level = tree->height; level-- > 0;) {
        if (!*slot) {
            return 0;
        }
        node = as_node(*slot);
        slot = &node->slots[place_of(key, level)];
    }
    u64 value = *slot;
    if (value) {
        *slot = 0;
        if (node && --node->used == 0) {
            prune(tree, key);
        }
    }
    return value;
}

u64 radix_next(const struct radix *tree, u64 *key)
{
    u64 at = *key;
    if (tree->height == 0) {
        if (at == 0 && tree->root) {
            return tree->root;
        }
        return 0;
    }
    while (tree->root && covers(tree->height, at)) {
        /* Down as far as there are nodes; past an empty place, on to the next of its level. */
        u64 slot = tree->root;
        u32 level = tree->height;
        while (level > 0 && slot) {
            level--;
            struct radix_node *node = as_node(slot);
            u32 place = place_of(at, level);
            while (place < RADIX_FANOUT && !node->slots[place]) {
                place++;
                /* The next place of this level begins with zeroes below. */
                at = ((at >> (level * RADIX_BITS)) + 1) << (level * RADIX_BITS);
            }
            /* Past the last place `at` has carried into the level above. */
            slot = place < RADIX_FANOUT ? node->slots[place] : 0;
        }
        if (slot) {
            *key = at;
            return slot;
        }
        if (at == 0) {
            return 0; /* wrapped past the largest key */
        }
    }
    return 0;
}
