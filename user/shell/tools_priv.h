/* SPDX-License-Identifier: MIT */
/* What the tools share.
 */
#ifndef TOOLS_TOOLS_PRIV_H
#define TOOLS_TOOLS_PRIV_H

#include "tools.h"

#include <abi/file.h>
#include <helix/compiler.h>

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE, STATUS_NOT_FOUND = 127 };

/* argv[0] is the tool's name; argv[argc] is NULL. Return: the exit status. */
#define TOOL_DECLARE(name, usage, summary) int tool_##name(int argc, char **argv);
TOOLS(TOOL_DECLARE)
#undef TOOL_DECLARE

/* Output is gathered and written when there is enough, and at the end. */
void out(const char *fmt, ...) HX_PRINTF(1, 2);
void out_bytes(const char *bytes, size_t size);
void out_json_string(const char *text);
void out_flush(void);

/* One line on standard error. Return: STATUS_FAILED; of usage(): STATUS_USAGE. */
int fail(const char *what, enum hx_status status);
int usage(void);

/* Takes the options out of argv: of "-x" the letters in `letters`, of "--json" *json (NULL: not
 * known). What is left is counted in *argc. False: an option that is not known; the user was told.
 */
bool take_options(int *argc, char **argv, const char *letters, bool *flags, bool *json);

/* Opens a path. Negative: a status. */
s64 open_path(const char *path, u32 flags, u32 mode);
enum hx_status stat_path(const char *path, u32 flags, struct hx_stat *out_stat) HX_MUST_CHECK;

/* folder + "/" + name. False: too long. */
bool join(char *path, const char *folder, const char *name);
const char *last_name(const char *path);

/* Calls visit for each entry but "." and "..", until it returns false.
 * Return: HX_OK, or why the folder could not be read. */
enum hx_status read_folder(const char *path,
                           bool (*visit)(void *ctx, const char *path, const struct hx_dirent *e),
                           void *ctx) HX_MUST_CHECK;

/* Calls take for all bytes of each file, or of standard input when there is none; take returns
 * false when it wants no more of the file. Return: an exit status. */
int for_each_input(int count, char **paths,
                   bool (*take)(void *ctx, const char *name, const char *bytes, size_t size),
                   void (*end)(void *ctx, const char *name), void *ctx);

#endif
