/* SPDX-License-Identifier: MIT */
/* A program for the contract suite, written in assembly by each port's tester
 * (tests/hal/arch/ARCH/user.*): position-independent code that is copied to a user page.
 */
#ifndef USER_H
#define USER_H

#include <hal/context.h>

/* All entries lie between these two, in less than a page. */
extern const u8 user_code[], user_code_end[];

/* Entered with two arguments. Leaves the first as the system call's number and argument 0, the
 * second as argument 1, the or of every register that must be zero as argument 2, then 4, 5 and 6
 * as arguments 3 to 5; and executes an undefined instruction at user_arguments_stop. */
extern const u8 user_arguments[], user_arguments_stop[];
/* Leaves the result of a system call as argument 0, adds one to argument 1, and stops. */
extern const u8 user_resume[], user_resume_stop[];
/* Leaves what a floating-point register held as argument 1, then fills it with argument 0. */
extern const u8 user_float[], user_float_stop[];
extern const u8 user_read[];       /* of the address in argument 0 */
extern const u8 user_privileged[]; /* what only the kernel may do */

/* Fills every register that a function keeps with values made of seed, switches, and compares when
 * somebody has switched back. 1: unchanged. */
u64 user_registers_switch(struct hal_context *from, const struct hal_context *to, u64 seed);

#endif
