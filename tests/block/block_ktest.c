/* SPDX-License-Identifier: MIT */
/* The block layer over a driver played by hand: order, merging, deadlines, cancellation, exchange,
 * and devices that do not do what they should.
 */
#include <core/cpu.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/task.h>
#include <core/time.h>
#include <fs/block_bdev.h>
#include <fs/block_driver.h>
#include <hal/mmu.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/heap.h>
#include <memory_settle.h>
#include <modules/ramdisk.h>

#define SECTORS 4096u
#define LOG_MAX 64
#define NONE    UINT64_MAX

/* A driver that keeps what it is given until the test lets go of it. */
static struct fake {
    struct block_disk *disk;
    struct block_device *dev;
    struct block_command *held[BLOCK_DEPTH_MAX];
    struct {
        enum block_op op;
        u64 sector;
        u32 sectors;
    } log[LOG_MAX];
    u32 log_count; /* a */
    u32 stops, starts;
    u64 bad_sector;
    bool holds, deaf, busy, no_start;
    u8 store[SECTORS * BLOCK_SECTOR];
} fake;

static void copy(struct block_command *command)
{
    u8 *at = &fake.store[command->sector * BLOCK_SECTOR];
    for (u32 i = 0; i < command->segment_count; i++) {
        u8 *memory = hal_phys_to_virt(command->segments[i].address);
        if (command->op == BLOCK_READ) {
            memcpy(memory, at, command->segments[i].size);
        } else {
            memcpy(at, memory, command->segments[i].size);
        }
        at += command->segments[i].size;
    }
}

static void finish(struct block_command *command)
{
    bool moves = command->op != BLOCK_FLUSH;
    bool bad = moves && command->sector <= fake.bad_sector &&
               fake.bad_sector - command->sector < command->sectors;
    if (moves && !bad) {
        copy(command);
    }
    block_command_complete(command, bad ? HX_ERR_IO : HX_OK);
}

static enum hx_status fake_submit(void *driver, struct block_command *command)
{
    struct fake *f = driver;
    if (f->busy) {
        return HX_ERR_BUSY;
    }
    u32 n = __atomic_load_n(&f->log_count, __ATOMIC_ACQUIRE);
    if (n < LOG_MAX) {
        f->log[n].op = command->op;
        f->log[n].sector = command->sector;
        f->log[n].sectors = command->sectors;
        __atomic_store_n(&f->log_count, n + 1, __ATOMIC_RELEASE);
    }
    if (f->holds || f->deaf) {
        f->held[command->index] = command;
    } else {
        finish(command);
    }
    return HX_OK;
}

static void fake_poll(void *driver)
{
    struct fake *f = driver;
    for (u32 i = 0; i < BLOCK_DEPTH_MAX && !f->holds && !f->deaf; i++) {
        if (f->held[i]) {
            struct block_command *command = f->held[i];
            f->held[i] = NULL;
            finish(command);
        }
    }
}

static enum hx_status fake_stop(void *driver)
{
    struct fake *f = driver;
    f->stops++;
    memset(f->held, 0, sizeof(f->held));
    return HX_OK;
}

static enum hx_status fake_start(void *driver)
{
    struct fake *f = driver;
    f->starts++;
    return f->no_start ? HX_ERR_IO : HX_OK;
}

static enum hx_status fake_save(void *driver, void *state, u32 size, u32 *out_size)
{
    u64 held = 0;
    for (u32 i = 0; i < BLOCK_DEPTH_MAX; i++) {
        held |= (u64)(((struct fake *)driver)->held[i] != NULL) << i;
    }
    if (size < sizeof(held)) {
        return HX_ERR_NO_SPACE;
    }
    memcpy(state, &held, sizeof(held));
    *out_size = sizeof(held);
    return HX_OK;
}

