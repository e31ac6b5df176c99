/* SPDX-License-Identifier: MIT */
/* stress swap, stress heal: exchanging and killing what serves the slots, under load.
 * Owns:      the load: tasks that compute, allocate, yield, write files and hand tokens to each
 * other, and check all of it. Context:   the shell's thread swaps and injects; the load runs in
 * tasks of its own. What is checked: that every token arrives once and in order; that memory holds
 * what was written until it is given back; that a failed swap changes nothing; that a killed
 * module's service goes on at once and is healed soon; and that in the end as many frames are free
 * as before.
 */
#include <abi/ipc.h>
#include <core/bus.h>
#include <core/console.h>
#include <core/log.h>
#include <core/memory.h>
#include <core/slot.h>
#include <core/sync.h>
#include <core/time.h>
#include <execution/stress.h>
#include <fs/block.h>
#include <fs/vfs.h>
#include <hal/mmu.h>
#include <helix/format.h>
#include <helix/string.h>
#include <memory/frame.h>
#include <memory/frame_alloc.h>
#include <memory/heap.h>
#include <memory/trim.h>
#include <userspace/archive.h>

#define PAIRS 4 /* of tasks that hand tokens back and forth */
/* A healing is some milliseconds of work, but asks all CPUs a dozen times, and where they are
 * threads that share fewer processors, each may wait for all others' turns: what is looked for is a
 * healing that does not come, not a slow one. */
#define HEAL_MAX_NS  (60 * HX_NS_PER_SEC)
#define BLOCK_ORDER  5 /* frames that no CPU has at hand: the allocator itself is asked */
#define CANDIDATES   3
#define ONE_IN_FAILS 8 /* swaps meet a failpoint */
#define FILE_WORDS   16
/* Inode numbers are never used twice, so the trees that they are looked up in grow a few nodes. */
#define OBJECTS_GROW 8

/* Has the slot's module entered. False: it was not served. */
static bool serve_frames(void)
{
    paddr_t block;
    if (frame_alloc_block(BLOCK_ORDER, 0, FRAME_TEST, &block) != HX_OK) {
        return false;
    }
    frame_free_run(block, 1u << BLOCK_ORDER);
    return true;
}

/* The second of two events of one key: whoever chooses delivers that. */
static bool serve_bus(void)
{
    const u64 keys[2] = {7, 7};
    const struct bus_view view = {
        .first = 4, .next = 6, .keys = (const u8 *)keys, .mask = 1, .stride = sizeof(keys[0])};
    u64 irqs = hal_irq_save();
    enum bus_choice choice = bus_delivery_get(HX_DELIVER_DROP_OLDEST)->choose(&view, 5);
    hal_irq_restore(irqs);
    return choice == BUS_DELIVER;
}

static bool serve_console(void)
{
    console_write("", 0);
    return true;
}

static bool serve_files(void)
{
    static const char path[] = "/stress-heal";
    struct vfs_start start = namespace_start(namespace_boot());
    return vfs_symlink(&start, path, sizeof(path) - 1, "target", 6) == HX_OK &&
           vfs_unlink(&start, path, sizeof(path) - 1, 0) == HX_OK;
}

/* Without a disk there is nobody to serve. */
static bool serve_disk(void)
{
    static u8 sector[BLOCK_BYTES_MAX];
    struct block_device *dev = block_device_find("vda");
    bool served = !dev || block_read(dev, 0, BLOCK_BYTES_MAX / BLOCK_SECTOR, sector) == HX_OK;
    if (dev) {
        block_device_put(dev);
    }
    return served;
}

static bool serve_task(void)
{
    return true; /* to wait is to be scheduled */
}

static const struct choice {
    const char *slot, *modules[CANDIDATES];
    bool (*serve)(void);
    const char *needs; /* a block device without which nobody is served; or NULL */
} choices[] = {
    {"sched.policy", {"fifo", "round_robin", "fair"}, serve_task, NULL},
    {"frame.alloc", {"bitmap", "buddy", "bitmap"}, serve_frames, NULL},
    {"bus.delivery", {"drop_oldest", "coalesce", "drop_oldest"}, serve_bus, NULL},
    {"console", {"serial", "serial", "serial"}, serve_console, NULL},
    {"fs.memory", {"ramfs", "ramfs", "ramfs"}, serve_files, NULL},
    {"block.driver", {"virtio_blk", "virtio_blk2", "virtio_blk"}, serve_disk, "vda"},
};

