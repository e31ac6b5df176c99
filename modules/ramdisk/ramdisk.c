/* SPDX-License-Identifier: MIT */
/* Disks in memory.
 * Owns:      the frames of each disk.       Caller: the block layer, one call at a time for a disk.
 * Context:   thread.
 * Pages are found through two levels of tables, so that a disk of any size begins small. A page
 * that was never written, or was discarded, is absent and reads as zeroes. Every command completes
 * in submit; there is no cache, so a flush has nothing to do. Invariant: (1) a frame is in one
 * entry of one table, and holds a page of the disk at its place.
 */
#include <modules/ramdisk.h>

#include <core/memory.h>
#include <core/orchestrator.h>
#include <fs/block_driver.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/cmdline.h>
#include <helix/log.h>
#include <helix/string.h>
#include <memory/frame.h>

#define PER_TABLE    512u
#define PAGE_SECTORS (u32)(HX_PAGE_SIZE / BLOCK_SECTOR)
#define RANGE_MAX    (1u << 20) /* sectors of one discard or write_zeroes */

struct table {
    paddr_t pages[PER_TABLE]; /* 0: absent */
};

struct ramdisk {
    struct block_disk *disk;
    u64 pages;
    u32 table_count;
    struct table *tables[]; /* NULL: all absent */
};

static paddr_t *entry_of(struct ramdisk *ram, u64 page, bool make)
{
    struct table **table = &ram->tables[page / PER_TABLE];
    if (!*table && make) {
        *table = kzalloc(sizeof(**table));
    }
    return *table ? &(*table)->pages[page % PER_TABLE] : NULL;
}

static enum hx_status read_piece(struct ramdisk *ram, u64 page, u32 offset, u8 *to, u32 size)
{
    const paddr_t *entry = entry_of(ram, page, false);
    if (entry && *entry) {
        memcpy(to, (const u8 *)hal_phys_to_virt(*entry) + offset, size);
    } else {
        memset(to, 0, size);
    }
    return HX_OK;
}

static enum hx_status write_piece(struct ramdisk *ram, u64 page, u32 offset, const u8 *from,
                                  u32 size)
{
    paddr_t *entry = entry_of(ram, page, true);
    if (!entry) {
        return HX_ERR_NO_MEMORY;
    }
    if (!*entry) {
        u32 flags = size < HX_PAGE_SIZE ? FRAME_ZERO : 0;
        enum hx_status status = frame_alloc(flags, FRAME_DRIVER, entry);
        if (status != HX_OK) {
            *entry = 0;
            return status;
        }
    }
    memcpy((u8 *)hal_phys_to_virt(*entry) + offset, from, size);
    return HX_OK;
}

static enum hx_status clear_piece(struct ramdisk *ram, u64 page, u32 offset, u32 size)
{
    paddr_t *entry = entry_of(ram, page, false);
    if (entry && *entry && size == HX_PAGE_SIZE) {
        frame_free(*entry);
        *entry = 0;
    } else if (entry && *entry) {
        memset((u8 *)hal_phys_to_virt(*entry) + offset, 0, size);
    }
    return HX_OK;
}

/* A run of bytes of the disk, page by page; memory NULL: zeroes. */
static enum hx_status run(struct ramdisk *ram, enum block_op op, u64 at, u8 *memory, u64 size)
{
    enum hx_status status = HX_OK;
    while (size > 0 && status == HX_OK) {
        u64 page = at / HX_PAGE_SIZE;
        u32 offset = (u32)(at & HX_PAGE_MASK);
        u32 piece = (u32)hx_min_u64(size, HX_PAGE_SIZE - offset);
        status = op == BLOCK_READ    ? read_piece(ram, page, offset, memory, piece)
                 : op == BLOCK_WRITE ? write_piece(ram, page, offset, memory, piece)
                                     : clear_piece(ram, page, offset, piece);
        memory += memory ? piece : 0;
        at += piece;
        size -= piece;
    }
    return status;
}

