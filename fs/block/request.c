/* SPDX-License-Identifier: MIT */
/* Requests as their makers see them: building, checking, and waiting for them in one call.
 * Owns:      nothing.       Callers: file systems, the shell, registry.c.      Context: thread.
 */
#include "block_priv.h"

#include <core/memory.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/string.h>
#include <memory/kernel_space.h>

#define ZEROES_BYTES HX_KIB(16) /* what is written at a time in place of write_zeroes */

/* Physical address of kernel memory, and how many bytes from it on lie in a row. */
static bool translate(vaddr_t va, u32 size, paddr_t *out, u32 *out_run)
{
    if (va >= DIRECT_MAP_BASE && va - DIRECT_MAP_BASE < DIRECT_MAP_SIZE) {
        *out = va - DIRECT_MAP_BASE;
        *out_run = size;
        return true;
    }
    *out_run = (u32)hx_min_u64(size, HX_PAGE_SIZE - (va & HX_PAGE_MASK));
    return kernel_query(va, out);
}

u32 block_request_add(struct block_request *request, const void *buffer, u32 size)
{
    vaddr_t va = (vaddr_t)buffer;
    u32 added = 0, run;
    paddr_t pa;
    while (added < size && translate(va + added, size - added, &pa, &run)) {
        struct block_segment *last =
            request->segment_count ? &request->segments[request->segment_count - 1] : NULL;
        if (last && last->address + last->size == pa) {
            last->size += run;
        } else if (request->segment_count == BLOCK_REQUEST_SEGMENTS) {
            break;
        } else {
            request->segments[request->segment_count++] =
                (struct block_segment){.address = pa, .size = run};
        }
        added += run;
    }
    /* A transfer that is cut is cut between blocks, whatever size those have. */
    for (u32 rest = added % BLOCK_BYTES_MAX; added < size && rest > 0;) {
        struct block_segment *last = &request->segments[request->segment_count - 1];
        u32 cut = rest < last->size ? rest : last->size;
        last->size -= cut;
        rest -= cut;
        added -= cut;
        request->segment_count -= last->size == 0;
    }
    return added;
}

static u64 bytes_of(const struct block_request *request)
{
    u64 bytes = 0;
    for (u32 i = 0; i < request->segment_count; i++) {
        bytes += request->segments[i].size;
    }
    return bytes;
}

static enum hx_status check(const struct block_device *dev, const struct block_request *request)
{
    const struct block_limits *limits = &dev->disk->limits;
    u32 block = limits->block_bytes / BLOCK_SECTOR;
    bool moves = request->op == BLOCK_READ || request->op == BLOCK_WRITE;
    u32 most = moves ? BLOCK_SECTORS_MAX : UINT32_MAX;
    if ((u32)request->op >= BLOCK_OP_COUNT || (request->flags & ~BLOCK_FUA) ||
        ((request->flags & BLOCK_FUA) && request->op != BLOCK_WRITE) ||
        request->segment_count > BLOCK_REQUEST_SEGMENTS ||
        bytes_of(request) != (moves ? (u64)request->sectors * BLOCK_SECTOR : 0)) {
        return HX_ERR_INVALID;
    }
    if (request->op == BLOCK_FLUSH) {
        return request->sectors == 0 ? HX_OK : HX_ERR_INVALID;
    }
    if (request->sectors == 0 || request->sectors > most ||
        (request->sector | request->sectors) & (block - 1) ||
        !hx_range_fits(request->sector, request->sectors, dev->sectors)) {
        return HX_ERR_INVALID;
    }
    if (request->op != BLOCK_READ && limits->read_only) {
        return HX_ERR_READ_ONLY;
    }
    u32 offered = request->op == BLOCK_DISCARD        ? limits->discard_max
                  : request->op == BLOCK_WRITE_ZEROES ? limits->zeroes_max
                                                      : UINT32_MAX;
    return offered == 0                 ? HX_ERR_NOT_SUPPORTED
           : request->sectors > offered ? HX_ERR_INVALID
                                        : HX_OK;
}

