/* SPDX-License-Identifier: MIT */
/* A JSON reader for workload files: whole document to a tree, members in the order of the file
 * (events of a workload run in that order, and names may repeat). Comments as C has them are
 * skipped, since existing rt-app files have some.
 */
#ifndef DIS_SIM_JSON_H
#define DIS_SIM_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    char *name; /* as a member of an object; else NULL */
    char *text; /* of a string */
    double number;
    bool boolean;
    struct json *first, *next; /* elements or members; sibling */
    int line;
};

/* NULL: not JSON; *out_line and *out_what say where and why. Freed by json_free(). */
struct json *json_parse(const char *text, size_t size, int *out_line, const char **out_what);
void json_free(struct json *value);

/* The member called `name`, NULL if there is none. */
const struct json *json_get(const struct json *object, const char *name);

#endif
