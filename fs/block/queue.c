/* SPDX-License-Identifier: MIT */
/* Requests of one disk, from submission to their end.
 * Owns:      every pending request; the commands.      Callers: registry.c, sync.c, drivers.
 * Context:   thread; block_disk_notify and the watchdog IRQ.
 * Locks:     serial (mutex): whoever calls the driver. lock (LOCK_RANK_BLOCK), inside: lists and
 *            counts. work.lock: the worker's reasons to run.
 *
 *   NEW --submit--> PENDING --choose--> IN_FLIGHT --complete--> DONE
 *                      |  <--retry--------'  '--(FUA) PENDING as a flush
 *                      '--cancel, deadline, disk gone--> DONE
 *
 * Invariant: (1) a request that was accepted ends exactly once.  (2) a command is on `idle` or on
 *            `busy`, and its requests are those that it carries; a request is on one list.
 *            (3) while a flush is in flight nothing else that writes is; it was the oldest of
 *            `writes`.  (4) no callback of a request runs with a lock held.
 * Who runs: the submitter gives its request to the driver itself; the device's notification wakes
 * the disk's worker, which polls, restarts what waits, looks after deadlines and calls done().
 * Deadlines: one watchdog for all. It is armed for the first and looks for the next when it
 * expires, so a request that ends in time pays nothing for it.
 */
#include "block_priv.h"

#include <core/memory.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>

#define MERGE_LOOK 8 /* pending requests that are looked at for one that continues a command */
#define TRIES_MAX  3
#define RESETS_MAX 3

#define SECTORS_END (1ull << 54) /* 8 EiB: no sum of sectors or bytes overflows */

static enum block_op effective_op(const struct block_request *request)
{
    return request->flushing ? BLOCK_FLUSH : request->op;
}

/* Ends of requests */

static void wake_worker(struct block_disk *disk)
{
    u64 irqs = spin_lock_irq(&disk->work.lock);
    disk->notified = true;
    wait_wake_one_locked(&disk->work);
    spin_unlock_irq(&disk->work.lock, irqs);
}

/* inv 1: from one of the states before DONE. The lock is held; so a waiter, which takes it before
 * it goes, outlives the wake-up. */
static void finish_locked(struct block_disk *disk, struct block_request *request,
                          enum hx_status status)
{
    if (request->op == BLOCK_WRITE && (request->flags & BLOCK_FUA) && status == HX_OK &&
        disk->limits.cache && !request->flushing) {
        request->flushing = true;
        request->state = REQUEST_PENDING;
        list_add_head(&disk->writes, &request->node);
        return;
    }
    request->status = status;
    disk->stats.requests[request->op]++;
    disk->stats.sectors[request->op] += status == HX_OK ? request->sectors : 0;
    disk->stats.errors += status != HX_OK;
    if (request->done) {
        list_add_tail(&disk->finished, &request->node);
        request->state = REQUEST_DONE;
        if (task_current() != disk->worker) { /* it looks before it waits */
            wake_worker(disk);
        }
    } else {
        request->state = REQUEST_DONE;
        wait_wake_all(&request->waiters);
    }
}

/* A command's requests end, or are given another try. */
static void command_end_locked(struct block_disk *disk, struct block_command *command,
                               enum hx_status status, bool retry)
{
    bool alone = command->requests.next->next == &command->requests;
    command->in_flight = false;
    list_remove(&command->node);
    list_add_head(&disk->idle, &command->node);
    disk->writes_in_flight -= command->op != BLOCK_READ;
    disk->barrier = disk->barrier && command->op != BLOCK_FLUSH;
    while (!list_is_empty(&command->requests)) {
        struct block_request *request =
            LIST_ENTRY(command->requests.prev, struct block_request, node);
        list_remove(&request->node);
        /* One bad sector must not fail its neighbours: what failed together is tried alone. */
        request->tries += retry && command->killer; /* not a third time */
        bool again = retry ? ++request->tries < TRIES_MAX : status != HX_OK && !alone;
        if (again) {
            request->alone = true;
            request->state = REQUEST_PENDING;
            list_add_head(effective_op(request) == BLOCK_READ ? &disk->reads : &disk->writes,
                          &request->node);
        } else {
            finish_locked(disk, request, status);
        }
    }
}

