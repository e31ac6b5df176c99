/* SPDX-License-Identifier: MIT */
/* A PCI host bridge with memory-mapped configuration space, as the device tree describes it.
 * Owns:      the mapping, the windows, the copy of the interrupt map.   One bridge: the first.
 * Callers:   platform.c; subsystems/device through hal_pci.
 * Context:   early; thread, serialised by the caller.
 * The interrupt map is copied whole while the tree is read, since the controllers that it names may
 * come later; it is decoded when a line is asked for, entry by entry, nothing in it trusted.
 * Spec:      binding pci-host-ecam-generic; Devicetree Specification 0.4, 2.4.3 (interrupt-map);
 *            PCI Bus Binding to Open Firmware 2.1, 2.2.1 (addresses). */
#include <hal/mmu.h>
#include <hal/pci.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/string.h>

#include "driver_priv.h"

#define MAP_BYTES      2048
#define CHILD_CELLS    4 /* of an entry: address (3) and pin (1) */
#define SPACE_MEMORY32 2
#define SPACE_MEMORY64 3
#define BUS_BYTES      HX_MIB(1)

static struct {
    int offset; /* of the node that was read; 0: none */
    vaddr_t ecam;
    u32 bus_first, bus_last;
    struct hal_pci_window memory32, memory64;
    u32 map_size;
    u8 map[MAP_BYTES];
    u32 mask[CHILD_CELLS];
} pci;

static vaddr_t ecam_at(u32 bdf, u32 offset)
{
    return pci.ecam + ((u64)(bdf - (pci.bus_first << 8)) << 12) + offset;
}

static u32 ecam_read(u32 bdf, u32 offset, u32 width)
{
    vaddr_t at = ecam_at(bdf, offset);
    return width == 1 ? hal_mmio_read8(at) : width == 2 ? hal_mmio_read16(at) : hal_mmio_read32(at);
}

static void ecam_write(u32 bdf, u32 offset, u32 width, u32 value)
{
    vaddr_t at = ecam_at(bdf, offset);
    if (width == 1) {
        hal_mmio_write8(at, (u8)value);
    } else if (width == 2) {
        hal_mmio_write16(at, (u16)value);
    } else {
        hal_mmio_write32(at, value);
    }
}

static enum hx_status ecam_irq(u32 bdf, u32 pin, irq_t *out_irq, enum hal_irq_trigger *out_trigger)
{
    const u32 wanted[CHILD_CELLS] = {bdf << 8, 0, 0, pin};
    const u8 *at = pci.map;
    u32 left = pci.map_size / 4;
    while (left > CHILD_CELLS) {
        const struct port_device *parent = port_controller_find(hx_load_be32(at + 4 * CHILD_CELLS));
        u32 skip = CHILD_CELLS + 1 + (parent != NULL ? parent->address_cells : 0);
        u32 count = parent != NULL ? parent->interrupt_cells : 0;
        if (parent == NULL || count == 0 || count > 4 || skip > left || count > left - skip) {
            return HX_ERR_NOT_FOUND; /* the length of an entry is its parent's to say */
        }
        bool match = true;
        for (u32 i = 0; i < CHILD_CELLS; i++) {
            match = match && ((hx_load_be32(at + 4 * i) ^ wanted[i]) & pci.mask[i]) == 0;
        }
        if (match) {
            u32 cells[4];
            for (u32 i = 0; i < count; i++) {
                cells[i] = hx_load_be32(at + 4 * (skip + i));
            }
            *out_trigger = port_irq_trigger(cells, count);
            return parent->driver->irq_map(cells, count, out_irq) ? HX_OK : HX_ERR_NOT_FOUND;
        }
        at += 4 * (skip + count);
        left -= skip + count;
    }
    return HX_ERR_NOT_FOUND;
}

static void ranges_read(const struct dt_walk *walk)
{
    const struct dt_prop *ranges = &dt_node(walk)->ranges;
    u32 parent = dt_parent(walk)->address_cells;
    u32 stride = 4 * (3 + parent + 2);
    if (parent < 1 || parent > 2 || ranges->data == NULL) {
        return;
    }
    for (u32 at = 0; ranges->size - at >= stride; at += stride) {
        const u8 *p = ranges->data + at;
        struct hal_pci_window window = {
            .bus = hx_load_be64(p + 4),
            .cpu = parent == 2 ? hx_load_be64(p + 12) : hx_load_be32(p + 12),
            .size = hx_load_be64(p + 12 + 4 * parent),
        };
        u32 kind = hx_load_be32(p) >> 24 & 3;
        u64 end;
        if (!hx_add_checked(window.bus, window.size, &end) ||
            !hx_add_checked(window.cpu, window.size, &end)) {
            continue;
        }
        if (kind == SPACE_MEMORY32 && window.bus + window.size <= HX_GIB(4)) {
            pci.memory32 = window;
        } else if (kind == SPACE_MEMORY64) {
            pci.memory64 = window;
        }
    }
}

static void pci_read(const struct dt_walk *walk, struct port_device *device)
{
    struct dt_prop prop;
    if (pci.offset != 0) {
        return;
    }
    pci.offset = device->offset;
    pci.bus_last = 255;
    dt_prop_find(walk, "bus-range", &prop);
    if (prop.size == 8) {
        pci.bus_first = hx_load_be32(prop.data);
        pci.bus_last = hx_load_be32(prop.data + 4);
    }
    dt_prop_find(walk, "interrupt-map", &prop);
    if (prop.data != NULL && prop.size <= MAP_BYTES) {
        memcpy(pci.map, prop.data, prop.size);
        pci.map_size = prop.size;
    }
    dt_prop_find(walk, "interrupt-map-mask", &prop);
    for (u32 i = 0; i < CHILD_CELLS; i++) {
        pci.mask[i] =
            prop.size == 4 * CHILD_CELLS ? hx_load_be32(prop.data + (size_t)4 * i) : UINT32_MAX;
    }
    ranges_read(walk);
}

static enum hx_status pci_attach(const struct port_device *device, vaddr_t registers)
{
    if (device->offset != pci.offset) {
        return HX_ERR_EXISTS;
    }
    if (device->reg_count == 0 || pci.bus_last > 255 || pci.bus_first > pci.bus_last ||
        device->regs[0].size < BUS_BYTES) {
        return HX_ERR_INVALID;
    }
    u32 fits = (u32)hx_min_u64(device->regs[0].size / BUS_BYTES, 256);
    pci.ecam = registers;
    struct hal_pci_ops ops = {
        .name = "ECAM",
        .bus_first = pci.bus_first,
        .bus_last = (u32)hx_min_u64(pci.bus_last, pci.bus_first + fits - 1),
        .read = ecam_read,
        .write = ecam_write,
        .irq = ecam_irq,
        .memory32 = pci.memory32,
        .memory64 = pci.memory64,
    };
    return hal_pci_register(&ops);
}

const struct port_driver pci_ecam_driver = {
    .name = "PCI host bridge",
    .compatible = {"pci-host-ecam-generic"},
    .class = DRIVER_BUS,
    .attach = pci_attach,
    .read = pci_read,
};
