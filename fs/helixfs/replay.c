/* SPDX-License-Identifier: MIT */
/* The log at mount.
 * Owns:      nothing.      Callers: mount.c, once.      Context: thread, under hfs.lock; may block.
 * Invariant: (1) pass 1 changes nothing but the bitmaps in memory: it finds where the log ends, and
 *            claims every run that a record before that names, so that pass 2 cannot allocate it.
 *            (2) pass 2 applies records by the code that made them; nothing reaches the disk before
 *            the commit that follows, so a crash in here starts over from the same root and log.
 *            (3) records that belong together are applied together or not at all.
 *            Spec: SPEC.md, "Replay".
 */
#include "hfs_priv.h"

struct replay {
    struct hfs *fs;
    u64 seq, pos, chain; /* of the next entry to read */
    u64 op;              /* of the next record */
    u64 stop;            /* first record that must not be applied */
};

/* The record at off of the entry in memory, its form checked; *next is where the one after is. */
static struct hfs_rec *record_at(struct hfs *fs, u32 off, u32 *next)
{
    struct hfs_log_head *head = (struct hfs_log_head *)fs->log.entry;
    if (head->bytes - off < sizeof(struct hfs_rec)) {
        return NULL;
    }
    struct hfs_rec *rec = (struct hfs_rec *)(fs->log.entry + off);
    if (rec->len % 8 != 0 || rec->len > head->bytes - off || rec->len < sizeof(*rec) ||
        rec->payload > rec->len - sizeof(*rec) || rec->name_len > rec->payload) {
        return NULL;
    }
    *next = off + rec->len;
    return rec;
}

/* Opens a sealed record in place. */
static enum hx_status record_open(struct hfs *fs, u64 op, struct hfs_rec **rec)
{
    struct hfs_rec *outer = *rec;
    if ((outer->type & HFS_REC_TYPE) != HFS_REC_SEALED) {
        return HX_OK;
    }
    struct hfs_subvol *sv;
    enum hx_status status = subvol_load(fs, outer->subvol, &sv);
    if (status != HX_OK) {
        return status;
    }
    u32 extra = HFS_EXT_NONCE + HFS_EXT_TAG;
    if (outer->payload < extra + sizeof(struct hfs_rec)) {
        status = HX_ERR_CORRUPT;
    } else {
        u8 *nonce = (u8 *)(outer + 1), *tag = nonce + HFS_EXT_NONCE, *inner = tag + HFS_EXT_TAG;
        u32 len = outer->payload - extra;
        struct crypt_aad aad = {.fsid = fs->super.fsid, .kind = 2, .a = sv->id, .b = op, .c = len};
        status = crypt_open(sv->dek, nonce, &aad, inner, len, tag);
        struct hfs_rec *in = (struct hfs_rec *)inner;
        if (status == HX_OK &&
            (in->len != len || in->payload > len - sizeof(*in) || in->name_len > in->payload)) {
            status = HX_ERR_CORRUPT;
        }
        *rec = in;
    }
    subvol_put(sv);
    return status;
}

/* Pass 1 on one record. False: the log ends before it. */
static bool record_scan(struct replay *r, struct hfs_rec *rec, enum hx_status *status)
{
    struct hfs *fs = r->fs;
    *status = record_open(fs, r->op, &rec);
    if (*status != HX_OK) {
        return false;
    }
    if ((rec->type & HFS_REC_TYPE) != HFS_REC_EXTENT) {
        return true;
    }
    const struct hfs_extent *ext = (const void *)(rec + 1);
    u32 len = rec->payload;
    if (len < sizeof(*ext) || extent_check(fs, ext, len) != HX_OK) {
        *status = HX_ERR_CORRUPT;
        return false;
    }
    *status = extent_verify(fs, ext);
    if (*status != HX_OK) {
        if (*status == HX_ERR_CORRUPT) {
            *status = HX_OK; /* never acknowledged: the log ends here */
        }
        return false;
    }
    return true;
}

