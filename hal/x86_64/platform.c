/* SPDX-License-Identifier: MIT */
/* Choosing the drivers of a PC.
 * Owns:      the board's name, the CPU list.       Caller: kernel_main.     Context: early.
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
    u32 cpu_count;
    u32 apic_ids[HAL_CPUS_MAX];
} platform HX_RO_AFTER_INIT = {.board = "pc", .cpu_count = 1};

const char *hal_board_name(void)
{
    return platform.board;
}

static u32 cpu_count(void)
{
    return platform.cpu_count;
}

static u64 cpu_hw_id(cpu_id_t cpu)
{
    return platform.apic_ids[cpu];
}

static const struct hal_smp_ops smp_ops = {
    .name = "MADT",
    .count = cpu_count,
    .hw_id = cpu_hw_id,
};

/* CPU 0 is the one that runs now; the others follow in the firmware's order. */
static enum hx_status list_cpus(const struct acpi_madt *madt)
{
    platform.apic_ids[0] = lapic_id();
    for (u32 i = 0; i < madt->cpu_count && platform.cpu_count < HAL_CPUS_MAX; i++) {
        if (madt->cpu_apic_ids[i] != platform.apic_ids[0]) {
            platform.apic_ids[platform.cpu_count++] = madt->cpu_apic_ids[i];
        }
    }
    return hal_smp_register(&smp_ops);
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
            status = list_cpus(madt);
        }
        if (status == HX_OK) {
            return tsc_timer_register();
        }
        log_warn("irq", "APIC not usable, falling back to the 8259: %s", hx_status_words(status));
    }
    status = i8259_register();
    return status == HX_OK ? pit_timer_register() : status;
}

void hal_init_devices(void)
{
    ps2_init();
}
