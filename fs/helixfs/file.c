/* SPDX-License-Identifier: MIT */
/* File content: dirty pages in memory, extents on the device.
 * Owns:      hfs.pages, the EXTENT items, inline data.    Callers: public functions, txg.c,
 * replay.c. Context:   thread, under hfs.lock (public functions take it); may block. Invariant: (1)
 * what a file contains is its dirty pages over its inline data or extents; nothing else is asked,
 * by read and by seek.  (2) bytes behind the end of the file are zero in pages and on the device.
 * (3) a sealed extent with one dirty page has all its pages dirty: it is only ever replaced whole.
 * (4) one extent, one item: blocks are never shared within a tree.  (5) a file with inline data and
 * a dirty page has page 0 dirty. Spec: SPEC.md, "Extents".
 *
 *   written to (unordered) --file_order: by value--> logged, dirty   --file_writeback--> in the
 * tree written to (unordered) --file_order: too much--> file_writeback, extents logged any failure
 * to write: the pages stay dirty, and the next attempt writes them again
 */
#include "hfs_priv.h"

#define BY_VALUE_BYTES 2048u /* an fsync of no more than this writes the bytes into the log */
#define BY_VALUE_PAGES 4u
#define CHUNK          65536u /* bytes of one write that are one operation */
#define RUN_MIN        4u     /* pages that are worth a read of their own */
#define READ_AHEAD     HFS_SEALED_MAX
#define UNSTABLE_MAX   2048u /* blocks kept for a flush that may fail */
#define DAY_NS         (86400 * HX_NS_PER_SEC)

_Static_assert(HFS_SEALED_BYTES == CHUNK, "one write fits in the buffers");
_Static_assert(HFS_EXTENT_MAX % HFS_SEALED_MAX == 0, "runs end where sealed extents end");

/* Pages */

static u32 page_slot(const struct hfs_inode *inode, u64 index)
{
    u64 h = (index + (u64)(uintptr_t)inode / 64) * 0x9e3779b97f4a7c15ull;
    return (u32)(h >> 40) % HFS_PAGE_HASH;
}

static struct hfs_page *page_find(const struct hfs_inode *inode, u64 index)
{
    if (inode->page_count == 0) {
        return NULL;
    }
    struct hfs_page *page = inode->sv->fs->pages[page_slot(inode, index)];
    while (page != NULL && (page->inode != inode || page->index != index)) {
        page = page->chain;
    }
    return page;
}

static void page_drop(struct hfs_page *page)
{
    struct hfs_inode *inode = page->inode;
    struct hfs *fs = inode->sv->fs;
    struct hfs_page **at = &fs->pages[page_slot(inode, page->index)];
    while (*at != page) {
        at = &(*at)->chain;
    }
    *at = page->chain;
    list_remove(&page->link);
    fs->page_count--;
    if (--inode->page_count == 0) {
        list_remove(&inode->dirty_link);
    }
    os_free(page->data);
    os_free(page);
}

void file_drop_pages(struct hfs_inode *inode, u64 from_index)
{
    while (inode->page_count > 0) {
        struct hfs_page *page = LIST_ENTRY(inode->pages.prev, struct hfs_page, link);
        if (page->index < from_index) {
            return;
        }
        page_drop(page);
    }
    inode->unordered = false;
}

