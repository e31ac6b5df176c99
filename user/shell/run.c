/* SPDX-License-Identifier: MIT */
/* Running what was read: expansion, redirection, pipelines, jobs.
 * Owns:      the shell's streams and status; the list of jobs.      Context: the main thread.
 * Where a command runs: a single one in the foreground, if it is the shell's or the kernel's own,
 * in the shell's process; everything else in a process of its own. In a pipeline or in the
 * background the shell's and the kernel's commands are run by another shell (`--run`). Invariant:
 * (1) every handle that a pipeline opens is in its struct launch and closed there, after the
 * processes that were to have it have been started.
 */
#include "shell.h"

#include <helix/format.h>
#include <helix/string.h>
#include <hx/memory.h>
#include <hx/syscall.h>
#include <hx/system.h>

#define SHELL_PROGRAM "/bin/shell"
#define TOOLS_PROGRAM "/bin/tools"
#define ARGS_MAX      1024

struct streams shell_streams;
int shell_status;
bool shell_leaving;

struct job {
    struct job *next;
    u32 number;
    bool said; /* that it has ended */
    u32 count;
    char *text;
    hx_handle_t processes[];
};

static struct {
    struct job *jobs; /* by number */
    char last[12];    /* $!: the number of the last job */
} running;

/* what is going to run */

struct stage {
    struct streams streams;
    struct shell_text text; /* the arguments, NUL-terminated, in a row */
    char **argv;
    int argc;
};

struct launch {
    struct stage *stages;
    u32 count;
    hx_handle_t *opened; /* inv 1 */
    u32 opened_count, opened_room;
};

static bool keep(struct launch *launch, hx_handle_t handle)
{
    if (launch->opened_count == launch->opened_room) {
        u32 room = launch->opened_room * 2 + 8;
        hx_handle_t *opened = realloc(launch->opened, room * sizeof(*opened));
        if (!opened) {
            HX_IGNORE(hx_handle_close(handle), "it is ours");
            return false;
        }
        launch->opened = opened;
        launch->opened_room = room;
    }
    launch->opened[launch->opened_count++] = handle;
    return true;
}

static void close_opened(struct launch *launch)
{
    while (launch->opened_count > 0) {
        HX_IGNORE(hx_handle_close(launch->opened[--launch->opened_count]), "it is ours");
    }
}

static void launch_free(struct launch *launch)
{
    close_opened(launch);
    for (u32 i = 0; i < launch->count; i++) {
        shell_text_free(&launch->stages[i].text);
        free(launch->stages[i].argv);
    }
    free(launch->stages);
    free(launch->opened);
}

static const char *lookup(void *ctx, const char *name)
{
    static char number[12];
    (void)ctx;
    if (str_equal(name, "?")) {
        format_buffer(number, sizeof(number), "%d", shell_status);
        return number;
    }
    return str_equal(name, "!") ? running.last : variable_get(name);
}

static int complain(const char *what, enum hx_status status)
{
    say(shell_streams.handles[HX_STDERR], "%s: %s\n", what, hx_status_words(status));
    return STATUS_FAILED;
}

static enum hx_status expand_args(const struct shell_line *line,
                                  const struct shell_command *command, struct stage *stage)
{
    for (u32 i = 0; i < command->words; i++) {
        struct shell_text one = {0};
        enum hx_status status =
            shell_expand(line->text, line->words[command->first_word + i], lookup, NULL, &one);
        if (status == HX_OK && !shell_text_add(&stage->text, one.data, one.used + 1)) {
            status = HX_ERR_NO_MEMORY;
        }
        shell_text_free(&one);
        if (status != HX_OK) {
            return status;
        }
    }
    stage->argv = calloc(command->words + 1, sizeof(char *));
    if (!stage->argv) {
        return HX_ERR_NO_MEMORY;
    }
    stage->argc = (int)command->words;
    char *at = stage->text.data;
    for (int i = 0; i < stage->argc; i++) {
        stage->argv[i] = at;
        at += strlen(at) + 1;
    }
    return HX_OK;
}

