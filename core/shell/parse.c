/* SPDX-License-Identifier: MIT */
/* From a line to commands: words, quotes, variables, and the operators ; && ||.
 * Owns:      the variables and the last status.     Callers: shell_main.   Context: shell's thread.
 * Grammar:   line = command { (";" | "&&" | "||") command }; command = { word }.
 *            '...' is literal; in "..." and outside, $NAME, ${NAME} and $? are replaced; a
 * backslash takes the next character as it is. A replaced variable is not split into words.
 * Invariant: (1) every word built fits in `text`, or the line is refused as a whole before any of
 *            its commands with that word has run.
 */
#include <core/shell.h>
#include <helix/format.h>
#include <helix/string.h>

#define VARIABLES_MAX 32
#define NAME_MAX      32
#define VALUE_MAX     128
#define ARGS_MAX      32
#define TEXT_MAX      2048

static struct {
    struct {
        char name[NAME_MAX], value[VALUE_MAX];
    } variables[VARIABLES_MAX];
    u32 variable_count;
    int status; /* $? */
} shell;

enum operator{ OP_END, OP_SEQUENCE, OP_AND, OP_OR, OP_BAD };

struct words {
    int argc;
    char *argv[ARGS_MAX + 1];
    size_t used;
    char text[TEXT_MAX];
};

const char *shell_variable_get(const char *name)
{
    for (u32 i = 0; i < shell.variable_count; i++) {
        if (str_equal(shell.variables[i].name, name)) {
            return shell.variables[i].value;
        }
    }
    return NULL;
}

bool shell_variable_set(const char *name, const char *value)
{
    if (strlen(name) >= NAME_MAX || strlen(value) >= VALUE_MAX || !*name) {
        return false;
    }
    u32 i = 0;
    while (i < shell.variable_count && !str_equal(shell.variables[i].name, name)) {
        i++;
    }
    if (i == VARIABLES_MAX) {
        return false;
    }
    if (i == shell.variable_count) {
        str_copy(shell.variables[i].name, name, NAME_MAX);
        shell.variable_count++;
    }
    str_copy(shell.variables[i].value, value, VALUE_MAX);
    return true;
}

static int command_env(int argc, char **argv)
{
    bool json = shell_has_option(argc, argv, "--json");
    for (u32 i = 0; i < shell.variable_count; i++) {
        if (json) {
            shell_printf("%s", i ? "," : "{");
            shell_print_json_string(shell.variables[i].name);
            shell_printf(":");
            shell_print_json_string(shell.variables[i].value);
        } else {
            shell_printf("%s=%s\n", shell.variables[i].name, shell.variables[i].value);
        }
    }
    if (json) {
        shell_printf("%s}\n", shell.variable_count ? "" : "{");
    }
    return SHELL_OK;
}

static int command_set(int argc, char **argv)
{
    if (argc == 1) {
        return command_env(argc, argv);
    }
    char name[NAME_MAX];
    const char *value = strchr(argv[1], '=');
    if (value && argc == 2) {
        if ((size_t)(value - argv[1]) >= NAME_MAX) {
            shell_printf("set: name too long\n");
            return SHELL_FAILED;
        }
        str_copy(name, argv[1], (size_t)(value - argv[1]) + 1);
        value++;
    } else if (!value && argc == 3) {
        str_copy(name, argv[1], sizeof(name));
        value = argv[2];
    } else {
        return shell_usage("set");
    }
    if (!shell_variable_set(name, value)) {
        shell_printf("set: no room for %s\n", name);
        return SHELL_FAILED;
    }
    return SHELL_OK;
}

SHELL_COMMAND(env, "env", "[--json]", "list the variables", "", command_env);
SHELL_COMMAND(set, "set", "[NAME=VALUE | NAME VALUE]", "set a variable, or list them",
              "A variable stands in a line as $NAME or ${NAME}.", command_set);

