/* SPDX-License-Identifier: MIT */
/* The proof checker, and the scrubber that walks the same way.
 * Owns:      nothing on the disk.      Callers: fsck, tests; hfs_scrub on a mounted file system.
 * Context:   thread; may block; memory grows with the inodes of one subvolume and with the blocks
 * in use (one bit each). Invariant: (1) an image passes only if every block is exactly one of:
 * fixed, reachable from a tree, named by a dead record, free; and bitmaps and sums say so.  (2) it
 * shares node_check, extent_check and inode_check with the running code, and nothing that could
 * hide an error: what is in use is computed from the trees alone.
 *
 * Chain by chain, oldest snapshot first. A block born before the previous snapshot must have been
 * seen in it, one born after must not have been seen at all; the live tree is walked whole, with a
 * bitmap of its own, so that what snapshots use and it does not can be held against the dead
 * records.
 */
#include "hfs_priv.h"
#include <helix/format.h>

struct inode_note {
    u64 ino, parent, entries, found_entries, found_links, found_dirs;
    u32 mode, nlink;
    u8 color; /* of the search for cycles */
    bool orphan;
};

struct link_note {
    u64 dir, ino;
    u8 type;
};

struct array {
    void *data;
    u64 count, room;
};

struct verify {
    struct hfs *fs;
    const struct hfs_verify_opts *opts;
    struct hfs_verify_result *out;
    struct hfs_scrub_result *scrub;
    u64 **used, **live;             /* a bitmap for each group, NULL: nothing */
    u8 *buf, *buf2;                 /* a node each */
    u64 snap_blocks, shared_blocks; /* of the present chain */
    /* Present tree */
    struct hfs_subvol *sv;
    u64 bound; /* births up to it were seen in an older snapshot */
    struct array inodes, links, orphans;
    struct inode_note note;
    struct hfs_dinode d;
    u64 blocks, xattrs, next_block;
    enum hx_status status; /* why it cannot go on */
    bool repair;
    bool dying; /* the present chain has a snapshot being destroyed */
    bool is_live, in_inode;
};

static void problem(struct verify *v, const char *fmt, ...) HX_PRINTF(2, 3);
static void problem(struct verify *v, const char *fmt, ...)
{
    v->out->problems++;
    if (v->opts->problem != NULL) {
        char text[200];
        va_list args;
        va_start(args, fmt);
        format_buffer_va(text, sizeof(text), fmt, args);
        va_end(args);
        v->opts->problem(v->opts->ctx, text);
    }
}

static void *array_add(struct verify *v, struct array *a, size_t size)
{
    if (a->count == a->room) {
        u64 room = a->room > 0 ? a->room * 2 : 64;
        void *data = os_alloc(room * size);
        if (data == NULL) {
            v->status = HX_ERR_NO_MEMORY;
            return NULL;
        }
        if (a->count > 0) {
            memcpy(data, a->data, a->count * size);
        }
        os_free(a->data);
        a->data = data;
        a->room = room;
    }
    return (u8 *)a->data + a->count++ * size;
}

static void array_clear(struct array *a)
{
    os_free(a->data);
    *a = (struct array){0};
}

/* Bitmaps of the whole device */

static bool bit_get(u64 **map, u64 block)
{
    const u64 *group = map[block / HFS_GROUP];
    u64 bit = block % HFS_GROUP;
    return group != NULL && (group[bit / 64] >> (bit % 64) & 1) != 0;
}

static void bit_set(struct verify *v, u64 **map, u64 block)
{
    u64 **group = &map[block / HFS_GROUP];
    if (*group == NULL) {
        *group = os_alloc(HFS_BLOCK);
        if (*group == NULL) {
            v->status = HX_ERR_NO_MEMORY;
            return;
        }
        memset(*group, 0, HFS_BLOCK);
    }
    u64 bit = block % HFS_GROUP;
    (*group)[bit / 64] |= HX_BIT(bit % 64);
}