static int redirect(struct launch *launch, const struct shell_line *line,
                    const struct shell_redirect *r, struct streams *streams)
{
    static const u32 flags[] = {
        [REDIRECT_READ] = HX_OPEN_READ,
        [REDIRECT_WRITE] = HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_TRUNCATE,
        [REDIRECT_APPEND] = HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_APPEND,
    };
    if (r->kind == REDIRECT_SAME) {
        streams->handles[r->stream] = streams->handles[r->same];
        return STATUS_OK;
    }
    struct shell_text path = {0};
    enum hx_status status = shell_expand(line->text, r->target, lookup, NULL, &path);
    s64 handle = 0;
    if (status == HX_OK) {
        handle = hx_sys_file_open(HX_HANDLE_NONE, path.data, path.used, flags[r->kind], 0644);
        status = handle < 0 ? (enum hx_status)handle : HX_OK;
    }
    if (status == HX_OK && !keep(launch, (hx_handle_t)handle)) {
        status = HX_ERR_NO_MEMORY;
    }
    int result = STATUS_OK;
    if (status == HX_OK) {
        streams->handles[r->stream] = (hx_handle_t)handle;
    } else {
        result = complain(path.data ? path.data : "shell", status);
    }
    shell_text_free(&path);
    return result;
}

/* What runs in the background reads nothing, unless it is told what. */
static hx_handle_t background_input(struct launch *launch)
{
    static const char path[] = "/dev/null";
    s64 handle = hx_sys_file_open(HX_HANDLE_NONE, path, sizeof(path) - 1, HX_OPEN_READ, 0);
    return handle > 0 && keep(launch, (hx_handle_t)handle) ? (hx_handle_t)handle : HX_HANDLE_NONE;
}

/* Expands, opens pipes and files. */
static int launch_prepare(struct launch *launch, const struct shell_line *line,
                          const struct shell_pipeline *pipeline)
{
    launch->stages = calloc(pipeline->commands, sizeof(*launch->stages));
    if (!launch->stages) {
        return complain("shell", HX_ERR_NO_MEMORY);
    }
    launch->count = pipeline->commands;
    hx_handle_t from =
        pipeline->background ? background_input(launch) : shell_streams.handles[HX_STDIN];
    for (u32 i = 0; i < pipeline->commands; i++) {
        const struct shell_command *command = &line->commands[pipeline->first_command + i];
        struct stage *stage = &launch->stages[i];
        hx_handle_t ends[2] = {0};
        stage->streams = shell_streams;
        stage->streams.handles[HX_STDIN] = from;
        if (i + 1 < pipeline->commands) {
            s64 result = hx_sys_pipe_create(ends, 0);
            if (result < 0) {
                return complain("shell: pipe", (enum hx_status)result);
            }
            bool kept = keep(launch, ends[0]);
            if (!keep(launch, ends[1]) || !kept) {
                return complain("shell", HX_ERR_NO_MEMORY);
            }
            from = ends[0];
            stage->streams.handles[HX_STDOUT] = ends[1];
        }
        enum hx_status status = expand_args(line, command, stage);
        if (status != HX_OK) {
            return complain("shell", status);
        }
        for (u32 r = 0; r < command->redirects; r++) {
            int result = redirect(launch, line, &line->redirects[command->first_redirect + r],
                                  &stage->streams);
            if (result != STATUS_OK) {
                return result;
            }
        }
    }
    return STATUS_OK;
}

/* starting processes */

static void add_variable(void *ctx, const char *name, const char *value)
{
    struct shell_text *environment = ctx;
    HX_IGNORE(shell_text_add(environment, name, strlen(name)) &&
                  shell_text_add(environment, "=", 1) &&
                  shell_text_add(environment, value, strlen(value) + 1),
              "without memory the child finds fewer");
}

