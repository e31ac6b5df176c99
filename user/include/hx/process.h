/* SPDX-License-Identifier: MIT */
/* Processes: what a program is started with, how it ends, and others that it starts. A process is
 * named by a handle; whoever holds it may wait for its end, any number of times.
 */
#ifndef HX_PROCESS_H
#define HX_PROCESS_H

#include <abi/file.h>
#include <helix/compiler.h>

/* The program. argv[0] is its name, argv[argc] is NULL; the strings are the program's own to
 * write. What it returns is the exit status, of which the low 8 bits count. */
int main(int argc, char **argv);

/* Ends the process and all its threads. status: 0 to 255. Context: any thread. */
void hx_exit(int status) HX_NORETURN;

/* The handle that whoever started the program left for it; HX_HANDLE_NONE: none. The caller does
 * not own it more than anybody else in the program. Context: any thread. */
hx_handle_t hx_standard(enum hx_standard which);

/* The start-up block, for handles beyond the three. */
const struct hx_startup *hx_startup(void);

/* The value of NAME=value in the environment; NULL: it is not there. */
const char *hx_environment(const char *name);

/* Starts the program at a path, e.g. "bin/hello", with argv[0 .. argc-1], the caller's standard
 * handles and its environment.
 * Return: HX_OK and a handle that the caller closes; HX_ERR_NOT_FOUND, no such file;
 * HX_ERR_OVERFLOW, arguments longer than HX_ARGS_MAX; what opening a file says, what the kernel
 * says of one that is no program (HX_ERR_CORRUPT, ...), HX_ERR_NO_MEMORY, HX_ERR_LIMIT. Context:
 * any thread. */
enum hx_status hx_process_spawn(const char *name, int argc, const char *const *argv,
                                hx_handle_t *out_process) HX_MUST_CHECK;

/* The same with handles of the caller's choice: handles[0 .. count - 1], at most HX_SPAWN_HANDLES,
 * the first three being standard input, output and errors; HX_HANDLE_NONE is a gap. They are copied
 * and stay the caller's. */
enum hx_status hx_process_spawn_with(const char *path, int argc, const char *const *argv,
                                     const hx_handle_t *handles, u32 count,
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
