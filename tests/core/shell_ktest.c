/* SPDX-License-Identifier: MIT */
/* core/shell: what a line means. A command of the test's own keeps what it was called with.
 */
#include <core/shell.h>
#include <helix/format.h>
#include <ktest.h>

#define CALLS_MAX 8

static struct {
    u32 calls;
    char lines[CALLS_MAX][128]; /* the arguments of each call, each in brackets */
} seen;

/* ktest-call STATUS WORDS... */
static int ktest_call(int argc, char **argv)
{
    if (seen.calls == CALLS_MAX || argc < 2 || argv[argc] != NULL) {
        return 99;
    }
    char *line = seen.lines[seen.calls++];
    size_t used = 0;
    line[0] = '\0';
    for (int i = 2; i < argc && used < sizeof(seen.lines[0]); i++) {
        used += format_buffer(line + used, sizeof(seen.lines[0]) - used, "[%s]", argv[i]);
    }
    u64 status = 98;
    return str_to_u64(argv[1], &status) ? (int)status : 98;
}

SHELL_COMMAND(ktest_call, "ktest-call", "STATUS [WORDS]", "a test's own", "", ktest_call);

static int run(const char *line)
{
    memset(&seen, 0, sizeof(seen));
    return shell_run_line(line);
}

static void expect(const char *line, int status, const char *words)
{
    int is = run(line);
    KTEST_EQUAL(is, status);
    KTEST_EQUAL(seen.calls, 1);
    KTEST_STRING(seen.lines[0], words);
}

KTEST(shell, words_and_quotes)
{
    KTEST_CALL(expect("ktest-call 0 a  b\tc ", 0, "[a][b][c]"));
    KTEST_CALL(expect("  ktest-call 3", 3, ""));
    KTEST_CALL(expect("ktest-call 0 'a  b' \"c  d\" e'f'\"g\"h", 0, "[a  b][c  d][efgh]"));
    KTEST_CALL(expect("ktest-call 0 '' \"\" x", 0, "[][][x]"));
    KTEST_CALL(expect("ktest-call 0 '$x \\' \"\\\"\\\\\\$\" \\a\\ b", 0, "[$x \\][\"\\$][a b]"));
    KTEST_CALL(expect("ktest-call 0 ';' '&&' \"||\" \\;", 0, "[;][&&][||][;]"));
    KTEST_CALL(expect("'ktest-call' 0", 0, ""));
}

KTEST(shell, variables)
{
    KTEST_ASSERT(shell_variable_set("kx", "v w"));
    KTEST_STRING(shell_variable_get("kx"), "v w");
    KTEST_ASSERT(!shell_variable_get("knone"));
    KTEST_CALL(expect("ktest-call 0 $kx a${kx}b \"$kx\" '$kx'", 0, "[v w][av wb][v w][$kx]"));
    KTEST_CALL(expect("ktest-call 0 a$knone ${knone}b $kx.", 0, "[a][b][v w.]"));
    KTEST_CALL(expect("ktest-call 0 $ a$ $=", 0, "[$][a$][$=]"));
    KTEST_EQUAL(run("set ky=1; set ky 2; ktest-call 0 $ky"), 0);
    KTEST_STRING(seen.lines[0], "[2]");
    KTEST_ASSERT(!shell_variable_set("", "x"));
    KTEST_ASSERT(!shell_variable_set("a-name-that-is-longer-than-thirty-one-letters", "x"));
}

KTEST(shell, status_is_the_last_commands)
{
    KTEST_EQUAL(run("ktest-call 7; ktest-call 0 $?"), 0);
    KTEST_EQUAL(seen.calls, 2);
    KTEST_STRING(seen.lines[1], "[7]");
    KTEST_EQUAL(run("ktest-call 5"), 5);
    KTEST_EQUAL(run(""), 5); /* nothing was run */
    KTEST_EQUAL(run("   "), 5);
    KTEST_EQUAL(run("ktest-call 0 \"$?\""), 0);
    KTEST_STRING(seen.lines[0], "[5]");
    KTEST_EQUAL(run("no-such-command-here"), SHELL_NOT_FOUND);
}

KTEST(shell, and_or_and_sequence)
{
    KTEST_EQUAL(run("ktest-call 0 a && ktest-call 4 b && ktest-call 0 c"), 4);
    KTEST_EQUAL(seen.calls, 2);
    KTEST_EQUAL(run("ktest-call 4 a || ktest-call 0 b || ktest-call 5 c"), 0);
    KTEST_EQUAL(seen.calls, 2);
    KTEST_EQUAL(run("ktest-call 4 a && ktest-call 0 b || ktest-call 6 c"), 6);
    KTEST_EQUAL(seen.calls, 2);
    KTEST_STRING(seen.lines[1], "[c]");
    KTEST_EQUAL(run("ktest-call 0 a || ktest-call 1 b; ktest-call 2 c"), 2);
    KTEST_EQUAL(seen.calls, 2);
    KTEST_EQUAL(run("ktest-call 1;ktest-call 2&&ktest-call 3||ktest-call 4"), 4);
    KTEST_EQUAL(seen.calls, 3);
    KTEST_EQUAL(run(";; ktest-call 0 ;"), 0);
    KTEST_EQUAL(seen.calls, 1);
}

KTEST(shell, what_cannot_be_understood_runs_nothing)
{
    static char line[4096];
    KTEST_EQUAL(run("ktest-call 0 'open"), SHELL_USAGE);
    KTEST_EQUAL(run("ktest-call 0 \"open"), SHELL_USAGE);
    KTEST_EQUAL(run("ktest-call 0 & ktest-call 0"), SHELL_USAGE);
    KTEST_EQUAL(run("ktest-call 0 | ktest-call 0"), SHELL_USAGE);
    KTEST_EQUAL(seen.calls, 0);
    str_copy(line, "ktest-call 0 ", sizeof(line));
    memset(line + strlen(line), 'x', 3000);
    KTEST_EQUAL(run(line), SHELL_USAGE);
    str_copy(line, "ktest-call 0", sizeof(line));
    for (u32 i = 0; i < 60; i++) {
        memcpy(line + 12 + 2 * i, " y", 3);
    }
    KTEST_EQUAL(run(line), SHELL_USAGE);
    KTEST_EQUAL(seen.calls, 0);
}
