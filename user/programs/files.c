/* SPDX-License-Identifier: MIT */
/* files: what a program can rely on of files, and what it cannot get by asking wrongly.
 *   files           everything        files cat   copies standard input to standard output
 *   files exit N    exits with N      files names looks for "outside" in its root
 */
#include <helix/format.h>
#include <helix/string.h>
#include <hx/clock.h>
#include <hx/file.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/syscall.h>
#include <hx/thread.h>
#include "expect.h"

#define ROOT    HX_HANDLE_NONE
#define RW      (HX_OPEN_READ | HX_OPEN_WRITE)
#define PROGRAM "bin/files"

static hx_handle_t must_open(hx_handle_t directory, const char *path, u32 flags)
{
    hx_handle_t file = HX_HANDLE_NONE;
    EXPECT_STATUS(HX_OK, hx_open(directory, path, flags, 0644, &file));
    return file;
}

static enum hx_status try_open(hx_handle_t directory, const char *path, u32 flags)
{
    hx_handle_t file;
    enum hx_status status = hx_open(directory, path, flags, 0644, &file);
    if (status == HX_OK) {
        EXPECT_STATUS(HX_OK, hx_handle_close(file));
    }
    return status;
}

static void make(hx_handle_t directory, const char *path, const char *text)
{
    hx_handle_t file =
        must_open(directory, path, HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_TRUNCATE);
    EXPECT_STATUS(HX_OK, hx_write_all(file, text, strlen(text)));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
}

/* That the file holds `text` and nothing else. */
static void holds(hx_handle_t directory, const char *path, const char *text)
{
    char buffer[256] = "";
    size_t n = 0;
    hx_handle_t file = must_open(directory, path, HX_OPEN_READ);
    EXPECT_STATUS(HX_ERR_END, hx_read_all(file, buffer, sizeof(buffer), &n));
    EXPECT(n == strlen(text) && memcmp(buffer, text, n) == 0, "%s holds %s", path, buffer);
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
}

