/* SPDX-License-Identifier: MIT */
/* The power management block of the BCM2835 family: a watchdog whose expiry resets the machine. The
 * boot loader in the GPU reads a partition number from the reset status; number 63 makes it halt,
 * which is the only "off" that a Raspberry Pi has.
 * Owns:      the registers.     Callers: core through hal_firmware.     Locks: none.
 * Context:   any, panic included.
 * Spec:      registers as in Broadcom's published bcm2835 device headers; no manual covers them. */
#include "driver_priv.h"

#define PM_RSTC 0x1c
#define PM_RSTS 0x20
#define PM_WDOG 0x24

#define PM_PASSWORD    0x5a000000u
#define RSTC_CONFIG    0x30u
#define RSTC_FULL      0x20u
#define RSTS_PARTITION 0x555u /* the six bits of the number are every second one */
#define WDOG_TICKS     10     /* of 16 microseconds */

static struct {
    vaddr_t base;
} pm;

static enum hx_status pm_restart(u32 partition_bits)
{
    u32 status = hal_mmio_read32(pm.base + PM_RSTS) & 0xffffffu & ~RSTS_PARTITION;
    hal_mmio_write32(pm.base + PM_RSTS, PM_PASSWORD | status | partition_bits);
    hal_mmio_write32(pm.base + PM_WDOG, PM_PASSWORD | WDOG_TICKS);
    u32 control = hal_mmio_read32(pm.base + PM_RSTC) & 0xffffffu & ~RSTC_CONFIG;
    hal_mmio_write32(pm.base + PM_RSTC, PM_PASSWORD | control | RSTC_FULL);
    u64 begin = hal_counter_read(), second = sysreg_read(cntfrq_el0);
    while (hal_counter_read() - begin < second) {
        hal_cpu_relax();
    }
    return HX_ERR_IO;
}

static enum hx_status pm_poweroff(void)
{
    return pm_restart(RSTS_PARTITION);
}

static enum hx_status pm_reset(void)
{
    return pm_restart(0);
}

static const struct hal_firmware_ops bcm2835_pm_ops = {
    .name = "BCM2835 watchdog",
    .poweroff = pm_poweroff,
    .reset = pm_reset,
    .exit = semihosting_exit,
    .blob_read = fw_cfg_read,
};

static enum hx_status bcm2835_pm_attach(const struct port_device *device, vaddr_t registers)
{
    if (device->reg_count < 1 || device->regs[0].size < PM_WDOG + 4) {
        return HX_ERR_INVALID;
    }
    pm.base = registers;
    return hal_firmware_register(&bcm2835_pm_ops);
}

const struct port_driver bcm2835_pm_driver = {
    .name = "BCM2835 watchdog",
    .compatible = {"brcm,bcm2835-pm", "brcm,bcm2835-pm-wdt"},
    .class = DRIVER_FIRMWARE,
    .attach = bcm2835_pm_attach,
};
