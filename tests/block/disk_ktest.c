/* SPDX-License-Identifier: MIT */
/* A real disk, "vda", which tests/boot/disks.py has prepared and reads afterwards. A sector of the
 * pattern holds sixty-four words: its number times PATTERN, plus 0, 1, 2, ...
 *     sectors      0 ..  8191   written here in pieces of many sizes; read by the host
 *     sectors  16384 .. 24575   the host's pattern, read here
 *     sectors  32768 .. 40959   0xff from the host; the first half is to become zeroes
 *     sectors  49152 .. 65535   many tasks at once
 * Skipped where there is no such disk.
 */
#include <core/cpu.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/task.h>
#include <device/device.h>
#include <fs/block.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory_settle.h>
#include <modules/virtio_blk.h>

#define PATTERN   0x9e3779b97f4a7c15ull
#define DISK      65536u /* sectors that the tests need */
#define AREA      8192u
#define HOSTS     16384u
#define ZEROES    32768u
#define MANY_AREA 49152u
#define WORDS     (BLOCK_SECTOR / 8)

static struct block_device *disk_find(void)
{
    struct block_info info;
    struct block_device *dev = block_device_find("vda");
    if (dev) {
        block_device_info(dev, &info);
        if (info.sectors < DISK || info.read_only) {
            block_device_put(dev);
            dev = NULL;
        }
    }
    return dev;
}

static void fill(u64 *buffer, u64 sector, u32 sectors)
{
    for (u32 i = 0; i < sectors * WORDS; i++) {
        buffer[i] = (sector + i / WORDS) * PATTERN + i % WORDS;
    }
}

static bool is_filled(const u64 *buffer, u64 sector, u32 sectors)
{
    for (u32 i = 0; i < sectors * WORDS; i++) {
        if (buffer[i] != (sector + i / WORDS) * PATTERN + i % WORDS) {
            return false;
        }
    }
    return true;
}

KTEST(disk, a_pattern_is_written_and_read_back)
{
    static const u32 sizes[] = {1, 8, 3, 128, 1000, 17, 2048};
    struct block_device *dev = disk_find();
    if (!dev) {
        KTEST_SKIP("no disk for it");
    }
    u64 *buffer = kmalloc(HX_MIB(1));
    KTEST_ASSERT(buffer != NULL);
    u32 at = 0;
    for (u32 i = 0; at < AREA; i++) {
        u32 size = sizes[i % HX_ARRAY_SIZE(sizes)];
        size = size < AREA - at ? size : AREA - at;
        fill(buffer, at, size);
        KTEST_STATUS(block_write(dev, at, size, buffer, i % 5 ? 0 : BLOCK_FUA), HX_OK);
        at += size;
    }
    KTEST_STATUS(block_flush(dev), HX_OK);
    for (at = 0; at < AREA; at += 2048) {
        memset(buffer, 0, HX_MIB(1));
        KTEST_STATUS(block_read(dev, at, 2048, buffer), HX_OK);
        KTEST_ASSERT(is_filled(buffer, at, 2048));
    }
    kfree(buffer);
    block_device_put(dev);
}

KTEST(disk, what_the_host_wrote_is_read)
{
    struct block_device *dev = disk_find();
    if (!dev) {
        KTEST_SKIP("no disk for it");
    }
    u64 *buffer = kmalloc(HX_MIB(1));
    KTEST_ASSERT(buffer != NULL);
    for (u32 at = HOSTS; at < HOSTS + AREA; at += 2048) {
        KTEST_STATUS(block_read(dev, at, 2048, buffer), HX_OK);
        KTEST_ASSERT(is_filled(buffer, at, 2048));
    }
    kfree(buffer);
    block_device_put(dev);
}

KTEST(disk, zeroes_and_discards_do_what_they_say)
{
    struct block_device *dev = disk_find();
    struct block_info info;
    u8 sector[BLOCK_SECTOR];
    if (!dev) {
        KTEST_SKIP("no disk for it");
    }
    block_device_info(dev, &info);
    KTEST_STATUS(block_write_zeroes(dev, ZEROES, AREA / 2), HX_OK);
    KTEST_STATUS(block_read(dev, ZEROES + AREA / 2 - 1, 1, sector), HX_OK);
    KTEST_EQUAL(sector[0] | sector[BLOCK_SECTOR - 1], 0);
    KTEST_STATUS(block_read(dev, ZEROES + AREA / 2, 1, sector), HX_OK);
    KTEST_EQUAL(sector[0] & sector[BLOCK_SECTOR - 1], 0xff);
    /* What a discard leaves is anything; that it is taken is what shows. */
    KTEST_STATUS(block_discard(dev, ZEROES, 64), info.discard ? HX_OK : HX_ERR_NOT_SUPPORTED);
    KTEST_STATUS(block_write_zeroes(dev, ZEROES, 64), HX_OK);
    KTEST_STATUS(block_flush(dev), HX_OK);
    block_device_put(dev);
}

