/* SPDX-License-Identifier: MIT */
/* Setting up the command line; reading it is in <helix/cmdline.h>.
 */
#ifndef CORE_CMDLINE_H
#define CORE_CMDLINE_H

#include <helix/cmdline.h>

/* Adds the words of `text`. Words that no code knows are harmless. Context: early. */
void cmdline_add(const char *text);

/* Adds what the host hands over at run time (firmware blob "opt/helix/cmdline"). Context: early,
 * after hal_init_platform(). */
void cmdline_add_from_host(void);

/* Warns of every word that `known` does not list. Context: early or thread. */
void cmdline_report_unknown(const char *const *known);

#endif
