/* SPDX-License-Identifier: MIT */
/* The slot block.driver: modules that move the data of disks, in the place of the driver that found
 * them.
 * Owns:      the list of disks that a module can serve; a guest for each while one does.
 * Callers:   the block layer, through disk->ops; core/slot; modules, through block_port_*().
 * Context:   thread.     Locks: disk->serial of all these disks at once, in the order of the list:
 * the gate. What a device says meanwhile is noted by the kernel, and looked at afterwards. The
 * device's life stays with the driver that found it: it agrees with the device and resets it, and
 * what serves is told the outcome as a state without commands in flight. So a module that is ended
 * costs a reset: the first driver serves from then on, and is given again what was in flight. A
 * command that a module was ended with counts twice of its tries: it is failed, not given to a
 * third one.
 * Invariant: (1) disk->ops is &stand_in exactly when disk->driver is a struct guest.
 *            (2) a disk is in `disks` from block_disk_portable() until its end, both under its
 *            serial; so a driver's disk is there while the driver is called.
 */
#include <core/memory.h>
#include <core/slot.h>
#include <helix/log.h>
#include <helix/string.h>
#include "block_priv.h"

#define DISKS_MAX 16 /* more are served by the driver that found them */
#define STATE_MAX 256

struct guest {
    struct slot_guest guest;
    struct block_disk *disk;
    void *driver; /* the module's instance */
};

static struct {
    struct mutex lock;                   /* who is on the list; outermost */
    struct block_disk *disks[DISKS_MAX]; /* a: inv 2 */
    const char *serving;
} port = {.lock = MUTEX_INIT(port.lock)};

static const struct block_port_ops *table_of(const struct guest *g)
{
    return g->guest.table;
}

static enum hx_status enter(struct guest *g, const void *fn, u64 a0, u64 a1, u64 a2, u64 a3,
                            enum hx_status otherwise)
{
    return (enum hx_status)(s32)slot_enter(&g->guest, fn, a0, a1, a2, a3, (u64)(s64)otherwise);
}

#define FN(g, op) ((const void *)(uintptr_t)table_of(g)->op)

/* -- state */

static enum hx_status save(struct block_disk *disk, u8 *state, u32 *size)
{
    enum hx_status status = disk->ops->save_state(disk->driver, state, STATE_MAX, size);
    return status == HX_OK && *size > STATE_MAX ? HX_ERR_CORRUPT : status;
}

/* Has `to` go on from a state, brought to its version by whichever of the two is newer. NULL is the
 * first driver, of version 1. */
static enum hx_status restore(struct block_disk *disk, struct guest *from, struct guest *to,
                              u8 *state, u32 size)
{
    u32 has = from ? table_of(from)->state_version : 1, want = to ? table_of(to)->state_version : 1;
    struct guest *newer = !to || (from && has > want) ? from : to; /* a module's is 1 or more */
    enum hx_status status = HX_OK;
    if (has != want) {
        status = table_of(newer)->convert ? enter(newer, FN(newer, convert), (u64)state, (u64)&size,
                                                  has, want, HX_ERR_FAULT)
                                          : HX_ERR_ABI;
        status = status == HX_OK && size > STATE_MAX ? HX_ERR_CORRUPT : status;
    }
    if (status != HX_OK) {
        return status;
    }
    return to ? enter(to, FN(to, restore_state), (u64)to->driver, (u64)state, size, 0, HX_ERR_FAULT)
              : disk->first_ops->restore_state(disk->first_driver, state, size);
}

/* Gives an instance back; what a dead one holds is on its ledger. */
static void guest_free(struct guest *g)
{
    if (g) {
        enter(g, FN(g, release), (u64)g->driver, 0, 0, 0, HX_OK);
        kfree(g);
    }
}

/* The first driver serves; the device is in no state that a successor could take over. */
static void fall_back(struct block_disk *disk)
{
    struct guest *g = disk->driver;
    disk->ops = disk->first_ops;
    disk->driver = disk->first_driver;
    guest_free(g);
}

/* -- the stand-in */

static enum hx_status guest_submit(void *driver, struct block_command *command)
{
    struct guest *g = driver;
    enum hx_status status =
        enter(g, FN(g, submit), (u64)g->driver, (u64)command, 0, 0, HX_ERR_FAULT);
    if (g->guest.dead) {
        command->killer = true;
        block_disk_fault(g->disk, "has lost its driver");
        return HX_OK; /* the reset gives it to another */
    }
    return status;
}

