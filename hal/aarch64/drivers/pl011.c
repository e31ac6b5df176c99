/* SPDX-License-Identifier: MIT */
/* PL011 UART.
 * Owns:      the registers of the one console UART.     Callers: core/console, log, panic.
 * Context:   as <hal/serial.h>.     Locks: none; the console serialises, a panic does not care.
 * The loader's baud rate stays: the reference clock is not known here.
 * Spec:      Arm PL011 TRM (DDI 0183G), chapter 3. */
#include <hal/serial.h>

#include "driver_priv.h"

#define UART_DR    0x00
#define UART_FR    0x18
#define UART_LCR_H 0x2c
#define UART_CR    0x30
#define UART_IMSC  0x38
#define UART_ICR   0x44

#define FR_BUSY     (1u << 3)
#define FR_RX_EMPTY (1u << 4)
#define FR_TX_FULL  (1u << 5)
#define LCR_H_8BIT  0x70  /* 8 bits, no parity, FIFOs on */
#define CR_ON       0x301 /* UART, transmit, receive */
#define INT_RX      (1u << 4)
#define INT_TIMEOUT (1u << 6) /* bytes below the FIFO's level waited for long */

static struct {
    const struct port_device *device;
    vaddr_t base;
    bool stuck; /* it had no room for very long: do not wait again until it has */
} uart;

static void pl011_write(u8 byte)
{
    u32 spins = 0;
    while ((hal_mmio_read32(uart.base + UART_FR) & FR_TX_FULL) != 0) {
        if (uart.stuck || !wait_goes_on(&spins)) {
            uart.stuck = true;
            return;
        }
    }
    uart.stuck = false;
    hal_mmio_write32(uart.base + UART_DR, byte);
}

static bool pl011_read_try(u8 *out)
{
    if ((hal_mmio_read32(uart.base + UART_FR) & FR_RX_EMPTY) != 0) {
        return false;
    }
    *out = (u8)hal_mmio_read32(uart.base + UART_DR);
    return true;
}

static enum hx_status pl011_rx_enable(irq_t *out_irq)
{
    if (!port_device_irq(uart.device, 0, out_irq)) {
        return HX_ERR_NOT_SUPPORTED;
    }
    hal_mmio_write32(uart.base + UART_IMSC, INT_RX | INT_TIMEOUT);
    return HX_OK;
}

static const struct hal_serial_ops pl011_ops = {
    .name = "PL011",
    .write = pl011_write,
    .read_try = pl011_read_try,
    .rx_enable = pl011_rx_enable,
};

static enum hx_status pl011_attach(const struct port_device *device, vaddr_t registers)
{
    u32 spins = 0;
    uart.device = device;
    uart.base = registers;
    while ((hal_mmio_read32(uart.base + UART_FR) & FR_BUSY) != 0 && wait_goes_on(&spins)) {
    }
    hal_mmio_write32(uart.base + UART_CR, 0);
    hal_mmio_write32(uart.base + UART_IMSC, 0);
    hal_mmio_write32(uart.base + UART_ICR, 0x7ff);
    hal_mmio_write32(uart.base + UART_LCR_H, LCR_H_8BIT);
    hal_mmio_write32(uart.base + UART_CR, CR_ON);
    return hal_serial_register(&pl011_ops);
}

const struct port_driver pl011_driver = {
    .name = "PL011",
    .compatible = {"arm,pl011", "arm,sbsa-uart"},
    .class = DRIVER_SERIAL,
    .attach = pl011_attach,
};
