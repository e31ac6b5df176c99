/* SPDX-License-Identifier: MIT */
/* Sealed tokens.
 * Owns:      the key; a record for each token that may still be opened.      Context: thread.
 * Locks:     tokens.lock, a mutex, around the records.
 * Method:    the MAC, HMAC-SHA-256, is over every byte of the token before it, and is compared in
 *            constant time before anything else is looked at. Only then does the number in the
 * token lead to a record, which holds the capability: what the token says of rights and time is
 * what that capability says, so that there is nothing to disagree about. Invariant: (1) a record's
 * capability expires: records do not outlive their use. The dead ones are dropped whenever somebody
 * seals. (2) a record is charged to the quota of who sealed, as a handle and as memory. The key is
 * made of the random generator at the first use, and refused without entropy.
 */
#include <core/crypto.h>
#include <core/memory.h>
#include <core/random.h>
#include <core/sync.h>
#include <core/time.h>
#include <core/token.h>
#include <helix/string.h>

struct record {
    struct list_node node;
    u64 number;
    struct cap *cap;
    struct quota *quota;
};

static struct {
    struct mutex lock;
    struct list_node records; /* l */
    u64 next_number;          /* l */
    bool has_key;             /* l */
    u8 key[CRYPTO_KEY_SIZE];  /* l, then constant */
} tokens = {.lock = MUTEX_INIT(tokens.lock), .records = LIST_INIT(tokens.records)};

static void mac_make(const struct hx_token *token, u8 out[CRYPTO_HASH_SIZE])
{
    _Static_assert(sizeof(token->mac) == CRYPTO_HASH_SIZE, "the whole of it");
    _Static_assert(offsetof(struct hx_token, mac) + CRYPTO_HASH_SIZE == sizeof(*token),
                   "it stands at the end, and there are no gaps");
    crypto_hmac_sha256(tokens.key, token, offsetof(struct hx_token, mac), out);
}

static enum hx_status validate(struct cap *cap)
{
    u64 irqs = hal_irq_save();
    enum hx_status status = cap_validate(cap);
    hal_irq_restore(irqs);
    return status;
}

static void record_free(struct record *record)
{
    quota_uncharge(record->quota, HX_QUOTA_HANDLES, 1);
    quota_uncharge(record->quota, HX_QUOTA_MEMORY, sizeof(*record));
    quota_put(record->quota);
    kfree(record);
}

void token_sweep(void)
{
    struct list_node dead = LIST_INIT(dead);
    struct record *record, *next;
    mutex_acquire(&tokens.lock);
    LIST_FOREACH_SAFE (&tokens.records, record, next, node) {
        if (validate(record->cap) == HX_ERR_REVOKED) {
            list_remove(&record->node);
            list_add_tail(&dead, &record->node);
        }
    }
    mutex_release(&tokens.lock);
    LIST_FOREACH_SAFE (&dead, record, next, node) { /* dropping may do anything: not locked */
        cap_drop(record->cap);
        record_free(record);
    }
}

static enum hx_status record_make(struct quota *quota, struct record **out_record)
{
    enum hx_status status = quota_charge(quota, HX_QUOTA_HANDLES, 1);
    if (status != HX_OK) {
        return status;
    }
    status = quota_charge(quota, HX_QUOTA_MEMORY, sizeof(struct record));
    if (status != HX_OK) {
        quota_uncharge(quota, HX_QUOTA_HANDLES, 1);
        return status;
    }
    struct record *record = kmalloc(sizeof(*record));
    if (!record) {
        quota_uncharge(quota, HX_QUOTA_HANDLES, 1);
        quota_uncharge(quota, HX_QUOTA_MEMORY, sizeof(*record));
        return HX_ERR_NO_MEMORY;
    }
    record->quota = quota_get(quota);
    *out_record = record;
    return HX_OK;
}

enum hx_status token_seal(struct cap *cap, u64 audience, struct quota *quota,
                          struct hx_token *out_token)
{
    struct record *record;
    if (cap->expires_ns == HX_DEADLINE_NEVER) {
        return HX_ERR_INVALID;
    }
    enum hx_status status = record_make(quota, &record);
    if (status != HX_OK) {
        return status;
    }
    token_sweep();
    mutex_acquire(&tokens.lock);
    if (!tokens.has_key && random_is_seeded()) {
        random_fill(tokens.key, sizeof(tokens.key));
        tokens.has_key = true;
    }
    if (tokens.has_key) {
        record->number = ++tokens.next_number;
        record->cap = cap;
        *out_token = (struct hx_token){
            .size = sizeof(*out_token),
            .rights = cap->grant & HX_RIGHTS_ALL,
            .number = record->number,
            .audience = audience,
            .expires_ns = cap->expires_ns,
        };
        mac_make(out_token, out_token->mac);
        list_add_tail(&tokens.records, &record->node);
    } else {
        status = HX_ERR_NOT_READY;
    }
    mutex_release(&tokens.lock);
    if (status != HX_OK) {
        record_free(record);
    }
    return status;
}

static struct record *find_locked(u64 number)
{
    struct record *record;
    LIST_FOREACH (&tokens.records, record, node) {
        if (record->number == number) {
            return record;
        }
    }
    return NULL;
}

enum hx_status token_open(const struct hx_token *token, u64 audience, struct cap **out_cap)
{
    u8 mac[CRYPTO_HASH_SIZE];
    enum hx_status status;
    mutex_acquire(&tokens.lock);
    mac_make(token, mac);
    if (!tokens.has_key || !crypto_equal(mac, token->mac, sizeof(mac))) {
        status = HX_ERR_SIGNATURE;
    } else if (token->audience && token->audience != audience) {
        status = HX_ERR_ACCESS;
    } else {
        struct record *record = find_locked(token->number);
        status = record ? cap_derive(record->cap, record->cap->grant & HX_RIGHTS_ALL,
                                     HX_DEADLINE_NEVER, false, out_cap)
                        : HX_ERR_REVOKED; /* it has been swept */
    }
    mutex_release(&tokens.lock);
    crypto_wipe(mac, sizeof(mac));
    return status;
}
