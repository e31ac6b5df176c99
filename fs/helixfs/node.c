/* SPDX-License-Identifier: MIT */
/* One tree node: from the device into the cache, checked, and back.
 * Owns:      hfs.dirty_nodes, the pool, node entries of the cache.    Callers: tree.c, txg.c,
 * verify.c. Context:   thread, under hfs.lock; may block. Invariant: (1) a node in memory passed
 * node_check, or was built here.  (2) a dirty node has birth
 *            == hfs.txg, a place of its own that no durable root names, and one hold, so that
 *            the cache keeps it.  (3) its parent is dirty too.   Spec: SPEC.md, "Nodes".
 *
 * Everything a reader relies on is checked once, when the node comes from the device: magic, own
 * address, birth and level against what the parent says (a lost or misdirected write shows here),
 * the checksum that the parent holds, key order and bounds, and every offset.
 */
#include "hfs_priv.h"

#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

const struct hfs_key hfs_key_max = {~0ull, ~0ull, ~0ull};

void node_csum(const void *bytes, u8 csum[16])
{
    u64 h = XXH64(bytes, HFS_NODE, 0);
    u32 crc = os_crc32c(0, bytes, HFS_NODE);
    memset(csum, 0, 16);
    memcpy(csum, &h, sizeof(h));
    memcpy(csum + 8, &crc, sizeof(crc));
}

static u32 head_crc(u8 *bytes)
{
    struct hfs_node_head *head = (struct hfs_node_head *)bytes;
    u32 saved = head->crc;
    head->crc = 0;
    u32 crc = os_crc32c(0, bytes, HFS_NODE);
    head->crc = saved;
    return crc;
}

static bool leaf_is_sound(const u8 *bytes, const struct hfs_node_head *head)
{
    const struct hfs_item *items = (const void *)(bytes + sizeof(*head));
    u64 low = sizeof(*head) + (u64)head->count * sizeof(*items);
    if (low > head->data || head->data > HFS_NODE || head->data % 8 != 0) {
        return false;
    }
    u64 sum = 0;
    for (u32 i = 0; i < head->count; i++) {
        if (items[i].off < head->data || items[i].off % 8 != 0 || items[i].len > HFS_ITEM_MAX ||
            (u64)items[i].off + items[i].len > HFS_NODE) {
            return false;
        }
        sum += hx_align_up(items[i].len, 8);
    }
    return sum <= HFS_NODE - (u64)head->data; /* so that packing them cannot overflow */
}

static bool inner_is_sound(const struct hfs *fs, const u8 *bytes, const struct hfs_node_head *head)
{
    const struct hfs_child *children = (const void *)(bytes + sizeof(*head));
    if (sizeof(*head) + (u64)head->count * sizeof(*children) > HFS_NODE) {
        return false;
    }
    for (u32 i = 0; i < head->count; i++) {
        if (!bptr_is_sane(fs, &children[i].ptr, head->level) ||
            children[i].ptr.birth > head->birth) {
            return false;
        }
    }
    return true;
}

static const struct hfs_key *node_key(const u8 *bytes, u32 i)
{
    const struct hfs_node_head *head = (const void *)bytes;
    size_t step = head->level == 0 ? sizeof(struct hfs_item) : sizeof(struct hfs_child);
    return (const void *)(bytes + sizeof(*head) + i * step);
}

/* The first and the last key, of a node that has any. */
static bool keys_fit(const u8 *bytes, const struct node_expect *expect)
{
    const struct hfs_node_head *head = (const void *)bytes;
    return key_compare(node_key(bytes, 0), &expect->low) >= 0 &&
           key_compare(node_key(bytes, head->count - 1u), &expect->high) < 0;
}

enum hx_status node_check(const struct hfs *fs, const u8 *bytes, const struct node_expect *expect)
{
    const struct hfs_node_head *head = (const void *)bytes;
    if (head->magic != HFS_MAGIC_NODE || head->fsid != fs->super.fsid ||
        head->addr != expect->ptr->addr || head->birth != expect->ptr->birth ||
        head->level != expect->level || head->count == 0) {
        return HX_ERR_CORRUPT;
    }
    if (head->level == 0 ? !leaf_is_sound(bytes, head) : !inner_is_sound(fs, bytes, head)) {
        return HX_ERR_CORRUPT;
    }
    if (!keys_fit(bytes, expect)) {
        return HX_ERR_CORRUPT;
    }
    for (u32 i = 1; i < head->count; i++) {
        if (key_compare(node_key(bytes, i - 1), node_key(bytes, i)) >= 0) {
            return HX_ERR_CORRUPT;
        }
    }
    return HX_OK;
}

