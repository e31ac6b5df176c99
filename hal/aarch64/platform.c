/* SPDX-License-Identifier: MIT */
/* From the device tree to bound drivers: the port's two entry points.
 * Owns:      the list of devices that some driver knows, the list of all, the board's name.
 * Callers:   boot/aarch64 (scan), core/init.     Context: early, boot CPU; no locks.
 * The tree is read once, before kernel_main, while the loader's map shows it; all that drivers need
 * is copied then, so nothing here depends on the tree staying mapped.
 * A node that no driver of the port knows is kept for hal_device_at(): drivers above the HAL bind
 * to those. A device that does not attach is named in the log, and the next of its class is tried;
 * without interrupt controller or timer the machine cannot run. */
#include <hal/cpu.h>
#include <hal/device.h>
#include <hal/hal.h>
#include <hal/mmu.h>
#include <hal/serial.h>
#include <hal/timer.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>
#include <port/dt.h>
#include <port/platform.h>

#include "drivers/driver_priv.h"

#define DEVICES_PER_CLASS 4
#define NODES_MAX         96
#define NODE_CELLS        4 /* of the first interrupt specifier */

/* Within a class, devices attach in this order: of two firmware interfaces the first wins. */
static const struct port_driver *const drivers[] = {
    &pl011_driver,   &miniuart_driver, &gicv2_driver,  &gicv3_driver,      &bcm2836_driver,
    &armctrl_driver, &psci_driver,     &fw_cfg_driver, &bcm2835_pm_driver, &generic_timer_driver,
    &pl031_driver,   &pci_ecam_driver, &gicv2m_driver,
};

static const struct {
    const char *compatible, *name;
} board_names[] = {
    {"linux,dummy-virt", "virt"},
    {"raspberrypi,3-model-b", "raspi3b"},
};

/* A node as it was read: its line is known once the interrupt controllers are. */
struct node {
    struct hal_device device;
    u32 interrupt_parent, cell_count;
    u32 cells[NODE_CELLS];
};

static struct {
    struct node nodes[NODES_MAX];
    u32 node_count, nodes_dropped;
    struct port_device devices[DRIVER_CLASS_COUNT][DEVICES_PER_CLASS];
    u32 counts[DRIVER_CLASS_COUNT];
    const struct port_device *serial;
    char board[32];
} platform;

const char *hal_board_name(void)
{
    return platform.board[0] ? platform.board : "unknown";
}

/* Reading the tree */

