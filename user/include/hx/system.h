/* SPDX-License-Identifier: MIT */
/* The system object: the kernel's own commands (listings, statistics, powering off), for a program
 * that was given a handle to it. `help` names them.
 */
#ifndef HX_SYSTEM_H
#define HX_SYSTEM_H

#include <abi/file.h>
#include <helix/compiler.h>

/* By agreement the handle after standard input, output and errors; see hx_standard(). */
#define HX_STDSYSTEM ((enum hx_standard)3)

/* Runs a command of the kernel, argv[0 .. argc-1], and waits for it. What it prints goes to the
 * file `output`, or to the console when that is HX_HANDLE_NONE. Return: HX_OK and the command's
 * status, 0 to 255; HX_ERR_NOT_FOUND, no such command; HX_ERR_OVERFLOW, more arguments than it
 * takes; HX_ERR_ACCESS, the handle does not allow this command; HX_ERR_BAD_HANDLE;
 * HX_ERR_NO_MEMORY. Context: any thread; blocks. */
enum hx_status hx_system_command(hx_handle_t system, int argc, const char *const *argv,
                                 hx_handle_t output, int *out_status) HX_MUST_CHECK;

#endif
