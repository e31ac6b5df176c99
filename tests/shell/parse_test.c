/* SPDX-License-Identifier: MIT */
/* user/shell/parse.c: what a line means. Each case compares the whole structure, written down in
 * one line: {a b <f >>g} for commands, | between them, & ; && || between pipelines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <shell/parse.h>

static const char *lookup(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "x") == 0        ? "v w"
           : strcmp(name, "empty") == 0  ? ""
           : strcmp(name, "long_1") == 0 ? "L"
           : strcmp(name, "?") == 0      ? "7"
           : strcmp(name, "!") == 0      ? "2"
                                         : NULL;
}

struct notes {
    char text[8192];
    size_t used;
};

static void note(struct notes *notes, const char *fmt, ...) HX_PRINTF(2, 3);
static void note(struct notes *notes, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    notes->used +=
        (size_t)vsnprintf(notes->text + notes->used, sizeof(notes->text) - notes->used, fmt, args);
    va_end(args);
    assert_true(notes->used < sizeof(notes->text));
}

static void note_word(struct notes *notes, const struct shell_line *line, struct shell_word word)
{
    struct shell_text text = {0};
    assert_int_equal(shell_expand(line->text, word, lookup, NULL, &text), HX_OK);
    assert_int_equal(strlen(text.data), text.used);
    note(notes, "[%s]", text.data);
    shell_text_free(&text);
}

static void note_command(struct notes *notes, const struct shell_line *line,
                         const struct shell_command *command)
{
    static const char *const kinds[] = {"<", ">", ">>"};
    for (u32 i = 0; i < command->words; i++) {
        note_word(notes, line, line->words[command->first_word + i]);
    }
    for (u32 i = 0; i < command->redirects; i++) {
        const struct shell_redirect *r = &line->redirects[command->first_redirect + i];
        if (r->kind == REDIRECT_SAME) {
            note(notes, "%u>&%u", r->stream, r->same);
        } else {
            note(notes, "%u%s", r->stream, kinds[r->kind]);
            note_word(notes, line, r->target);
        }
    }
}

static void expect(const char *text, const char *wanted)
{
    static struct notes notes;
    static const char *const joins[] = {" ; ", " && ", " || "};
    struct shell_line line;
    const char *why = NULL;
    notes.used = 0;
    notes.text[0] = '\0';
    enum hx_status status = shell_parse(text, &line, &why);
    if (status != HX_OK) {
        assert_non_null(why);
        assert_string_equal(wanted, "refused");
        return;
    }
    for (u32 i = 0; i < line.pipeline_count; i++) {
        const struct shell_pipeline *pipeline = &line.pipelines[i];
        assert_true(pipeline->commands > 0);
        note(&notes, "%s", i ? joins[pipeline->join] : "");
        for (u32 c = 0; c < pipeline->commands; c++) {
            note(&notes, "%s", c ? " | " : "");
            note_command(&notes, &line, &line.commands[pipeline->first_command + c]);
        }
        note(&notes, "%s", pipeline->background ? " &" : "");
    }
    shell_line_free(&line);
    assert_string_equal(notes.text, wanted);
}

static void words_and_quotes(void **state)
{
    (void)state;
    expect("a  b\tc ", "[a][b][c]");
    expect("", "");
    expect("   ", "");
    expect("'a  b' \"c  d\" e'f'\"g\"h", "[a  b][c  d][efgh]");
    expect("'' \"\" x", "[][][x]");
    expect("'$x \\' \"\\\"\\\\\\$\" \\a\\ b", "[$x \\][\"\\$][a b]");
    expect("';' '&&' \"||\" \\; '|' '>' \\<", "[;][&&][||][;][|][>][<]");
    expect("a # b ; c", "[a]");
    expect("# all of it", "");
    expect("a#b '#' \\#", "[a#b][#][#]");
    expect("ends\\", "[ends\\]");
}

static void variables(void **state)
{
    (void)state;
    expect("$x a${x}b \"$x\" '$x' $long_1", "[v w][av wb][v w][$x][L]");
    expect("a$none ${none}b $x. $empty", "[a][b][v w.][]");
    expect("$ a$ $= \"$\" ${ ${x", "[$][a$][$=][$][${][${x]");
    expect("$? \"$?\" ${?} $!", "[7][7][7][2]");
    expect("$1 $x1 ${long_1}2", "[$1][][L2]");
    char line[256] = "$";
    memset(line + 1, 'n', SHELL_NAME_MAX + 1);
    char wanted[300];
    snprintf(wanted, sizeof(wanted), "[%s]", line);
    expect(line, wanted); /* longer than any name: text */
}

