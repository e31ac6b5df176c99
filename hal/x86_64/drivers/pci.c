/* SPDX-License-Identifier: MIT */
/* PCI configuration space of a PC: memory-mapped where ACPI says so (MCFG), else by ports.
 * Owns:      ports 0xcf8 - 0xcff; the mapping.       Callers: subsystems/device through hal_pci.
 * Context:   thread or early; the caller serialises (an address port and a data port).
 * Interrupts: how the pins are wired is in ACPI's byte code, which nobody interprets here. Firmware
 *            has followed it and left the ISA line of each function in its interrupt line register.
 * Spec:      PCI Local Bus 3.0, 3.2.2.3.2 and 6.2.4; PCI Express Base 3.0, 7.2.2.
 */
#include <port/pc.h>

#include <hal/mmu.h>
#include <hal/pci.h>
#include <helix/log.h>
#include <port/x86.h>

#define PORT_ADDRESS   0xcf8
#define PORT_DATA      0xcfc
#define ADDRESS_ENABLE 0x80000000u
#define BUS_BYTES      HX_MIB(1)
#define INTERRUPT_LINE 0x3c

static struct {
    vaddr_t ecam; /* of bus_first */
    u32 bus_first;
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

static u16 port_select(u32 bdf, u32 offset)
{
    io_write32(PORT_ADDRESS, ADDRESS_ENABLE | bdf << 8 | (offset & ~3u));
    return (u16)(PORT_DATA + (offset & 3));
}

static u32 ports_read(u32 bdf, u32 offset, u32 width)
{
    u16 port = port_select(bdf, offset);
    return width == 1 ? io_read8(port) : width == 2 ? io_read16(port) : io_read32(port);
}

static void ports_write(u32 bdf, u32 offset, u32 width, u32 value)
{
    u16 port = port_select(bdf, offset);
    if (width == 1) {
        io_write8(port, (u8)value);
    } else if (width == 2) {
        io_write16(port, (u16)value);
    } else {
        io_write32(port, value);
    }
}

static enum hx_status pci_irq(u32 bdf, u32 pin, irq_t *out_irq, enum hal_irq_trigger *out_trigger)
{
    (void)pin;
    u32 line = hal_pci.read(bdf, INTERRUPT_LINE, 1);
    if (line == 0 || line >= ISA_IRQS) {
        return HX_ERR_NOT_FOUND;
    }
    *out_irq = line;
    *out_trigger = IRQ_TRIGGER_LEVEL;
    return HX_OK;
}

static struct hal_pci_ops pci_ops = {
    .name = "ports", .bus_last = 255, .read = ports_read, .write = ports_write, .irq = pci_irq};

static bool ports_answer(void)
{
    io_write32(PORT_ADDRESS, ADDRESS_ENABLE);
    bool there = io_read32(PORT_ADDRESS) == ADDRESS_ENABLE;
    return there && (ports_read(0, 0, 4) & 0xffff) != 0xffff;
}

enum hx_status pci_register(void)
{
    const struct acpi_info *acpi = acpi_get();
    if (acpi->ecam_base) {
        u32 buses = (u32)acpi->ecam_bus_last - acpi->ecam_bus_first + 1;
        enum hx_status status =
            hal_event_device_map(acpi->ecam_base + acpi->ecam_bus_first * BUS_BYTES,
                                 buses * BUS_BYTES, MAP_DEVICE, &pci.ecam);
        if (status == HX_OK) {
            pci.bus_first = acpi->ecam_bus_first;
            pci_ops.name = "ECAM";
            pci_ops.bus_first = acpi->ecam_bus_first;
            pci_ops.bus_last = acpi->ecam_bus_last;
            pci_ops.read = ecam_read;
            pci_ops.write = ecam_write;
            return hal_pci_register(&pci_ops);
        }
        log_warn("pci", "configuration space at 0x%lx not usable, falling back to ports: %s",
                 acpi->ecam_base, hx_status_words(status));
    }
    return ports_answer() ? hal_pci_register(&pci_ops) : HX_ERR_NOT_FOUND;
}
