/* SPDX-License-Identifier: MIT */
/* Tools that read bytes: cat, write, hexdump, wc, grep, head; and spin, which reads nothing.
 */
#include "tools_priv.h"

#include <helix/string.h>
#include <hx/clock.h>
#include <hx/process.h>
#include <hx/syscall.h>
#include <hx/thread.h>

static bool print_bytes(void *ctx, const char *name, const char *bytes, size_t size)
{
    (void)ctx;
    (void)name;
    out_bytes(bytes, size);
    out_flush(); /* what comes in slowly goes on at once */
    return true;
}

int tool_cat(int argc, char **argv)
{
    return take_options(&argc, argv, "", NULL, NULL)
               ? for_each_input(argc - 1, argv + 1, print_bytes, NULL, NULL)
               : STATUS_USAGE;
}

struct target {
    const char *path;
    hx_handle_t handle;
    enum hx_status status;
};

static bool write_bytes(void *ctx, const char *name, const char *bytes, size_t size)
{
    struct target *target = ctx;
    (void)name;
    while (size > 0) {
        s64 n = hx_sys_file_write(target->handle, bytes, size);
        if (n <= 0) {
            target->status = n < 0 ? (enum hx_status)n : HX_ERR_NO_SPACE;
            return false;
        }
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

int tool_write(int argc, char **argv)
{
    bool append = false;
    if (!take_options(&argc, argv, "a", &append, NULL)) {
        return STATUS_USAGE;
    }
    if (argc < 2) {
        return usage();
    }
    struct target target = {.path = argv[1]};
    s64 handle = open_path(
        argv[1], HX_OPEN_WRITE | HX_OPEN_CREATE | (append ? HX_OPEN_APPEND : HX_OPEN_TRUNCATE),
        0644);
    if (handle < 0) {
        return fail(argv[1], (enum hx_status)handle);
    }
    target.handle = (hx_handle_t)handle;
    int status = STATUS_OK;
    if (argc == 2) {
        status = for_each_input(0, NULL, write_bytes, NULL, &target);
    }
    for (int i = 2; i < argc && target.status == HX_OK; i++) {
        if (write_bytes(&target, "", argv[i], strlen(argv[i]))) {
            write_bytes(&target, "", i + 1 < argc ? " " : "\n", 1);
        }
    }
    return target.status == HX_OK ? status : fail(argv[1], target.status);
}

struct dump {
    u64 offset;
    u32 used;
    u8 line[16];
};

static void dump_line(struct dump *dump)
{
    out("%08llx ", (unsigned long long)dump->offset);
    for (u32 i = 0; i < sizeof(dump->line); i++) {
        if (i < dump->used) {
            out(" %02x", dump->line[i]);
        } else {
            out("   ");
        }
    }
    out("  ");
    for (u32 i = 0; i < dump->used; i++) {
        out("%c", dump->line[i] >= ' ' && dump->line[i] < 0x7f ? dump->line[i] : '.');
    }
    out("\n");
    dump->offset += dump->used;
    dump->used = 0;
}

static bool dump_bytes(void *ctx, const char *name, const char *bytes, size_t size)
{
    struct dump *dump = ctx;
    (void)name;
    for (size_t i = 0; i < size; i++) {
        dump->line[dump->used++] = (u8)bytes[i];
        if (dump->used == sizeof(dump->line)) {
            dump_line(dump);
        }
    }
    return true;
}

int tool_hexdump(int argc, char **argv)
{
    struct dump dump = {0};
    if (!take_options(&argc, argv, "", NULL, NULL)) {
        return STATUS_USAGE;
    }
    if (argc > 2) {
        return usage();
    }
    int status = for_each_input(argc - 1, argv + 1, dump_bytes, NULL, &dump);
    if (dump.used) {
        dump_line(&dump);
    }
    return status;
}

struct count {
    u64 lines, words, bytes;
    bool in_word;
};

static bool count_bytes(void *ctx, const char *name, const char *bytes, size_t size)
{
    struct count *count = ctx;
    (void)name;
    for (size_t i = 0; i < size; i++) {
        bool blank = bytes[i] == ' ' || bytes[i] == '\t' || bytes[i] == '\n' || bytes[i] == '\r';
        count->lines += bytes[i] == '\n';
        count->words += !blank && !count->in_word;
        count->in_word = !blank;
    }
    count->bytes += size;
    return true;
}

static void print_count(void *ctx, const char *name)
{
    struct count *count = ctx;
    out("%7llu %7llu %7llu%s%s\n", (unsigned long long)count->lines,
        (unsigned long long)count->words, (unsigned long long)count->bytes,
        str_equal(name, "-") ? "" : " ", str_equal(name, "-") ? "" : name);
    *count = (struct count){0};
}

int tool_wc(int argc, char **argv)
{
    struct count count = {0};
    return take_options(&argc, argv, "", NULL, NULL)
               ? for_each_input(argc - 1, argv + 1, count_bytes, print_count, &count)
               : STATUS_USAGE;
}

/* Lines, for grep and head: the longest that is looked at as one. */
#define LINE_MAX 4096

struct lines {
    bool (*line)(struct lines *lines, const char *name); /* false: no more of this file */
    size_t used;
    char text[LINE_MAX + 1];
    /* The tool's own. */
    const char *wanted;
    bool inverted, prefixed, found;
    u64 left, limit;
};

static bool split_lines(void *ctx, const char *name, const char *bytes, size_t size)
{
    struct lines *lines = ctx;
    for (size_t i = 0; i < size; i++) {
        bool full = lines->used == LINE_MAX;
        if (bytes[i] == '\n' || full) {
            lines->text[lines->used] = '\0';
            lines->used = 0;
            if (!lines->line(lines, name)) {
                return false;
            }
        }
        if (bytes[i] != '\n') {
            lines->text[lines->used++] = bytes[i];
        }
    }
    return true;
}

static void last_line(void *ctx, const char *name)
{
    struct lines *lines = ctx;
    if (lines->used) {
        lines->text[lines->used] = '\0';
        lines->used = 0;
        lines->line(lines, name);
    }
    lines->left = lines->limit;
}

static bool holds(const char *text, const char *wanted)
{
    size_t size = strlen(wanted);
    for (;; text++) {
        if (strncmp(text, wanted, size) == 0) {
            return true;
        }
        if (!*text) {
            return false;
        }
    }
}

static bool grep_line(struct lines *lines, const char *name)
{
    if (holds(lines->text, lines->wanted) != lines->inverted) {
        lines->found = true;
        out("%s%s%s\n", lines->prefixed ? name : "", lines->prefixed ? ":" : "", lines->text);
    }
    return true;
}

int tool_grep(int argc, char **argv)
{
    static struct lines lines = {.line = grep_line};
    if (!take_options(&argc, argv, "v", &lines.inverted, NULL)) {
        return STATUS_USAGE;
    }
    if (argc < 2) {
        return usage();
    }
    lines.wanted = argv[1];
    lines.prefixed = argc > 3;
    int status = for_each_input(argc - 2, argv + 2, split_lines, last_line, &lines);
    return status != STATUS_OK ? status : lines.found ? STATUS_OK : STATUS_FAILED;
}

static bool head_line(struct lines *lines, const char *name)
{
    (void)name;
    if (lines->left > 0) {
        lines->left--;
        out("%s\n", lines->text);
    }
    return lines->left > 0;
}

int tool_head(int argc, char **argv)
{
    static struct lines lines = {.line = head_line, .limit = 10};
    int first = 1;
    if (argc > 2 && str_equal(argv[1], "-n")) {
        if (!str_to_u64(argv[2], &lines.limit)) {
            return usage();
        }
        first = 3;
    }
    lines.left = lines.limit;
    return lines.limit ? for_each_input(argc - first, argv + first, split_lines, last_line, &lines)
                       : STATUS_OK;
}

/* spin */

static u64 spin_until(void *arg)
{
    u64 deadline = *(const u64 *)arg;
    while (deadline == HX_DEADLINE_NEVER || hx_clock(HX_CLOCK_MONOTONIC) < deadline) {
        for (u32 i = 0; i < 1000; i++) {
            hx_compiler_barrier();
        }
    }
    return 0;
}

int tool_spin(int argc, char **argv)
{
    struct hx_thread threads[64];
    u64 count = 1, ms = 0, deadline = HX_DEADLINE_NEVER, started = 0;
    for (int i = 1; i < argc; i += 2) {
        bool known = str_equal(argv[i], "--threads") || str_equal(argv[i], "--ms");
        u64 *value = str_equal(argv[i], "--threads") ? &count : &ms;
        if (!known || i + 1 == argc || !str_to_u64(argv[i + 1], value)) {
            return usage();
        }
        if (value == &ms) {
            deadline = hx_deadline_after(ms > UINT32_MAX ? UINT64_MAX : ms * HX_NS_PER_MS);
        }
    }
    if (count == 0 || count > HX_ARRAY_SIZE(threads)) {
        return usage();
    }
    while (started + 1 < count) {
        enum hx_status status = hx_thread_create(spin_until, &deadline, &threads[started]);
        if (status != HX_OK) {
            return fail("a thread", status);
        }
        started++;
    }
    spin_until(&deadline);
    for (u64 i = 0; i < started; i++) {
        HX_IGNORE(hx_thread_join(&threads[i], HX_DEADLINE_NEVER, NULL), "it ends by itself");
    }
    return STATUS_OK;
}