void block_command_complete(struct block_command *command, enum hx_status status)
{
    struct block_disk *disk = command->disk;
    u64 irqs = spin_lock_irq(&disk->lock);
    if (command->in_flight) {
        command_end_locked(disk, command, status, false);
        disk->stalled = false;
        disk->resets_in_row = status == HX_OK ? 0 : disk->resets_in_row;
    }
    spin_unlock_irq(&disk->lock, irqs);
}

/* Giving commands to the driver */

static bool may_follow(const struct block_disk *disk, const struct block_command *command,
                       const struct block_request *request)
{
    return effective_op(request) == command->op && !request->alone &&
           !(request->flags & BLOCK_FUA) && request->sector == command->sector + command->sectors &&
           request->sectors <= BLOCK_SECTORS_MAX - command->sectors &&
           request->segment_count <= disk->limits.segments_max - command->segment_count;
}

static void take_locked(struct block_command *command, struct block_request *request)
{
    list_remove(&request->node);
    list_add_tail(&command->requests, &request->node);
    request->state = REQUEST_IN_FLIGHT;
    command->deadline_ns = hx_min_u64(command->deadline_ns, request->deadline_ns);
}

static void append_segments(struct block_command *command, const struct block_request *request)
{
    for (u32 i = 0; i < request->segment_count; i++) {
        command->merged[command->segment_count++] = request->segments[i];
    }
}

static void merge_locked(struct block_disk *disk, struct block_command *command,
                         struct block_request *first, struct list_node *list)
{
    struct block_request *it, *next;
    u32 looked = 0;
    LIST_FOREACH_SAFE (list, it, next, node) {
        if (++looked > MERGE_LOOK || effective_op(it) == BLOCK_FLUSH) {
            return; /* nothing is taken from behind a flush */
        }
        if (!may_follow(disk, command, it)) {
            continue;
        }
        if (command->segments != command->merged) {
            command->segment_count = 0;
            append_segments(command, first);
            command->segments = command->merged;
        }
        append_segments(command, it);
        command->sectors += it->sectors;
        take_locked(command, it);
        disk->stats.merged++;
        looked--;
    }
}

/* Flushes that wait together are one. */
static void merge_flushes_locked(struct block_disk *disk, struct block_command *command)
{
    struct block_request *next;
    while ((next = LIST_FIRST(&disk->writes, struct block_request, node)) &&
           effective_op(next) == BLOCK_FLUSH) {
        take_locked(command, next);
        disk->stats.merged++;
    }
}

/* The oldest of `writes`, if it may go now; inv 3. */
static struct block_request *next_write_locked(struct block_disk *disk)
{
    struct block_request *request = LIST_FIRST(&disk->writes, struct block_request, node);
    if (!request || disk->barrier ||
        (effective_op(request) == BLOCK_FLUSH && disk->writes_in_flight)) {
        return NULL;
    }
    return request;
}

static struct block_command *choose_locked(struct block_disk *disk)
{
    struct block_request *read = LIST_FIRST(&disk->reads, struct block_request, node);
    struct block_request *write = next_write_locked(disk), *request = read ? read : write;
    struct block_command *command = LIST_FIRST(&disk->idle, struct block_command, node);
    if (!request || !command) {
        return NULL;
    }
    struct list_node *list = read ? &disk->reads : &disk->writes;
    if (read && write && write->deadline_ns < read->deadline_ns) {
        request = write;
        list = &disk->writes;
    }
    command->op = effective_op(request);
    command->sector = request->sector;
    command->sectors = command->op == BLOCK_FLUSH ? 0 : request->sectors;
    command->segments = request->segments;
    command->segment_count = command->op == BLOCK_FLUSH ? 0 : request->segment_count;
    command->deadline_ns = UINT64_MAX;
    command->in_flight = true;
    command->killer = false;
    list_remove(&command->node);
    list_add_tail(&disk->busy, &command->node);
    take_locked(command, request);
    disk->writes_in_flight += command->op != BLOCK_READ;
    if (command->op == BLOCK_FLUSH) {
        disk->barrier = true;
        merge_flushes_locked(disk, command);
    } else if ((command->op == BLOCK_READ || command->op == BLOCK_WRITE) && !request->alone &&
               !(request->flags & BLOCK_FUA)) {
        merge_locked(disk, command, request, list);
    }
    return command;
}

