/* SPDX-License-Identifier: MIT */
/* What boot/aarch64 asks of the port before kernel_main.
 */
#ifndef PORT_PLATFORM_H
#define PORT_PLATFORM_H

#include <helix/types.h>

/* Reads a tree that passed dt_check, once for all drivers: devices, CPUs, the board. Keeps pointers
 * into it until hal_init_platform() has run. `boot_cpu` is the affinity of the CPU that runs.
 * Return: physical address of the registers of the serial console, 0 when there is none.
 * Context: early, once. */
paddr_t port_platform_scan(const void *tree, u64 boot_cpu);

#endif