static bool add(struct words *w, char c)
{
    if (w->used == TEXT_MAX) {
        return false;
    }
    w->text[w->used++] = c;
    return true;
}

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* *p is behind the dollar sign. */
static bool add_variable(struct words *w, const char **p)
{
    char name[NAME_MAX], number[12];
    const char *value;
    size_t n = 0;
    bool braces = **p == '{';
    *p += braces;
    if (!braces && **p == '?') {
        (*p)++;
        format_buffer(number, sizeof(number), "%d", shell.status);
        value = number;
    } else {
        while (is_name(**p, n == 0) && n + 1 < NAME_MAX) {
            name[n++] = *(*p)++;
        }
        name[n] = '\0';
        if (n == 0) {
            return add(w, '$');
        }
        value = shell_variable_get(name);
        if (braces && **p == '}') {
            (*p)++;
        }
    }
    for (; value && *value; value++) {
        if (!add(w, *value)) {
            return false;
        }
    }
    return true;
}

static bool add_quoted(struct words *w, const char **p)
{
    char quote = *(*p)++;
    while (**p && **p != quote) {
        if (quote == '"' && **p == '$') {
            (*p)++;
            if (!add_variable(w, p)) {
                return false;
            }
            continue;
        }
        if (quote == '"' && **p == '\\' && (*p)[1]) {
            (*p)++;
        }
        if (!add(w, *(*p)++)) {
            return false;
        }
    }
    if (!**p) {
        return false;
    }
    (*p)++;
    return true;
}

static bool is_operator(char c)
{
    return c == ';' || c == '&' || c == '|';
}

static bool add_word(struct words *w, const char **p)
{
    if (w->argc == ARGS_MAX) {
        return false;
    }
    w->argv[w->argc++] = &w->text[w->used];
    while (**p && **p != ' ' && **p != '\t' && !is_operator(**p)) {
        bool fits;
        if (**p == '\'' || **p == '"') {
            fits = add_quoted(w, p);
        } else if (**p == '$') {
            (*p)++;
            fits = add_variable(w, p);
        } else {
            *p += **p == '\\' && (*p)[1];
            fits = add(w, *(*p)++);
        }
        if (!fits) {
            return false;
        }
    }
    return add(w, '\0');
}

static enum operator parse_command(struct words *w, const char **p)
{
    w->argc = 0;
    w->used = 0;
    for (;;) {
        while (**p == ' ' || **p == '\t') {
            (*p)++;
        }
        if (!**p) {
            return OP_END;
        }
        if (**p == ';') {
            (*p)++;
            return OP_SEQUENCE;
        }
        if (is_operator(**p)) {
            char c = **p;
            if ((*p)[1] != c) {
                return OP_BAD;
            }
            *p += 2;
            return c == '&' ? OP_AND : OP_OR;
        }
        if (!add_word(w, p)) {
            return OP_BAD;
        }
    }
}

static int run_command(struct words *w)
{
    w->argv[w->argc] = NULL;
    HX_SET_FOREACH (shell_commands, it) {
        if (str_equal((*it)->name, w->argv[0])) {
            return (*it)->run(w->argc, w->argv);
        }
    }
    shell_printf("%s: no such command; `help` lists them\n", w->argv[0]);
    return SHELL_NOT_FOUND;
}

int shell_run_line(const char *line)
{
    static struct words words; /* too large for the stack; the shell is one thread */
    bool skip = false;
    for (;;) {
        enum operator op = parse_command(&words, &line);
        if (op == OP_BAD) {
            shell_printf("shell: cannot understand: %s\n",
                         *line ? line : "a quote is open, or the line is too long");
            return shell.status = SHELL_USAGE;
        }
        if (words.argc > 0 && !skip) {
            shell.status = run_command(&words);
        }
        if (op == OP_END) {
            return shell.status;
        }
        skip = (op == OP_AND && shell.status != 0) || (op == OP_OR && shell.status == 0);
    }
}