enum hx_status block_submit(struct block_device *dev, struct block_request *request)
{
    enum hx_status status = check(dev, request);
    if (status != HX_OK) {
        return status;
    }
    request->sector += dev->start;
    return disk_submit(dev->disk, request);
}

static enum hx_status run(struct block_device *dev, struct block_request *request)
{
    enum hx_status status = block_submit(dev, request);
    return status == HX_OK ? block_wait(request) : status;
}

static enum hx_status move(struct block_device *dev, enum block_op op, u64 sector, u32 sectors,
                           const void *buffer, u32 flags)
{
    const u8 *at = buffer;
    if (!hx_range_fits(sector, sectors, dev->sectors)) {
        return HX_ERR_INVALID;
    }
    while (sectors > 0) {
        struct block_request request;
        u32 most = sectors < BLOCK_SECTORS_MAX ? sectors : BLOCK_SECTORS_MAX;
        memset(&request, 0, offsetof(struct block_request, segments));
        request.timeout_ns = 0;
        request.done = NULL;
        request.op = op;
        request.flags = flags;
        request.sector = sector;
        request.sectors = block_request_add(&request, at, most * BLOCK_SECTOR) / BLOCK_SECTOR;
        if (request.sectors == 0) {
            return HX_ERR_FAULT; /* not mapped, or too scattered */
        }
        sector += request.sectors;
        sectors -= request.sectors;
        at += (u64)request.sectors * BLOCK_SECTOR;
        enum hx_status status = run(dev, &request);
        if (status != HX_OK) {
            return status;
        }
    }
    return HX_OK;
}

enum hx_status block_read(struct block_device *dev, u64 sector, u32 sectors, void *buffer)
{
    return move(dev, BLOCK_READ, sector, sectors, buffer, 0);
}

enum hx_status block_write(struct block_device *dev, u64 sector, u32 sectors, const void *buffer,
                           u32 flags)
{
    return move(dev, BLOCK_WRITE, sector, sectors, buffer, flags);
}

enum hx_status block_flush(struct block_device *dev)
{
    struct block_request request = {.op = BLOCK_FLUSH};
    return run(dev, &request);
}

static enum hx_status without_memory(struct block_device *dev, enum block_op op, u64 sector,
                                     u64 sectors, u32 most)
{
    u32 block = dev->disk->limits.block_bytes / BLOCK_SECTOR;
    most &= ~(block - 1);
    while (sectors > 0) {
        struct block_request request = {.op = op, .sector = sector};
        request.sectors = (u32)hx_min_u64(sectors, most);
        enum hx_status status = run(dev, &request);
        if (status != HX_OK) {
            return status;
        }
        sector += request.sectors;
        sectors -= request.sectors;
    }
    return HX_OK;
}

enum hx_status block_discard(struct block_device *dev, u64 sector, u64 sectors)
{
    u32 most = dev->disk->limits.discard_max;
    return most == 0 ? HX_ERR_NOT_SUPPORTED
           : !hx_range_fits(sector, sectors, dev->sectors)
               ? HX_ERR_INVALID
               : without_memory(dev, BLOCK_DISCARD, sector, sectors, most);
}

enum hx_status block_write_zeroes(struct block_device *dev, u64 sector, u64 sectors)
{
    u32 most = dev->disk->limits.zeroes_max;
    if (!hx_range_fits(sector, sectors, dev->sectors)) {
        return HX_ERR_INVALID;
    }
    if (most > 0) {
        return without_memory(dev, BLOCK_WRITE_ZEROES, sector, sectors, most);
    }
    void *zeroes = kzalloc(ZEROES_BYTES);
    enum hx_status status = zeroes ? HX_OK : HX_ERR_NO_MEMORY;
    while (status == HX_OK && sectors > 0) {
        u32 count = (u32)hx_min_u64(sectors, ZEROES_BYTES / BLOCK_SECTOR);
        status = block_write(dev, sector, count, zeroes, 0);
        sector += count;
        sectors -= count;
    }
    kfree(zeroes);
    return status;
}
