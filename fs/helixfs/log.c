/* SPDX-License-Identifier: MIT */
/* The write-ahead log: makes fsync cost one write and one flush.
 * Owns:      the blocks [log_start, log_start + log_blocks), hfs.log.     Callers: every operation
 *            that changes something; replay.c reads.     Context: thread, under hfs.lock; may
 * block. Invariant: (1) records are numbered without gaps in the order in which operations took
 * effect, and go to the device in that order: what is durable is a prefix.  (2) an entry is valid
 *            only behind its predecessor: each carries the checksum of the one before and the
 *            mount's nonce, so that neither a stale lap nor a reordered write can pass.  (3)
 * entries from the position of root N - 1 on are kept until N + 1 is durable. (4) there is no flush
 * between a file's data and the record that names it: the record carries the data's checksums, and
 * replay ends where they do not fit. Spec: SPEC.md, "Log".
 *
 *   record made (log_append) --log_flush: entries written, flush--> durable_seq
 *   record made or durable   --txg_commit--> in the tree; forgotten (log_committed)
 */
#include "hfs_priv.h"

#define BUF_MIN    65536u
#define BUF_FULL   (512u * 1024)
#define ENTRY_ROOM (HFS_LOG_ENTRY_MAX - (u32)sizeof(struct hfs_log_head))
#define SEAL_EXTRA ((u32)sizeof(struct hfs_rec) + HFS_EXT_NONCE + HFS_EXT_TAG + 16)

enum hx_status log_init(struct hfs *fs)
{
    struct hfs_log *log = &fs->log;
    log->buf = os_alloc(BUF_MIN);
    log->entry = os_alloc(HFS_LOG_ENTRY_MAX);
    if (log->buf == NULL || log->entry == NULL) {
        return HX_ERR_NO_MEMORY; /* log_fini follows */
    }
    log->size = BUF_MIN;
    log->op_seq = log->durable_seq = fs->uber->op_seq;
    log->seq = fs->uber->log_seq;
    log->pos = log->keep_pos = fs->uber->log_pos;
    log->chain = fs->uber->log_chain;
    os_random(&log->nonce, sizeof(log->nonce));
    return HX_OK;
}

void log_fini(struct hfs *fs)
{
    os_free(fs->log.buf);
    os_free(fs->log.entry);
    fs->log.buf = fs->log.entry = NULL;
}

static bool log_is_off(const struct hfs *fs)
{
    return fs->log.replaying || fs->in_commit || (fs->opts.flags & HFS_MOUNT_NOLOG) != 0;
}

