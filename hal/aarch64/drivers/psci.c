/* SPDX-License-Identifier: MIT */
/* PSCI 0.2 and later: power through the secure firmware or the hypervisor.
 * Owns:      nothing but how to call.     Callers: core through hal_firmware.     Locks: none.
 * Context:   any, panic included.
 * Spec:      Arm Power State Coordination Interface (DEN 0022), chapter 5; binding arm,psci. */
#include "driver_priv.h"

#define PSCI_SYSTEM_OFF   0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u

#define OPTION_METHOD 0
enum { METHOD_NONE, METHOD_HVC, METHOD_SMC };

static struct {
    bool smc;
} psci;

/* lib.S */
u64 port_smccc(u32 function, u64 a, u64 b, u64 c, bool smc);

static enum hx_status psci_poweroff(void)
{
    port_smccc(PSCI_SYSTEM_OFF, 0, 0, 0, psci.smc);
    return HX_ERR_NOT_SUPPORTED;
}

static enum hx_status psci_reset(void)
{
    port_smccc(PSCI_SYSTEM_RESET, 0, 0, 0, psci.smc);
    return HX_ERR_NOT_SUPPORTED;
}

static const struct hal_firmware_ops psci_ops = {
    .name = "PSCI",
    .poweroff = psci_poweroff,
    .reset = psci_reset,
    .exit = semihosting_exit,
    .blob_read = fw_cfg_read,
};

static void psci_read(const struct dt_walk *walk, struct port_device *device)
{
    struct dt_prop method;
    dt_prop_find(walk, "method", &method);
    device->options[OPTION_METHOD] = dt_prop_has(&method, "hvc")   ? METHOD_HVC
                                     : dt_prop_has(&method, "smc") ? METHOD_SMC
                                                                   : METHOD_NONE;
}

static enum hx_status psci_attach(const struct port_device *device, vaddr_t registers)
{
    (void)registers;
    if (device->options[OPTION_METHOD] == METHOD_NONE) {
        return HX_ERR_INVALID;
    }
    psci.smc = device->options[OPTION_METHOD] == METHOD_SMC;
    return hal_firmware_register(&psci_ops);
}

const struct port_driver psci_driver = {
    .name = "PSCI",
    .compatible = {"arm,psci-1.0", "arm,psci-0.2"},
    .class = DRIVER_FIRMWARE,
    .attach = psci_attach,
    .read = psci_read,
};
