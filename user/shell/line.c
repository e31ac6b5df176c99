/* SPDX-License-Identifier: MIT */
/* Line editing, history, completion.
 * Owns:      what is on the terminal behind the prompt.      Context: one thread.
 * Spec:      input as a VT100 sends it (ECMA-48 CSI sequences); output uses CSI C, D, J, K, H.
 * Invariant: (1) cursor <= length < EDITOR_WIDTH; the screen shows prompt and line, the cursor in
 *            place.
 */
#include "line.h"

#include <helix/format.h>
#include <helix/string.h>

#define CTRL(c) ((c)&0x1f)

enum key {
    KEY_END_OF_INPUT = -1,
    KEY_UP = 256,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_HOME,
    KEY_END,
    KEY_DELETE,
    KEY_UNKNOWN
};

static void put(const struct editor *e, const char *text)
{
    e->write(e->ctx, text, strlen(text));
}

/* A control sequence with a number: ESC [ n final. */
static void put_csi(const struct editor *e, size_t n, char final)
{
    char text[24];
    format_buffer(text, sizeof(text), "\033[%zu%c", n, final);
    put(e, text);
}

const char *editor_history(const struct editor *e, u32 index)
{
    u32 kept = e->history_count < EDITOR_HISTORY ? e->history_count : EDITOR_HISTORY;
    return index < kept ? e->history[(e->history_count - kept + index) % EDITOR_HISTORY] : NULL;
}

static void history_add(struct editor *e)
{
    const char *last = e->history_count ? e->history[(e->history_count - 1) % EDITOR_HISTORY] : "";
    if (e->line[0] && !str_equal(e->line, last)) {
        memcpy(e->history[e->history_count++ % EDITOR_HISTORY], e->line, e->length + 1);
    }
}

static int read_sequence(struct editor *e)
{
    int c = e->read(e->ctx);
    if (c != '[' && c != 'O') {
        return c < 0 ? KEY_END_OF_INPUT : KEY_UNKNOWN;
    }
    u32 parameter = 0;
    while ((c = e->read(e->ctx)) >= '0' && c <= '9') {
        parameter = (parameter * 10 + (u32)(c - '0')) % 100;
    }
    switch (c) {
    case KEY_END_OF_INPUT:
        return KEY_END_OF_INPUT;
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return KEY_RIGHT;
    case 'D':
        return KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    case '~':
        return parameter == 3                     ? KEY_DELETE
               : parameter == 1 || parameter == 7 ? KEY_HOME
               : parameter == 4 || parameter == 8 ? KEY_END
                                                  : KEY_UNKNOWN;
    default:
        return KEY_UNKNOWN;
    }
}

static int read_key(struct editor *e)
{
    int c = e->read(e->ctx);
    return c == '\033' ? read_sequence(e) : c;
}

static void show_from(const struct editor *e, size_t at)
{
    e->write(e->ctx, e->line + at, e->length - at);
    put(e, "\033[K");
    if (e->length > e->cursor) {
        put_csi(e, e->length - e->cursor, 'D');
    }
}

static void redraw(const struct editor *e)
{
    put(e, "\r");
    put(e, e->prompt);
    show_from(e, 0);
}

static void move_cursor(struct editor *e, size_t to)
{
    if (to < e->cursor) {
        put_csi(e, e->cursor - to, 'D');
    } else if (to > e->cursor) {
        put_csi(e, to - e->cursor, 'C');
    }
    e->cursor = to;
}

static void insert(struct editor *e, char c)
{
    if (e->length + 1 >= EDITOR_WIDTH) {
        return;
    }
    memmove(e->line + e->cursor + 1, e->line + e->cursor, e->length - e->cursor);
    e->line[e->cursor++] = c;
    e->length++;
    if (e->cursor == e->length) {
        e->write(e->ctx, &c, 1); /* at the end there is nothing to move or erase */
    } else {
        show_from(e, e->cursor - 1);
    }
}

/* Removes [from, to) and leaves the cursor at from. */
static void erase(struct editor *e, size_t from, size_t to)
{
    move_cursor(e, from);
    memmove(e->line + from, e->line + to, e->length - to);
    e->length -= to - from;
    show_from(e, from);
}

static void replace(struct editor *e, const char *text)
{
    HX_IGNORE(str_copy(e->line, text, EDITOR_WIDTH), "history lines fit");
    e->length = e->cursor = strlen(e->line);
    redraw(e);
}

static void erase_word(struct editor *e)
{
    size_t from = e->cursor;
    while (from > 0 && e->line[from - 1] == ' ') {
        from--;
    }
    while (from > 0 && e->line[from - 1] != ' ') {
        from--;
    }
    erase(e, from, e->cursor);
}

/* completion */

