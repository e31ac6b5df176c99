/* SPDX-License-Identifier: MIT */
/* Random operations and their model, see work.h. */
#include "work.h"

#include <fs/os.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IFMT  0170000u
#define IFDIR 0040000u
#define IFREG 0100000u
#define IFLNK 0120000u

static u64 mix(u64 a, u64 b)
{
    u64 z = a * 0x9e3779b97f4a7c15ull ^ (b + 0x7f4a7c15) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static u64 hash_bytes(const void *p, size_t n)
{
    return (u64)os_crc32c(0, p, n) << 32 | os_crc32c(0x1234567, p, n);
}

static u64 hash_inode(u64 ino, u32 mode, u32 uid, u32 gid, u32 nlink, u64 size, u64 content)
{
    u64 h = mix(ino, mode);
    h = mix(h, (u64)uid << 32 | gid);
    h = mix(h, (u64)nlink << 32 ^ size);
    return mix(h, content);
}

static u64 hash_entry(u64 dir, const char *name, size_t len, u64 ino)
{
    return mix(mix(dir, hash_bytes(name, len)), ino);
}

static u64 hash_xattr(u64 ino, const char *name, size_t len, const void *value, size_t value_len)
{
    return mix(mix(ino ^ 0xa77, hash_bytes(name, len)),
               mix(value_len, hash_bytes(value, value_len)));
}

/* Model */

static void xattr_name(u32 i, char *name)
{
    sprintf(name, "user.attribute%u", i);
}

static u64 model_hash(const struct work *w)
{
    u64 sum = 0;
    for (u32 i = 1; i < WORK_INODES; i++) {
        const struct model_inode *m = &w->inode[i];
        if (m->ino == 0 || m->nlink == 0) {
            continue;
        }
        u32 type = m->mode & IFMT;
        u64 size = type == IFREG ? m->ordered_size : type == IFLNK ? strlen(m->target) : 0;
        u64 content = type == IFREG   ? hash_bytes(m->ordered, m->ordered_size)
                      : type == IFLNK ? hash_bytes(m->target, strlen(m->target))
                                      : 0;
        sum += hash_inode(m->ino, m->mode, m->uid, m->gid, m->nlink, size, content);
        for (u32 e = 0; e < WORK_ENTRIES; e++) {
            if (m->entry[e].inode != 0) {
                sum += hash_entry(m->ino, m->entry[e].name, strlen(m->entry[e].name),
                                  w->inode[m->entry[e].inode].ino);
            }
        }
        for (u32 x = 0; x < WORK_XATTRS; x++) {
            if (m->xattr[x].len > 0) {
                char name[32];
                u8 value[4096];
                xattr_name(x, name);
                memset(value, m->xattr[x].fill, m->xattr[x].len);
                sum += hash_xattr(m->ino, name, strlen(name), value, m->xattr[x].len);
            }
        }
    }
    return sum;
}

u64 work_state_now(struct work *w)
{
    return model_hash(w);
}

/* The ordered view changed. */
static void state_push(struct work *w)
{
    if (w->state_count == w->state_room) {
        w->state_room = w->state_room > 0 ? 2 * w->state_room : 1024;
        w->states = realloc(w->states, w->state_room * sizeof(*w->states));
    }
    w->states[w->state_count++] = model_hash(w);
}

static void promise(struct work *w, u64 index)
{
    if (index > w->promised) {
        w->promised = index;
    }
    if (w->sim != NULL) {
        w->sim->mark = w->promised;
    }
}

/* An event about up to two inodes. */
static void event(struct work *w, struct model_inode *a, struct model_inode *b)
{
    state_push(w);
    if (a != NULL) {
        a->last_event = w->state_count - 1;
    }
    if (b != NULL) {
        b->last_event = w->state_count - 1;
    }
}

static struct model_inode *model_find(struct work *w, u64 ino)
{
    for (u32 i = 1; i < WORK_INODES; i++) {
        if (w->inode[i].ino == ino) {
            return &w->inode[i];
        }
    }
    return NULL;
}

static void order_content(struct model_inode *m)
{
    free(m->ordered);
    m->ordered = malloc(m->size + 1);
    if (m->size > 0) {
        memcpy(m->ordered, m->data, m->size);
    }
    m->ordered_size = m->size;
}

static void on_ordered(void *ctx, u64 subvol, u64 ino)
{
    struct work *w = ctx;
    struct model_inode *m = model_find(w, ino);
    if (subvol == HFS_SUBVOL_FIRST && m != NULL && (m->mode & IFMT) == IFREG) {
        order_content(m);
        event(w, m, NULL);
    }
}

struct hfs_mount_opts work_mount_opts(struct work *w, u64 cache_bytes)
{
    return (struct hfs_mount_opts){.cache_bytes = cache_bytes, .ordered = on_ordered, .ctx = w};
}

static void inode_forget(struct model_inode *m)
{
    free(m->data);
    free(m->ordered);
    memset(m, 0, sizeof(*m));
}

void work_init(struct work *w, u64 seed)
{
    memset(w, 0, sizeof(*w));
    w->rng = seed * 2654435761u + 88172645463325252ull;
    w->file_max = 200000;
    w->inode[1] = (struct model_inode){.ino = 1, .mode = IFDIR | 0755, .nlink = 2, .parent = 1};
    state_push(w);
}

void work_fini(struct work *w)
{
    for (u32 i = 1; i < WORK_INODES; i++) {
        inode_forget(&w->inode[i]);
    }
    free(w->states);
}

bool work_attach(struct work *w, struct hfs *fs)
{
    w->fs = fs;
    return hfs_subvol_open(fs, "main", &w->sv) == HX_OK;
}

/* A held file without a name ends with its hold. */
static void hold_drop(struct model_inode *m)
{
    hfs_inode_put(m->held);
    m->held = NULL;
    if (m->nlink == 0) {
        inode_forget(m);
    }
}

void work_detach(struct work *w)
{
    for (u32 i = 1; i < WORK_INODES; i++) {
        if (w->inode[i].held != NULL) {
            hold_drop(&w->inode[i]);
        }
    }
    hfs_subvol_put(w->sv);
    w->sv = NULL;
}

/* Errors */

static bool wrong(struct work *w, const char *what, enum hx_status got, enum hx_status want)
{
    snprintf(w->error, sizeof(w->error), "op %llu %s: %s, expected %s", (unsigned long long)w->ops,
             what, hx_status_name(got), hx_status_name(want));
    return false;
}

/* Right answer? *go says whether the model is to follow. */
static bool answer(struct work *w, const char *what, enum hx_status got, enum hx_status want,
                   bool *go)
{
    *go = got == HX_OK;
    if (got == want) {
        return true;
    }
    if ((w->may_fill || w->may_fail) && got == HX_ERR_NO_SPACE) {
        w->failed++;
        return true;
    }
    if (w->may_fail && (got == HX_ERR_IO || got == HX_ERR_NO_MEMORY || got == HX_ERR_READ_ONLY)) {
        w->failed++;
        return true;
    }
    return wrong(w, what, got, want);
}

/* Random choices */

static u32 pick_type(struct work *w, u32 type)
{
    u32 start = rng_below(&w->rng, WORK_INODES);
    for (u32 i = 0; i < WORK_INODES; i++) {
        u32 at = (start + i) % WORK_INODES;
        const struct model_inode *m = &w->inode[at];
        if (at > 0 && m->ino != 0 && (type == 0 || (m->mode & IFMT) == type) &&
            (m->nlink > 0 || m->held != NULL)) {
            return at;
        }
    }
    return 0;
}

static u32 pick_dir(struct work *w)
{
    u32 at = pick_type(w, IFDIR);
    return at == 0 || w->inode[at].nlink == 0 ? 1 : at;
}

static u32 pick_free(struct work *w)
{
    for (u32 i = 2; i < WORK_INODES; i++) {
        if (w->inode[i].ino == 0) {
            return i;
        }
    }
    return 0;
}

static void pick_name(struct work *w, char *name)
{
    sprintf(name, "n%u", rng_below(&w->rng, WORK_ENTRIES + 4));
}

static int entry_of(const struct model_inode *dir, const char *name)
{
    for (u32 e = 0; e < WORK_ENTRIES; e++) {
        if (dir->entry[e].inode != 0 && strcmp(dir->entry[e].name, name) == 0) {
            return (int)e;
        }
    }
    return -1;
}

static int entry_free(const struct model_inode *dir)
{
    for (u32 e = 0; e < WORK_ENTRIES; e++) {
        if (dir->entry[e].inode == 0) {
            return (int)e;
        }
    }
    return -1;
}

static bool dir_is_empty(const struct model_inode *dir)
{
    for (u32 e = 0; e < WORK_ENTRIES; e++) {
        if (dir->entry[e].inode != 0) {
            return false;
        }
    }
    return true;
}

static struct hfs_name name_of(const char *s)
{
    return (struct hfs_name){s, strlen(s)};
}

/* The file system's side of a model inode, held. */
static enum hx_status get(struct work *w, u32 i, struct hfs_inode **out)
{
    return hfs_inode_get(w->sv, w->inode[i].ino, out);
}

/* Operations. Each returns false on a wrong answer. */

static bool op_create(struct work *w)
{
    u32 d = pick_dir(w), i = pick_free(w);
    char name[16];
    pick_name(w, name);
    struct model_inode *dir = &w->inode[d];
    int slot = entry_free(dir);
    if (i == 0 || slot < 0) {
        return true;
    }
    u32 kind = rng_below(&w->rng, 8);
    u32 type = kind < 5 ? IFREG : kind < 7 ? IFDIR : IFLNK;
    u32 mode = type | (0600 + rng_below(&w->rng, 64));
    char target[64] = "";
    if (type == IFLNK) {
        sprintf(target, "some/where/%u", rng_below(&w->rng, 1000000));
    }
    struct hfs_inode *parent, *made;
    enum hx_status status = get(w, d, &parent);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = hfs_create(parent, name_of(name), mode, (struct hfs_owner){7, d}, 0, name_of(target),
                        &made);
    hfs_inode_put(parent);
    bool go;
    if (!answer(w, "create", status, entry_of(dir, name) >= 0 ? HX_ERR_EXISTS : HX_OK, &go)) {
        return false;
    }
    if (go) {
        struct model_inode *m = &w->inode[i];
        *m = (struct model_inode){.ino = hfs_inode_number(made),
                                  .mode = mode,
                                  .uid = 7,
                                  .gid = d,
                                  .nlink = type == IFDIR ? 2 : 1,
                                  .parent = d};
        strcpy(m->target, target);
        strcpy(dir->entry[slot].name, name);
        dir->entry[slot].inode = i;
        dir->nlink += type == IFDIR;
        if (type == IFREG && rng_below(&w->rng, 8) == 0) {
            m->held = made;
        } else {
            hfs_inode_put(made);
        }
        event(w, m, dir);
    }
    return true;
}

static void grow(struct model_inode *m, u64 size)
{
    if (size > m->size) {
        m->data = realloc(m->data, size);
        memset(m->data + m->size, 0, size - m->size);
        m->size = size;
    }
}

static u64 pick_offset(struct work *w, const struct model_inode *m)
{
    switch (rng_below(&w->rng, 4)) {
    case 0:
        return m->size;
    case 1:
        return rng_below(&w->rng, w->file_max / 2) & ~4095u;
    case 2:
        return m->size > 0 ? rng_below(&w->rng, (u32)m->size) : 0;
    default:
        return rng_below(&w->rng, w->file_max / 2);
    }
}

static u32 pick_length(struct work *w)
{
    switch (rng_below(&w->rng, 5)) {
    case 0:
        return 1 + rng_below(&w->rng, 200);
    case 1:
        return 1 + rng_below(&w->rng, 3000);
    case 2:
        return 4096;
    case 3:
        return 1 + rng_below(&w->rng, 20000);
    default:
        return 1 + rng_below(&w->rng, 60000);
    }
}

static void fill(struct work *w, u8 *buf, u32 len)
{
    u64 seed = rng_next(&w->rng);
    bool random = rng_below(&w->rng, 3) == 0;
    for (u32 i = 0; i < len; i++) {
        buf[i] = random ? (u8)(rng_next(&seed) >> 24) : (u8)((seed >> (i / 64 % 8)) & 0x3f);
    }
}

static bool op_write(struct work *w)
{
    static u8 buf[65536];
    u32 i = pick_type(w, IFREG);
    if (i == 0) {
        return true;
    }
    struct model_inode *m = &w->inode[i];
    u64 off = pick_offset(w, m);
    u32 len = pick_length(w);
    if (off + len > w->file_max) {
        len = off < w->file_max ? (u32)(w->file_max - off) : 1;
    }
    fill(w, buf, len);
    struct hfs_inode *inode;
    enum hx_status status = get(w, i, &inode);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    size_t done = 0;
    /* In pieces that are one operation each, as the contract says they are. */
    for (u32 at = 0; at < len && status == HX_OK;) {
        u32 n = len - at < 4096 ? len - at : 4096 * (1 + rng_below(&w->rng, 8));
        n = n > len - at ? len - at : n;
        status = hfs_write(inode, off + at, buf + at, n, &done);
        if (status == HX_OK && done != n) {
            status = HX_ERR_INVALID;
        }
        if (status == HX_OK) {
            grow(m, off + at + n);
            memcpy(m->data + off + at, buf + at, n);
            at += n;
        }
    }
    hfs_inode_put(inode);
    bool go;
    return answer(w, "write", status, HX_OK, &go);
}

static bool op_truncate(struct work *w)
{
    u32 i = pick_type(w, IFREG);
    if (i == 0) {
        return true;
    }
    struct model_inode *m = &w->inode[i];
    u64 size = rng_below(&w->rng, 3) == 0 ? 0 : pick_offset(w, m);
    struct hfs_inode *inode;
    enum hx_status status = get(w, i, &inode);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = hfs_truncate(inode, size);
    hfs_inode_put(inode);
    bool go;
    if (!answer(w, "truncate", status, HX_OK, &go)) {
        return false;
    }
    if (go) {
        grow(m, size);
        m->size = size;
        order_content(m);
        event(w, m, NULL);
    }
    return true;
}

static bool op_punch(struct work *w)
{
    u32 i = pick_type(w, IFREG);
    if (i == 0 || w->inode[i].size == 0) {
        return true;
    }
    struct model_inode *m = &w->inode[i];
    u64 off = pick_offset(w, m), len = pick_length(w);
    struct hfs_inode *inode;
    enum hx_status status = get(w, i, &inode);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = hfs_punch(inode, off, len);
    hfs_inode_put(inode);
    bool go;
    if (!answer(w, "punch", status, HX_OK, &go)) {
        return false;
    }
    if (go && off < m->size) {
        u64 end = off + len < m->size ? off + len : m->size;
        bool zero = true; /* nothing changes then, and nothing need be durable */
        for (u64 at = off; at < end && zero; at++) {
            zero = m->data[at] == 0;
        }
        if (!zero) {
            memset(m->data + off, 0, end - off);
            order_content(m);
            event(w, m, NULL);
        }
    }
    return true;
}

static bool op_read(struct work *w)
{
    static u8 buf[65536];
    u32 i = pick_type(w, IFREG);
    if (i == 0) {
        return true;
    }
    struct model_inode *m = &w->inode[i];
    u64 off = pick_offset(w, m);
    u32 len = pick_length(w);
    struct hfs_inode *inode;
    enum hx_status status = get(w, i, &inode);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    size_t got = 0;
    status = hfs_read(inode, off, buf, len, &got);
    hfs_inode_put(inode);
    bool go;
    if (!answer(w, "read", status, HX_OK, &go)) {
        return false;
    }
    u64 want = off < m->size ? (m->size - off < len ? m->size - off : len) : 0;
    if (go && (got > want || (got < want && !w->may_fail) ||
               (got > 0 && memcmp(buf, m->data + off, got) != 0))) {
        return wrong(w, "read content", HX_ERR_CORRUPT, HX_OK);
    }
    return true;
}

static void drop_link(struct work *w, u32 i)
{
    struct model_inode *m = &w->inode[i];
    m->nlink = (m->mode & IFMT) == IFDIR ? 0 : m->nlink - 1;
    if (m->nlink == 0 && m->held == NULL) {
        inode_forget(m);
    }
}

static bool op_unlink(struct work *w)
{
    u32 d = pick_dir(w);
    char name[16];
    pick_name(w, name);
    struct model_inode *dir = &w->inode[d];
    int e = entry_of(dir, name);
    bool as_dir = rng_below(&w->rng, 3) == 0;
    enum hx_status want = HX_ERR_NOT_FOUND;
    if (e >= 0) {
        const struct model_inode *m = &w->inode[dir->entry[e].inode];
        bool is_dir = (m->mode & IFMT) == IFDIR;
        want = as_dir && !is_dir            ? HX_ERR_NOT_DIR
               : !as_dir && is_dir          ? HX_ERR_IS_DIR
               : is_dir && !dir_is_empty(m) ? HX_ERR_NOT_EMPTY
                                            : HX_OK;
    }
    struct hfs_inode *parent;
    enum hx_status status = get(w, d, &parent);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = as_dir ? hfs_rmdir(parent, name_of(name)) : hfs_unlink(parent, name_of(name));
    hfs_inode_put(parent);
    bool go;
    if (!answer(w, as_dir ? "rmdir" : "unlink", status, want, &go)) {
        return false;
    }
    if (go) {
        u32 i = dir->entry[e].inode;
        dir->entry[e].inode = 0;
        dir->nlink -= as_dir;
        struct model_inode *m = &w->inode[i];
        drop_link(w, i);
        event(w, dir, m->ino != 0 ? m : NULL);
    }
    return true;
}

static bool op_link(struct work *w)
{
    u32 d = pick_dir(w), i = pick_type(w, 0);
    char name[16];
    pick_name(w, name);
    struct model_inode *dir = &w->inode[d], *m = &w->inode[i];
    int slot = entry_free(dir);
    if (i == 0 || slot < 0) {
        return true;
    }
    enum hx_status want = (m->mode & IFMT) == IFDIR  ? HX_ERR_ACCESS
                          : m->nlink == 0            ? HX_ERR_NOT_FOUND
                          : entry_of(dir, name) >= 0 ? HX_ERR_EXISTS
                                                     : HX_OK;
    struct hfs_inode *parent, *inode;
    enum hx_status status = get(w, d, &parent);
    if (status == HX_OK) {
        status = get(w, i, &inode);
        if (status != HX_OK) {
            hfs_inode_put(parent);
        }
    }
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = hfs_link(inode, parent, name_of(name));
    hfs_inode_put(parent);
    hfs_inode_put(inode);
    bool go;
    if (!answer(w, "link", status, want, &go)) {
        return false;
    }
    if (go) {
        strcpy(dir->entry[slot].name, name);
        dir->entry[slot].inode = i;
        m->nlink++;
        event(w, m, dir);
    }
    return true;
}

/* Is model inode `inside` a descendant of `of`, or it? */
static bool is_inside(const struct work *w, u32 inside, u32 of)
{
    while (inside != of && inside != 1) {
        inside = w->inode[inside].parent;
    }
    return inside == of;
}

static enum hx_status rename_want(const struct work *w, u32 fd, int fe, u32 td, int te, u32 flags)
{
    if (fe < 0) {
        return HX_ERR_NOT_FOUND;
    }
    bool exchange = (flags & HFS_RENAME_EXCHANGE) != 0;
    if (exchange && te < 0) {
        return HX_ERR_NOT_FOUND;
    }
    if ((flags & HFS_RENAME_NOREPLACE) != 0 && te >= 0) {
        return HX_ERR_EXISTS;
    }
    u32 i = w->inode[fd].entry[fe].inode, t = te >= 0 ? w->inode[td].entry[te].inode : 0;
    bool is_dir = (w->inode[i].mode & IFMT) == IFDIR;
    if (is_dir && is_inside(w, td, i)) {
        return HX_ERR_LOOP;
    }
    if (exchange && (w->inode[t].mode & IFMT) == IFDIR && is_inside(w, fd, t)) {
        return HX_ERR_LOOP;
    }
    if (t != 0 && !exchange && t != i) {
        bool target_dir = (w->inode[t].mode & IFMT) == IFDIR;
        if (is_dir && !target_dir) {
            return HX_ERR_NOT_DIR;
        }
        if (!is_dir && target_dir) {
            return HX_ERR_IS_DIR;
        }
        if (target_dir && !dir_is_empty(&w->inode[t])) {
            return HX_ERR_NOT_EMPTY;
        }
    }
    return HX_OK;
}

static void model_moved(struct work *w, u32 i, u32 from, u32 to)
{
    if ((w->inode[i].mode & IFMT) == IFDIR && from != to) {
        w->inode[i].parent = to;
        w->inode[from].nlink--;
        w->inode[to].nlink++;
    }
}

static bool op_rename(struct work *w)
{
    u32 fd = pick_dir(w), td = rng_below(&w->rng, 2) == 0 ? fd : pick_dir(w);
    char from[16], to[16];
    pick_name(w, from);
    pick_name(w, to);
    u32 choice = rng_below(&w->rng, 8);
    u32 flags = choice == 0 ? HFS_RENAME_NOREPLACE : choice == 1 ? HFS_RENAME_EXCHANGE : 0;
    int fe = entry_of(&w->inode[fd], from), te = entry_of(&w->inode[td], to);
    if (te < 0 && entry_free(&w->inode[td]) < 0) {
        return true;
    }
    enum hx_status want = rename_want(w, fd, fe, td, te, flags);
    struct hfs_inode *a, *b;
    enum hx_status status = get(w, fd, &a);
    if (status == HX_OK) {
        status = get(w, td, &b);
        if (status != HX_OK) {
            hfs_inode_put(a);
        }
    }
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = hfs_rename(a, name_of(from), b, name_of(to), flags);
    hfs_inode_put(a);
    hfs_inode_put(b);
    bool go;
    if (!answer(w, "rename", status, want, &go)) {
        return false;
    }
    u32 i = fe >= 0 ? w->inode[fd].entry[fe].inode : 0;
    u32 t = te >= 0 ? w->inode[td].entry[te].inode : 0;
    if (!go || i == t) {
        return true;
    }
    if ((flags & HFS_RENAME_EXCHANGE) != 0) {
        w->inode[fd].entry[fe].inode = t;
        w->inode[td].entry[te].inode = i;
        model_moved(w, i, fd, td);
        model_moved(w, t, td, fd);
    } else {
        int slot = te >= 0 ? te : entry_free(&w->inode[td]);
        w->inode[fd].entry[fe].inode = 0;
        if (t != 0) {
            w->inode[td].nlink -= (w->inode[t].mode & IFMT) == IFDIR;
        }
        strcpy(w->inode[td].entry[slot].name, to);
        w->inode[td].entry[slot].inode = i;
        model_moved(w, i, fd, td);
        if (t != 0) {
            drop_link(w, t);
        }
    }
    event(w, &w->inode[fd], &w->inode[td]);
    w->inode[i].last_event = w->state_count - 1;
    return true;
}

static bool op_setattr(struct work *w)
{
    u32 i = pick_type(w, 0);
    struct model_inode *m = &w->inode[i];
    if (i == 0) {
        return true;
    }
    struct hfs_attr attr = {.mode = rng_below(&w->rng, 07777),
                            .uid = rng_below(&w->rng, 100),
                            .gid = rng_below(&w->rng, 100)};
    u32 mask = rng_below(&w->rng, 8);
    attr.mode &= ~02000u; /* the group of what is created in it would follow */
    struct hfs_inode *inode;
    enum hx_status status = get(w, i, &inode);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = hfs_setattr(inode, &attr, mask);
    hfs_inode_put(inode);
    bool go;
    if (!answer(w, "setattr", status, HX_OK, &go)) {
        return false;
    }
    if (go) {
        m->mode = (mask & HFS_SET_MODE) != 0 ? (m->mode & IFMT) | attr.mode : m->mode;
        m->uid = (mask & HFS_SET_UID) != 0 ? attr.uid : m->uid;
        m->gid = (mask & HFS_SET_GID) != 0 ? attr.gid : m->gid;
        event(w, m, NULL);
    }
    return true;
}

static bool op_xattr(struct work *w)
{
    static u8 value[4096];
    u32 i = pick_type(w, 0), x = rng_below(&w->rng, WORK_XATTRS);
    struct model_inode *m = &w->inode[i];
    if (i == 0) {
        return true;
    }
    char name[32];
    xattr_name(x, name);
    bool remove = rng_below(&w->rng, 3) == 0;
    u32 len = 1 + rng_below(&w->rng, rng_below(&w->rng, 2) == 0 ? 40 : 3000);
    u8 byte = (u8)rng_next(&w->rng);
    memset(value, byte, len);
    struct hfs_inode *inode;
    enum hx_status status = get(w, i, &inode);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = remove ? hfs_xattr_remove(inode, name_of(name))
                    : hfs_xattr_set(inode, name_of(name), value, len, 0);
    hfs_inode_put(inode);
    bool go;
    enum hx_status want = remove && m->xattr[x].len == 0 ? HX_ERR_NOT_FOUND : HX_OK;
    if (!answer(w, "xattr", status, want, &go)) {
        return false;
    }
    if (go) {
        m->xattr[x].len = remove ? 0 : len;
        m->xattr[x].fill = byte;
        event(w, m, NULL);
    }
    return true;
}

static bool op_fsync(struct work *w)
{
    u32 i = pick_type(w, rng_below(&w->rng, 4) == 0 ? IFDIR : IFREG);
    if (i == 0) {
        return true;
    }
    struct hfs_inode *inode;
    enum hx_status status = get(w, i, &inode);
    if (status != HX_OK) {
        return w->may_fail || wrong(w, "get", status, HX_OK);
    }
    status = hfs_fsync(inode);
    hfs_inode_put(inode);
    bool go;
    if (!answer(w, "fsync", status, HX_OK, &go)) {
        return false;
    }
    if (go) {
        promise(w, w->inode[i].last_event);
    }
    return true;
}

static bool op_sync(struct work *w)
{
    bool go;
    if (!answer(w, "sync", hfs_sync(w->fs), HX_OK, &go)) {
        return false;
    }
    if (go) {
        promise(w, w->state_count - 1);
    }
    return true;
}

static bool op_snapshot(struct work *w)
{
    if (!w->with_snapshots) {
        return true;
    }
    char name[32];
    bool go;
    if (w->snapshots < 4 && rng_below(&w->rng, 2) == 0) {
        sprintf(name, "s%u", rng_below(&w->rng, 6));
        enum hx_status status = hfs_snapshot(w->fs, "main", name);
        if (status != HX_ERR_EXISTS && !answer(w, "snapshot", status, HX_OK, &go)) {
            return false;
        }
        w->snapshots += status == HX_OK;
        if (status == HX_OK) {
            promise(w, w->state_count - 1);
        }
        return true;
    }
    sprintf(name, "s%u", rng_below(&w->rng, 6));
    enum hx_status status = hfs_destroy(w->fs, name);
    if (status != HX_ERR_NOT_FOUND && !answer(w, "destroy", status, HX_OK, &go)) {
        return false;
    }
    w->snapshots -= status == HX_OK;
    return true;
}

static bool op_hold(struct work *w)
{
    for (u32 i = 2; i < WORK_INODES; i++) {
        if (w->inode[i].held != NULL && rng_below(&w->rng, 2) == 0) {
            hold_drop(&w->inode[i]);
        }
    }
    return true;
}

bool work_step(struct work *w)
{
    static const struct {
        bool (*run)(struct work *w);
        u32 weight;
    } ops[] = {{op_create, 22}, {op_write, 26}, {op_truncate, 5}, {op_punch, 3},   {op_read, 6},
               {op_unlink, 12}, {op_link, 4},   {op_rename, 10},  {op_setattr, 4}, {op_xattr, 5},
               {op_fsync, 12},  {op_sync, 2},   {op_hold, 2},     {op_snapshot, 2}};
    u32 total = 0;
    for (u32 i = 0; i < HX_ARRAY_SIZE(ops); i++) {
        total += ops[i].weight;
    }
    u32 at = rng_below(&w->rng, total), i = 0;
    while (at >= ops[i].weight) {
        at -= ops[i++].weight;
    }
    w->ops++;
    return ops[i].run(w);
}

/* The file system's hash */

struct walk {
    struct hfs_subvol *sv;
    u64 sum;
    u64 left[4 * WORK_INODES], seen[4 * WORK_INODES];
    u32 left_count, seen_count;
    u64 dir;
};

static bool seen(struct walk *k, u64 ino)
{
    for (u32 i = 0; i < k->seen_count; i++) {
        if (k->seen[i] == ino) {
            return true;
        }
    }
    if (k->seen_count < HX_ARRAY_SIZE(k->seen)) {
        k->seen[k->seen_count++] = ino;
    }
    return false;
}

static bool visit(void *ctx, const char *name, size_t len, u64 ino, u8 type, u64 cookie)
{
    struct walk *k = ctx;
    (void)type;
    (void)cookie;
    if (name[0] == '.') {
        return true;
    }
    k->sum += hash_entry(k->dir, name, len, ino);
    if (!seen(k, ino) && k->left_count < HX_ARRAY_SIZE(k->left)) {
        k->left[k->left_count++] = ino;
    }
    return true;
}

static enum hx_status hash_content(struct hfs_inode *inode, const struct hfs_attr *attr, u64 *out)
{
    u8 *buf = malloc(attr->size + 1);
    size_t got = 0;
    enum hx_status status = (attr->mode & IFMT) == IFLNK
                                ? hfs_readlink(inode, (char *)buf, attr->size, &got)
                                : hfs_read(inode, 0, buf, attr->size, &got);
    if (status == HX_OK && got != attr->size) {
        status = HX_ERR_CORRUPT;
    }
    *out = hash_bytes(buf, got);
    free(buf);
    return status;
}

static enum hx_status hash_xattrs(struct hfs_inode *inode, u64 ino, u64 *sum)
{
    char names[512];
    u8 value[4096];
    size_t len, value_len;
    enum hx_status status = hfs_xattr_list(inode, names, sizeof(names), &len);
    for (size_t at = 0; status == HX_OK && at < len; at += strlen(names + at) + 1) {
        status = hfs_xattr_get(inode, name_of(names + at), value, sizeof(value), &value_len);
        *sum += hash_xattr(ino, names + at, strlen(names + at), value, value_len);
    }
    return status;
}

static enum hx_status walk_one(struct walk *k, u64 ino)
{
    struct hfs_inode *inode;
    struct hfs_attr attr;
    enum hx_status status = hfs_inode_get(k->sv, ino, &inode);
    if (status != HX_OK) {
        return status;
    }
    status = hfs_getattr(inode, &attr);
    bool dir = (attr.mode & IFMT) == IFDIR;
    u64 content = 0;
    if (status == HX_OK && dir) {
        k->dir = ino;
        status = hfs_readdir(inode, 0, visit, k);
    } else if (status == HX_OK) {
        status = hash_content(inode, &attr, &content);
    }
    if (status == HX_OK) {
        k->sum += hash_inode(ino, attr.mode, attr.uid, attr.gid, attr.nlink, dir ? 0 : attr.size,
                             content);
        status = hash_xattrs(inode, ino, &k->sum);
    }
    hfs_inode_put(inode);
    return status;
}

enum hx_status work_hash(struct hfs *fs, u64 *out_hash)
{
    static struct walk walk;
    memset(&walk, 0, sizeof(walk));
    enum hx_status status = hfs_subvol_open(fs, "main", &walk.sv);
    if (status != HX_OK) {
        return status;
    }
    seen(&walk, HFS_INO_ROOT);
    walk.left[walk.left_count++] = HFS_INO_ROOT;
    while (walk.left_count > 0 && status == HX_OK) {
        status = walk_one(&walk, walk.left[--walk.left_count]);
    }
    hfs_subvol_put(walk.sv);
    *out_hash = walk.sum;
    return status;
}

bool work_compare(struct work *w)
{
    for (u32 i = 1; i < WORK_INODES; i++) {
        if (w->inode[i].ino != 0 && (w->inode[i].mode & IFMT) == IFREG) {
            order_content(&w->inode[i]);
        }
    }
    u64 hash, want = model_hash(w);
    enum hx_status status = work_hash(w->fs, &hash);
    if (status != HX_OK || hash != want) {
        return wrong(w, "compare", status == HX_OK ? HX_ERR_CORRUPT : status, HX_OK);
    }
    return true;
}