/* Enters data, which becomes the page's, into the dirty set. */
static enum hx_status page_add(struct hfs_inode *inode, u64 index, u8 *data, struct hfs_page **out)
{
    struct hfs *fs = inode->sv->fs;
    struct hfs_page *page = os_alloc(sizeof(*page));
    if (page == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    u32 slot = page_slot(inode, index);
    *page =
        (struct hfs_page){.inode = inode, .index = index, .data = data, .chain = fs->pages[slot]};
    fs->pages[slot] = page;
    struct list_node *at = inode->pages.prev; /* most writes go up */
    while (at != &inode->pages && LIST_ENTRY(at, struct hfs_page, link)->index > index) {
        at = at->prev;
    }
    list_insert_between(&page->link, at, at->next);
    if (inode->page_count++ == 0) {
        list_add_tail(&fs->dirty_inodes, &inode->dirty_link);
    }
    fs->page_count++;
    fs->changed = true;
    *out = page;
    return HX_OK;
}

/* Extents */

enum hx_status extent_check(const struct hfs *fs, const struct hfs_extent *ext, u32 len)
{
    if (len < sizeof(*ext) || ext->len == 0 || ext->blocks == 0 || ext->addr == 0 ||
        ext->addr >= fs->super.blocks || ext->blocks > fs->super.blocks - ext->addr ||
        (ext->flags & ~(HFS_EXT_SEALED | HFS_EXT_CRYPTED)) != 0 || ext->birth > fs->txg) {
        return HX_ERR_CORRUPT;
    }
    if ((ext->flags & HFS_EXT_SEALED) == 0) {
        bool good = ext->flags == 0 && ext->alg == HFS_ALG_NONE && ext->len <= HFS_EXTENT_MAX &&
                    ext->blocks == ext->len && len == sizeof(*ext) + 4u * ext->len;
        return good ? HX_OK : HX_ERR_CORRUPT;
    }
    u32 extra = (ext->flags & HFS_EXT_CRYPTED) != 0 ? HFS_EXT_NONCE + HFS_EXT_TAG : 0;
    bool good = ext->len <= HFS_SEALED_MAX && ext->blocks <= ext->len && ext->alg <= HFS_ALG_ZSTD &&
                len == sizeof(*ext) + extra && ext->bytes <= (u32)ext->blocks * HFS_BLOCK &&
                ext->bytes > (ext->blocks - 1u) * HFS_BLOCK &&
                (ext->alg != HFS_ALG_NONE || ext->bytes == (u32)ext->len * HFS_BLOCK);
    return good ? HX_OK : HX_ERR_CORRUPT;
}

enum hx_status extent_verify(struct hfs *fs, const struct hfs_extent *ext)
{
    const u32 *crcs = (const void *)(ext + 1);
    u32 crc = 0, left = ext->bytes;
    for (u32 at = 0; at < ext->blocks; at += READ_AHEAD) {
        u32 n = (u32)hx_min_u64(READ_AHEAD, ext->blocks - at);
        enum hx_status status = bdev_read(fs->dev, ext->addr + at, n, fs->plain);
        if (status != HX_OK) {
            return status;
        }
        if ((ext->flags & HFS_EXT_SEALED) != 0) {
            u32 take = (u32)hx_min_u64(left, n * HFS_BLOCK);
            crc = os_crc32c(crc, fs->plain, take);
            left -= take;
            continue;
        }
        for (u32 i = 0; i < n; i++) {
            if (os_crc32c(0, fs->plain + i * HFS_BLOCK, HFS_BLOCK) != crcs[at + i]) {
                return HX_ERR_CORRUPT;
            }
        }
    }
    return (ext->flags & HFS_EXT_SEALED) != 0 && crc != ext->crc ? HX_ERR_CORRUPT : HX_OK;
}

struct extent_at {
    struct hfs_path path; /* held while ext is in use */
    u64 start;
    const struct hfs_extent *ext;
    u32 len;
};

/* The extent in path, checked; the path is released on failure. */
static enum hx_status extent_here(struct hfs_inode *inode, struct extent_at *at)
{
    const struct hfs_key *key = path_key(&at->path);
    if (key->oid != inode->ino || key->kind != HFS_KIND_EXTENT) {
        tree_release(&at->path);
        return HX_ERR_NOT_FOUND;
    }
    at->start = key->off;
    at->ext = path_value(&at->path, &at->len);
    enum hx_status status = extent_check(inode->sv->fs, at->ext, at->len);
    if (status == HX_OK && at->start > HFS_SIZE_MAX / HFS_BLOCK) {
        status = HX_ERR_CORRUPT;
    }
    if (status != HX_OK) {
        tree_release(&at->path);
    }
    return status;
}

/* The extent that covers a block. HX_ERR_NOT_FOUND: it is in a hole. */
static enum hx_status extent_find(struct hfs_inode *inode, u64 index, struct extent_at *at)
{
    struct hfs_key key = {inode->ino, HFS_KIND_EXTENT, index};
    enum hx_status status = tree_seek_back(&inode->sv->tree, &key, &at->path);
    if (status == HX_OK) {
        status = extent_here(inode, at);
    }
    if (status == HX_OK && at->start + at->ext->len <= index) {
        tree_release(&at->path);
        status = HX_ERR_NOT_FOUND;
    }
    return status == HX_ERR_END ? HX_ERR_NOT_FOUND : status;
}

/* The first extent that covers a block or begins behind it. */
static enum hx_status extent_next(struct hfs_inode *inode, u64 index, struct extent_at *at)
{
    enum hx_status status = extent_find(inode, index, at);
    if (status != HX_ERR_NOT_FOUND) {
        return status;
    }
    struct hfs_key key = {inode->ino, HFS_KIND_EXTENT, index};
    status = tree_seek(&inode->sv->tree, &key, &at->path);
    if (status == HX_OK) {
        status = extent_here(inode, at);
    }
    return status == HX_ERR_END ? HX_ERR_NOT_FOUND : status;
}

/* Cuts [from, to) out of one plain extent that overlaps it; ext is a copy with its checksums. */
static enum hx_status plain_cut(struct hfs_inode *inode, u64 start, struct hfs_extent *ext,
                                u64 from, u64 to)
{
    struct hfs *fs = inode->sv->fs;
    u64 end = start + ext->len, lo = hx_max_u64(from, start), hi = hx_min_u64(to, end);
    u64 addr = ext->addr;
    struct hfs_key key = {inode->ino, HFS_KIND_EXTENT, start};
    enum hx_status status = HX_OK;
    if (hi < end) {
        struct hfs_key right = {inode->ino, HFS_KIND_EXTENT, hi};
        struct hfs_extent *piece = (struct hfs_extent *)fs->item3;
        *piece = *ext;
        piece->addr = addr + (hi - start);
        piece->len = piece->blocks = (u16)(end - hi);
        memcpy(piece + 1, (u32 *)(ext + 1) + (hi - start), 4 * (size_t)(end - hi));
        status = tree_put(&inode->sv->tree, &right, piece, (u32)(sizeof(*piece) + 4 * (end - hi)));
    }
    if (status == HX_OK && lo > start) {
        ext->len = ext->blocks = (u16)(lo - start);
        status = tree_put(&inode->sv->tree, &key, ext, (u32)(sizeof(*ext) + 4 * (lo - start)));
    } else if (status == HX_OK) {
        status = tree_remove(&inode->sv->tree, &key);
    }
    if (status == HX_OK) {
        inode->d.blocks -= hi - lo;
        status = dead_free(fs, inode->sv, addr + (lo - start), hi - lo, ext->birth, false);
    }
    return status;
}

enum hx_status extents_remove(struct hfs_inode *inode, u64 from, u64 to, bool *done)
{
    struct hfs *fs = inode->sv->fs;
    *done = false;
    for (u32 n = 0; n < HFS_SLICE; n++) {
        struct extent_at at;
        enum hx_status status = extent_next(inode, from, &at);
        if (status == HX_ERR_NOT_FOUND) {
            *done = true;
            return HX_OK;
        }
        if (status != HX_OK) {
            return status;
        }
        if (at.start >= to) {
            tree_release(&at.path);
            *done = true;
            return HX_OK;
        }
        struct hfs_extent *ext = (struct hfs_extent *)fs->item;
        memcpy(ext, at.ext, at.len);
        tree_release(&at.path);
        if ((ext->flags & HFS_EXT_SEALED) == 0) {
            status = plain_cut(inode, at.start, ext, from, to);
        } else {
            struct hfs_key key = {inode->ino, HFS_KIND_EXTENT, at.start};
            status = tree_remove(&inode->sv->tree, &key);
            if (status == HX_OK) {
                inode->d.blocks -= ext->blocks;
                status = dead_free(fs, inode->sv, ext->addr, ext->blocks, ext->birth, false);
            }
        }
        if (status == HX_OK) {
            status = dead_flush(fs);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

/* Content as stored */

static u64 block_key(u64 addr, u32 place)
{
    return HFS_CACHE_DATA | addr << 6 | place;
}

/* Puts a copy of one block into the cache, held. */
static enum hx_status block_insert(struct hfs *fs, u64 key, const u8 *data, struct hfs_block **out)
{
    struct hfs_block *block = os_alloc(sizeof(*block));
    if (block == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    block->data = os_alloc(HFS_BLOCK);
    if (block->data == NULL) {
        os_free(block);
        return HX_ERR_NO_MEMORY;
    }
    memcpy(block->data, data, HFS_BLOCK);
    arc_drop(&fs->arc, key);
    arc_insert(&fs->arc, &block->arc, key, HFS_BLOCK + sizeof(*block));
    *out = block;
    return HX_OK;
}

/* Reads a sealed extent and makes its content out of it, in fs->plain. */
static enum hx_status sealed_read(struct hfs_inode *inode, u64 start, const struct hfs_extent *ext)
{
    struct hfs *fs = inode->sv->fs;
    enum hx_status status = bdev_read(fs->dev, ext->addr, ext->blocks, fs->sealed);
    if (status != HX_OK) {
        return status;
    }
    if (os_crc32c(0, fs->sealed, ext->bytes) != ext->crc) {
        return HX_ERR_CORRUPT;
    }
    if ((ext->flags & HFS_EXT_CRYPTED) != 0) {
        if (!inode->sv->unlocked) {
            return HX_ERR_ACCESS;
        }
        const u8 *nonce = (const u8 *)(ext + 1), *tag = nonce + HFS_EXT_NONCE;
        struct crypt_aad aad = {.fsid = fs->super.fsid,
                                .kind = 3,
                                .a = inode->ino,
                                .b = start,
                                .c = (u64)ext->alg << 32 | ext->len};
        status = crypt_open(inode->sv->dek, nonce, &aad, fs->sealed, ext->bytes, tag);
        if (status != HX_OK) {
            return HX_ERR_CORRUPT;
        }
    }
    return codec_expand(fs, ext->alg, fs->sealed, ext->bytes, fs->plain, (u32)ext->len * HFS_BLOCK);
}

/* Reads from `place` on, checks, and caches; the block asked for comes back held. */
static enum hx_status blocks_load(struct hfs_inode *inode, u64 start, const struct hfs_extent *ext,
                                  u32 place, struct hfs_block **out)
{
    struct hfs *fs = inode->sv->fs;
    bool sealed = (ext->flags & HFS_EXT_SEALED) != 0;
    u32 first = sealed ? 0 : place;
    u32 n = (u32)hx_min_u64(READ_AHEAD, ext->len - first);
    enum hx_status status = sealed ? sealed_read(inode, start, ext)
                                   : bdev_read(fs->dev, ext->addr + first, n, fs->plain);
    if (status != HX_OK) {
        return status;
    }
    const u32 *crcs = (const void *)(ext + 1);
    for (u32 i = n; i-- > 0;) { /* the one asked for last, or nearly */
        const u8 *data = fs->plain + i * HFS_BLOCK;
        if (!sealed && os_crc32c(0, data, HFS_BLOCK) != crcs[first + i]) {
            if (first + i == place) {
                return HX_ERR_CORRUPT;
            }
            continue; /* whoever asks for it hears of it */
        }
        struct hfs_block *block;
        u64 key = sealed ? block_key(ext->addr, i) : block_key(ext->addr + first + i, 0);
        if (first + i == place) {
            status = block_insert(fs, key, data, out);
            if (status != HX_OK) {
                return status;
            }
        } else if (block_insert(fs, key, data, &block) == HX_OK) {
            arc_put(&fs->arc, &block->arc);
        }
    }
    return HX_OK;
}

static enum hx_status block_get(struct hfs_inode *inode, u64 start, const struct hfs_extent *ext,
                                u64 index, struct hfs_block **out)
{
    struct hfs *fs = inode->sv->fs;
    u32 place = (u32)(index - start);
    bool sealed = (ext->flags & HFS_EXT_SEALED) != 0;
    u64 key = sealed ? block_key(ext->addr, place) : block_key(ext->addr + place, 0);
    struct arc_entry *entry = arc_get(&fs->arc, key);
    if (entry != NULL) {
        *out = HX_CONTAINER_OF(entry, struct hfs_block, arc);
        return HX_OK;
    }
    return blocks_load(inode, start, ext, place, out);
}

/* Reading */

struct reader {
    struct hfs_inode *inode;
    bool has; /* at is held */
    struct extent_at at;
};

static void reader_done(struct reader *r)
{
    if (r->has) {
        tree_release(&r->at.path);
        r->has = false;
    }
}

static enum hx_status read_inline(struct hfs_inode *inode, u32 from, u32 n, u8 *dst)
{
    struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
    struct hfs_path path;
    void *value;
    u32 len;
    enum hx_status status = tree_find(&inode->sv->tree, &key, &path, &value, &len);
    if (status != HX_OK) {
        return status;
    }
    u32 size = len - (u32)sizeof(struct hfs_dinode);
    u32 have = from < size ? (u32)hx_min_u64(n, size - from) : 0;
    memcpy(dst, (u8 *)value + sizeof(struct hfs_dinode) + from, have);
    memset(dst + have, 0, n - have);
    tree_release(&path);
    return HX_OK;
}

/* Has r->at hold the extent that page `index` is in. HX_ERR_NOT_FOUND: a hole. */
static enum hx_status reader_seek(struct reader *r, u64 index)
{
    if (r->has && (index < r->at.start || index - r->at.start >= r->at.ext->len)) {
        reader_done(r);
    }
    if (!r->has) {
        enum hx_status status = extent_find(r->inode, index, &r->at);
        if (status != HX_OK) {
            return status;
        }
        r->has = true;
    }
    return HX_OK;
}

/* Reads whole pages of a plain extent to where they are wanted, past the cache, which long reads
 * would only empty. Return: how many of `want` are there and intact; the others are read_page's. */
static u32 read_run(struct reader *r, u64 index, u32 want, u8 *dst)
{
    struct hfs_inode *inode = r->inode;
    struct hfs *fs = inode->sv->fs;
    if (want < RUN_MIN || (inode->d.flags & HFS_INODE_INLINE) != 0 ||
        page_find(inode, index) != NULL || reader_seek(r, index) != HX_OK ||
        (r->at.ext->flags & HFS_EXT_SEALED) != 0) {
        return 0;
    }
    u32 place = (u32)(index - r->at.start);
    u64 addr = r->at.ext->addr + place;
    struct arc_entry *cached = arc_get(&fs->arc, block_key(addr, 0));
    if (cached != NULL) {
        arc_put(&fs->arc, cached);
        return 0;
    }
    u32 n = (u32)hx_min_u64(want, r->at.ext->len - place), good = 1;
    while (good < n && page_find(inode, index + good) == NULL) {
        good++;
    }
    if (good < RUN_MIN || bdev_read(fs->dev, addr, good, dst) != HX_OK) {
        return 0;
    }
    const u32 *crcs = (const u32 *)(const void *)(r->at.ext + 1) + place;
    for (u32 i = 0; i < good; i++) {
        if (os_crc32c(0, dst + (size_t)i * HFS_BLOCK, HFS_BLOCK) != crcs[i]) {
            return i;
        }
    }
    return good;
}

/* Bytes [from, from + n) of one page of the file. */
static enum hx_status read_page(struct reader *r, u64 index, u32 from, u32 n, u8 *dst)
{
    struct hfs_inode *inode = r->inode;
    struct hfs_page *page = page_find(inode, index);
    if (page != NULL) {
        memcpy(dst, page->data + from, n);
        return HX_OK;
    }
    if ((inode->d.flags & HFS_INODE_INLINE) != 0) {
        if (index == 0) {
            return read_inline(inode, from, n, dst);
        }
        memset(dst, 0, n);
        return HX_OK;
    }
    enum hx_status status = reader_seek(r, index);
    if (status == HX_ERR_NOT_FOUND) {
        memset(dst, 0, n);
        return HX_OK;
    }
    if (status != HX_OK) {
        return status;
    }
    struct hfs_block *block = NULL;
    status = block_get(inode, r->at.start, r->at.ext, index, &block);
    if (status == HX_OK) {
        HX_ASSERT(block != NULL);
        memcpy(dst, block->data + from, n);
        arc_put(&inode->sv->fs->arc, &block->arc);
    }
    return status;
}

/* Changing pages */

/* A dirty page with the file's content, or zeroes when `fresh`: all of it will be overwritten. */
static enum hx_status page_make_one(struct hfs_inode *inode, u64 index, bool fresh,
                                    struct hfs_page **out)
{
    struct hfs_page *page = page_find(inode, index);
    if (page != NULL) {
        *out = page;
        return HX_OK;
    }
    u8 *data = os_alloc(HFS_BLOCK);
    if (data == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = HX_OK;
    if (fresh) {
        memset(data, 0, HFS_BLOCK);
    } else {
        struct reader r = {.inode = inode};
        status = read_page(&r, index, 0, HFS_BLOCK, data);
        reader_done(&r);
    }
    if (status == HX_OK) {
        status = page_add(inode, index, data, out);
    }
    if (status != HX_OK) {
        os_free(data);
    }
    return status;
}

/* inv 3: makes the whole sealed extent that covers a block dirty. */
static enum hx_status unseal(struct hfs_inode *inode, u64 index)
{
    if ((inode->d.flags & HFS_INODE_INLINE) != 0 || page_find(inode, index) != NULL) {
        return HX_OK;
    }
    struct extent_at at;
    enum hx_status status = extent_find(inode, index, &at);
    if (status != HX_OK) {
        return status == HX_ERR_NOT_FOUND ? HX_OK : status;
    }
    bool sealed = (at.ext->flags & HFS_EXT_SEALED) != 0;
    u64 start = at.start, end = at.start + at.ext->len;
    tree_release(&at.path);
    for (u64 i = start; sealed && i < end && status == HX_OK; i++) {
        struct hfs_page *page;
        status = page_make_one(inode, i, false, &page);
    }
    return status;
}

static enum hx_status page_make(struct hfs_inode *inode, u64 index, bool fresh,
                                struct hfs_page **out)
{
    enum hx_status status = unseal(inode, index);
    return status == HX_OK ? page_make_one(inode, index, fresh, out) : status;
}

/* inv 5 */
static enum hx_status inline_to_page(struct hfs_inode *inode)
{
    struct hfs_page *page;
    if ((inode->d.flags & HFS_INODE_INLINE) == 0) {
        return HX_OK;
    }
    return page_make_one(inode, 0, false, &page);
}

static void page_dirty_range(struct hfs_page *page, u32 lo, u32 hi)
{
    if (page->lo == page->hi) {
        page->lo = (u16)lo;
        page->hi = (u16)hi;
    } else {
        page->lo = (u16)hx_min_u64(page->lo, lo);
        page->hi = (u16)hx_max_u64(page->hi, hi);
    }
    page->inode->unordered = true;
}

enum hx_status do_write(struct hfs_inode *inode, u64 off, const void *buf, u32 len, s64 now)
{
    if (len == 0) {
        return HX_OK;
    }
    if (!inode_is(inode, HFS_IFREG)) {
        return HX_ERR_INVALID;
    }
    u64 first = off / HFS_BLOCK, last = (off + len - 1) / HFS_BLOCK;
    enum hx_status status = inline_to_page(inode);
    /* Everything that can fail first: no page takes a byte before all are there. */
    for (u64 i = first; i <= last && status == HX_OK; i++) {
        struct hfs_page *page;
        bool fresh = off <= i * HFS_BLOCK && off + len >= (i + 1) * HFS_BLOCK;
        status = page_make(inode, i, fresh, &page);
    }
    if (status != HX_OK) {
        return status;
    }
    const u8 *src = buf;
    u64 at = off;
    for (u64 i = first; i <= last; i++) {
        struct hfs_page *page = page_find(inode, i);
        u32 lo = (u32)(at % HFS_BLOCK);
        u32 n = (u32)hx_min_u64(HFS_BLOCK - lo, off + len - at);
        memcpy(page->data + lo, src, n);
        page_dirty_range(page, lo, lo + n);
        src += n;
        at += n;
    }
    inode->d.size = hx_max_u64(inode->d.size, off + len);
    inode->d.mtime_ns = inode->d.ctime_ns = now;
    return HX_OK;
}

/* Writing back */

static bool wants_sealing(const struct hfs_inode *inode)
{
    if ((inode->sv->d.flags & HFS_SV_ENCRYPTED) != 0) {
        return true;
    }
    return inode->sv->d.alg != HFS_ALG_NONE && inode->alg_skip == 0;
}

/* Names n new blocks of content at index in the tree and in the log, in place of what was there. */
static enum hx_status extent_enter(struct hfs_inode *inode, u64 index, const struct hfs_extent *ext,
                                   u32 len)
{
    struct hfs *fs = inode->sv->fs;
    struct hfs_key key = {inode->ino, HFS_KIND_EXTENT, index};
    bool done;
    enum hx_status status = extents_remove(inode, index, index + ext->len, &done);
    if (status == HX_OK) {
        HX_ASSERT(done); /* a run is shorter than a slice */
        status = tree_put(&inode->sv->tree, &key, ext, len);
    }
    if (status == HX_OK) {
        inode->d.blocks += ext->blocks;
        struct hfs_rec rec = record_for(inode, HFS_REC_EXTENT | HFS_REC_MORE, inode->d.mtime_ns);
        rec.arg = index;
        rec.arg2 = inode->d.size;
        log_append(fs, &rec, NULL, 0, ext, len);
        status = dead_flush(fs);
    }
    if (status == HX_OK) {
        fs->touched = false; /* a step complete in itself: a later failure undoes nothing */
    }
    return status;
}

/* Copies pages [index, index + n), all dirty, one behind the other. */
static void pages_gather(const struct hfs_inode *inode, u64 index, u32 n, u8 *dst)
{
    for (u32 i = 0; i < n; i++) {
        memcpy(dst + i * HFS_BLOCK, page_find(inode, index + i)->data, HFS_BLOCK);
    }
}

/* The pages are on the device now: into the cache of clean blocks. */
static void pages_clean(struct hfs_inode *inode, u64 index, const struct hfs_extent *ext)
{
    struct hfs *fs = inode->sv->fs;
    for (u32 i = 0; i < ext->len; i++) {
        struct hfs_page *page = page_find(inode, index + i);
        bool sealed = (ext->flags & HFS_EXT_SEALED) != 0;
        u64 key = sealed ? block_key(ext->addr, i) : block_key(ext->addr + i, 0);
        struct hfs_block *block = os_alloc(sizeof(*block));
        arc_drop(&fs->arc, key);
        if (block != NULL) {
            block->data = page->data;
            page->data = NULL;
            arc_insert(&fs->arc, &block->arc, key, HFS_BLOCK + sizeof(*block));
            arc_put(&fs->arc, &block->arc);
        }
        page_drop(page);
    }
}

static enum hx_status unstable_limit(struct hfs *fs)
{
    return fs->unstable_blocks > UNSTABLE_MAX ? dev_flush(fs) : HX_OK;
}

/* Writes up to n pages as one plain extent. */
static enum hx_status write_plain(struct hfs_inode *inode, u64 index, u32 n, u32 *out_done)
{
    struct hfs *fs = inode->sv->fs;
    u64 addr;
    u32 got;
    enum hx_status status = space_alloc_data(fs, n, false, &addr, &got);
    if (status != HX_OK) {
        return status;
    }
    struct hfs_unstable *u = unstable_new(got);
    status = u == NULL ? HX_ERR_NO_MEMORY : HX_OK;
    struct hfs_extent *ext = (struct hfs_extent *)fs->item2;
    if (status == HX_OK) {
        pages_gather(inode, index, got, u->data);
        *ext = (struct hfs_extent){
            .addr = addr, .birth = fs->txg, .len = (u16)got, .blocks = (u16)got};
        u32 *crcs = (u32 *)(ext + 1);
        for (u32 i = 0; i < got; i++) {
            crcs[i] = os_crc32c(0, u->data + i * HFS_BLOCK, HFS_BLOCK);
        }
        status = log_reserve(fs, 1, HFS_ITEM_MAX);
    }
    if (status == HX_OK) {
        status = bdev_write(fs->dev, addr, got, u->data);
    }
    if (status != HX_OK) {
        if (u != NULL) {
            unstable_free(u);
        }
        HX_IGNORE(space_free(fs, addr, got, true), "just taken from that group");
        return status;
    }
    unstable_add(fs, u, addr);
    status = extent_enter(inode, index, ext, (u32)sizeof(*ext) + 4 * got);
    if (status == HX_OK) {
        pages_clean(inode, index, ext);
        *out_done = got;
        status = unstable_limit(fs);
    }
    return status;
}

/* Compresses fs->plain into fs->sealed. Return: the bytes, 0 when nothing is gained. */
static u32 try_compress(struct hfs_inode *inode, u32 n)
{
    struct hfs *fs = inode->sv->fs;
    u32 got = 0;
    if (inode->sv->d.alg == HFS_ALG_NONE || n < 2) {
        return 0;
    }
    if (inode->alg_skip > 0) {
        inode->alg_skip--;
        return 0;
    }
    codec_compress(fs, inode->sv->d.alg, inode->sv->d.alg_level, fs->plain, n * HFS_BLOCK,
                   fs->sealed, (n - 1) * HFS_BLOCK, &got);
    if (got > 0) {
        inode->alg_misses = 0;
    } else if (++inode->alg_misses >= 8) { /* such a file seldom changes its mind */
        inode->alg_misses = 0;
        inode->alg_skip = 64;
    }
    return got;
}

/* Builds the sealed extent of n pages in fs->sealed and fs->item2. Return: bytes of the item, 0
 * when the pages are better written plain. */
static u32 seal_build(struct hfs_inode *inode, u64 index, u32 n)
{
    struct hfs *fs = inode->sv->fs;
    bool crypted = (inode->sv->d.flags & HFS_SV_ENCRYPTED) != 0;
    struct hfs_extent *ext = (struct hfs_extent *)fs->item2;
    pages_gather(inode, index, n, fs->plain);
    u32 bytes = try_compress(inode, n);
    if (bytes == 0 && !crypted) {
        return 0;
    }
    *ext = (struct hfs_extent){.birth = fs->txg,
                               .len = (u16)n,
                               .flags = HFS_EXT_SEALED | (crypted ? HFS_EXT_CRYPTED : 0),
                               .alg = bytes > 0 ? (u16)inode->sv->d.alg : HFS_ALG_NONE};
    if (bytes == 0) {
        bytes = n * HFS_BLOCK;
        memcpy(fs->sealed, fs->plain, bytes);
    }
    ext->bytes = bytes;
    ext->blocks = (u16)((bytes + HFS_BLOCK - 1) / HFS_BLOCK);
    memset(fs->sealed + bytes, 0, (size_t)ext->blocks * HFS_BLOCK - bytes);
    u32 len = sizeof(*ext);
    if (crypted) {
        u8 *nonce = (u8 *)(ext + 1), *tag = nonce + HFS_EXT_NONCE;
        struct crypt_aad aad = {.fsid = fs->super.fsid,
                                .kind = 3,
                                .a = inode->ino,
                                .b = index,
                                .c = (u64)ext->alg << 32 | ext->len};
        crypt_nonce(fs, nonce);
        crypt_seal(inode->sv->dek, nonce, &aad, fs->sealed, bytes, tag);
        len += HFS_EXT_NONCE + HFS_EXT_TAG;
    }
    ext->crc = os_crc32c(0, fs->sealed, bytes);
    return len;
}

/* Writes up to n pages of one window as one sealed extent, or plain when that is better. */
static enum hx_status write_sealed(struct hfs_inode *inode, u64 index, u32 n, u32 *out_done)
{
    struct hfs *fs = inode->sv->fs;
    struct hfs_extent *ext = (struct hfs_extent *)fs->item2;
    u32 len, got;
    enum hx_status status;
    for (;; n = (n + 1) / 2) { /* it must lie in one run: a smaller one when there is none */
        len = seal_build(inode, index, n);
        if (len == 0) {
            return write_plain(inode, index, n, out_done);
        }
        status = space_alloc_data(fs, ext->blocks, true, &ext->addr, &got);
        if (status != HX_ERR_NO_SPACE || n == 1) {
            break;
        }
    }
    if (status != HX_OK) {
        return status;
    }
    u64 addr = ext->addr;
    u32 blocks = ext->blocks;
    struct hfs_unstable *u = unstable_new(blocks);
    status = u == NULL ? HX_ERR_NO_MEMORY : log_reserve(fs, 1, HFS_ITEM_MAX);
    if (status == HX_OK) {
        memcpy(u->data, fs->sealed, (size_t)blocks * HFS_BLOCK);
        status = bdev_write(fs->dev, addr, blocks, u->data);
    }
    if (status != HX_OK) {
        if (u != NULL) {
            unstable_free(u);
        }
        HX_IGNORE(space_free(fs, addr, blocks, true), "just taken from that group");
        return status;
    }
    unstable_add(fs, u, addr);
    status = extent_enter(inode, index, ext, len);
    if (status == HX_OK) {
        pages_clean(inode, index, ext);
        *out_done = n;
        status = unstable_limit(fs);
    }
    return status;
}

/* Dirty pages in a row from the first one on, ending where a sealed extent may end. */
static u32 run_of_pages(const struct hfs_inode *inode, u64 index, u32 window)
{
    u64 stop = (index / window + 1) * window;
    u32 n = 1;
    while (index + n < stop && page_find(inode, index + n) != NULL) {
        n++;
    }
    return n;
}

static enum hx_status store_inline(struct hfs_inode *inode)
{
    struct hfs *fs = inode->sv->fs;
    struct hfs_key key = {inode->ino, HFS_KIND_INODE, 0};
    struct hfs_page *page = page_find(inode, 0);
    u32 size = (u32)inode->d.size;
    memcpy(fs->item, &inode->d, sizeof(inode->d));
    memcpy(fs->item + sizeof(inode->d), page->data, size);
    enum hx_status status =
        tree_put(&inode->sv->tree, &key, fs->item, (u32)sizeof(inode->d) + size);
    if (status == HX_OK) {
        file_drop_pages(inode, 0);
        inode->time_dirty = false;
    }
    return status;
}

enum hx_status file_writeback(struct hfs_inode *inode)
{
    bool was_inline = (inode->d.flags & HFS_INODE_INLINE) != 0;
    if (inode->page_count == 0) {
        return HX_OK;
    }
    if (was_inline && inode->d.size <= HFS_INLINE_MAX) {
        return store_inline(inode);
    }
    if (was_inline) {
        inode->d.flags &= ~HFS_INODE_INLINE;
        enum hx_status status = inode_store_bare(inode);
        if (status != HX_OK) {
            return status;
        }
    }
    file_drop_pages(inode, (inode->d.size + HFS_BLOCK - 1) / HFS_BLOCK);
    enum hx_status status = HX_OK;
    bool any = false;
    while (status == HX_OK && inode->page_count > 0) {
        const struct hfs_page *first = LIST_FIRST(&inode->pages, struct hfs_page, link);
        HX_ASSERT(first != NULL); /* page_count counts them */
        u64 index = first->index;
        bool seal = wants_sealing(inode);
        u32 n = run_of_pages(inode, index, seal ? HFS_SEALED_MAX : HFS_EXTENT_MAX), done = 0;
        status = seal ? write_sealed(inode, index, n, &done) : write_plain(inode, index, n, &done);
        if (!seal && status == HX_OK && inode->alg_skip > 0) {
            u32 units = (done + HFS_SEALED_MAX - 1) / HFS_SEALED_MAX;
            inode->alg_skip -= (u32)hx_min_u64(inode->alg_skip, units);
        }
        any |= status == HX_OK;
    }
    if (any) {
        enum hx_status stored = inode_store(inode);
        status = status == HX_OK ? stored : status;
    }
    return status;
}

/* Logs the pending bytes themselves. */
static enum hx_status order_by_value(struct hfs_inode *inode, u32 bytes, u32 count)
{
    struct hfs *fs = inode->sv->fs;
    enum hx_status status = log_reserve(fs, count, bytes);
    if (status != HX_OK) {
        return status;
    }
    struct hfs_page *page;
    LIST_FOREACH (&inode->pages, page, link) {
        if (page->lo < page->hi) {
            bool more = --count > 0;
            struct hfs_rec rec =
                record_for(inode, HFS_REC_WRITE | (more ? HFS_REC_MORE : 0), inode->d.mtime_ns);
            rec.arg = page->index * HFS_BLOCK + page->lo;
            log_append(fs, &rec, NULL, 0, page->data + page->lo, (u32)(page->hi - page->lo));
            page->lo = page->hi = 0;
        }
    }
    return HX_OK;
}

enum hx_status file_order(struct hfs_inode *inode)
{
    struct hfs *fs = inode->sv->fs;
    if (!inode->unordered) {
        return HX_OK;
    }
    u32 bytes = 0, count = 0;
    struct hfs_page *page;
    LIST_FOREACH (&inode->pages, page, link) {
        bytes += (u32)(page->hi - page->lo);
        count += page->lo < page->hi;
    }
    enum hx_status status = HX_OK;
    if (fs->in_commit || (fs->opts.flags & HFS_MOUNT_NOLOG) != 0 || fs->log.replaying) {
        LIST_FOREACH (&inode->pages, page, link) {
            page->lo = page->hi = 0;
        }
        fs->log.op_seq += !fs->log.replaying;
    } else if (bytes <= BY_VALUE_BYTES && count <= BY_VALUE_PAGES) {
        status = order_by_value(inode, bytes, count);
        if (status == HX_OK && (inode->d.flags & HFS_INODE_INLINE) != 0 &&
            inode->d.size <= HFS_INLINE_MAX) {
            status = file_writeback(inode); /* in memory only; new files fill leaves in order */
        }
    } else {
        status = file_writeback(inode);
        log_group_end(fs);
    }
    if (status == HX_OK) {
        inode->unordered = false;
        inode->last_op = fs->log.op_seq;
        if (fs->opts.ordered != NULL) {
            fs->opts.ordered(fs->opts.ctx, inode->sv->id, inode->ino);
        }
    }
    return status;
}

enum hx_status do_extent(struct hfs_inode *inode, u64 index, const struct hfs_extent *ext, u32 len,
                         u64 size, s64 now)
{
    struct hfs *fs = inode->sv->fs;
    if (!inode_is(inode, HFS_IFREG) || extent_check(fs, ext, len) != HX_OK) {
        return HX_ERR_CORRUPT;
    }
    enum hx_status status = HX_OK;
    for (u64 i = index; i < index + ext->len; i++) {
        struct hfs_page *page = page_find(inode, i);
        if (page != NULL) {
            page_drop(page);
        }
        arc_drop(&fs->arc, block_key(ext->addr, (u32)(i - index) % HFS_SEALED_MAX));
    }
    if ((inode->d.flags & HFS_INODE_INLINE) != 0) {
        inode->d.flags &= ~HFS_INODE_INLINE;
        status = inode_store_bare(inode);
    }
    if (status == HX_OK) {
        struct hfs_extent *copy = (struct hfs_extent *)fs->item2;
        memcpy(copy, ext, len);
        copy->birth = fs->txg;
        status = extent_enter(inode, index, copy, len);
    }
    if (status == HX_OK) {
        inode->d.size = size;
        inode->d.mtime_ns = inode->d.ctime_ns = now;
        status = inode_store(inode);
    }
    return status;
}

/* Truncation and holes */

/* Zeroes [from, to) of one page, when there is anything in it. */
static enum hx_status page_zero(struct hfs_inode *inode, u64 index, u32 from, u32 to)
{
    if (page_find(inode, index) == NULL) {
        struct extent_at at;
        enum hx_status status = extent_find(inode, index, &at);
        if (status != HX_OK) {
            return status == HX_ERR_NOT_FOUND ? HX_OK : status;
        }
        tree_release(&at.path);
    }
    struct hfs_page *page;
    enum hx_status status = page_make(inode, index, false, &page);
    if (status == HX_OK) {
        memset(page->data + from, 0, to - from);
    }
    return status;
}

/* Truncates a file with inline data, and perhaps more of it in pages only. */
static enum hx_status truncate_inline(struct hfs_inode *inode, u64 size)
{
    enum hx_status status = inline_to_page(inode);
    if (status != HX_OK) {
        return status;
    }
    u64 last = (size + HFS_BLOCK - 1) / HFS_BLOCK;
    file_drop_pages(inode, hx_max_u64(last, 1));
    struct hfs_page *page = page_find(inode, size / HFS_BLOCK);
    if (page != NULL) {
        memset(page->data + size % HFS_BLOCK, 0, HFS_BLOCK - size % HFS_BLOCK);
    }
    inode->d.size = size;
    return HX_OK;
}

static enum hx_status truncate_extents(struct hfs_inode *inode, u64 size)
{
    u64 last = (size + HFS_BLOCK - 1) / HFS_BLOCK;
    enum hx_status status = HX_OK;
    if (size < inode->d.size) {
        status = unseal(inode, last);
        if (status == HX_OK && size % HFS_BLOCK != 0) {
            status = page_zero(inode, last - 1, (u32)(size % HFS_BLOCK), HFS_BLOCK);
        }
        if (status != HX_OK) {
            return status;
        }
        file_drop_pages(inode, last);
        bool done;
        status = extents_remove(inode, last, ~0ull, &done);
        if (status == HX_OK && !done) {
            struct hfs_key key = {0, HFS_KIND_ORPHAN, inode->ino};
            inode->trim = true;
            status = tree_put(&inode->sv->tree, &key, NULL, 0);
        }
        if (status == HX_OK && done && size == 0) {
            inode->d.flags |= HFS_INODE_INLINE;
        }
    }
    inode->d.size = size;
    return status;
}

enum hx_status do_truncate(struct hfs_inode *inode, u64 size, s64 now)
{
    if (!inode_is(inode, HFS_IFREG)) {
        return inode_is(inode, HFS_IFDIR) ? HX_ERR_IS_DIR : HX_ERR_INVALID;
    }
    enum hx_status status = (inode->d.flags & HFS_INODE_INLINE) != 0
                                ? truncate_inline(inode, size)
                                : truncate_extents(inode, size);
    if (status == HX_OK) {
        inode->d.mtime_ns = inode->d.ctime_ns = now;
        status = inode_store(inode);
    }
    return status;
}

enum hx_status file_trim(struct hfs_inode *inode)
{
    struct hfs *fs = inode->sv->fs;
    while (inode->trim) {
        enum hx_status status = op_begin(fs, inode->sv, 4, 0, TIER_DELETE);
        if (status != HX_OK) {
            return status;
        }
        bool done;
        u64 last = (inode->d.size + HFS_BLOCK - 1) / HFS_BLOCK;
        status = extents_remove(inode, last, ~0ull, &done);
        if (status == HX_OK && done) {
            struct hfs_key key = {0, HFS_KIND_ORPHAN, inode->ino};
            status = tree_remove(&inode->sv->tree, &key);
        }
        if (status == HX_OK) {
            status = inode_store(inode);
        }
        status = op_end(fs, status);
        if (status != HX_OK) {
            return status;
        }
        inode->trim = !done;
    }
    return HX_OK;
}

/* One piece of a hole: at most HFS_SLICE blocks. */
enum hx_status do_punch(struct hfs_inode *inode, u64 off, u64 len, s64 now)
{
    if (!inode_is(inode, HFS_IFREG)) {
        return HX_ERR_INVALID;
    }
    u64 end = hx_min_u64(off + len, inode->d.size);
    if (off >= end) {
        return HX_OK;
    }
    enum hx_status status = HX_OK;
    u64 first = (off + HFS_BLOCK - 1) / HFS_BLOCK, last = end / HFS_BLOCK;
    if (end == inode->d.size) {
        last = (end + HFS_BLOCK - 1) / HFS_BLOCK;
    }
    bool inlined = (inode->d.flags & HFS_INODE_INLINE) != 0;
    status = inline_to_page(inode);
    if (status == HX_OK && off % HFS_BLOCK != 0) {
        u64 stop = hx_min_u64(end, first * HFS_BLOCK);
        status = page_zero(inode, first - 1, (u32)(off % HFS_BLOCK),
                           (u32)(stop - (first - 1) * HFS_BLOCK));
    }
    if (status == HX_OK && last >= first && end % HFS_BLOCK != 0 && end != inode->d.size) {
        status = page_zero(inode, last, 0, (u32)(end % HFS_BLOCK));
    }
    if (status == HX_OK && inlined && first == 0 && last > 0) {
        status = page_zero(inode, first++, 0, HFS_BLOCK); /* inv 5: page 0 stays, if only zeroes */
    }
    if (status == HX_OK && last > first) {
        status = unseal(inode, first);
    }
    if (status == HX_OK && last > first) {
        status = unseal(inode, last);
    }
    for (u64 i = first; status == HX_OK && i < last; i++) {
        struct hfs_page *page = page_find(inode, i);
        if (page != NULL) {
            page_drop(page);
        }
    }
    if (status == HX_OK && last > first && !inlined) {
        bool done;
        status = extents_remove(inode, first, last, &done);
    }
    if (status == HX_OK) {
        inode->d.mtime_ns = inode->d.ctime_ns = now;
        status = inode_store(inode);
    }
    return status;
}

/* Finds data or a hole from off on, off being before the end. HX_ERR_END: no more data. */
static enum hx_status seek(struct hfs_inode *inode, u64 off, bool hole, u64 *out)
{
    u64 index = off / HFS_BLOCK, end = (inode->d.size + HFS_BLOCK - 1) / HFS_BLOCK;
    bool inlined = (inode->d.flags & HFS_INODE_INLINE) != 0;
    while (index < end) {
        u64 data_end = page_find(inode, index) != NULL || (inlined && index == 0) ? index + 1 : 0;
        u64 next = end;
        struct extent_at at;
        enum hx_status status =
            data_end > 0 || inlined ? HX_ERR_NOT_FOUND : extent_next(inode, index, &at);
        if (status == HX_OK) {
            if (at.start <= index) {
                data_end = at.start + at.ext->len;
            } else {
                next = at.start;
            }
            tree_release(&at.path);
        } else if (status != HX_ERR_NOT_FOUND) {
            return status;
        }
        if ((data_end > 0) != hole) {
            *out = hx_max_u64(off, index * HFS_BLOCK);
            return HX_OK;
        }
        if (data_end > 0) {
            index = data_end;
            continue;
        }
        struct hfs_page *page;
        LIST_FOREACH (&inode->pages, page, link) {
            if (page->index > index) {
                next = hx_min_u64(next, page->index);
                break;
            }
        }
        index = next;
    }
    if (!hole) {
        return HX_ERR_END;
    }
    *out = inode->d.size;
    return HX_OK;
}

/* Public functions */

/* relatime: what tells that a file was read since it changed, at the price of one store a day. */
static void touch_atime(struct hfs_inode *inode)
{
    struct hfs *fs = inode->sv->fs;
    struct hfs_dinode *d = &inode->d;
    s64 now = os_time_ns();
    if (!fs->read_only && (inode->sv->d.flags & HFS_SV_SNAPSHOT) == 0 &&
        (d->atime_ns <= d->mtime_ns || d->atime_ns <= d->ctime_ns ||
         now - d->atime_ns > (s64)DAY_NS)) {
        d->atime_ns = now;
        inode->time_dirty = true;
    }
}

enum hx_status hfs_read(struct hfs_inode *inode, u64 off, void *buf, size_t len, size_t *out_len)
{
    struct hfs *fs = inode->sv->fs;
    if (!inode_is(inode, HFS_IFREG)) {
        return inode_is(inode, HFS_IFDIR) ? HX_ERR_IS_DIR : HX_ERR_INVALID;
    }
    os_mutex_acquire(fs->lock);
    struct reader r = {.inode = inode};
    u64 end = off < inode->d.size ? off + hx_min_u64(len, inode->d.size - off) : off;
    u8 *dst = buf;
    u64 at = off;
    enum hx_status status = HX_OK;
    while (at < end) {
        u32 from = (u32)(at % HFS_BLOCK);
        u32 n = (u32)hx_min_u64(HFS_BLOCK - from, end - at);
        u32 run = from == 0 ? read_run(&r, at / HFS_BLOCK, (u32)((end - at) / HFS_BLOCK), dst) : 0;
        if (run > 0) {
            dst += (size_t)run * HFS_BLOCK;
            at += (u64)run * HFS_BLOCK;
            continue;
        }
        status = read_page(&r, at / HFS_BLOCK, from, n, dst);
        if (status != HX_OK) {
            break;
        }
        dst += n;
        at += n;
    }
    reader_done(&r);
    if (status == HX_OK || at > off) { /* what came before the bad block is good */
        *out_len = at - off;
        status = HX_OK;
        touch_atime(inode);
    }
    os_mutex_release(fs->lock);
    return status;
}

/* Pages that a write of n may make dirty: a sealed extent at either end comes along whole. */
static u32 pages_touched(const struct hfs_inode *inode, u32 n)
{
    bool sealed = inode->sv->d.alg != HFS_ALG_NONE ||
                  (inode->sv->d.flags & HFS_SV_ENCRYPTED) != 0 ||
                  (inode->sv->fs->super.incompat & (HFS_INCOMPAT_LZ4 | HFS_INCOMPAT_ZSTD)) != 0;
    return sealed ? n + 2 * HFS_SEALED_MAX : n + 1;
}

enum hx_status hfs_write(struct hfs_inode *inode, u64 off, const void *buf, size_t len,
                         size_t *out_len)
{
    struct hfs *fs = inode->sv->fs;
    if (!inode_is(inode, HFS_IFREG)) {
        return inode_is(inode, HFS_IFDIR) ? HX_ERR_IS_DIR : HX_ERR_INVALID;
    }
    if (!hx_range_fits(off, len, HFS_SIZE_MAX)) {
        return HX_ERR_OVERFLOW;
    }
    os_mutex_acquire(fs->lock);
    enum hx_status status = file_trim(inode);
    size_t done = 0;
    while (done < len && status == HX_OK) {
        u32 n = (u32)hx_min_u64(len - done, CHUNK - (off + done) % HFS_BLOCK);
        u32 pages = (u32)((off + done + n - 1) / HFS_BLOCK - (off + done) / HFS_BLOCK + 1);
        status = op_begin(fs, inode->sv, 2, pages_touched(inode, pages), TIER_NORMAL);
        if (status == HX_OK) {
            status =
                op_end(fs, do_write(inode, off + done, (const u8 *)buf + done, n, os_time_ns()));
        }
        done += status == HX_OK ? n : 0;
    }
    if (done > 0 || len == 0) {
        *out_len = done;
        status = HX_OK;
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_truncate(struct hfs_inode *inode, u64 size)
{
    struct hfs *fs = inode->sv->fs;
    if (size > HFS_SIZE_MAX) {
        return HX_ERR_OVERFLOW;
    }
    os_mutex_acquire(fs->lock);
    bool shrink = size < inode->d.size;
    enum hx_status status = file_trim(inode);
    if (status == HX_OK) {
        status =
            op_begin(fs, inode->sv, 4, pages_touched(inode, 1), shrink ? TIER_DELETE : TIER_NORMAL);
    }
    if (status == HX_OK) {
        status = file_order(inode);
        if (status == HX_OK) {
            status = log_reserve(fs, 1, 0);
        }
        s64 now = os_time_ns();
        if (status == HX_OK) {
            status = do_truncate(inode, size, now);
        }
        if (status == HX_OK) {
            struct hfs_rec rec = record_for(inode, HFS_REC_TRUNCATE, now);
            rec.arg = size;
            log_append(fs, &rec, NULL, 0, NULL, 0);
            inode->last_op = fs->log.op_seq;
        }
        status = op_end(fs, status);
    }
    if (status == HX_OK) {
        status = file_trim(inode);
    }
    os_mutex_release(fs->lock);
    return status;
}

/* One slice of a hole, from *off on. */
static enum hx_status punch_slice(struct hfs_inode *inode, u64 off, u64 len)
{
    struct hfs *fs = inode->sv->fs;
    enum hx_status status = op_begin(fs, inode->sv, 4, pages_touched(inode, 2), TIER_DELETE);
    if (status != HX_OK) {
        return status;
    }
    status = log_reserve(fs, 1, 0);
    s64 now = os_time_ns();
    if (status == HX_OK) {
        status = do_punch(inode, off, len, now);
    }
    if (status == HX_OK) {
        struct hfs_rec rec = record_for(inode, HFS_REC_PUNCH, now);
        rec.arg = off;
        rec.arg2 = len;
        log_append(fs, &rec, NULL, 0, NULL, 0);
        inode->last_op = fs->log.op_seq;
    }
    return op_end(fs, status);
}

enum hx_status hfs_punch(struct hfs_inode *inode, u64 off, u64 len)
{
    struct hfs *fs = inode->sv->fs;
    if (!hx_range_fits(off, len, HFS_SIZE_MAX)) {
        return HX_ERR_OVERFLOW;
    }
    if (!inode_is(inode, HFS_IFREG)) {
        return inode_is(inode, HFS_IFDIR) ? HX_ERR_IS_DIR : HX_ERR_INVALID;
    }
    os_mutex_acquire(fs->lock);
    u64 at = off, end = hx_min_u64(off + len, inode->d.size);
    enum hx_status status = file_trim(inode);
    if (status == HX_OK) { /* even where nothing but holes is found: earlier writes come first */
        status = op_begin(fs, inode->sv, 1, 0, TIER_DELETE);
        if (status == HX_OK) {
            status = op_end(fs, file_order(inode));
        }
    }
    while (status == HX_OK && at < end) {
        status = seek(inode, at, false, &at); /* holes stay as they are */
        if (status == HX_ERR_END || (status == HX_OK && at >= end)) {
            status = HX_OK;
            break;
        }
        u64 stop = hx_min_u64(end, hx_align_down(at, HFS_BLOCK) + HFS_SLICE * HFS_BLOCK);
        if (status == HX_OK) {
            status = punch_slice(inode, at, stop - at);
        }
        at = stop;
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_seek(struct hfs_inode *inode, u64 off, bool hole, u64 *out)
{
    struct hfs *fs = inode->sv->fs;
    if (!inode_is(inode, HFS_IFREG)) {
        return HX_ERR_INVALID;
    }
    os_mutex_acquire(fs->lock);
    enum hx_status status = off < inode->d.size ? seek(inode, off, hole, out) : HX_ERR_END;
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_fsync(struct hfs_inode *inode)
{
    struct hfs *fs = inode->sv->fs;
    os_mutex_acquire(fs->lock);
    enum hx_status status = HX_OK;
    if (!fs->read_only && (inode->sv->d.flags & HFS_SV_SNAPSHOT) == 0) {
        status = op_begin(fs, inode->sv, 1, 0, TIER_DELETE);
        if (status == HX_OK) {
            status = op_end(fs, file_order(inode));
        }
        if (status == HX_OK && inode->last_op > fs->log.durable_seq) {
            bool logged = (fs->opts.flags & HFS_MOUNT_NOLOG) == 0;
            status = logged ? log_flush(fs) : HX_ERR_NO_SPACE;
            if (status == HX_ERR_NO_SPACE) {
                fs->changed = true;
                status = txg_commit(fs);
            }
        }
    }
    os_mutex_release(fs->lock);
    return status;
}