static enum hx_status start(const char *path, const struct streams *streams, int argc, char **argv,
                            hx_handle_t *out_process)
{
    struct shell_text args = {0}, environment = {0};
    enum hx_status status = HX_OK;
    for (int i = 0; i < argc && status == HX_OK; i++) {
        status = shell_text_add(&args, argv[i], strlen(argv[i]) + 1) ? HX_OK : HX_ERR_NO_MEMORY;
    }
    variable_for_each(add_variable, &environment);
    /* The system object goes to other shells alone: programs look and change nothing by it. */
    const hx_handle_t handles[] = {
        streams->handles[HX_STDIN], streams->handles[HX_STDOUT], streams->handles[HX_STDERR],
        str_equal(path, SHELL_PROGRAM) ? shell_system() : HX_HANDLE_NONE};
    struct hx_spawn spawn = {
        .size = sizeof(spawn),
        .path = (u64)(uintptr_t)path,
        .path_length = strlen(path),
        .args = (u64)(uintptr_t)args.data,
        .args_length = args.used,
        .environment = (u64)(uintptr_t)environment.data,
        .environment_length = environment.used,
        .handles = (u64)(uintptr_t)handles,
        .handle_count = HX_ARRAY_SIZE(handles),
    };
    if (status == HX_OK && args.used > HX_ARGS_MAX) {
        status = HX_ERR_OVERFLOW;
    }
    if (status == HX_OK) {
        s64 result = hx_sys_process_start(&spawn, sizeof(spawn));
        status = result < 0 ? (enum hx_status)result : HX_OK;
        *out_process = (hx_handle_t)result;
    }
    shell_text_free(&args);
    shell_text_free(&environment);
    return status;
}

/* A program by its name: a path, or what lies in /bin. */
static enum hx_status start_program(const struct streams *streams, int argc, char **argv,
                                    hx_handle_t *out_process)
{
    char path[HX_FILE_NAME_MAX + 8];
    if (strchr(argv[0], '/')) {
        return start(argv[0], streams, argc, argv, out_process);
    }
    if (!argv[0][0] || strlen(argv[0]) > HX_FILE_NAME_MAX) {
        return HX_ERR_NOT_FOUND;
    }
    bool message = argc > 1 && str_equal(argv[0], "ipc") &&
                   (str_equal(argv[1], "send") || str_equal(argv[1], "recv"));
    format_buffer(path, sizeof(path), "/bin/%s", message ? "ipcmsg" : argv[0]);
    return start(path, streams, argc, argv, out_process);
}

/* argv behind "shell --run". */
static enum hx_status start_subshell(const struct streams *streams, int argc, char **argv,
                                     hx_handle_t *out_process)
{
    static char name[] = "shell", option[] = "--run";
    char **longer = calloc((size_t)argc + 3, sizeof(char *));
    if (!longer) {
        return HX_ERR_NO_MEMORY;
    }
    longer[0] = name;
    longer[1] = option;
    memcpy(longer + 2, argv, (size_t)argc * sizeof(char *));
    enum hx_status status = start(SHELL_PROGRAM, streams, argc + 2, longer, out_process);
    free(longer);
    return status;
}

/* Whatever argv names, in a process of its own. */
static enum hx_status start_any(const struct streams *streams, int argc, char **argv,
                                hx_handle_t *out_process)
{
    if (builtin_find(argv[0])) {
        return start_subshell(streams, argc, argv, out_process);
    }
    if (tool_find(argv[0])) {
        return start(TOOLS_PROGRAM, streams, argc, argv, out_process);
    }
    enum hx_status status = start_program(streams, argc, argv, out_process);
    return status == HX_ERR_NOT_FOUND ? start_subshell(streams, argc, argv, out_process) : status;
}

/* waiting */

static int exit_status(const struct streams *streams, const char *name, u64 value)
{
    int ignored;
    const char *const argv[] = {"fault"};
    if (value == HX_EXIT_KILLED) {
        say(streams->handles[HX_STDERR], "%s: killed\n", name);
    } else if (value == HX_EXIT_FAULT && !shell_is_interactive()) {
        /* At a prompt the kernel's log has said it. */
        say(streams->handles[HX_STDERR], "%s: ", name);
        if (hx_system_command(shell_system(), 1, argv, streams->handles[HX_STDERR], &ignored) !=
            HX_OK) {
            say(streams->handles[HX_STDERR], "ended by a fault\n");
        }
    }
    return value > 255 ? STATUS_ENDED : (int)value;
}

