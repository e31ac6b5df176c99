/* SPDX-License-Identifier: MIT */
/* Ordered intrusive tree (red-black), smallest key cached. Keys are times that may wrap: order is
 * the sign of the difference, so keys in one tree lie within 2^63 of each other. Equal keys keep
 * their order of insertion. With `aug`, each node is a struct dis_tree_aug and knows the smallest
 * `value` in its subtree, unless it is on the left edge, from the root to the first: there `min` is
 * undefined, so that what is done most, taking the first away, changes nothing above it. `aug` is a
 * constant at every call, so that the plain tree pays nothing.
 * Worst case O(log n) always: an amortised heap would do unbounded work with interrupts masked.
 */
#ifndef DIS_TREE_H
#define DIS_TREE_H

#include <core/sched_policy.h>
#include <helix/compiler.h>
#include <helix/panic.h>

struct dis_tree_aug {
    struct sched_tree_node node;
    u64 value, min; /* wrap as keys do */
};

#define DIS_TREE_RED 1ull

static inline bool dis_time_before(u64 a, u64 b)
{
    return (s64)(a - b) < 0;
}

static inline struct sched_tree_node *dis_tree_parent(const struct sched_tree_node *n)
{
    return (struct sched_tree_node *)(uintptr_t)(n->parent_color & ~DIS_TREE_RED);
}

static inline bool dis_tree_is_red(const struct sched_tree_node *n)
{
    return n != NULL && (n->parent_color & DIS_TREE_RED) != 0;
}

static inline void dis_tree_set_parent(struct sched_tree_node *n, struct sched_tree_node *p)
{
    n->parent_color = (u64)(uintptr_t)p | (n->parent_color & DIS_TREE_RED);
}

static inline struct dis_tree_aug *dis_tree_aug_of(struct sched_tree_node *n)
{
    return HX_CONTAINER_OF(n, struct dis_tree_aug, node);
}

static inline u64 dis_time_min(u64 a, u64 b)
{
    return dis_time_before(a, b) ? a : b;
}

/* The smallest value below and at n. */
static inline u64 dis_tree_aug_min(struct sched_tree_node *n)
{
    u64 min = dis_tree_aug_of(n)->value;
    if (n->child[0] != NULL) {
        min = dis_time_min(dis_tree_aug_of(n->child[0])->min, min);
    }
    if (n->child[1] != NULL) {
        min = dis_time_min(dis_tree_aug_of(n->child[1])->min, min);
    }
    return min;
}

static inline void dis_tree_replace(struct dis_tree *t, struct sched_tree_node *p,
                                    struct sched_tree_node *old, struct sched_tree_node *new)
{
    if (p == NULL) {
        t->root = new;
    } else {
        p->child[p->child[1] == old] = new;
    }
}

/* Turns the edge x - x->child[!dir] so that x becomes the child in direction dir. */
static HX_ALWAYS_INLINE void dis_tree_rotate(struct dis_tree *t, struct sched_tree_node *x, int dir,
                                             bool aug)
{
    struct sched_tree_node *y = x->child[!dir];
    struct sched_tree_node *p = dis_tree_parent(x);
    struct sched_tree_node *c = y->child[dir];

    x->child[!dir] = c;
    if (c != NULL) {
        dis_tree_set_parent(c, x);
    }
    y->child[dir] = x;
    dis_tree_set_parent(y, p);
    dis_tree_replace(t, p, x, y);
    dis_tree_set_parent(x, y);
    if (aug) {
        dis_tree_aug_of(y)->min = dis_tree_aug_of(x)->min;
        dis_tree_aug_of(x)->min = dis_tree_aug_min(x);
    }
}

/* Rebalances after the red node n was linked. */
static inline void dis_tree_insert_fix(struct dis_tree *t, struct sched_tree_node *n, bool aug)
{
    struct sched_tree_node *p = dis_tree_parent(n);
    while (dis_tree_is_red(p)) {
        struct sched_tree_node *g = dis_tree_parent(p);
        int dir = p == g->child[1];
        struct sched_tree_node *u = g->child[!dir];
        if (dis_tree_is_red(u)) {
            p->parent_color &= ~DIS_TREE_RED;
            u->parent_color &= ~DIS_TREE_RED;
            g->parent_color |= DIS_TREE_RED;
            n = g;
            p = dis_tree_parent(n);
            continue;
        }
        if (n == p->child[!dir]) {
            dis_tree_rotate(t, p, dir, aug);
            p = n;
        }
        p->parent_color &= ~DIS_TREE_RED;
        g->parent_color |= DIS_TREE_RED;
        dis_tree_rotate(t, g, !dir, aug);
        break;
    }
    t->root->parent_color &= ~DIS_TREE_RED;
}