/* Back to where they came from, in their order. */
static void put_back(struct block_disk *disk, struct block_command *command)
{
    u64 irqs = spin_lock_irq(&disk->lock);
    struct list_node *list = command->op == BLOCK_READ ? &disk->reads : &disk->writes;
    command->in_flight = false;
    list_remove(&command->node);
    list_add_head(&disk->idle, &command->node);
    disk->writes_in_flight -= command->op != BLOCK_READ;
    disk->barrier = disk->barrier && command->op != BLOCK_FLUSH;
    disk->stats.commands--;
    disk->stats.merged++; /* one of its requests was not */
    while (!list_is_empty(&command->requests)) {
        struct block_request *request =
            LIST_ENTRY(command->requests.prev, struct block_request, node);
        list_remove(&request->node);
        request->state = REQUEST_PENDING;
        list_add_head(list, &request->node);
        disk->stats.merged--;
    }
    bool alone = list_is_empty(&disk->busy);
    spin_unlock_irq(&disk->lock, irqs);
    disk->stalled = true;
    if (alone) {
        disk->fault = "refuses a command while it has no other";
        wake_worker(disk);
    }
}

/* Gives the driver what it takes. `serial` is held. */
static void dispatch(struct block_disk *disk)
{
    bool submitted = false;
    while (!disk->stalled && !disk->fault) {
        u64 irqs = spin_lock_irq(&disk->lock);
        struct block_command *command = disk->dead == HX_OK ? choose_locked(disk) : NULL;
        disk->stats.commands += command != NULL;
        spin_unlock_irq(&disk->lock, irqs);
        if (!command) {
            break;
        }
        if (command->op == BLOCK_FLUSH && !disk->limits.cache) {
            block_command_complete(command, HX_OK);
            continue;
        }
        enum hx_status status = disk->ops->submit(disk->driver, command);
        if (status == HX_ERR_BUSY) {
            put_back(disk, command);
        } else if (status != HX_OK) {
            block_command_complete(command, status);
        } else {
            submitted = true;
        }
    }
    if (submitted && disk->ops->kick) {
        disk->ops->kick(disk->driver);
    }
}

/* Ends everything, when the device is gone or beyond help. The driver has no command any more. */
static void fail_all(struct block_disk *disk, enum hx_status status)
{
    u64 irqs = spin_lock_irq(&disk->lock);
    disk->dead = status;
    while (!list_is_empty(&disk->busy)) {
        struct block_command *command = LIST_ENTRY(disk->busy.next, struct block_command, node);
        struct block_request *request;
        LIST_FOREACH (&command->requests, request, node) {
            request->alone = true;
            request->tries = TRIES_MAX;
        }
        command_end_locked(disk, command, status, true);
    }
    struct list_node *const lists[] = {&disk->reads, &disk->writes};
    for (u32 i = 0; i < HX_ARRAY_SIZE(lists); i++) {
        while (!list_is_empty(lists[i])) {
            struct block_request *request = LIST_ENTRY(lists[i]->next, struct block_request, node);
            list_remove(&request->node);
            finish_locked(disk, request, status);
        }
    }
    spin_unlock_irq(&disk->lock, irqs);
}

/* Deadlines and faults */

/* Requests that waited too long without being given to the device. */
static void expire_pending_locked(struct block_disk *disk, u64 now)
{
    struct list_node *const lists[] = {&disk->reads, &disk->writes};
    struct block_request *it, *next;
    for (u32 i = 0; i < HX_ARRAY_SIZE(lists); i++) {
        LIST_FOREACH_SAFE (lists[i], it, next, node) {
            if (it->deadline_ns <= now) {
                list_remove(&it->node);
                disk->stats.timeouts++;
                finish_locked(disk, it, HX_ERR_TIMED_OUT);
            }
        }
    }
}

