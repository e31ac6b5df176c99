/* SPDX-License-Identifier: MIT */
/* Variables.
 * Owns:      the list of them.      Context: the shell's main thread.
 */
#include "shell.h"

#include <helix/string.h>
#include <hx/memory.h>

struct variable {
    struct variable *next;
    char *value; /* its own allocation */
    char name[];
};

static struct variable *variables;

static struct variable **find(const char *name)
{
    struct variable **at = &variables;
    while (*at && !str_equal((*at)->name, name)) {
        at = &(*at)->next;
    }
    return at;
}

const char *variable_get(const char *name)
{
    struct variable *found = *find(name);
    return found ? found->value : NULL;
}

static char *copy(const char *text)
{
    size_t size = strlen(text) + 1;
    char *made = malloc(size);
    return made ? memcpy(made, text, size) : NULL;
}

bool variable_set(const char *name, const char *value)
{
    char *text = copy(value);
    struct variable **at = find(name);
    if (!text || !shell_is_name(name, strlen(name))) {
        free(text);
        return false;
    }
    if (*at) {
        free((*at)->value);
        (*at)->value = text;
        return true;
    }
    struct variable *made = malloc(sizeof(*made) + strlen(name) + 1);
    if (!made) {
        free(text);
        return false;
    }
    memcpy(made->name, name, strlen(name) + 1);
    made->value = text;
    made->next = NULL;
    *at = made;
    return true;
}

bool variable_unset(const char *name)
{
    struct variable **at = find(name), *gone = *at;
    if (!gone) {
        return false;
    }
    *at = gone->next;
    free(gone->value);
    free(gone);
    return true;
}

void variable_for_each(void (*visit)(void *ctx, const char *name, const char *value), void *ctx)
{
    for (struct variable *v = variables; v; v = v->next) {
        visit(ctx, v->name, v->value);
    }
}
