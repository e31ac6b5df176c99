/* SPDX-License-Identifier: MIT */
/* Choosing the drivers of a PC.
 * Owns:      the board's name.       Caller: kernel_main.     Context: early.
 */
#include <port/pc.h>

#include <hal/cpu.h>
#include <hal/hal.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <port/x86.h>

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc

static struct {
    const char *board;
} platform HX_RO_AFTER_INIT = {.board = "pc"};

const char *hal_board_name(void)
{
    return platform.board;
}

/* The host bridge tells the chipset, and with it QEMU's machine types apart. */
static void find_board(void)
{
    io_write32(PCI_ADDRESS, 0x80000000u);
    u32 id = io_read32(PCI_DATA);
    if (id == 0x29c08086) { /* 82G33/Q35 */
        platform.board = "q35";
    }
}

void hal_init_early(const struct boot_info *info)
{
    (void)info;
    HX_IGNORE(uart16550_register(), "without one, output waits for the framebuffer");
}

enum hx_status hal_init_platform(const struct boot_info *info)
{
    find_board();
    acpi_init(info->acpi_rsdp);
    const struct acpi_madt *madt = &acpi_get()->madt;
    HX_IGNORE(cmos_register(), "it is the only clock");
    HX_IGNORE(pci_register(), "a machine without PCI has none");
    enum hx_status status = firmware_register();
    if (status != HX_OK) {
        return status;
    }
    if (madt->present && lapic_is_present()) {
        i8259_mask_all();
        status = lapic_map(madt->lapic_base);
        if (status == HX_OK) {
            status = ioapic_register(madt);
        }
        if (status == HX_OK) {
            status = smp_register(madt, info->startup_page);
        }
        if (status == HX_OK) {
            HX_IGNORE(msi_register(), "it is the first");
            return tsc_timer_register();
        }
        log_warn("irq", "APIC not usable, falling back to the 8259: %s", hx_status_words(status));
    }
    status = i8259_register();
    return status == HX_OK ? pit_timer_register() : status;
}

void hal_init_devices(void)
{
    acpi_devices_read();
    ps2_init();
}
