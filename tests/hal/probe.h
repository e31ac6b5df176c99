/* SPDX-License-Identifier: MIT */
/* Single instructions for the contract suite, written in assembly by each port's tester
 * (tests/hal/arch/ARCH/probe.*), and a way to see what trap they cause.
 */
#ifndef PROBE_H
#define PROBE_H

#include <hal/trap.h>

/* Where a handler resumes to leave a probe: a bare return. */
void probe_return(void);

u64 probe_read(vaddr_t at);
void probe_write(vaddr_t at, u8 byte);
u64 probe_execute(vaddr_t at); /* goes there; gives what the code there returns */
void probe_breakpoint(void);
void probe_undefined(void);
void probe_float(void); /* touches a floating-point register */

/* Position-independent code that returns 42, and 43. */
#define PROBE_CODE_SIZE 16
extern const u8 probe_code[], probe_code_other[];

/* Leaves garbage in every register that a function need not keep. For handlers: what C code happens
 * not to touch would survive without being restored. */
void probe_scramble(void);

/* Fill the registers, take a breakpoint or wait until *flag is not 0, and compare. 1: unchanged. */
u64 probe_registers_trap(void);
u64 probe_registers_wait(const volatile u32 *flag);

/* What happened in a probe that was watched. */
struct probe_seen {
    u32 traps; /* the rest is of the last one */
    struct hal_trap trap;
    vaddr_t pc;
    u64 value; /* what the probe returned; meaningless after a trap */
};

struct probe_seen probe_try_read(vaddr_t at);
struct probe_seen probe_try_write(vaddr_t at, u8 byte);
struct probe_seen probe_try_execute(vaddr_t at);
struct probe_seen probe_try(void (*probe)(void));

#endif
