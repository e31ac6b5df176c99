/* SPDX-License-Identifier: MIT */
/* The one list of devices, from device tree, ACPI, PCI and what is found behind those, and the
 * drivers that bind to them. A driver names what it can drive in a table; what it takes of a
 * device - registers, DMA memory, interrupts - is handed out here and stands on the device's
 * ledger, so that the driver can be taken away.
 * Context unless said otherwise: thread, no spinlock held; may block.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <core/ledger.h>
#include <hal/irq.h>
#include <helix/compiler.h>
#include <helix/irq.h>
#include <helix/list.h>
#include <helix/status.h>
#include <helix/types.h>

#define DEVICE_NAME_MAX    32
#define DEVICE_REGIONS_MAX 6
#define DEVICE_ANY         0xffffu
#define DEVICE_DMA_MAX     HX_MIB(4)

enum device_bus { DEVICE_TREE, DEVICE_ACPI, DEVICE_PCI, DEVICE_VIRTIO, DEVICE_BUS_COUNT };

struct device;

/* One kind of device that a driver drives. */
struct device_match {
    enum device_bus bus;
    const char *compatible; /* device tree, ACPI */
    u16 vendor, id;         /* PCI, id may be DEVICE_ANY; virtio: id is the device's type */
};

/* Every driver table starts with its ABI version and size, as all that modules bring. */
#define DEVICE_DRIVER_ABI 1
struct device_driver {
    u32 abi_version; /* DEVICE_DRIVER_ABI */
    u32 size;        /* sizeof(struct device_driver) */
    const char *name;
    const struct device_match *matches; /* mandatory */
    u32 match_count;
    /* Mandatory. Takes the device. When it fails, what it took is reclaimed. */
    enum hx_status (*attach)(struct device *dev);
    /* Mandatory. Lets go of it: the device is quiet and nothing refers to it any more. */
    void (*detach)(struct device *dev);
};

/* Built-in drivers. */
HX_SET_DECLARE(device_drivers, struct device_driver);

struct device_region {
    paddr_t base;
    u64 size; /* 0: absent */
    bool io;  /* I/O ports, which have no mapping */
};

/* Marking: I immutable once added; b the lock of binding. */
struct device {
    struct list_node node;
    char name[DEVICE_NAME_MAX]; /* I */
    enum device_bus bus;        /* I */
    bool coherent;              /* I: its DMA sees the CPUs' caches */
    bool claimed;               /* I: the HAL drives it */
    bool tried;                 /* b: a driver was looked for since it came */
    struct device *parent;      /* I: behind which it was found; NULL */
    const char *compatible;     /* I: NUL-separated names, an empty one ends; NULL */
    u16 vendor, id;             /* I: PCI; virtio: id is the type */
    u32 class_code;             /* I: PCI: class, subclass, interface */
    u32 bdf;                    /* I: PCI */
    u8 msi_cap, msix_cap;       /* I: PCI; 0: none */
    struct device_region regions[DEVICE_REGIONS_MAX]; /* I */
    irq_t irq;                                        /* I: HX_IRQ_NONE: none */
    enum hal_irq_trigger trigger;                     /* I */
    const struct device_driver *driver;               /* b */
    enum hx_status status;                            /* b: what attaching answered */
    void *driver_data;                                /* the driver's */
    struct ledger ledger;                             /* what the driver took */
};

/* Adds a device of which name, bus and identity are filled in; the memory is the caller's until
 * device_remove(). A driver is found for it when whoever is binding now comes to it, or by
 * device_bind(). From attach, or anywhere. */
void device_add(struct device *dev);

/* Detaches its driver, reclaims and reports what that left, and takes it off the list. From the
 * detach of its parent's driver. */
void device_remove(struct device *dev);

/* Finds drivers for devices that have come. Not from attach or detach. */
void device_bind(void);

/* A driver that was loaded. Return: HX_OK; HX_ERR_ABI (table of another version), HX_ERR_INVALID
 * (a mandatory entry is missing), HX_ERR_NO_SPACE. unregister detaches its devices first. Not from
 * attach or detach. */
enum hx_status device_driver_register(const struct device_driver *driver) HX_MUST_CHECK;
void device_driver_unregister(const struct device_driver *driver);

/* Device number `index`, NULL past the last; valid while it is on the list. */
struct device *device_at(u32 index);

const char *device_bus_name(enum device_bus bus);

/* Registers: [offset, offset + size) of a region. The mapping stays when the driver goes.
 * Return: HX_OK; HX_ERR_INVALID (not within a memory region); what mapping returned. */
enum hx_status device_map(struct device *dev, u32 region, u64 offset, u64 size,
                          vaddr_t *out) HX_MUST_CHECK;

/* Memory that CPU and device both see, physically contiguous, zeroed, page-aligned.
 * Return: HX_OK; HX_ERR_NOT_SUPPORTED (the device's DMA is not coherent); HX_ERR_INVALID (0 or
 * above DEVICE_DMA_MAX); HX_ERR_NO_MEMORY. */
struct device_dma {
    struct ledger_entry entry;
    struct device *dev;
    void *cpu;
    paddr_t bus;
    u32 frames;
};
enum hx_status device_dma_alloc(struct device *dev, u64 size,
                                struct device_dma **out) HX_MUST_CHECK;
void device_dma_free(struct device_dma *dma);

/* The device's interrupt: as a message if device and machine can (MSI-X, MSI), else on its line,
 * which others may share. The handler runs in IRQ context on the boot CPU, and is the kernel
 * proper's: it outlives the driver.
 * Return: HX_OK; HX_ERR_NOT_FOUND (it has none); HX_ERR_NO_MEMORY; what the router returned. */
enum device_irq_kind { DEVICE_IRQ_LINE, DEVICE_IRQ_MSI, DEVICE_IRQ_MSIX };
struct device_irq {
    struct ledger_entry entry;
    struct irq_action action;
    struct device *dev; /* which has it on its ledger */
    enum device_irq_kind kind;
    vaddr_t vector; /* MSI-X: entry 0 of the table */
};
enum hx_status device_irq_request(struct device *dev, irq_handler_fn *handler, void *ctx,
                                  struct device_irq **out) HX_MUST_CHECK;
void device_irq_release(struct device_irq *irq);

/* Holds the interrupt back at its source; one that arrives meanwhile is delivered after unmask. For
 * exchanging a driver. A line that is shared is held back for all. */
void device_irq_mask(struct device_irq *irq);
void device_irq_unmask(struct device_irq *irq);

/* Makes a device decode its addresses and access memory; and keeps it from accessing memory. Any
 * device; does something to PCI's only. */
void device_enable(struct device *dev);
void device_disable(struct device *dev);

#endif
