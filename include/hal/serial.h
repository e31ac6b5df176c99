/* SPDX-License-Identifier: MIT */
/* The serial console of early boot and of a panic. Registered by hal_init_early() as soon as there
 * is one; a machine without one keeps the default, which swallows output.
 */
#ifndef HAL_SERIAL_H
#define HAL_SERIAL_H

#include <hal/port.h>
#include <helix/status.h>

struct hal_serial_ops {
    const char *name; /* mandatory: "16550", "PL011" */
    /* Mandatory. Waits for room by polling, but gives up on a device that never has any. Any. */
    void (*write)(u8 byte);
    /* Mandatory. True and *out when a byte was waiting. Any. */
    bool (*read_try)(u8 *out);
    /* Optional; absent: HX_ERR_NOT_SUPPORTED, input is polled. Lets received bytes interrupt;
     * gives the line. The handler drains with read_try. Thread, after the controller is up. */
    enum hx_status (*rx_enable)(irq_t *out_irq);
};

enum hx_status hal_serial_register(const struct hal_serial_ops *ops) HX_MUST_CHECK;

extern struct hal_serial_ops hal_serial;

#endif
