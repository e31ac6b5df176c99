/* SPDX-License-Identifier: MIT */
/* Encryption: XChaCha20-Poly1305 for nodes, extents, log records and wrapped keys; Argon2id for
 * passphrases. The only file that knows libsodium.
 * Owns:      nothing.      Callers: node.c, file.c, log.c, replay.c, subvol.c, mkfs.c, snap.c.
 * Context:   thread; crypt_kek with a passphrase takes seconds and megabytes, by design.
 * Invariant: (1) a nonce is 16 random bytes of this mount and a counter: it stays unique when an
 *            image is copied and both copies are mounted, and when a crash rolls counters back.
 *            (2) every ciphertext is bound to what it is and where it belongs.
 *            Spec: SPEC.md, "Encryption".
 */
#include "hfs_priv.h"

#include <sodium/crypto_aead_xchacha20poly1305.h>
#include <sodium/crypto_pwhash_argon2id.h>
#include <sodium/utils.h>

#define KIND_KEY 4u

_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == HFS_EXT_NONCE, "SPEC.md");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == HFS_EXT_TAG, "SPEC.md");

void crypt_nonce(struct hfs *fs, u8 nonce[24])
{
    u64 count = ++fs->nonce_count;
    memcpy(nonce, fs->nonce, 16);
    memcpy(nonce + 16, &count, 8);
}

void crypt_seal(const u8 key[32], const u8 nonce[24], const struct crypt_aad *aad, void *data,
                u64 len, u8 tag[16])
{
    unsigned long long tag_len;
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
        data, tag, &tag_len, data, len, (const u8 *)aad, sizeof(*aad), NULL, nonce, key);
}

enum hx_status crypt_open(const u8 key[32], const u8 nonce[24], const struct crypt_aad *aad,
                          void *data, u64 len, const u8 tag[16])
{
    int bad = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
        data, NULL, data, len, tag, (const u8 *)aad, sizeof(*aad), nonce, key);
    return bad == 0 ? HX_OK : HX_ERR_SIGNATURE;
}

enum hx_status crypt_kek(const struct hfs_key_source *source, const struct hfs_dkey *slot,
                         u8 kek[32])
{
    if (slot->ops == 0) {
        if (source->len != 32) {
            return HX_ERR_SIGNATURE;
        }
        memcpy(kek, source->secret, 32);
        return HX_OK;
    }
    /* A damaged slot must not ask for all memory there is. */
    if (slot->ops > 64 || slot->mem_kib < 8 || slot->mem_kib > 4u * 1024 * 1024) {
        return HX_ERR_CORRUPT;
    }
    int bad =
        crypto_pwhash_argon2id(kek, 32, source->secret, source->len, slot->salt, slot->ops,
                               (size_t)slot->mem_kib * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13);
    return bad == 0 ? HX_OK : HX_ERR_NO_MEMORY;
}

enum hx_status crypt_wrap(struct hfs *fs, u64 fsid, u64 owner, const struct hfs_key_source *source,
                          const u8 dek[32], struct hfs_dkey *out)
{
    struct hfs_dkey slot = {.ops = source->ops, .mem_kib = source->ops > 0 ? source->mem_kib : 0};
    u8 kek[32];
    os_random(slot.salt, sizeof(slot.salt));
    enum hx_status status = crypt_kek(source, &slot, kek);
    if (status != HX_OK) {
        return status == HX_ERR_SIGNATURE ? HX_ERR_INVALID : status;
    }
    crypt_nonce(fs, slot.nonce);
    memcpy(slot.wrapped, dek, 32);
    struct crypt_aad aad = {.fsid = fsid, .kind = KIND_KEY, .a = owner};
    crypt_seal(kek, slot.nonce, &aad, slot.wrapped, 32, slot.wrapped + 32);
    sodium_memzero(kek, sizeof(kek));
    *out = slot;
    return HX_OK;
}

enum hx_status crypt_unwrap(u64 fsid, u64 owner, const struct hfs_key_source *source,
                            const struct hfs_dkey *slot, u8 dek[32])
{
    u8 kek[32], key[32];
    enum hx_status status = crypt_kek(source, slot, kek);
    if (status == HX_OK) {
        struct crypt_aad aad = {.fsid = fsid, .kind = KIND_KEY, .a = owner};
        memcpy(key, slot->wrapped, 32);
        status = crypt_open(kek, slot->nonce, &aad, key, 32, slot->wrapped + 32);
    }
    if (status == HX_OK) {
        memcpy(dek, key, 32);
    }
    sodium_memzero(kek, sizeof(kek));
    sodium_memzero(key, sizeof(key));
    return status;
}
