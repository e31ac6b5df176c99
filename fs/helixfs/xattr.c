/* SPDX-License-Identifier: MIT */
/* Extended attributes: one item per hash of a name, entries one after the other in it.
 * Owns:      the XATTR items.      Callers: the public functions, replay.c.
 * Context:   thread; public functions take hfs.lock.
 * Invariant: (1) hfs_dinode.xattrs is the number of entries of the inode.
 */
#include "hfs_priv.h"

/* The entry of that name in an item. Return: its offset; len when there is none. */
static u32 entry_find(const u8 *item, u32 len, struct hfs_name name)
{
    u32 off = 0;
    while (off + sizeof(struct hfs_dxattr) <= len) {
        const struct hfs_dxattr *e = (const void *)(item + off);
        u32 size = (u32)sizeof(*e) + e->name_len + e->value_len;
        if (size > len - off) {
            break;
        }
        if (e->name_len == name.len && memcmp(e + 1, name.s, name.len) == 0) {
            return off;
        }
        off += size;
    }
    return len;
}

static u32 entry_size(const u8 *item, u32 off)
{
    const struct hfs_dxattr *e = (const void *)(item + off);
    return (u32)sizeof(*e) + e->name_len + e->value_len;
}

static struct hfs_key xattr_key(const struct hfs_inode *inode, struct hfs_name name)
{
    return (struct hfs_key){inode->ino, HFS_KIND_XATTR, name_hash(inode->sv->fs, name.s, name.len)};
}

/* Copies the item of that name into fs->item. *len 0: there is none. */
static enum hx_status item_load(struct hfs_inode *inode, const struct hfs_key *key, u32 *len)
{
    struct hfs_path path;
    void *value;
    *len = 0;
    enum hx_status status = tree_find(&inode->sv->tree, key, &path, &value, len);
    if (status == HX_OK) {
        memcpy(inode->sv->fs->item, value, *len);
        tree_release(&path);
    }
    return status == HX_ERR_NOT_FOUND ? HX_OK : status;
}

enum hx_status do_xattr(struct hfs_inode *inode, struct hfs_name name, const void *value, u32 len,
                        bool remove, s64 now)
{
    struct hfs *fs = inode->sv->fs;
    struct hfs_key key = xattr_key(inode, name);
    u32 size;
    enum hx_status status = item_load(inode, &key, &size);
    if (status != HX_OK) {
        return status;
    }
    u8 *item = fs->item;
    u32 old = entry_find(item, size, name), kept = size;
    bool found = old < size;
    if (remove && !found) {
        return HX_ERR_NOT_FOUND;
    }
    if (found) {
        u32 gone = entry_size(item, old);
        memmove(item + old, item + old + gone, size - old - gone);
        kept -= gone;
    }
    if (!remove) {
        u32 need = (u32)(sizeof(struct hfs_dxattr) + name.len) + len;
        if (kept + need > HFS_ITEM_MAX) {
            return HX_ERR_NO_SPACE;
        }
        struct hfs_dxattr e = {.value_len = (u16)len, .name_len = (u8)name.len};
        memcpy(item + kept, &e, sizeof(e));
        memcpy(item + kept + sizeof(e), name.s, name.len);
        if (len > 0) {
            memcpy(item + kept + sizeof(e) + name.len, value, len);
        }
        kept += need;
    }
    status = kept > 0 ? tree_put(&inode->sv->tree, &key, item, kept)
                      : tree_remove(&inode->sv->tree, &key);
    if (status != HX_OK) {
        return status;
    }
    inode->d.xattrs += remove ? -1ull : !found;
    inode->d.ctime_ns = now;
    return inode_store(inode);
}

static enum hx_status change(struct hfs_inode *inode, struct hfs_name name, const void *value,
                             size_t len, bool remove)
{
    struct hfs *fs = inode->sv->fs;
    enum hx_status status = op_begin(fs, inode->sv, 2, 0, remove ? TIER_DELETE : TIER_NORMAL);
    if (status == HX_OK) {
        status = log_reserve(fs, 1, (u32)(name.len + len));
    }
    if (status == HX_OK) {
        s64 now = os_time_ns();
        status = do_xattr(inode, name, value, (u32)len, remove, now);
        if (status == HX_OK) {
            struct hfs_rec rec =
                record_for(inode, remove ? HFS_REC_XATTR_DEL : HFS_REC_XATTR_SET, now);
            rec.name_len = (u16)name.len;
            log_append(fs, &rec, name.s, (u32)name.len, value, (u32)len);
            inode->last_op = fs->log.op_seq;
        }
        status = op_end(fs, status);
    }
    return status;
}