/* Waits for all, closes them; the status of the last. With `to`, what is typed goes there. */
static int wait_foreground(const struct streams *streams, const char *name, hx_handle_t *processes,
                           u32 count, hx_handle_t to)
{
    u64 value = 0;
    if (shell_is_interactive()) {
        console_give(to, processes, count);
    }
    for (u32 i = 0; i < count; i++) {
        if (hx_process_wait(processes[i], HX_DEADLINE_NEVER, &value) != HX_OK) {
            value = STATUS_FAILED;
        }
    }
    if (shell_is_interactive()) {
        console_take_back();
    }
    for (u32 i = 0; i < count; i++) {
        HX_IGNORE(hx_handle_close(processes[i]), "it is ours");
    }
    return exit_status(streams, name, value);
}

/* The pipe that brings a foreground job what is typed: the job's end is closed with the launch, the
 * other by the console. */
static hx_handle_t input_pipe(struct launch *launch)
{
    hx_handle_t ends[2] = {0};
    struct streams *first = &launch->stages[0].streams;
    if (!shell_is_interactive() || first->handles[HX_STDIN] != shell_streams.handles[HX_STDIN] ||
        hx_sys_pipe_create(ends, 0) < 0) {
        return HX_HANDLE_NONE;
    }
    if (!keep(launch, ends[0])) {
        HX_IGNORE(hx_handle_close(ends[1]), "it is ours");
        return HX_HANDLE_NONE;
    }
    first->handles[HX_STDIN] = ends[0];
    return ends[1];
}

/* jobs */

static void job_add(const hx_handle_t *processes, u32 count, const char *text, size_t size)
{
    struct job **at = &running.jobs, *job = malloc(sizeof(*job) + count * sizeof(*processes));
    char *copy = malloc(size + 1);
    if (!job || !copy) {
        free(job);
        free(copy);
        complain("shell: it runs, but is in no list", HX_ERR_NO_MEMORY);
        return;
    }
    u32 number = 1;
    while (*at) {
        number = (*at)->number + 1;
        at = &(*at)->next;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    *job = (struct job){.number = number, .count = count, .text = copy};
    memcpy(job->processes, processes, count * sizeof(*processes));
    *at = job;
    format_buffer(running.last, sizeof(running.last), "%u", number);
    if (shell_is_interactive()) {
        say(shell_streams.handles[HX_STDOUT], "[%u]\n", number);
    }
}

/* Its last process has ended, and so. */
static bool job_has_ended(const struct job *job, u64 *out_value)
{
    *out_value = STATUS_FAILED;
    for (u32 i = 0; i < job->count; i++) {
        if (hx_process_wait(job->processes[i], 0, out_value) == HX_ERR_TIMED_OUT) {
            return false;
        }
    }
    return true;
}

static void job_remove(struct job **at)
{
    struct job *job = *at;
    *at = job->next;
    for (u32 i = 0; i < job->count; i++) {
        HX_IGNORE(hx_handle_close(job->processes[i]), "it is ours");
    }
    free(job->text);
    free(job);
}

void jobs_report(void)
{
    u64 value;
    for (struct job **at = &running.jobs; *at;) {
        if (job_has_ended(*at, &value)) {
            say(shell_streams.handles[HX_STDOUT], "[%u] ended %llu  %s\n", (*at)->number,
                (unsigned long long)(value > 255 ? STATUS_ENDED : value), (*at)->text);
            job_remove(at);
        } else {
            at = &(*at)->next;
        }
    }
}

int builtin_jobs(const struct streams *streams, int argc, char **argv)
{
    bool json = argc == 2 && str_equal(argv[1], "--json");
    hx_handle_t out = streams->handles[HX_STDOUT];
    u64 value;
    if (argc > 1 + json) {
        return say_usage(streams, "jobs");
    }
    for (struct job *job = running.jobs; job; job = job->next) {
        const char *state = job_has_ended(job, &value) ? "ended" : "running";
        if (json) {
            say(out, "{\"job\":%u,\"state\":\"%s\",\"line\":", job->number, state);
            say_json_string(out, job->text);
            say(out, "}\n");
        } else {
            say(out, "[%u] %-8s %s\n", job->number, state, job->text);
        }
    }
    return STATUS_OK;
}

/* "%2" or "2" to a job, else NULL. */
static struct job **job_find(const char *word)
{
    u64 number;
    struct job **at = &running.jobs;
    if (!str_to_u64(word + (*word == '%'), &number)) {
        return NULL;
    }
    while (*at && (*at)->number != number) {
        at = &(*at)->next;
    }
    return *at ? at : NULL;
}

static int job_wait(struct job **at)
{
    const struct job *job = *at;
    u64 value = STATUS_FAILED;
    for (u32 i = 0; i < job->count; i++) {
        if (hx_process_wait(job->processes[i], HX_DEADLINE_NEVER, &value) != HX_OK) {
            value = STATUS_FAILED;
        }
    }
    job_remove(at);
    return value > 255 ? STATUS_ENDED : (int)value;
}

int builtin_wait(const struct streams *streams, int argc, char **argv)
{
    int status = STATUS_OK;
    if (argc == 1) {
        while (running.jobs) {
            status = job_wait(&running.jobs);
        }
    }
    for (int i = 1; i < argc; i++) {
        struct job **at = job_find(argv[i]);
        if (!at) {
            say(streams->handles[HX_STDERR], "wait: no job %s\n", argv[i]);
            return STATUS_NOT_FOUND;
        }
        status = job_wait(at);
    }
    return status;
}

int builtin_kill(const struct streams *streams, int argc, char **argv)
{
    if (argc < 2) {
        return say_usage(streams, "kill");
    }
    int status = STATUS_OK;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '%') { /* a task's number: the kernel knows those */
            const char *const command[] = {"end", argv[i]};
            int result = STATUS_FAILED;
            enum hx_status called =
                hx_system_command(shell_system(), 2, command, streams->handles[HX_STDERR], &result);
            if (called != HX_OK) {
                complain("kill", called);
            }
            status = result ? STATUS_FAILED : status;
            continue;
        }
        struct job **at = job_find(argv[i]);
        if (!at) {
            say(streams->handles[HX_STDERR], "kill: no job %s\n", argv[i]);
            status = STATUS_FAILED;
            continue;
        }
        for (u32 p = 0; p < (*at)->count; p++) {
            HX_IGNORE(hx_process_kill((*at)->processes[p]), "it has ended before");
        }
    }
    return status;
}

