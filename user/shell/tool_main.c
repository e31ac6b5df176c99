/* SPDX-License-Identifier: MIT */
/* The tools' entry, and what they share.
 * Owns:      the output buffer.      Context: one thread.
 */
#include "tools_priv.h"

#include <helix/format.h>
#include <helix/string.h>
#include <hx/process.h>
#include <hx/syscall.h>

static struct {
    const char *name, *usage;
    size_t used;
    char buffer[4096];
} tool;

static void write_all(hx_handle_t to, const char *bytes, size_t size)
{
    while (size > 0) {
        s64 n = hx_sys_file_write(to, bytes, size);
        if (n <= 0) {
            hx_exit(STATUS_FAILED); /* nobody reads any more, or there is no room */
        }
        bytes += n;
        size -= (size_t)n;
    }
}

void out_flush(void)
{
    size_t size = tool.used;
    tool.used = 0;
    write_all(hx_standard(HX_STDOUT), tool.buffer, size);
}

void out_bytes(const char *bytes, size_t size)
{
    while (size > 0) {
        size_t room = sizeof(tool.buffer) - tool.used;
        size_t piece = size < room ? size : room;
        memcpy(tool.buffer + tool.used, bytes, piece);
        tool.used += piece;
        bytes += piece;
        size -= piece;
        if (tool.used == sizeof(tool.buffer)) {
            out_flush();
        }
    }
}

static void sink(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    out_bytes(text, n);
}

void out(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    format_to(sink, NULL, fmt, args);
    va_end(args);
}

void out_json_string(const char *text)
{
    out("\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            out("\\%c", *text);
        } else if ((u8)*text < ' ' || *text == 0x7f) {
            out("\\u%04x", (u8)*text);
        } else {
            out("%c", *text);
        }
    }
    out("\"");
}

static void complain(const char *fmt, ...) HX_PRINTF(1, 2);
static void complain(const char *fmt, ...)
{
    char text[512];
    va_list args;
    out_flush();
    va_start(args, fmt);
    size_t n = format_buffer_va(text, sizeof(text), fmt, args);
    va_end(args);
    write_all(hx_standard(HX_STDERR), text, n < sizeof(text) ? n : sizeof(text) - 1);
}

int fail(const char *what, enum hx_status status)
{
    complain("%s: %s: %s\n", tool.name, what, hx_status_words(status));
    return STATUS_FAILED;
}

int usage(void)
{
    complain("usage: %s %s\n", tool.name, tool.usage);
    return STATUS_USAGE;
}

bool take_options(int *argc, char **argv, const char *letters, bool *flags, bool *json)
{
    int kept = 1;
    bool more = true;
    for (int i = 1; i < *argc; i++) {
        if (more && str_equal(argv[i], "--")) {
            more = false;
        } else if (more && json && str_equal(argv[i], "--json")) {
            *json = true;
        } else if (more && argv[i][0] == '-' && argv[i][1]) {
            for (const char *c = argv[i] + 1; *c; c++) {
                const char *found = strchr(letters, *c);
                if (!found) {
                    usage();
                    return false;
                }
                flags[found - letters] = true;
            }
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

s64 open_path(const char *path, u32 flags, u32 mode)
{
    return hx_sys_file_open(HX_HANDLE_NONE, path, strlen(path), flags, mode);
}

enum hx_status stat_path(const char *path, u32 flags, struct hx_stat *out_stat)
{
    s64 result =
        hx_sys_file_stat(HX_HANDLE_NONE, path, strlen(path), out_stat, sizeof(*out_stat), flags);
    return result < 0 ? (enum hx_status)result : HX_OK;
}

bool join(char *path, const char *folder, const char *name)
{
    size_t size = strlen(folder);
    bool slash = size > 0 && folder[size - 1] != '/';
    return format_buffer(path, HX_PATH_MAX + 1, "%s%s%s", folder, slash ? "/" : "", name) <=
           HX_PATH_MAX;
}

const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

enum hx_status read_folder(const char *path,
                           bool (*visit)(void *ctx, const char *path, const struct hx_dirent *e),
                           void *ctx)
{
    u64 entries[256] = {0}; /* aligned for the records */
    s64 handle = open_path(path, HX_OPEN_READ | HX_OPEN_DIRECTORY, 0);
    if (handle < 0) {
        return (enum hx_status)handle;
    }
    s64 n;
    bool more = true;
    while (more && (n = hx_sys_directory_read((hx_handle_t)handle, entries, sizeof(entries))) > 0) {
        for (s64 at = 0; more && at < n;) {
            const struct hx_dirent *entry = (const void *)((const u8 *)entries + at);
            if (!str_equal(entry->name, ".") && !str_equal(entry->name, "..")) {
                more = visit(ctx, path, entry);
            }
            at += entry->size;
        }
    }
    HX_IGNORE(hx_handle_close((hx_handle_t)handle), "it is ours");
    return more && n < 0 ? (enum hx_status)n : HX_OK;
}

int for_each_input(int count, char **paths,
                   bool (*take)(void *ctx, const char *name, const char *bytes, size_t size),
                   void (*end)(void *ctx, const char *name), void *ctx)
{
    static char bytes[16384];
    int status = STATUS_OK;
    for (int i = 0; i < (count > 0 ? count : 1); i++) {
        const char *name = count > 0 ? paths[i] : "-";
        bool standard = str_equal(name, "-");
        s64 handle = standard ? hx_standard(HX_STDIN) : open_path(name, HX_OPEN_READ, 0);
        s64 n = handle < 0 ? handle : 0;
        if (handle == HX_HANDLE_NONE) {
            continue; /* there is no standard input */
        }
        while (handle > 0 &&
               (n = hx_sys_file_read((hx_handle_t)handle, bytes, sizeof(bytes))) > 0) {
            if (!take(ctx, name, bytes, (size_t)n)) {
                break;
            }
        }
        if (n < 0) {
            status = fail(name, (enum hx_status)n);
        }
        if (end && handle > 0) {
            end(ctx, name);
        }
        if (handle > 0 && !standard) {
            HX_IGNORE(hx_handle_close((hx_handle_t)handle), "it is ours");
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *usage;
        int (*run)(int argc, char **argv);
    } tools[] = {
#define TOOL_ENTRY(name, usage, summary) {#name, usage, tool_##name},
        TOOLS(TOOL_ENTRY)
#undef TOOL_ENTRY
    };
    const char *name = last_name(argc > 0 ? argv[0] : "");
    for (u32 i = 0; i < HX_ARRAY_SIZE(tools); i++) {
        if (str_equal(tools[i].name, name)) {
            tool.name = name;
            tool.usage = tools[i].usage;
            int status = tools[i].run(argc, argv);
            out_flush();
            return status;
        }
    }
    tool.name = "tools";
    tool.usage = "is started under the name of a tool";
    return usage();
}