static enum hx_status pass_scan(struct replay *r)
{
    struct hfs *fs = r->fs;
    enum hx_status status;
    while ((status = log_entry_read(fs, &r->seq, &r->pos, &r->chain)) == HX_OK) {
        struct hfs_log_head *head = (struct hfs_log_head *)fs->log.entry;
        if (head->first_op != r->op) {
            return HX_OK; /* the log goes on from a root that is gone */
        }
        u32 off = sizeof(*head);
        for (u32 i = 0; i < head->records; i++) {
            u32 next;
            struct hfs_rec *rec = record_at(fs, off, &next);
            if (rec == NULL) {
                return HX_ERR_CORRUPT;
            }
            bool more = (rec->type & HFS_REC_MORE) != 0;
            if (!record_scan(r, rec, &status)) {
                return status;
            }
            off = next;
            r->op++;
            if (!more) {
                r->stop = r->op; /* inv 3 */
            }
        }
    }
    return status == HX_ERR_END ? HX_OK : status;
}

static enum hx_status apply_name(struct hfs_subvol *sv, struct hfs_rec *rec)
{
    struct hfs_inode *dir = NULL, *other = NULL, *made = NULL;
    const char *bytes = (const char *)(rec + 1);
    struct hfs_name name = {bytes, rec->name_len};
    struct hfs_name rest = {bytes + rec->name_len, rec->payload - rec->name_len};
    enum hx_status status = name_check(name);
    if (status == HX_OK) {
        status = inode_get(sv, rec->dir, &dir);
    }
    if (status != HX_OK) {
        return status;
    }
    switch (rec->type & HFS_REC_TYPE) {
    case HFS_REC_CREATE:
        status = do_create(dir, name, rec->ino, rec->mode, (struct hfs_owner){rec->uid, rec->gid},
                           rec->arg, rest, rec->time_ns, &made);
        break;
    case HFS_REC_LINK:
        status = inode_get(sv, rec->ino, &other);
        if (status == HX_OK) {
            status = do_link(other, dir, name, rec->time_ns);
        }
        break;
    case HFS_REC_UNLINK:
        status = do_unlink(dir, name, rec->arg != 0, rec->time_ns);
        break;
    default:
        status = name_check(rest);
        if (status == HX_OK) {
            status = inode_get(sv, rec->arg, &other);
        }
        if (status == HX_OK) {
            status = do_rename(dir, name, other, rest, (u32)rec->arg2, rec->time_ns);
        }
        break;
    }
    inode_put(dir);
    if (other != NULL) {
        inode_put(other);
    }
    if (made != NULL) {
        inode_put(made);
    }
    return status;
}

static enum hx_status apply_inode(struct hfs_subvol *sv, struct hfs_rec *rec)
{
    struct hfs_inode *inode;
    enum hx_status status = inode_get(sv, rec->ino, &inode);
    if (status != HX_OK) {
        return status;
    }
    const u8 *bytes = (const u8 *)(rec + 1);
    u32 rest = rec->payload - rec->name_len;
    struct hfs_name name = {(const char *)bytes, rec->name_len};
    switch (rec->type & HFS_REC_TYPE) {
    case HFS_REC_SETATTR: {
        struct hfs_rec_attr attr;
        status = HX_ERR_CORRUPT;
        if (rec->payload == sizeof(attr)) {
            memcpy(&attr, bytes, sizeof(attr));
            status = do_setattr(inode, &attr, rec->time_ns);
        }
        break;
    }
    case HFS_REC_TRUNCATE:
        status =
            rec->arg > HFS_SIZE_MAX ? HX_ERR_CORRUPT : do_truncate(inode, rec->arg, rec->time_ns);
        break;
    case HFS_REC_WRITE:
        status = rec->arg > HFS_SIZE_MAX
                     ? HX_ERR_CORRUPT
                     : do_write(inode, rec->arg, bytes, rec->payload, rec->time_ns);
        break;
    case HFS_REC_EXTENT:
        status = rec->arg2 > HFS_SIZE_MAX || rec->arg > HFS_SIZE_MAX / HFS_BLOCK
                     ? HX_ERR_CORRUPT
                     : do_extent(inode, rec->arg, (const void *)bytes, rec->payload, rec->arg2,
                                 rec->time_ns);
        break;
    case HFS_REC_PUNCH:
        status = rec->arg > HFS_SIZE_MAX || rec->arg2 > HFS_SIZE_MAX
                     ? HX_ERR_CORRUPT
                     : do_punch(inode, rec->arg, rec->arg2, rec->time_ns);
        break;
    case HFS_REC_XATTR_SET:
    case HFS_REC_XATTR_DEL:
        status = rec->name_len == 0 || rec->name_len > HFS_NAME_MAX || rest > HFS_XATTR_VALUE_MAX
                     ? HX_ERR_CORRUPT
                     : do_xattr(inode, name, bytes + rec->name_len, rest,
                                (rec->type & HFS_REC_TYPE) == HFS_REC_XATTR_DEL, rec->time_ns);
        break;
    default:
        status = HX_ERR_CORRUPT;
        break;
    }
    inode_put(inode);
    return status;
}