static enum hx_status fake_restore(void *driver, const void *state, u32 size)
{
    u64 held;
    if (size != sizeof(held)) {
        return HX_ERR_CORRUPT;
    }
    memcpy(&held, state, sizeof(held));
    for (u32 i = 0; i < BLOCK_DEPTH_MAX; i++) {
        ((struct fake *)driver)->held[i] = held >> i & 1 ? block_disk_command(fake.disk, i) : NULL;
    }
    return HX_OK;
}

static const struct block_driver_ops ops = {
    .abi_version = BLOCK_DRIVER_ABI,
    .size = sizeof(struct block_driver_ops),
    .name = "fake",
    .submit = fake_submit,
    .poll = fake_poll,
    .stop = fake_stop,
    .start = fake_start,
    .save_state = fake_save,
    .restore_state = fake_restore,
};

static struct block_limits limits(void)
{
    return (struct block_limits){.sectors = SECTORS,
                                 .block_bytes = BLOCK_SECTOR,
                                 .depth = 8,
                                 .segments_max = BLOCK_COMMAND_SEGMENTS,
                                 .cache = true};
}

static void begin_with(struct block_limits l)
{
    memset(&fake, 0, sizeof(fake));
    fake.bad_sector = NONE;
    KTEST_STATUS(block_disk_create(&ops, &fake, &l, &fake.disk), HX_OK);
    KTEST_STATUS(block_disk_register(fake.disk, "fk", false, NULL), HX_OK);
    fake.dev = block_device_find("fk0");
    KTEST_ASSERT(fake.dev != NULL);
    fake.log_count = 0;
}

static void begin(void)
{
    begin_with(limits());
}

static void end(void)
{
    block_disk_unregister(fake.disk);
    KTEST_ASSERT(block_device_find("fk0") == NULL);
    block_device_put(fake.dev);
}

/* Lets go of command `i` of the log's order that is still held: as the device would, it says so and
 * is polled. */
static void let_go(void)
{
    fake.holds = false;
    block_disk_notify(fake.disk, 0);
}

/* One held command completes, the others stay. */
static void let_go_of(u64 sector)
{
    for (u32 i = 0; i < BLOCK_DEPTH_MAX; i++) {
        struct block_command *command = fake.held[i];
        if (command && command->sector == sector) {
            fake.held[i] = NULL;
            finish(command);
            block_disk_notify(fake.disk, 0);
            return;
        }
    }
    ktest_fail(__FILE__, __LINE__, "no command at sector %lu", sector);
}

static void wait_for_log(u32 count)
{
    u64 deadline = time_now_ns() + 5 * HX_NS_PER_SEC;
    while (__atomic_load_n(&fake.log_count, __ATOMIC_ACQUIRE) < count) {
        KTEST_ASSERT(time_now_ns() < deadline);
        task_yield();
    }
    /* One more would come soon if it came. */
    HX_IGNORE(task_sleep_until(time_now_ns() + 2 * HX_NS_PER_MS), "not killed");
    KTEST_EQUAL(__atomic_load_n(&fake.log_count, __ATOMIC_ACQUIRE), count);
}

static u8 *page; /* of each test that moves data */

static struct block_request *make(enum block_op op, u64 sector, u32 sectors)
{
    struct block_request *request = kzalloc(sizeof(*request));
    if (request) {
        request->op = op;
        request->sector = sector;
        request->sectors = sectors;
        if (op == BLOCK_READ || op == BLOCK_WRITE) {
            block_request_add(request, page, sectors * BLOCK_SECTOR);
        }
    }
    return request;
}

static struct block_request *submit(enum block_op op, u64 sector, u32 sectors)
{
    struct block_request *request = make(op, sector, sectors);
    if (!request || block_submit(fake.dev, request) != HX_OK) {
        ktest_fail(__FILE__, __LINE__, "a request to sector %lu is refused", sector);
    }
    return request;
}

static void ends_with(struct block_request *request, enum hx_status want)
{
    KTEST_STATUS(block_wait(request), want);
    kfree(request);
}

static void check_log(u32 index, enum block_op op, u64 sector)
{
    KTEST_EQUAL(fake.log[index].op, op);
    KTEST_EQUAL(fake.log[index].sector, sector);
}

