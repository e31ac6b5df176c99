/* SPDX-License-Identifier: MIT */
/* Cryptography, by libsodium's portable C. Context of all: thread. Nothing here allocates.
 */
#ifndef CORE_CRYPTO_H
#define CORE_CRYPTO_H

#include <helix/status.h>
#include <helix/types.h>

#define CRYPTO_HASH_SIZE 32 /* SHA-256 */
#define CRYPTO_KEY_SIZE  32

/* SHA-256 (FIPS 180-4). */
void crypto_sha256(const void *data, size_t size, u8 out[CRYPTO_HASH_SIZE]);

/* HMAC-SHA-256 (RFC 2104). */
void crypto_hmac_sha256(const u8 key[CRYPTO_KEY_SIZE], const void *data, size_t size,
                        u8 out[CRYPTO_HASH_SIZE]);

/* Compares in a time that does not depend on the contents. */
bool crypto_equal(const void *a, const void *b, size_t size);

/* Zeroes memory that is not used again, which a compiler would leave out. */
void crypto_wipe(void *memory, size_t size);

/* Verifies an Ed25519 signature (RFC 8032); keys of small order and non-canonical numbers are
 * refused. About 3 KiB of stack. Return: HX_OK, HX_ERR_SIGNATURE. */
enum hx_status crypto_ed25519_verify(const u8 signature[64], const void *data, size_t size,
                                     const u8 key[32]) HX_MUST_CHECK;

#endif
