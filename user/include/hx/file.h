/* SPDX-License-Identifier: MIT */
/* Files, directories, pipes and file systems. Paths are NUL-terminated strings from a directory
 * handle, or from the root of the process's namespace for HX_HANDLE_NONE; there is no current
 * directory. <abi/file.h> has the flags and structures. Context of all: any thread; may block.
 *
 * Statuses that come from any path: HX_ERR_NOT_FOUND, HX_ERR_NOT_DIR, HX_ERR_NAME_TOO_LONG,
 * HX_ERR_LOOP, HX_ERR_ACCESS (the directory's rights do not reach), HX_ERR_READ_ONLY,
 * HX_ERR_BAD_HANDLE, HX_ERR_NO_MEMORY; from what is stored: HX_ERR_NO_SPACE, HX_ERR_IO,
 * HX_ERR_CORRUPT.
 */
#ifndef HX_FILE_H
#define HX_FILE_H

#include <abi/file.h>
#include <helix/compiler.h>

/* flags: HX_OPEN_*; mode: permission bits of what is made. The handle is closed by
 * hx_handle_close(). Return: HX_OK; HX_ERR_EXISTS; HX_ERR_IS_DIR; HX_ERR_INVALID. */
enum hx_status hx_open(hx_handle_t directory, const char *path, u32 flags, u32 mode,
                       hx_handle_t *out_file) HX_MUST_CHECK;

/* At the file's position, which moves on; 0 bytes read: the end. One call takes at most 1 MiB.
 * Return: bytes, or a status when there were none. */
s64 hx_read(hx_handle_t file, void *buffer, size_t size);
s64 hx_write_some(hx_handle_t file, const void *buffer, size_t size);

/* All of it, or a status; *out_done (may be NULL) says how much there was of it.
 * read: HX_ERR_END, the file is shorter. */
enum hx_status hx_read_all(hx_handle_t file, void *buffer, size_t size,
                           size_t *out_done) HX_MUST_CHECK;
enum hx_status hx_write_all(hx_handle_t file, const void *buffer, size_t size) HX_MUST_CHECK;

/* At an offset; the position stays. */
s64 hx_read_at(hx_handle_t file, void *buffer, size_t size, u64 offset);
s64 hx_write_at(hx_handle_t file, const void *buffer, size_t size, u64 offset);

/* Return: the new position; HX_ERR_INVALID; HX_ERR_END (HX_SEEK_DATA and HX_SEEK_HOLE);
 * HX_ERR_NOT_SUPPORTED, it has none. */
s64 hx_seek(hx_handle_t file, s64 offset, enum hx_seek whence);

/* flags: HX_STAT_*. */
enum hx_status hx_stat(hx_handle_t directory, const char *path, u32 flags,
                       struct hx_stat *out) HX_MUST_CHECK;
enum hx_status hx_stat_handle(hx_handle_t file, struct hx_stat *out) HX_MUST_CHECK;

/* Fills the buffer with whole struct hx_dirent. Return: bytes; 0: no more; HX_ERR_INVALID, the
 * buffer is smaller than HX_DIRENT_MAX. */
s64 hx_directory_read(hx_handle_t directory, void *buffer, size_t size);

enum hx_status hx_mkdir(hx_handle_t directory, const char *path, u32 mode) HX_MUST_CHECK;
/* flags: HX_UNLINK_*. HX_ERR_IS_DIR, HX_ERR_NOT_EMPTY, HX_ERR_BUSY (something is mounted there). */
enum hx_status hx_unlink(hx_handle_t directory, const char *path, u32 flags) HX_MUST_CHECK;
/* flags: HX_RENAME_*. HX_ERR_CROSS_DEVICE; HX_ERR_INVALID, into itself. */
enum hx_status hx_rename(hx_handle_t from_directory, const char *from, hx_handle_t to_directory,
                         const char *to, u32 flags) HX_MUST_CHECK;
enum hx_status hx_link(hx_handle_t from_directory, const char *from, hx_handle_t to_directory,
                       const char *to) HX_MUST_CHECK;
enum hx_status hx_symlink(const char *target, hx_handle_t directory,
                          const char *path) HX_MUST_CHECK;
/* Fills the buffer, NUL-terminated. HX_ERR_MESSAGE_SIZE: it is too small. HX_ERR_INVALID: no link.
 */
enum hx_status hx_readlink(hx_handle_t directory, const char *path, char *buffer,
                           size_t size) HX_MUST_CHECK;
enum hx_status hx_truncate(hx_handle_t file, u64 bytes) HX_MUST_CHECK;
/* What happened to the file is durable on HX_OK; HX_HANDLE_NONE: everything. */
enum hx_status hx_sync(hx_handle_t file) HX_MUST_CHECK;
/* attr->size need not be set. */
enum hx_status hx_attr_set(hx_handle_t directory, const char *path, const struct hx_attr *attr,
                           u32 flags) HX_MUST_CHECK;

/* Extended attributes of an open file or directory. get and list: bytes there are, also when size
 * is 0; HX_ERR_MESSAGE_SIZE when more than size. list: NUL-terminated names in a row. */
s64 hx_xattr_get(hx_handle_t file, const char *name, void *value, size_t size);
enum hx_status hx_xattr_set(hx_handle_t file, const char *name, const void *value, size_t size,
                            u32 flags) HX_MUST_CHECK;
enum hx_status hx_xattr_remove(hx_handle_t file, const char *name) HX_MUST_CHECK;
s64 hx_xattr_list(hx_handle_t file, char *names, size_t size);

/* What is written to one end is read from the other. Reading: 0 bytes once nobody can write any
 * more; writing: HX_ERR_CLOSED once nobody can read. A write of at most 4096 bytes arrives in one
 * piece. flags: HX_PIPE_*. */
enum hx_status hx_pipe(u32 flags, hx_handle_t *out_read, hx_handle_t *out_write) HX_MUST_CHECK;

enum hx_status hx_mount(const char *type, const char *path, u32 flags) HX_MUST_CHECK;
/* The same from a device; options may be NULL. */
enum hx_status hx_mount_device(const char *type, const char *path, const struct hx_mount *options,
                               u32 flags) HX_MUST_CHECK;
enum hx_status hx_unmount(const char *path) HX_MUST_CHECK;
enum hx_status hx_fs_stat(hx_handle_t directory, const char *path,
                          struct hx_fs_stat *out) HX_MUST_CHECK;

#endif