KTEST(block, what_is_written_is_read)
{
    u8 on_stack[3 * BLOCK_SECTOR + 8];
    KTEST_CALL(begin());
    u8 *large = kmalloc(HX_MIB(1));
    KTEST_ASSERT(large != NULL);
    for (u32 i = 0; i < HX_MIB(1); i++) {
        large[i] = (u8)(i * 7 + i / 509);
    }
    KTEST_STATUS(block_write(fake.dev, 8, 2048, large, 0), HX_OK);
    KTEST_ASSERT(memcmp(&fake.store[8 * BLOCK_SECTOR], large, HX_MIB(1)) == 0);
    memset(on_stack, 0, sizeof(on_stack));
    KTEST_STATUS(block_read(fake.dev, 9, 3, on_stack + 4), HX_OK);
    KTEST_ASSERT(memcmp(on_stack + 4, large + BLOCK_SECTOR, 3 * BLOCK_SECTOR) == 0);
    KTEST_EQUAL(on_stack[3] | on_stack[sizeof(on_stack) - 4], 0);
    KTEST_STATUS(block_write_zeroes(fake.dev, 8, 2000), HX_OK);
    for (u32 i = 0; i < 2000 * BLOCK_SECTOR; i++) {
        KTEST_EQUAL(fake.store[8 * BLOCK_SECTOR + i], 0);
    }
    KTEST_STATUS(block_discard(fake.dev, 0, 8), HX_ERR_NOT_SUPPORTED);
    kfree(large);
    KTEST_CALL(end());
}

KTEST(block, requests_that_make_no_sense_are_refused)
{
    static u8 sector[HX_PAGE_SIZE];
    struct block_limits l = limits();
    l.block_bytes = 4096;
    KTEST_CALL(begin_with(l));
    KTEST_STATUS(block_read(fake.dev, 0, 1, sector), HX_ERR_INVALID);
    KTEST_STATUS(block_read(fake.dev, 4, 8, sector), HX_ERR_INVALID);
    KTEST_CALL(end());
    KTEST_CALL(begin());
    KTEST_STATUS(block_read(fake.dev, SECTORS, 1, sector), HX_ERR_INVALID);
    KTEST_STATUS(block_read(fake.dev, UINT64_MAX, 1, sector), HX_ERR_INVALID);
    KTEST_STATUS(block_read(fake.dev, SECTORS - 1, UINT32_MAX, sector), HX_ERR_INVALID);
    KTEST_STATUS(block_write_zeroes(fake.dev, 1, UINT64_MAX), HX_ERR_INVALID);
    struct block_request r = {.op = BLOCK_READ, .sectors = 1};
    KTEST_STATUS(block_submit(fake.dev, &r), HX_ERR_INVALID); /* no memory */
    block_request_add(&r, sector, BLOCK_SECTOR);
    r.segment_count = BLOCK_REQUEST_SEGMENTS + 1;
    KTEST_STATUS(block_submit(fake.dev, &r), HX_ERR_INVALID);
    r.segment_count = 1;
    r.flags = BLOCK_FUA;
    KTEST_STATUS(block_submit(fake.dev, &r), HX_ERR_INVALID);
    r.flags = 1u << 31;
    KTEST_STATUS(block_submit(fake.dev, &r), HX_ERR_INVALID);
    r.flags = 0;
    r.op = (enum block_op)BLOCK_OP_COUNT;
    KTEST_STATUS(block_submit(fake.dev, &r), HX_ERR_INVALID);
    r.op = BLOCK_FLUSH;
    KTEST_STATUS(block_submit(fake.dev, &r), HX_ERR_INVALID);
    KTEST_EQUAL(fake.log_count, 0);
    KTEST_CALL(end());
    l = limits();
    l.read_only = true;
    KTEST_CALL(begin_with(l));
    KTEST_STATUS(block_write(fake.dev, 0, 1, sector, 0), HX_ERR_READ_ONLY);
    KTEST_STATUS(block_read(fake.dev, 0, 1, sector), HX_OK);
    KTEST_CALL(end());
}

