/* SPDX-License-Identifier: MIT */
/* What the board's firmware and its host can do for us: end the machine, restart it, and hand over
 * named data at run time. Registered once at boot; read-only afterwards.
 */
#ifndef HAL_FIRMWARE_H
#define HAL_FIRMWARE_H

#include <hal/port.h>
#include <helix/status.h>

struct hal_firmware_ops {
    const char *name; /* mandatory: "ACPI", "PSCI 1.1" */
    /* Mandatory. Switches the machine off. Returns only when it cannot. Any, panic included. */
    enum hx_status (*poweroff)(void);
    /* Mandatory. Restarts the machine. Returns only when it cannot. Any, panic included. */
    enum hx_status (*reset)(void);
    /* Optional; absent: HX_ERR_NOT_SUPPORTED. Ends a virtual machine with an exit status of
     * 0 .. 127, through a debug device that its host must have provided: call it only when the
     * command line says so. Any, panic included. */
    enum hx_status (*exit)(u32 status);
    /* Optional; absent: HX_ERR_NOT_FOUND. Reads at most size bytes of what the host calls `name`
     * (QEMU fw_cfg files). *out_size is the whole length, which may be more. Thread, early. */
    enum hx_status (*blob_read)(const char *name, void *buf, size_t size, size_t *out_size);
};

enum hx_status hal_firmware_register(const struct hal_firmware_ops *ops) HX_MUST_CHECK;

extern struct hal_firmware_ops hal_firmware;

#endif