static bool any_overdue_locked(const struct block_disk *disk, u64 now)
{
    const struct block_command *command;
    LIST_FOREACH (&disk->busy, command, node) {
        if (command->deadline_ns <= now) {
            return true;
        }
    }
    return false;
}

void disk_reset(struct block_disk *disk, const char *why)
{
    u64 now = time_now_ns();
    log_error("block", "%s: the device %s: reset", disk->name, why);
    disk->fault = NULL;
    enum hx_status status = disk->ops->stop(disk->driver);
    disk->stalled = false;
    u64 irqs = spin_lock_irq(&disk->lock);
    disk->stats.resets++;
    while (!list_is_empty(&disk->busy)) {
        struct block_command *command = LIST_ENTRY(disk->busy.next, struct block_command, node);
        struct block_request *request;
        LIST_FOREACH (&command->requests, request, node) {
            if (request->deadline_ns <= now) {
                request->tries = TRIES_MAX;
                disk->stats.timeouts++;
            }
        }
        command_end_locked(disk, command,
                           command->deadline_ns <= now ? HX_ERR_TIMED_OUT : HX_ERR_IO, true);
    }
    spin_unlock_irq(&disk->lock, irqs);
    if (status == HX_OK) {
        status = disk->ops->start(disk->driver);
    }
    if (status == HX_OK && ++disk->resets_in_row > RESETS_MAX) {
        HX_IGNORE(disk->ops->stop(disk->driver), "given up either way");
        status = HX_ERR_IO;
    }
    if (status != HX_OK) {
        log_error("block", "%s given up: %s", disk->name, hx_status_words(status));
        fail_all(disk, HX_ERR_IO);
    }
}

static void watchdog_expired(struct timer *timer)
{
    wake_worker(HX_CONTAINER_OF(timer, struct block_disk, watchdog));
}

/* Fails what is overdue and sets the watchdog for what is next. `serial` is held. */
static void look_after_deadlines(struct block_disk *disk)
{
    u64 now = time_now_ns(), next = UINT64_MAX;
    u64 irqs = spin_lock_irq(&disk->lock);
    if (!disk->watching || disk->watchdog.armed) {
        spin_unlock_irq(&disk->lock, irqs);
        return;
    }
    expire_pending_locked(disk, now);
    bool overdue = any_overdue_locked(disk, now);
    spin_unlock_irq(&disk->lock, irqs);
    if (overdue) {
        disk_reset(disk, "does not answer in time");
    }
    const struct block_command *command;
    const struct block_request *request;
    irqs = spin_lock_irq(&disk->lock);
    LIST_FOREACH (&disk->busy, command, node) {
        next = hx_min_u64(next, command->deadline_ns);
    }
    LIST_FOREACH (&disk->reads, request, node) {
        next = hx_min_u64(next, request->deadline_ns);
    }
    LIST_FOREACH (&disk->writes, request, node) {
        next = hx_min_u64(next, request->deadline_ns);
    }
    disk->watching = next != UINT64_MAX;
    if (disk->watching) {
        timer_start(&disk->watchdog, next);
    }
    spin_unlock_irq(&disk->lock, irqs);
}

void block_disk_fault(struct block_disk *disk, const char *why)
{
    disk->fault = why;
    wake_worker(disk);
}

void block_disk_notify(void *disk, u32 why)
{
    (void)why;
    wake_worker(disk);
}

/* The worker */

static void call_done(struct block_disk *disk)
{
    for (;;) {
        u64 irqs = spin_lock_irq(&disk->lock);
        struct block_request *request = LIST_FIRST(&disk->finished, struct block_request, node);
        if (request) {
            list_remove(&request->node);
        }
        spin_unlock_irq(&disk->lock, irqs);
        if (!request) {
            return;
        }
        request->done(request); /* inv 4 */
    }
}

/* False: the disk is ending. */
static bool wait_for_work(struct block_disk *disk)
{
    u64 irqs = spin_lock_irq(&disk->work.lock);
    if (!disk->notified && !disk->ending) {
        HX_IGNORE(wait_locked_irq(&disk->work, WAIT_FOREVER, irqs), "woken, or looks in vain");
        irqs = spin_lock_irq(&disk->work.lock);
    }
    disk->notified = false;
    bool go_on = !disk->ending;
    spin_unlock_irq(&disk->work.lock, irqs);
    return go_on;
}

