/* SPDX-License-Identifier: MIT */
/* The console between the shell and what it runs in the foreground. The kernel gives raw bytes; who
 * they are for, and what a line is, is decided here.
 * Owns:      the console's input.      Threads: the reader, which alone reads the console; the main
 *            thread, which edits lines from the pipe `keys`.
 * Locks:     console.lock around who has the console: held for a moment, never over a wait.
 *
 *            reader: console --> keys --> editor            while the shell has the console
 *                    console --> line --> to (a pipe)       while a job has it; ^C ends the job
 *
 * Invariant: (1) `to` and `processes` are the job's only while `given`; the main thread closes them
 *            after it has taken the console back, and the reader uses them under the lock. A write
 * to `to` waits only while the job lives and does not read what was typed for it.
 */
#include "shell.h"

#include <helix/string.h>
#include <hx/syscall.h>
#include <hx/thread.h>

#define CTRL(c)  ((c)&0x1f)
#define LINE_MAX 1024

static struct {
    struct hx_lock lock;
    bool given;
    bool ended; /* ^D: `to` takes no more */
    hx_handle_t to;
    const hx_handle_t *processes;
    u32 count;
    char line[LINE_MAX];
    size_t used;
    hx_handle_t keys[2]; /* read end, write end */
} console;

static void echo(const char *text, size_t size)
{
    say_bytes(shell_streams.handles[HX_STDOUT], text, size);
}

static void send_line(void)
{
    hx_sys_file_write(console.to, console.line, console.used);
    console.used = 0;
}

/* A byte for the job. The lock is held. */
static void cook(char c)
{
    if (c == CTRL('C')) {
        echo("^C\n", 3);
        for (u32 i = 0; i < console.count; i++) {
            HX_IGNORE(hx_process_kill(console.processes[i]), "it has ended before");
        }
        console.used = 0;
    } else if (console.ended) {
        return;
    } else if (c == CTRL('D') && console.used == 0) {
        console.ended = true;
        HX_IGNORE(hx_handle_close(console.to), "it is ours");
    } else if (c == '\r' || c == '\n') {
        echo("\n", 1);
        console.line[console.used++] = '\n';
        send_line();
    } else if (c == '\b' || c == 0x7f) {
        if (console.used > 0) {
            console.used--;
            echo("\b \b", 3);
        }
    } else if ((u8)c >= ' ' && console.used + 1 < LINE_MAX) {
        console.line[console.used++] = c;
        echo(&c, 1);
    }
}

static u64 reader(void *arg)
{
    char bytes[64] = {0};
    (void)arg;
    for (;;) {
        s64 n = hx_sys_file_read(shell_streams.handles[HX_STDIN], bytes, sizeof(bytes));
        if (n <= 0) {
            break;
        }
        for (s64 i = 0; i < n; i++) {
            hx_lock_acquire(&console.lock);
            bool given = console.given;
            if (given) {
                cook(bytes[i]);
            }
            hx_lock_release(&console.lock);
            if (!given && hx_sys_file_write(console.keys[1], &bytes[i], 1) < 0) {
                return 0;
            }
        }
    }
    HX_IGNORE(hx_handle_close(console.keys[1]), "the editor then sees the end");
    return 0;
}

static int read_key(void *ctx)
{
    u8 byte = 0;
    (void)ctx;
    return hx_sys_file_read(console.keys[0], &byte, 1) == 1 ? byte : -1;
}

static int read_directly(void *ctx)
{
    u8 byte = 0;
    (void)ctx;
    return hx_sys_file_read(shell_streams.handles[HX_STDIN], &byte, 1) == 1 ? byte : -1;
}

static void write_screen(void *ctx, const char *text, size_t size)
{
    (void)ctx;
    echo(text, size);
}

void console_start(struct editor *editor)
{
    struct hx_thread thread;
    editor->write = write_screen;
    editor->read = read_key;
    if (hx_sys_pipe_create(console.keys, 0) < 0 ||
        hx_thread_create(reader, NULL, &thread) != HX_OK) {
        editor->read = read_directly; /* then a job has no input, and ^C does not end it */
        console.keys[1] = HX_HANDLE_NONE;
    }
}

void console_give(hx_handle_t to, const hx_handle_t *processes, u32 count)
{
    hx_lock_acquire(&console.lock);
    console.to = to;
    console.processes = processes;
    console.count = count;
    console.used = 0;
    console.ended = to == HX_HANDLE_NONE;
    console.given = true;
    hx_lock_release(&console.lock);
}

void console_take_back(void)
{
    hx_lock_acquire(&console.lock);
    console.given = false;
    if (!console.ended) {
        HX_IGNORE(hx_handle_close(console.to), "it is ours");
    }
    hx_lock_release(&console.lock);
}