static void contents(void)
{
    char buffer[64];
    struct hx_stat stat;
    hx_handle_t file = must_open(ROOT, "t/data", RW | HX_OPEN_CREATE | HX_OPEN_EXCLUSIVE);
    EXPECT_STATUS(HX_ERR_EXISTS, try_open(ROOT, "t/data", RW | HX_OPEN_CREATE | HX_OPEN_EXCLUSIVE));
    EXPECT_STATUS(5, hx_write_some(file, "hello", 5));
    EXPECT_STATUS(0, hx_read(file, buffer, sizeof(buffer)));
    EXPECT_STATUS(0, hx_seek(file, 0, HX_SEEK_SET));
    EXPECT_STATUS(5, hx_read(file, buffer, sizeof(buffer)));
    EXPECT(memcmp(buffer, "hello", 5) == 0, "another text");
    /* Sparse: zeroes between, and only pages that were written. */
    EXPECT_STATUS(3, hx_write_at(file, "end", 3, HX_GIB(8)));
    EXPECT_STATUS(HX_OK, hx_stat_handle(file, &stat));
    EXPECT(stat.bytes == HX_GIB(8) + 3 && stat.stored <= 2 * HX_PAGE_SIZE, "%llu, %llu stored",
           (unsigned long long)stat.bytes, (unsigned long long)stat.stored);
    EXPECT_STATUS(8, hx_read_at(file, buffer, 8, HX_GIB(4)));
    EXPECT(memcmp(buffer, "\0\0\0\0\0\0\0\0", 8) == 0, "a hole holds something");
    EXPECT_STATUS(HX_PAGE_SIZE, hx_seek(file, 1, HX_SEEK_HOLE));
    EXPECT_STATUS(HX_GIB(8), hx_seek(file, HX_PAGE_SIZE, HX_SEEK_DATA));
    EXPECT_STATUS(HX_ERR_END, hx_seek(file, HX_GIB(9), HX_SEEK_DATA));
    /* Cut in the middle of a page and grown again: zeroes, not what was there. */
    EXPECT_STATUS(HX_OK, hx_truncate(file, 2));
    EXPECT_STATUS(HX_OK, hx_truncate(file, 5));
    EXPECT_STATUS(5, hx_read_at(file, buffer, sizeof(buffer), 0));
    EXPECT(memcmp(buffer, "he\0\0\0", 5) == 0, "what was cut off came back");
    EXPECT_STATUS(HX_ERR_INVALID, hx_seek(file, -1, HX_SEEK_SET));
    EXPECT_STATUS(HX_ERR_INVALID, hx_seek(file, 0, (enum hx_seek)99));
    EXPECT_STATUS(HX_ERR_OVERFLOW, hx_truncate(file, UINT64_MAX));
    EXPECT_REFUSED(hx_write_at(file, "x", 1, UINT64_MAX), "a write beyond all files");
    EXPECT_STATUS(HX_OK, hx_sync(file));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));

    file = must_open(ROOT, "t/log", HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_APPEND);
    hx_handle_t other = must_open(ROOT, "t/log", HX_OPEN_WRITE | HX_OPEN_APPEND);
    EXPECT_STATUS(2, hx_write_some(file, "a\n", 2));
    EXPECT_STATUS(2, hx_write_some(other, "b\n", 2));
    EXPECT_STATUS(2, hx_write_some(file, "c\n", 2));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_read(file, buffer, 1));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    EXPECT_STATUS(HX_OK, hx_handle_close(other));
    holds(ROOT, "t/log", "a\nb\nc\n");

    /* A bad buffer changes nothing. */
    file = must_open(ROOT, "t/log", RW);
    EXPECT_STATUS(HX_ERR_FAULT, hx_sys_file_write(file, (void *)16, 4));
    EXPECT_STATUS(HX_ERR_FAULT, hx_sys_file_read(file, (void *)16, 4));
    EXPECT_STATUS(HX_ERR_FAULT, hx_sys_file_read(file, (void *)0xffffffff80000000ull, 4));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_read(file, buffer, 1));
    holds(ROOT, "t/log", "a\nb\nc\n");
}

