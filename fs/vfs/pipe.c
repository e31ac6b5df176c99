/* SPDX-License-Identifier: MIT */
/* Pipes: a ring of bytes with two ends.
 * Owns:      struct pipe.      Callers: system calls; whoever joins two programs.   Context:
 * thread. Locks:     pipe->lock, a mutex, for all of it. It is held while bytes are copied from or
 * to user memory, which may wait for memory there and for nothing else. Invariant: (1) tail - head
 * <= PIPE_SIZE, and they only grow; head is what has been read. (2) a write of at most PIPE_SIZE
 * bytes arrives in one piece, between others; a longer one in several.  (3) the pipe goes with its
 * second end.
 */
#include <core/memory.h>
#include <helix/bits.h>
#include <helix/string.h>
#include "vfs_priv.h"

#define PIPE_SIZE HX_PAGE_SIZE

/* l: lock. */
struct pipe {
    struct mutex lock;
    struct condition readable, writable;
    u64 head, tail;        /* l */
    bool readers, writers; /* l: that end is open */
    bool no_wait;          /* I */
    u8 *ring;              /* I: PIPE_SIZE bytes */
};

static void pipe_close(struct file *file, bool *end)
{
    struct pipe *pipe = file->ctx;
    mutex_acquire(&pipe->lock);
    *end = false;
    bool last = !pipe->readers && !pipe->writers;
    condition_broadcast(&pipe->readable);
    condition_broadcast(&pipe->writable);
    mutex_release(&pipe->lock);
    if (last) { /* inv 3; nobody waits: who waits holds an end */
        kfree(pipe->ring);
        kfree(pipe);
    }
}

static void read_end_close(struct file *file)
{
    pipe_close(file, &((struct pipe *)file->ctx)->readers);
}

static void write_end_close(struct file *file)
{
    pipe_close(file, &((struct pipe *)file->ctx)->writers);
}

static s64 pipe_read(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)offset;
    struct pipe *pipe = file->ctx;
    enum hx_status status = HX_OK;
    u64 size = 0, done = 0;
    mutex_acquire(&pipe->lock);
    while (status == HX_OK && buffer->size && pipe->head == pipe->tail && pipe->writers) {
        status = pipe->no_wait ? HX_ERR_WOULD_BLOCK
                               : condition_wait(&pipe->readable, &pipe->lock, WAIT_FOREVER);
    }
    if (status == HX_OK) {
        size = hx_min_u64(buffer->size, pipe->tail - pipe->head);
    }
    while (status == HX_OK && done < size) {
        u64 at = (pipe->head + done) % PIPE_SIZE;
        struct vfs_buffer part = buffer_part(buffer, done, hx_min_u64(size - done, PIPE_SIZE - at));
        status = buffer_fill(&part, pipe->ring + at);
        done += part.size;
    }
    if (status == HX_OK && size) { /* after a fault nothing is lost */
        pipe->head += size;
        condition_broadcast(&pipe->writable);
    }
    mutex_release(&pipe->lock);
    return status == HX_OK ? (s64)size : (s64)status;
}

/* What fits, or all of it when it is to arrive in one piece. */
static u64 room_locked(const struct pipe *pipe, u64 left)
{
    u64 room = PIPE_SIZE - (pipe->tail - pipe->head);
    return left <= PIPE_SIZE && room < left ? 0 : hx_min_u64(room, left);
}

static s64 pipe_write(struct file *file, const struct vfs_buffer *buffer, u64 offset)
{
    (void)offset;
    struct pipe *pipe = file->ctx;
    enum hx_status status = HX_OK;
    u64 size = hx_min_u64(buffer->size, VFS_IO_MAX), done = 0;
    mutex_acquire(&pipe->lock);
    while (status == HX_OK && done < size) {
        u64 room = room_locked(pipe, size - done);
        if (!pipe->readers) {
            status = HX_ERR_CLOSED;
        } else if (room == 0) {
            status = pipe->no_wait ? HX_ERR_WOULD_BLOCK
                                   : condition_wait(&pipe->writable, &pipe->lock, WAIT_FOREVER);
        } else {
            u64 copied = 0;
            while (status == HX_OK && copied < room) {
                u64 at = (pipe->tail + copied) % PIPE_SIZE;
                struct vfs_buffer part =
                    buffer_part(buffer, done + copied, hx_min_u64(room - copied, PIPE_SIZE - at));
                status = buffer_drain(&part, pipe->ring + at);
                copied += part.size;
            }
            if (status == HX_OK) {
                pipe->tail += room;
                done += room;
                condition_broadcast(&pipe->readable);
            }
        }
    }
    mutex_release(&pipe->lock);
    return done || status == HX_OK ? (s64)done : (s64)status;
}

static const struct file_ops read_end_ops = {
    .stream = true, .read = pipe_read, .close = read_end_close};
static const struct file_ops write_end_ops = {
    .stream = true, .write = pipe_write, .close = write_end_close};

enum hx_status pipe_create(u32 flags, struct file **out_read, struct file **out_write)
{
    struct pipe *pipe = kzalloc(sizeof(*pipe));
    if (!pipe) {
        return HX_ERR_NO_MEMORY;
    }
    mutex_init(&pipe->lock);
    condition_init(&pipe->readable);
    condition_init(&pipe->writable);
    pipe->no_wait = flags & HX_PIPE_NOWAIT;
    pipe->ring = kmalloc(PIPE_SIZE);
    enum hx_status status =
        pipe->ring ? file_create(&read_end_ops, HX_OPEN_READ, pipe, out_read) : HX_ERR_NO_MEMORY;
    if (status != HX_OK) {
        kfree(pipe->ring);
        kfree(pipe);
        return status;
    }
    pipe->readers = true;
    status = file_create(&write_end_ops, HX_OPEN_WRITE, pipe, out_write);
    if (status != HX_OK) {
        file_put(*out_read); /* and the pipe with it */
        return status;
    }
    pipe->writers = true;
    return HX_OK;
}
