/* SPDX-License-Identifier: MIT */
/* From needs to an order: depth first, in the order in which components stand in their list.
 * Owns:      nothing.      Callers: orchestrator.c, its unit tests.       Context: any.
 * Invariant: (1) a component is put out once, after everything it needs; or it is flawed, and so is
 *            everything that needs it.
 *            (2) the path from the first component to the one looked at holds each at most once:
 *            what would be there twice closes a cycle, and the path is its name.
 */
#include <core/orchestrator.h>
#include <helix/format.h>
#include <helix/string.h>

enum mark { MARK_NEW, MARK_ON_PATH, MARK_DONE, MARK_FLAWED };

struct walk {
    const struct component *const *components;
    u32 count;
    u8 *order;
    u32 ordered;
    u8 marks[COMPONENTS_MAX]; /* enum mark */
    u8 path[COMPONENTS_MAX];  /* inv 2 */
    u32 depth;
    void (*problem)(void *ctx, const char *line);
    void *ctx;
};

static bool needs_all(const struct component *c)
{
    return c->needs && str_equal(c->needs, "*");
}

static u32 find(const struct walk *w, const char *name, size_t size)
{
    for (u32 i = 0; i < w->count; i++) {
        if (strlen(w->components[i]->name) == size &&
            memcmp(w->components[i]->name, name, size) == 0) {
            return i;
        }
    }
    return COMPONENTS_MAX;
}

static void report_cycle(struct walk *w, u32 again)
{
    char line[256];
    u32 at = 0;
    while (w->path[at] != again) {
        at++;
    }
    size_t used = format_buffer(line, sizeof(line), "cycle: ");
    for (; at < w->depth && used < sizeof(line); at++) {
        used += format_buffer(line + used, sizeof(line) - used, "%s -> ",
                              w->components[w->path[at]]->name);
    }
    if (used < sizeof(line)) {
        format_buffer(line + used, sizeof(line) - used, "%s", w->components[again]->name);
    }
    w->problem(w->ctx, line);
}

/* True when it has an order. No deeper than COMPONENTS_MAX: inv 2. */
static bool visit(struct walk *w, u32 index) // NOLINT(misc-no-recursion)
{
    if (w->marks[index] == MARK_ON_PATH) {
        report_cycle(w, index);
        return false;
    }
    if (w->marks[index] != MARK_NEW) {
        return w->marks[index] == MARK_DONE;
    }
    const struct component *c = w->components[index];
    bool good = true;
    w->marks[index] = MARK_ON_PATH;
    w->path[w->depth++] = (u8)index;
    if (needs_all(c)) {
        for (u32 i = 0; i < w->count; i++) {
            if (!needs_all(w->components[i])) {
                visit(w, i); /* it comes behind them, whatever they are like */
            }
        }
    } else {
        for (const char *need = c->needs ? c->needs : ""; *need;) {
            const char *space = strchr(need, ' ');
            size_t size = space ? (size_t)(space - need) : strlen(need);
            u32 other = find(w, need, size);
            if (other == COMPONENTS_MAX) {
                char line[128];
                format_buffer(line, sizeof(line), "%s needs %.*s, which does not exist", c->name,
                              (int)size, need);
                w->problem(w->ctx, line);
                good = false;
            } else {
                good = visit(w, other) && good;
            }
            need += size + (space != NULL);
        }
    }
    w->depth--;
    w->marks[index] = good ? MARK_DONE : MARK_FLAWED;
    if (good) {
        w->order[w->ordered++] = (u8)index;
    }
    return good;
}

u32 components_order(const struct component *const *components, u32 count, u8 *out_order,
                     void (*problem)(void *ctx, const char *line), void *ctx)
{
    struct walk walk = {.components = components,
                        .count = count,
                        .order = out_order,
                        .problem = problem,
                        .ctx = ctx};
    for (u32 i = 0; i < count; i++) {
        visit(&walk, i);
    }
    return walk.ordered;
}
