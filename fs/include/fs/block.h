/* SPDX-License-Identifier: MIT */
/* Block devices: disks and their partitions, by name. A request says what is to be moved between
 * memory and sectors; it belongs to the kernel, whatever becomes of the driver, and ends at its
 * deadline at the latest.
 *   Order: reads and writes may overtake each other. A flush begins when all writes submitted
 * before it have ended, and writes submitted after it begin when it has ended; reads do not care. A
 *     write with BLOCK_FUA ends when it is durable.
 *   Errors: what the device fails is HX_ERR_IO; a device that does not answer is reset, the request
 *     that waited too long is HX_ERR_TIMED_OUT, the others are given to it again.
 * Context unless said otherwise: thread, no spinlock held, may block.
 */
#ifndef FS_BLOCK_H
#define FS_BLOCK_H

#include <core/wait.h>
#include <helix/compiler.h>
#include <helix/list.h>
#include <helix/status.h>
#include <helix/types.h>

#define BLOCK_SECTOR           512u  /* the unit of all sector numbers and counts */
#define BLOCK_BYTES_MAX        4096u /* the largest block that a device may insist on */
#define BLOCK_NAME_MAX         16
#define BLOCK_REQUEST_SEGMENTS 16
#define BLOCK_SECTORS_MAX      8192u /* of a read or write: 4 MiB */
#define BLOCK_TIMEOUT_READ_NS  (10 * HX_NS_PER_SEC)
#define BLOCK_TIMEOUT_WRITE_NS (30 * HX_NS_PER_SEC) /* and all others */

struct block_device;

enum block_op {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,        /* no range: what ended before is durable */
    BLOCK_DISCARD,      /* contents become undefined */
    BLOCK_WRITE_ZEROES, /* no memory */
    BLOCK_OP_COUNT
};

#define BLOCK_FUA (1u << 0) /* writes: absent, only a flush makes it durable */

/* Physically contiguous memory; whole sectors altogether, any size each. */
struct block_segment {
    paddr_t address;
    u32 size; /* bytes */
};

/* Zero before it is filled in. The memory stays the caller's, and untouched by it from submission
 * to the end of the request. */
struct block_request {
    enum block_op op;
    u32 flags;
    u64 sector; /* of the device, which may be a partition */
    u32 sectors;
    u32 segment_count;
    struct block_segment segments[BLOCK_REQUEST_SEGMENTS];
    u64 timeout_ns; /* 0: BLOCK_TIMEOUT_*_NS */
    /* Called once in a kernel thread when it has ended, and may free it. NULL: somebody calls
     * block_wait(). */
    void (*done)(struct block_request *request);
    void *ctx; /* the caller's */

    enum hx_status status; /* when it has ended */

    /* The block layer's. */
    struct block_disk *disk;
    struct list_node node;
    struct wait_queue waiters;
    u64 deadline_ns;
    u8 state;
    u8 tries;
    bool alone;    /* not to be merged: it was part of something that failed */
    bool flushing; /* a write with BLOCK_FUA that is written and not yet durable */
};

/* Adds kernel memory to the segments: `size` bytes at `buffer`, which may be on the heap, a stack
 * or mapped. Return: bytes that fit, all or a multiple of BLOCK_BYTES_MAX. */
u32 block_request_add(struct block_request *request, const void *buffer, u32 size);

/* Hands it to the device. Return: HX_OK, it will end; otherwise nothing was done and done() is not
 * called: HX_ERR_INVALID (outside of the device, not in whole blocks of it, memory and sectors
 * differ), HX_ERR_READ_ONLY, HX_ERR_NOT_SUPPORTED (discard), HX_ERR_IO (the device has failed),
 * HX_ERR_CLOSED (it is gone). */
enum hx_status block_submit(struct block_device *dev, struct block_request *request) HX_MUST_CHECK;

/* Waits for the end of a request without done(). Not ended by a kill: the deadline bounds it.
 * Return: the request's status. */
enum hx_status block_wait(struct block_request *request) HX_MUST_CHECK;

/* Takes back what the device has not been given yet; it ends with HX_ERR_CANCELLED. Return: whether
 * it did; otherwise it ends as it would have. */
bool block_cancel(struct block_request *request);

/* The same, waiting for the end; ranges of any length. A status other than that of block_submit()
 * says nothing about which part was done. write_zeroes falls back to writing zeroes. */
enum hx_status block_read(struct block_device *dev, u64 sector, u32 sectors,
                          void *buffer) HX_MUST_CHECK;
enum hx_status block_write(struct block_device *dev, u64 sector, u32 sectors, const void *buffer,
                           u32 flags) HX_MUST_CHECK;
enum hx_status block_flush(struct block_device *dev) HX_MUST_CHECK;
enum hx_status block_discard(struct block_device *dev, u64 sector, u64 sectors) HX_MUST_CHECK;
enum hx_status block_write_zeroes(struct block_device *dev, u64 sector, u64 sectors) HX_MUST_CHECK;

/* The registry. A device that was found stays until it is put, even when its disk is gone: then
 * everything answers HX_ERR_CLOSED. find: NULL, none has this name. at: the index-th. */
struct block_device *block_device_find(const char *name);
struct block_device *block_device_at(u32 index);
void block_device_put(struct block_device *dev);
/* Do they share sectors? Any thread. */
bool block_device_overlap(const struct block_device *a, const struct block_device *b);

struct block_info {
    char name[BLOCK_NAME_MAX];
    char driver[BLOCK_NAME_MAX];
    char label[40]; /* of a partition, in UTF-8; "" */
    u64 start;      /* of a partition, on its disk */
    u64 sectors;
    u32 block_bytes; /* requests are in whole blocks */
    bool read_only, partition;
    bool cache;   /* flush means something */
    bool discard; /* can be asked for */
};
void block_device_info(struct block_device *dev, struct block_info *out);

/* What the disk of a device has done. */
struct block_stats {
    u64 requests[BLOCK_OP_COUNT]; /* ended, by operation */
    u64 sectors[BLOCK_OP_COUNT];
    u64 commands; /* given to the driver; fewer than requests when they merge */
    u64 merged;   /* requests that went along with another */
    u64 errors;   /* requests that ended otherwise than with HX_OK */
    u64 timeouts, resets, notifications;
    u32 pending, in_flight; /* now */
};
void block_device_stats(struct block_device *dev, struct block_stats *out);

#endif
