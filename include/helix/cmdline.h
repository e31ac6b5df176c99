/* SPDX-License-Identifier: MIT */
/* The kernel's command line: words separated by blanks, `name` or `name=value`; a value may be in
 * double quotes, inside which \" and \\ stand for themselves. The last of several equal names
 * counts. core/cmdline implements it.
 * Context: any after kernel_main's first step; read-only from then on.
 */
#ifndef HELIX_CMDLINE_H
#define HELIX_CMDLINE_H

#include <helix/types.h>

/* The value of `name`, "" for a word without one, NULL when it is not there. The string lives as
 * long as the kernel. */
const char *cmdline_get(const char *name);

static inline bool cmdline_has(const char *name)
{
    return cmdline_get(name) != NULL;
}

#endif