static void names(void)
{
    struct hx_stat stat;
    char buffer[300], long_name[300], *long_path = malloc(HX_PATH_MAX + 8);
    EXPECT_STATUS(HX_OK, hx_mkdir(ROOT, "t/d", 0755));
    EXPECT_STATUS(HX_ERR_EXISTS, hx_mkdir(ROOT, "t/d", 0755));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_mkdir(ROOT, "t/no/d", 0755));
    EXPECT_STATUS(HX_ERR_IS_DIR, try_open(ROOT, "t/d", HX_OPEN_READ));
    EXPECT_STATUS(HX_ERR_NOT_DIR, try_open(ROOT, "t/log", HX_OPEN_READ | HX_OPEN_DIRECTORY));
    EXPECT_STATUS(HX_ERR_NOT_DIR, try_open(ROOT, "t/log/x", HX_OPEN_READ));
    EXPECT_STATUS(HX_ERR_NOT_DIR, try_open(ROOT, "t/log/", HX_OPEN_READ));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(ROOT, "t/none", HX_OPEN_READ));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(ROOT, "", HX_OPEN_READ));
    make(ROOT, "t/d/one", "1");
    EXPECT_STATUS(HX_ERR_NOT_EMPTY, hx_unlink(ROOT, "t/d", HX_UNLINK_DIRECTORY));
    EXPECT_STATUS(HX_ERR_IS_DIR, hx_unlink(ROOT, "t/d", 0));
    EXPECT_STATUS(HX_ERR_NOT_DIR, hx_unlink(ROOT, "t/d/one", HX_UNLINK_DIRECTORY));

    memset(long_name, 'n', sizeof(long_name));
    long_name[HX_FILE_NAME_MAX] = '\0';
    hx_handle_t d = must_open(ROOT, "t/d", RW | HX_OPEN_DIRECTORY);
    make(d, long_name, "255");
    holds(d, long_name, "255");
    long_name[HX_FILE_NAME_MAX] = 'n';
    long_name[HX_FILE_NAME_MAX + 1] = '\0';
    EXPECT_STATUS(HX_ERR_NAME_TOO_LONG, try_open(d, long_name, RW | HX_OPEN_CREATE));
    for (u32 i = 0; i < HX_PATH_MAX + 1; i++) {
        long_path[i] = i % 2 ? '/' : '.';
    }
    memcpy(long_path + HX_PATH_MAX - 3, "one", 4);
    holds(d, long_path, "1"); /* ./././one, 4095 bytes of it */
    memcpy(long_path + HX_PATH_MAX - 3, "/one", 5);
    EXPECT_STATUS(HX_ERR_NAME_TOO_LONG, try_open(d, long_path, HX_OPEN_READ));
    free(long_path);

    /* Links. */
    EXPECT_STATUS(HX_OK, hx_link(d, "one", d, "two"));
    EXPECT_STATUS(HX_OK, hx_stat(d, "two", 0, &stat));
    EXPECT(stat.nlink == 2, "%u links", stat.nlink);
    EXPECT_STATUS(HX_ERR_EXISTS, hx_link(d, "one", d, "two"));
    EXPECT_STATUS(HX_ERR_IS_DIR, hx_link(ROOT, "t/d", ROOT, "t/e"));
    EXPECT_STATUS(HX_OK, hx_unlink(d, "one", 0));
    holds(d, "two", "1");
    EXPECT_STATUS(HX_OK, hx_symlink("d/two", ROOT, "t/s"));
    holds(ROOT, "t/s", "1");
    EXPECT_STATUS(HX_OK, hx_readlink(ROOT, "t/s", buffer, sizeof(buffer)));
    EXPECT(str_equal(buffer, "d/two"), "a link to %s", buffer);
    EXPECT_STATUS(HX_ERR_LOOP, try_open(ROOT, "t/s", HX_OPEN_READ | HX_OPEN_NOFOLLOW));
    EXPECT_STATUS(HX_OK, hx_stat(ROOT, "t/s", HX_STAT_NOFOLLOW, &stat));
    EXPECT((stat.mode & HX_MODE_TYPE) == HX_MODE_LINK, "mode %o", stat.mode);
    EXPECT_STATUS(HX_OK, hx_symlink("loop", ROOT, "t/loop"));
    EXPECT_STATUS(HX_ERR_LOOP, try_open(ROOT, "t/loop", HX_OPEN_READ));
    EXPECT_STATUS(HX_OK, hx_symlink("d/made", ROOT, "t/dangling"));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(ROOT, "t/dangling", HX_OPEN_READ));
    make(ROOT, "t/dangling", "through it");
    holds(d, "made", "through it");

    /* Rename. */
    EXPECT_STATUS(HX_OK, hx_rename(d, "two", ROOT, "t/moved", 0));
    holds(ROOT, "t/moved", "1");
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(d, "two", HX_OPEN_READ));
    EXPECT_STATUS(HX_ERR_EXISTS, hx_rename(ROOT, "t/moved", ROOT, "t/log", HX_RENAME_NOREPLACE));
    EXPECT_STATUS(HX_ERR_INVALID, hx_rename(ROOT, "t/d", ROOT, "t/d/below", 0));
    EXPECT_STATUS(HX_ERR_IS_DIR, hx_rename(ROOT, "t/moved", ROOT, "t/d", 0));
    EXPECT_STATUS(HX_ERR_NOT_DIR, hx_rename(ROOT, "t/d", ROOT, "t/moved", 0));
    make(ROOT, "t/other", "other");
    EXPECT_STATUS(HX_OK, hx_rename(ROOT, "t/moved", ROOT, "t/other", HX_RENAME_EXCHANGE));
    holds(ROOT, "t/moved", "other");
    holds(ROOT, "t/other", "1");
    hx_handle_t open = must_open(ROOT, "t/other", RW);
    EXPECT_STATUS(HX_OK, hx_rename(ROOT, "t/moved", ROOT, "t/other", 0));
    EXPECT_STATUS(1,
                  hx_read(open, buffer, sizeof(buffer))); /* what was open is still what it was */
    EXPECT(buffer[0] == '1', "read %c", buffer[0]);
    EXPECT_STATUS(HX_OK, hx_stat_handle(open, &stat));
    EXPECT(stat.nlink == 0, "%u links", stat.nlink);
    EXPECT_STATUS(HX_OK, hx_handle_close(open));
    EXPECT_STATUS(HX_ERR_CROSS_DEVICE, hx_rename(ROOT, "t/other", ROOT, "dev/x", 0));
    EXPECT_STATUS(HX_ERR_BUSY, hx_unlink(ROOT, "dev", HX_UNLINK_DIRECTORY));

    /* A directory handle is a root. */
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(d, "../log", HX_OPEN_READ));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(d, "/t/log", HX_OPEN_READ));
    EXPECT_STATUS(HX_OK, hx_symlink("/../../t/log", d, "out"));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(d, "out", HX_OPEN_READ));
    holds(d, "/../../made", "through it");
    hx_handle_t reader = must_open(d, "/", HX_OPEN_READ | HX_OPEN_DIRECTORY);
    EXPECT_STATUS(HX_ERR_ACCESS, try_open(reader, "made", HX_OPEN_WRITE));
    EXPECT_STATUS(HX_ERR_ACCESS, try_open(reader, "new", HX_OPEN_READ | HX_OPEN_CREATE));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_unlink(reader, "made", 0));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_mkdir(reader, "x", 0755));
    EXPECT_STATUS(HX_OK, try_open(reader, "made", HX_OPEN_READ));
    EXPECT_STATUS(HX_OK, hx_handle_close(reader));
    EXPECT_STATUS(HX_OK, hx_handle_close(d));
    /* A file is no place to start from, nor a directory to be read as a file. */
    open = must_open(ROOT, "t/log", HX_OPEN_READ);
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, try_open(open, "x", HX_OPEN_READ));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_directory_read(open, buffer, sizeof(buffer)));
    EXPECT_STATUS(HX_OK, hx_handle_close(open));
}

