/* SPDX-License-Identifier: MIT */
/* From a line to pipelines of commands, and from a word to its text.
 * Owns:      what a struct shell_line points to.      Context: any thread.
 * Invariant: (1) every array has room for one entry a byte of the line and one more, so that none
 *            can overflow.
 *            (2) a word ends outside quotes; what shell_expand() is given was checked for that.
 */
#include "parse.h"

#include <helix/string.h>
#include <hx/memory.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool ends_word(char c)
{
    return c == '\0' || is_blank(c) || strchr(";&|<>", c);
}

static bool is_name_byte(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

bool shell_is_name(const char *name, size_t size)
{
    if (size == 0 || size > SHELL_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!is_name_byte(name[i], i == 0)) {
            return false;
        }
    }
    return true;
}

/* reading */

struct reader {
    struct shell_line *line;
    const char *text;
    u32 at;
    const char *why;
};

static bool refuse(struct reader *r, const char *why)
{
    r->why = why;
    return false;
}

static void skip_blanks(struct reader *r)
{
    while (is_blank(r->text[r->at])) {
        r->at++;
    }
    if (r->text[r->at] == '#') {
        r->at += (u32)strlen(r->text + r->at);
    }
}

static bool read_word(struct reader *r, struct shell_word *out)
{
    const char *text = r->text;
    u32 at = r->at;
    while (!ends_word(text[at])) {
        if (text[at] == '\'' || text[at] == '"') {
            char quote = text[at++];
            while (text[at] && text[at] != quote) {
                at += quote == '"' && text[at] == '\\' && text[at + 1] ? 2 : 1;
            }
            if (!text[at]) {
                return refuse(r, "a quote is open");
            }
            at++;
        } else {
            at += text[at] == '\\' && text[at + 1] ? 2 : 1;
        }
    }
    if (at == r->at) {
        return refuse(r, text[at] ? "a name is missing before it" : "a name is missing at the end");
    }
    *out = (struct shell_word){r->at, at};
    r->at = at;
    return true;
}

/* At the < or >, with the digit in front of it, if any, taken off. */
static bool read_redirect(struct reader *r, s32 stream)
{
    struct shell_line *line = r->line;
    struct shell_redirect *redirect = &line->redirects[line->redirect_count];
    bool reads = r->text[r->at++] == '<';
    *redirect = (struct shell_redirect){.kind = reads ? REDIRECT_READ : REDIRECT_WRITE,
                                        .stream = (u8)(stream >= 0 ? stream : !reads)};
    if (!reads && r->text[r->at] == '>') {
        r->at++;
        redirect->kind = REDIRECT_APPEND;
    } else if (!reads && r->text[r->at] == '&') {
        char digit = r->text[r->at + 1];
        if (digit < '0' || digit > '2' || !ends_word(r->text[r->at + 2])) {
            return refuse(r, "behind >& stands 1 or 2");
        }
        r->at += 2;
        redirect->kind = REDIRECT_SAME;
        redirect->same = (u8)(digit - '0');
    }
    if (redirect->kind != REDIRECT_SAME) {
        skip_blanks(r);
        if (!read_word(r, &redirect->target)) {
            return false;
        }
    }
    line->redirect_count++;
    return true;
}

static bool read_command(struct reader *r)
{
    struct shell_line *line = r->line;
    struct shell_command *command = &line->commands[line->command_count];
    *command = (struct shell_command){.first_word = line->word_count,
                                      .first_redirect = line->redirect_count};
    for (skip_blanks(r);; skip_blanks(r)) {
        const char *text = r->text + r->at;
        bool digit = *text >= '0' && *text <= '2' && (text[1] == '<' || text[1] == '>');
        if (digit || *text == '<' || *text == '>') {
            r->at += digit;
            if (!read_redirect(r, digit ? *text - '0' : -1)) {
                return false;
            }
        } else if (ends_word(*text)) {
            break;
        } else if (!read_word(r, &line->words[line->word_count])) {
            return false;
        } else {
            line->word_count++;
        }
    }
    command->words = line->word_count - command->first_word;
    command->redirects = line->redirect_count - command->first_redirect;
    line->command_count += command->words || command->redirects;
    return true;
}

/* Up to what ends it; a pipeline without commands is not kept. */
static bool read_pipeline(struct reader *r, enum shell_join join)
{
    struct shell_line *line = r->line;
    struct shell_pipeline *pipeline = &line->pipelines[line->pipeline_count];
    *pipeline = (struct shell_pipeline){.first_command = line->command_count, .join = (u8)join};
    skip_blanks(r);
    pipeline->text.from = r->at;
    for (u32 wanted = 1;; wanted++) {
        if (!read_command(r)) {
            return false;
        }
        pipeline->commands = line->command_count - pipeline->first_command;
        bool more = r->text[r->at] == '|' && r->text[r->at + 1] != '|';
        if (pipeline->commands != wanted && (more || wanted > 1)) {
            return refuse(r, "a pipe has no command on one side");
        }
        if (!more) {
            break;
        }
        r->at++;
    }
    pipeline->text.to = r->at;
    if (pipeline->commands == 0 && join != JOIN_ALWAYS) {
        return refuse(r, "&& or || has no command on one side");
    }
    line->pipeline_count += pipeline->commands > 0;
    return true;
}

