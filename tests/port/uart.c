/* SPDX-License-Identifier: MIT */
/* The serial line of the do-nothing port: memory.
 * Owns:      port_serial.      Callers: console, by the table; tests by <port/fake.h>.
 */
#include "port_priv.h"

#include <port/fake.h>

struct port_serial port_serial;

static void uart_write(u8 byte)
{
    if (port_serial.sent_count < PORT_SERIAL_MAX) {
        port_serial.sent[port_serial.sent_count++] = (char)byte;
        port_serial.sent[port_serial.sent_count] = '\0';
    }
}

static bool uart_read_try(u8 *out)
{
    if (!port_serial.to_receive || !*port_serial.to_receive) {
        return false;
    }
    *out = (u8)*port_serial.to_receive++;
    return true;
}

static enum hx_status uart_rx_enable(irq_t *out_irq)
{
    *out_irq = PORT_IRQ_SERIAL;
    return HX_OK;
}

const struct hal_serial_ops port_serial_ops = {
    .name = "memory",
    .write = uart_write,
    .read_try = uart_read_try,
    .rx_enable = uart_rx_enable,
};
