/* SPDX-License-Identifier: MIT */
/* Processes: what a program is started with, how it ends, and others that it starts. A process is
 * named by a handle; whoever holds it may wait for its end, any number of times.
 */
#ifndef HX_PROCESS_H
#define HX_PROCESS_H

#include <abi/types.h>
#include <helix/compiler.h>

/* The program. argv[0] is its name, argv[argc] is NULL; the strings are the program's own to
 * write. What it returns is the exit status, of which the low 8 bits count. */
int main(int argc, char **argv);

/* Ends the process and all its threads. status: 0 to 255. Context: any thread. */
void hx_exit(int status) HX_NORETURN;

/* Starts a program of the boot archive, e.g. "bin/hello", with argv[0 .. argc-1].
 * Return: HX_OK and a handle that the caller closes; HX_ERR_NOT_FOUND, no such file;
 * HX_ERR_OVERFLOW, arguments longer than HX_ARGS_MAX or a name longer than HX_NAME_MAX; what the
 * kernel says of a file that is no program (HX_ERR_CORRUPT, ...), HX_ERR_NO_MEMORY, HX_ERR_LIMIT.
 * Context: any thread. */
enum hx_status hx_process_spawn(const char *name, int argc, const char *const *argv,
                                hx_handle_t *out_process) HX_MUST_CHECK;

/* Waits for the end of a process until deadline_ns (HX_DEADLINE_NEVER: as long as it takes).
 * Return: HX_OK and the exit status, 0 to 255 or HX_EXIT_*; HX_ERR_TIMED_OUT; HX_ERR_BAD_HANDLE;
 * HX_ERR_ACCESS. Context: any thread; blocks. */
enum hx_status hx_process_wait(hx_handle_t process, u64 deadline_ns, u64 *out_status) HX_MUST_CHECK;

/* Ends another process, whose exit status becomes HX_EXIT_KILLED. It may run on for a moment:
 * hx_process_wait() says when it is gone.
 * Return: HX_OK, also when it had ended before; HX_ERR_BAD_HANDLE; HX_ERR_ACCESS. */
enum hx_status hx_process_kill(hx_handle_t process) HX_MUST_CHECK;

/* Gives a handle back. What it named lives on as long as others need it.
 * Return: HX_OK, HX_ERR_BAD_HANDLE. Context: any thread. */
enum hx_status hx_handle_close(hx_handle_t handle) HX_MUST_CHECK;

#endif