KTEST(block, tables_of_another_version_are_refused)
{
    struct block_driver_ops wrong = ops;
    struct block_limits l = limits();
    wrong.abi_version++;
    KTEST_STATUS(block_disk_create(&wrong, &fake, &l, &fake.disk), HX_ERR_ABI);
    wrong = ops;
    wrong.submit = NULL;
    KTEST_STATUS(block_disk_create(&wrong, &fake, &l, &fake.disk), HX_ERR_INVALID);
    l.block_bytes = 520;
    KTEST_STATUS(block_disk_create(&ops, &fake, &l, &fake.disk), HX_ERR_INVALID);
    l = limits();
    l.sectors = 1ull << 60;
    KTEST_STATUS(block_disk_create(&ops, &fake, &l, &fake.disk), HX_ERR_INVALID);
}

KTEST(block, a_flush_stands_between_writes)
{
    KTEST_CALL(begin());
    page = kzalloc(HX_PAGE_SIZE);
    fake.holds = true;
    struct block_request *first = submit(BLOCK_WRITE, 0, 1), *second = submit(BLOCK_WRITE, 100, 1);
    struct block_request *flush = submit(BLOCK_FLUSH, 0, 0), *again = submit(BLOCK_FLUSH, 0, 0);
    struct block_request *later = submit(BLOCK_WRITE, 200, 1), *read = submit(BLOCK_READ, 300, 1);
    KTEST_CALL(wait_for_log(3));
    KTEST_CALL(check_log(0, BLOCK_WRITE, 0));
    KTEST_CALL(check_log(1, BLOCK_WRITE, 100));
    KTEST_CALL(check_log(2, BLOCK_READ, 300)); /* reads do not wait */
    KTEST_CALL(let_go_of(100));
    KTEST_CALL(wait_for_log(3));
    KTEST_CALL(let_go_of(0));
    KTEST_CALL(wait_for_log(4));
    KTEST_EQUAL(fake.log[3].op, BLOCK_FLUSH); /* both of them */
    KTEST_CALL(ends_with(first, HX_OK));
    KTEST_CALL(ends_with(second, HX_OK));
    let_go();
    KTEST_CALL(ends_with(flush, HX_OK));
    KTEST_CALL(ends_with(again, HX_OK));
    KTEST_CALL(ends_with(later, HX_OK));
    KTEST_CALL(ends_with(read, HX_OK));
    KTEST_CALL(wait_for_log(5));
    KTEST_CALL(check_log(4, BLOCK_WRITE, 200));
    kfree(page);
    KTEST_CALL(end());
}

KTEST(block, a_write_through_ends_after_its_flush)
{
    page = kzalloc(HX_PAGE_SIZE);
    for (u32 cache = 0; cache < 2; cache++) {
        struct block_limits l = limits();
        l.cache = cache;
        KTEST_CALL(begin_with(l));
        fake.holds = true;
        struct block_request *request = make(BLOCK_WRITE, 5, 1);
        request->flags = BLOCK_FUA;
        KTEST_STATUS(block_submit(fake.dev, request), HX_OK);
        KTEST_CALL(let_go_of(5));
        if (cache) {
            KTEST_CALL(wait_for_log(2));
            KTEST_EQUAL(fake.log[1].op, BLOCK_FLUSH);
            KTEST_EQUAL(request->state != 3, true);
        }
        let_go();
        KTEST_CALL(ends_with(request, HX_OK));
        KTEST_EQUAL(fake.log_count, 1 + cache);
        KTEST_CALL(end());
    }
    kfree(page);
}

