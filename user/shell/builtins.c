/* SPDX-License-Identifier: MIT */
/* The commands that are part of the shell: those that need its state, and those that run others.
 * Owns:      nothing.      Context: the main thread.
 */
#include "shell.h"
#include "tools.h"

#include <helix/string.h>
#include <hx/clock.h>
#include <hx/memory.h>
#include <hx/system.h>

#define BUILTINS_MAX 32 /* the list below and its end */

const struct tool_page tool_pages[] = {
#define TOOL_PAGE(name, usage, summary) {#name, usage, summary},
    TOOLS(TOOL_PAGE)
#undef TOOL_PAGE
        {0},
};

static struct editor *history_of; /* who keeps the history, NULL: nobody */

void builtins_set_history(struct editor *editor)
{
    history_of = editor;
}

const struct builtin *builtin_find(const char *name)
{
    for (const struct builtin *b = shell_builtins; b->name; b++) {
        if (str_equal(b->name, name)) {
            return b;
        }
    }
    return NULL;
}

const struct tool_page *tool_find(const char *name)
{
    for (const struct tool_page *t = tool_pages; t->name; t++) {
        if (str_equal(t->name, name)) {
            return t;
        }
    }
    return NULL;
}

int say_usage(const struct streams *streams, const char *name)
{
    const struct builtin *b = builtin_find(name);
    say(streams->handles[HX_STDERR], "usage: %s %s\n", name, b ? b->usage : "");
    return STATUS_USAGE;
}

/* A command of the kernel with these words. */
static int kernel(const struct streams *streams, const char *name, const char *word, bool json)
{
    const char *argv[3] = {name};
    int argc = 1, result = STATUS_FAILED;
    if (word) {
        argv[argc++] = word;
    }
    if (json) {
        argv[argc++] = "--json";
    }
    enum hx_status status =
        hx_system_command(shell_system(), argc, argv, streams->handles[HX_STDOUT], &result);
    if (status != HX_OK) {
        say(streams->handles[HX_STDERR], "%s: %s\n", name, hx_status_words(status));
        return STATUS_FAILED;
    }
    return result;
}

static int builtin_help(const struct streams *streams, int argc, char **argv)
{
    hx_handle_t out = streams->handles[HX_STDOUT];
    if (argc > 2) {
        return say_usage(streams, "help");
    }
    if (argc == 2) {
        const struct builtin *b = builtin_find(argv[1]);
        const struct tool_page *t = tool_find(argv[1]);
        if (b) {
            say(out, "%s - %s\nusage: %s %s\n%s%s", b->name, b->summary, b->name, b->usage,
                b->details, *b->details ? "\n" : "");
            return STATUS_OK;
        }
        if (t) {
            say(out, "%s - %s\nusage: %s %s\n", t->name, t->summary, t->name, t->usage);
            return STATUS_OK;
        }
        return kernel(streams, "help", argv[1], false);
    }
    const char *words[BUILTINS_MAX + 2] = {"help", "--except"};
    int count = 2, result = STATUS_FAILED;
    for (const struct builtin *b = shell_builtins; b->name; b++) {
        say(out, "%-10s %s\n", b->name, b->summary);
        words[count++] = b->name;
    }
    for (const struct tool_page *t = tool_pages; t->name; t++) {
        say(out, "%-10s %s\n", t->name, t->summary);
    }
    enum hx_status status = hx_system_command(shell_system(), count, words, out, &result);
    if (status != HX_OK) {
        say(streams->handles[HX_STDERR], "help: %s\n", hx_status_words(status));
    }
    return result;
}

static int builtin_echo(const struct streams *streams, int argc, char **argv)
{
    struct shell_text text = {0};
    bool fits = true;
    for (int i = 1; i < argc && fits; i++) {
        fits = (i == 1 || shell_text_add(&text, " ", 1)) &&
               shell_text_add(&text, argv[i], strlen(argv[i]));
    }
    fits = fits && shell_text_add(&text, "\n", 1);
    say_bytes(streams->handles[HX_STDOUT], text.data, text.used);
    shell_text_free(&text);
    return fits ? STATUS_OK : STATUS_FAILED;
}

struct listing {
    hx_handle_t out;
    bool json, first;
};

static void list_variable(void *ctx, const char *name, const char *value)
{
    struct listing *listing = ctx;
    if (listing->json) {
        say(listing->out, "%s\"%s\":", listing->first ? "" : ",", name);
        say_json_string(listing->out, value);
    } else {
        say(listing->out, "%s=%s\n", name, value);
    }
    listing->first = false;
}

static int builtin_env(const struct streams *streams, int argc, char **argv)
{
    struct listing listing = {streams->handles[HX_STDOUT], false, true};
    listing.json = argc == 2 && str_equal(argv[1], "--json");
    if (argc > 1 + listing.json) {
        return say_usage(streams, "env");
    }
    say(listing.out, "%s", listing.json ? "{" : "");
    variable_for_each(list_variable, &listing);
    say(listing.out, "%s", listing.json ? "}\n" : "");
    return STATUS_OK;
}

static int builtin_set(const struct streams *streams, int argc, char **argv)
{
    if (argc == 1) {
        return builtin_env(streams, argc, argv);
    }
    char *equals = strchr(argv[1], '=');
    const char *value = argc == 3 ? argv[2] : "";
    if (argc > 3 || (argc == 2 && !equals) || (argc == 3 && equals)) {
        return say_usage(streams, "set");
    }
    if (equals) {
        *equals = '\0';
        value = equals + 1;
    }
    if (!variable_set(argv[1], value)) {
        say(streams->handles[HX_STDERR], "set: %s: no name for a variable, or out of memory\n",
            argv[1]);
        return STATUS_FAILED;
    }
    return STATUS_OK;
}