static struct crypt_aad node_aad(const struct hfs *fs, const struct hfs_node_head *head)
{
    return (struct crypt_aad){.fsid = fs->super.fsid,
                              .kind = 1,
                              .a = head->addr,
                              .b = head->birth,
                              .c = (u64)head->level << 32 | (u64)head->count << 16 | head->data};
}

/* One copy: checksums, then decryption, then form. */
enum hx_status node_copy_read(struct hfs *fs, struct hfs_subvol *sv, u64 addr,
                              const struct node_expect *expect, u8 *bytes)
{
    enum hx_status status = bdev_read(fs->dev, addr, HFS_NODE_BLOCKS, bytes);
    if (status != HX_OK) {
        return status;
    }
    struct hfs_node_head *head = (struct hfs_node_head *)bytes;
    if (head->magic != HFS_MAGIC_NODE || head_crc(bytes) != head->crc) {
        return HX_ERR_CORRUPT;
    }
    if ((head->flags & HFS_NODE_ENCRYPTED) != 0) {
        if (sv == NULL) {
            return HX_ERR_CORRUPT;
        }
        if (!sv->unlocked) {
            return HX_ERR_ACCESS;
        }
        struct crypt_aad aad = node_aad(fs, head);
        status = crypt_open(sv->dek, head->nonce, &aad, bytes + sizeof(*head),
                            HFS_NODE - sizeof(*head), expect->ptr->csum);
        if (status != HX_OK) {
            return HX_ERR_CORRUPT;
        }
    } else {
        u8 csum[16];
        node_csum(bytes, csum);
        if (memcmp(csum, expect->ptr->csum, 16) != 0 ||
            (sv != NULL && (sv->d.flags & HFS_SV_ENCRYPTED) != 0)) {
            return HX_ERR_CORRUPT;
        }
    }
    return node_check(fs, bytes, expect);
}

enum hx_status node_copy_repair(struct hfs *fs, u64 good, u64 bad, u8 *bytes)
{
    /* Read again: what was decrypted is not what is stored. */
    enum hx_status status = bdev_read(fs->dev, good, HFS_NODE_BLOCKS, bytes);
    return status == HX_OK ? bdev_write(fs->dev, bad, HFS_NODE_BLOCKS, bytes) : status;
}

enum hx_status node_read(struct hfs *fs, struct hfs_subvol *sv, const struct node_expect *expect,
                         u8 *bytes)
{
    enum hx_status status = node_copy_read(fs, sv, expect->ptr->addr, expect, bytes);
    if (status == HX_OK || status == HX_ERR_ACCESS || expect->ptr->copy == 0) {
        return status;
    }
    if (node_copy_read(fs, sv, expect->ptr->copy, expect, bytes) != HX_OK) {
        return status;
    }
    if (!fs->read_only && !fs->frozen && !fs->dev->read_only) {
        /* In a buffer of its own: bytes is the answer. Without memory scrub does it some day. */
        u8 *raw = os_alloc(HFS_NODE);
        if (raw != NULL) {
            HX_IGNORE(node_copy_repair(fs, expect->ptr->copy, expect->ptr->addr, raw),
                      "the good copy still serves");
            os_free(raw);
        }
    }
    return HX_OK;
}

static struct hfs_node *node_of(struct arc_entry *entry)
{
    return HX_CONTAINER_OF(entry, struct hfs_node, arc);
}

static struct hfs_node *node_alloc(struct hfs *fs)
{
    struct hfs_node *node = os_alloc(sizeof(*node));
    if (node != NULL) {
        node->bytes = os_alloc(HFS_NODE);
        if (node->bytes == NULL) {
            os_free(node);
            node = NULL;
        }
    }
    if (node == NULL) {
        node = LIST_FIRST(&fs->pool, struct hfs_node, link);
        if (node == NULL) {
            return NULL;
        }
        list_remove(&node->link);
        fs->pool_count--;
    }
    list_init(&node->link);
    node->dirty = false;
    node->copy = 0;
    return node;
}