static void map_clear(struct verify *v, u64 **map)
{
    for (u32 g = 0; g < v->fs->space.group_count; g++) {
        os_free(map[g]);
        map[g] = NULL;
    }
}

/* Enters a run that the present tree names. what is for people. */
static void mark_run(struct verify *v, u64 addr, u64 len, u64 birth, const char *what)
{
    bool shared = v->sv != NULL && birth <= v->bound;
    if (addr / HFS_GROUP >= v->fs->space.group_count ||
        (addr + len - 1) / HFS_GROUP >= v->fs->space.group_count) {
        problem(v, "%s at block %llu lies outside the groups", what, (unsigned long long)addr);
        return;
    }
    for (u64 b = addr; b < addr + len && v->status == HX_OK; b++) {
        if (v->is_live && bit_get(v->live, b)) {
            problem(v, "%s at block %llu is named twice", what, (unsigned long long)b);
            return;
        }
        if (v->is_live) {
            bit_set(v, v->live, b);
        }
        if (bit_get(v->used, b) != shared) {
            problem(v,
                    shared ? "%s at block %llu should be in an older snapshot, and is not"
                           : "%s at block %llu is in use elsewhere",
                    what, (unsigned long long)b);
            return;
        }
        if (!shared) {
            bit_set(v, v->used, b);
            v->out->blocks_used++;
        }
    }
    if (v->is_live) {
        v->shared_blocks += shared && birth > v->sv->d.floor ? len : 0;
    } else {
        v->snap_blocks += shared ? 0 : len;
    }
}

/* Items of a live tree */

static void inode_done(struct verify *v)
{
    unsigned long long ino = v->note.ino;
    if (!v->in_inode) {
        return;
    }
    v->in_inode = false;
    if (v->d.blocks != v->blocks) {
        problem(v, "inode %llu: says %llu blocks, has %llu", ino, (unsigned long long)v->d.blocks,
                (unsigned long long)v->blocks);
    }
    if (v->d.xattrs != v->xattrs) {
        problem(v, "inode %llu: says %llu attributes, has %llu", ino,
                (unsigned long long)v->d.xattrs, (unsigned long long)v->xattrs);
    }
    if ((v->d.mode & HFS_IFMT) == HFS_IFDIR && v->d.entries != v->note.found_entries) {
        problem(v, "directory %llu: says %llu names, has %llu", ino,
                (unsigned long long)v->d.entries, (unsigned long long)v->note.found_entries);
    }
    struct inode_note *note = array_add(v, &v->inodes, sizeof(*note));
    if (note != NULL) {
        *note = v->note;
    }
}

static void item_inode(struct verify *v, const struct hfs_key *key, const void *value, u32 len)
{
    inode_done(v);
    if (len < sizeof(v->d) || key->off != 0) {
        problem(v, "inode %llu: malformed", (unsigned long long)key->oid);
        return;
    }
    memcpy(&v->d, value, sizeof(v->d));
    if (inode_check(&v->d, len) != HX_OK || key->oid >= v->sv->d.next_ino) {
        problem(v, "inode %llu: malformed", (unsigned long long)key->oid);
        return;
    }
    u32 type = v->d.mode & HFS_IFMT;
    v->out->files += type == HFS_IFREG;
    v->out->dirs += type == HFS_IFDIR;
    v->out->links += type == HFS_IFLNK;
    v->in_inode = true;
    v->blocks = v->xattrs = v->next_block = 0;
    v->note = (struct inode_note){
        .ino = key->oid, .parent = v->d.parent, .mode = v->d.mode, .nlink = v->d.nlink};
}

