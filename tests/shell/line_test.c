/* SPDX-License-Identifier: MIT */
/* user/shell/line.c on a terminal that understands what the editor writes: after every key the
 * screen must show prompt and line with the cursor in place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <shell/line.h>

#define PROMPT "$ "
#define WIDTH  8192

static struct {
    const char *input;
    size_t at, size;
    char row[WIDTH]; /* the last line of the screen */
    size_t column;
    char above[256]; /* the line above it */
    u32 checks;
} terminal;

static struct editor editor;

static void type(char c)
{
    if (c == '\r') {
        terminal.column = 0;
    } else if (c == '\n') {
        snprintf(terminal.above, sizeof(terminal.above), "%.200s", terminal.row);
        memset(terminal.row, 0, sizeof(terminal.row));
        terminal.column = 0;
    } else {
        assert_true((u8)c >= ' ' && terminal.column + 1 < WIDTH);
        terminal.row[terminal.column++] = c;
    }
}

static void write_terminal(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\033') {
            type(text[i]);
            continue;
        }
        assert_true(text[++i] == '[');
        size_t number = 0;
        for (i++; text[i] >= '0' && text[i] <= '9'; i++) {
            number = number * 10 + (size_t)(text[i] - '0');
        }
        switch (text[i]) {
        case 'C':
            terminal.column += number;
            break;
        case 'D':
            assert_true(terminal.column >= number);
            terminal.column -= number;
            break;
        case 'K':
            memset(terminal.row + terminal.column, 0, WIDTH - terminal.column);
            break;
        case 'H':
            terminal.column = 0;
            break;
        case 'J':
            memset(terminal.row, 0, WIDTH);
            break;
        default:
            fail_msg("the editor wrote ESC [ %c", text[i]);
        }
    }
}

/* Before each key: invariant 1 of the editor. */
static int read_terminal(void *ctx)
{
    (void)ctx;
    char shown[EDITOR_WIDTH + 8];
    assert_true(editor.cursor <= editor.length && editor.length < EDITOR_WIDTH);
    snprintf(shown, sizeof(shown), PROMPT "%.*s", (int)editor.length, editor.line);
    if (terminal.at == 0 || terminal.input[terminal.at - 1] != '\033') {
        assert_string_equal(terminal.row, shown);
        assert_int_equal(terminal.column, strlen(PROMPT) + editor.cursor);
        terminal.checks++;
    }
    return terminal.at < terminal.size ? (u8)terminal.input[terminal.at++] : -1;
}

static void candidates(void *ctx, const char *word, size_t size, bool first, editor_add_fn *add,
                       void *add_ctx)
{
    static const char *const commands[] = {"help", "health", "hexdump", "ls"};
    static const char *const files[] = {"bin/", "boot", "hello.txt"};
    (void)ctx;
    for (u32 i = 0; first && i < HX_ARRAY_SIZE(commands); i++) {
        if (strncmp(commands[i], word, size) == 0) {
            add(add_ctx, commands[i], true);
        }
    }
    for (u32 i = 0; !first && i < HX_ARRAY_SIZE(files); i++) {
        if (strncmp(files[i], word, size) == 0) {
            add(add_ctx, files[i], i > 0);
        }
    }
}

static enum editor_result read_keys(const char *keys, size_t size)
{
    memset(terminal.row, 0, sizeof(terminal.row));
    terminal.column = 0;
    terminal.input = keys;
    terminal.at = 0;
    terminal.size = size;
    editor.read = read_terminal;
    editor.write = write_terminal;
    editor.candidates = candidates;
    return editor_read(&editor, PROMPT);
}

static void expect(const char *keys, const char *line)
{
    assert_int_equal(read_keys(keys, strlen(keys)), EDITOR_LINE);
    assert_string_equal(editor.line, line);
}

static int forget(void **state)
{
    (void)state;
    memset(&editor, 0, sizeof(editor));
    return 0;
}

static void keys_edit(void **state)
{
    (void)state;
    expect("echo helxo\x7f\x7fo\bix works\r", "echo helix works");
    expect("cho\x01"
           "e\r",
           "echo");
    expect("bd\033[Dc\033[D\033[Da\x05"
           "e\r",
           "abcde");
    expect("junk\x15"
           "clean\r",
           "clean");
    expect("abc\033[H\033[3~\033[F!\r", "bc!");
    expect("abc\033[1~\x04x\033[4~y\r", "xbcy");
    expect("one two  \x17three\r", "one three");
    expect("head tail\x02\x02\x02\x02\x0b!\r", "head !");
    expect("a\x0c"
           "b\r",
           "ab");
    expect("\033[D\033[C\x7f\n", "");
    expect("a\033OCb\033[99;5x\033[Zc\r", "ab5xc");
}