/* -- load */

struct token {
    struct semaphore there;
    u64 value;
};

struct loader {
    struct stress_run *run;
    struct task *task;
    struct token *in, *out;
    bool first;
};

static struct {
    bool stop; /* a */
    struct token tokens[PAIRS][2];
    struct loader loaders[PAIRS][2];
} load;

static bool is_stopped(void)
{
    return __atomic_load_n(&load.stop, __ATOMIC_ACQUIRE);
}

static void use_memory(struct stress_run *run, u64 value)
{
    u64 *p = kmalloc(256);
    paddr_t frame;
    bool have = frame_alloc_block(1, 0, FRAME_TEST, &frame) == HX_OK;
    u64 *page = have ? hal_phys_to_virt(frame) : NULL;
    for (u32 i = 0; p && i < 32; i++) {
        p[i] = value + i;
    }
    for (u32 i = 0; have && i < 1024; i += 64) {
        page[i] = ~value + i;
    }
    task_yield();
    for (u32 i = 0; p && i < 32; i++) {
        if (p[i] != value + i) {
            stress_lost(run, "heap memory has changed");
        }
    }
    for (u32 i = 0; have && i < 1024; i += 64) {
        if (page[i] != ~value + i) {
            stress_lost(run, "a frame has changed");
        }
    }
    if (have) {
        frame_free_run(frame, 2);
    }
    kfree(p);
}

/* A file of its own is written, read back, and taken away again every few times. */
static void use_files(struct stress_run *run, u32 number, u64 value)
{
    struct vfs_start start = namespace_start(namespace_boot());
    u64 words[FILE_WORDS], back[FILE_WORDS] = {0};
    char name[24];
    struct file *file;
    u32 rights;
    size_t n = format_buffer(name, sizeof(name), "/stress-%u", number);
    const u32 how = HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_CREATE;
    if (vfs_open(&start, name, n, how, 0600, &file, &rights) != HX_OK) {
        stress_lost(run, "%s cannot be opened", name);
        return;
    }
    for (u32 i = 0; i < FILE_WORDS; i++) {
        words[i] = value * FILE_WORDS + i;
    }
    struct vfs_buffer from = vfs_kernel_buffer(words, sizeof(words));
    struct vfs_buffer to = vfs_kernel_buffer(back, sizeof(back));
    if (file_write_at(file, &from, 0) != sizeof(words) ||
        file_read_at(file, &to, 0) != sizeof(back) || memcmp(words, back, sizeof(words)) != 0) {
        stress_lost(run, "%s does not hold what was written", name);
    }
    file_put(file);
    if (value % 8 == 7 && vfs_unlink(&start, name, n, 0) != HX_OK) {
        stress_lost(run, "%s cannot be removed", name);
    }
}

static void remove_files(void)
{
    struct vfs_start start = namespace_start(namespace_boot());
    for (u32 i = 0; i < 2 * PAIRS; i++) {
        char name[24];
        size_t n = format_buffer(name, sizeof(name), "/stress-%u", i);
        HX_IGNORE(vfs_unlink(&start, name, n, 0), "it may be gone already");
    }
}

/* The first of a pair sends n and expects n back; the other sends back what it got, and expects
 * each number once and in order. A stopped pair ends on the first one's last token, 0. */
static void pass_tokens(void *arg)
{
    struct loader *l = arg;
    for (u64 n = 1;; n++) {
        bool end = l->first && is_stopped();
        if (l->first) {
            l->out->value = end ? 0 : n;
            semaphore_up(&l->out->there);
            if (end) {
                return;
            }
        }
        while (semaphore_down(&l->in->there, WAIT_FOREVER) != HX_OK) {
        }
        u64 value = l->in->value;
        if (!l->first && value == 0) {
            return;
        }
        if (value != n) {
            stress_lost(l->run, "token %lu arrived as %lu", n, value);
            n = value;
        }
        use_memory(l->run, n);
        use_files(l->run, (u32)(l - &load.loaders[0][0]), n);
        if (!l->first) {
            l->out->value = n;
            semaphore_up(&l->out->there);
        }
    }
}