static void item_dirent(struct verify *v, const struct hfs_key *key, const u8 *item, u32 len)
{
    if ((v->d.mode & HFS_IFMT) != HFS_IFDIR) {
        problem(v, "inode %llu: has names but is no directory", (unsigned long long)key->oid);
        return;
    }
    u32 off = 0;
    while (off < len) {
        const struct hfs_dirent *e = (const void *)(item + off);
        if (len - off < sizeof(*e) || e->name_len == 0 || e->name_len > len - off - sizeof(*e)) {
            problem(v, "directory %llu: malformed names", (unsigned long long)key->oid);
            return;
        }
        struct hfs_name name = {(const char *)(e + 1), e->name_len};
        if (name_check(name) != HX_OK || name_hash(v->fs, name.s, name.len) != key->off) {
            problem(v, "directory %llu: a name is illegal or in the wrong place",
                    (unsigned long long)key->oid);
        }
        struct link_note *link = array_add(v, &v->links, sizeof(*link));
        if (link != NULL) {
            *link = (struct link_note){.dir = key->oid, .ino = e->ino, .type = e->type};
        }
        v->note.found_entries++;
        off += (u32)sizeof(*e) + e->name_len;
    }
}

static void item_xattr(struct verify *v, const struct hfs_key *key, const u8 *item, u32 len)
{
    u32 off = 0;
    while (off < len) {
        const struct hfs_dxattr *e = (const void *)(item + off);
        if (len - off < sizeof(*e) || (u32)e->name_len + e->value_len > len - off - sizeof(*e) ||
            e->name_len == 0 || name_hash(v->fs, (const char *)(e + 1), e->name_len) != key->off) {
            problem(v, "inode %llu: malformed attributes", (unsigned long long)key->oid);
            return;
        }
        v->xattrs++;
        off += (u32)sizeof(*e) + e->name_len + e->value_len;
    }
}

static void item_extent(struct verify *v, const struct hfs_key *key, const struct hfs_extent *ext)
{
    u64 end = (v->d.size + HFS_BLOCK - 1) / HFS_BLOCK;
    bool cut = false;
    for (u64 i = 0; i < v->orphans.count; i++) {
        cut |= ((u64 *)v->orphans.data)[i] == key->oid;
    }
    if ((v->d.flags & HFS_INODE_INLINE) != 0 || (v->d.mode & HFS_IFMT) != HFS_IFREG) {
        problem(v, "inode %llu: has extents that it must not have", (unsigned long long)key->oid);
    } else if (key->off < v->next_block) {
        problem(v, "inode %llu: extents overlap", (unsigned long long)key->oid);
    } else if (key->off + ext->len > end && !cut) {
        problem(v, "inode %llu: extents behind its end", (unsigned long long)key->oid);
    }
    v->next_block = key->off + ext->len;
    v->blocks += ext->blocks;
}

static void live_item(struct verify *v, const struct hfs_key *key, const void *value, u32 len)
{
    if (key->oid == 0) {
        u64 *orphan = array_add(v, &v->orphans, sizeof(*orphan));
        if (orphan != NULL) {
            *orphan = key->off;
        }
        return;
    }
    if (key->kind == HFS_KIND_INODE) {
        item_inode(v, key, value, len);
        return;
    }
    if (!v->in_inode || v->note.ino != key->oid) {
        problem(v, "inode %llu: is missing, but has items", (unsigned long long)key->oid);
        return;
    }
    switch (key->kind) {
    case HFS_KIND_XATTR:
        item_xattr(v, key, value, len);
        break;
    case HFS_KIND_DIRENT:
        item_dirent(v, key, value, len);
        break;
    case HFS_KIND_EXTENT:
        if (extent_check(v->fs, value, len) == HX_OK) {
            item_extent(v, key, value);
        }
        break;
    default:
        problem(v, "inode %llu: unknown item", (unsigned long long)key->oid);
        break;
    }
}

/* Every item of every tree */
static void item(struct verify *v, const struct hfs_path *path)
{
    const struct hfs_key *key = path_key(path);
    u32 len;
    const void *value = path_value(path, &len);
    if (v->sv != NULL && key->oid != 0 && key->kind == HFS_KIND_EXTENT) {
        const struct hfs_extent *ext = value;
        if (extent_check(v->fs, ext, len) != HX_OK) {
            problem(v, "inode %llu: malformed extent", (unsigned long long)key->oid);
            return;
        }
        v->out->extents++;
        mark_run(v, ext->addr, ext->blocks, ext->birth, "data");
        bool fresh = v->sv == NULL || ext->birth > v->bound || v->is_live;
        if (v->opts->data && fresh && extent_verify(v->fs, ext) != HX_OK) {
            problem(v, "inode %llu: data at block %llu is damaged", (unsigned long long)key->oid,
                    (unsigned long long)ext->addr);
            if (v->scrub != NULL) {
                v->scrub->lost += ext->blocks;
            }
        }
    }
    if (v->is_live && v->sv != NULL) {
        live_item(v, key, value, len);
    }
}