static int builtin_unset(const struct streams *streams, int argc, char **argv)
{
    int status = argc > 1 ? STATUS_OK : say_usage(streams, "unset");
    for (int i = 1; i < argc; i++) {
        status = variable_unset(argv[i]) ? status : STATUS_FAILED;
    }
    return status;
}

static int builtin_history(const struct streams *streams, int argc, char **argv)
{
    bool json = argc == 2 && str_equal(argv[1], "--json");
    hx_handle_t out = streams->handles[HX_STDOUT];
    if (argc > 1 + json) {
        return say_usage(streams, "history");
    }
    const char *line;
    for (u32 i = 0; history_of && (line = editor_history(history_of, i)); i++) {
        if (json) {
            say(out, "{\"number\":%u,\"line\":", i + 1);
            say_json_string(out, line);
            say(out, "}\n");
        } else {
            say(out, "%4u  %s\n", i + 1, line);
        }
    }
    return STATUS_OK;
}

static int builtin_clear(const struct streams *streams, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    say(streams->handles[HX_STDOUT], "\033[2J\033[H");
    return STATUS_OK;
}

static int builtin_exit(const struct streams *streams, int argc, char **argv)
{
    u64 status = (u64)shell_status;
    if (argc > 2 || (argc == 2 && (!str_to_u64(argv[1], &status) || status > 255))) {
        return say_usage(streams, "exit");
    }
    shell_leaving = true;
    return (int)status;
}

static int builtin_run(const struct streams *streams, int argc, char **argv)
{
    return argc < 2 ? say_usage(streams, "run") : shell_run_program(streams, argc - 1, argv + 1);
}

static int builtin_time(const struct streams *streams, int argc, char **argv)
{
    if (argc < 2) {
        return say_usage(streams, "time");
    }
    u64 before = hx_clock(HX_CLOCK_MONOTONIC);
    int status = shell_run_argv(streams, argc - 1, argv + 1);
    u64 took = hx_clock(HX_CLOCK_MONOTONIC) - before;
    say(streams->handles[HX_STDERR], "%llu.%06llu s\n", (unsigned long long)(took / HX_NS_PER_SEC),
        (unsigned long long)(took / HX_NS_PER_US % 1000000));
    return status;
}

static int builtin_prof(const struct streams *streams, int argc, char **argv)
{
    bool json = argc > 1 && str_equal(argv[1], "--json");
    if (argc < 2 + json) {
        return say_usage(streams, "prof");
    }
    int status = kernel(streams, "profile", "start", false);
    if (status == STATUS_OK) {
        status = shell_run_argv(streams, argc - 1 - json, argv + 1 + json);
        int profiled = kernel(streams, "profile", "stop", json);
        status = status == STATUS_OK ? profiled : status;
    }
    return status;
}

static int builtin_sleep(const struct streams *streams, int argc, char **argv)
{
    u64 ms;
    if (argc != 2 || !str_to_u64(argv[1], &ms)) {
        return say_usage(streams, "sleep");
    }
    hx_sleep(ms > UINT64_MAX / HX_NS_PER_MS ? UINT64_MAX : ms * HX_NS_PER_MS);
    return STATUS_OK;
}

/* The kernel's benchmarks, then those of programs. */
static int builtin_bench(const struct streams *streams, int argc, char **argv)
{
    static char program[] = "bench-user", name[] = "bench";
    struct streams to = *streams;
    int result = STATUS_FAILED;
    argv[0] = name;
    enum hx_status status = hx_system_command(shell_system(), argc, (const char *const *)argv,
                                              to.handles[HX_STDOUT], &result);
    if (status != HX_OK) {
        say(to.handles[HX_STDERR], "bench: %s\n", hx_status_words(status));
        return STATUS_FAILED;
    }
    argv[0] = program;
    int user = shell_run_program(&to, argc, argv);
    return result != STATUS_OK ? result : user;
}

const struct builtin shell_builtins[BUILTINS_MAX] = {
    {"help", "[NAME]", "list the commands, or show the page of one", "", builtin_help},
    {"echo", "[WORD...]", "print the words", "", builtin_echo},
    {"set", "[NAME=VALUE | NAME VALUE]", "set a variable, or list them",
     "A variable stands in a line as $NAME or ${NAME}; programs find it in their environment.",
     builtin_set},
    {"unset", "NAME...", "forget variables", "", builtin_unset},
    {"env", "[--json]", "list the variables", "", builtin_env},
    {"history", "[--json]", "the lines entered before", "", builtin_history},
    {"clear", "", "clear the screen", "", builtin_clear},
    {"exit", "[STATUS]", "leave this shell", "", builtin_exit},
    {"run", "FILE [ARGS]", "run a program and wait for it",
     "FILE is a path, or the name of a file in /bin. The status is the program's; 126 when it was\n"
     "killed or a fault ended it.",
     builtin_run},
    {"jobs", "[--json]", "the lines that run in the background", "", builtin_jobs},
    {"wait", "[%JOB...]", "wait for background lines to end", "The status is the last one's.",
     builtin_wait},
    {"kill", "%JOB | TASK...", "end a background line, or the process of a task (see ps)", "",
     builtin_kill},
    {"time", "COMMAND", "say how long a command takes", "", builtin_time},
    {"prof", "[--json] COMMAND", "where the CPUs were while a command ran", "", builtin_prof},
    {"sleep", "MS", "wait for so many milliseconds", "", builtin_sleep},
    {"bench", "[--json] [NAME...]", "measure; NAME may hold * and ?",
     "Figures are instructions when the machine runs under the instruction clock.", builtin_bench},
    {0},
};
