/* SPDX-License-Identifier: MIT */
/* Line editing with history and completion, on a terminal that is two functions.
 */
#ifndef SHELL_LINE_H
#define SHELL_LINE_H

#include <helix/compiler.h>
#include <helix/types.h>

#define EDITOR_HISTORY 64
#define EDITOR_WIDTH   1024 /* bytes of a line, its NUL included */

/* What a candidate for completion is told to. `complete` is set when nothing may follow it directly
 * (a folder may be followed by what is in it). */
typedef void editor_add_fn(void *add_ctx, const char *name, bool complete);

struct editor {
    /* The caller's, set once. */
    int (*read)(void *ctx); /* the next byte, or -1: no more will come */
    void (*write)(void *ctx, const char *text, size_t n);
    /* Names the candidates that begin with word[0 .. size-1]. first: where a command stands. NULL:
     * there is no completion. */
    void (*candidates)(void *ctx, const char *word, size_t size, bool first, editor_add_fn *add,
                       void *add_ctx);
    void *ctx;
    /* The editor's own; zero at first. */
    const char *prompt;
    char line[EDITOR_WIDTH];
    size_t length, cursor;
    char history[EDITOR_HISTORY][EDITOR_WIDTH];
    u32 history_count; /* lines ever entered; the last EDITOR_HISTORY are kept */
};

enum editor_result { EDITOR_LINE, EDITOR_END, EDITOR_INTERRUPT };

/* Shows the prompt and reads a line into e->line. EDITOR_END: the end of input, or ^D on an empty
 * line; EDITOR_INTERRUPT: ^C. A line too long stops growing. Blocks. */
enum editor_result editor_read(struct editor *e, const char *prompt);

/* The lines entered before, 0 is the oldest kept; NULL past the last. */
const char *editor_history(const struct editor *e, u32 index);

#endif