/* Reads both copies of a node. False: neither is good. */
static bool node_both(struct verify *v, const struct node_expect *expect)
{
    struct hfs *fs = v->fs;
    enum hx_status a = node_copy_read(fs, v->sv, expect->ptr->addr, expect, v->buf);
    enum hx_status b = HX_OK;
    if (expect->ptr->copy != 0) {
        b = node_copy_read(fs, v->sv, expect->ptr->copy, expect, v->buf2);
    }
    bool good = a == HX_OK || (expect->ptr->copy != 0 && b == HX_OK);
    v->out->nodes++;
    if (a == HX_OK && b == HX_OK) {
        return true;
    }
    problem(v, "node at block %llu: %s damaged", (unsigned long long)expect->ptr->addr,
            !good ? "every copy is" : "one copy is");
    if (v->scrub != NULL && good && v->repair) {
        u64 from = a == HX_OK ? expect->ptr->addr : expect->ptr->copy;
        u64 to = a == HX_OK ? expect->ptr->copy : expect->ptr->addr;
        v->scrub->repaired += node_copy_repair(fs, from, to, v->buf) == HX_OK;
    } else if (v->scrub != NULL && !good) {
        v->scrub->lost += HFS_NODE_BLOCKS;
    }
    return good;
}

/* A node on its way into the walk. False: do not go below it. */
static bool node_enter(struct verify *v, const struct node_expect *expect)
{
    const struct hfs_bptr *ptr = expect->ptr;
    u64 floor = v->sv != NULL ? v->sv->d.floor : 0;
    bool skip = v->sv != NULL && ptr->birth <= (v->is_live ? floor : v->bound);
    if (skip) {
        if (!bit_get(v->used, ptr->addr)) {
            problem(v, "node at block %llu should be in an older snapshot, and is not",
                    (unsigned long long)ptr->addr);
        }
        return false;
    }
    u64 before = v->out->problems;
    mark_run(v, ptr->addr, HFS_NODE_BLOCKS, ptr->birth, "node");
    if (ptr->copy != 0) {
        mark_run(v, ptr->copy, HFS_NODE_BLOCKS, ptr->birth, "node copy");
    }
    /* What is named twice is walked once: an image may close a circle. */
    return v->out->problems == before && node_both(v, expect);
}

/* Walks a tree: path.node[level] is held, path.slot[level] the child that comes next. */
static void walk(struct verify *v, struct hfs_tree *tree)
{
    struct hfs *fs = v->fs;
    if (tree->levels == 0) {
        return;
    }
    struct hfs_path path = {.tree = tree, .levels = tree->levels};
    u32 top = tree->levels - 1, level = top;
    struct node_expect expect = {.ptr = &tree->root, .level = top, .high = hfs_key_max};
    path.high[top] = hfs_key_max;
    if (!node_enter(v, &expect) || node_get(tree, &expect, &path.node[top]) != HX_OK) {
        return;
    }
    while (v->status == HX_OK) {
        struct hfs_node *node = path.node[level];
        if (level > 0 && path.slot[level] < node->head->count) {
            const struct hfs_child *child = &node_children(node)[path.slot[level]];
            bool last = path.slot[level] + 1u == node->head->count;
            struct node_expect below = {.ptr = &child->ptr,
                                        .level = level - 1,
                                        .low = child->key,
                                        .high = last ? path.high[level] : child[1].key};
            if (node_enter(v, &below) && node_get(tree, &below, &path.node[level - 1]) == HX_OK) {
                level--;
                path.high[level] = below.high;
                path.slot[level] = 0;
            } else {
                path.slot[level]++;
            }
            continue;
        }
        for (path.slot[0] = 0; level == 0 && path.slot[0] < node->head->count; path.slot[0]++) {
            item(v, &path);
        }
        node_put(fs, node);
        path.node[level] = NULL;
        if (level == top) {
            break;
        }
        path.slot[++level]++;
    }
    tree_release(&path);
}

