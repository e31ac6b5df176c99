/* SPDX-License-Identifier: MIT */
/* What ACPI's tables name without its byte code, as a list. All of it has a driver of this port.
 * Owns:      the list.       Callers: subsystems/device through hal_device_at().
 * Context:   thread.         Spec: ACPI 6.4, 5.6.7 (identifiers).
 */
#include <port/pc.h>

#include <hal/device.h>
#include <helix/format.h>
#include <helix/string.h>

#define IOAPIC_BYTES 0x20
#define HPET_BYTES   0x400
#define LAPIC_BYTES  0x1000

static struct {
    struct hal_device list[12];
    u32 count;
} devices;

const struct hal_device *hal_device_at(u32 index)
{
    return index < devices.count ? &devices.list[index] : NULL;
}

static void add(const char *name, const char *id, paddr_t base, u64 size)
{
    if (devices.count == HX_ARRAY_SIZE(devices.list)) {
        return;
    }
    struct hal_device *device = &devices.list[devices.count++];
    *device = (struct hal_device){.base = base,
                                  .size = size,
                                  .irq = HX_IRQ_NONE,
                                  .coherent = true,
                                  .claimed = true,
                                  .acpi = true};
    format_buffer(device->name, sizeof(device->name), "%s@%lx", name, base);
    HX_IGNORE(str_copy(device->compatible, id, sizeof(device->compatible)), "identifiers fit");
}

void acpi_devices_read(void)
{
    const struct acpi_info *acpi = acpi_get();
    if (acpi->madt.present && lapic_is_present()) {
        add("local-apic", "ACPI0007", acpi->madt.lapic_base, LAPIC_BYTES);
        for (u32 i = 0; i < acpi->madt.ioapic_count; i++) {
            add("io-apic", "ACPI0009", acpi->madt.ioapics[i].base, IOAPIC_BYTES);
        }
    }
    if (acpi->hpet_base) {
        add("hpet", "PNP0103", acpi->hpet_base, HPET_BYTES);
    }
}
