/* SPDX-License-Identifier: MIT */
/* The board of the do-nothing port: there is nothing to find, so everything is registered.
 * Owns:      nothing.      Caller: kernel_main's place, a host test's main.
 */
#include "port_priv.h"

#include <hal/cpu.h>
#include <hal/device.h>
#include <hal/hal.h>

const char *hal_board_name(void)
{
    return "nowhere";
}

void hal_init_early(const struct boot_info *info)
{
    (void)info;
    HX_IGNORE(hal_serial_register(&port_serial_ops), "the second of two mains finds it there");
}

enum hx_status hal_init_platform(const struct boot_info *info)
{
    (void)info;
    enum hx_status status = hal_firmware_register(&port_firmware_ops);
    if (status == HX_OK) {
        status = hal_irq_register(&port_irq_ops);
    }
    return status == HX_OK ? hal_timer_register(&port_timer_ops) : status;
}

void hal_init_devices(void)
{
}

const struct hal_device *hal_device_at(u32 index)
{
    (void)index;
    return NULL;
}
