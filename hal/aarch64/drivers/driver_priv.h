/* SPDX-License-Identifier: MIT */
/* What a driver is, and what platform.c tells it about its device. A driver binds to a node by
 * `compatible`; everything it needs from the tree is copied while the tree is read, once.
 */
#ifndef DRIVER_PRIV_H
#define DRIVER_PRIV_H

#include <hal/firmware.h>
#include <hal/irq.h>
#include <helix/status.h>
#include <helix/types.h>
#include <port/dt.h>

#define DEVICE_REGS_MAX       4
#define DEVICE_CELLS_MAX      16
#define DEVICE_COMPATIBLE_MAX 5

/* In the order in which devices are attached; serial consoles come before all of them. */
enum driver_class {
    DRIVER_SERIAL,
    DRIVER_IRQ,
    DRIVER_FIRMWARE,
    DRIVER_TIMER,
    DRIVER_BUS,
    DRIVER_CLASS_COUNT
};

struct port_device {
    const struct port_driver *driver;
    int offset; /* the node; for comparison only */
    u32 phandle, interrupt_parent, interrupt_cells, address_cells;
    u32 reg_count, cell_count;
    struct {
        paddr_t base;
        u64 size;
    } regs[DEVICE_REGS_MAX];
    u32 cells[DEVICE_CELLS_MAX]; /* of `interrupts` */
    u64 options[2];              /* what the driver's read found; 0 without */
};

struct port_driver {
    const char *name;
    const char *compatible[DEVICE_COMPATIBLE_MAX]; /* ends with NULL if shorter */
    enum driver_class class;
    /* Mandatory. `registers` is where regs[0] is mapped, 0 without one. Early. */
    enum hx_status (*attach)(const struct port_device *device, vaddr_t registers);
    /* Optional. Keeps further properties in options. Early, while the tree is read. */
    void (*read)(const struct dt_walk *walk, struct port_device *device);
    /* Interrupt controllers only: one specifier of `count` cells as a line. False: there is no such
     * line. */
    bool (*irq_map)(const u32 *cells, u32 count, irq_t *out);
};

/* Line number `index` of a device, by its controller's numbering. Early or later. */
bool port_device_irq(const struct port_device *device, u32 index, irq_t *out);

/* The interrupt controller with this phandle, or NULL. */
const struct port_device *port_controller_find(u32 phandle);

/* The trigger that a specifier of three cells asks for (binding arm,gic). */
enum hal_irq_trigger port_irq_trigger(const u32 *cells, u32 count);

/* Counts iterations of a wait for hardware: false when it has lasted too long. */
#define WAIT_MAX 1000000u
static inline bool wait_goes_on(u32 *spins)
{
    hal_cpu_relax();
    return ++*spins < WAIT_MAX;
}

extern const struct port_driver pl011_driver, miniuart_driver;
extern const struct port_driver gicv2_driver, gicv3_driver, bcm2836_driver, armctrl_driver;
extern const struct port_driver psci_driver, bcm2835_pm_driver, fw_cfg_driver;
extern const struct port_driver generic_timer_driver, pl031_driver;
extern const struct port_driver pci_ecam_driver, gicv2m_driver;

/* The entries that the firmware tables of all boards share. */
enum hx_status semihosting_exit(u32 status);
enum hx_status fw_cfg_read(const char *name, void *buf, size_t size, size_t *out_size);

/* GIC, versions 2 and 3: what their device-tree bindings have in common. */
bool gic_irq_map(const u32 *cells, u32 count, irq_t *out);

/* PSCI. HX_ERR_NOT_SUPPORTED: there is none. HX_ERR_IO: it refused. */
enum hx_status psci_cpu_on(u64 hw_id, paddr_t entry) HX_MUST_CHECK;

/* CPUs: smp.c. `boot_cpu` first, then every node of /cpus, then the table is registered. */
void smp_begin(u64 boot_cpu);
void smp_node_read(const struct dt_walk *walk);
enum hx_status smp_register(void) HX_MUST_CHECK;

#endif
