/* SPDX-License-Identifier: MIT */
/* Commands of the kernel: listings of what it knows, and what only it can do. They are a linker
 * set, so the file that knows a thing also holds the command that shows it. Programs run them by a
 * system call; when there is no program, the kernel's own small shell does.
 */
#ifndef CORE_SHELL_H
#define CORE_SHELL_H

#include <abi/types.h>
#include <helix/compiler.h>
#include <helix/types.h>

/* Runs a command. argv[0] is its name, argv[argc] is NULL. Return: 0 for success, 1 for failure,
 * 2 for wrong use. Context: the shell's thread. */
typedef int shell_command_fn(int argc, char **argv);

struct shell_command {
    const char *name;
    const char *usage;   /* arguments, e.g. "[-l LEVEL] [--json]" or "" */
    const char *summary; /* one line for `help` */
    const char *details; /* the rest of its page, or "" */
    shell_command_fn *run;
    u32 rights; /* HX_RIGHT_* that it takes beyond READ on the system object */
};

#define SHELL_COMMAND_OF(id, ...)                                                                  \
    static const struct shell_command shell_command_##id = {__VA_ARGS__};                          \
    HX_SET_ADD(shell_commands, shell_command_##id)
#define SHELL_COMMAND(id, ...) SHELL_COMMAND_OF(id, __VA_ARGS__, 0)
/* One that changes the system instead of looking at it. */
#define SHELL_COMMAND_ADMIN(id, ...) SHELL_COMMAND_OF(id, __VA_ARGS__, HX_RIGHT_ADMIN)

HX_SET_DECLARE(shell_commands, struct shell_command);

struct object;

#define SHELL_OK        0
#define SHELL_FAILED    1
#define SHELL_USAGE     2
#define SHELL_NOT_FOUND 127

/* What programs reach the commands by, with a reference for the caller. */
struct object *system_object_get(void);

/* The command of that name, or NULL. */
const struct shell_command *shell_command_find(const char *name);

/* Output of a command: to where its caller wants it. Interrupts enabled, no spinlock held. */
void shell_printf(const char *fmt, ...) HX_PRINTF(1, 2);
void shell_write(const char *text, size_t n);

/* Prints s as a JSON string, quotes included. */
void shell_print_json_string(const char *s);

/* True when one of the arguments is `option`. */
bool shell_has_option(int argc, char **argv, const char *option);

/* One line on wrong use. Return: SHELL_USAGE. */
int shell_usage(const char *name);

/* Nanoseconds from the kernel's first instruction to the moment when a shell could take its first
 * line; 0 before it. */
u64 shell_ready_ns(void);

/* Talks to the console for ever: one command of the kernel a line, words with blanks between. */
void shell_main(void) HX_NORETURN;

#endif
