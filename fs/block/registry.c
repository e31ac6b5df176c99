/* SPDX-License-Identifier: MIT */
/* Block devices by name: disks and the partitions on them.
 * Owns:      the list; each struct block_device.       Callers: drivers, file systems, the shell.
 * Context:   thread; may block.       Locks: registry.lock (mutex): list, names, listed.
 * Invariant: (1) a disk lives while it is registered or one of its devices was found and not put;
 *            its devices live as long as it does.  (2) a device is listed iff its disk is
 *            registered.
 */
#include "block_priv.h"

#include <core/memory.h>
#include <core/orchestrator.h>
#include <fs/gpt.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/string.h>

#define NUMBERS_MAX 100
#define LETTERS_MAX 26

static struct {
    struct mutex lock;
    struct list_node devices;
} registry = {.lock = MUTEX_INIT(registry.lock), .devices = LIST_INIT(registry.devices)};

static struct block_device *find_locked(const char *name)
{
    struct block_device *dev;
    LIST_FOREACH (&registry.devices, dev, node) {
        if (str_equal(dev->name, name)) {
            return dev;
        }
    }
    return NULL;
}

static struct block_device *get_locked(struct block_device *dev)
{
    if (dev) {
        __atomic_fetch_add(&dev->disk->refs, 1, __ATOMIC_RELAXED);
    }
    return dev;
}

struct block_device *block_device_find(const char *name)
{
    mutex_acquire(&registry.lock);
    struct block_device *dev = get_locked(find_locked(name));
    mutex_release(&registry.lock);
    return dev;
}

struct block_device *block_device_at(u32 index)
{
    struct block_device *dev, *found = NULL;
    mutex_acquire(&registry.lock);
    LIST_FOREACH (&registry.devices, dev, node) {
        if (index-- == 0) {
            found = get_locked(dev);
            break;
        }
    }
    mutex_release(&registry.lock);
    return found;
}

bool block_device_overlap(const struct block_device *a, const struct block_device *b)
{
    return a->disk == b->disk && a->start < b->start + b->sectors &&
           b->start < a->start + a->sectors;
}