static void node_free(struct hfs_node *node)
{
    os_free(node->bytes);
    os_free(node);
}

void node_evict(struct arc *arc, struct arc_entry *entry)
{
    (void)arc;
    if ((entry->key & HFS_CACHE_DATA) != 0) {
        struct hfs_block *block = HX_CONTAINER_OF(entry, struct hfs_block, arc);
        os_free(block->data);
        os_free(block);
    } else {
        node_free(node_of(entry));
    }
}

enum hx_status node_pool_fill(struct hfs *fs, u32 count)
{
    while (fs->pool_count < count) {
        struct hfs_node *node = os_alloc(sizeof(*node));
        u8 *bytes = node != NULL ? os_alloc(HFS_NODE) : NULL;
        if (bytes == NULL) {
            os_free(node);
            return HX_ERR_NO_MEMORY;
        }
        node->bytes = bytes;
        list_add_tail(&fs->pool, &node->link);
        fs->pool_count++;
    }
    return HX_OK;
}

void node_pool_drain(struct hfs *fs)
{
    while (!list_is_empty(&fs->pool)) {
        struct hfs_node *node = LIST_FIRST(&fs->pool, struct hfs_node, link);
        list_remove(&node->link);
        node_free(node);
    }
    fs->pool_count = 0;
}

