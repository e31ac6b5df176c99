/* SPDX-License-Identifier: MIT */
/* PL031 real-time clock: a counter of seconds.
 * Owns:      its registers.     Context: early or thread.
 * Spec:      Arm DDI 0224, 3.3.1 (data register); binding arm,pl031.
 */
#include "driver_priv.h"

#include <hal/clock.h>

#define DATA 0x00

static vaddr_t pl031_base;

static enum hx_status pl031_read(u64 *out_seconds)
{
    *out_seconds = hal_mmio_read32(pl031_base + DATA);
    return HX_OK;
}

static const struct hal_clock_ops pl031_ops = {
    .name = "PL031",
    .read = pl031_read,
};

static enum hx_status pl031_attach(const struct port_device *device, vaddr_t registers)
{
    (void)device;
    if (registers == 0) {
        return HX_ERR_INVALID;
    }
    pl031_base = registers;
    return hal_clock_register(&pl031_ops);
}

const struct port_driver pl031_driver = {
    .name = "PL031",
    .compatible = {"arm,pl031", NULL},
    .class = DRIVER_FIRMWARE,
    .attach = pl031_attach,
};
