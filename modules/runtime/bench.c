/* SPDX-License-Identifier: MIT */
/* Benchmarks of modules: loading one, calling into one, exchanging and losing one.
 * Context: the shell's thread, one CPU.
 */
#include <core/bench.h>
#include <core/memory.h>
#include <core/sched.h>
#include <core/slot.h>
#include <core/time.h>
#include <fs/block.h>
#include <fs/vfs.h>
#include <helix/format.h>
#include <memory/frame.h>
#include <userspace/archive.h>

#define RUNNABLE    64 /* threads beside the swaps */
#define BLOCK_ORDER 5  /* no CPU has such a block at hand: the allocator itself is asked */

static enum hx_status wish_of(const char *module, struct slot_wish *out)
{
    char path[48];
    struct archive_file file;
    format_buffer(path, sizeof(path), "modules/%s.hxm", module);
    enum hx_status status = boot_archive_find(path, &file);
    *out = (struct slot_wish){
        .file = file.data, .size = file.size, .flags = MODULE_LOAD_TRUSTED, .downgrade = true};
    return status;
}

/* -- loading */

static enum hx_status load(struct bench_samples *s, u32 flags)
{
    struct slot_wish wish;
    enum hx_status status = wish_of("large", &wish);
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        struct module_instance *m;
        u64 before = hal_cycles_read();
        status = module_load_beside(wish.file, wish.size, flags, false, &m);
        bench_add(s, before, hal_cycles_read(), 1);
        if (status == HX_OK) {
            status = module_unload(m);
        }
    }
    return status;
}

static enum hx_status load_verified(struct bench_samples *s)
{
    return load(s, 0);
}

static enum hx_status load_trusted(struct bench_samples *s)
{
    return load(s, MODULE_LOAD_TRUSTED);
}

BENCHMARK(load_64k, "module.load_64k", 50, load_verified);
BENCHMARK(load_64k_trusted, "module.load_64k_trusted", 50, load_trusted);

/* -- calling: what a guarded call costs more than a direct one */

static HX_NOINLINE u64 nothing(u64 a0, u64 a1, u64 a2, u64 a3)
{
    __asm__ volatile("" : : "r"(a0), "r"(a1), "r"(a2), "r"(a3));
    return a0;
}

static enum hx_status slot_call(struct bench_samples *s)
{
    static struct guard_domain domain = {.name = "bench"};
    guarded_fn *volatile fn = nothing;
    guarded_fn *direct = fn;
    for (u32 i = 0; i < s->max; i++) {
        u64 value = 0;
        u64 before = hal_cycles_read();
        direct(1, 2, 3, 4);
        u64 between = hal_cycles_read();
        enum hx_status status =
            guard_call(&domain, MODULE_TICKS_DEFAULT, direct, 1, 2, 3, 4, &value);
        u64 after = hal_cycles_read();
        if (status != HX_OK) {
            return status;
        }
        bench_add(s, between, after - (between - before) + s->overhead, 1);
    }
    return HX_OK;
}

BENCHMARK(slot_call, "module.slot_call", 1000, slot_call);

/* -- swapping */

static bool stop;

static void run_on(void *arg)
{
    (void)arg;
    while (!HX_READ_ONCE(stop)) {
        task_yield();
    }
}

static enum hx_status swaps(struct bench_samples *s, const char *slot_name,
                            const char *const modules[2])
{
    struct slot_wish wishes[2];
    const struct slot *slot = slot_find(slot_name);
    enum hx_status status = wish_of(modules[0], &wishes[0]);
    if (status == HX_OK) {
        status = wish_of(modules[1], &wishes[1]);
    }
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        struct slot_report report;
        status = slot_swap(slot, &wishes[i % 2], &report);
        bench_add(s, 0, report.pause, 1);
    }
    struct slot_wish own = {.file = NULL};
    struct slot_report report;
    enum hx_status back = slot_swap(slot, &own, &report);
    return status == HX_OK ? back : status;
}

/* Joins and puts tasks, once they are told to stop. */
static void join(struct task **tasks, u32 count)
{
    s64 value;
    HX_WRITE_ONCE(stop, true);
    while (count-- > 0) {
        HX_IGNORE(task_join(tasks[count], WAIT_FOREVER, &value), "it cannot fail");
        task_put(tasks[count]);
    }
}

static enum hx_status swap_scheduler(struct bench_samples *s)
{
    static const char *const modules[2] = {"fifo", "round_robin"};
    static struct task *tasks[RUNNABLE];
    enum hx_status status = HX_OK;
    u32 count = 0;
    stop = false;
    for (; status == HX_OK && count < RUNNABLE; count += status == HX_OK) {
        status = task_create("runnable", run_on, NULL, &tasks[count]);
        if (status == HX_OK) {
            task_start(tasks[count]);
        }
    }
    if (status == HX_OK) {
        status = swaps(s, "sched.policy", modules);
    }
    join(tasks, count);
    return status;
}