static void disk_put(struct block_disk *disk)
{
    struct block_device *dev, *next;
    if (__atomic_sub_fetch(&disk->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    LIST_FOREACH_SAFE (&disk->devices, dev, next, on_disk) {
        kfree(dev); /* inv 1 */
    }
    disk_destroy(disk);
}

void block_device_put(struct block_device *dev)
{
    if (dev) {
        disk_put(dev->disk);
    }
}

void block_device_info(struct block_device *dev, struct block_info *out)
{
    const struct block_disk *disk = dev->disk;
    *out = (struct block_info){
        .start = dev->start,
        .sectors = dev->sectors,
        .block_bytes = disk->limits.block_bytes,
        .read_only = disk->limits.read_only,
        .partition = dev->partition,
        .cache = disk->limits.cache,
        .discard = disk->limits.discard_max > 0,
    };
    str_copy(out->name, dev->name, sizeof(out->name));
    str_copy(out->driver, disk->driver_name, sizeof(out->driver));
    str_copy(out->label, dev->label, sizeof(out->label));
}

void block_device_stats(struct block_device *dev, struct block_stats *out)
{
    struct block_disk *disk = dev->disk;
    const struct list_node *node;
    u64 irqs = spin_lock_irq(&disk->lock);
    *out = disk->stats;
    out->pending = out->in_flight = 0;
    for (node = disk->reads.next; node != &disk->reads; node = node->next) {
        out->pending++;
    }
    for (node = disk->writes.next; node != &disk->writes; node = node->next) {
        out->pending++;
    }
    for (node = disk->busy.next; node != &disk->busy; node = node->next) {
        out->in_flight++;
    }
    spin_unlock_irq(&disk->lock, irqs);
}

struct block_device *block_disk_device(struct block_disk *disk)
{
    return LIST_FIRST(&disk->devices, struct block_device, on_disk);
}

/* Registering */

static struct block_device *device_make(struct block_disk *disk, u64 start, u64 sectors)
{
    struct block_device *dev = kzalloc(sizeof(*dev));
    if (dev) {
        dev->disk = disk;
        dev->start = start;
        dev->sectors = sectors;
        list_init(&dev->node);
        list_add_tail(&disk->devices, &dev->on_disk);
    }
    return dev;
}

static void list_locked(struct block_device *dev)
{
    list_add_tail(&registry.devices, &dev->node);
    dev->listed = true;
}

/* The first free name of the kind. */
static bool name_locked(const char *prefix, bool letters, char *out)
{
    for (u32 i = 0; i < (letters ? LETTERS_MAX : NUMBERS_MAX); i++) {
        if (letters) {
            format_buffer(out, BLOCK_NAME_MAX, "%s%c", prefix, 'a' + (int)i);
        } else {
            format_buffer(out, BLOCK_NAME_MAX, "%s%u", prefix, i);
        }
        if (!find_locked(out)) {
            return true;
        }
    }
    return false;
}

static enum hx_status read_blocks(void *ctx, u64 block, u32 count, void *buffer)
{
    struct block_device *dev = ctx;
    u32 per_block = dev->disk->limits.block_bytes / BLOCK_SECTOR;
    return block_read(dev, block * per_block, count * per_block, buffer);
}

static void partition_add(struct block_disk *disk, const struct gpt_partition *p)
{
    u32 per_block = disk->limits.block_bytes / BLOCK_SECTOR;
    struct block_device *dev = device_make(disk, p->first * per_block, p->blocks * per_block);
    if (!dev) {
        log_warn("block", "%s: no memory for partition %u", disk->name, p->number);
        return;
    }
    bool digit = strchr("0123456789", disk->name[strlen(disk->name) - 1]) != NULL;
    format_buffer(dev->name, sizeof(dev->name), "%s%s%u", disk->name, digit ? "p" : "", p->number);
    str_copy(dev->label, p->label, sizeof(dev->label));
    dev->partition = true;
    mutex_acquire(&registry.lock);
    list_locked(dev);
    mutex_release(&registry.lock);
}

static void partitions_find(struct block_disk *disk)
{
    struct block_device *whole = block_disk_device(disk);
    struct gpt *gpt = kmalloc(sizeof(*gpt) + GPT_SCRATCH);
    if (!gpt) {
        log_warn("block", "%s: no memory to look for partitions", disk->name);
        return;
    }
    u32 block_bytes = disk->limits.block_bytes;
    enum hx_status status =
        gpt_parse(read_blocks, whole, disk->limits.sectors / (block_bytes / BLOCK_SECTOR),
                  block_bytes, gpt + 1, gpt);
    if (status == HX_OK) {
        if (gpt->from_backup) {
            log_warn("block", "%s: partition table damaged (%s), its backup is used", disk->name,
                     gpt->problem ? gpt->problem : "not readable");
        }
        for (u32 i = 0; i < gpt->count; i++) {
            partition_add(disk, &gpt->partitions[i]);
        }
    } else if (status != HX_ERR_NOT_FOUND) {
        log_warn("block", "%s: no partitions: %s", disk->name,
                 status == HX_ERR_CORRUPT && gpt->problem ? gpt->problem : hx_status_words(status));
    }
    kfree(gpt);
}

static void unregister(struct block_disk *disk)
{
    struct block_device *dev;
    mutex_acquire(&registry.lock);
    LIST_FOREACH (&disk->devices, dev, on_disk) {
        if (dev->listed) {
            list_remove(&dev->node);
            dev->listed = false; /* inv 2 */
        }
    }
    mutex_release(&registry.lock);
    disk_end(disk);
    disk_put(disk);
}

static void disk_release(struct ledger_entry *entry)
{
    unregister(HX_CONTAINER_OF(entry, struct block_disk, entry));
}

enum hx_status block_disk_register(struct block_disk *disk, const char *prefix, bool letters,
                                   struct ledger *ledger)
{
    struct block_device *whole = device_make(disk, 0, disk->limits.sectors);
    enum hx_status status = !whole                                ? HX_ERR_NO_MEMORY
                            : strlen(prefix) + 6 > BLOCK_NAME_MAX ? HX_ERR_INVALID
                                                                  : HX_OK;
    if (status == HX_OK) {
        mutex_acquire(&registry.lock);
        if (name_locked(prefix, letters, disk->name)) {
            str_copy(whole->name, disk->name, sizeof(whole->name));
            list_locked(whole);
        } else {
            status = HX_ERR_NO_SPACE;
        }
        mutex_release(&registry.lock);
    }
    if (status != HX_OK) {
        return status;
    }
    disk->ledger = ledger;
    if (ledger) {
        ledger_add(ledger, &disk->entry, LEDGER_OBJECT, disk_release);
    }
    log_info("block", "%s: %lu MiB, %s%s", disk->name, disk->limits.sectors >> 11,
             disk->driver_name, disk->limits.read_only ? ", read-only" : "");
    partitions_find(disk);
    return HX_OK;
}

void block_disk_unregister(struct block_disk *disk)
{
    if (disk->ledger) {
        ledger_remove(disk->ledger, &disk->entry);
    }
    unregister(disk);
}

/* What was written is durable before the machine goes. */
static enum hx_status shutdown(u64 deadline_ns)
{
    enum hx_status result = HX_OK;
    struct block_device *dev;
    for (u32 i = 0; (dev = block_device_at(i)); i++) {
        u64 now = time_now_ns();
        struct block_request request = {.op = BLOCK_FLUSH,
                                        .timeout_ns = now < deadline_ns ? deadline_ns - now : 1};
        if (!dev->partition && !dev->disk->limits.read_only) {
            enum hx_status status = block_submit(dev, &request);
            status = status == HX_OK ? block_wait(&request) : status;
            result = result == HX_OK ? status : result;
        }
        block_device_put(dev);
    }
    return result;
}

COMPONENT(block, .name = "block", .version = "1.0", .needs = "devices", .shutdown = shutdown);