static void attributes(void)
{
    struct hx_stat stat;
    char buffer[64];
    struct hx_attr attr = {.mask = HX_ATTR_MODE | HX_ATTR_MTIME | HX_ATTR_UID,
                           .mode = 0600,
                           .uid = 7,
                           .mtime_ns = 123456789};
    EXPECT_STATUS(HX_OK, hx_attr_set(ROOT, "t/log", &attr, 0));
    EXPECT_STATUS(HX_OK, hx_stat(ROOT, "t/log", 0, &stat));
    EXPECT(stat.mode == (HX_MODE_FILE | 0600) && stat.uid == 7 && stat.mtime_ns == 123456789,
           "mode %o, owner %u", stat.mode, stat.uid);
    attr.mask = 1u << 31;
    EXPECT_STATUS(HX_ERR_INVALID, hx_attr_set(ROOT, "t/log", &attr, 0));
    hx_handle_t file = must_open(ROOT, "t/log", RW);
    EXPECT_STATUS(HX_OK, hx_xattr_set(file, "user.colour", "blue", 4, HX_XATTR_CREATE));
    EXPECT_STATUS(HX_ERR_EXISTS, hx_xattr_set(file, "user.colour", "red", 3, HX_XATTR_CREATE));
    EXPECT_STATUS(HX_OK, hx_xattr_set(file, "user.colour", "green", 5, 0));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_xattr_set(file, "user.x", "", 0, HX_XATTR_REPLACE));
    EXPECT_STATUS(5, hx_xattr_get(file, "user.colour", NULL, 0));
    EXPECT_STATUS(HX_ERR_MESSAGE_SIZE, hx_xattr_get(file, "user.colour", buffer, 3));
    EXPECT_STATUS(5, hx_xattr_get(file, "user.colour", buffer, sizeof(buffer)));
    EXPECT(memcmp(buffer, "green", 5) == 0, "another value");
    EXPECT_STATUS(12, hx_xattr_list(file, buffer, sizeof(buffer)));
    EXPECT(str_equal(buffer, "user.colour"), "named %s", buffer);
    EXPECT_STATUS(HX_OK, hx_xattr_remove(file, "user.colour"));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_xattr_get(file, "user.colour", buffer, 1));
    EXPECT_STATUS(HX_ERR_INVALID, hx_xattr_set(file, "", "x", 1, 0));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
}

