/* SPDX-License-Identifier: MIT */
/* Intrusive circular doubly linked list. A node is on one list at most; a removed node points to
 * itself, so list_node_is_linked() is exact and removal twice is harmless. No locking: the owner
 * of the head says which lock.
 */
#ifndef HELIX_LIST_H
#define HELIX_LIST_H

#include <helix/compiler.h>
#include <helix/types.h>

struct list_node {
    struct list_node *next, *prev;
};

#define LIST_INIT(name)                                                                            \
    {                                                                                              \
        .next = &(name), .prev = &(name)                                                           \
    }

static inline void list_init(struct list_node *head)
{
    head->next = head->prev = head;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline bool list_node_is_linked(const struct list_node *node)
{
    return node->next != node;
}

static inline void list_insert_between(struct list_node *node, struct list_node *prev,
                                       struct list_node *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

static inline void list_add_head(struct list_node *head, struct list_node *node)
{
    list_insert_between(node, head, head->next);
}

static inline void list_add_tail(struct list_node *head, struct list_node *node)
{
    list_insert_between(node, head->prev, head);
}

/* For a node that nobody looks at before it is on a list again: it still points there. */
static inline void list_unlink(struct list_node *node)
{
    struct list_node *next = node->next, *prev = node->prev;
    prev->next = next;
    next->prev = prev;
}

static inline void list_remove(struct list_node *node)
{
    list_unlink(node);
    list_init(node);
}

/* Moves all of `from` to the tail of `to`; `from` ends empty. */
static inline void list_splice_tail(struct list_node *to, struct list_node *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_ENTRY(node, type, member) HX_CONTAINER_OF(node, type, member)

#define LIST_FIRST(head, type, member)                                                             \
    (list_is_empty(head) ? NULL : LIST_ENTRY((head)->next, type, member))

#define LIST_FOREACH(head, it, member)                                                             \
    for (it = LIST_ENTRY((head)->next, __typeof__(*it), member); &it->member != (head);            \
         it = LIST_ENTRY(it->member.next, __typeof__(*it), member))

/* The body may remove `it`. */
#define LIST_FOREACH_SAFE(head, it, tmp, member)                                                   \
    for (it = LIST_ENTRY((head)->next, __typeof__(*it), member),                                   \
        tmp = LIST_ENTRY(it->member.next, __typeof__(*it), member);                                \
         &it->member != (head);                                                                    \
         it = tmp, tmp = LIST_ENTRY(it->member.next, __typeof__(*it), member))

#endif