static enum hx_status record_apply(struct hfs *fs, struct hfs_rec *rec)
{
    struct hfs_subvol *sv;
    enum hx_status status = subvol_load(fs, rec->subvol, &sv);
    if (status != HX_OK) {
        return status;
    }
    u32 type = rec->type & HFS_REC_TYPE;
    bool by_name = type == HFS_REC_CREATE || type == HFS_REC_LINK || type == HFS_REC_UNLINK ||
                   type == HFS_REC_RENAME;
    status = op_begin(fs, sv, 8, 1 + rec->payload / HFS_BLOCK, TIER_REPLAY);
    if (status == HX_OK) {
        status = op_end(fs, by_name ? apply_name(sv, rec) : apply_inode(sv, rec));
    }
    subvol_put(sv);
    return status;
}

/* Runs visit on the records [op, stop) of the log from the root's position on. */
static enum hx_status pass_apply(struct replay *r,
                                 enum hx_status (*visit)(struct hfs *fs, struct hfs_rec *rec))
{
    struct hfs *fs = r->fs;
    u64 seq = fs->uber->log_seq, pos = fs->uber->log_pos, chain = fs->uber->log_chain;
    u64 op = fs->uber->op_seq + 1;
    while (op < r->stop) {
        enum hx_status status = log_entry_read(fs, &seq, &pos, &chain);
        if (status != HX_OK) {
            return status == HX_ERR_END ? HX_ERR_CORRUPT : status;
        }
        u32 off = sizeof(struct hfs_log_head), next;
        u32 records = ((struct hfs_log_head *)fs->log.entry)->records;
        for (u32 i = 0; i < records && op < r->stop; i++, op++, off = next) {
            struct hfs_rec *rec = record_at(fs, off, &next);
            status = rec == NULL ? HX_ERR_CORRUPT : record_open(fs, op, &rec);
            if (status == HX_OK) {
                status = visit(fs, rec);
            }
            if (status != HX_OK) {
                return status;
            }
        }
    }
    return HX_OK;
}

static enum hx_status record_claim(struct hfs *fs, struct hfs_rec *rec)
{
    if ((rec->type & HFS_REC_TYPE) != HFS_REC_EXTENT) {
        return HX_OK;
    }
    const struct hfs_extent *ext = (const void *)(rec + 1);
    return space_claim(fs, ext->addr, ext->blocks);
}

enum hx_status log_replay(struct hfs *fs, bool *out_any)
{
    struct replay r = {.fs = fs,
                       .seq = fs->uber->log_seq,
                       .pos = fs->uber->log_pos,
                       .chain = fs->uber->log_chain,
                       .op = fs->uber->op_seq + 1,
                       .stop = fs->uber->op_seq + 1};
    u64 first = r.op;
    enum hx_status status = pass_scan(&r);
    *out_any = r.stop > first;
    if (status != HX_OK || !*out_any) {
        return status;
    }
    fs->log.replaying = true;
    status = pass_apply(&r, record_claim);
    if (status == HX_OK) {
        status = pass_apply(&r, record_apply);
    }
    fs->log.replaying = false;
    if (status != HX_OK) {
        /* What the log asks for does not fit the tree: no crash does that. */
        return status == HX_ERR_NO_MEMORY || status == HX_ERR_IO || status == HX_ERR_ACCESS
                   ? status
                   : HX_ERR_CORRUPT;
    }
    fs->log.op_seq = fs->log.durable_seq = r.stop - 1;
    /* The next entries go behind what was read, whether applied or not. */
    fs->log.seq = r.seq;
    fs->log.pos = r.pos;
    fs->log.chain = r.chain;
    fs->changed = true;
    return HX_OK;
}
