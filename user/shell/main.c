/* SPDX-License-Identifier: MIT */
/* The shell.
 *   shell               reads lines: at a prompt from a console, as a script from a file or pipe
 *   shell -c LINE       runs one line
 *   shell --run ARGS    runs one command that is not a program, for another shell
 * Owns:      the line editor.      Context: the main thread.
 */
#include "shell.h"

#include <helix/format.h>
#include <helix/string.h>
#include <hx/memory.h>
#include <hx/syscall.h>
#include <hx/system.h>

#define PROMPT "helix> "

static struct {
    bool interactive;
    hx_handle_t system;
    struct editor editor;
} shell;

bool shell_is_interactive(void)
{
    return shell.interactive;
}

hx_handle_t shell_system(void)
{
    return shell.system;
}

/* output */

void say_bytes(hx_handle_t to, const char *text, size_t size)
{
    while (size > 0) {
        s64 n = hx_sys_file_write(to, text, size);
        if (n <= 0) {
            return;
        }
        text += n;
        size -= (size_t)n;
    }
}

void say(hx_handle_t to, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    size_t n = format_buffer_va(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < sizeof(text)) {
        say_bytes(to, text, n);
        return;
    }
    char *longer = malloc(n + 1);
    va_start(args, fmt);
    if (longer) {
        say_bytes(to, longer, format_buffer_va(longer, n + 1, fmt, args));
    } else {
        say_bytes(to, text, sizeof(text) - 1);
    }
    va_end(args);
    free(longer);
}

void say_json_string(hx_handle_t to, const char *text)
{
    struct shell_text out = {0};
    bool fits = shell_text_add(&out, "\"", 1);
    for (; *text && fits; text++) {
        char escape[8];
        if (*text == '"' || *text == '\\') {
            fits = shell_text_add(&out, "\\", 1) && shell_text_add(&out, text, 1);
        } else if ((u8)*text < ' ' || *text == 0x7f) {
            fits = shell_text_add(&out, escape,
                                  format_buffer(escape, sizeof(escape), "\\u%04x", (u8)*text));
        } else {
            fits = shell_text_add(&out, text, 1);
        }
    }
    if (fits && shell_text_add(&out, "\"", 1)) {
        say_bytes(to, out.data, out.used);
    }
    shell_text_free(&out);
}

/* completion */

static void add_names(const char *word, size_t size, const char *name, editor_add_fn *add,
                      void *add_ctx)
{
    if (strncmp(name, word, size) == 0) {
        add(add_ctx, name, true);
    }
}

