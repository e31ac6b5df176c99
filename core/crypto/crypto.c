/* SPDX-License-Identifier: MIT */
/* The kernel's side of libsodium: calls into it, and the few functions that it expects of a system.
 * Context:   thread.
 * Its utils.c, which holds locked memory and a random generator among much else, is not built; the
 * three functions of it that the others call are here.
 */
#include <core/crypto.h>
#include <crypto_auth_hmacsha256.h>
#include <crypto_hash_sha256.h>
#include <crypto_sign_ed25519.h>
#include <helix/compiler.h>
#include <helix/panic.h>
#include <helix/string.h>
#include <utils.h>

void sodium_memzero(void *const p, const size_t size)
{
    memset(p, 0, size);
    __asm__ volatile("" ::"r"(p) : "memory"); /* somebody might read it: it is not left out */
}

int sodium_memcmp(const void *const a_, const void *const b_, size_t size)
{
    const u8 *a = a_, *b = b_;
    volatile u8 difference = 0; /* no early end that a compiler finds */
    for (size_t i = 0; i < size; i++) {
        difference |= a[i] ^ b[i];
    }
    return difference ? -1 : 0;
}

int sodium_is_zero(const unsigned char *bytes, const size_t size)
{
    volatile u8 any = 0;
    for (size_t i = 0; i < size; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

void crypto_sha256(const void *data, size_t size, u8 out[CRYPTO_HASH_SIZE])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, data, size);
    crypto_hash_sha256_final(&state, out);
}

void crypto_hmac_sha256(const u8 key[CRYPTO_KEY_SIZE], const void *data, size_t size,
                        u8 out[CRYPTO_HASH_SIZE])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, CRYPTO_KEY_SIZE);
    crypto_auth_hmacsha256_update(&state, data, size);
    crypto_auth_hmacsha256_final(&state, out);
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

void crypto_wipe(void *memory, size_t size)
{
    sodium_memzero(memory, size);
}

enum hx_status crypto_ed25519_verify(const u8 signature[64], const void *data, size_t size,
                                     const u8 key[32])
{
    return crypto_sign_ed25519_verify_detached(signature, data, size, key) == 0 ? HX_OK
                                                                                : HX_ERR_SIGNATURE;
}
