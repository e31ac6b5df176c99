/* SPDX-License-Identifier: MIT */
/* The prototypes of what modules may call, for the build: it compiles this with debug information,
 * takes a checksum of each pointer's type (hxpack crc), and links none of it. A module built when a
 * prototype, or a structure behind it, was another has another checksum, and is refused by name.
 */
#include "exports_priv.h"

#define EXPORT(capabilities, name)                                                                 \
    extern __typeof__(name) *const hx_export_##name;                                               \
    __typeof__(name) *const hx_export_##name = &(name);
#include "exports.def"
