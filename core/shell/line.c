/* SPDX-License-Identifier: MIT */
/* Line editing and history.
 * Owns:      the history ring; the line being edited belongs to the caller.   Callers: shell_main.
 * Context:   the shell's thread.
 * Spec:      input as a VT100 sends it (ECMA-48 CSI sequences); output uses CSI C, D, J, K, H.
 * Invariant: (1) cursor <= length < size; the screen shows prompt and line, the cursor in place.
 */
#include <core/console.h>
#include <core/shell.h>
#include <helix/string.h>

#define HISTORY_LINES 32
#define HISTORY_WIDTH 256
#define CTRL(c)       ((c)&0x1f)

enum key {
    KEY_UP = 256,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_HOME,
    KEY_END,
    KEY_DELETE,
    KEY_UNKNOWN
};

static struct {
    char lines[HISTORY_LINES][HISTORY_WIDTH];
    u32 count; /* lines ever entered; the last HISTORY_LINES are kept */
} history;

struct editor {
    const char *prompt;
    char *buf;
    size_t size, length, cursor;
};

const char *shell_history(u32 index)
{
    u32 kept = history.count < HISTORY_LINES ? history.count : HISTORY_LINES;
    return index < kept ? history.lines[(history.count - kept + index) % HISTORY_LINES] : NULL;
}

static void history_add(const char *line)
{
    const char *last = history.count ? history.lines[(history.count - 1) % HISTORY_LINES] : "";
    if (line[0] && !str_equal(line, last)) {
        str_copy(history.lines[history.count++ % HISTORY_LINES], line, HISTORY_WIDTH);
    }
}

static int read_sequence(void)
{
    u8 c = console_read();
    if (c != '[' && c != 'O') {
        return KEY_UNKNOWN;
    }
    u32 parameter = 0;
    while ((c = console_read()) >= '0' && c <= '9') {
        parameter = (parameter * 10 + (c - '0')) % 100;
    }
    switch (c) {
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

static int read_key(void)
{
    u8 c = console_read();
    return c == '\033' ? read_sequence() : c;
}

static void show_from(const struct editor *e, size_t at)
{
    console_write(e->buf + at, e->length - at);
    console_printf("\033[K");
    if (e->length > e->cursor) {
        console_printf("\033[%zuD", e->length - e->cursor);
    }
}

static void redraw(const struct editor *e)
{
    console_printf("\r%s", e->prompt);
    show_from(e, 0);
}

static void move_cursor(struct editor *e, size_t to)
{
    if (to < e->cursor) {
        console_printf("\033[%zuD", e->cursor - to);
    } else if (to > e->cursor) {
        console_printf("\033[%zuC", to - e->cursor);
    }
    e->cursor = to;
}

static void insert(struct editor *e, char c)
{
    if (e->length + 1 >= e->size) {
        return;
    }
    memmove(e->buf + e->cursor + 1, e->buf + e->cursor, e->length - e->cursor);
    e->buf[e->cursor++] = c;
    e->length++;
    if (e->cursor == e->length) {
        console_write(&c, 1); /* at the end there is nothing to move or erase */
    } else {
        show_from(e, e->cursor - 1);
    }
}

/* Removes [from, to) and leaves the cursor at from. */
static void erase(struct editor *e, size_t from, size_t to)
{
    move_cursor(e, from);
    memmove(e->buf + from, e->buf + to, e->length - to);
    e->length -= to - from;
    show_from(e, from);
}

static void replace(struct editor *e, const char *text)
{
    str_copy(e->buf, text, e->size);
    e->length = e->cursor = strlen(e->buf);
    redraw(e);
}

static void erase_word(struct editor *e)
{
    size_t from = e->cursor;
    while (from > 0 && e->buf[from - 1] == ' ') {
        from--;
    }
    while (from > 0 && e->buf[from - 1] != ' ') {
        from--;
    }
    erase(e, from, e->cursor);
}

/* Completes a command name as far as all candidates agree; lists them when they do not. */
static void complete(struct editor *e)
{
    size_t n = e->cursor, matches = 0, common = 0;
    const char *first = NULL;
    if (memchr(e->buf, ' ', n)) {
        return;
    }
    HX_SET_FOREACH (shell_commands, it) {
        const char *name = (*it)->name;
        if (strncmp(name, e->buf, n) != 0) {
            continue;
        }
        if (matches++ == 0) {
            first = name;
            common = strlen(name);
        } else {
            size_t same = 0;
            while (same < common && name[same] == first[same]) {
                same++;
            }
            common = same;
        }
    }
    for (size_t i = n; matches > 0 && i < common; i++) {
        insert(e, first[i]);
    }
    if (matches == 1) {
        insert(e, ' ');
    } else if (matches > 1 && common == n) {
        console_printf("\n");
        HX_SET_FOREACH (shell_commands, it) {
            if (strncmp((*it)->name, e->buf, n) == 0) {
                console_printf("%s  ", (*it)->name);
            }
        }
        console_printf("\n");
        redraw(e);
    }
}

bool shell_read_line(const char *prompt, char *buf, size_t size)
{
    struct editor e = {.prompt = prompt, .buf = buf, .size = size};
    u32 at = history.count < HISTORY_LINES ? history.count : HISTORY_LINES; /* past the newest */
    redraw(&e);
    for (;;) {
        int key = read_key();
        switch (key) {
        case '\r':
        case '\n':
            move_cursor(&e, e.length);
            console_printf("\n");
            buf[e.length] = '\0';
            history_add(buf);
            return true;
        case CTRL('C'):
            console_printf("^C\n");
            e.length = e.cursor = 0;
            redraw(&e);
            break;
        case CTRL('D'):
            if (e.length == 0) {
                console_printf("\n");
                return false;
            }
            if (e.cursor < e.length) {
                erase(&e, e.cursor, e.cursor + 1);
            }
            break;
        case KEY_DELETE:
            if (e.cursor < e.length) {
                erase(&e, e.cursor, e.cursor + 1);
            }
            break;
        case '\b':
        case 0x7f:
            if (e.cursor > 0) {
                erase(&e, e.cursor - 1, e.cursor);
            }
            break;
        case KEY_LEFT:
        case CTRL('B'):
            move_cursor(&e, e.cursor > 0 ? e.cursor - 1 : 0);
            break;
        case KEY_RIGHT:
        case CTRL('F'):
            move_cursor(&e, e.cursor < e.length ? e.cursor + 1 : e.length);
            break;
        case KEY_HOME:
        case CTRL('A'):
            move_cursor(&e, 0);
            break;
        case KEY_END:
        case CTRL('E'):
            move_cursor(&e, e.length);
            break;
        case CTRL('K'):
            erase(&e, e.cursor, e.length);
            break;
        case CTRL('U'):
            erase(&e, 0, e.cursor);
            break;
        case CTRL('W'):
            erase_word(&e);
            break;
        case CTRL('L'):
            console_printf("\033[2J\033[H");
            redraw(&e);
            break;
        case '\t':
            complete(&e);
            break;
        case KEY_UP:
        case CTRL('P'):
            if (at > 0) {
                replace(&e, shell_history(--at));
            }
            break;
        case KEY_DOWN:
        case CTRL('N'):
            if (shell_history(at)) {
                const char *newer = shell_history(++at);
                replace(&e, newer ? newer : "");
            }
            break;
        default:
            if (key >= ' ' && key < 256) {
                insert(&e, (char)key);
            }
        }
    }
}
