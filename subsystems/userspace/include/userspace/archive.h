/* SPDX-License-Identifier: MIT */
/* The boot archive: files that the loader brought along, as one cpio (newc) image.
 */
#ifndef USERSPACE_ARCHIVE_H
#define USERSPACE_ARCHIVE_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

struct archive_file {
    const char *name; /* not terminated: name_size bytes */
    size_t name_size;
    const void *data;
    size_t size;
    u32 mode;
    bool from_host; /* by boot_archive_find(): handed over at run time, not at boot */
};

/* Reads the entry at *cursor (0 first) of the archive in [image, image + size) and moves it on.
 * Return: HX_OK; HX_ERR_END after the last; HX_ERR_CORRUPT. Context: any; also for the host.
 * Spec: cpio(5), "New ASCII format". */
enum hx_status archive_next(const void *image, size_t size, size_t *cursor,
                            struct archive_file *out) HX_MUST_CHECK;

/* Finds a file by name in what the host hands over, else in the archives that the loader brought; a
 * leading "/" or "./" does not matter. The data stays where it is, read-only, for ever. Return:
 * HX_OK, HX_ERR_NOT_FOUND. */
enum hx_status boot_archive_find(const char *name, struct archive_file *out) HX_MUST_CHECK;

#endif
