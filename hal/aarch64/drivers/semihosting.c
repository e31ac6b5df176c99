/* SPDX-License-Identifier: MIT */
/* Ending an emulator with a status.
 * Owns:      nothing.     Callers: core through hal_firmware.exit.     Locks: none.
 * Context:   any, panic included. Where nobody listens, the call answers (<port/semihosting.h>). */
#include "driver_priv.h"

#include <port/semihosting.h>

#define APPLICATION_EXIT 0x20026u

enum hx_status semihosting_exit(u32 status)
{
    const u64 argument[2] = {APPLICATION_EXIT, status};
    semihosting_call(SEMIHOSTING_EXIT_EXTENDED, argument);
    return HX_ERR_NOT_SUPPORTED;
}
