/* SPDX-License-Identifier: MIT */
/* The firmware of the do-nothing port: it remembers what was asked.
 * Owns:      port_firmware.      Callers: core, by the table; tests by <port/fake.h>.
 */
#include "port_priv.h"

#include <helix/string.h>
#include <port/fake.h>

struct port_firmware port_firmware = {.exit_status = -1};

static enum hx_status firmware_poweroff(void)
{
    port_firmware.poweroffs++;
    return HX_ERR_NOT_SUPPORTED;
}

static enum hx_status firmware_reset(void)
{
    port_firmware.resets++;
    return HX_ERR_NOT_SUPPORTED;
}

static enum hx_status firmware_exit(u32 status)
{
    port_firmware.exit_status = (int)status;
    return HX_ERR_NOT_SUPPORTED;
}

static enum hx_status firmware_blob_read(const char *name, void *buf, size_t size, size_t *out_size)
{
    if (!port_firmware.blob_name || !str_equal(port_firmware.blob_name, name)) {
        return HX_ERR_NOT_FOUND;
    }
    *out_size = strlen(port_firmware.blob_text);
    memcpy(buf, port_firmware.blob_text, *out_size < size ? *out_size : size);
    return HX_OK;
}

const struct hal_firmware_ops port_firmware_ops = {
    .name = "none to speak of",
    .poweroff = firmware_poweroff,
    .reset = firmware_reset,
    .exit = firmware_exit,
    .blob_read = firmware_blob_read,
};
