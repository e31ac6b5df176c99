/* SPDX-License-Identifier: MIT */
/* `calls`: the system calls of programs as lines in the log, arguments by the table of
 * <abi/syscalls.h>, result by name.
 * Owns:      which programs are shown.      Context: thread of a process, in its system call.
 */
#include <core/log.h>
#include <core/shell.h>
#include <core/syscall.h>
#include <core/task.h>
#include <core/trace.h>
#include <helix/format.h>
#include <helix/log.h>
#include <helix/string.h>

static char shown[TASK_NAME_MAX]; /* a pattern; written while nothing is shown */

static const char *const forms[] = {
    [SYSCALL_ARG_VALUE] = "%s%s %ld",   [SYSCALL_ARG_HANDLE] = "%s%s #%lx",
    [SYSCALL_ARG_FLAGS] = "%s%s 0x%lx", [SYSCALL_ARG_IN] = "%s%s<- 0x%lx",
    [SYSCALL_ARG_OUT] = "%s%s-> 0x%lx",
};

/* One line: name(arguments) = result. */
static void line_make(char *line, size_t size, const struct syscall_entry *entry, const u64 *args,
                      s64 result)
{
    size_t at = format_buffer(line, size, "%s(", entry->words);
    const char *word = entry->words + strlen(entry->words) + 1;
    for (u32 i = 0; *word && at < size; i++, word += strlen(word) + 1) {
        const char *form = forms[entry->kinds >> 4 * i & 15];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        at += format_buffer(line + at, size - at, form, i ? ", " : "", word, args[i]);
#pragma GCC diagnostic pop
    }
    if (at < size && result < 0) {
        format_buffer(line + at, size - at, ") = %s", hx_status_name((enum hx_status)result));
    } else if (at < size) {
        format_buffer(line + at, size - at, ") = 0x%lx", (u64)result);
    }
}

void syscall_show(u64 number, const u64 *args, s64 result)
{
    char line[192];
    const struct task *task = task_current();
    const struct syscall_entry *entry = syscall_entry(number);
    if (entry && str_glob_match(shown, task->name)) {
        line_make(line, sizeof(line), entry, args, result);
        log_info("call", "%s/%lu %s", task->name, task->id, line);
    }
}

static int command_calls(int argc, char **argv)
{
    if (argc == 2 && str_equal(argv[1], "off")) {
        trace_kinds_set(0, 1u << TRACE_CALLS);
    } else if (argc == 3 && str_equal(argv[1], "on")) {
        trace_kinds_set(0, 1u << TRACE_CALLS);
        if (!str_copy(shown, argv[2], sizeof(shown))) {
            return shell_usage("calls");
        }
        trace_kinds_set(1u << TRACE_CALLS, 0);
    } else {
        return shell_usage("calls");
    }
    return SHELL_OK;
}

SHELL_COMMAND(calls, "calls", "on PATTERN | off",
              "log the system calls of programs whose name matches",
              "A line for each call when it returns, at level info: PROGRAM/TASK NAME(ARGUMENTS) = "
              "RESULT.\n<- is read by the kernel, -> written, # a handle.",
              command_calls);