enum hx_status node_get(struct hfs_tree *tree, const struct node_expect *expect,
                        struct hfs_node **out)
{
    struct hfs *fs = tree->fs;
    struct arc_entry *entry = arc_get(&fs->arc, expect->ptr->addr);
    if (entry != NULL) {
        struct hfs_node *node = node_of(entry);
        /* In the cache by another parent's word: an image may name one block twice. */
        if (node->head->birth != expect->ptr->birth || node->head->level != expect->level ||
            (node->head->count > 0 && !keys_fit(node->bytes, expect))) {
            arc_put(&fs->arc, entry);
            return HX_ERR_CORRUPT;
        }
        *out = node;
        return HX_OK;
    }
    struct hfs_node *node = node_alloc(fs);
    if (node == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    enum hx_status status = node_read(fs, tree->sv, expect, node->bytes);
    if (status != HX_OK) {
        node_free(node);
        return status;
    }
    node->copy = expect->ptr->copy;
    arc_insert(&fs->arc, &node->arc, expect->ptr->addr, HFS_NODE);
    *out = node;
    return HX_OK;
}

void node_put(struct hfs *fs, struct hfs_node *node)
{
    arc_put(&fs->arc, &node->arc);
}

/* Places for one node and its copy. */
static enum hx_status place_alloc(struct hfs *fs, u64 *out_addr, u64 *out_copy)
{
    u64 addr, copy = 0;
    enum hx_status status = space_alloc_node(fs, &addr);
    if (status == HX_OK && fs->super.copies > 1) {
        status = space_alloc_node(fs, &copy);
        if (status != HX_OK) {
            HX_IGNORE(space_free(fs, addr, HFS_NODE_BLOCKS, true), "just taken from that group");
        }
    }
    if (status == HX_OK) {
        *out_addr = addr;
        *out_copy = copy;
    }
    return status;
}

static void dirty_add(struct hfs *fs, struct hfs_node *node)
{
    node->dirty = true;
    node->arc.refs++; /* inv 2 */
    list_add_tail(&fs->dirty_nodes, &node->link);
    fs->dirty_count++;
    fs->changed = true;
    fs->touched = true;
}

enum hx_status node_create(struct hfs_tree *tree, u32 level, struct hfs_node **out)
{
    struct hfs *fs = tree->fs;
    struct hfs_node *node = node_alloc(fs);
    if (node == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    u64 addr;
    enum hx_status status = place_alloc(fs, &addr, &node->copy);
    if (status != HX_OK) {
        node_free(node);
        return status;
    }
    memset(node->bytes, 0, HFS_NODE);
    *node->head = (struct hfs_node_head){.magic = HFS_MAGIC_NODE,
                                         .fsid = fs->super.fsid,
                                         .addr = addr,
                                         .birth = fs->txg,
                                         .tree = tree->sv != NULL ? tree->sv->id : 0,
                                         .level = (u16)level,
                                         .data = level == 0 ? HFS_NODE : 0};
    arc_drop(&fs->arc, addr); /* a node that was there before */
    arc_insert(&fs->arc, &node->arc, addr, HFS_NODE);
    dirty_add(fs, node);
    *out = node;
    return HX_OK;
}

enum hx_status node_dirty(struct hfs_tree *tree, struct hfs_node *node)
{
    struct hfs *fs = tree->fs;
    if (node->dirty) {
        return HX_OK;
    }
    u64 addr, copy;
    enum hx_status status = place_alloc(fs, &addr, &copy);
    if (status != HX_OK) {
        return status;
    }
    u64 old_addr = node->head->addr, old_copy = node->copy, old_birth = node->head->birth;
    arc_drop(&fs->arc, addr);
    arc_rekey(&fs->arc, &node->arc, addr);
    node->copy = copy;
    node->head->addr = addr;
    node->head->birth = fs->txg;
    node->head->tree = tree->sv != NULL ? tree->sv->id : 0;
    dirty_add(fs, node);
    status = dead_free(fs, tree->sv, old_addr, HFS_NODE_BLOCKS, old_birth, true);
    if (status == HX_OK && old_copy != 0) {
        status = dead_free(fs, tree->sv, old_copy, HFS_NODE_BLOCKS, old_birth, true);
    }
    return status;
}

enum hx_status node_delete(struct hfs_tree *tree, struct hfs_node *node)
{
    struct hfs *fs = tree->fs;
    u64 addr = node->head->addr, copy = node->copy, birth = node->head->birth;
    if (node->dirty) {
        node->dirty = false;
        list_remove(&node->link);
        fs->dirty_count--;
        node->arc.refs--;
    }
    fs->changed = fs->touched = true;
    if (node->arc.refs == 1) {
        arc_remove(&fs->arc, &node->arc);
        node_free(node);
    } else {
        node_put(fs, node); /* another path holds it; its address is found by no tree now */
    }
    enum hx_status status = dead_free(fs, tree->sv, addr, HFS_NODE_BLOCKS, birth, true);
    if (status == HX_OK && copy != 0) {
        status = dead_free(fs, tree->sv, copy, HFS_NODE_BLOCKS, birth, true);
    }
    return status;
}

enum hx_status node_write(struct hfs_tree *tree, struct hfs_node *node, struct hfs_bptr *out_ptr)
{
    struct hfs *fs = tree->fs;
    const u8 *bytes = node->bytes;
    out_ptr->addr = node->head->addr;
    out_ptr->copy = node->copy;
    out_ptr->birth = node->head->birth;
    node->head->flags = 0;
    memset(node->head->nonce, 0, sizeof(node->head->nonce));
    if (tree->sv != NULL && (tree->sv->d.flags & HFS_SV_ENCRYPTED) != 0) {
        /* The copy in memory stays readable; what goes out is built beside it. */
        u8 *out = fs->sealed;
        node->head->flags = HFS_NODE_ENCRYPTED;
        crypt_nonce(fs, node->head->nonce);
        memcpy(out, node->bytes, HFS_NODE);
        struct crypt_aad aad = node_aad(fs, node->head);
        crypt_seal(tree->sv->dek, node->head->nonce, &aad, out + sizeof(*node->head),
                   HFS_NODE - sizeof(*node->head), out_ptr->csum);
        ((struct hfs_node_head *)out)->crc = head_crc(out);
        bytes = out;
    } else {
        node->head->crc = head_crc(node->bytes);
        node_csum(node->bytes, out_ptr->csum);
    }
    enum hx_status status = bdev_write(fs->dev, node->head->addr, HFS_NODE_BLOCKS, bytes);
    if (status == HX_OK && node->copy != 0) {
        status = bdev_write(fs->dev, node->copy, HFS_NODE_BLOCKS, bytes);
    }
    return status;
}

void node_committed(struct hfs *fs)
{
    while (!list_is_empty(&fs->dirty_nodes)) {
        struct hfs_node *node = LIST_FIRST(&fs->dirty_nodes, struct hfs_node, link);
        list_remove(&node->link);
        node->dirty = false;
        arc_put(&fs->arc, &node->arc);
    }
    fs->dirty_count = 0;
}

void node_abandon(struct hfs *fs)
{
    node_committed(fs); /* the cache that holds them goes next */
}
