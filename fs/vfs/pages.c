/* SPDX-License-Identifier: MIT */
/* Contents of files, in pages.
 * Owns:      the pages of each file (FRAME_FILE).      Callers: fs/vfs.     Context: thread.
 * Locks:     vnode->lock for the tree of pages and the size. It is held while a writer copies from
 *            user memory, which may wait for memory there and for nothing else; readers take it to
 *            find a page, refer to the page, and copy without it.
 * Invariant: (1) every byte of a page beyond the end of the file is zero, so that a file can grow
 *            by its size alone.
 *            (2) a page in the tree holds a reference to its frame, and so does every reader that
 *            copies from it: truncation frees nothing under a reader's hands.
 *            (3) FS_MEMORY: an absent page is a hole; super->pages counts those that are present.
 *            Other file systems: an absent page is asked for when it is read; a write goes through
 *            to the file system, and to the page if it is present.
 */
#include <core/memory.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <memory/frame.h>
#include "vfs_priv.h"

#define READ_ORDER 5          /* 32 pages */
#define WRITE_MAX  HX_KIB(64) /* bytes that go to a file system at once */

enum hx_status buffer_fill(const struct vfs_buffer *to, const void *from)
{
    if (to->kernel) {
        memcpy(to->kernel, from, to->size);
        return HX_OK;
    }
    return user_copy_out(to->user, from, to->size);
}

enum hx_status buffer_drain(const struct vfs_buffer *from, void *to)
{
    if (from->kernel) {
        memcpy(to, from->kernel, from->size);
        return HX_OK;
    }
    return user_copy_in(to, from->user, from->size);
}

static bool is_memory(const struct vnode *vnode)
{
    return vnode->super->ops->flags & FS_MEMORY;
}

static u8 *page_at(u64 frame)
{
    return hal_phys_to_virt(frame);
}

static u64 page_number(u64 offset)
{
    return offset >> HX_PAGE_SHIFT;
}

static size_t part_in_page(u64 offset, u64 size)
{
    return (size_t)hx_min_u64(size, HX_PAGE_SIZE - (offset & HX_PAGE_MASK));
}

static enum hx_status page_charge(struct super *super)
{
    if (__atomic_add_fetch(&super->pages, 1, __ATOMIC_RELAXED) > super->page_limit) {
        __atomic_sub_fetch(&super->pages, 1, __ATOMIC_RELAXED);
        return HX_ERR_NO_SPACE;
    }
    return HX_OK;
}

/* A page for the tree, in which there is none of that number. vnode->lock is held.
 * flags: FRAME_ZERO, or none when the caller is about to fill it. */
static enum hx_status page_add(struct vnode *vnode, u64 number, u32 flags, paddr_t *out)
{
    enum hx_status status = is_memory(vnode) ? page_charge(vnode->super) : HX_OK;
    if (status != HX_OK) {
        return status;
    }
    status = frame_alloc(flags, FRAME_FILE, out);
    if (status == HX_OK) {
        status = radix_set(&vnode->pages, number, *out);
        if (status == HX_OK) {
            __atomic_fetch_add(&vnode->attr.stored, HX_PAGE_SIZE, __ATOMIC_RELAXED);
            return HX_OK;
        }
        frame_free(*out);
    }
    if (is_memory(vnode)) {
        __atomic_sub_fetch(&vnode->super->pages, 1, __ATOMIC_RELAXED);
    }
    return status;
}

static void page_remove(struct vnode *vnode, u64 number)
{
    paddr_t frame = radix_remove(&vnode->pages, number);
    if (frame) {
        frame_put(frame); /* inv 2 */
        if (is_memory(vnode)) {
            __atomic_sub_fetch(&vnode->super->pages, 1, __ATOMIC_RELAXED);
            __atomic_fetch_sub(&vnode->attr.stored, HX_PAGE_SIZE, __ATOMIC_RELAXED);
        }
    }
}

void pages_free(struct vnode *vnode)
{
    u64 number = 0;
    while (radix_next(&vnode->pages, &number)) {
        page_remove(vnode, number);
    }
}