static enum hx_status swap_allocator(struct bench_samples *s)
{
    static const char *const modules[2] = {"bitmap", "buddy"};
    return swaps(s, "frame.alloc", modules);
}

#define WRITERS 8 /* tasks, each with a file open */
#define READERS 8 /* tasks that read a disk */

static void write_on(void *arg)
{
    u64 text[64] = {0};
    struct file *file = arg;
    while (!HX_READ_ONCE(stop)) {
        struct vfs_buffer buffer = vfs_kernel_buffer(text, sizeof(text));
        if (file_write_at(file, &buffer, 0) != sizeof(text)) {
            HX_WRITE_ONCE(stop, true);
        }
        text[0]++;
        task_yield();
    }
}

static enum hx_status swap_filesystem(struct bench_samples *s)
{
    static const char *const modules[2] = {"ramfs", "ramfs"};
    static struct task *tasks[WRITERS];
    static struct file *files[WRITERS];
    struct vfs_start start = namespace_start(namespace_boot());
    const u32 how = HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_CREATE;
    char name[24];
    enum hx_status status = HX_OK;
    u32 open = 0, running = 0, rights;
    stop = false;
    for (; status == HX_OK && open < WRITERS; open += status == HX_OK) {
        size_t n = format_buffer(name, sizeof(name), "/bench-%u", open);
        status = vfs_open(&start, name, n, how, 0600, &files[open], &rights);
    }
    for (; status == HX_OK && running < WRITERS; running += status == HX_OK) {
        status = task_create("writer", write_on, files[running], &tasks[running]);
        if (status == HX_OK) {
            task_start(tasks[running]);
        }
    }
    if (status == HX_OK) {
        status = swaps(s, "fs.memory", modules);
    }
    if (stop) {
        status = HX_ERR_IO; /* a writer lost something */
    }
    join(tasks, running);
    while (open-- > 0) {
        size_t n = format_buffer(name, sizeof(name), "/bench-%u", open);
        file_put(files[open]);
        HX_IGNORE(vfs_unlink(&start, name, n, 0), "nobody else knows it");
    }
    return status;
}

static void read_on(void *arg)
{
    struct block_device *dev = arg;
    u8 *buffer = kmalloc(HX_PAGE_SIZE);
    for (u64 n = 0; buffer && !HX_READ_ONCE(stop); n++) {
        if (block_read(dev, n % 512 * 8, 8, buffer) != HX_OK) {
            HX_WRITE_ONCE(stop, true);
        }
    }
    kfree(buffer);
}

static enum hx_status swap_driver(struct bench_samples *s)
{
    static const char *const modules[2] = {"virtio_blk", "virtio_blk2"};
    static struct task *tasks[READERS];
    struct block_device *dev = block_device_find("vda");
    enum hx_status status = HX_OK;
    u32 running = 0;
    if (!dev) {
        return HX_ERR_NOT_SUPPORTED;
    }
    stop = false;
    for (; status == HX_OK && running < READERS; running += status == HX_OK) {
        status = task_create("reader", read_on, dev, &tasks[running]);
        if (status == HX_OK) {
            task_start(tasks[running]);
        }
    }
    if (status == HX_OK) {
        status = swaps(s, "block.driver", modules);
    }
    if (stop) {
        status = HX_ERR_IO;
    }
    join(tasks, running);
    block_device_put(dev);
    return status;
}

BENCHMARK(swap_filesystem, "swap.filesystem", 200, swap_filesystem);
BENCHMARK(swap_driver, "swap.driver", 200, swap_driver);
BENCHMARK(swap_scheduler, "swap.scheduler", 1000, swap_scheduler);
BENCHMARK(swap_allocator, "swap.allocator", 200, swap_allocator);

/* -- healing: from an operation that dies in a module to its answer, by whoever serves then */

static enum hx_status fault_to_reply(struct bench_samples *s)
{
    struct slot_wish wish;
    const struct slot *slot = slot_find("frame.alloc");
    enum hx_status status = wish_of("buddy", &wish);
    for (u32 i = 0; status == HX_OK && i < s->max; i++) {
        struct slot_report report;
        paddr_t block;
        status = slot_swap(slot, &wish, &report);
        if (status != HX_OK) {
            break;
        }
        u64 faults = slot->state->faults;
        inject(&slot->state->current->domain, INJECT_NULL);
        u64 before = hal_cycles_read();
        status = frame_alloc_block(BLOCK_ORDER, 0, FRAME_DRIVER, &block);
        bench_add(s, before, hal_cycles_read(), 1);
        if (status == HX_OK) {
            frame_free_run(block, 1u << BLOCK_ORDER);
        }
        while (slot->state->faults == faults || HX_READ_ONCE(slot->state->busy)) {
            HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it is asked again");
        }
    }
    return status;
}

BENCHMARK(fault_to_reply, "heal.fault_to_reply", 50, fault_to_reply);