static void worker(void *arg)
{
    struct block_disk *disk = arg;
    while (wait_for_work(disk)) {
        mutex_acquire(&disk->serial);
        disk->stats.notifications++;
        if (disk->dead == HX_OK) {
            if (disk->ops->poll) {
                disk->ops->poll(disk->driver);
            }
            if (disk->fault) {
                disk_reset(disk, disk->fault);
            }
            look_after_deadlines(disk);
            dispatch(disk);
        }
        mutex_release(&disk->serial);
        call_done(disk);
    }
    call_done(disk);
}

/* From outside */

enum hx_status disk_submit(struct block_disk *disk, struct block_request *request)
{
    u64 timeout = request->timeout_ns         ? request->timeout_ns
                  : request->op == BLOCK_READ ? BLOCK_TIMEOUT_READ_NS
                                              : BLOCK_TIMEOUT_WRITE_NS;
    u64 now = time_now_ns();
    request->disk = disk;
    request->state = REQUEST_PENDING;
    request->tries = 0;
    request->alone = request->flushing = false;
    request->deadline_ns = timeout > UINT64_MAX / 2 ? UINT64_MAX - 1 : now + timeout;
    wait_queue_init(&request->waiters);
    u64 irqs = spin_lock_irq(&disk->lock);
    enum hx_status status = disk->dead;
    if (status == HX_OK) {
        list_add_tail(request->op == BLOCK_READ ? &disk->reads : &disk->writes, &request->node);
        if (!disk->watching || request->deadline_ns < disk->watchdog.node.key) {
            disk->watching = true;
            timer_start(&disk->watchdog, request->deadline_ns);
        }
    }
    spin_unlock_irq(&disk->lock, irqs);
    if (status != HX_OK) {
        return status;
    }
    mutex_acquire(&disk->serial);
    dispatch(disk);
    mutex_release(&disk->serial);
    return HX_OK;
}

enum hx_status block_wait(struct block_request *request)
{
    struct block_disk *disk = request->disk;
    u64 irqs = spin_lock_irq(&disk->lock);
    while (request->state != REQUEST_DONE) {
        spin_lock(&request->waiters.lock);
        spin_unlock(&disk->lock);
        wait_locked_uncancellable(&request->waiters);
        spin_lock(&disk->lock);
    }
    spin_unlock_irq(&disk->lock, irqs);
    return request->status;
}

bool block_cancel(struct block_request *request)
{
    struct block_disk *disk = request->disk;
    u64 irqs = spin_lock_irq(&disk->lock);
    bool pending = request->state == REQUEST_PENDING && !request->flushing;
    if (pending) {
        list_remove(&request->node);
        finish_locked(disk, request, HX_ERR_CANCELLED);
    }
    spin_unlock_irq(&disk->lock, irqs);
    return pending;
}

/* Making and ending */

static bool limits_are_legal(const struct block_limits *l)
{
    return l->block_bytes >= BLOCK_SECTOR && l->block_bytes <= BLOCK_BYTES_MAX &&
           hx_is_pow2(l->block_bytes) && l->sectors < SECTORS_END &&
           l->sectors % (l->block_bytes / BLOCK_SECTOR) == 0 && l->depth >= 1 &&
           l->depth <= BLOCK_DEPTH_MAX && l->segments_max >= BLOCK_REQUEST_SEGMENTS &&
           l->segments_max <= BLOCK_COMMAND_SEGMENTS;
}