/* How many pages to bring at once, as a power of two: who reads on gets several. */
static u32 load_order(struct vnode *vnode, u64 number)
{
    u32 order = number == vnode->read_next ? READ_ORDER : 0;
    u64 end = page_number(vnode_bytes(vnode) + HX_PAGE_MASK);
    while (order > 0) {
        u64 next = number + 1;
        bool fits = (1ull << order) <= end - number && !radix_get(&vnode->pages, next);
        if (fits && (!radix_next(&vnode->pages, &next) || next >= number + (1ull << order))) {
            break;
        }
        order--;
    }
    return order;
}

/* Brings a page of a file system that keeps its own contents. vnode->lock is held. */
static enum hx_status page_load(struct vnode *vnode, u64 number, paddr_t *out)
{
    struct super *super = vnode->super;
    paddr_t first;
    size_t done = 0;
    if (!super->ops->read) {
        return HX_ERR_NOT_SUPPORTED;
    }
    u32 order = load_order(vnode, number);
    enum hx_status status = frame_alloc_block(order, 0, FRAME_FILE, &first);
    if (status != HX_OK && order > 0) {
        order = 0;
        status = frame_alloc_block(0, 0, FRAME_FILE, &first);
    }
    if (status != HX_OK) {
        return status;
    }
    u32 count = 1u << order, kept = 0;
    size_t size = (size_t)count << HX_PAGE_SHIFT;
    status = super->ops->read(super->state, vnode->attr.ino, number << HX_PAGE_SHIFT,
                              page_at(first), size, &done);
    if (status == HX_OK && done > size) {
        status = HX_ERR_CORRUPT;
    }
    if (status == HX_OK) {
        memset(page_at(first) + done, 0, size - done); /* inv 1 */
        /* A read that stopped at a bad place is short: what it did not bring is not kept. */
        u64 good = hx_max_u64(1, (done + HX_PAGE_MASK) >> HX_PAGE_SHIFT);
        while (kept < good && status == HX_OK) {
            status = radix_set(&vnode->pages, number + kept, first + ((u64)kept << HX_PAGE_SHIFT));
            kept += status == HX_OK;
        }
        status = kept ? HX_OK : status; /* the one that was asked for is there */
    }
    if (kept < count) {
        frame_free_run(first + ((u64)kept << HX_PAGE_SHIFT), count - kept);
    }
    vnode->read_next = number + kept;
    *out = first;
    return status;
}

/* A page to read from, with a reference to its frame; 0: a hole. */
static enum hx_status page_get(struct vnode *vnode, u64 number, paddr_t *out)
{
    enum hx_status status = HX_OK;
    mutex_acquire(&vnode->lock);
    paddr_t frame = radix_get(&vnode->pages, number);
    if (!frame && !is_memory(vnode)) {
        status = page_load(vnode, number, &frame);
    }
    if (status == HX_OK && frame) {
        frame_get(frame);
    }
    mutex_release(&vnode->lock);
    *out = frame;
    return status;
}