static void board_read(const struct dt_walk *walk)
{
    const struct dt_prop *compatible = &dt_node(walk)->compatible;
    for (u32 i = 0; i < HX_ARRAY_SIZE(board_names); i++) {
        if (dt_prop_has(compatible, board_names[i].compatible)) {
            str_copy(platform.board, board_names[i].name, sizeof(platform.board));
            return;
        }
    }
    char text[64];
    dt_prop_copy(compatible, text, sizeof(text));
    const char *comma = strchr(text, ',');
    if (text[0] == '\0' || (comma != NULL && comma[1] == '\0')) {
        return;
    }
    str_copy(platform.board, comma != NULL ? comma + 1 : text, sizeof(platform.board));
    for (char *p = platform.board; *p != '\0'; p++) {
        bool letter = (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z';
        if (!letter && !(*p >= '0' && *p <= '9') && strchr("-_.+", *p) == NULL) {
            *p = '-';
        }
    }
}

/* String by string of the node, most specific first, as the specification wants it. */
static const struct port_driver *driver_find(const struct dt_prop *compatible)
{
    const u8 *at = compatible->data, *end = NULL;
    for (u32 left = at != NULL ? compatible->size : 0; left > 0;
         left -= (u32)(end - at), at = end) {
        end = memchr(at, 0, left);
        if (end++ == NULL) {
            return NULL;
        }
        for (u32 d = 0; d < HX_ARRAY_SIZE(drivers); d++) {
            const char *const *known = drivers[d]->compatible;
            for (u32 i = 0; i < DEVICE_COMPATIBLE_MAX && known[i] != NULL; i++) {
                if (str_equal(known[i], (const char *)at)) {
                    return drivers[d];
                }
            }
        }
    }
    return NULL;
}

static void device_read(const struct dt_walk *walk, const struct port_driver *driver)
{
    const struct dt_node *node = dt_node(walk);
    if (platform.counts[driver->class] == DEVICES_PER_CLASS) {
        return;
    }
    struct port_device *device = &platform.devices[driver->class][platform.counts[driver->class]++];
    device->driver = driver;
    device->offset = node->offset;
    device->phandle = node->phandle;
    device->interrupt_parent = node->interrupt_parent;
    device->interrupt_cells = node->interrupt_cells;
    device->address_cells = node->address_cells;
    while (device->reg_count < DEVICE_REGS_MAX &&
           dt_reg(walk, device->reg_count, &device->regs[device->reg_count].base,
                  &device->regs[device->reg_count].size)) {
        device->reg_count++;
    }
    while (device->cell_count < DEVICE_CELLS_MAX &&
           device->cell_count < node->interrupts.size / 4) {
        device->cells[device->cell_count] =
            hx_load_be32(node->interrupts.data + (size_t)4 * device->cell_count);
        device->cell_count++;
    }
    if (driver->read != NULL) {
        driver->read(walk, device);
    }
}

/* Whole names only; an empty one ends the list. */
static void compatible_copy(const struct dt_prop *prop, char *out)
{
    u32 size = (u32)hx_min_u64(prop->size, HAL_DEVICE_COMPATIBLE_MAX - 1);
    memcpy(out, prop->data, size);
    while (size > 0 && out[size - 1] != '\0') {
        out[--size] = '\0';
    }
}

/* For hal_device_at(): what has a name to bind by and registers. */
static void node_keep(const struct dt_walk *walk, bool claimed)
{
    const struct dt_node *node = dt_node(walk);
    struct node kept = {.device = {.irq = HX_IRQ_NONE, .claimed = claimed}};
    struct dt_prop coherent;
    if (node->compatible.data == NULL || !dt_reg(walk, 0, &kept.device.base, &kept.device.size)) {
        return;
    }
    if (platform.node_count == NODES_MAX) {
        platform.nodes_dropped++;
        return;
    }
    str_copy(kept.device.name, node->name, sizeof(kept.device.name));
    compatible_copy(&node->compatible, kept.device.compatible);
    dt_prop_find(walk, "dma-coherent", &coherent);
    kept.device.coherent = coherent.data != NULL;
    kept.interrupt_parent = node->interrupt_parent;
    while (kept.cell_count < NODE_CELLS && kept.cell_count < node->interrupts.size / 4) {
        kept.cells[kept.cell_count] =
            hx_load_be32(node->interrupts.data + (size_t)4 * kept.cell_count);
        kept.cell_count++;
    }
    platform.nodes[platform.node_count++] = kept;
}

static void node_visit(void *ctx, const struct dt_walk *walk)
{
    (void)ctx;
    const struct dt_node *node = dt_node(walk);
    if (walk->depth == 0) {
        board_read(walk);
    } else if (walk->depth == 2 && dt_prop_has(&node->device_type, "cpu") &&
               str_equal(dt_parent(walk)->name, "cpus")) {
        smp_node_read(walk);
    } else if (node->enabled) {
        const struct port_driver *driver = driver_find(&node->compatible);
        if (driver != NULL) {
            device_read(walk, driver);
        }
        node_keep(walk, driver != NULL);
    }
}

/* What stdout-path names, else the first that there is. */
static const struct port_device *serial_choose(const void *tree)
{
    u32 count = platform.counts[DRIVER_SERIAL];
    int wanted = count > 1 ? dt_stdout(tree) : -1;
    for (u32 i = 0; i < count; i++) {
        if (platform.devices[DRIVER_SERIAL][i].offset == wanted) {
            return &platform.devices[DRIVER_SERIAL][i];
        }
    }
    return count > 0 ? &platform.devices[DRIVER_SERIAL][0] : NULL;
}

paddr_t port_platform_scan(const void *tree, u64 boot_cpu)
{
    smp_begin(boot_cpu);
    HX_IGNORE(dt_walk(tree, node_visit, NULL), "the regions' reader has counted the damage");
    platform.serial = serial_choose(tree);
    return platform.serial != NULL && platform.serial->reg_count > 0 ? platform.serial->regs[0].base
                                                                     : 0;
}

/* Binding */

const struct port_device *port_controller_find(u32 phandle)
{
    for (u32 i = 0; i < platform.counts[DRIVER_IRQ]; i++) {
        const struct port_device *controller = &platform.devices[DRIVER_IRQ][i];
        if (controller->phandle != 0 && controller->phandle == phandle) {
            return controller;
        }
    }
    return NULL;
}

bool port_device_irq(const struct port_device *device, u32 index, irq_t *out)
{
    const struct port_device *controller = port_controller_find(device->interrupt_parent);
    u32 cells = controller != NULL ? controller->interrupt_cells : 0;
    return cells > 0 && index < device->cell_count / cells &&
           controller->driver->irq_map(&device->cells[(size_t)index * cells], cells, out);
}

enum hal_irq_trigger port_irq_trigger(const u32 *cells, u32 count)
{
    u32 flags = count >= 3 ? cells[2] & 0xf : 0;
    return flags == 1 || flags == 2   ? IRQ_TRIGGER_EDGE
           : flags == 4 || flags == 8 ? IRQ_TRIGGER_LEVEL
                                      : IRQ_TRIGGER_DEFAULT;
}

const struct hal_device *hal_device_at(u32 index)
{
    if (index >= platform.node_count) {
        return NULL;
    }
    struct node *node = &platform.nodes[index];
    const struct port_device *controller = port_controller_find(node->interrupt_parent);
    u32 cells = controller != NULL ? controller->interrupt_cells : 0;
    if (cells > 0 && cells <= node->cell_count &&
        controller->driver->irq_map(node->cells, cells, &node->device.irq)) {
        node->device.trigger = port_irq_trigger(node->cells, cells);
    }
    return &node->device;
}

static enum hx_status device_attach(const struct port_device *device)
{
    vaddr_t registers = 0;
    enum hx_status status = HX_OK;
    if (device->reg_count > 0) {
        status = hal_event_device_map(device->regs[0].base, device->regs[0].size, MAP_DEVICE,
                                      &registers);
    }
    return status != HX_OK ? status : device->driver->attach(device, registers);
}

/* Attaches the devices of a class in the drivers' order. */
static void class_attach(enum driver_class class)
{
    for (u32 d = 0; d < HX_ARRAY_SIZE(drivers); d++) {
        for (u32 i = 0; i < platform.counts[class]; i++) {
            const struct port_device *device = &platform.devices[class][i];
            if (device->driver != drivers[d]) {
                continue;
            }
            enum hx_status status = device_attach(device);
            if (status == HX_ERR_EXISTS) {
                log_info("platform", "%s not used: there is one already", device->driver->name);
            } else if (status != HX_OK) {
                log_error("platform", "%s: %s", device->driver->name, hx_status_words(status));
            }
        }
    }
}

void hal_init_early(const struct boot_info *info)
{
    if (info->early_device == 0) {
        return;
    }
    vaddr_t registers = DEVICE_BASE + (platform.serial->regs[0].base & HX_PAGE_MASK);
    HX_IGNORE(platform.serial->driver->attach(platform.serial, registers),
              "without a console there is nowhere to say so");
}

static enum hx_status no_poweroff(void)
{
    return HX_ERR_NOT_SUPPORTED;
}

/* A board whose firmware can do nothing for us. */
static const struct hal_firmware_ops no_firmware_ops = {
    .name = "none",
    .poweroff = no_poweroff,
    .reset = no_poweroff,
    .exit = semihosting_exit,
    .blob_read = fw_cfg_read,
};

enum hx_status hal_init_platform(const struct boot_info *info)
{
    (void)info;
    class_attach(DRIVER_IRQ);
    class_attach(DRIVER_FIRMWARE);
    class_attach(DRIVER_TIMER);
    class_attach(DRIVER_BUS);
    if (platform.nodes_dropped > 0) {
        log_warn("platform", "%u devices beyond the first %u are not listed",
                 platform.nodes_dropped, NODES_MAX);
    }
    HX_IGNORE(hal_firmware_register(&no_firmware_ops), "exists when a driver has registered");
    enum hx_status status = smp_register();
    if (status != HX_OK) {
        return status;
    }
    if (hal_irq.lines == 0) {
        log_error("platform", "the device tree has no interrupt controller that Helix knows");
        return HX_ERR_NOT_FOUND;
    }
    if (hal_timer.frequency() == 0) {
        log_error("platform", "the device tree has no timer that Helix knows");
        return HX_ERR_NOT_FOUND;
    }
    return HX_OK;
}

void hal_init_devices(void)
{
}
