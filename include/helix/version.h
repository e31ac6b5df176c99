/* SPDX-License-Identifier: MIT */
/* What this build is: written by the build into one generated file, so that a new commit compiles
 * one object. All are NUL-terminated and constant.
 */
#ifndef HELIX_VERSION_H
#define HELIX_VERSION_H

extern const char helix_version[];         /* "0.1.0" */
extern const char helix_build_id[];        /* commit, "+dirty" when the tree differed from it */
extern const char helix_variant[];         /* "release", "debug" or "asan" */
extern const char helix_profile_name[];    /* the profile's folder name */
extern const char helix_profile_cmdline[]; /* words that come before the loader's command line */

#endif