/* The kernel's commands. A pipe holds all their names, so nobody need read meanwhile. */
static void add_kernel_commands(const char *word, size_t size, editor_add_fn *add, void *add_ctx)
{
    static const char *const argv[] = {"help", "--names"};
    struct shell_text text = {0};
    hx_handle_t ends[2] = {0};
    char chunk[512];
    int ignored;
    if (shell.system == HX_HANDLE_NONE || hx_sys_pipe_create(ends, 0) < 0) {
        return;
    }
    enum hx_status status = hx_system_command(shell.system, 2, argv, ends[1], &ignored);
    HX_IGNORE(hx_handle_close(ends[1]), "it is ours");
    s64 n = 0;
    while (status == HX_OK && (n = hx_sys_file_read(ends[0], chunk, sizeof(chunk))) > 0) {
        if (!shell_text_add(&text, chunk, (size_t)n)) {
            break;
        }
    }
    HX_IGNORE(hx_handle_close(ends[0]), "it is ours");
    for (char *at = text.data, *end; at && (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        if (!builtin_find(at)) {
            add_names(word, size, at, add, add_ctx);
        }
    }
    shell_text_free(&text);
}

/* The entries of the folder that `word` names, each with the folder in front. */
static void add_files(const char *word, size_t size, editor_add_fn *add, void *add_ctx)
{
    char folder[EDITOR_WIDTH], name[EDITOR_WIDTH + HX_FILE_NAME_MAX];
    static u64 entries[256]; /* aligned for the records */
    size_t cut = size;
    while (cut > 0 && word[cut - 1] != '/') {
        cut--;
    }
    memcpy(folder, word, cut);
    folder[cut] = '\0';
    s64 handle = hx_sys_file_open(HX_HANDLE_NONE, cut ? folder : "/", cut ? cut : 1,
                                  HX_OPEN_READ | HX_OPEN_DIRECTORY, 0);
    if (handle < 0) {
        return;
    }
    s64 n;
    while ((n = hx_sys_directory_read((hx_handle_t)handle, entries, sizeof(entries))) > 0) {
        for (s64 at = 0; at < n;) {
            const struct hx_dirent *entry = (const void *)((const u8 *)entries + at);
            bool dots = str_equal(entry->name, ".") || str_equal(entry->name, "..");
            bool is_folder = entry->type == HX_MODE_DIRECTORY >> 12;
            format_buffer(name, sizeof(name), "%s%s%s", folder, entry->name, is_folder ? "/" : "");
            if (!dots && strncmp(name, word, size) == 0) {
                add(add_ctx, name, !is_folder);
            }
            at += entry->size;
        }
    }
    HX_IGNORE(hx_handle_close((hx_handle_t)handle), "it is ours");
}

static void candidates(void *ctx, const char *word, size_t size, bool first, editor_add_fn *add,
                       void *add_ctx)
{
    (void)ctx;
    if (first && !memchr(word, '/', size)) {
        for (const struct builtin *b = shell_builtins; b->name; b++) {
            add_names(word, size, b->name, add, add_ctx);
        }
        for (const struct tool_page *t = tool_pages; t->name; t++) {
            add_names(word, size, t->name, add, add_ctx);
        }
        add_kernel_commands(word, size, add, add_ctx);
    } else {
        add_files(word, size, add, add_ctx);
    }
}

/* modes */

/* Says that this shell can take a line: the kernel keeps the time of the first. */
static void say_ready(void)
{
    static const char *const argv[] = {"ready"};
    int ignored;
    HX_IGNORE(hx_system_command(shell.system, 1, argv, HX_HANDLE_NONE, &ignored),
              "only the benchmark of booting asks");
}

static int talk(void)
{
    shell.editor.candidates = candidates;
    console_start(&shell.editor);
    builtins_set_history(&shell.editor);
    say_ready();
    while (!shell_leaving) {
        jobs_report();
        enum editor_result result = editor_read(&shell.editor, PROMPT);
        if (result == EDITOR_END) {
            break;
        }
        if (result == EDITOR_LINE) {
            shell_run_line(shell.editor.line);
        }
    }
    return shell_status;
}

/* Lines from standard input until it ends. */
static int obey(void)
{
    struct shell_text line = {0};
    char byte = 0;
    s64 n;
    do { /* a byte at a time: what follows the line belongs to the commands on it */
        n = hx_sys_file_read(shell_streams.handles[HX_STDIN], &byte, 1);
        if (n == 1 && byte != '\n') {
            n = shell_text_add(&line, &byte, 1) ? 1 : 0;
        } else if (line.used > 0) {
            shell_run_line(line.data);
            line.used = 0;
        }
    } while (n == 1 && !shell_leaving);
    shell_text_free(&line);
    return shell_status;
}

static bool stands_on_console(void)
{
    struct hx_stat stat = {0};
    s64 n = hx_sys_file_stat(shell_streams.handles[HX_STDIN], "", 0, &stat, sizeof(stat), 0);
    return n >= 0 && (stat.mode & HX_MODE_TYPE) == HX_MODE_DEVICE;
}

static void import_variables(void)
{
    const struct hx_startup *startup = hx_startup();
    const char *at = (const char *)(startup + 1) + startup->args_length;
    for (const char *end = at + startup->environment_length; at < end; at += strlen(at) + 1) {
        char name[SHELL_NAME_MAX + 1];
        const char *equals = strchr(at, '=');
        if (equals && shell_is_name(at, (size_t)(equals - at))) {
            memcpy(name, at, (size_t)(equals - at));
            name[equals - at] = '\0';
            HX_IGNORE(variable_set(name, equals + 1), "without memory there are fewer");
        }
    }
}

int main(int argc, char **argv)
{
    for (u32 i = 0; i < STREAMS; i++) {
        shell_streams.handles[i] = hx_standard(i);
    }
    shell.system = hx_standard(HX_STDSYSTEM);
    import_variables();
    if (argc > 2 && str_equal(argv[1], "--run")) {
        return shell_run_argv(&shell_streams, argc - 2, argv + 2);
    }
    if (argc == 3 && str_equal(argv[1], "-c")) {
        say_ready();
        return shell_run_line(argv[2]);
    }
    if (argc > 1) {
        say(shell_streams.handles[HX_STDERR], "usage: shell [-c LINE]\n");
        return STATUS_USAGE;
    }
    shell.interactive = stands_on_console();
    return shell.interactive ? talk() : obey();
}