/* Zeroes to the program, where there is no page. */
static enum hx_status read_hole(const struct vfs_buffer *to)
{
    static const u8 zeroes[256];
    for (size_t at = 0; at < to->size; at += sizeof(zeroes)) {
        struct vfs_buffer part = buffer_part(to, at, hx_min_u64(sizeof(zeroes), to->size - at));
        enum hx_status status = buffer_fill(&part, zeroes);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

/* One page's worth. */
static enum hx_status read_part(struct vnode *vnode, u64 offset, const struct vfs_buffer *to)
{
    const u8 *in_place = __atomic_load_n(&vnode->in_place, __ATOMIC_ACQUIRE);
    if (in_place && hx_range_fits(offset, to->size, vnode->in_place_bytes)) {
        return buffer_fill(to, in_place + offset);
    }
    paddr_t frame;
    enum hx_status status = page_get(vnode, page_number(offset), &frame);
    if (status != HX_OK) {
        return status;
    }
    if (!frame) {
        return read_hole(to);
    }
    status = buffer_fill(to, page_at(frame) + (offset & HX_PAGE_MASK));
    frame_put(frame);
    return status;
}

s64 pages_read(struct vnode *vnode, const struct vfs_buffer *buffer, u64 offset)
{
    u64 bytes = vnode_bytes(vnode), done = 0;
    if (offset >= bytes) {
        return 0;
    }
    u64 size = hx_min_u64(hx_min_u64(buffer->size, VFS_IO_MAX), bytes - offset);
    while (done < size) {
        struct vfs_buffer part = buffer_part(buffer, done, part_in_page(offset, size - done));
        enum hx_status status = read_part(vnode, offset, &part);
        if (status != HX_OK) {
            return done ? (s64)done : (s64)status;
        }
        done += part.size;
        offset += part.size;
    }
    struct fs_attr *a = &vnode->attr;
    if (is_memory(vnode) && a->atime_ns <= a->mtime_ns) { /* told apart from never, and no more */
        a->atime_ns = vfs_now_ns();
    }
    return (s64)done;
}

/* Turns content that lies in memory for ever into pages of its own. vnode->lock is held. */
static enum hx_status make_own(struct vnode *vnode)
{
    const u8 *from = vnode->in_place;
    if (hx_likely(!from)) {
        return HX_OK;
    }
    for (u64 at = 0; at < vnode->in_place_bytes; at += HX_PAGE_SIZE) {
        paddr_t frame = radix_get(&vnode->pages, page_number(at));
        if (frame) {
            continue; /* from a try before, which memory ended */
        }
        enum hx_status status = page_add(vnode, page_number(at), FRAME_ZERO, &frame);
        if (status != HX_OK) {
            return status;
        }
        memcpy(page_at(frame), from + at, hx_min_u64(HX_PAGE_SIZE, vnode->in_place_bytes - at));
    }
    __atomic_store_n(&vnode->in_place, NULL, __ATOMIC_RELEASE);
    return HX_OK;
}

/* One page's worth into a memory file. */
static enum hx_status write_memory(struct vnode *vnode, u64 offset, const struct vfs_buffer *from)
{
    paddr_t frame = radix_get(&vnode->pages, page_number(offset));
    u32 at = (u32)(offset & HX_PAGE_MASK);
    bool whole = from->size == HX_PAGE_SIZE;
    if (!frame) {
        enum hx_status status =
            page_add(vnode, page_number(offset), whole ? 0 : FRAME_ZERO, &frame);
        if (status != HX_OK) {
            return status;
        }
        status = buffer_drain(from, page_at(frame) + at);
        if (status != HX_OK) {
            page_remove(vnode, page_number(offset)); /* it may hold what was in the frame before */
        }
        return status;
    }
    enum hx_status status = buffer_drain(from, page_at(frame) + at);
    if (status != HX_OK && offset + from->size > vnode_bytes(vnode)) {
        u64 bytes = vnode_bytes(vnode); /* inv 1 */
        u32 keep = offset > bytes ? 0 : (u32)(bytes - offset);
        memset(page_at(frame) + at + keep, 0, from->size - keep);
    }
    return status;
}

/* The same into a file whose contents its file system keeps; up to WRITE_MAX bytes. */
static enum hx_status write_through(struct vnode *vnode, u64 offset, const struct vfs_buffer *from)
{
    struct super *super = vnode->super;
    size_t done = 0;
    u8 *bounce = kmalloc(from->size);
    if (!bounce) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = buffer_drain(from, bounce);
    if (status == HX_OK) {
        status =
            super->ops->write(super->state, vnode->attr.ino, offset, bounce, from->size, &done);
    }
    if (status == HX_OK && done != from->size) {
        status = done < from->size ? HX_ERR_NO_SPACE : HX_ERR_CORRUPT;
    }
    for (size_t at = 0, part; at < from->size && (status == HX_OK || done); at += part) {
        u64 number = page_number(offset + at);
        part = part_in_page(offset + at, from->size - at);
        paddr_t frame = radix_get(&vnode->pages, number);
        if (frame && status == HX_OK) {
            memcpy(page_at(frame) + ((offset + at) & HX_PAGE_MASK), bounce + at, part);
        } else if (frame) {
            page_remove(vnode, number); /* what it holds now, the file system knows */
        }
    }
    kfree(bounce);
    return status;
}

s64 pages_write(struct vnode *vnode, const struct vfs_buffer *buffer, u64 offset, bool append)
{
    struct fs_attr *a = &vnode->attr;
    u64 size = hx_min_u64(buffer->size, VFS_IO_MAX), done = 0;
    bool memory = is_memory(vnode);
    if (!memory && !vnode->super->ops->write) {
        return HX_ERR_NOT_SUPPORTED;
    }
    mutex_acquire(&vnode->lock);
    offset = append ? vnode_bytes(vnode) : offset;
    enum hx_status status = HX_OK;
    if (!hx_range_fits(offset, size, VFS_FILE_MAX)) {
        status = HX_ERR_OVERFLOW;
    } else if (memory) {
        status = make_own(vnode);
    }
    while (status == HX_OK && done < size) {
        u64 most = memory ? part_in_page(offset, size - done)
                          : hx_min_u64(size - done, WRITE_MAX - (offset & HX_PAGE_MASK));
        struct vfs_buffer part = buffer_part(buffer, done, most);
        status = memory ? write_memory(vnode, offset, &part) : write_through(vnode, offset, &part);
        if (status == HX_OK) {
            done += part.size;
            offset += part.size;
            if (offset > a->bytes) {
                __atomic_store_n(&a->bytes, offset, __ATOMIC_RELEASE);
            }
        }
    }
    if (done) {
        a->mtime_ns = a->ctime_ns = vfs_now_ns();
    }
    mutex_release(&vnode->lock);
    return done || status == HX_OK ? (s64)done : (s64)status;
}

enum hx_status pages_truncate(struct vnode *vnode, u64 bytes)
{
    struct fs_attr *a = &vnode->attr;
    struct super *super = vnode->super;
    if (bytes > VFS_FILE_MAX) {
        return HX_ERR_OVERFLOW;
    }
    mutex_acquire(&vnode->lock);
    enum hx_status status;
    if (is_memory(vnode)) {
        status = bytes ? make_own(vnode) : HX_OK;
        if (status == HX_OK && vnode->in_place) {
            __atomic_store_n(&vnode->in_place, NULL, __ATOMIC_RELEASE);
        }
    } else {
        status = super->ops->truncate ? super->ops->truncate(super->state, a->ino, bytes)
                                      : HX_ERR_NOT_SUPPORTED;
    }
    if (status == HX_OK) {
        u64 before = a->bytes;
        __atomic_store_n(&a->bytes, bytes, __ATOMIC_RELEASE);
        u64 number = (bytes + HX_PAGE_MASK) >> HX_PAGE_SHIFT;
        while (bytes < before && radix_next(&vnode->pages, &number)) {
            page_remove(vnode, number);
        }
        paddr_t frame = bytes & HX_PAGE_MASK ? radix_get(&vnode->pages, page_number(bytes)) : 0;
        if (frame && bytes < before) {
            u32 keep = (u32)(bytes & HX_PAGE_MASK);
            memset(page_at(frame) + keep, 0, HX_PAGE_SIZE - keep); /* inv 1 */
        }
        a->mtime_ns = a->ctime_ns = vfs_now_ns();
    }
    mutex_release(&vnode->lock);
    return status;
}

enum hx_status pages_seek(struct vnode *vnode, u64 *offset, bool hole)
{
    struct super *super = vnode->super;
    if (!is_memory(vnode)) {
        return super->ops->seek ? super->ops->seek(super->state, vnode->attr.ino, offset, hole)
                                : HX_ERR_NOT_SUPPORTED;
    }
    enum hx_status status = HX_OK;
    u64 at = *offset;
    mutex_acquire(&vnode->lock);
    u64 bytes = vnode_bytes(vnode), number = page_number(at);
    if (at >= bytes) {
        status = HX_ERR_END;
    } else if (vnode->in_place) {
        at = hole ? bytes : at;
    } else if (hole) {
        while (at < bytes && radix_get(&vnode->pages, page_number(at))) {
            at = (page_number(at) + 1) << HX_PAGE_SHIFT;
        }
        at = hx_min_u64(at, bytes);
    } else if (radix_next(&vnode->pages, &number)) {
        at = hx_max_u64(at, number << HX_PAGE_SHIFT);
        status = at < bytes ? HX_OK : HX_ERR_END;
    } else {
        status = HX_ERR_END;
    }
    mutex_release(&vnode->lock);
    if (status == HX_OK) {
        *offset = at;
    }
    return status;
}
