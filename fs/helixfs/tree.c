/* SPDX-License-Identifier: MIT */
/* The B+tree: one implementation for every tree of the file system.
 * Owns:      nothing; trees belong to hfs and hfs_subvol.      Callers: everything above, under
 *            hfs.lock.     Context: thread, may block.
 * Invariant: (1) a change first makes the whole path dirty, root first, so a dirty node's parent
 *            is dirty.  (2) a node but the root is never empty; a root with one child gives way
 *            to it.  (3) separators bound keys from below; the first one of the left edge is zero.
 *            (4) all leaves are on level 0.   Spec: SPEC.md, "Trees".
 *
 * No recursion: a path is an array of HFS_LEVELS_MAX. Nodes split in the middle, except that a new
 * last item opens a new node, so that files written in order fill their leaves. A node below a
 * quarter is merged with a neighbour when both fit in three quarters of one; lending items between
 * siblings would save little and cost a second way to move separators.
 */
#include "hfs_priv.h"

#define CAPACITY  (HFS_NODE - sizeof(struct hfs_node_head))
#define INNER_MAX (CAPACITY / sizeof(struct hfs_child))

/* Leaves and inner nodes by the byte */

static u32 leaf_need(u32 len)
{
    return (u32)sizeof(struct hfs_item) + (u32)hx_align_up(len, 8);
}

static u32 node_used(const struct hfs_node *node)
{
    u32 count = node->head->count;
    if (node->head->level > 0) {
        return count * (u32)sizeof(struct hfs_child);
    }
    u32 sum = 0;
    const struct hfs_item *items = node_items(node);
    for (u32 i = 0; i < count; i++) {
        sum += leaf_need(items[i].len);
    }
    return sum;
}

/* An empty value lies at the end of the node: where it would have been belongs to others. */
static u16 value_off(u32 off, u32 len)
{
    return (u16)(len > 0 ? off : HFS_NODE);
}

/* Rewrites the values without gaps; scratch is HFS_NODE bytes. */
static void leaf_pack(struct hfs_node *node, u8 *scratch)
{
    struct hfs_item *items = node_items(node);
    u32 at = HFS_NODE;
    for (u32 i = 0; i < node->head->count; i++) {
        at -= (u32)hx_align_up(items[i].len, 8);
        memset(scratch + at, 0, hx_align_up(items[i].len, 8));
        memcpy(scratch + at, node->bytes + items[i].off, items[i].len);
        items[i].off = value_off(at, items[i].len);
    }
    u32 low = (u32)(sizeof(*node->head) + node->head->count * sizeof(*items));
    memcpy(node->bytes + at, scratch + at, HFS_NODE - at);
    memset(node->bytes + low, 0, at - low);
    node->head->data = (u16)at;
}

static u32 leaf_gap(const struct hfs_node *node)
{
    return (u32)(node->head->data - sizeof(*node->head) -
                 node->head->count * sizeof(struct hfs_item));
}

/* Inserts at slot; the room was checked. */
static void leaf_insert(struct hfs *fs, struct hfs_node *node, u32 slot, const struct hfs_key *key,
                        const void *value, u32 len)
{
    if (leaf_gap(node) < leaf_need(len)) {
        leaf_pack(node, fs->scratch);
    }
    HX_ASSERT(leaf_gap(node) >= leaf_need(len));
    struct hfs_item *items = node_items(node);
    u32 aligned = (u32)hx_align_up(len, 8);
    u32 off = node->head->data - aligned;
    memmove(&items[slot + 1], &items[slot], (node->head->count - slot) * sizeof(*items));
    memset(node->bytes + off, 0, aligned);
    if (value != NULL) {
        memcpy(node->bytes + off, value, len);
    }
    items[slot] = (struct hfs_item){.key = *key, .off = value_off(off, len), .len = (u16)len};
    node->head->data = (u16)off;
    node->head->count++;
}

