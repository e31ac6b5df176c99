/* SPDX-License-Identifier: MIT */
/* Recursive descent over the text, depth bounded, no state but the parser's.
 * Spec: RFC 8259; besides, C comments and a comma before a closing bracket are accepted.
 */
#include "json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

struct parser {
    const char *at, *end;
    int line;
    const char *what;
};

static struct json *fail(struct parser *p, const char *what)
{
    if (p->what == NULL) {
        p->what = what;
    }
    return NULL;
}

static bool skip(struct parser *p)
{
    while (p->at < p->end) {
        if (*p->at == '\n') {
            p->line++;
            p->at++;
        } else if (isspace((unsigned char)*p->at)) {
            p->at++;
        } else if (p->end - p->at >= 2 && p->at[0] == '/' && p->at[1] == '/') {
            while (p->at < p->end && *p->at != '\n') {
                p->at++;
            }
        } else if (p->end - p->at >= 2 && p->at[0] == '/' && p->at[1] == '*') {
            p->at += 2;
            while (p->end - p->at >= 2 && !(p->at[0] == '*' && p->at[1] == '/')) {
                p->line += *p->at++ == '\n';
            }
            p->at = p->end - p->at >= 2 ? p->at + 2 : p->end;
        } else {
            return true;
        }
    }
    return false;
}

static bool take(struct parser *p, char c)
{
    if (skip(p) && *p->at == c) {
        p->at++;
        return true;
    }
    return false;
}

/* After the opening quote. Escapes other than \u give their character; \u gives '?'. */
static char *parse_text(struct parser *p)
{
    char *text = malloc((size_t)(p->end - p->at) + 1), *out = text;
    if (text == NULL) {
        fail(p, "no memory");
        return NULL;
    }
    while (p->at < p->end && *p->at != '"' && *p->at != '\n') {
        char c = *p->at++;
        if (c == '\\' && p->at < p->end) {
            c = *p->at++;
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'u' ? '?' : c);
        }
        *out++ = c;
    }
    *out = '\0';
    if (p->at == p->end || *p->at != '"') {
        free(text);
        fail(p, "a string does not end on its line");
        return NULL;
    }
    p->at++;
    return text;
}

static struct json *parse_value(struct parser *p, int depth);

static bool parse_members(struct parser *p, struct json *value, char close, int depth)
{
    struct json **tail = &value->first;
    while (!take(p, close)) {
        char *name = NULL;
        struct json *child;
        if (close == '}') {
            if (!take(p, '"')) {
                fail(p, "a member's name is expected");
                return false;
            }
            name = parse_text(p);
            if (name == NULL) {
                return false;
            }
            if (!take(p, ':')) {
                free(name);
                fail(p, "a colon is expected");
                return false;
            }
        }
        child = parse_value(p, depth + 1);
        if (child == NULL) {
            free(name);
            return false;
        }
        child->name = name;
        *tail = child;
        tail = &child->next;
        if (!take(p, ',')) {
            if (take(p, close)) {
                return true;
            }
            fail(p, "a comma or a closing bracket is expected");
            return false;
        }
    }
    return true;
}

static bool parse_word(struct parser *p, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(p->end - p->at) >= n && memcmp(p->at, word, n) == 0) {
        p->at += n;
        return true;
    }
    return false;
}

static bool parse_number(struct parser *p, struct json *value)
{
    char digits[64];
    char *end;
    size_t n = 0;
    while (p->at + n < p->end && n + 1 < sizeof(digits) &&
           strchr("+-.0123456789eE", p->at[n]) != NULL && p->at[n] != '\0') {
        digits[n] = p->at[n];
        n++;
    }
    digits[n] = '\0';
    value->number = strtod(digits, &end);
    p->at += n;
    return n != 0 && *end == '\0' && value->number > -1e15 && value->number < 1e15;
}

static struct json *parse_value(struct parser *p, int depth)
{
    struct json *value = calloc(1, sizeof(*value));
    bool good = false;
    if (value == NULL || depth > DEPTH_MAX || !skip(p)) {
        free(value);
        return fail(p, value == NULL ? "no memory" : depth > DEPTH_MAX ? "too deep" : "it ends");
    }
    value->line = p->line;
    if (take(p, '{')) {
        value->kind = JSON_OBJECT;
        good = parse_members(p, value, '}', depth);
    } else if (take(p, '[')) {
        value->kind = JSON_ARRAY;
        good = parse_members(p, value, ']', depth);
    } else if (take(p, '"')) {
        value->kind = JSON_STRING;
        value->text = parse_text(p);
        good = value->text != NULL;
    } else if (parse_word(p, "true")) {
        value->kind = JSON_BOOL;
        value->boolean = good = true;
    } else if (parse_word(p, "false")) {
        value->kind = JSON_BOOL;
        good = true;
    } else if (parse_word(p, "null")) {
        good = true;
    } else {
        value->kind = JSON_NUMBER;
        good = parse_number(p, value);
    }
    if (!good) {
        json_free(value);
        return fail(p, "a value is expected");
    }
    return value;
}

struct json *json_parse(const char *text, size_t size, int *out_line, const char **out_what)
{
    struct parser p = {text, text + size, 1, NULL};
    struct json *value = parse_value(&p, 0);
    if (value != NULL && skip(&p)) {
        json_free(value);
        value = fail(&p, "something follows the end");
    }
    *out_line = p.line;
    *out_what = p.what;
    return value;
}

void json_free(struct json *value)
{
    while (value != NULL) {
        struct json *next = value->next;
        json_free(value->first);
        free(value->name);
        free(value->text);
        free(value);
        value = next;
    }
}

const struct json *json_get(const struct json *object, const char *name)
{
    if (object == NULL || object->kind != JSON_OBJECT) {
        return NULL;
    }
    for (const struct json *m = object->first; m != NULL; m = m->next) {
        if (strcmp(m->name, name) == 0) {
            return m;
        }
    }
    return NULL;
}
