/* SPDX-License-Identifier: MIT */
/* Intrusive pairing heap, smallest key first: insert in constant time, removal of any node in
 * logarithmic amortised time. Chosen over a red-black tree for timers: most are inserted and
 * removed again without ever being first, which costs a dozen instructions here. No locking: the
 * owner of the root says which lock. Equal keys leave in any order.
 */
#ifndef HELIX_PHEAP_H
#define HELIX_PHEAP_H

#include <helix/types.h>

struct pheap_node {
    u64 key;
    struct pheap_node *child; /* first child */
    struct pheap_node *next;  /* next sibling */
    struct pheap_node *prev;  /* previous sibling, or the parent for a first child; NULL: root */
};

struct pheap {
    struct pheap_node *root;
};

static inline struct pheap_node *pheap_meld(struct pheap_node *a, struct pheap_node *b)
{
    if (!a || !b) {
        return a ? a : b;
    }
    if (b->key < a->key) {
        struct pheap_node *t = a;
        a = b;
        b = t;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child) {
        a->child->prev = b;
    }
    a->child = b;
    a->next = NULL;
    a->prev = NULL;
    return a;
}

static inline void pheap_insert(struct pheap *heap, struct pheap_node *node, u64 key)
{
    node->key = key;
    node->child = node->next = node->prev = NULL;
    heap->root = pheap_meld(heap->root, node);
}

/* Joins siblings by pairs, left to right, then the pairs right to left: iterative, so that a long
 * row of siblings does not need a deep stack. */
static inline struct pheap_node *pheap_join(struct pheap_node *first)
{
    struct pheap_node *pairs = NULL;
    while (first) {
        struct pheap_node *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b) {
            b->next = b->prev = NULL;
        }
        a = pheap_meld(a, b);
        a->next = pairs; /* a stack of the pairs */
        pairs = a;
    }
    struct pheap_node *root = NULL;
    while (pairs) {
        struct pheap_node *next = pairs->next;
        pairs->next = NULL;
        root = pheap_meld(root, pairs);
        pairs = next;
    }
    return root;
}

static inline void pheap_remove(struct pheap *heap, struct pheap_node *node)
{
    struct pheap_node *children = node->child ? pheap_join(node->child) : NULL;
    if (heap->root == node) {
        heap->root = children;
    } else {
        if (node->prev->child == node) {
            node->prev->child = node->next;
        } else {
            node->prev->next = node->next;
        }
        if (node->next) {
            node->next->prev = node->prev;
        }
        heap->root = pheap_meld(heap->root, children);
    }
    node->child = node->next = node->prev = NULL;
}

#endif
