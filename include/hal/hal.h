/* SPDX-License-Identifier: MIT */
/* The port's two entry points, called by kernel_main in this order. Everything else a port does is
 * reached through the tables.
 */
#ifndef HAL_HAL_H
#define HAL_HAL_H

#include <helix/boot_info.h>
#include <helix/status.h>

/* Registers the serial console if one can be found now, with the loader's page tables in place and
 * no memory but the image's own. Context: early, interrupts masked. */
void hal_init_early(const struct boot_info *info);

/* Finds and registers the interrupt controller, timer and firmware (and serial, where it was too
 * early before), reads the CPU list. The kernel's page tables are active and device registers can
 * be mapped. Missing parts are named in the log, one line each.
 * Return: HX_OK; HX_ERR_NOT_FOUND when the machine cannot run without what is missing (no
 * interrupt controller or no timer). Context: early, interrupts masked. */
enum hx_status hal_init_platform(const struct boot_info *info) HX_MUST_CHECK;

/* Devices of the port that need interrupts and the router: PS/2. Missing ones are no error.
 * Context: thread, interrupts enabled. */
void hal_init_devices(void);

#endif