#define MANY       8
#define MANY_PART  2048u
#define MANY_TURNS 150
#define MANY_STEP  16u /* sectors */

#define MANY_BETWEEN 16u /* turns from one exchange of the driver to the next */

static struct {
    struct block_device *dev;
    u32 wrong, running, turns; /* a */
} many;

static void one_of_many(void *arg)
{
    u64 base = MANY_AREA + (u64)(uintptr_t)arg * MANY_PART, random = base;
    u64 *buffer = kmalloc((size_t)MANY_STEP * BLOCK_SECTOR);
    u32 wrong = !buffer;
    for (u32 turn = 0; buffer && turn < MANY_TURNS; turn++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        u64 sector = base + (random >> 33) % (MANY_PART / MANY_STEP) * MANY_STEP;
        fill(buffer, sector, MANY_STEP);
        wrong += block_write(many.dev, sector, MANY_STEP, buffer, 0) != HX_OK;
        memset(buffer, 0, (size_t)MANY_STEP * BLOCK_SECTOR);
        wrong += block_read(many.dev, sector, MANY_STEP, buffer) != HX_OK;
        wrong += !is_filled(buffer, sector, MANY_STEP);
        wrong += turn % 50 == 0 && block_flush(many.dev) != HX_OK;
        __atomic_fetch_add(&many.turns, 1, __ATOMIC_RELEASE);
    }
    kfree(buffer);
    __atomic_fetch_add(&many.wrong, wrong, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&many.running, 1, __ATOMIC_RELEASE);
}

static struct device *driven_device(void)
{
    struct device *dev;
    for (u32 i = 0; (dev = device_at(i)); i++) {
        if (dev->driver && str_equal(dev->driver->name, "virtio-blk")) {
            return dev;
        }
    }
    return NULL;
}

/* On every CPU there is, and meanwhile the driver is exchanged, requests in flight and all. */
KTEST(disk, many_at_once_survive_exchanges_of_the_driver)
{
    struct task *tasks[MANY];
    struct block_stats before, after;
    u32 exchanges = 0;
    s64 value;
    many.dev = disk_find();
    if (!many.dev) {
        KTEST_SKIP("no disk for it");
    }
    struct device *device = driven_device();
    KTEST_ASSERT(device != NULL);
    KTEST_STATUS(sched_affinity_set(task_current(), cpu_online_mask()), HX_OK);
    block_device_stats(many.dev, &before);
    many.wrong = many.turns = 0;
    many.running = MANY;
    for (u32 i = 0; i < MANY; i++) {
        KTEST_STATUS(task_create("many", one_of_many, (void *)(uintptr_t)i, &tasks[i]), HX_OK);
        task_start(tasks[i]);
    }
    while (__atomic_load_n(&many.running, __ATOMIC_ACQUIRE) > 0) {
        KTEST_STATUS(virtio_blk_renew(device), HX_OK);
        exchanges++;
        /* By turns and not by time: where the device is slow, nothing would ever be through. */
        u32 turns = __atomic_load_n(&many.turns, __ATOMIC_ACQUIRE);
        while (__atomic_load_n(&many.running, __ATOMIC_ACQUIRE) > 0 &&
               __atomic_load_n(&many.turns, __ATOMIC_ACQUIRE) - turns < MANY_BETWEEN) {
            HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS / 2), "not killed");
        }
    }
    for (u32 i = 0; i < MANY; i++) {
        KTEST_STATUS(task_join(tasks[i], WAIT_FOREVER, &value), HX_OK);
        task_put(tasks[i]);
    }
    block_device_stats(many.dev, &after);
    KTEST_EQUAL(many.wrong, 0);
    KTEST_ASSERT(exchanges > 10);
    KTEST_EQUAL(after.errors, before.errors);
    KTEST_EQUAL(after.resets, before.resets);
    KTEST_EQUAL(after.requests[BLOCK_WRITE] - before.requests[BLOCK_WRITE], MANY * MANY_TURNS);
    KTEST_STATUS(block_flush(many.dev), HX_OK);
    block_device_put(many.dev);
}

