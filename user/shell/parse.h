/* SPDX-License-Identifier: MIT */
/* The shell's language. A line is read as a whole before any of it runs:
 *   line     = pipeline { (";" | "&" | "&&" | "||") pipeline }
 *   pipeline = command { "|" command }
 *   command  = { word | redirect }
 *   redirect = [digit] ("<" | ">" | ">>") word | [digit] ">&" digit
 * '...' is literal; in "..." and outside, $NAME, ${NAME}, $? and $! are replaced; a backslash takes
 * the next character as it is; # begins a comment where a word could begin. A replaced variable is
 * not split into words.
 */
#ifndef SHELL_PARSE_H
#define SHELL_PARSE_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

#define SHELL_NAME_MAX 63 /* bytes of a variable's name */

/* Part of the line, as it was typed. */
struct shell_word {
    u32 from, to;
};

enum shell_redirect_kind { REDIRECT_READ, REDIRECT_WRITE, REDIRECT_APPEND, REDIRECT_SAME };

struct shell_redirect {
    u8 kind;   /* enum shell_redirect_kind */
    u8 stream; /* 0, 1, 2 */
    u8 same;   /* REDIRECT_SAME: the stream that it becomes a copy of */
    struct shell_word target;
};

struct shell_command {
    u32 first_word, words;
    u32 first_redirect, redirects;
};

enum shell_join { JOIN_ALWAYS, JOIN_AND, JOIN_OR };

struct shell_pipeline {
    u32 first_command, commands; /* commands > 0 */
    u8 join;                     /* with what ran before it */
    bool background;
    struct shell_word text; /* all of it, for `jobs` */
};

struct shell_line {
    const char *text; /* the caller's */
    struct shell_word *words;
    struct shell_redirect *redirects;
    struct shell_command *commands;
    struct shell_pipeline *pipelines;
    u32 word_count, redirect_count, command_count, pipeline_count;
};

/* Reads a line. Return: HX_OK, to be given to shell_line_free(); HX_ERR_INVALID, with a reason for
 * a person; HX_ERR_NO_MEMORY. Context: any thread. */
enum hx_status shell_parse(const char *text, struct shell_line *out_line,
                           const char **out_why) HX_MUST_CHECK;
void shell_line_free(struct shell_line *line);

/* A growing string; all zero is the empty one. */
struct shell_text {
    char *data; /* NUL-terminated once something was added */
    size_t used, room;
};

bool shell_text_add(struct shell_text *text, const char *bytes, size_t n); /* false: no memory */
void shell_text_free(struct shell_text *text);

/* The value of a variable ("?" and "!" among them), or NULL. */
typedef const char *shell_lookup_fn(void *ctx, const char *name);

/* Adds a word without its quotes and with its variables replaced to `out`.
 * Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status shell_expand(const char *line, struct shell_word word, shell_lookup_fn *lookup,
                            void *ctx, struct shell_text *out) HX_MUST_CHECK;

/* True for what may name a variable. */
bool shell_is_name(const char *name, size_t size);

#endif