static void leaf_delete(struct hfs_node *node, u32 slot)
{
    struct hfs_item *items = node_items(node);
    u32 aligned = (u32)hx_align_up(items[slot].len, 8);
    memset(node->bytes + items[slot].off, 0, aligned);
    if (items[slot].off == node->head->data) {
        node->head->data = (u16)(node->head->data + aligned);
    }
    node->head->count--;
    memmove(&items[slot], &items[slot + 1], (node->head->count - slot) * sizeof(*items));
    memset(&items[node->head->count], 0, sizeof(*items));
}

static void inner_insert(struct hfs_node *node, u32 slot, const struct hfs_child *child)
{
    struct hfs_child *children = node_children(node);
    memmove(&children[slot + 1], &children[slot], (node->head->count - slot) * sizeof(*children));
    children[slot] = *child;
    node->head->count++;
}

static void inner_delete(struct hfs_node *node, u32 slot)
{
    struct hfs_child *children = node_children(node);
    node->head->count--;
    memmove(&children[slot], &children[slot + 1], (node->head->count - slot) * sizeof(*children));
    memset(&children[node->head->count], 0, sizeof(*children));
}

static void child_of(const struct hfs_node *node, const struct hfs_key *key, struct hfs_child *out)
{
    *out = (struct hfs_child){
        .key = *key,
        .ptr = {.addr = node->head->addr, .copy = node->copy, .birth = node->head->birth}};
}

/* Moves items [from, count) of src to the end of dst. */
static void items_move(struct hfs *fs, struct hfs_node *src, u32 from, struct hfs_node *dst)
{
    u32 count = src->head->count;
    if (src->head->level > 0) {
        struct hfs_child *s = node_children(src), *d = node_children(dst);
        memcpy(&d[dst->head->count], &s[from], (count - from) * sizeof(*s));
        memset(&s[from], 0, (count - from) * sizeof(*s));
        dst->head->count = (u16)(dst->head->count + count - from);
        src->head->count = (u16)from;
        return;
    }
    struct hfs_item *items = node_items(src);
    for (u32 i = from; i < count; i++) {
        leaf_insert(fs, dst, dst->head->count, &items[i].key, src->bytes + items[i].off,
                    items[i].len);
    }
    memset(&items[from], 0, (count - from) * sizeof(*items));
    src->head->count = (u16)from;
    leaf_pack(src, fs->scratch);
}

/* Searching */