/* A listing sees what is there all the time exactly once, whatever comes and goes meanwhile. */
static void listing(void)
{
    enum { KEPT = 200 };
    static u8 seen[KEPT];
    char name[8] = "k000";
    EXPECT_STATUS(HX_OK, hx_mkdir(ROOT, "t/list", 0755));
    hx_handle_t d = must_open(ROOT, "t/list", RW | HX_OPEN_DIRECTORY);
    for (u32 i = 0; i < KEPT; i++) {
        name[1] = (char)('0' + i / 100), name[2] = (char)('0' + i / 10 % 10);
        name[3] = (char)('0' + i % 10);
        make(d, name, "");
    }
    u8 buffer[1024];
    u32 rounds = 0, strangers = 0;
    s64 n;
    while ((n = hx_directory_read(d, buffer, sizeof(buffer))) > 0) {
        for (s64 at = 0; at < n;) {
            const struct hx_dirent *e = (const void *)(buffer + at);
            if (e->name[0] == 'k' && e->name_size == 4) {
                u32 i = (u32)(e->name[1] - '0') * 100 + (u32)(e->name[2] - '0') * 10 +
                        (u32)(e->name[3] - '0');
                seen[i]++;
            } else {
                strangers++;
            }
            at += e->size;
        }
        rounds++;
        make(d, "passing", "");
        EXPECT_STATUS(HX_OK, hx_rename(d, "passing", d, rounds % 2 ? "pa" : "pb", 0));
        EXPECT_STATUS(HX_OK, hx_unlink(d, rounds % 2 ? "pa" : "pb", 0));
    }
    EXPECT_STATUS(0, n);
    u32 once = 0;
    for (u32 i = 0; i < KEPT; i++) {
        once += seen[i] == 1;
    }
    EXPECT(once == KEPT && rounds > 2 && strangers == 0, "%u of %u once, %u rounds, %u others",
           once, KEPT, rounds, strangers);
    EXPECT_STATUS(HX_ERR_INVALID, hx_directory_read(d, buffer, 16));
    EXPECT_STATUS(HX_OK, hx_handle_close(d));
}

static u64 write_much(void *arg)
{
    static char text[3000];
    hx_handle_t to = *(hx_handle_t *)arg;
    for (u32 i = 0; i < 100; i++) {
        memset(text, 'a' + (int)(i % 26), sizeof(text));
        if (hx_write_all(to, text, sizeof(text)) != HX_OK) {
            return 1;
        }
    }
    return hx_handle_close(to) == HX_OK ? 0 : 2;
}

