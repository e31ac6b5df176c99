/* SPDX-License-Identifier: MIT */
/* The list of devices, and binding drivers to them.
 * Owns:      the list; the table of loaded drivers.       Callers: buses, drivers, module runtime.
 * Context:   thread; may block.
 * Locks:     devices.binding (mutex): who binds, and the state of binding. devices.lock (mutex,
 *            inside): the list. attach and detach run under the first only, so that they can add
 * and remove devices. Invariant: (1) a device has a driver iff that driver's attach succeeded and
 * its detach has not begun.  (2) a device without a driver has an empty ledger.  (3) devices are
 * added at the tail, so that whoever binds comes to what attach has added.
 */
#include "device_priv.h"

#include <core/orchestrator.h>
#include <core/sync.h>
#include <hal/device.h>
#include <helix/log.h>
#include <helix/string.h>

#include <core/memory.h>

#define LOADED_MAX 32

static struct {
    struct mutex binding;
    struct mutex lock;
    struct list_node list; /* lock */
    u32 count;
    const struct device_driver *loaded[LOADED_MAX]; /* binding */
} devices = {.binding = MUTEX_INIT(devices.binding),
             .lock = MUTEX_INIT(devices.lock),
             .list = LIST_INIT(devices.list)};

const char *device_bus_name(enum device_bus bus)
{
    static const char *const names[] = {[DEVICE_TREE] = "tree",
                                        [DEVICE_ACPI] = "acpi",
                                        [DEVICE_PCI] = "pci",
                                        [DEVICE_VIRTIO] = "virtio"};
    _Static_assert(HX_ARRAY_SIZE(names) == DEVICE_BUS_COUNT, "a bus without a name");
    return bus < DEVICE_BUS_COUNT ? names[bus] : "?";
}

void device_add(struct device *dev)
{
    ledger_init(&dev->ledger);
    dev->tried = false;
    dev->driver = NULL;
    mutex_acquire(&devices.lock);
    list_add_tail(&devices.list, &dev->node); /* inv 3 */
    devices.count++;
    mutex_release(&devices.lock);
}

struct device *device_at(u32 index)
{
    struct device *found = NULL, *dev;
    mutex_acquire(&devices.lock);
    LIST_FOREACH (&devices.list, dev, node) {
        if (index-- == 0) {
            found = dev;
            break;
        }
    }
    mutex_release(&devices.lock);
    return found;
}

static bool has_compatible(const struct device *dev, const char *wanted)
{
    const char *name = dev->compatible;
    while (name && *name) {
        if (str_equal(name, wanted)) {
            return true;
        }
        name += strlen(name) + 1;
    }
    return false;
}

static bool matches(const struct device_driver *driver, const struct device *dev)
{
    for (u32 i = 0; i < driver->match_count; i++) {
        const struct device_match *m = &driver->matches[i];
        if (m->bus != dev->bus) {
            continue;
        }
        if (m->compatible ? has_compatible(dev, m->compatible)
                          : (dev->bus != DEVICE_PCI || m->vendor == dev->vendor) &&
                                (m->id == dev->id || m->id == DEVICE_ANY)) {
            return true;
        }
    }
    return false;
}

/* What a driver left on the ledger goes back; inv 2. */
static u32 reclaim(struct device *dev)
{
    device_disable(dev);
    return ledger_reclaim(&dev->ledger);
}

static bool attach(struct device *dev, const struct device_driver *driver)
{
    if (!matches(driver, dev)) {
        return false;
    }
    dev->status = driver->attach(dev);
    if (dev->status == HX_OK) {
        dev->driver = driver;
        return true;
    }
    reclaim(dev);
    /* A virtio slot of a machine may well be empty. */
    log_write(dev->status == HX_ERR_NOT_FOUND ? LOG_DEBUG : LOG_WARN, "device", "%s: %s: %s",
              dev->name, driver->name, hx_status_words(dev->status));
    return false;
}

static void find_driver(struct device *dev)
{
    dev->tried = true;
    HX_SET_FOREACH (device_drivers, it) {
        if (attach(dev, *it)) {
            return;
        }
    }
    for (u32 i = 0; i < LOADED_MAX; i++) {
        if (devices.loaded[i] && attach(dev, devices.loaded[i])) {
            return;
        }
    }
}