/* running */

static int start_failed(const struct streams *streams, const char *name, enum hx_status status)
{
    if (status == HX_ERR_NOT_FOUND) {
        say(streams->handles[HX_STDERR], "%s: no such command; `help` lists them\n", name);
        return STATUS_NOT_FOUND;
    }
    say(streams->handles[HX_STDERR], "%s: %s\n", name, hx_status_words(status));
    return STATUS_FAILED;
}

/* A command of the kernel, in place; HX_ERR_NOT_FOUND when it has none of that name. */
static enum hx_status run_in_kernel(const struct streams *streams, int argc, char **argv,
                                    int *out_status)
{
    return shell_system() == HX_HANDLE_NONE
               ? HX_ERR_NOT_FOUND
               : hx_system_command(shell_system(), argc, (const char *const *)argv,
                                   streams->handles[HX_STDOUT], out_status);
}

/* Waits for a process that was started for a foreground stage of `launch`. */
static int finish_one(struct launch *launch, const char *name, enum hx_status status,
                      hx_handle_t process, hx_handle_t to)
{
    if (status != HX_OK) {
        if (to != HX_HANDLE_NONE) {
            HX_IGNORE(hx_handle_close(to), "it is ours");
        }
        return start_failed(&shell_streams, name, status);
    }
    close_opened(launch);
    return wait_foreground(&shell_streams, name, &process, 1, to);
}

/* A stage that is the whole pipeline, in the foreground. */
static int run_one(struct launch *launch)
{
    struct stage *stage = &launch->stages[0];
    const struct builtin *builtin = stage->argc ? builtin_find(stage->argv[0]) : NULL;
    enum hx_status status = HX_ERR_NOT_FOUND;
    hx_handle_t process = HX_HANDLE_NONE;
    int result = STATUS_OK;
    if (stage->argc == 0) {
        return STATUS_OK; /* its redirections have been made */
    }
    if (builtin) {
        return builtin->run(&stage->streams, stage->argc, stage->argv);
    }
    if (!tool_find(stage->argv[0]) && !shell_is_interactive()) {
        status = run_in_kernel(&stage->streams, stage->argc, stage->argv, &result);
        if (status == HX_OK) {
            return result;
        }
    }
    if (status != HX_ERR_NOT_FOUND) {
        return start_failed(&stage->streams, stage->argv[0], status);
    }
    hx_handle_t to = input_pipe(launch);
    if (shell_is_interactive()) { /* ^C ends a process, so the kernel's commands get one, too */
        status = start_any(&stage->streams, stage->argc, stage->argv, &process);
    } else if (tool_find(stage->argv[0])) {
        status = start(TOOLS_PROGRAM, &stage->streams, stage->argc, stage->argv, &process);
    } else {
        status = start_program(&stage->streams, stage->argc, stage->argv, &process);
    }
    return finish_one(launch, stage->argv[0], status, process, to);
}

