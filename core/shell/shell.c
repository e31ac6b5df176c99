/* SPDX-License-Identifier: MIT */
/* What commands share, and the kernel's own shell.
 * Owns:      the time at which a shell was ready.      Context: thread.
 */
#include <core/console.h>
#include <core/shell.h>
#include <core/stream.h>
#include <core/task.h>
#include <core/time.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/string.h>

#define LINE_MAX 512
#define ARGS_MAX 32

static struct {
    u64 ready_ns;
} main_loop;

void shell_write(const char *text, size_t n)
{
    struct object *output = task_current()->output;
    if (output) {
        HX_IGNORE(stream_write(output, text, n), "a command goes on although nobody reads");
    } else {
        console_write(text, n);
    }
}

void shell_printf(const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    size_t n = format_buffer_va(text, sizeof(text), fmt, args);
    va_end(args);
    shell_write(text, n < sizeof(text) ? n : sizeof(text) - 1);
}

void shell_print_json_string(const char *s)
{
    shell_printf("\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') {
            shell_printf("\\%c", *s);
        } else if ((u8)*s < ' ' || (u8)*s == 0x7f) {
            shell_printf("\\u%04x", (u8)*s);
        } else {
            shell_printf("%c", *s);
        }
    }
    shell_printf("\"");
}

const struct shell_command *shell_command_find(const char *name)
{
    HX_SET_FOREACH (shell_commands, it) {
        if (str_equal((*it)->name, name)) {
            return *it;
        }
    }
    return NULL;
}

bool shell_has_option(int argc, char **argv, const char *option)
{
    for (int i = 1; i < argc; i++) {
        if (str_equal(argv[i], option)) {
            return true;
        }
    }
    return false;
}

int shell_usage(const char *name)
{
    HX_SET_FOREACH (shell_commands, it) {
        if (str_equal((*it)->name, name)) {
            shell_printf("usage: %s %s\n", name, (*it)->usage);
        }
    }
    return SHELL_USAGE;
}

u64 shell_ready_ns(void)
{
    return main_loop.ready_ns;
}

static int command_ready(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (main_loop.ready_ns == 0) {
        main_loop.ready_ns = time_now_ns();
        log_info("shell", "ready");
    }
    return SHELL_OK;
}

SHELL_COMMAND(ready, "ready", "", "said by a shell when it can take a line; the first is kept", "",
              command_ready);

/* Echo and backspace, no more. */
static void read_line(char *line)
{
    size_t used = 0;
    for (;;) {
        u8 c = console_read();
        if (c == '\r' || c == '\n') {
            console_printf("\n");
            line[used] = '\0';
            return;
        }
        if ((c == '\b' || c == 0x7f) && used > 0) {
            used--;
            console_printf("\b \b");
        } else if (c >= ' ' && c < 0x7f && used + 1 < LINE_MAX) {
            line[used++] = (char)c;
            console_write(&line[used - 1], 1);
        }
    }
}

static void run_words(char *line)
{
    char *argv[ARGS_MAX + 1];
    int argc = 0;
    for (char *at = line; *at && argc < ARGS_MAX;) {
        while (*at == ' ') {
            *at++ = '\0';
        }
        if (*at) {
            argv[argc++] = at;
            while (*at && *at != ' ') {
                at++;
            }
        }
    }
    argv[argc] = NULL;
    const struct shell_command *command = argc ? shell_command_find(argv[0]) : NULL;
    if (command) {
        command->run(argc, argv);
    } else if (argc) {
        console_printf("%s: no such command; `help` lists them\n", argv[0]);
    }
}

HX_NOINLINE void shell_main(void)
{
    static char line[LINE_MAX];
    for (;;) {
        console_printf("kernel> ");
        read_line(line);
        run_words(line);
    }
}