KTEST(block, neighbours_are_merged_and_fail_alone)
{
    struct block_limits l = limits();
    struct block_request *requests[4];
    l.depth = 1;
    KTEST_CALL(begin_with(l));
    page = kzalloc(HX_PAGE_SIZE);
    fake.holds = true;
    fake.bad_sector = 52;
    struct block_request *blocker = submit(BLOCK_WRITE, 0, 1);
    for (u32 i = 0; i < 4; i++) {
        requests[i] = submit(BLOCK_WRITE, 50 + i, 1);
    }
    KTEST_CALL(wait_for_log(1));
    let_go();
    KTEST_CALL(ends_with(blocker, HX_OK));
    for (u32 i = 0; i < 4; i++) {
        KTEST_CALL(ends_with(requests[i], i == 2 ? HX_ERR_IO : HX_OK));
    }
    KTEST_CALL(check_log(1, BLOCK_WRITE, 50));
    KTEST_EQUAL(fake.log[1].sectors, 4);
    KTEST_EQUAL(fake.log_count, 6); /* and each once more by itself */
    struct block_stats stats;
    block_device_stats(fake.dev, &stats);
    KTEST_EQUAL(stats.merged, 3);
    KTEST_EQUAL(stats.errors, 1);
    kfree(page);
    KTEST_CALL(end());
}

KTEST(block, what_is_pending_can_be_cancelled)
{
    struct block_limits l = limits();
    l.depth = 1;
    KTEST_CALL(begin_with(l));
    page = kzalloc(HX_PAGE_SIZE);
    fake.holds = true;
    struct block_request *given = submit(BLOCK_READ, 0, 1), *pending = submit(BLOCK_READ, 9, 1);
    KTEST_ASSERT(!block_cancel(given));
    KTEST_ASSERT(block_cancel(pending));
    KTEST_ASSERT(!block_cancel(pending));
    KTEST_CALL(ends_with(pending, HX_ERR_CANCELLED));
    let_go();
    KTEST_CALL(ends_with(given, HX_OK));
    KTEST_EQUAL(fake.log_count, 1);
    kfree(page);
    KTEST_CALL(end());
}

KTEST(block, a_device_that_does_not_answer_is_reset)
{
    KTEST_CALL(begin());
    page = kzalloc(HX_PAGE_SIZE);
    fake.deaf = true;
    struct block_request *slow = make(BLOCK_READ, 0, 1), *patient = submit(BLOCK_READ, 100, 1);
    slow->timeout_ns = 20 * HX_NS_PER_MS;
    u64 start = time_now_ns();
    KTEST_STATUS(block_submit(fake.dev, slow), HX_OK);
    KTEST_CALL(ends_with(slow, HX_ERR_TIMED_OUT));
    KTEST_ASSERT(time_now_ns() - start >= 20 * HX_NS_PER_MS);
    KTEST_EQUAL(fake.stops, 1);
    KTEST_EQUAL(fake.starts, 1);
    KTEST_CALL(wait_for_log(3)); /* the other was given to it again */
    KTEST_CALL(check_log(2, BLOCK_READ, 100));
    fake.deaf = false;
    block_disk_notify(fake.disk, 0);
    KTEST_CALL(ends_with(patient, HX_OK));
    kfree(page);
    KTEST_CALL(end());
}

KTEST(block, a_request_that_is_never_given_to_the_device_ends_too)
{
    struct block_limits l = limits();
    l.depth = 1;
    KTEST_CALL(begin_with(l));
    page = kzalloc(HX_PAGE_SIZE);
    fake.holds = true;
    struct block_request *given = submit(BLOCK_READ, 0, 1), *pending = make(BLOCK_READ, 9, 1);
    pending->timeout_ns = 10 * HX_NS_PER_MS;
    KTEST_STATUS(block_submit(fake.dev, pending), HX_OK);
    KTEST_CALL(ends_with(pending, HX_ERR_TIMED_OUT));
    KTEST_EQUAL(fake.stops, 0);
    let_go();
    KTEST_CALL(ends_with(given, HX_OK));
    kfree(page);
    KTEST_CALL(end());
}

