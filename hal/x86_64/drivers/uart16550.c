/* SPDX-License-Identifier: MIT */
/* 16550 UART on COM1: the serial console.
 * Owns:      ports 0x3f8 - 0x3ff.      Context: any, panic included: polled, no state but `absent`.
 * Invariant: (1) writing gives up after POLL_LIMIT reads of the status, and for good: a port that
 *            is not there must not slow down every line of the log.
 * Spec:      PC16550D data sheet, section 8.
 */
#include <port/pc.h>

#include <hal/serial.h>
#include <port/x86.h>

#define COM1           0x3f8
#define COM1_ISA_IRQ   4
#define REG_DATA       (COM1 + 0)
#define REG_IER        (COM1 + 1)
#define REG_FCR        (COM1 + 2)
#define REG_LCR        (COM1 + 3)
#define REG_MCR        (COM1 + 4)
#define REG_LSR        (COM1 + 5)
#define REG_SCRATCH    (COM1 + 7)
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY  0x20
#define POLL_LIMIT     100000 /* far more than the time of 16 characters at 115200 baud */

static bool absent;

static void uart_write(u8 byte)
{
    for (u32 i = 0; !absent && !(io_read8(REG_LSR) & LSR_THR_EMPTY); i++) {
        absent = i == POLL_LIMIT; /* inv 1 */
        hal_cpu_relax();
    }
    if (!absent) {
        io_write8(REG_DATA, byte);
    }
}

static bool uart_read_try(u8 *out)
{
    if (absent || !(io_read8(REG_LSR) & LSR_DATA_READY)) {
        return false;
    }
    *out = io_read8(REG_DATA);
    return true;
}

static enum hx_status uart_rx_enable(irq_t *out_irq)
{
    if (absent) {
        return HX_ERR_NOT_FOUND;
    }
    io_write8(REG_MCR, 0x0b); /* DTR, RTS, OUT2: OUT2 lets the interrupt through */
    io_write8(REG_IER, 0x01);
    *out_irq = COM1_ISA_IRQ;
    return HX_OK;
}

static const struct hal_serial_ops uart_ops = {
    .name = "16550",
    .write = uart_write,
    .read_try = uart_read_try,
    .rx_enable = uart_rx_enable,
};

enum hx_status uart16550_register(void)
{
    io_write8(REG_SCRATCH, 0x5a);
    if (io_read8(REG_SCRATCH) != 0x5a) {
        return HX_ERR_NOT_FOUND;
    }
    io_write8(REG_IER, 0);
    io_write8(REG_LCR, 0x80); /* divisor latch */
    io_write8(REG_DATA, 1);   /* 115200 baud */
    io_write8(REG_IER, 0);
    io_write8(REG_LCR, 0x03); /* 8N1 */
    io_write8(REG_FCR, 0x07); /* FIFOs on and empty, interrupt at one byte */
    io_write8(REG_MCR, 0x03);
    return hal_serial_register(&uart_ops);
}