/* Links of a live tree */

static struct inode_note *note_find(struct verify *v, u64 ino)
{
    struct inode_note *notes = v->inodes.data;
    u64 lo = 0, hi = v->inodes.count;
    while (lo < hi) {
        u64 mid = (lo + hi) / 2;
        if (notes[mid].ino < ino) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < v->inodes.count && notes[lo].ino == ino ? &notes[lo] : NULL;
}

/* Follows parents until something known to hang on the root; what was passed hangs on it too. */
static void check_rooted(struct verify *v, struct inode_note *start)
{
    struct inode_note *at = start;
    while (at != NULL && at->color == 0 && at->ino != HFS_INO_ROOT) {
        at->color = 1;
        at = note_find(v, at->parent);
    }
    bool good = at != NULL && (at->ino == HFS_INO_ROOT || at->color == 2);
    if (!good) {
        problem(v, "directory %llu: does not hang on the root", (unsigned long long)start->ino);
    }
    for (at = start; at != NULL && at->color == 1; at = note_find(v, at->parent)) {
        at->color = 2;
    }
}

static void check_note(struct verify *v, struct inode_note *note)
{
    unsigned long long ino = note->ino;
    bool dir = (note->mode & HFS_IFMT) == HFS_IFDIR, root = note->ino == HFS_INO_ROOT;
    if (note->nlink == 0) {
        if (!note->orphan || note->found_links != 0) {
            problem(v, "inode %llu: no links, but %s", ino,
                    note->found_links != 0 ? "names" : "not known as an orphan");
        }
        return;
    }
    u64 links = dir ? 2 + note->found_dirs : note->found_links;
    if (links != note->nlink) {
        problem(v, "inode %llu: says %u links, has %llu", ino, note->nlink,
                (unsigned long long)links);
    }
    if (dir && note->found_links != !root) {
        problem(v, "directory %llu: has %llu names", ino, (unsigned long long)note->found_links);
    }
    if (dir && note->color == 0) {
        check_rooted(v, note);
    }
}

static void check_links(struct verify *v)
{
    inode_done(v);
    struct link_note *links = v->links.data;
    for (u64 i = 0; i < v->links.count && v->status == HX_OK; i++) {
        struct inode_note *note = note_find(v, links[i].ino), *dir = note_find(v, links[i].dir);
        if (note == NULL || note->mode >> 12 != links[i].type) {
            problem(v, "directory %llu: a name for inode %llu, which is %s",
                    (unsigned long long)links[i].dir, (unsigned long long)links[i].ino,
                    note == NULL ? "missing" : "of another type");
            continue;
        }
        note->found_links++;
        if ((note->mode & HFS_IFMT) == HFS_IFDIR) {
            dir->found_dirs++;
            if (note->parent != links[i].dir) {
                problem(v, "directory %llu: has the wrong parent", (unsigned long long)note->ino);
            }
        }
    }
    for (u64 i = 0; i < v->orphans.count; i++) {
        struct inode_note *note = note_find(v, ((u64 *)v->orphans.data)[i]);
        if (note == NULL) {
            problem(v, "orphan %llu is missing", (unsigned long long)((u64 *)v->orphans.data)[i]);
        } else {
            note->orphan = true;
        }
    }
    struct inode_note *notes = v->inodes.data;
    for (u64 i = 0; i < v->inodes.count; i++) {
        check_note(v, &notes[i]);
    }
    if (note_find(v, HFS_INO_ROOT) == NULL && (v->sv->d.flags & HFS_SV_DYING) == 0) {
        problem(v, "the root directory is missing");
    }
    array_clear(&v->inodes);
    array_clear(&v->links);
    array_clear(&v->orphans);
}

/* Chains */

static void check_dead(struct verify *v, const struct hfs_subvol *live)
{
    struct hfs *fs = v->fs;
    struct hfs_key key = {HFS_OID_DEAD | live->id, 0, 0};
    struct hfs_path path;
    u64 dead_blocks = 0;
    enum hx_status status = tree_seek(&fs->root, &key, &path);
    while (status == HX_OK) {
        const struct hfs_key *at = path_key(&path);
        u32 len;
        const struct hfs_dead *dead = path_value(&path, &len);
        if (at->oid != key.oid) {
            tree_release(&path);
            break;
        }
        if (len != sizeof(*dead) || dead->len == 0 || dead->len > HFS_EXTENT_MAX ||
            at->off / HFS_GROUP >= fs->space.group_count ||
            (at->off + dead->len) / HFS_GROUP >= fs->space.group_count + 1u ||
            at->kind <= live->d.floor || dead->death <= at->kind) {
            problem(v, "subvolume %llu: malformed dead record", (unsigned long long)live->id);
            status = tree_next(&path);
            continue;
        }
        v->out->dead++;
        bool late = at->kind > live->d.prev_birth;
        for (u64 b = at->off; b < at->off + dead->len && b / HFS_GROUP < fs->space.group_count;
             b++) {
            bool used = bit_get(v->used, b);
            if (bit_get(v->live, b) || ((!used || late) && !v->dying)) {
                problem(v, "block %llu: called dead, but %s", (unsigned long long)b,
                        bit_get(v->live, b) ? "in use" : "no snapshot has it");
                break;
            }
            dead_blocks += used;
            if (!used) {
                bit_set(v, v->used, b);
                v->out->blocks_used++;
            }
        }
        status = tree_next(&path);
    }
    if (status != HX_OK && status != HX_ERR_END) {
        problem(v, "subvolume %llu: dead records cannot be read", (unsigned long long)live->id);
    }
    if (v->snap_blocks != v->shared_blocks + dead_blocks) {
        problem(v, "subvolume %llu: snapshots hold %llu blocks, of which %llu live, %llu dead",
                (unsigned long long)live->id, (unsigned long long)v->snap_blocks,
                (unsigned long long)v->shared_blocks, (unsigned long long)dead_blocks);
    }
}

static void walk_subvol(struct verify *v, struct hfs_subvol *sv, u64 bound, bool is_live)
{
    v->sv = sv;
    v->bound = bound;
    v->is_live = is_live;
    walk(v, &sv->tree);
    if (is_live) {
        check_links(v);
    }
}

/* The snapshots of a chain, oldest first, then the live one. */
static void check_chain(struct verify *v, struct hfs_subvol *live)
{
    struct hfs *fs = v->fs;
    struct array ids = {0};
    u64 at = live->d.prev, birth = live->d.prev_birth, newer = 0;
    while (at != 0 && v->status == HX_OK) {
        struct hfs_subvol *snap;
        if (subvol_load(fs, at, &snap) != HX_OK) {
            problem(v, "snapshot %llu cannot be read", (unsigned long long)at);
            break;
        }
        u64 *id = array_add(v, &ids, sizeof(*id));
        if (id != NULL) {
            *id = at;
        }
        bool fits = (snap->d.flags & HFS_SV_SNAPSHOT) != 0 && snap->d.chain == live->id &&
                    snap->d.birth == birth && snap->d.prev_birth < birth && snap->d.next == newer;
        newer = at;
        at = snap->d.prev;
        birth = snap->d.prev_birth;
        subvol_put(snap);
        if (!fits) {
            problem(v, "snapshot %llu does not fit its chain", (unsigned long long)newer);
            break;
        }
    }
    if (at == 0 && birth != live->d.floor) {
        problem(v, "subvolume %llu: its chain has the wrong end", (unsigned long long)live->id);
    }
    v->snap_blocks = v->shared_blocks = 0;
    for (u64 i = ids.count; i-- > 0 && v->status == HX_OK;) {
        struct hfs_subvol *snap;
        if (subvol_load(fs, ((u64 *)ids.data)[i], &snap) == HX_OK) {
            v->out->snapshots++;
            walk_subvol(v, snap, snap->d.prev_birth, false);
            subvol_put(snap);
            subvol_trim(fs);
        }
    }
    array_clear(&ids);
    walk_subvol(v, live, live->d.prev_birth, true);
    check_dead(v, live);
    map_clear(v, v->live);
}

/* Is a snapshot of that chain being destroyed? */
static bool chain_is_dying(struct verify *v, u64 chain)
{
    struct hfs_key key = {HFS_OID_DYING, 0, 0};
    for (;;) {
        struct hfs_path path;
        if (tree_seek(&v->fs->root, &key, &path) != HX_OK) {
            return false;
        }
        key = *path_key(&path);
        tree_release(&path);
        struct hfs_subvol *sv;
        if (key.oid != HFS_OID_DYING || subvol_load(v->fs, key.off, &sv) != HX_OK) {
            return false;
        }
        bool found = (sv->d.flags & HFS_SV_SNAPSHOT) != 0 && sv->d.chain == chain;
        subvol_put(sv);
        if (found) {
            return true;
        }
        key.off++;
    }
}

static void check_subvols(struct verify *v)
{
    struct hfs *fs = v->fs;
    struct hfs_key key = {HFS_SUBVOL_FIRST, 0, 0};
    while (v->status == HX_OK) {
        struct hfs_path path;
        enum hx_status status = tree_seek(&fs->root, &key, &path);
        if (status != HX_OK) {
            if (status != HX_ERR_END) {
                problem(v, "the root tree cannot be read");
            }
            return;
        }
        key = *path_key(&path);
        tree_release(&path);
        if (key.oid >= HFS_OID_DYING) {
            return;
        }
        struct hfs_subvol *sv;
        status = key.kind == HFS_ROOT_SUBVOL ? subvol_load(fs, key.oid, &sv) : HX_ERR_END;
        if (status == HX_OK) {
            if ((sv->d.flags & HFS_SV_SNAPSHOT) == 0) {
                v->dying = chain_is_dying(v, sv->id);
                check_chain(v, sv);
            }
            subvol_put(sv);
            subvol_trim(fs);
        } else if (status == HX_ERR_ACCESS || status == HX_ERR_SIGNATURE) {
            v->out->locked++;
        } else if (status != HX_ERR_END) {
            problem(v, "subvolume %llu: malformed", (unsigned long long)key.oid);
        }
        key.off++;
    }
}

/* What was found against what the bitmaps say. */
static void check_group(struct verify *v, u32 index, u64 *free_sum, u64 *quad_sum)
{
    struct hfs *fs = v->fs;
    struct hfs_space_entry entry;
    if (space_group_entry(fs, index, &entry) != HX_OK) {
        problem(v, "group %u: its summary is damaged", index);
        return;
    }
    u64 *expect = (u64 *)v->buf;
    memset(expect, 0, HFS_BLOCK);
    space_fixed(&fs->super, index, expect);
    for (u32 i = 0; v->used[index] != NULL && i < HFS_WORDS; i++) {
        if ((expect[i] & v->used[index][i]) != 0) {
            problem(v, "group %u: a tree uses blocks of the format itself", index);
        }
        expect[i] |= v->used[index][i];
    }
    u64 free, quads;
    space_count(expect, &free, &quads);
    *free_sum += entry.free;
    *quad_sum += entry.quads;
    struct space_group *g;
    if (space_group_get(fs, index, &g) != HX_OK) {
        problem(v, "group %u: its bitmap is damaged", index);
        return;
    }
    for (u32 i = 0; i < HFS_WORDS; i++) {
        u64 lost = expect[i] & ~g->alloc[i], leaked = g->alloc[i] & ~expect[i];
        if (lost != 0 || (leaked != 0 && v->out->locked == 0)) {
            u64 bit = (u64)__builtin_ctzll(lost != 0 ? lost : leaked);
            problem(v, "block %llu: %s",
                    (unsigned long long)((u64)index * HFS_GROUP + i * 64ull + bit),
                    lost != 0 ? "in use, but marked free" : "marked in use, but nothing uses it");
            return;
        }
    }
    if (v->out->locked == 0 && (entry.free != free || entry.quads != quads)) {
        problem(v, "group %u: its summary says %llu free, it has %llu", index,
                (unsigned long long)entry.free, (unsigned long long)free);
    }
}

static void check_space(struct verify *v)
{
    struct hfs *fs = v->fs;
    u64 free = 0, quads = 0;
    for (u32 g = 0; g < fs->space.group_count && v->status == HX_OK; g++) {
        struct hfs_space_entry entry;
        if (v->used[g] == NULL && space_group_entry(fs, g, &entry) == HX_OK &&
            entry.slot == HFS_SLOT_FRESH) {
            u64 f, q;
            space_fresh_count(&fs->super, g, &f, &q);
            free += f;
            quads += q;
            continue; /* a large device is mostly this */
        }
        check_group(v, g, &free, &quads);
    }
    if (free != fs->uber->free || quads != fs->uber->quads) {
        problem(v, "the root says %llu blocks free, the groups %llu",
                (unsigned long long)fs->uber->free, (unsigned long long)free);
    }
}

static enum hx_status run(struct verify *v)
{
    struct hfs *fs = v->fs;
    size_t bytes = fs->space.group_count * sizeof(*v->used);
    v->used = os_alloc(bytes);
    v->live = os_alloc(bytes);
    v->buf = os_alloc(HFS_NODE);
    v->buf2 = os_alloc(HFS_NODE);
    if (v->used == NULL || v->live == NULL || v->buf == NULL || v->buf2 == NULL) {
        v->status = HX_ERR_NO_MEMORY;
    }
    if (v->used != NULL) {
        memset(v->used, 0, bytes);
    }
    if (v->live != NULL) {
        memset(v->live, 0, bytes);
    }
    if (v->status == HX_OK) {
        v->sv = NULL;
        v->is_live = false;
        walk(v, &fs->root);
        check_subvols(v);
    }
    if (v->status == HX_OK && v->scrub == NULL) {
        check_space(v);
    }
    if (v->used != NULL) {
        map_clear(v, v->used);
    }
    if (v->live != NULL) {
        map_clear(v, v->live);
    }
    array_clear(&v->inodes);
    array_clear(&v->links);
    array_clear(&v->orphans);
    os_free(v->used);
    os_free(v->live);
    os_free(v->buf);
    os_free(v->buf2);
    return v->status;
}

enum hx_status hfs_verify(struct bdev *dev, const struct hfs_verify_opts *opts,
                          struct hfs_verify_result *out)
{
    struct hfs_mount_opts mount = {.flags = HFS_MOUNT_RDONLY, .key = opts->key};
    struct hfs_verify_result result = {0};
    struct hfs *fs;
    enum hx_status status = fs_open_committed(dev, &mount, &fs);
    if (status != HX_OK) {
        return status;
    }
    struct verify v = {.fs = fs, .opts = opts, .out = &result};
    status = run(&v);
    fs_close(fs);
    if (status == HX_OK) {
        *out = result;
    }
    return status;
}

enum hx_status hfs_scrub(struct hfs *fs, struct hfs_scrub_result *out)
{
    struct hfs_verify_opts opts = {.data = true};
    struct hfs_verify_result result = {0};
    struct hfs_scrub_result scrub = {0};
    os_mutex_acquire(fs->lock);
    enum hx_status status = fs->read_only ? HX_OK : txg_commit(fs);
    if (status == HX_OK) {
        struct verify v = {
            .fs = fs, .opts = &opts, .out = &result, .repair = !fs->read_only, .scrub = &scrub};
        status = run(&v);
    }
    os_mutex_release(fs->lock);
    if (status == HX_OK) {
        scrub.blocks = result.blocks_used;
        *out = scrub;
    }
    return status;
}