KTEST(block, a_device_beyond_help_is_given_up)
{
    KTEST_CALL(begin());
    page = kzalloc(HX_PAGE_SIZE);
    fake.deaf = true;
    fake.no_start = true;
    struct block_request *one = make(BLOCK_READ, 0, 1), *other = submit(BLOCK_WRITE, 100, 1);
    one->timeout_ns = 10 * HX_NS_PER_MS;
    KTEST_STATUS(block_submit(fake.dev, one), HX_OK);
    KTEST_CALL(ends_with(one, HX_ERR_TIMED_OUT));
    KTEST_CALL(ends_with(other, HX_ERR_IO));
    KTEST_STATUS(block_read(fake.dev, 0, 1, page), HX_ERR_IO);
    kfree(page);
    KTEST_CALL(end());
}

KTEST(block, a_driver_that_contradicts_itself_is_reset_a_few_times)
{
    KTEST_CALL(begin());
    page = kzalloc(HX_PAGE_SIZE);
    fake.busy = true; /* although it has nothing else */
    struct block_request *request = submit(BLOCK_READ, 0, 1);
    KTEST_CALL(ends_with(request, HX_ERR_IO));
    KTEST_ASSERT(fake.stops >= 3);
    KTEST_STATUS(block_read(fake.dev, 0, 1, page), HX_ERR_IO);
    kfree(page);
    KTEST_CALL(end());
}

KTEST(block, a_disk_that_goes_ends_its_requests)
{
    KTEST_CALL(begin());
    page = kzalloc(HX_PAGE_SIZE);
    fake.holds = true;
    struct block_request *requests[12];
    for (u32 i = 0; i < 12; i++) { /* more than it takes at a time */
        requests[i] = submit(i % 2 ? BLOCK_READ : BLOCK_WRITE, (u64)i * 10, 1);
    }
    block_disk_unregister(fake.disk);
    KTEST_EQUAL(fake.stops, 1);
    for (u32 i = 0; i < 12; i++) {
        KTEST_CALL(ends_with(requests[i], HX_ERR_CLOSED));
    }
    KTEST_ASSERT(block_device_find("fk0") == NULL);
    KTEST_STATUS(block_read(fake.dev, 0, 1, page), HX_ERR_CLOSED);
    kfree(page);
    block_device_put(fake.dev);
}

static u32 done_count;

static void count_done(struct block_request *request)
{
    if (request->status == HX_OK) {
        __atomic_fetch_add(&done_count, 1, __ATOMIC_RELAXED);
    }
    kfree(request);
}

KTEST(block, callbacks_come_once_each)
{
    KTEST_CALL(begin());
    page = kzalloc(HX_PAGE_SIZE);
    done_count = 0;
    for (u32 i = 0; i < 500; i++) {
        struct block_request *request = make(i % 3 ? BLOCK_READ : BLOCK_WRITE, i * 8 % SECTORS, 8);
        KTEST_ASSERT(request != NULL);
        request->done = count_done;
        KTEST_STATUS(block_submit(fake.dev, request), HX_OK);
    }
    u64 deadline = time_now_ns() + 5 * HX_NS_PER_SEC;
    while (__atomic_load_n(&done_count, __ATOMIC_RELAXED) < 500 && time_now_ns() < deadline) {
        task_yield();
    }
    KTEST_EQUAL(done_count, 500);
    KTEST_CALL(end());
    KTEST_EQUAL(done_count, 500);
    kfree(page);
}

KTEST(block, a_driver_is_exchanged_with_commands_in_flight)
{
    KTEST_CALL(begin());
    page = kzalloc(HX_PAGE_SIZE);
    memset(page, 0x5a, HX_PAGE_SIZE);
    struct fake *next = kzalloc(sizeof(*next));
    KTEST_ASSERT(page != NULL && next != NULL);
    fake.holds = true;
    struct block_request *requests[6];
    for (u32 i = 0; i < 6; i++) {
        requests[i] = submit(BLOCK_WRITE, (u64)i * 10, 1);
    }
    struct block_driver_ops other = ops;
    other.name = "next";
    other.restore_state = NULL;
    KTEST_STATUS(block_disk_exchange(fake.disk, &other, next), HX_ERR_NOT_SUPPORTED);
    other.restore_state = fake_restore;
    other.size = 4;
    KTEST_STATUS(block_disk_exchange(fake.disk, &other, next), HX_ERR_ABI);
    other.size = sizeof(other);
    KTEST_STATUS(block_disk_exchange(fake.disk, &other, next), HX_OK);
    memset(fake.held, 0, sizeof(fake.held));
    for (u32 i = 0; i < 6; i++) { /* polled once by the exchange, it had let go of them all */
        KTEST_CALL(ends_with(requests[i], HX_OK));
        KTEST_EQUAL(fake.store[(size_t)i * 10 * BLOCK_SECTOR], 0x5a);
    }
    struct block_info info;
    block_device_info(fake.dev, &info);
    KTEST_STRING(info.driver, "next");
    kfree(page);
    KTEST_CALL(end());
    kfree(next);
}