static void guest_say(void *driver, const void *fn)
{
    struct guest *g = driver;
    enter(g, fn, (u64)g->driver, 0, 0, 0, HX_OK);
    if (g->guest.dead) {
        block_disk_fault(g->disk, "has lost its driver");
    }
}

static void guest_kick(void *driver)
{
    guest_say(driver, FN((struct guest *)driver, kick));
}

static void guest_poll(void *driver)
{
    guest_say(driver, FN((struct guest *)driver, poll));
}

static enum hx_status guest_stop(void *driver)
{
    struct guest *g = driver;
    struct block_disk *disk = g->disk;
    if (g->guest.dead) {
        fall_back(disk);
    }
    return disk->first_ops->stop(disk->first_driver);
}

static enum hx_status guest_start(void *driver)
{
    struct guest *g = driver;
    struct block_disk *disk = g->disk;
    u8 state[STATE_MAX];
    u32 size = 0;
    enum hx_status status = disk->first_ops->start(disk->first_driver);
    if (status != HX_OK) {
        return status;
    }
    status = disk->first_ops->save_state(disk->first_driver, state, sizeof(state), &size);
    if (status == HX_OK) {
        status = restore(disk, NULL, g, state, size);
    }
    if (status != HX_OK) {
        log_warn("block", "%s: its first driver serves: %s", disk->name, hx_status_words(status));
        fall_back(disk);
    }
    return HX_OK;
}

static enum hx_status guest_save_state(void *driver, void *state, u32 size, u32 *out_size)
{
    struct guest *g = driver;
    return enter(g, FN(g, save_state), (u64)g->driver, (u64)state, size, (u64)out_size,
                 HX_ERR_FAULT);
}

static const struct block_driver_ops stand_in = {
    .abi_version = BLOCK_DRIVER_ABI,
    .size = sizeof(struct block_driver_ops),
    .name = "module",
    .submit = guest_submit,
    .kick = guest_kick,
    .poll = guest_poll,
    .stop = guest_stop,
    .start = guest_start,
    .save_state = guest_save_state,
};

static bool is_guest(const struct block_disk *disk)
{
    return disk->ops == &stand_in; /* inv 1 */
}

/* -- what modules call; they name a disk by its address, which is looked for and not followed */

static struct block_disk *disk_of(const struct block_disk *disk)
{
    for (u32 i = 0; i < DISKS_MAX; i++) {
        struct block_disk *known = __atomic_load_n(&port.disks[i], __ATOMIC_ACQUIRE);
        if (known == disk && known && (is_guest(known) || known->moving)) {
            return known;
        }
    }
    return NULL;
}

struct block_command *block_port_command(const struct block_disk *disk, u32 index)
{
    struct block_disk *known = disk_of(disk);
    return known ? block_disk_command(known, index) : NULL;
}

void block_port_complete(const struct block_disk *disk, u32 index, enum hx_status status)
{
    struct block_command *command = block_port_command(disk, index);
    if (command) {
        block_command_complete(command, status > HX_OK ? HX_ERR_IO : status);
    }
}

void block_port_fault(const struct block_disk *disk)
{
    struct block_disk *known = disk_of(disk);
    if (known) {
        block_disk_fault(known, "contradicts itself, says its driver");
    }
}

/* -- the list */

void block_disk_portable(struct block_disk *disk, void *hardware)
{
    mutex_acquire(&port.lock);
    disk->hardware = hardware;
    disk->first_ops = disk->ops;
    disk->first_driver = disk->driver;
    for (u32 i = 0; i < DISKS_MAX; i++) {
        if (!port.disks[i]) {
            __atomic_store_n(&port.disks[i], disk, __ATOMIC_RELEASE);
            break;
        }
    }
    mutex_release(&port.lock);
}

void disk_port_end(struct block_disk *disk)
{
    mutex_acquire(&port.lock);
    for (u32 i = 0; i < DISKS_MAX; i++) {
        if (port.disks[i] == disk) {
            __atomic_store_n(&port.disks[i], NULL, __ATOMIC_RELEASE);
        }
    }
    mutex_acquire(&disk->serial);
    if (is_guest(disk)) {
        fall_back(disk); /* and is stopped next */
    }
    mutex_release(&disk->serial);
    mutex_release(&port.lock);
}

/* -- the slot */

static enum hx_status check(const void *table)
{
    const struct block_port_ops *ops = table;
    if (ops->abi_version != BLOCK_PORT_ABI || ops->size != sizeof(*ops) || !ops->state_version) {
        return HX_ERR_ABI;
    }
    return ops->adopt && ops->release && ops->submit && ops->kick && ops->poll && ops->save_state &&
                   ops->restore_state
               ? HX_OK
               : HX_ERR_INVALID;
}