static enum hx_status load_start(struct stress_run *run)
{
    load.stop = false;
    for (u32 pair = 0; pair < PAIRS; pair++) {
        for (u32 side = 0; side < 2; side++) {
            semaphore_init(&load.tokens[pair][side].there, 0);
            struct loader *l = &load.loaders[pair][side];
            *l = (struct loader){.run = run,
                                 .in = &load.tokens[pair][side],
                                 .out = &load.tokens[pair][1 - side],
                                 .first = side == 0};
            enum hx_status status = task_create("stress load", pass_tokens, l, &l->task);
            if (status != HX_OK) {
                return status;
            }
        }
    }
    for (u32 i = 0; i < 2 * PAIRS; i++) {
        task_start(load.loaders[i / 2][i % 2].task);
    }
    return HX_OK;
}

static void load_stop(struct stress_run *run)
{
    s64 value;
    __atomic_store_n(&load.stop, true, __ATOMIC_RELEASE);
    for (u32 i = 0; i < 2 * PAIRS; i++) {
        struct task *task = load.loaders[i / 2][i % 2].task;
        if (task_join(task, time_now_ns() + 30 * HX_NS_PER_SEC, &value) != HX_OK) {
            stress_lost(run, "a task of the load does not end");
            return;
        }
        task_put(task);
    }
    remove_files();
}

/* -- slots */

static enum hx_status wish_of(const char *module, struct slot_wish *out)
{
    char path[48];
    struct archive_file file;
    format_buffer(path, sizeof(path), "modules/%s.hxm", module);
    enum hx_status status = boot_archive_find(path, &file);
    if (status == HX_OK) {
        *out = (struct slot_wish){
            .file = file.data, .size = file.size, .flags = MODULE_LOAD_TRUSTED, .downgrade = true};
    }
    return status;
}

static void swap_in(struct stress_run *run, const struct slot *slot, const char *module)
{
    struct slot_wish wish = {.file = NULL};
    struct slot_report report;
    if (module && wish_of(module, &wish) != HX_OK) {
        stress_lost(run, "%s is not in the boot archive", module);
        return;
    }
    u64 deadline = time_now_ns() + HEAL_MAX_NS;
    enum hx_status status;
    do { /* the end of a probation may be under way, as slow as a healing */
        status = slot_swap(slot, &wish, &report);
    } while (status == HX_ERR_BUSY && report.phase == SLOT_READ && time_now_ns() < deadline);
    if (status != HX_OK) {
        stress_lost(run, "%s: %s: phase %s: %s", slot->name, module ? module : SLOT_OWN,
                    slot_phase_name(report.phase), report.why);
    }
}

/* As patient as with a healing, which may be what the slot is busy with. */
static void settle(struct stress_run *run, const struct slot *slot)
{
    u64 deadline = time_now_ns() + HEAL_MAX_NS;
    while (slot_settle(slot) != HX_OK) {
        if (time_now_ns() > deadline) {
            stress_lost(run, "%s is busy for ever", slot->name);
            return;
        }
    }
}

static void all_own(struct stress_run *run)
{
    for (u32 i = 0; i < HX_ARRAY_SIZE(choices); i++) {
        const struct slot *slot = slot_find(choices[i].slot);
        if (slot->state->current) {
            swap_in(run, slot, NULL);
        }
        settle(run, slot);
    }
}

/* What is in use once everything that is kept at hand has been given back: frames that are not the
 * heap's, and the heap's objects. */
struct rest {
    u64 frames, objects;
};

static struct rest at_rest(void)
{
    struct frame_usage usage;
    memory_trim();
    frame_cache_drain();
    frame_usage_read(&usage);
    return (struct rest){frame_free_count() + usage.owners[FRAME_HEAP], heap_total_read().objects};
}

static bool is_as_before(struct rest a, struct rest b)
{
    return a.frames == b.frames && b.objects <= a.objects + OBJECTS_GROW;
}

/* The first load of a module grows the pool of code frames for good, and names that were in use are
 * remembered: that is no leak. So all of it is done once before anything is counted. */
