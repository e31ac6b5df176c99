/* SPDX-License-Identifier: MIT */
/* Images, keys and messages of the HelixFS tools, see image.h. */
#define _GNU_SOURCE
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

void fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "%s: ", tool_name);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
}

static int fd_of(struct bdev *dev)
{
    return ((struct image_file *)dev->ctx)->fd;
}

/* pread(), or pwrite() without the const of its buffer: some of the bytes. */
typedef ssize_t (*transfer_fn)(int fd, void *at, size_t left, off_t off);

static ssize_t write_some(int fd, void *at, size_t left, off_t off)
{
    return pwrite(fd, at, left, off);
}

static enum hx_status transfer(struct bdev *dev, transfer_fn some, u64 block, u32 count, u8 *at)
{
    u64 off = block * BDEV_BLOCK, left = (u64)count * BDEV_BLOCK;
    while (left > 0) {
        ssize_t n = some(fd_of(dev), at, left, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return HX_ERR_IO;
        }
        at += n;
        off += (u64)n;
        left -= (u64)n;
    }
    return HX_OK;
}

static enum hx_status file_read(struct bdev *dev, u64 block, u32 count, void *buf)
{
    return transfer(dev, pread, block, count, buf);
}

static enum hx_status file_write(struct bdev *dev, u64 block, u32 count, const void *buf)
{
    return transfer(dev, write_some, block, count, (u8 *)(uintptr_t)buf); /* only read */
}

static enum hx_status file_flush(struct bdev *dev)
{
    return fdatasync(fd_of(dev)) == 0 ? HX_OK : HX_ERR_IO;
}

static const struct bdev_ops file_ops = {
    .read = file_read, .write = file_write, .flush = file_flush};

static bool device_size(int fd, u64 *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return false;
    }
    *out = (u64)st.st_size;
    return !S_ISBLK(st.st_mode) || ioctl(fd, BLKGETSIZE64, out) == 0;
}

bool image_open(struct image_file *image, const char *path, bool write, u64 size)
{
    int flags = (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | (size > 0 ? O_CREAT : 0);
    int fd = open(path, flags, 0644);
    if (fd < 0) {
        fail("%s: %s", path, strerror(errno));
        return false;
    }
    u64 bytes = 0;
    /* Two writers would destroy the image, and each would be right. */
    if (flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        fail("%s: in use by another program", path);
    } else if (!device_size(fd, &bytes) ||
               (size > bytes && (ftruncate(fd, (off_t)size) != 0 || !device_size(fd, &bytes)))) {
        fail("%s: cannot be made that large: %s", path, strerror(errno));
    } else {
        *image = (struct image_file){.dev = {.ops = &file_ops,
                                             .blocks = bytes / BDEV_BLOCK,
                                             .read_only = !write,
                                             .ctx = image},
                                     .fd = fd};
        return true;
    }
    close(fd);
    return false;
}

bool image_close(struct image_file *image)
{
    if (close(image->fd) != 0) {
        fail("closing the image: %s", strerror(errno));
        return false;
    }
    return true;
}

bool parse_size(const char *text, u64 *out_bytes)
{
    static const char suffixes[] = "KMGT";
    char *end;
    errno = 0;
    u64 value = strtoull(text, &end, 0);
    u32 shift = 0;
    const char *suffix = *end != '\0' ? strchr(suffixes, *end) : NULL;
    if (suffix != NULL) {
        shift = 10 * (u32)(suffix - suffixes + 1);
        end++;
    }
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > ~0ull >> shift) {
        return false;
    }
    *out_bytes = value << shift;
    return true;
}

bool key_load(const char *path, struct hfs_key_source *out)
{
    static char buf[4097];
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (in == NULL) {
        fail("%s: %s", path, strerror(errno));
        return false;
    }
    size_t n = fread(buf, 1, sizeof(buf), in);
    if (in != stdin) {
        fclose(in);
    }
    if (n == 0 || n == sizeof(buf)) {
        fail("%s: a key file has 1 to 4096 bytes", path);
        return false;
    }
    bool raw = n == 32;
    if (!raw && buf[n - 1] == '\n') {
        n--;
    }
    *out = (struct hfs_key_source){
        .secret = buf, .len = n, .ops = raw ? 0 : 3, .mem_kib = raw ? 0 : 65536};
    return true;
}

void json_string(FILE *out, const char *s, size_t len)
{
    fputc('"', out);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c >= 0x7f) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}
