/* SPDX-License-Identifier: MIT */
/* Signatures of module files.
 * Owns:      nothing.      Caller: loader.c.      Context: thread.
 */
#include "runtime_priv.h"

#include <core/crypto.h>
#include <modules/key.h>

enum hx_status signature_check(const void *file, size_t size)
{
    const struct module_trailer *trailer = module_file_trailer(file, size);
    if (!trailer || !(trailer->flags & MODULE_SIGNED)) {
        return HX_ERR_SIGNATURE;
    }
    return crypto_ed25519_verify(trailer->signature, file, size - MODULE_SIGNATURE_SIZE,
                                 module_public_key);
}