static void pipes(void)
{
    hx_handle_t r, w;
    char buffer[700];
    EXPECT_STATUS(HX_OK, hx_pipe(0, &r, &w));
    struct hx_thread thread;
    EXPECT_STATUS(HX_OK, hx_thread_create(write_much, &w, &thread));
    u64 total = 0, wrong = 0;
    s64 n;
    while ((n = hx_read(r, buffer, sizeof(buffer))) > 0) {
        for (s64 i = 0; i < n; i++, total++) {
            wrong += buffer[i] != 'a' + (char)(total / 3000 % 26);
        }
    }
    EXPECT(n == 0 && total == 300000 && wrong == 0, "%lld, %llu bytes, %llu wrong", (long long)n,
           (unsigned long long)total, (unsigned long long)wrong);
    u64 value = 99;
    EXPECT_STATUS(HX_OK, hx_thread_join(&thread, HX_DEADLINE_NEVER, &value));
    EXPECT(value == 0, "the writer says %llu", (unsigned long long)value);
    EXPECT_STATUS(HX_OK, hx_handle_close(r));

    EXPECT_STATUS(HX_OK, hx_pipe(HX_PIPE_NOWAIT, &r, &w));
    EXPECT_STATUS(HX_ERR_WOULD_BLOCK, hx_read(r, buffer, 1));
    EXPECT_STATUS(HX_ERR_ACCESS, hx_read(w, buffer, 1));
    EXPECT_STATUS(HX_ERR_NOT_SUPPORTED, hx_seek(r, 0, HX_SEEK_SET));
    EXPECT_STATUS(HX_OK, hx_handle_close(r));
    EXPECT_STATUS(HX_ERR_CLOSED, hx_write_some(w, "x", 1));
    EXPECT_STATUS(HX_OK, hx_handle_close(w));
    EXPECT_STATUS(HX_ERR_FAULT, hx_sys_pipe_create((void *)16, 0));
}

static u64 finish(hx_handle_t process)
{
    u64 status = UINT64_MAX;
    EXPECT_STATUS(HX_OK, hx_process_wait(process, HX_DEADLINE_NEVER, &status));
    EXPECT_STATUS(HX_OK, hx_handle_close(process));
    return status;
}

/* Copies a program to a file of its own: what is started is then not the boot archive's. */
static void copy_program(const char *from, const char *to)
{
    static char part[8192];
    hx_handle_t a = must_open(ROOT, from, HX_OPEN_READ);
    hx_handle_t b = must_open(ROOT, to, HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_TRUNCATE);
    s64 n;
    while ((n = hx_read(a, part, sizeof(part))) > 0) {
        EXPECT_STATUS(HX_OK, hx_write_all(b, part, (size_t)n));
    }
    EXPECT_STATUS(0, n);
    EXPECT_STATUS(HX_OK, hx_handle_close(a));
    EXPECT_STATUS(HX_OK, hx_handle_close(b));
}

static void programs(void)
{
    hx_handle_t process, in_r, in_w, out_r, out_w;
    const char *cat[] = {PROGRAM, "cat"}, *leave[] = {PROGRAM, "exit", "42"};
    const char *look[] = {PROGRAM, "names"};
    char buffer[64];
    copy_program(PROGRAM, "t/copy");
    EXPECT_STATUS(HX_OK, hx_process_spawn("t/copy", 3, leave, &process));
    EXPECT_STATUS(42, finish(process));
    /* Its file may be cut while it is started from: refused or run, and nothing else. */
    hx_handle_t file = must_open(ROOT, "t/copy", HX_OPEN_WRITE);
    EXPECT_STATUS(HX_OK, hx_truncate(file, 5000));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    EXPECT_REFUSED(hx_process_spawn("t/copy", 3, leave, &process), "a part of a program ran");
    EXPECT_REFUSED(hx_process_spawn("t/log", 3, leave, &process), "a text ran");
    EXPECT_REFUSED(hx_process_spawn("dev/zero", 3, leave, &process), "a device ran");

    EXPECT_STATUS(HX_OK, hx_pipe(0, &in_r, &in_w));
    EXPECT_STATUS(HX_OK, hx_pipe(0, &out_r, &out_w));
    const hx_handle_t handles[] = {in_r, out_w, hx_standard(HX_STDERR)};
    EXPECT_STATUS(HX_OK, hx_process_spawn_with(PROGRAM, 2, cat, handles, 3, &process));
    EXPECT_STATUS(HX_OK, hx_handle_close(in_r));
    EXPECT_STATUS(HX_OK, hx_handle_close(out_w));
    EXPECT_STATUS(HX_OK, hx_write_all(in_w, "through a child", 15));
    EXPECT_STATUS(HX_OK, hx_handle_close(in_w));
    size_t n = 0;
    EXPECT_STATUS(HX_ERR_END, hx_read_all(out_r, buffer, sizeof(buffer), &n));
    EXPECT(n == 15 && memcmp(buffer, "through a child", 15) == 0, "%zu bytes", n);
    EXPECT_STATUS(0, finish(process));
    EXPECT_STATUS(HX_OK, hx_handle_close(out_r));

    /* In a root of its own: bin and nothing above it. */
    hx_handle_t bin = must_open(ROOT, "bin", HX_OPEN_READ | HX_OPEN_DIRECTORY);
    file = must_open(ROOT, PROGRAM, HX_OPEN_READ | HX_OPEN_EXECUTE);
    make(ROOT, "outside", "");
    char args[] = "files\0names";
    struct hx_spawn spawn = {.size = sizeof(spawn),
                             .file = file,
                             .root = bin,
                             .path = (u64)(uintptr_t) "files",
                             .path_length = 5,
                             .args = (u64)(uintptr_t)args,
                             .args_length = sizeof(args)};
    s64 made = hx_sys_process_start(&spawn, sizeof(spawn));
    EXPECT(made > 0, "start: %lld", (long long)made);
    EXPECT_STATUS(0, finish((hx_handle_t)made));
    EXPECT_STATUS(HX_OK, hx_process_spawn(PROGRAM, 2, look, &process));
    EXPECT_STATUS(1, finish(process)); /* here it is seen */
    spawn.reserved = 1;
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_process_start(&spawn, sizeof(spawn)));
    spawn.reserved = 0;
    spawn.file = bin;
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_sys_process_start(&spawn, sizeof(spawn)));
    spawn.file = file;
    spawn.handle_count = 1;
    spawn.handles = 16;
    EXPECT_STATUS(HX_ERR_FAULT, hx_sys_process_start(&spawn, sizeof(spawn)));
    EXPECT_STATUS(HX_OK, hx_handle_close(bin));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    EXPECT_STATUS(HX_OK, hx_unlink(ROOT, "outside", 0));
}