static enum hx_status ram_submit(void *driver, struct block_command *command)
{
    struct ramdisk *ram = driver;
    u64 at = command->sector * BLOCK_SECTOR;
    enum hx_status status = HX_OK;
    if (command->op == BLOCK_READ || command->op == BLOCK_WRITE) {
        for (u32 i = 0; i < command->segment_count && status == HX_OK; i++) {
            const struct block_segment *segment = &command->segments[i];
            status = run(ram, command->op, at, hal_phys_to_virt(segment->address), segment->size);
            at += segment->size;
        }
    } else {
        status = run(ram, command->op, at, NULL, (u64)command->sectors * BLOCK_SECTOR);
    }
    block_command_complete(command, status);
    return HX_OK;
}

static enum hx_status ram_nothing(void *driver)
{
    (void)driver; /* nothing is ever under way between two calls */
    return HX_OK;
}

static const struct block_driver_ops ram_ops = {
    .abi_version = BLOCK_DRIVER_ABI,
    .size = sizeof(struct block_driver_ops),
    .name = "ramdisk",
    .submit = ram_submit,
    .stop = ram_nothing,
    .start = ram_nothing,
};

static void free_all(struct ramdisk *ram)
{
    for (u32 i = 0; i < ram->table_count; i++) {
        for (u32 j = 0; ram->tables[i] && j < PER_TABLE; j++) {
            if (ram->tables[i]->pages[j]) {
                frame_free(ram->tables[i]->pages[j]);
            }
        }
        kfree(ram->tables[i]);
    }
    kfree(ram);
}

enum hx_status ramdisk_create(u32 mib, struct ramdisk **out)
{
    if (mib == 0 || mib > RAMDISK_MIB_MAX) {
        return HX_ERR_INVALID;
    }
    u64 pages = HX_MIB(mib) / HX_PAGE_SIZE;
    u32 tables = (u32)((pages + PER_TABLE - 1) / PER_TABLE);
    struct ramdisk *ram = kzalloc(sizeof(*ram) + tables * sizeof(ram->tables[0]));
    if (!ram) {
        return HX_ERR_NO_MEMORY;
    }
    ram->pages = pages;
    ram->table_count = tables;
    const struct block_limits limits = {
        .sectors = pages * PAGE_SECTORS,
        .block_bytes = BLOCK_SECTOR,
        .depth = 4,
        .segments_max = BLOCK_COMMAND_SEGMENTS,
        .discard_max = RANGE_MAX,
        .zeroes_max = RANGE_MAX,
    };
    enum hx_status status = block_disk_create(&ram_ops, ram, &limits, &ram->disk);
    if (status == HX_OK) {
        status = block_disk_register(ram->disk, "ram", false, NULL);
        if (status != HX_OK) {
            block_disk_unregister(ram->disk);
        }
    }
    if (status != HX_OK) {
        free_all(ram);
        return status;
    }
    *out = ram;
    return HX_OK;
}

void ramdisk_destroy(struct ramdisk *ram)
{
    block_disk_unregister(ram->disk);
    free_all(ram);
}

struct block_device *ramdisk_device(struct ramdisk *ram)
{
    return block_disk_device(ram->disk);
}

static enum hx_status start(void)
{
    const char *word = cmdline_get("ramdisk");
    struct ramdisk *kept_for_ever;
    u64 mib;
    if (!word) {
        return HX_OK;
    }
    if (!str_to_u64(word, &mib) || mib > RAMDISK_MIB_MAX) {
        log_warn("ramdisk", "ramdisk=%s is no size in MiB up to %u", word, RAMDISK_MIB_MAX);
        return HX_ERR_INVALID;
    }
    return ramdisk_create((u32)mib, &kept_for_ever);
}

COMPONENT(ramdisk, .name = "ramdisk", .version = "1.0", .needs = "block", .init = start);