struct candidates {
    struct editor *editor;
    u32 count;
    size_t common;           /* bytes that all agree on */
    char name[EDITOR_WIDTH]; /* the first */
    bool complete;
    bool listing;
};

static void consider(void *ctx, const char *name, bool complete)
{
    struct candidates *found = ctx;
    if (found->listing) {
        put(found->editor, name);
        put(found->editor, "  ");
        return;
    }
    if (found->count++ == 0) {
        HX_IGNORE(str_copy(found->name, name, sizeof(found->name)), "a cut name completes less");
        found->common = strlen(found->name);
        found->complete = complete;
        return;
    }
    size_t same = 0;
    while (same < found->common && name[same] == found->name[same]) {
        same++;
    }
    found->common = same;
}

/* True where a command's name stands: at the start, or behind an operator. */
static bool is_first(const struct editor *e, size_t word)
{
    while (word > 0 && e->line[word - 1] == ' ') {
        word--;
    }
    return word == 0 || strchr(";&|", e->line[word - 1]);
}

/* Adds what all candidates have in common; when that is nothing more, lists them. */
static void complete(struct editor *e)
{
    size_t word = e->cursor;
    while (word > 0 && !strchr(" ;&|<>", e->line[word - 1])) {
        word--;
    }
    size_t size = e->cursor - word;
    bool first = is_first(e, word);
    struct candidates found = {.editor = e};
    if (!e->candidates) {
        return;
    }
    char typed[EDITOR_WIDTH]; /* what is inserted moves the line */
    memcpy(typed, e->line + word, size);
    e->candidates(e->ctx, typed, size, first, consider, &found);
    for (size_t i = size; found.count > 0 && i < found.common; i++) {
        insert(e, found.name[i]);
    }
    if (found.count == 1 && found.complete) {
        insert(e, ' ');
    } else if (found.count > 1 && found.common <= size) {
        found.listing = true;
        put(e, "\n");
        e->candidates(e->ctx, typed, size, first, consider, &found);
        put(e, "\n");
        redraw(e);
    }
}

/* What a key does to the line; false for one that ends it. */
static bool edit(struct editor *e, int key, u32 *at)
{
    switch (key) {
    case KEY_DELETE:
    case CTRL('D'):
        if (e->cursor < e->length) {
            erase(e, e->cursor, e->cursor + 1);
        }
        return true;
    case '\b':
    case 0x7f:
        if (e->cursor > 0) {
            erase(e, e->cursor - 1, e->cursor);
        }
        return true;
    case KEY_LEFT:
    case CTRL('B'):
        move_cursor(e, e->cursor > 0 ? e->cursor - 1 : 0);
        return true;
    case KEY_RIGHT:
    case CTRL('F'):
        move_cursor(e, e->cursor < e->length ? e->cursor + 1 : e->length);
        return true;
    case KEY_HOME:
    case CTRL('A'):
        move_cursor(e, 0);
        return true;
    case KEY_END:
    case CTRL('E'):
        move_cursor(e, e->length);
        return true;
    case CTRL('K'):
        erase(e, e->cursor, e->length);
        return true;
    case CTRL('U'):
        erase(e, 0, e->cursor);
        return true;
    case CTRL('W'):
        erase_word(e);
        return true;
    case CTRL('L'):
        put(e, "\033[2J\033[H");
        redraw(e);
        return true;
    case '\t':
        complete(e);
        return true;
    case KEY_UP:
    case CTRL('P'):
        if (*at > 0) {
            replace(e, editor_history(e, --*at));
        }
        return true;
    case KEY_DOWN:
    case CTRL('N'):
        if (editor_history(e, *at)) {
            const char *newer = editor_history(e, ++*at);
            replace(e, newer ? newer : "");
        }
        return true;
    case '\r':
    case '\n':
    case CTRL('C'):
    case KEY_END_OF_INPUT:
        return false;
    default:
        if (key >= ' ' && key < 256) {
            insert(e, (char)key);
        }
        return true;
    }
}

enum editor_result editor_read(struct editor *e, const char *prompt)
{
    u32 at = e->history_count < EDITOR_HISTORY ? e->history_count : EDITOR_HISTORY;
    int key;
    e->prompt = prompt;
    e->length = e->cursor = 0;
    redraw(e);
    do {
        key = read_key(e);
    } while (!(key == CTRL('D') && e->length == 0) && edit(e, key, &at));
    if (key == CTRL('C')) {
        put(e, "^C\n");
        return EDITOR_INTERRUPT;
    }
    move_cursor(e, e->length);
    put(e, "\n");
    e->line[e->length] = '\0';
    if (key == KEY_END_OF_INPUT || key == CTRL('D')) {
        return EDITOR_END;
    }
    history_add(e);
    return EDITOR_LINE;
}
