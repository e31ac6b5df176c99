/* SPDX-License-Identifier: MIT */
/* The key that modules are signed with; the build writes it (tools/keys, --sign-key).
 */
#ifndef MODULES_KEY_H
#define MODULES_KEY_H

#include <helix/types.h>

extern const u8 module_public_key[32]; /* Ed25519 */

#endif
