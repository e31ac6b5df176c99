/* SPDX-License-Identifier: MIT */
/* The shell's parts, to each other.
 */
#ifndef SHELL_SHELL_H
#define SHELL_SHELL_H

#include "line.h"
#include "parse.h"

#include <abi/file.h>
#include <helix/compiler.h>
#include <hx/process.h>

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE, STATUS_ENDED = 126, STATUS_NOT_FOUND = 127 };

/* Where a command reads and writes: standard input, output, errors; and the system object, which
 * the shell passes on to what it starts. */
#define STREAMS 3
struct streams {
    hx_handle_t handles[STREAMS];
};

/* Commands that are part of the shell. Return: a status. */
typedef int builtin_fn(const struct streams *streams, int argc, char **argv);
struct builtin {
    const char *name, *usage, *summary, *details;
    builtin_fn *run;
};

/* NULL-terminated by name. */
extern const struct builtin shell_builtins[];
const struct builtin *builtin_find(const char *name);
/* Whose history `history` lists. */
void builtins_set_history(struct editor *editor);

/* Commands of bin/tools, by name; NULL ends the list. */
struct tool_page {
    const char *name, *usage, *summary;
};
extern const struct tool_page tool_pages[];
const struct tool_page *tool_find(const char *name);

/* Formatted output to one of the streams. What cannot be written is dropped. */
void say(hx_handle_t to, const char *fmt, ...) HX_PRINTF(2, 3);
void say_bytes(hx_handle_t to, const char *text, size_t size);
void say_json_string(hx_handle_t to, const char *text);
/* One line on wrong use. Return: STATUS_USAGE. */
int say_usage(const struct streams *streams, const char *name);

/* Variables; all of them are the environment of what is started. */
const char *variable_get(const char *name);
bool variable_set(const char *name, const char *value); /* false: no name, or no memory */
bool variable_unset(const char *name);                  /* false: there was none */
/* Calls visit for each, in the order in which they were made. */
void variable_for_each(void (*visit)(void *ctx, const char *name, const char *value), void *ctx);

/* Runs a whole line. Return: the status of what ran last. */
int shell_run_line(const char *text);
/* Runs one command in the shell's own process, or as a program, and waits for it. */
int shell_run_argv(const struct streams *streams, int argc, char **argv);
/* The same for a program only: a path, or a name in /bin. */
int shell_run_program(const struct streams *streams, int argc, char **argv);
extern struct streams shell_streams; /* the shell's own */
hx_handle_t shell_system(void);      /* the system object, or HX_HANDLE_NONE */
bool shell_is_interactive(void);
extern int shell_status;   /* $? */
extern bool shell_leaving; /* `exit` was run */

/* Jobs. */
int builtin_jobs(const struct streams *streams, int argc, char **argv);
int builtin_wait(const struct streams *streams, int argc, char **argv);
int builtin_kill(const struct streams *streams, int argc, char **argv);
/* Says which background jobs have ended since it said so last. */
void jobs_report(void);

/* The console, when the shell is the one who talks to it. */
void console_start(struct editor *editor);
/* From now on what is typed goes, edited by lines, to the pipe `to`, and ^C ends `processes`; until
 * console_take_back(). */
void console_give(hx_handle_t to, const hx_handle_t *processes, u32 count);
void console_take_back(void);

#endif
