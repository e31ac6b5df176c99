/* SPDX-License-Identifier: MIT */
/* What the files of hxpack share.
 */
#ifndef HXPACK_H
#define HXPACK_H

#include <helix/types.h>

#define MACHINE_X86_64  62 /* e_machine, System V gABI */
#define MACHINE_AARCH64 183

/* Which processor's relocations <hal/reloc.h> means from now on. */
void machine_set(u16 machine);

/* Ends the program with one line on standard error. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

struct file {
    u8 *data;
    size_t size;
};
struct file file_read(const char *path);
void file_write(const char *path, const void *data, size_t size);

u32 crc32(const void *data, size_t size);

/* Calls visit for each variable `prefix`NAME of the object: NAME, and the checksum of the type that
 * it points at, everything that type consists of included. */
void dwarf_prototypes(const struct file *object, const char *prefix,
                      void (*visit)(void *ctx, const char *name, u32 crc), void *ctx);

#endif
