/* SPDX-License-Identifier: MIT */
/* sha256sum. The hash is libsodium's.
 * Spec: FIPS 180-4; the lines look like those of coreutils, and can be checked by it.
 */
#include "tools_priv.h"

#include <crypto_hash_sha256.h>
#include <helix/string.h>

void sodium_memzero(void *const memory, const size_t size);

/* What the library asks for: it wipes its state with it. */
void sodium_memzero(void *const memory, const size_t size)
{
    memset(memory, 0, size);
    hx_compiler_barrier();
}

static bool hash_bytes(void *ctx, const char *name, const char *bytes, size_t size)
{
    (void)name;
    crypto_hash_sha256_update(ctx, (const unsigned char *)bytes, size);
    return true;
}

static void print_hash(void *ctx, const char *name)
{
    u8 hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(ctx, hash);
    for (u32 i = 0; i < sizeof(hash); i++) {
        out("%02x", hash[i]);
    }
    out("  %s\n", name);
    crypto_hash_sha256_init(ctx);
}

int tool_sha256sum(int argc, char **argv)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    return take_options(&argc, argv, "", NULL, NULL)
               ? for_each_input(argc - 1, argv + 1, hash_bytes, print_hash, &state)
               : STATUS_USAGE;
}
