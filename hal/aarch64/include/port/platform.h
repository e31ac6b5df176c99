/* SPDX-License-Identifier: MIT */
/* What boot/aarch64 asks of the port before kernel_main.
 */
#ifndef PORT_PLATFORM_H
#define PORT_PLATFORM_H

#include <hal/port.h>
#include <helix/types.h>

/* Reads a tree that passed dt_check, once for all drivers: devices, CPUs, the board. Keeps pointers
 * into it until hal_init_platform() has run. `boot_cpu` is the affinity of the CPU that runs.
 * Return: physical address of the registers of the serial console, 0 when there is none.
 * Context: early, once. */
paddr_t port_platform_scan(const void *tree, u64 boot_cpu);

/* What a CPU that starts finds in boot/aarch64/entry.S; <port/frame.h> has the offsets. Its cache
 * is off when it reads `root`, so the writer cleans the whole to memory. */
struct port_startup {
    paddr_t root; /* TTBR1 */
    u64 hw_id;    /* for which CPU the rest is meant */
    vaddr_t stack_top;
    struct hal_cpu_local *local;
};
extern struct port_startup port_startup;

/* mmu.c: the kernel's top-level table; the physical address of a byte of the image. */
paddr_t port_mmu_root(void);
paddr_t port_image_phys(const void *p);

/* Where it begins: any exception level but EL3, MMU off. */
extern const char port_startup_entry[];

/* The C end of it, with the kernel's tables in TTBR1 and the loader's in TTBR0. */
void port_secondary_main(void) HX_NORETURN;

#endif