static bool drives(const struct block_port_ops *ops, const struct block_disk *disk)
{
    return memcmp(ops->hardware, disk->driver_name, BLOCK_NAME_MAX) == 0;
}

static enum hx_status guest_create(struct block_disk *disk, const void *table,
                                   struct module_instance *m, struct guest **out)
{
    struct guest *g = kzalloc(sizeof(*g));
    if (!g) {
        return HX_ERR_NO_MEMORY;
    }
    g->guest = (struct slot_guest){.table = table, .m = m, .ticks = slot_ticks(m)};
    g->disk = disk;
    enum hx_status status =
        enter(g, FN(g, adopt), (u64)disk, (u64)disk->hardware, (u64)&g->driver, 0, HX_ERR_FAULT);
    if (status != HX_OK) {
        kfree(g);
        return status;
    }
    *out = g;
    return HX_OK;
}

static bool is_dead(const struct block_disk *disk)
{
    return is_guest(disk) && ((const struct guest *)disk->driver)->guest.dead;
}

/* The state of one disk moves to what is to serve it. Its serial is held. Who dies of being asked
 * for its state is replaced by the first driver, which is asked then. */
static enum hx_status move(struct block_disk *disk, struct guest *to)
{
    u8 state[STATE_MAX];
    u32 size = 0;
    enum hx_status status = HX_ERR_FAULT;
    if (is_guest(disk) && !is_dead(disk)) {
        status = save(disk, state, &size);
    }
    if (is_dead(disk)) {
        disk_reset(disk, "has lost its driver");
    }
    struct guest *from = is_guest(disk) ? disk->driver : NULL;
    if (!from && !to) {
        return HX_OK;
    }
    if (!from) {
        status = save(disk, state, &size);
    }
    if (status == HX_OK) {
        disk->moving = true;
        status = restore(disk, from, to, state, size);
        disk->moving = false;
    }
    return status;
}

static enum hx_status exchange(const void *table, struct module_instance *m, u64 deadline_ns,
                               u64 *out_pause)
{
    (void)deadline_ns; /* a call takes no longer than its ticks, and a drain waits for one call */
    struct guest *next[DISKS_MAX] = {NULL}, *gone[DISKS_MAX] = {NULL};
    enum hx_status status = HX_OK;
    u64 pause = 0;
    mutex_acquire(&port.lock);
    for (u32 i = 0; i < DISKS_MAX && status == HX_OK; i++) {
        if (m && port.disks[i] && drives(table, port.disks[i])) {
            status = guest_create(port.disks[i], table, m, &next[i]);
        }
    }
    if (status == HX_OK) {
        for (u32 i = 0; i < DISKS_MAX; i++) {
            if (port.disks[i]) {
                mutex_acquire(&port.disks[i]->serial);
                pause = pause ? pause : hal_cycles_read();
            }
        }
        for (u32 i = 0; i < DISKS_MAX && status == HX_OK; i++) {
            status = port.disks[i] ? move(port.disks[i], next[i]) : HX_OK;
        }
        for (u32 i = 0; i < DISKS_MAX; i++) {
            struct block_disk *disk = port.disks[i];
            if (disk && status == HX_OK) {
                gone[i] = is_guest(disk) ? disk->driver : NULL;
                disk->ops = next[i] ? &stand_in : disk->first_ops;
                disk->driver = next[i] ? next[i] : disk->first_driver;
                next[i] = NULL;
            }
            if (disk) {
                mutex_release(&disk->serial);
            }
        }
        pause = pause ? hal_cycles_read() - pause : 0;
    }
    for (u32 i = 0; i < DISKS_MAX; i++) {
        guest_free(next[i]);
        guest_free(gone[i]);
        if (port.disks[i]) {
            block_disk_notify(port.disks[i], 0); /* what was done meanwhile has said so to nobody */
        }
    }
    if (status == HX_OK) {
        port.serving = m ? m->manifest.name : NULL;
    }
    mutex_release(&port.lock);
    *out_pause = pause;
    return status;
}

static bool settled(void)
{
    return true; /* exchange() waits for each disk's serial */
}

static const char *serving(void)
{
    return port.serving ? port.serving : SLOT_OWN;
}

static const struct slot_ops block_slot_ops = {
    .check = check, .exchange = exchange, .settled = settled, .serving = serving};

SLOT(block_driver, .name = "block.driver", .major = BLOCK_PORT_ABI, .ops = &block_slot_ops,
     .timed = true);
