/* SPDX-License-Identifier: MIT */
/* What the files of the do-nothing port share.
 */
#ifndef PORT_PRIV_H
#define PORT_PRIV_H

#include <hal/firmware.h>
#include <hal/irq.h>
#include <hal/serial.h>
#include <hal/timer.h>

extern const struct hal_irq_ops port_irq_ops;
extern const struct hal_timer_ops port_timer_ops;
extern const struct hal_serial_ops port_serial_ops;
extern const struct hal_firmware_ops port_firmware_ops;

/* True once when the armed deadline has passed. */
bool port_deadline_passed(void);

#endif
