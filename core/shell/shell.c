/* SPDX-License-Identifier: MIT */
/* The shell's main loop and what its commands share.
 * Owns:      the console once the system is up.      Context: thread.
 * The host's side of `exec` reads the two marker lines: the nonce makes them unlike anything a
 * command prints, and the log is kept off the console between them.
 */
#include <core/console.h>
#include <core/log.h>
#include <core/panic.h>
#include <core/shell.h>
#include <core/time.h>
#include <helix/cmdline.h>
#include <helix/format.h>
#include <helix/string.h>

#define LINE_MAX 512

static struct {
    u64 ready_ns;
} main_loop;

void shell_printf(const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    size_t n = format_buffer_va(text, sizeof(text), fmt, args);
    va_end(args);
    console_write(text, n < sizeof(text) ? n : sizeof(text) - 1);
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

static HX_NORETURN void run_exec(const char *line)
{
    const char *nonce = cmdline_get("nonce");
    enum log_level before = log_console_level(LOG_PANIC);
    console_printf("@helix %s begin\n", nonce ? nonce : "0");
    int status = shell_run_line(line);
    console_printf("@helix %s end %d\n", nonce ? nonce : "0", status);
    log_console_level(before);
    machine_end(0);
}

HX_NOINLINE void shell_main(void)
{
    static char line[LINE_MAX];
    const char *exec = cmdline_get("exec");
    main_loop.ready_ns = time_now_ns();
    if (exec) {
        run_exec(exec);
    }
    for (;;) {
        if (shell_read_line("helix> ", line, sizeof(line))) {
            shell_run_line(line);
        }
    }
}