static void lists(void **state)
{
    (void)state;
    expect("a;b", "[a] ; [b]");
    expect("a && b || c ; d", "[a] && [b] || [c] ; [d]");
    expect("a&&b||c", "[a] && [b] || [c]");
    expect(";; a ;", "[a]");
    expect("a & b &", "[a] & ; [b] &");
    expect("a | b|c & d", "[a] | [b] | [c] & ; [d]");
    expect("a | b && c | d", "[a] | [b] && [c] | [d]");
}

static void redirections(void **state)
{
    (void)state;
    expect("a <in >out 2>err", "[a]0<[in]1>[out]2>[err]");
    expect("a>>log b", "[a][b]1>>[log]");
    expect("a 2>&1 | b >&2", "[a]2>&1 | [b]1>&2");
    expect("> only", "1>[only]");
    expect("a > '$x' > \"$x\"", "[a]1>[$x]1>[v w]");
    expect("a3>f", "[a3]1>[f]");
    expect("a 3>f", "[a][3]1>[f]");
    expect("a 0<f 1>>g", "[a]0<[f]1>>[g]");
}

static void what_cannot_be_understood_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "a 'open",  "a \"open", "a \"open\\", "a && ",   "a || ;",  "&& a",    "|| a",
        "& a",      "| a",      "a |",        "a | | b", "a | ; b", "a >",     "a <",
        "a > ;",    "a > > b",  "a >&3",      "a >&",    "a 2>&1x", "a &&& b", "a ||| b",
        "a && & b", "a ; && b", "a & && b",   "a << b",
    };
    for (u32 i = 0; i < HX_ARRAY_SIZE(lines); i++) {
        expect(lines[i], "refused");
    }
}

static void long_lines_have_no_limit_of_their_own(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    char *line = malloc(COUNT * 2 + 1);
    for (u32 i = 0; i < COUNT; i++) {
        memcpy(line + 2 * i, i % 3 == 2 ? "w;" : "w ", 2);
    }
    line[COUNT * 2] = '\0';
    struct shell_line parsed;
    const char *why;
    assert_int_equal(shell_parse(line, &parsed, &why), HX_OK);
    assert_int_equal(parsed.word_count, COUNT);
    assert_int_equal(parsed.pipeline_count, COUNT / 3);
    shell_line_free(&parsed);
    free(line);
}

/* Random lines of the characters that mean something: no harm under the sanitizers, and what is
 * accepted can be expanded. */
static void random_lines_do_no_harm(void **state)
{
    (void)state;
    static const char letters[] = "ab $x{}'\"\\;&|<>12#?!\t";
    u32 random = 12345, accepted = 0;
    for (u32 round = 0; round < 200000; round++) {
        char text[24];
        u32 size = 0;
        do {
            random = random * 1664525u + 1013904223u;
            text[size++] = letters[(random >> 16) % (sizeof(letters) - 1)];
        } while (size < sizeof(text) - 1 && random >> 28 != 0);
        text[size] = '\0';
        char *copy = malloc(size + 1); /* of its exact size, so that a read beyond it is seen */
        memcpy(copy, text, size + 1);
        struct shell_line line;
        const char *why = NULL;
        enum hx_status status = shell_parse(copy, &line, &why);
        if (status == HX_OK) {
            accepted++;
            for (u32 i = 0; i < line.word_count; i++) {
                struct shell_text out = {0};
                assert_int_equal(shell_expand(copy, line.words[i], lookup, NULL, &out), HX_OK);
                shell_text_free(&out);
            }
            shell_line_free(&line);
        } else {
            assert_int_equal(status, HX_ERR_INVALID);
            assert_non_null(why);
        }
        free(copy);
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_quotes),
        cmocka_unit_test(variables),
        cmocka_unit_test(lists),
        cmocka_unit_test(redirections),
        cmocka_unit_test(what_cannot_be_understood_is_refused),
        cmocka_unit_test(long_lines_have_no_limit_of_their_own),
        cmocka_unit_test(random_lines_do_no_harm),
    };
    return cmocka_run_group_tests_name("shell_parse", tests, NULL, NULL);
}
