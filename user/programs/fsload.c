/* SPDX-License-Identifier: MIT */
/* fsload FOLDER SEED: works on files without end, and says of each step when it is durable. The
 * host ends the machine at some moment and finds out what the disk remembers
 * (tests/boot/helixfs.py).
 *
 * Step n makes the file "fN" of BYTES(n) bytes, has it durable, and prints "n"; renames a new file
 * over "newest" in every third step, and takes file n - KEPT away. Contents are text, so that
 * whoever looks knows the step and the place that a byte is of.
 */
#include <helix/format.h>
#include <helix/string.h>
#include <hx/file.h>
#include <hx/io.h>
#include <hx/process.h>

#define KEPT      40
#define LINE      16 /* bytes: "step, line\n", padded */
#define LINES_MAX 1500

static char folder[64];
static char content[LINES_MAX * LINE];

static u32 lines_of(u64 seed, u32 step)
{
    u64 word = (seed + step) * 0x9e3779b97f4a7c15ull;
    return (u32)(word >> 40) % LINES_MAX + 1;
}

static int fail(const char *what, enum hx_status status)
{
    hx_printf("fsload: %s: %s\n", what, hx_status_words(status));
    return 1;
}

/* Writes a file from its beginning and has it durable. */
static enum hx_status write_file(const char *path, u32 step, u32 lines)
{
    for (u32 i = 0; i < lines; i++) {
        char line[LINE + 1];
        format_buffer(line, sizeof(line), "%7u,%7u\n", step, i);
        memcpy(content + (size_t)i * LINE, line, LINE);
    }
    hx_handle_t file;
    enum hx_status status = hx_open(HX_HANDLE_NONE, path,
                                    HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_TRUNCATE, 0644, &file);
    if (status != HX_OK) {
        return status;
    }
    size_t size = (size_t)lines * LINE;
    s64 n = hx_write_at(file, content, size, 0);
    status = n < 0 ? (enum hx_status)n : n == (s64)size ? hx_sync(file) : HX_ERR_NO_SPACE;
    enum hx_status closed = hx_handle_close(file);
    return status == HX_OK ? closed : status;
}

int main(int argc, char **argv)
{
    u64 seed;
    char path[96], newest[96];
    if (argc != 3 || !str_to_u64(argv[2], &seed) || !str_copy(folder, argv[1], sizeof(folder))) {
        hx_printf("usage: fsload FOLDER SEED\n");
        return 2;
    }
    format_buffer(newest, sizeof(newest), "%s/newest", folder);
    for (u32 step = 1;; step++) {
        u32 lines = lines_of(seed, step);
        format_buffer(path, sizeof(path), "%s/f%u", folder, step);
        enum hx_status status = write_file(path, step, lines);
        if (status != HX_OK) {
            return fail(path, status);
        }
        if (step % 3 == 0) {
            format_buffer(path, sizeof(path), "%s/next", folder);
            status = write_file(path, step, lines);
            if (status == HX_OK) {
                status = hx_rename(HX_HANDLE_NONE, path, HX_HANDLE_NONE, newest, 0);
            }
            if (status != HX_OK) {
                return fail(newest, status);
            }
        }
        if (step > KEPT) {
            format_buffer(path, sizeof(path), "%s/f%u", folder, step - KEPT);
            status = hx_unlink(HX_HANDLE_NONE, path, 0);
            if (status != HX_OK) {
                return fail(path, status);
            }
        }
        hx_printf("%u\n", step);
    }
}