/* RAM disks */

KTEST(block, a_ramdisk_takes_what_is_written_and_gives_it_back)
{
    struct ramdisk *ram;
    u64 before = memory_settle(), used = frame_count_owner(FRAME_DRIVER);
    KTEST_STATUS(ramdisk_create(64, &ram), HX_OK);
    struct block_device *dev = ramdisk_device(ram);
    u8 *buffer = kmalloc(HX_KIB(64));
    KTEST_ASSERT(buffer != NULL);
    memset(buffer, 0xa5, HX_KIB(64));
    KTEST_STATUS(block_write(dev, 1001, 127, buffer, BLOCK_FUA), HX_OK);
    KTEST_EQUAL(frame_count_owner(FRAME_DRIVER), used + 16);
    memset(buffer, 0, HX_KIB(64));
    KTEST_STATUS(block_read(dev, 1000, 128, buffer), HX_OK);
    KTEST_EQUAL(buffer[BLOCK_SECTOR - 1], 0);
    KTEST_EQUAL(buffer[BLOCK_SECTOR], 0xa5);
    KTEST_EQUAL(buffer[HX_KIB(64) - 1], 0xa5);
    KTEST_STATUS(block_discard(dev, 1000, 64), HX_OK);
    KTEST_EQUAL(frame_count_owner(FRAME_DRIVER), used + 8);
    KTEST_STATUS(block_write_zeroes(dev, 1064, 1), HX_OK);
    KTEST_STATUS(block_read(dev, 1064, 2, buffer), HX_OK);
    KTEST_EQUAL(buffer[0], 0);
    KTEST_EQUAL(buffer[BLOCK_SECTOR], 0xa5);
    KTEST_STATUS(block_flush(dev), HX_OK);
    struct bdev bdev;
    KTEST_STATUS(block_bdev_open("nosuch", &bdev), HX_ERR_NOT_FOUND);
    struct block_info info;
    block_device_info(dev, &info);
    KTEST_STATUS(block_bdev_open(info.name, &bdev), HX_OK);
    KTEST_EQUAL(bdev.blocks, HX_MIB(64) / BDEV_BLOCK);
    KTEST_STATUS(bdev_read(&bdev, 134, 1, buffer), HX_OK);
    KTEST_EQUAL(buffer[0], 0xa5);
    KTEST_STATUS(bdev_write(&bdev, bdev.blocks, 1, buffer), HX_ERR_IO);
    KTEST_STATUS(bdev_flush(&bdev), HX_OK);
    block_bdev_close(&bdev);
    kfree(buffer);
    ramdisk_destroy(ram);
    KTEST_EQUAL(frame_count_owner(FRAME_DRIVER), used);
    KTEST_EQUAL(memory_settle(), before);
    KTEST_STATUS(ramdisk_create(0, &ram), HX_ERR_INVALID);
    KTEST_STATUS(ramdisk_create(RAMDISK_MIB_MAX + 1, &ram), HX_ERR_INVALID);
}

