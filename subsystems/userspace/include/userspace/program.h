/* SPDX-License-Identifier: MIT */
/* What the process loader asks of the file system, which lies above it: programs, and the names
 * that a process sees. The virtual file system implements it. Context of all: thread; may block.
 */
#ifndef USERSPACE_PROGRAM_H
#define USERSPACE_PROGRAM_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

struct namespace;
struct object;

/* A file that is to be started. */
struct program {
    const u8 *data; /* all of it, where it lies for ever; NULL: only by program_read() */
    u64 size;
    struct object *file; /* a reference */
};

/* Opens the file at a path of the namespace. Return: HX_OK; HX_ERR_NOT_FOUND, HX_ERR_IS_DIR and
 * what else opening a file says; HX_ERR_NOT_SUPPORTED, no regular file. */
enum hx_status program_open(struct namespace *ns, const char *path, size_t size,
                            struct program *out) HX_MUST_CHECK;
/* The same of an open file; takes a reference of its own. */
enum hx_status program_of_file(struct object *file, struct program *out) HX_MUST_CHECK;
/* Fills `to` from the file. HX_ERR_CORRUPT: it has become shorter. */
enum hx_status program_read(const struct program *program, u64 offset, void *to,
                            size_t size) HX_MUST_CHECK;
void program_close(struct program *program);

/* The names that the kernel boots with. */
struct namespace *namespace_boot(void);
void namespace_get(struct namespace *ns);
void namespace_put(struct namespace *ns);

#endif