/* Requests that share pages, given all at once: done() comes once for each, in a thread. */
static u32 done_wrong, done_count;

static void count_done(struct block_request *request)
{
    done_wrong += request->status != HX_OK;
    __atomic_fetch_add(&done_count, 1, __ATOMIC_RELEASE);
}

KTEST(disk, a_burst_of_requests_ends_and_merges)
{
    struct block_device *dev = disk_find();
    struct block_stats before, after;
    if (!dev) {
        KTEST_SKIP("no disk for it");
    }
    block_device_stats(dev, &before);
    struct block_request *requests = kzalloc(256 * sizeof(*requests));
    u8 *page = kmalloc(HX_PAGE_SIZE);
    KTEST_ASSERT(requests && page);
    done_wrong = done_count = 0;
    for (u32 i = 0; i < 256; i++) {
        requests[i].op = BLOCK_READ;
        requests[i].sector = (u64)i * 8;
        requests[i].sectors = 8;
        requests[i].done = count_done;
        KTEST_EQUAL(block_request_add(&requests[i], page, HX_PAGE_SIZE), HX_PAGE_SIZE);
        KTEST_STATUS(block_submit(dev, &requests[i]), HX_OK);
    }
    u64 deadline = time_now_ns() + 10 * HX_NS_PER_SEC;
    while (__atomic_load_n(&done_count, __ATOMIC_ACQUIRE) < 256 && time_now_ns() < deadline) {
        HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "not killed");
    }
    KTEST_EQUAL(done_count, 256);
    KTEST_EQUAL(done_wrong, 0);
    block_device_stats(dev, &after);
    KTEST_EQUAL(after.commands - before.commands + after.merged - before.merged, 256);
    kfree(page);
    kfree(requests);
    block_device_put(dev);
}

/* Last of the suite: the driver goes, and everything it took with it; then it comes back. */
KTEST(disk, a_driver_that_goes_leaves_nothing)
{
    struct block_device *dev = disk_find();
    u8 sector[BLOCK_SECTOR];
    if (!dev) {
        KTEST_SKIP("no disk for it");
    }
    struct device *device = driven_device();
    const struct device_driver *driver = device->driver;
    u32 held = ledger_count(&device->ledger);
    u64 frames = frame_count_owner(FRAME_DRIVER);
    KTEST_ASSERT(held >= 4);
    device_driver_unregister(driver);
    KTEST_EQUAL(ledger_count(&device->ledger), 0);
    KTEST_ASSERT(frame_count_owner(FRAME_DRIVER) < frames);
    KTEST_STATUS(block_read(dev, 0, 1, sector), HX_ERR_CLOSED);
    KTEST_ASSERT(block_device_find("vda") == NULL);
    block_device_put(dev);
    KTEST_STATUS(device_driver_register(driver), HX_OK);
    KTEST_EQUAL(ledger_count(&device->ledger), held);
    KTEST_EQUAL(frame_count_owner(FRAME_DRIVER), frames);
    dev = disk_find();
    KTEST_ASSERT(dev != NULL);
    KTEST_STATUS(block_read(dev, HOSTS, 1, sector), HX_OK);
    KTEST_ASSERT(is_filled((const u64 *)(const void *)sector, HOSTS, 1));
    block_device_put(dev);
}

KTEST(disk, a_disk_that_may_only_be_read_says_so)
{
    struct block_device *dev = block_device_find("vdb");
    struct block_info info;
    u8 sector[BLOCK_SECTOR];
    if (!dev) {
        KTEST_SKIP("no second disk");
    }
    block_device_info(dev, &info);
    if (!info.read_only) {
        block_device_put(dev);
        KTEST_SKIP("the second disk can be written");
    }
    KTEST_STATUS(block_read(dev, 0, 1, sector), HX_OK);
    KTEST_STATUS(block_write(dev, 0, 1, sector, 0), HX_ERR_READ_ONLY);
    KTEST_STATUS(block_write_zeroes(dev, 0, 8), HX_ERR_READ_ONLY);
    KTEST_STATUS(block_discard(dev, 0, 8), info.discard ? HX_ERR_READ_ONLY : HX_ERR_NOT_SUPPORTED);
    block_device_put(dev);
}