/* The n-th allocation fails, for every n until nothing does. */
KTEST(block, memory_that_runs_out_is_a_status)
{
    u64 before = memory_settle();
    for (u32 n = 1; n < 40; n++) {
        struct ramdisk *ram;
        heap_fail_after(n);
        enum hx_status status = ramdisk_create(1, &ram);
        heap_fail_after(0);
        KTEST_ASSERT(status == HX_OK || status == HX_ERR_NO_MEMORY);
        if (status == HX_OK) {
            bool partitions_looked_for = n > 5;
            ramdisk_destroy(ram);
            if (partitions_looked_for) {
                KTEST_EQUAL(memory_settle(), before);
                return;
            }
        }
    }
    ktest_fail(__FILE__, __LINE__, "never succeeds");
}

KTEST(block, a_full_machine_fails_the_write_and_no_more)
{
    struct ramdisk *ram;
    u8 sector[BLOCK_SECTOR];
    KTEST_STATUS(ramdisk_create(1, &ram), HX_OK);
    memset(sector, 1, sizeof(sector));
    frame_fail_after(1);
    enum hx_status status = block_write(ramdisk_device(ram), 64, 1, sector, 0);
    frame_fail_after(0);
    KTEST_STATUS(status, HX_ERR_NO_MEMORY);
    KTEST_STATUS(block_write(ramdisk_device(ram), 64, 1, sector, 0), HX_OK);
    ramdisk_destroy(ram);
}

/* Many at once, on every CPU there is: each has a part of the disk, and knows what is there. */

#define MANY       8
#define MANY_PART  256u /* sectors */
#define MANY_TURNS 300

static struct {
    struct block_device *dev;
    u32 wrong; /* a */
} many;

static void one_of_many(void *arg)
{
    u32 index = (u32)(uintptr_t)arg;
    u64 *buffer = kmalloc(8 * BLOCK_SECTOR), random = index + 1;
    u64 version[MANY_PART / 8] = {0};
    for (u32 turn = 0; buffer && turn < MANY_TURNS; turn++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        u32 part = random >> 33 & (MANY_PART / 8 - 1);
        u64 sector = (u64)index * MANY_PART + part * 8;
        bool writes = random >> 60 & 1;
        if (writes) {
            version[part] = random;
            for (u32 i = 0; i < 8 * BLOCK_SECTOR / 8; i++) {
                buffer[i] = random + i;
            }
        }
        enum hx_status status =
            writes ? block_write(many.dev, sector, 8, buffer, turn % 16 ? 0 : BLOCK_FUA)
                   : block_read(many.dev, sector, 8, buffer);
        bool wrong = status != HX_OK;
        for (u32 i = 0; !writes && i < 8 * BLOCK_SECTOR / 8; i++) {
            wrong = wrong || buffer[i] != (version[part] ? version[part] + i : 0);
        }
        if (turn % 64 == 0) {
            wrong = wrong || block_flush(many.dev) != HX_OK;
        }
        __atomic_fetch_add(&many.wrong, wrong, __ATOMIC_RELAXED);
    }
    kfree(buffer);
}

KTEST(block, many_at_once_find_what_they_wrote)
{
    struct ramdisk *ram;
    struct task *tasks[MANY];
    s64 value;
    KTEST_STATUS(sched_affinity_set(task_current(), cpu_online_mask()), HX_OK);
    KTEST_STATUS(ramdisk_create(2, &ram), HX_OK);
    many.dev = ramdisk_device(ram);
    many.wrong = 0;
    for (u32 i = 0; i < MANY; i++) {
        KTEST_STATUS(task_create("many", one_of_many, (void *)(uintptr_t)i, &tasks[i]), HX_OK);
        task_start(tasks[i]);
    }
    for (u32 i = 0; i < MANY; i++) {
        KTEST_STATUS(task_join(tasks[i], WAIT_FOREVER, &value), HX_OK);
        task_put(tasks[i]);
    }
    KTEST_EQUAL(many.wrong, 0);
    struct block_stats stats;
    block_device_stats(many.dev, &stats);
    KTEST_EQUAL(stats.pending + stats.in_flight, 0);
    KTEST_EQUAL(stats.errors, 0);
    ramdisk_destroy(ram);
}