/* First slot whose key is not below key. */
static u32 leaf_search(const struct hfs_node *node, const struct hfs_key *key)
{
    const struct hfs_item *items = node_items(node);
    u32 lo = 0, hi = node->head->count;
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (key_compare(&items[mid].key, key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* The child that key belongs to. */
static u32 inner_search(const struct hfs_node *node, const struct hfs_key *key)
{
    const struct hfs_child *children = node_children(node);
    u32 lo = 0, hi = node->head->count;
    while (lo < hi) {
        u32 mid = (lo + hi) / 2;
        if (key_compare(&children[mid].key, key) <= 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo > 0 ? lo - 1 : 0;
}

void tree_release(struct hfs_path *path)
{
    for (u32 level = 0; level < HFS_LEVELS_MAX; level++) {
        if (path->node[level] != NULL) {
            node_put(path->tree->fs, path->node[level]);
            path->node[level] = NULL;
        }
    }
}

/* Gets the child that node[level + 1] points to with its slot into node[level]. */
static enum hx_status path_child(struct hfs_path *path, u32 level)
{
    struct hfs_node *parent = path->node[level + 1];
    u32 slot = path->slot[level + 1];
    const struct hfs_child *children = node_children(parent);
    bool last = slot + 1u == parent->head->count;
    path->high[level] = last ? path->high[level + 1] : children[slot + 1].key;
    struct node_expect expect = {.ptr = &children[slot].ptr,
                                 .level = level,
                                 .low = children[slot].key,
                                 .high = path->high[level]};
    return node_get(path->tree, &expect, &path->node[level]);
}

/* Fills the path down to where key is or would be; the tree is not empty. */
static enum hx_status path_descend(struct hfs_tree *tree, const struct hfs_key *key,
                                   struct hfs_path *path)
{
    memset(path->node, 0, sizeof(path->node));
    path->tree = tree;
    path->levels = tree->levels;
    u32 top = tree->levels - 1;
    path->high[top] = hfs_key_max;
    struct node_expect expect = {.ptr = &tree->root, .level = top, .high = hfs_key_max};
    enum hx_status status = node_get(tree, &expect, &path->node[top]);
    for (u32 level = top; status == HX_OK && level > 0; level--) {
        path->slot[level] = inner_search(path->node[level], key);
        status = path_child(path, level - 1);
    }
    if (status != HX_OK) {
        tree_release(path);
        return status;
    }
    path->slot[0] = leaf_search(path->node[0], key);
    return HX_OK;
}

const struct hfs_key *path_key(const struct hfs_path *path)
{
    return &node_items(path->node[0])[path->slot[0]].key;
}

void *path_value(const struct hfs_path *path, u32 *out_len)
{
    const struct hfs_item *item = &node_items(path->node[0])[path->slot[0]];
    *out_len = item->len;
    return path->node[0]->bytes + item->off;
}

static bool path_is_at(const struct hfs_path *path, const struct hfs_key *key)
{
    return path->slot[0] < path->node[0]->head->count && key_compare(path_key(path), key) == 0;
}

enum hx_status tree_find(struct hfs_tree *tree, const struct hfs_key *key, struct hfs_path *path,
                         void **out_value, u32 *out_len)
{
    if (tree->levels == 0) {
        memset(path->node, 0, sizeof(path->node));
        path->tree = tree;
        return HX_ERR_NOT_FOUND;
    }
    enum hx_status status = path_descend(tree, key, path);
    if (status != HX_OK) {
        return status;
    }
    if (!path_is_at(path, key)) {
        tree_release(path);
        return HX_ERR_NOT_FOUND;
    }
    *out_value = path_value(path, out_len);
    return HX_OK;
}

enum hx_status tree_skip(struct hfs_path *path, u32 level)
{
    struct hfs *fs = path->tree->fs;
    level++;
    while (level < path->levels && path->slot[level] + 1u >= path->node[level]->head->count) {
        level++;
    }
    if (level >= path->levels) {
        tree_release(path);
        return HX_ERR_END;
    }
    path->slot[level]++;
    for (; level > 0; level--) {
        node_put(fs, path->node[level - 1]);
        path->node[level - 1] = NULL;
        enum hx_status status = path_child(path, level - 1);
        if (status != HX_OK) {
            tree_release(path);
            return status;
        }
        path->slot[level - 1] = 0;
    }
    return HX_OK;
}

enum hx_status tree_seek(struct hfs_tree *tree, const struct hfs_key *key, struct hfs_path *path)
{
    memset(path->node, 0, sizeof(path->node));
    path->tree = tree;
    if (tree->levels == 0) {
        return HX_ERR_END;
    }
    enum hx_status status = path_descend(tree, key, path);
    if (status == HX_OK && path->slot[0] >= path->node[0]->head->count) {
        status = tree_skip(path, 0);
    }
    return status;
}

enum hx_status tree_next(struct hfs_path *path)
{
    if (++path->slot[0] < path->node[0]->head->count) {
        return HX_OK;
    }
    return tree_skip(path, 0);
}

/* From before the first slot of the leaf to the last item of the leaf on its left. */
static enum hx_status path_retreat(struct hfs_path *path)
{
    struct hfs *fs = path->tree->fs;
    u32 level = 1;
    while (level < path->levels && path->slot[level] == 0) {
        level++;
    }
    if (level >= path->levels) {
        tree_release(path);
        return HX_ERR_END;
    }
    path->slot[level]--;
    for (; level > 0; level--) {
        node_put(fs, path->node[level - 1]);
        path->node[level - 1] = NULL;
        enum hx_status status = path_child(path, level - 1);
        if (status != HX_OK) {
            tree_release(path);
            return status;
        }
        path->slot[level - 1] = path->node[level - 1]->head->count - 1u;
    }
    return HX_OK;
}

enum hx_status tree_seek_back(struct hfs_tree *tree, const struct hfs_key *key,
                              struct hfs_path *path)
{
    memset(path->node, 0, sizeof(path->node));
    path->tree = tree;
    if (tree->levels == 0) {
        return HX_ERR_END;
    }
    enum hx_status status = path_descend(tree, key, path);
    if (status != HX_OK || path_is_at(path, key)) {
        return status;
    }
    if (path->slot[0] == 0) {
        return path_retreat(path);
    }
    path->slot[0]--;
    return HX_OK;
}

/* Changing */

/* Makes the path dirty from the root down, and tells parents the new places (inv 1). */
static enum hx_status path_dirty(struct hfs_path *path)
{
    struct hfs_tree *tree = path->tree;
    for (u32 level = path->levels; level-- > 0;) {
        struct hfs_node *node = path->node[level];
        if (node == NULL) {
            break;
        }
        if (node->dirty) {
            continue;
        }
        enum hx_status status = node_dirty(tree, node);
        if (status != HX_OK) {
            return status;
        }
        struct hfs_bptr *ptr = &tree->root;
        if (level + 1 < path->levels) {
            ptr = &node_children(path->node[level + 1])[path->slot[level + 1]].ptr;
        }
        *ptr = (struct hfs_bptr){
            .addr = node->head->addr, .copy = node->copy, .birth = node->head->birth};
    }
    return HX_OK;
}

/* Where a node is cut to take one more item of len bytes at slot (an inner node: to keep the child
 * at slot on the path). */
struct split {
    u32 at;     /* first item that goes right */
    bool right; /* the path continues there */
};

static struct split split_plan(const struct hfs_node *node, u32 slot, u32 len)
{
    u32 count = node->head->count;
    if (node->head->level > 0) {
        u32 at = slot + 1u == count ? slot : count / 2;
        return (struct split){.at = at, .right = slot >= at};
    }
    if (slot == count) {
        return (struct split){.at = count, .right = true}; /* in order: leave this one full */
    }
    /* Halve what the two leaves will hold together; the new item counts, or it might not fit. */
    const struct hfs_item *items = node_items(node);
    u32 half = (node_used(node) + leaf_need(len)) / 2, sum = 0, i = 0;
    while (sum < half) {
        if (i == slot) {
            sum += leaf_need(len);
            if (sum >= half) {
                return (struct split){.at = i, .right = false};
            }
        }
        sum += leaf_need(items[i++].len);
    }
    return (struct split){.at = i, .right = slot >= i};
}

/* A new root above the present one. */
static enum hx_status tree_grow(struct hfs_path *path)
{
    struct hfs_tree *tree = path->tree;
    if (tree->levels >= HFS_LEVELS_MAX) {
        return HX_ERR_LIMIT;
    }
    struct hfs_node *root;
    enum hx_status status = node_create(tree, tree->levels, &root);
    if (status != HX_OK) {
        return status;
    }
    struct hfs_child child;
    child_of(path->node[tree->levels - 1], &(struct hfs_key){0}, &child);
    inner_insert(root, 0, &child);
    path->node[tree->levels] = root;
    path->slot[tree->levels] = 0;
    path->high[tree->levels] = hfs_key_max;
    path->levels = ++tree->levels;
    tree->root =
        (struct hfs_bptr){.addr = root->head->addr, .copy = root->copy, .birth = root->head->birth};
    return HX_OK;
}

/* Splits path->node[level], whose parent has room. key and len are what a leaf will take. */
static enum hx_status path_split(struct hfs_path *path, u32 level, const struct hfs_key *key,
                                 u32 len)
{
    struct hfs_tree *tree = path->tree;
    struct hfs_node *node = path->node[level], *right;
    enum hx_status status = node_create(tree, level, &right);
    if (status != HX_OK) {
        return status;
    }
    u32 slot = path->slot[level];
    struct split split = split_plan(node, slot, len);
    struct hfs_key separator = *key;
    if (level > 0) {
        separator = node_children(node)[split.at].key;
    } else if (!split.right || slot != split.at) {
        separator = node_items(node)[split.at].key;
    }
    items_move(tree->fs, node, split.at, right);
    struct hfs_child child;
    child_of(right, &separator, &child);
    inner_insert(path->node[level + 1], path->slot[level + 1] + 1, &child);
    if (split.right) {
        path->slot[level] -= split.at;
        path->slot[level + 1]++;
        path->node[level] = right;
        node_put(tree->fs, node);
    } else {
        path->high[level] = separator;
        node_put(tree->fs, right);
    }
    return HX_OK;
}

static bool node_has_room(const struct hfs_node *node, u32 len)
{
    if (node->head->level > 0) {
        return node->head->count < INNER_MAX;
    }
    return node_used(node) + leaf_need(len) <= CAPACITY;
}

/* Splits what is full from the leaf up, top first, so that every parent has room. */
static enum hx_status path_make_room(struct hfs_path *path, const struct hfs_key *key, u32 len)
{
    u32 full = 0;
    while (full < path->levels && !node_has_room(path->node[full], len)) {
        full++;
    }
    if (full == path->levels && full > 0) {
        enum hx_status status = tree_grow(path);
        if (status != HX_OK) {
            return status;
        }
    }
    for (u32 level = full; level-- > 0;) {
        enum hx_status status = path_split(path, level, key, len);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

static enum hx_status tree_plant(struct hfs_tree *tree)
{
    struct hfs_node *root;
    enum hx_status status = node_create(tree, 0, &root);
    if (status == HX_OK) {
        tree->levels = 1;
        tree->root = (struct hfs_bptr){
            .addr = root->head->addr, .copy = root->copy, .birth = root->head->birth};
        node_put(tree->fs, root);
    }
    return status;
}

enum hx_status tree_put(struct hfs_tree *tree, const struct hfs_key *key, const void *value,
                        u32 len)
{
    HX_ASSERT(len <= HFS_ITEM_MAX);
    enum hx_status status;
    if (tree->levels == 0) {
        status = tree_plant(tree);
        if (status != HX_OK) {
            return status;
        }
    }
    struct hfs_path path;
    status = path_descend(tree, key, &path);
    if (status != HX_OK) {
        return status;
    }
    status = path_dirty(&path);
    if (status == HX_OK && path_is_at(&path, key)) {
        struct hfs_item *item = &node_items(path.node[0])[path.slot[0]];
        if (item->len == len) {
            memset(path.node[0]->bytes + item->off, 0, len);
            if (value != NULL) {
                memcpy(path.node[0]->bytes + item->off, value, len);
            }
            tree_release(&path);
            return HX_OK;
        }
        leaf_delete(path.node[0], path.slot[0]);
    }
    if (status == HX_OK) {
        status = path_make_room(&path, key, len);
    }
    if (status == HX_OK) {
        leaf_insert(tree->fs, path.node[0], path.slot[0], key, value, len);
    }
    tree_release(&path);
    return status;
}

enum hx_status tree_edit(struct hfs_tree *tree, const struct hfs_key *key, struct hfs_path *path,
                         void **out_value, u32 *out_len)
{
    enum hx_status status = tree_find(tree, key, path, out_value, out_len);
    if (status == HX_OK) {
        status = path_dirty(path);
        if (status != HX_OK) {
            tree_release(path);
        }
    }
    return status;
}

/* Takes the child at path->slot[level] out of path->node[level], and whatever that empties. */
static enum hx_status path_cut(struct hfs_path *path, u32 level)
{
    struct hfs_tree *tree = path->tree;
    for (; level < path->levels; level++) {
        struct hfs_node *node = path->node[level];
        if (level > 0) {
            inner_delete(node, path->slot[level]);
            if (path->slot[level] == 0 && node->head->count > 0) {
                /* inv 3: the first separator stays the node's own lower bound */
                struct hfs_key low = {0};
                if (level + 1 < path->levels) {
                    low = node_children(path->node[level + 1])[path->slot[level + 1]].key;
                }
                node_children(node)[0].key = low;
            }
        }
        if (node->head->count > 0) {
            return HX_OK;
        }
        path->node[level] = NULL;
        enum hx_status status = node_delete(tree, node);
        if (status != HX_OK) {
            return status;
        }
    }
    tree->levels = 0;
    tree->root = (struct hfs_bptr){0};
    return HX_OK;
}

/* inv 2: a root with one child gives way. The path is released. */
static enum hx_status tree_shrink(struct hfs_tree *tree)
{
    while (tree->levels > 1) {
        struct node_expect expect = {
            .ptr = &tree->root, .level = tree->levels - 1, .high = hfs_key_max};
        struct hfs_node *root;
        enum hx_status status = node_get(tree, &expect, &root);
        if (status != HX_OK) {
            return status;
        }
        if (root->head->count > 1 || !root->dirty) {
            node_put(tree->fs, root);
            return HX_OK;
        }
        tree->root = node_children(root)[0].ptr;
        tree->levels--;
        status = node_delete(tree, root);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

/* Merges a thin node with the neighbour on its right, or it into the one on its left. What cannot
 * be read is left alone. */
static enum hx_status path_merge(struct hfs_path *path, u32 level)
{
    struct hfs_tree *tree = path->tree;
    if (level + 1 >= path->levels || path->node[level + 1] == NULL) {
        return HX_OK;
    }
    struct hfs_node *parent = path->node[level + 1], *node = path->node[level];
    if (node_used(node) >= CAPACITY / 4 || parent->head->count < 2) {
        return HX_OK;
    }
    u32 slot = path->slot[level + 1];
    bool take_right = slot + 1u < parent->head->count;
    u32 other_slot = take_right ? slot + 1 : slot - 1;
    struct hfs_child *children = node_children(parent);
    bool last = other_slot + 1u == parent->head->count;
    struct node_expect expect = {.ptr = &children[other_slot].ptr,
                                 .level = level,
                                 .low = children[other_slot].key,
                                 .high =
                                     last ? path->high[level + 1] : children[other_slot + 1].key};
    struct hfs_node *other;
    if (node_get(tree, &expect, &other) != HX_OK) {
        return HX_OK;
    }
    if (node_used(node) + node_used(other) > CAPACITY / 4 * 3) {
        node_put(tree->fs, other);
        return HX_OK;
    }
    struct hfs_node *left = take_right ? node : other, *right = take_right ? other : node;
    u32 left_slot = take_right ? slot : other_slot;
    enum hx_status status = node_dirty(tree, left);
    if (status != HX_OK) {
        node_put(tree->fs, other);
        return status;
    }
    children[left_slot].ptr =
        (struct hfs_bptr){.addr = left->head->addr, .copy = left->copy, .birth = left->head->birth};
    /* The right one may be clean: its items are read, then its place is freed. */
    if (level > 0) {
        struct hfs_child *from = node_children(right), *to = node_children(left);
        memcpy(&to[left->head->count], from, right->head->count * sizeof(*from));
        left->head->count = (u16)(left->head->count + right->head->count);
    } else {
        for (u32 i = 0; i < right->head->count; i++) {
            const struct hfs_item *item = &node_items(right)[i];
            leaf_insert(tree->fs, left, left->head->count, &item->key, right->bytes + item->off,
                        item->len);
        }
    }
    inner_delete(parent, left_slot + 1);
    path->node[level] = NULL;
    node_put(tree->fs, left);
    return node_delete(tree, right);
}

enum hx_status tree_remove(struct hfs_tree *tree, const struct hfs_key *key)
{
    struct hfs_path path;
    void *value;
    u32 len;
    enum hx_status status = tree_edit(tree, key, &path, &value, &len);
    if (status != HX_OK) {
        return status;
    }
    leaf_delete(path.node[0], path.slot[0]);
    if (path.node[0]->head->count == 0) {
        status = path_cut(&path, 0);
    }
    for (u32 level = 0; status == HX_OK && level + 1 < path.levels; level++) {
        if (path.node[level] != NULL) {
            status = path_merge(&path, level);
        }
    }
    tree_release(&path);
    if (status == HX_OK) {
        status = tree_shrink(tree);
    }
    return status;
}

/* A dirty child was born in the open group, and only dirty nodes were. */
enum hx_status tree_write(struct hfs_tree *tree)
{
    struct hfs *fs = tree->fs;
    if (tree->levels == 0 || tree->root.birth != fs->txg) {
        return HX_OK;
    }
    struct hfs_path path = {.tree = tree, .levels = tree->levels};
    u32 top = tree->levels - 1, level = top;
    path.high[top] = hfs_key_max;
    struct node_expect expect = {.ptr = &tree->root, .level = top, .high = hfs_key_max};
    enum hx_status status = node_get(tree, &expect, &path.node[top]);
    while (status == HX_OK) {
        struct hfs_node *node = path.node[level];
        while (level > 0 && path.slot[level] < node->head->count &&
               node_children(node)[path.slot[level]].ptr.birth != fs->txg) {
            path.slot[level]++;
        }
        if (level > 0 && path.slot[level] < node->head->count) {
            level--;
            path.slot[level] = 0;
            status = path_child(&path, level);
            continue;
        }
        struct hfs_bptr *ptr = &tree->root;
        if (level < top) {
            ptr = &node_children(path.node[level + 1])[path.slot[level + 1]].ptr;
        }
        status = node_write(tree, node, ptr);
        node_put(fs, node);
        path.node[level] = NULL;
        if (level == top) {
            break;
        }
        path.slot[++level]++;
    }
    tree_release(&path);
    return status;
}

/* Descends along the first children to a leaf, or to the first pointer into what belongs to
 * somebody else; *out_level says where it stopped. */
static enum hx_status prune_descend(struct hfs_tree *tree, u64 floor, struct hfs_path *path,
                                    u32 *out_level)
{
    memset(path, 0, sizeof(*path));
    path->tree = tree;
    path->levels = tree->levels;
    u32 level = tree->levels - 1;
    path->high[level] = hfs_key_max;
    struct node_expect expect = {.ptr = &tree->root, .level = level, .high = hfs_key_max};
    enum hx_status status = node_get(tree, &expect, &path->node[level]);
    while (status == HX_OK && level > 0 && node_children(path->node[level])[0].ptr.birth > floor) {
        status = path_child(path, --level);
    }
    *out_level = level;
    return status;
}

static enum hx_status prune_leaf(struct hfs_tree *tree, struct hfs_node *leaf)
{
    enum hx_status status = HX_OK;
    for (u32 i = 0; status == HX_OK && i < leaf->head->count; i++) {
        struct hfs_item *item = &node_items(leaf)[i];
        const struct hfs_extent *ext = (void *)(leaf->bytes + item->off);
        if (item->key.kind == HFS_KIND_EXTENT && item->key.oid != 0 &&
            extent_check(tree->fs, ext, item->len) == HX_OK) {
            status = dead_free(tree->fs, tree->sv, ext->addr, ext->blocks, ext->birth, false);
        }
    }
    leaf->head->count = 0;
    return status;
}

enum hx_status tree_prune(struct hfs_tree *tree, u64 floor, u32 budget, bool *done)
{
    struct hfs *fs = tree->fs;
    enum hx_status status = HX_OK;
    while (status == HX_OK && tree->levels > 0 && budget-- > 0) {
        fs->changed = true;
        if (tree->root.birth <= floor) {
            tree->levels = 0; /* all of it belongs to somebody else */
            tree->root = (struct hfs_bptr){0};
            break;
        }
        struct hfs_path path;
        u32 level;
        status = prune_descend(tree, floor, &path, &level);
        if (status == HX_OK) {
            status = path_dirty(&path);
        }
        if (status == HX_OK && level == 0) {
            status = prune_leaf(tree, path.node[0]);
        }
        if (status == HX_OK) {
            status = path_cut(&path, level);
        }
        tree_release(&path);
        if (status == HX_OK) {
            status = dead_flush(fs);
        }
    }
    *done = tree->levels == 0;
    return status;
}