/* Links n, whose key (and value, with aug) is set. */
static HX_ALWAYS_INLINE void dis_tree_insert(struct dis_tree *t, struct sched_tree_node *n,
                                             bool aug)
{
    struct sched_tree_node *p = NULL, **link = &t->root;
    bool first = true;
    u64 value = aug ? dis_tree_aug_of(n)->value : 0;

    while (*link != NULL) {
        p = *link;
        if (aug && dis_time_before(value, dis_tree_aug_of(p)->min)) {
            dis_tree_aug_of(p)->min = value;
        }
        if (dis_time_before(n->key, p->key)) {
            link = &p->child[0];
        } else {
            link = &p->child[1];
            first = false;
        }
    }
    n->parent_color = (u64)(uintptr_t)p | DIS_TREE_RED;
    n->child[0] = n->child[1] = NULL;
    if (aug) {
        dis_tree_aug_of(n)->min = value;
    }
    *link = n;
    if (first) {
        t->first = n;
    }
    if (dis_tree_is_red(p)) {
        dis_tree_insert_fix(t, n, aug);
    } else if (hx_unlikely(p == NULL)) {
        n->parent_color = 0;
    }
}

/* Rebalances after a black node was taken away above x (maybe NULL), which is below p. */
static inline void dis_tree_remove_fix(struct dis_tree *t, struct sched_tree_node *x,
                                       struct sched_tree_node *p, bool aug)
{
    while (p != NULL && !dis_tree_is_red(x)) {
        int dir = x == p->child[1];
        struct sched_tree_node *s = p->child[!dir];
        HX_ASSERT(s != NULL); /* the side that lost a black node had one to lose */
        if (dis_tree_is_red(s)) {
            s->parent_color &= ~DIS_TREE_RED;
            p->parent_color |= DIS_TREE_RED;
            dis_tree_rotate(t, p, dir, aug);
            s = p->child[!dir];
        }
        if (!dis_tree_is_red(s->child[0]) && !dis_tree_is_red(s->child[1])) {
            s->parent_color |= DIS_TREE_RED;
            x = p;
            p = dis_tree_parent(x);
            continue;
        }
        if (!dis_tree_is_red(s->child[!dir])) {
            s->child[dir]->parent_color &= ~DIS_TREE_RED;
            s->parent_color |= DIS_TREE_RED;
            dis_tree_rotate(t, s, !dir, aug);
            s = p->child[!dir];
        }
        s->parent_color = (s->parent_color & ~DIS_TREE_RED) | (p->parent_color & DIS_TREE_RED);
        p->parent_color &= ~DIS_TREE_RED;
        s->child[!dir]->parent_color &= ~DIS_TREE_RED;
        dis_tree_rotate(t, p, dir, aug);
        return;
    }
    if (x != NULL) {
        x->parent_color &= ~DIS_TREE_RED;
    }
}

/* Unlinks the first node; there is one. Its only child can be a right one, which is red then. */
static HX_ALWAYS_INLINE void dis_tree_remove_first(struct dis_tree *t, bool aug)
{
    struct sched_tree_node *n = t->first, *child = n->child[1], *parent = dis_tree_parent(n);

    if (hx_unlikely(parent == NULL)) {
        t->root = child;
    } else {
        parent->child[0] = child;
    }
    if (child != NULL) {
        t->first = child;
        child->parent_color = (u64)(uintptr_t)parent;
        return;
    }
    t->first = parent;
    if (!dis_tree_is_red(n)) {
        dis_tree_remove_fix(t, NULL, parent, aug);
    }
}

/* Unlinks n, which is in t. */
static HX_ALWAYS_INLINE void dis_tree_remove(struct dis_tree *t, struct sched_tree_node *n,
                                             bool aug)
{
    struct sched_tree_node *parent = dis_tree_parent(n), *child, *moved = NULL;
    bool black = !dis_tree_is_red(n);

    if (t->first == n) {
        dis_tree_remove_first(t, aug);
        return;
    }
    if (n->child[0] != NULL && n->child[1] != NULL) {
        struct sched_tree_node *s = n->child[1];
        while (s->child[0] != NULL) {
            s = s->child[0];
        }
        child = s->child[1];
        black = !dis_tree_is_red(s);
        struct sched_tree_node *up = dis_tree_parent(s);
        if (up == n) {
            up = s;
        } else {
            up->child[0] = child;
            if (child != NULL) {
                dis_tree_set_parent(child, up);
            }
            s->child[1] = n->child[1];
            dis_tree_set_parent(n->child[1], s);
        }
        s->child[0] = n->child[0];
        dis_tree_set_parent(n->child[0], s);
        s->parent_color = n->parent_color;
        dis_tree_replace(t, parent, n, s);
        parent = up;
        moved = s;
    } else {
        child = n->child[n->child[0] == NULL];
        if (child != NULL) {
            dis_tree_set_parent(child, parent);
        }
        dis_tree_replace(t, parent, n, child);
    }
    if (aug && parent != NULL) {
        /* Up, until nothing changes; below the node that moved that cannot be told. */
        struct sched_tree_node *p = parent, *up;
        u64 min = dis_tree_aug_min(p);
        for (;;) {
            if (min == dis_tree_aug_of(p)->min && moved == NULL) {
                break;
            }
            dis_tree_aug_of(p)->min = min;
            if (p == moved) {
                moved = NULL;
            }
            up = dis_tree_parent(p);
            if (up == NULL) {
                break;
            }
            struct sched_tree_node *other = up->child[up->child[0] == p];
            min = dis_time_min(dis_tree_aug_of(up)->value, min);
            if (other != NULL) {
                min = dis_time_min(dis_tree_aug_of(other)->min, min);
            }
            p = up;
        }
    }
    if (black) {
        dis_tree_remove_fix(t, child, parent, aug);
    }
}

#endif