int shell_run_program(const struct streams *streams, int argc, char **argv)
{
    struct stage stage = {.streams = *streams, .argv = argv, .argc = argc};
    struct launch launch = {.stages = &stage, .count = 1};
    hx_handle_t to = input_pipe(&launch), process = HX_HANDLE_NONE;
    enum hx_status status = start_program(&stage.streams, argc, argv, &process);
    int result = finish_one(&launch, argv[0], status, process, to);
    close_opened(&launch);
    free(launch.opened);
    return result;
}

int shell_run_argv(const struct streams *streams, int argc, char **argv)
{
    struct stage stage = {.streams = *streams, .argv = argv, .argc = argc};
    struct launch launch = {.stages = &stage, .count = 1};
    int status = run_one(&launch);
    close_opened(&launch);
    free(launch.opened);
    return status;
}

static int run_pipeline(const struct shell_line *line, const struct shell_pipeline *pipeline)
{
    struct launch launch = {0};
    int result = launch_prepare(&launch, line, pipeline);
    if (result == STATUS_OK && pipeline->commands == 1 && !pipeline->background) {
        result = run_one(&launch);
        launch_free(&launch);
        return result;
    }
    hx_handle_t *processes = calloc(pipeline->commands, sizeof(*processes));
    hx_handle_t to = HX_HANDLE_NONE;
    u32 started = 0;
    if (result == STATUS_OK && !processes) {
        result = complain("shell", HX_ERR_NO_MEMORY);
    }
    if (result == STATUS_OK && !pipeline->background) {
        to = input_pipe(&launch);
    }
    for (u32 i = 0; result == STATUS_OK && i < launch.count; i++) {
        struct stage *stage = &launch.stages[i];
        enum hx_status status = HX_ERR_INVALID;
        if (stage->argc > 0) {
            status = start_any(&stage->streams, stage->argc, stage->argv, &processes[started]);
        }
        if (status == HX_OK) {
            started++;
        } else {
            result = start_failed(&shell_streams, stage->argc ? stage->argv[0] : "shell", status);
        }
    }
    close_opened(&launch); /* now the processes alone hold the pipes, so that ends are seen */
    if (result != STATUS_OK) {
        for (u32 i = 0; i < started; i++) {
            HX_IGNORE(hx_process_kill(processes[i]), "it has ended before");
        }
    }
    if (started > 0 && result == STATUS_OK && pipeline->background) {
        job_add(processes, started, line->text + pipeline->text.from,
                pipeline->text.to - pipeline->text.from);
    } else if (started > 0) {
        int last = wait_foreground(&shell_streams, launch.stages[started - 1].argv[0], processes,
                                   started, to);
        result = result == STATUS_OK ? last : result;
    } else if (to != HX_HANDLE_NONE) {
        HX_IGNORE(hx_handle_close(to), "it is ours");
    }
    free(processes);
    launch_free(&launch);
    return result;
}

int shell_run_line(const char *text)
{
    struct shell_line line;
    const char *why;
    enum hx_status status = shell_parse(text, &line, &why);
    if (status != HX_OK) {
        say(shell_streams.handles[HX_STDERR], "shell: cannot understand: %s\n", why);
        return shell_status = STATUS_USAGE;
    }
    for (u32 i = 0; i < line.pipeline_count && !shell_leaving; i++) {
        const struct shell_pipeline *pipeline = &line.pipelines[i];
        if ((pipeline->join == JOIN_AND && shell_status != 0) ||
            (pipeline->join == JOIN_OR && shell_status == 0)) {
            continue;
        }
        shell_status = run_pipeline(&line, pipeline);
    }
    shell_line_free(&line);
    return shell_status;
}