static struct rest begin(struct stress_run *run)
{
    for (u32 i = 0; i < 2 * PAIRS; i++) {
        use_files(run, i, 0);
    }
    remove_files();
    for (u32 i = 0; i < HX_ARRAY_SIZE(choices); i++) {
        for (u32 n = 0; n < CANDIDATES; n++) {
            swap_in(run, slot_find(choices[i].slot), choices[i].modules[n]);
        }
        if (!choices[i].serve()) {
            stress_lost(run, "%s does not serve", choices[i].slot);
        }
    }
    all_own(run);
    return at_rest();
}

static void end(struct stress_run *run, struct rest before)
{
    load_stop(run);
    all_own(run);
    struct rest after = at_rest();
    for (u32 tries = 0; !is_as_before(before, after) && tries < 100; tries++) {
        HX_IGNORE(task_sleep_until(time_now_ns() + 10 * HX_NS_PER_MS), "it is only patience");
        after = at_rest();
    }
    if (!is_as_before(before, after)) {
        stress_lost(run, "%lu frames were free before, %lu are now; %lu objects in use, now %lu",
                    before.frames, after.frames, before.objects, after.objects);
    }
    if (!frame_allocator_check()) {
        stress_lost(run, "the frame allocator contradicts the frame table");
    }
}

static const struct choice *choose(u64 *random, const char **out_module)
{
    const struct choice *c = &choices[stress_random(random) % HX_ARRAY_SIZE(choices)];
    *out_module = c->modules[stress_random(random) % CANDIDATES];
    return c;
}

/* -- swap */

static void failing_swap(struct stress_run *run, const struct slot *slot, const char *module,
                         u64 *random)
{
    static const enum slot_phase phases[] = {SLOT_READ,     SLOT_SIGNATURE, SLOT_CHECK, SLOT_MEMORY,
                                             SLOT_RELOCATE, SLOT_BIND,      SLOT_MAP,   SLOT_INIT,
                                             SLOT_COPY,     SLOT_VERIFY,    SLOT_GATE,  SLOT_MOVE,
                                             SLOT_START,    SLOT_COMMIT};
    enum slot_phase phase = phases[stress_random(random) % HX_ARRAY_SIZE(phases)];
    struct slot_wish wish;
    struct slot_report report;
    char before[MODULE_NAME_MAX];
    if (wish_of(module, &wish) != HX_OK) {
        return;
    }
    HX_IGNORE(str_copy(before, slot->ops->serving(), sizeof(before)), "a name fits");
    slot_fail(phase, 1);
    enum hx_status status = slot_swap(slot, &wish, &report);
    slot_fail(phase, 0);
    if (status != HX_ERR_CANCELLED || report.phase != phase) {
        stress_lost(run, "%s: a failpoint in phase %s ended as %s in %s", slot->name,
                    slot_phase_name(phase), hx_status_name(status), slot_phase_name(report.phase));
    } else if (!str_equal(before, slot->ops->serving())) {
        stress_lost(run, "%s: a failed swap left %s in the place of %s", slot->name,
                    slot->ops->serving(), before);
    }
    stress_count(&run->failed);
}

static enum hx_status stress_swap(struct stress_run *run)
{
    u64 random = run->seed;
    struct rest before = begin(run);
    enum hx_status status = load_start(run);
    if (status != HX_OK) {
        return status;
    }
    for (u64 n = 0; n < run->count && !run->lost; n++) {
        const char *module;
        const struct slot *slot = slot_find(choose(&random, &module)->slot);
        u64 kind = stress_random(&random) % ONE_IN_FAILS;
        struct slot_report report;
        stress_count(&run->attempted);
        if (kind == 0) {
            failing_swap(run, slot, module, &random);
        } else if (kind == 1 && slot->state->in_probation) {
            if (slot_rollback(slot, &report) != HX_OK) {
                stress_lost(run, "%s: no way back: %s", slot->name, report.why);
            }
        } else {
            swap_in(run, slot, kind == 2 ? NULL : module);
        }
    }
    end(run, before);
    return HX_OK;
}

STRESS(swap, .name = "swap", .count = 500, .run = stress_swap);