enum hx_status log_reserve(struct hfs *fs, u32 records, u32 payload)
{
    struct hfs_log *log = &fs->log;
    u64 need = log->used + payload + (u64)records * (sizeof(struct hfs_rec) + SEAL_EXTRA + 16);
    if (log_is_off(fs) || need <= log->size) {
        return HX_OK;
    }
    u64 size = hx_max_u64(2ull * log->size, hx_align_up(need, BUF_MIN));
    if (size > HX_MIB(256)) {
        return HX_ERR_NO_MEMORY;
    }
    u8 *buf = os_alloc(size);
    if (buf == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    memcpy(buf, log->buf, log->used);
    os_free(log->buf);
    log->buf = buf;
    log->size = (u32)size;
    return HX_OK;
}

static u32 record_write(u8 *at, struct hfs_rec *rec, const void *name, u32 name_len,
                        const void *data, u32 data_len)
{
    rec->payload = name_len + data_len;
    rec->len = (u32)hx_align_up(sizeof(*rec) + rec->payload, 8);
    memset(at, 0, rec->len);
    memcpy(at, rec, sizeof(*rec));
    if (name_len > 0) {
        memcpy(at + sizeof(*rec), name, name_len);
    }
    if (data_len > 0) {
        memcpy(at + sizeof(*rec) + name_len, data, data_len);
    }
    return rec->len;
}

static struct hfs_subvol *subvol_in_memory(struct hfs *fs, u64 id)
{
    struct hfs_subvol *sv;
    LIST_FOREACH (&fs->subvols, sv, link) {
        if (sv->id == id) {
            return sv;
        }
    }
    return NULL;
}

void log_append(struct hfs *fs, struct hfs_rec *rec, const void *name, u32 name_len,
                const void *data, u32 data_len)
{
    struct hfs_log *log = &fs->log;
    fs->changed = true;
    if (log->replaying) {
        return;
    }
    log->op_seq++;
    if (log_is_off(fs)) {
        return;
    }
    u8 *at = log->buf + log->used;
    log->last = log->used;
    struct hfs_subvol *sv = subvol_in_memory(fs, rec->subvol);
    HX_ASSERT(sv != NULL);
    if ((sv->d.flags & HFS_SV_ENCRYPTED) == 0) {
        log->used += record_write(at, rec, name, name_len, data, data_len);
    } else {
        struct hfs_rec outer = {.type = HFS_REC_SEALED | (rec->type & HFS_REC_MORE),
                                .subvol = rec->subvol};
        u8 *nonce = at + sizeof(outer), *tag = nonce + HFS_EXT_NONCE, *inner = tag + HFS_EXT_TAG;
        u32 len = record_write(inner, rec, name, name_len, data, data_len);
        outer.payload = HFS_EXT_NONCE + HFS_EXT_TAG + len;
        outer.len = (u32)sizeof(outer) + outer.payload;
        memcpy(at, &outer, sizeof(outer));
        crypt_nonce(fs, nonce);
        struct crypt_aad aad = {
            .fsid = fs->super.fsid, .kind = 2, .a = rec->subvol, .b = log->op_seq, .c = len};
        crypt_seal(sv->dek, nonce, &aad, inner, len, tag);
        log->used += outer.len;
    }
    HX_ASSERT(log->used <= log->size);
}

void log_group_end(struct hfs *fs)
{
    struct hfs_log *log = &fs->log;
    if (log->used > 0) {
        struct hfs_rec *rec = (struct hfs_rec *)(log->buf + log->last);
        rec->type &= HFS_REC_TYPE;
    }
}

static u64 used_since(const struct hfs *fs, u64 pos)
{
    u64 blocks = fs->super.log_blocks;
    return (fs->log.pos + blocks - pos) % blocks;
}

bool log_is_full(const struct hfs *fs)
{
    return fs->log.used > BUF_FULL ||
           used_since(fs, fs->uber->log_pos) > fs->super.log_blocks / 16 * 7;
}

/* Puts as many whole records as fit into the entry buffer. Return: their bytes. */
static u32 entry_fill(struct hfs *fs, u32 from, u32 *out_records)
{
    struct hfs_log *log = &fs->log;
    u32 bytes = 0, records = 0;
    while (from + bytes < log->used) {
        const struct hfs_rec *rec = (const void *)(log->buf + from + bytes);
        if (bytes + rec->len > ENTRY_ROOM) {
            break;
        }
        bytes += rec->len;
        records++;
    }
    memcpy(log->entry + sizeof(struct hfs_log_head), log->buf + from, bytes);
    *out_records = records;
    return bytes;
}

static u32 entry_crc(u8 *entry, u32 bytes)
{
    struct hfs_log_head *head = (struct hfs_log_head *)entry;
    u32 saved = head->crc;
    head->crc = 0;
    u32 crc = os_crc32c(0, entry, bytes);
    head->crc = saved;
    return crc;
}

/* Places that entries go to while one flush is being put together. */
struct log_place {
    u64 seq, pos, chain, op;
    u64 used; /* blocks since keep_pos */
};

static enum hx_status entry_write(struct hfs *fs, struct log_place *at, u32 bytes, u32 records)
{
    struct hfs_log *log = &fs->log;
    struct hfs_log_head *head = (struct hfs_log_head *)log->entry;
    *head = (struct hfs_log_head){.magic = HFS_MAGIC_LOG,
                                  .fsid = fs->super.fsid,
                                  .nonce = log->nonce,
                                  .seq = at->seq,
                                  .chain = at->chain,
                                  .base_txg = fs->uber->txg,
                                  .first_op = at->op,
                                  .bytes = bytes + (u32)sizeof(*head),
                                  .records = records};
    head->crc = entry_crc(log->entry, head->bytes);
    u32 blocks = (head->bytes + HFS_BLOCK - 1) / HFS_BLOCK;
    memset(log->entry + head->bytes, 0, (size_t)blocks * HFS_BLOCK - head->bytes);
    u64 skip = at->pos + blocks > fs->super.log_blocks ? fs->super.log_blocks - at->pos : 0;
    if (at->used + skip + blocks >= fs->super.log_blocks) { /* inv 3 */
        return HX_ERR_NO_SPACE;
    }
    u64 pos = skip > 0 ? 0 : at->pos;
    enum hx_status status = bdev_write(fs->dev, fs->super.log_start + pos, blocks, log->entry);
    at->used += skip + blocks;
    at->pos = (pos + blocks) % fs->super.log_blocks;
    at->chain = head->crc | at->seq << 32;
    at->seq++;
    at->op += records;
    return status;
}

enum hx_status log_flush(struct hfs *fs)
{
    struct hfs_log *log = &fs->log;
    struct log_place at = {.seq = log->seq,
                           .pos = log->pos,
                           .chain = log->chain,
                           .op = log->durable_seq + 1,
                           .used = used_since(fs, log->keep_pos)};
    u32 done = 0;
    while (done < log->used) {
        u32 records;
        u32 bytes = entry_fill(fs, done, &records);
        enum hx_status status = entry_write(fs, &at, bytes, records);
        if (status != HX_OK) {
            return status; /* nothing moved: a retry writes the same places again */
        }
        done += bytes;
    }
    enum hx_status status = dev_flush(fs);
    if (status == HX_OK) {
        log->seq = at.seq;
        log->pos = at.pos;
        log->chain = at.chain;
        log->durable_seq = log->op_seq;
        log->used = 0;
    }
    return status;
}

void log_committed(struct hfs *fs)
{
    struct hfs_log *log = &fs->log;
    log->used = 0;
    log->durable_seq = log->op_seq;
    log->keep_pos = fs->new_uber->log_pos; /* where the previous root began */
}

enum hx_status log_entry_read(struct hfs *fs, u64 *seq, u64 *pos, u64 *chain)
{
    struct hfs_log *log = &fs->log;
    u64 places[2] = {*pos, 0};
    for (u32 i = 0; i < 2; i++) {
        struct hfs_log_head *head = (struct hfs_log_head *)log->entry;
        u64 at = places[i];
        enum hx_status status = bdev_read(fs->dev, fs->super.log_start + at, 1, log->entry);
        if (status != HX_OK) {
            return status;
        }
        if (head->magic != HFS_MAGIC_LOG || head->fsid != fs->super.fsid || head->seq != *seq ||
            head->chain != *chain || head->bytes < sizeof(*head) ||
            head->bytes > HFS_LOG_ENTRY_MAX) {
            continue;
        }
        u32 blocks = (head->bytes + HFS_BLOCK - 1) / HFS_BLOCK;
        if (at + blocks > fs->super.log_blocks) {
            continue;
        }
        status = bdev_read(fs->dev, fs->super.log_start + at, blocks, log->entry);
        if (status != HX_OK) {
            return status;
        }
        if (entry_crc(log->entry, head->bytes) != head->crc) {
            continue;
        }
        *pos = (at + blocks) % fs->super.log_blocks;
        *chain = head->crc | *seq << 32;
        ++*seq;
        return HX_OK;
    }
    return HX_ERR_END;
}
