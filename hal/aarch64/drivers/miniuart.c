/* SPDX-License-Identifier: MIT */
/* The mini-UART of the BCM2835 family: 16550-like registers in the AUX block.
 * Owns:      its registers, and its bit in AUX_ENABLES.     Callers: core/console, log, panic.
 * Context:   as <hal/serial.h>.     Locks: none.
 * The loader's baud rate stays: it derives from the core clock, which is not known here.
 * Spec:      BCM2835 ARM Peripherals, 2.2, and its errata (IER: bit 0 is receive). */
#include <hal/serial.h>
#include <helix/bits.h>

#include "driver_priv.h"

#define AUX_ENABLES 0x04 /* from the start of the block, which is a page */
#define MU_IO       0x00
#define MU_IER      0x04
#define MU_IIR      0x08
#define MU_LCR      0x0c
#define MU_LSR      0x14
#define MU_CNTL     0x20

#define LSR_RX_READY (1u << 0)
#define LSR_TX_ROOM  (1u << 5)

static struct {
    const struct port_device *device;
    vaddr_t base;
    bool stuck;
} uart;

static void miniuart_write(u8 byte)
{
    u32 spins = 0;
    while ((hal_mmio_read32(uart.base + MU_LSR) & LSR_TX_ROOM) == 0) {
        if (uart.stuck || !wait_goes_on(&spins)) {
            uart.stuck = true;
            return;
        }
    }
    uart.stuck = false;
    hal_mmio_write32(uart.base + MU_IO, byte);
}

static bool miniuart_read_try(u8 *out)
{
    if ((hal_mmio_read32(uart.base + MU_LSR) & LSR_RX_READY) == 0) {
        return false;
    }
    *out = (u8)hal_mmio_read32(uart.base + MU_IO);
    return true;
}

static enum hx_status miniuart_rx_enable(irq_t *out_irq)
{
    if (!port_device_irq(uart.device, 0, out_irq)) {
        return HX_ERR_NOT_SUPPORTED;
    }
    hal_mmio_write32(uart.base + MU_IER, 1);
    return HX_OK;
}

static const struct hal_serial_ops miniuart_ops = {
    .name = "mini-UART",
    .write = miniuart_write,
    .read_try = miniuart_read_try,
    .rx_enable = miniuart_rx_enable,
};

static enum hx_status miniuart_attach(const struct port_device *device, vaddr_t registers)
{
    vaddr_t enables = hx_align_down(registers, HX_PAGE_SIZE) + AUX_ENABLES;
    uart.device = device;
    uart.base = registers;
    hal_mmio_write32(enables, hal_mmio_read32(enables) | 1);
    hal_mmio_write32(uart.base + MU_IER, 0);
    hal_mmio_write32(uart.base + MU_LCR, 3);  /* 8 bits */
    hal_mmio_write32(uart.base + MU_IIR, 6);  /* empty both FIFOs */
    hal_mmio_write32(uart.base + MU_CNTL, 3); /* transmit, receive */
    return hal_serial_register(&miniuart_ops);
}

const struct port_driver miniuart_driver = {
    .name = "mini-UART",
    .compatible = {"brcm,bcm2835-aux-uart"},
    .class = DRIVER_SERIAL,
    .attach = miniuart_attach,
};