/* -- heal */

/* A switch is wanted; and who heals needs the frame lock, too. */
static bool is_served(const struct choice *c)
{
    bool served = c->serve();
    HX_IGNORE(task_sleep_until(time_now_ns() + 100 * HX_NS_PER_US), "it is asked again");
    return served;
}

static bool is_same(const struct module_manifest *a, const struct module_manifest *b)
{
    return str_equal(a->name, b->name) && memcmp(a->version, b->version, sizeof(a->version)) == 0;
}

static void kill_one(struct stress_run *run, const struct choice *c, const char *module,
                     u64 *random)
{
    static const enum inject_fault faults[] = {INJECT_NULL,   INJECT_WILD,   INJECT_UNDEFINED,
                                               INJECT_DIVIDE, INJECT_ASSERT, INJECT_STACK,
                                               INJECT_HANG};
    const struct slot *slot = slot_find(c->slot);
    const u32 kinds = HX_ARRAY_SIZE(faults) - !slot->timed;
    enum inject_fault fault = faults[stress_random(random) % kinds];
    bool in_probation = stress_random(random) % 2;
    swap_in(run, slot, module);
    if (!in_probation) {
        settle(run, slot);
    }
    if (run->lost || !slot->state->current) {
        return;
    }
    struct module_manifest before = slot->state->current->manifest;
    u64 killed = slot->state->faults, deadline = time_now_ns() + HEAL_MAX_NS;
    inject(&slot->state->current->domain, fault);
    while (slot->state->faults == killed || __atomic_load_n(&slot->state->busy, __ATOMIC_ACQUIRE)) {
        if (!is_served(c)) {
            stress_lost(run, "%s does not serve after a fault (%s)", slot->name,
                        inject_name(fault));
            return;
        }
        if (time_now_ns() > deadline) {
            stress_lost(run, "%s was not healed after a fault (%s)", slot->name,
                        inject_name(fault));
            return;
        }
    }
    const struct module_instance *now = slot->state->current;
    bool right = in_probation ? true : now && is_same(&now->manifest, &before);
    if (!right) {
        stress_lost(run, "%s was not restarted after a fault (%s)", slot->name, inject_name(fault));
    }
}

/* A module that nobody calls is loaded, killed by whatever, and unloaded: its ledger is swept. */
static void kill_idle(struct stress_run *run, const char *module, u64 *random)
{
    enum inject_fault fault = INJECT_NULL + stress_random(random) % (INJECT_COUNT - INJECT_NULL);
    struct module_instance *m;
    struct slot_wish wish;
    if (wish_of(module, &wish) != HX_OK ||
        module_load_beside(wish.file, wish.size, wish.flags, false, &m) != HX_OK) {
        stress_lost(run, "%s cannot be loaded: %s", module, module_reason());
        return;
    }
    void *held = module_alloc(&m->self, 100); /* a leak, reclaimed below */
    inject(&m->domain, fault);
    if (module_probe(m) != HX_ERR_FAULT || m->status != MODULE_FAULTED || !held) {
        stress_lost(run, "%s outlived a fault (%s)", module, inject_name(fault));
    }
    if (module_unload(m) != HX_OK) {
        stress_lost(run, "%s cannot be unloaded: %s", module, module_reason());
    }
}

static enum hx_status stress_heal(struct stress_run *run)
{
    u64 random = run->seed;
    struct rest before = begin(run);
    enum log_level level = log_console_level(LOG_PANIC);
    enum hx_status status = load_start(run);
    for (u64 n = 0; status == HX_OK && n < run->count && !run->lost; n++) {
        const char *module;
        const struct choice *c = choose(&random, &module);
        struct block_device *dev = c->needs ? block_device_find(c->needs) : NULL;
        stress_count(&run->attempted);
        if (stress_random(&random) % 4 == 0 || (c->needs && !dev)) {
            kill_idle(run, module, &random);
        } else {
            kill_one(run, c, module, &random);
        }
        if (dev) {
            block_device_put(dev);
        }
    }
    if (status == HX_OK) {
        end(run, before);
    }
    log_console_level(level);
    return status;
}

STRESS(heal, .name = "heal", .count = 500, .run = stress_heal);