static enum hx_status lookup(struct hfs_inode *inode, struct hfs_name name, u32 *out_off)
{
    u32 len;
    struct hfs_key key = xattr_key(inode, name);
    enum hx_status status = item_load(inode, &key, &len);
    if (status == HX_OK) {
        *out_off = entry_find(inode->sv->fs->item, len, name);
        status = *out_off < len ? HX_OK : HX_ERR_NOT_FOUND;
    }
    return status;
}

static enum hx_status attr_name_check(struct hfs_name name)
{
    if (name.len == 0 || memchr(name.s, '\0', name.len) != NULL) {
        return HX_ERR_INVALID;
    }
    return name.len > HFS_NAME_MAX ? HX_ERR_NAME_TOO_LONG : HX_OK;
}

enum hx_status hfs_xattr_get(struct hfs_inode *inode, struct hfs_name name, void *buf, size_t size,
                             size_t *out_len)
{
    struct hfs *fs = inode->sv->fs;
    u32 off;
    os_mutex_acquire(fs->lock);
    enum hx_status status = attr_name_check(name);
    if (status == HX_OK) {
        status = lookup(inode, name, &off);
    }
    if (status == HX_OK) {
        const struct hfs_dxattr *e = (const void *)(fs->item + off);
        if (size > 0 && size < e->value_len) {
            status = HX_ERR_MESSAGE_SIZE;
        } else {
            if (size > 0) {
                memcpy(buf, (const u8 *)(e + 1) + e->name_len, e->value_len);
            }
            *out_len = e->value_len;
        }
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_xattr_set(struct hfs_inode *inode, struct hfs_name name, const void *value,
                             size_t len, u32 flags)
{
    struct hfs *fs = inode->sv->fs;
    u32 off;
    os_mutex_acquire(fs->lock);
    enum hx_status status = attr_name_check(name);
    if (status == HX_OK && len > HFS_XATTR_VALUE_MAX) {
        status = HX_ERR_MESSAGE_SIZE;
    }
    if (status == HX_OK && flags != 0) {
        status = lookup(inode, name, &off);
        if ((flags & HFS_XATTR_CREATE) != 0 && status == HX_OK) {
            status = HX_ERR_EXISTS;
        } else if ((flags & HFS_XATTR_CREATE) != 0 && status == HX_ERR_NOT_FOUND) {
            status = HX_OK;
        }
    }
    if (status == HX_OK) {
        status = change(inode, name, value, len, false);
    }
    os_mutex_release(fs->lock);
    return status;
}

enum hx_status hfs_xattr_remove(struct hfs_inode *inode, struct hfs_name name)
{
    struct hfs *fs = inode->sv->fs;
    os_mutex_acquire(fs->lock);
    enum hx_status status = attr_name_check(name);
    if (status == HX_OK) {
        status = change(inode, name, NULL, 0, true);
    }
    os_mutex_release(fs->lock);
    return status;
}

/* Appends the names of one item to buf; a size of 0 counts only. */
static enum hx_status list_item(const u8 *item, u32 len, char *buf, size_t size, size_t *used)
{
    u32 off = 0;
    while (off + sizeof(struct hfs_dxattr) <= len) {
        const struct hfs_dxattr *e = (const void *)(item + off);
        if (entry_size(item, off) > len - off) {
            return HX_ERR_CORRUPT;
        }
        if (size > 0) {
            if (*used + e->name_len + 1u > size) {
                return HX_ERR_MESSAGE_SIZE;
            }
            memcpy(buf + *used, e + 1, e->name_len);
            buf[*used + e->name_len] = '\0';
        }
        *used += e->name_len + 1u;
        off += entry_size(item, off);
    }
    return HX_OK;
}

enum hx_status hfs_xattr_list(struct hfs_inode *inode, char *buf, size_t size, size_t *out_len)
{
    struct hfs *fs = inode->sv->fs;
    os_mutex_acquire(fs->lock);
    size_t used = 0;
    struct hfs_key key = {inode->ino, HFS_KIND_XATTR, 0};
    struct hfs_path path;
    enum hx_status status =
        inode->d.xattrs == 0 ? HX_ERR_END : tree_seek(&inode->sv->tree, &key, &path);
    while (status == HX_OK) {
        const struct hfs_key *at = path_key(&path);
        if (at->oid != inode->ino || at->kind != HFS_KIND_XATTR) {
            tree_release(&path);
            break;
        }
        u32 len;
        const u8 *item = path_value(&path, &len);
        status = list_item(item, len, buf, size, &used);
        if (status != HX_OK) {
            tree_release(&path);
            break;
        }
        status = tree_next(&path);
    }
    if (status == HX_OK || status == HX_ERR_END) {
        *out_len = used;
        status = HX_OK;
    }
    os_mutex_release(fs->lock);
    return status;
}