enum hx_status block_disk_create(const struct block_driver_ops *ops, void *driver,
                                 const struct block_limits *limits, struct block_disk **out)
{
    if (ops->abi_version != BLOCK_DRIVER_ABI || ops->size != sizeof(*ops)) {
        return HX_ERR_ABI;
    }
    if (!ops->name || !ops->submit || !ops->stop || !ops->start ||
        !ops->save_state != !ops->restore_state || !limits_are_legal(limits)) {
        return HX_ERR_INVALID;
    }
    struct block_disk *disk = kzalloc(sizeof(*disk));
    if (!disk) {
        return HX_ERR_NO_MEMORY;
    }
    disk->commands = kzalloc(limits->depth * sizeof(*disk->commands));
    if (!disk->commands) {
        kfree(disk);
        return HX_ERR_NO_MEMORY;
    }
    disk->ops = ops;
    disk->driver = driver;
    disk->limits = *limits;
    str_copy(disk->driver_name, ops->name, sizeof(disk->driver_name));
    disk->refs = 1;
    disk->lock = (struct spinlock)SPINLOCK_INIT("block", LOCK_RANK_BLOCK);
    disk->watchdog.expired = watchdog_expired;
    mutex_init(&disk->serial);
    wait_queue_init(&disk->work);
    struct list_node *const lists[] = {&disk->devices,  &disk->reads, &disk->writes,
                                       &disk->finished, &disk->idle,  &disk->busy};
    for (u32 i = 0; i < HX_ARRAY_SIZE(lists); i++) {
        list_init(lists[i]);
    }
    for (u32 i = 0; i < limits->depth; i++) {
        struct block_command *command = &disk->commands[i];
        command->index = i;
        command->disk = disk;
        list_init(&command->requests);
        list_add_tail(&disk->idle, &command->node);
    }
    enum hx_status status = task_create("block", worker, disk, &disk->worker);
    if (status != HX_OK) {
        kfree(disk->commands);
        kfree(disk);
        return status;
    }
    task_start(disk->worker);
    *out = disk;
    return HX_OK;
}

void disk_end(struct block_disk *disk)
{
    s64 ignored;
    disk_port_end(disk);
    mutex_acquire(&disk->serial);
    if (disk->dead == HX_OK && disk->ops->stop(disk->driver) != HX_OK) {
        log_error("block", "%s does not say that it has stopped", disk->name);
    }
    fail_all(disk, HX_ERR_CLOSED);
    mutex_release(&disk->serial);
    timer_cancel(&disk->watchdog);
    u64 irqs = spin_lock_irq(&disk->work.lock);
    disk->ending = true;
    wait_wake_one_locked(&disk->work);
    spin_unlock_irq(&disk->work.lock, irqs);
    HX_IGNORE(task_join(disk->worker, WAIT_FOREVER, &ignored), "nobody else waits for ever");
    task_put(disk->worker);
}

void disk_destroy(struct block_disk *disk)
{
    kfree(disk->commands);
    kfree(disk);
}

struct block_command *block_disk_command(struct block_disk *disk, u32 index)
{
    bool flies = index < disk->limits.depth && disk->commands[index].in_flight;
    return flies ? &disk->commands[index] : NULL;
}

enum hx_status block_disk_exchange(struct block_disk *disk, const struct block_driver_ops *new_ops,
                                   void *new_driver)
{
    u8 state[256];
    u32 size = 0;
    if (new_ops->abi_version != BLOCK_DRIVER_ABI || new_ops->size != sizeof(*new_ops)) {
        return HX_ERR_ABI;
    }
    mutex_acquire(&disk->serial);
    enum hx_status status =
        disk->ops->save_state && new_ops->restore_state ? HX_OK : HX_ERR_NOT_SUPPORTED;
    if (disk->first_ops && disk->ops != disk->first_ops) {
        status = HX_ERR_BUSY; /* a module serves */
    }
    if (status == HX_OK) {
        status = disk->ops->save_state(disk->driver, state, sizeof(state), &size);
    }
    if (status == HX_OK) {
        status = size <= sizeof(state) ? new_ops->restore_state(new_driver, state, size)
                                       : HX_ERR_INVALID;
    }
    if (status == HX_OK) {
        disk->ops = new_ops;
        disk->driver = new_driver;
        disk->first_ops = disk->first_ops ? new_ops : NULL;
        disk->first_driver = new_driver;
        str_copy(disk->driver_name, new_ops->name, sizeof(disk->driver_name));
        if (new_ops->poll) { /* what was done meanwhile has said so to the old one */
            new_ops->poll(new_driver);
        }
        dispatch(disk);
    }
    mutex_release(&disk->serial);
    return status;
}