static void mounts(void)
{
    struct hx_fs_stat stat;
    EXPECT_STATUS(HX_OK, hx_mkdir(ROOT, "t/mnt", 0755));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, hx_mount("nosuchfs", "t/mnt", 0));
    EXPECT_STATUS(HX_ERR_NOT_DIR, hx_mount("ramfs", "t/log", 0));
    EXPECT_STATUS(HX_OK, hx_mount("ramfs", "t/mnt", 0));
    make(ROOT, "t/mnt/file", "inside");
    holds(ROOT, "t/mnt/../mnt/file", "inside");
    EXPECT_STATUS(HX_ERR_CROSS_DEVICE, hx_link(ROOT, "t/log", ROOT, "t/mnt/log"));
    EXPECT_STATUS(HX_ERR_BUSY, hx_unlink(ROOT, "t/mnt", HX_UNLINK_DIRECTORY));
    EXPECT_STATUS(HX_ERR_BUSY, hx_rename(ROOT, "t/mnt", ROOT, "t/m2", 0));
    EXPECT_STATUS(HX_OK, hx_fs_stat(ROOT, "t/mnt", &stat));
    EXPECT(str_equal(stat.type, "ramfs") && stat.free_blocks == stat.blocks - 1, "%s, %llu of %llu",
           stat.type, (unsigned long long)stat.free_blocks, (unsigned long long)stat.blocks);
    hx_handle_t file = must_open(ROOT, "t/mnt/file", HX_OPEN_READ);
    EXPECT_STATUS(HX_ERR_BUSY, hx_unmount("t/mnt"));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    EXPECT_STATUS(HX_OK, hx_unmount("t/mnt"));
    EXPECT_STATUS(HX_ERR_INVALID, hx_unmount("t/mnt"));
    EXPECT_STATUS(HX_ERR_INVALID, hx_unmount("t/log"));
    EXPECT_STATUS(HX_ERR_NOT_FOUND, try_open(ROOT, "t/mnt/file", HX_OPEN_READ));
    EXPECT_STATUS(HX_OK, hx_mount("ramfs", "t/mnt", HX_MOUNT_READ_ONLY));
    EXPECT_STATUS(HX_ERR_READ_ONLY, try_open(ROOT, "t/mnt/file", RW | HX_OPEN_CREATE));
    EXPECT_STATUS(HX_OK, hx_unmount("t/mnt"));
    EXPECT_STATUS(HX_OK, hx_unlink(ROOT, "t/mnt", HX_UNLINK_DIRECTORY));
}

