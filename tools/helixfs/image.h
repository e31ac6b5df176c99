/* SPDX-License-Identifier: MIT */
/* What the HelixFS tools share: an image file or a device as a struct bdev, keys from files or
 * passphrases, sizes with suffixes, JSON strings, messages.
 */
#ifndef HELIXFS_IMAGE_H
#define HELIXFS_IMAGE_H

#include <fs/helixfs.h>
#include <stdio.h>

struct image_file {
    struct bdev dev;
    int fd;
};

extern const char *tool_name; /* begins every message */

/* False: the reason was printed. size 0: as it is; else the file is made and grown to that. */
bool image_open(struct image_file *image, const char *path, bool write, u64 size);
/* False: closing failed, and said so. */
bool image_close(struct image_file *image);

/* "64M", "1G", "4096". False: no size. */
bool parse_size(const char *text, u64 *out_bytes);

/* A key from a file: 32 bytes are a key, anything else (one line) a passphrase.
 * False: the reason was printed. The memory lives as long as the program. */
bool key_load(const char *path, struct hfs_key_source *out);

void fail(const char *fmt, ...) HX_PRINTF(1, 2);
/* A JSON string with its quotes. */
void json_string(FILE *out, const char *s, size_t len);

#endif