static bool read_line(struct reader *r)
{
    struct shell_line *line = r->line;
    enum shell_join join = JOIN_ALWAYS;
    for (;;) {
        u32 before = line->pipeline_count;
        if (!read_pipeline(r, join)) {
            return false;
        }
        bool found = line->pipeline_count > before;
        char c = r->text[r->at];
        if (c == '\0') {
            return true;
        }
        join = JOIN_ALWAYS;
        if (c == r->text[r->at + 1] && c != ';') {
            join = c == '&' ? JOIN_AND : JOIN_OR;
            if (!found) {
                return refuse(r, "&& or || has no command on one side");
            }
            r->at++;
        } else if (c == '&') {
            if (!found) {
                return refuse(r, "& has no command before it");
            }
            line->pipelines[before].background = true;
        }
        r->at++;
    }
}

void shell_line_free(struct shell_line *line)
{
    free(line->words);
    free(line->redirects);
    free(line->commands);
    free(line->pipelines);
    *line = (struct shell_line){0};
}

enum hx_status shell_parse(const char *text, struct shell_line *out_line, const char **out_why)
{
    size_t room = strlen(text) + 2; /* inv 1 */
    struct shell_line line = {
        .text = text,
        .words = calloc(room, sizeof(*line.words)),
        .redirects = calloc(room, sizeof(*line.redirects)),
        .commands = calloc(room, sizeof(*line.commands)),
        .pipelines = calloc(room, sizeof(*line.pipelines)),
    };
    enum hx_status status = HX_ERR_NO_MEMORY;
    *out_why = "out of memory";
    if (line.words && line.redirects && line.commands && line.pipelines) {
        struct reader reader = {.line = &line, .text = text};
        status = read_line(&reader) ? HX_OK : HX_ERR_INVALID;
        *out_why = reader.why;
    }
    if (status == HX_OK) {
        *out_line = line;
    } else {
        shell_line_free(&line);
    }
    return status;
}

/* text */

bool shell_text_add(struct shell_text *text, const char *bytes, size_t n)
{
    if (n >= text->room - text->used) {
        size_t room = (text->used + n + 1) * 2;
        char *data = realloc(text->data, room);
        if (!data) {
            return false;
        }
        text->data = data;
        text->room = room;
    }
    memcpy(text->data + text->used, bytes, n);
    text->used += n;
    text->data[text->used] = '\0';
    return true;
}

void shell_text_free(struct shell_text *text)
{
    free(text->data);
    *text = (struct shell_text){0};
}

/* expanding */

struct expansion {
    const char *at, *end;
    shell_lookup_fn *lookup;
    void *ctx;
    struct shell_text *out;
};

static bool add(struct expansion *x, char c)
{
    return shell_text_add(x->out, &c, 1);
}

/* x->at is behind the dollar sign. */
static bool add_variable(struct expansion *x)
{
    char name[SHELL_NAME_MAX + 1];
    bool braces = x->at < x->end && *x->at == '{';
    const char *from = x->at + braces, *to = from;
    if (to < x->end && (*to == '?' || *to == '!')) {
        to++;
    } else {
        while (to < x->end && is_name_byte(*to, to == from)) {
            to++;
        }
    }
    size_t size = (size_t)(to - from);
    if (size == 0 || size > SHELL_NAME_MAX || (braces && (to == x->end || *to != '}'))) {
        return add(x, '$'); /* and what follows as it is */
    }
    memcpy(name, from, size);
    name[size] = '\0';
    x->at = to + braces;
    const char *value = x->lookup(x->ctx, name);
    return !value || shell_text_add(x->out, value, strlen(value));
}

static bool add_quoted(struct expansion *x)
{
    char quote = *x->at++;
    while (*x->at != quote) { /* inv 2 */
        if (quote == '"' && *x->at == '$') {
            x->at++;
            if (!add_variable(x)) {
                return false;
            }
            continue;
        }
        x->at += quote == '"' && *x->at == '\\';
        if (!add(x, *x->at++)) {
            return false;
        }
    }
    x->at++;
    return true;
}

enum hx_status shell_expand(const char *line, struct shell_word word, shell_lookup_fn *lookup,
                            void *ctx, struct shell_text *out)
{
    struct expansion x = {line + word.from, line + word.to, lookup, ctx, out};
    bool fits = shell_text_add(out, "", 0);
    while (fits && x.at < x.end) {
        if (*x.at == '\'' || *x.at == '"') {
            fits = add_quoted(&x);
        } else if (*x.at == '$') {
            x.at++;
            fits = add_variable(&x);
        } else {
            x.at += *x.at == '\\' && x.at + 1 < x.end;
            fits = add(&x, *x.at++);
        }
    }
    return fits ? HX_OK : HX_ERR_NO_MEMORY;
}