static void devices(void)
{
    u8 a[32], b[32] = {0};
    hx_handle_t file = must_open(ROOT, "dev/zero", HX_OPEN_READ);
    memset(a, 1, sizeof(a));
    EXPECT_STATUS(sizeof(a), hx_read(file, a, sizeof(a)));
    EXPECT(memcmp(a, b, sizeof(a)) == 0, "zero gives something");
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    file = must_open(ROOT, "dev/random", HX_OPEN_READ);
    EXPECT_STATUS(sizeof(a), hx_read(file, a, sizeof(a)));
    EXPECT_STATUS(sizeof(b), hx_read(file, b, sizeof(b)));
    EXPECT(memcmp(a, b, sizeof(a)) != 0, "twice the same");
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    file = must_open(ROOT, "dev/null", RW);
    EXPECT_STATUS(5, hx_write_some(file, "hello", 5));
    EXPECT_STATUS(0, hx_read(file, a, sizeof(a)));
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    char text[512];
    size_t n = 0;
    file = must_open(ROOT, "proc/processes", HX_OPEN_READ);
    EXPECT_STATUS(HX_ERR_END, hx_read_all(file, text, sizeof(text) - 1, &n));
    text[n] = '\0';
    EXPECT(strchr(text, '\n') && n > 5, "processes: %s", text);
    EXPECT_STATUS(HX_OK, hx_handle_close(file));
    EXPECT_STATUS(HX_ERR_NOT_SUPPORTED, hx_mkdir(ROOT, "proc/x", 0755));
    EXPECT_REFUSED(hx_unlink(ROOT, "proc/version", 0), "a file of the kernel's went");
}

/* Everything below `path` and itself. */
static void remove_tree(const char *path)
{
    u8 buffer[1024];
    hx_handle_t d = must_open(ROOT, path, RW | HX_OPEN_DIRECTORY);
    s64 n;
    while ((n = hx_directory_read(d, buffer, sizeof(buffer))) > 0) {
        for (s64 at = 0; at < n;) {
            const struct hx_dirent *e = (const void *)(buffer + at);
            if (e->type == HX_MODE_DIRECTORY >> 12) {
                char below[64];
                format_buffer(below, sizeof(below), "%s/%s", path, e->name);
                remove_tree(below);
            } else {
                EXPECT_STATUS(HX_OK, hx_unlink(d, e->name, 0));
            }
            at += e->size;
        }
    }
    EXPECT_STATUS(HX_OK, hx_handle_close(d));
    EXPECT_STATUS(HX_OK, hx_unlink(ROOT, path, HX_UNLINK_DIRECTORY));
}

static int copy_through(void)
{
    char part[128];
    s64 n;
    while ((n = hx_read(hx_standard(HX_STDIN), part, sizeof(part))) > 0) {
        if (hx_write_all(hx_standard(HX_STDOUT), part, (size_t)n) != HX_OK) {
            return 1;
        }
    }
    return n < 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && str_equal(argv[1], "cat")) {
        return copy_through();
    }
    if (argc > 2 && str_equal(argv[1], "exit")) {
        u64 status = 255;
        return str_to_u64(argv[2], &status) ? (int)status : 255;
    }
    if (argc > 1 && str_equal(argv[1], "names")) {
        struct hx_stat stat;
        return hx_stat(ROOT, "../outside", 0, &stat) == HX_OK;
    }
    EXPECT_STATUS(HX_OK, hx_mkdir(ROOT, "t", 0755));
    contents();
    names();
    attributes();
    listing();
    pipes();
    programs();
    mounts();
    devices();
    remove_tree("t");
    return expect_result("files");
}
