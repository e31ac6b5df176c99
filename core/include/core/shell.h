/* SPDX-License-Identifier: MIT */
/* The kernel's own shell: what answers on the console when nothing else does. Commands are a
 * linker set, so the file that knows a thing also holds the command that shows it.
 */
#ifndef CORE_SHELL_H
#define CORE_SHELL_H

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
};

#define SHELL_COMMAND(id, ...)                                                                     \
    static const struct shell_command shell_command_##id = {__VA_ARGS__};                          \
    HX_SET_ADD(shell_commands, shell_command_##id)

HX_SET_DECLARE(shell_commands, struct shell_command);

#define SHELL_OK        0
#define SHELL_FAILED    1
#define SHELL_USAGE     2
#define SHELL_NOT_FOUND 127

/* Output of a command. */
void shell_printf(const char *fmt, ...) HX_PRINTF(1, 2);

/* Prints s as a JSON string, quotes included. */
void shell_print_json_string(const char *s);

/* True when one of the arguments is `option`. */
bool shell_has_option(int argc, char **argv, const char *option);

/* One line on wrong use. Return: SHELL_USAGE. */
int shell_usage(const char *name);

/* Variables: `set`, `env`, $NAME. Return of set: false when the table or a string is full. */
const char *shell_variable_get(const char *name);
bool shell_variable_set(const char *name, const char *value);

/* Runs a line: words, quotes, $NAME, $?, and ; && || between commands. Return: the last status. */
int shell_run_line(const char *line);

/* Reads a line with editing and history into buf. False at end of input (^D on an empty line). */
bool shell_read_line(const char *prompt, char *buf, size_t size);

/* The lines entered before, 0 is the oldest kept; NULL past the last. */
const char *shell_history(u32 index);

/* Nanoseconds from the kernel's first instruction to the first prompt; 0 before it. */
u64 shell_ready_ns(void);

/* Runs the command line's `exec=` and ends the machine, or talks to the console for ever. */
void shell_main(void) HX_NORETURN;

#endif
