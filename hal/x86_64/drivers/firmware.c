/* SPDX-License-Identifier: MIT */
/* Ending and restarting a PC.
 * Owns:      nothing.       Context: any, panic included.
 * Order of restart: the way that ACPI names, the chipset's reset register (port 0xcf9, Intel since
 *            the PIIX3), the keyboard controller's reset line.
 */
#include <port/pc.h>

#include <port/x86.h>

#define RESET_CONTROL        0xcf9
#define KEYBOARD_COMMAND     0x64
#define KEYBOARD_PULSE_RESET 0xfe
#define DEBUG_EXIT           0x501 /* QEMU's isa-debug-exit; process status is value * 2 + 1 */

static void pause_a_moment(void)
{
    for (u32 i = 0; i < 1000000; i++) {
        hal_cpu_relax();
    }
}

static enum hx_status firmware_reset(void)
{
    HX_IGNORE(acpi_reset(), "the other ways follow");
    io_write8(RESET_CONTROL, 0x02);
    io_write8(RESET_CONTROL, 0x06);
    pause_a_moment();
    io_write8(KEYBOARD_COMMAND, KEYBOARD_PULSE_RESET);
    pause_a_moment();
    return HX_ERR_IO;
}

static enum hx_status firmware_exit(u32 status)
{
    io_write8(DEBUG_EXIT, (u8)status);
    pause_a_moment();
    return HX_ERR_NOT_FOUND;
}

static const struct hal_firmware_ops acpi_ops = {
    .name = "ACPI",
    .poweroff = acpi_poweroff,
    .reset = firmware_reset,
    .exit = firmware_exit,
    .blob_read = fw_cfg_read,
};

static const struct hal_firmware_ops legacy_ops = {
    .name = "PC without ACPI",
    .poweroff = acpi_poweroff, /* says that it is not supported */
    .reset = firmware_reset,
    .exit = firmware_exit,
    .blob_read = fw_cfg_read,
};

enum hx_status firmware_register(void)
{
    return hal_firmware_register(acpi_get()->present ? &acpi_ops : &legacy_ops);
}