static void history_goes_back_and_forth(void **state)
{
    (void)state;
    expect("one\r", "one");
    expect("two\r", "two");
    expect("two\r", "two"); /* kept once */
    expect("three\r", "three");
    expect("\033[A\033[A\r", "two");
    expect("\x10\x10\x10\x10\x10\x10!\r", "one!");
    expect("\033[A\033[A\033[B\033[B\033[Bnew\r", "new");
    assert_string_equal(editor_history(&editor, 0), "one");
    assert_null(editor_history(&editor, 6));
    for (u32 i = 0; i < EDITOR_HISTORY + 5; i++) {
        char keys[24], line[16];
        snprintf(line, sizeof(line), "n%u", i);
        snprintf(keys, sizeof(keys), "%s\r", line);
        expect(keys, line);
    }
    assert_string_equal(editor_history(&editor, 0), "n5");
    assert_string_equal(editor_history(&editor, EDITOR_HISTORY - 1), "n68");
    assert_null(editor_history(&editor, EDITOR_HISTORY));
}

static void tab_completes_what_is_certain_and_lists_the_rest(void **state)
{
    (void)state;
    expect("l\t-l\r", "ls -l");
    expect("he\t\r", "he");
    assert_string_equal(terminal.above, PROMPT "he");
    expect("hel\t\r", "help ");
    expect("nothing\t\r", "nothing");
    expect("ls bi\tx\r", "ls bin/x"); /* more may follow a folder */
    expect("ls bo\t\r", "ls boot ");
    expect("a; l\t\r", "a; ls ");
    expect("a |hex\t\r", "a |hexdump ");
    expect("cat <he\t\r", "cat <hello.txt ");
    expect("x\033[Dl\t\r", "ls x");
}

static void a_line_too_long_stops_growing(void **state)
{
    (void)state;
    static char keys[5000];
    memset(keys, 'x', sizeof(keys));
    keys[sizeof(keys) - 2] = '\r';
    keys[sizeof(keys) - 1] = '\0';
    assert_int_equal(read_keys(keys, sizeof(keys) - 1), EDITOR_LINE);
    assert_int_equal(strlen(editor.line), EDITOR_WIDTH - 1);
    expect("\033[A\x01\x0bshort\r", "short");
}

static void ends_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(read_keys("never\x03", 6), EDITOR_INTERRUPT);
    assert_int_equal(read_keys("\x04", 1), EDITOR_END);
    assert_int_equal(read_keys("half", 4), EDITOR_END);
    assert_int_equal(read_keys("\033[", 2), EDITOR_END);
    assert_null(editor_history(&editor, 0));
}

/* Whatever is typed: the screen stays right, which read_terminal() checks at every key. */
static void random_keys_keep_the_screen_right(void **state)
{
    (void)state;
    static const char keys[] = "abc ;|/\t\033[ACBDHF~3179O\x01\x02\x04\x05\x06\x08\x0b\x0c\x0e\x10"
                               "\x15\x17\x7f\x80\xff\r";
    u32 random = 99;
    for (u32 round = 0; round < 3000; round++) {
        char typed[64];
        for (u32 i = 0; i < sizeof(typed); i++) {
            random = random * 1664525u + 1013904223u;
            typed[i] = keys[(random >> 16) % (sizeof(keys) - 1)];
        }
        read_keys(typed, sizeof(typed));
    }
    assert_true(terminal.checks > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(keys_edit, forget),
        cmocka_unit_test_setup(history_goes_back_and_forth, forget),
        cmocka_unit_test_setup(tab_completes_what_is_certain_and_lists_the_rest, forget),
        cmocka_unit_test_setup(a_line_too_long_stops_growing, forget),
        cmocka_unit_test_setup(ends_are_told_apart, forget),
        cmocka_unit_test_setup(random_keys_keep_the_screen_right, forget),
    };
    return cmocka_run_group_tests_name("shell_line", tests, NULL, NULL);
}