/* The next device to find a driver for. Binding is held, so that it stays on the list. */
static struct device *next_untried(void)
{
    struct device *found = NULL, *dev;
    mutex_acquire(&devices.lock);
    LIST_FOREACH (&devices.list, dev, node) {
        if (!dev->tried && !dev->driver && !dev->claimed) {
            found = dev;
            break;
        }
    }
    mutex_release(&devices.lock);
    return found;
}

static void bind_all(void)
{
    struct device *dev;
    while ((dev = next_untried())) {
        find_driver(dev);
    }
}

void device_bind(void)
{
    mutex_acquire(&devices.binding);
    bind_all();
    mutex_release(&devices.binding);
}

static void detach(struct device *dev)
{
    const struct device_driver *driver = dev->driver;
    if (!driver) {
        return;
    }
    dev->driver = NULL; /* inv 1 */
    driver->detach(dev);
    u32 left = reclaim(dev);
    if (left) {
        log_warn("device", "%s: %s left %u things behind, which were reclaimed", dev->name,
                 driver->name, left);
    }
}

void device_remove(struct device *dev)
{
    detach(dev);
    mutex_acquire(&devices.lock);
    list_remove(&dev->node);
    devices.count--;
    mutex_release(&devices.lock);
}

enum hx_status device_driver_register(const struct device_driver *driver)
{
    if (driver->abi_version != DEVICE_DRIVER_ABI || driver->size != sizeof(*driver)) {
        return HX_ERR_ABI;
    }
    if (!driver->name || !driver->matches || !driver->attach || !driver->detach) {
        return HX_ERR_INVALID;
    }
    mutex_acquire(&devices.binding);
    u32 slot = 0;
    while (slot < LOADED_MAX && devices.loaded[slot]) {
        slot++;
    }
    if (slot < LOADED_MAX) {
        struct device *dev;
        devices.loaded[slot] = driver;
        mutex_acquire(&devices.lock);
        LIST_FOREACH (&devices.list, dev, node) {
            dev->tried = false;
        }
        mutex_release(&devices.lock);
        bind_all();
    }
    mutex_release(&devices.binding);
    return slot < LOADED_MAX ? HX_OK : HX_ERR_NO_SPACE;
}

static struct device *next_driven_by(const struct device_driver *driver)
{
    struct device *found = NULL, *dev;
    mutex_acquire(&devices.lock);
    LIST_FOREACH (&devices.list, dev, node) {
        if (dev->driver == driver) {
            found = dev;
            break;
        }
    }
    mutex_release(&devices.lock);
    return found;
}

void device_driver_unregister(const struct device_driver *driver)
{
    struct device *dev;
    mutex_acquire(&devices.binding);
    for (u32 i = 0; i < LOADED_MAX; i++) {
        if (devices.loaded[i] == driver) {
            devices.loaded[i] = NULL;
        }
    }
    while ((dev = next_driven_by(driver))) {
        detach(dev);
    }
    mutex_release(&devices.binding);
}

static void add_firmware_devices(void)
{
    const struct hal_device *from;
    for (u32 i = 0; (from = hal_device_at(i)); i++) {
        struct device *dev = kzalloc(sizeof(*dev));
        if (!dev) {
            log_warn("device", "no memory to list %s", from->name);
            return;
        }
        HX_IGNORE(str_copy(dev->name, from->name, sizeof(dev->name)), "a cut name is a name");
        dev->bus = from->acpi ? DEVICE_ACPI : DEVICE_TREE;
        dev->compatible = from->compatible;
        dev->coherent = from->coherent;
        dev->claimed = from->claimed;
        dev->regions[0] = (struct device_region){.base = from->base, .size = from->size};
        dev->irq = from->irq;
        dev->trigger = from->trigger;
        device_add(dev);
    }
}

static enum hx_status start(void)
{
    u32 bound = 0, count = 0;
    struct device *dev;
    add_firmware_devices();
    pci_enumerate();
    device_bind();
    mutex_acquire(&devices.lock);
    LIST_FOREACH (&devices.list, dev, node) {
        bound += dev->driver || dev->claimed;
        count++;
    }
    mutex_release(&devices.lock);
    log_info("device", "%u devices, %u with a driver", count, bound);
    return HX_OK;
}

COMPONENT(devices, .name = "devices", .version = "1.0", .needs = "kernel", .init = start);
