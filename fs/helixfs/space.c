/* SPDX-License-Identifier: MIT */
/* Which blocks are free.
 * Owns:      bitmaps of groups of 32,768 blocks, summary pages above them, in hfs.space.
 * Callers:   node.c, dead.c, file.c, txg.c, replay.c, under hfs.lock.     Context: thread, may
 * block. Invariant: (1) a block that the durable root N or its predecessor N - 1 uses is never
 * handed out: frees of the open group and of the one before it stay pinned.  (2) bitmaps take no
 *            space from themselves: each has three fixed places, and a commit writes the one
 *            that neither N nor N - 1 names.  (3) free and quads count blocks that are neither
 *            allocated nor pinned.   Spec: SPEC.md, "Space".
 *
 * Tree nodes need aligned runs of four blocks ("quads"), file data takes single blocks. So that
 * data cannot nibble every quad and leave a half-empty disk on which nothing can be deleted, room
 * is promised in quads, and data breaks a whole one only above the reserve.
 */
#include "hfs_priv.h"

#define GROUP_KEEP 64u /* bitmaps that stay in memory after a commit */

u32 space_group_count(u64 blocks)
{
    /* A last group too short to hold its own head and then some is left out. */
    return (u32)((blocks - 64 + HFS_GROUP - 1) / HFS_GROUP);
}

static u32 head_blocks(u32 group)
{
    return group % HFS_FANOUT == 0 ? HFS_GROUP_HEAD_LONG : HFS_GROUP_HEAD;
}

static u64 head_start(u32 group)
{
    return group == 0 ? HFS_LABEL_BLOCKS : (u64)group * HFS_GROUP;
}

static u32 level_span(u32 level)
{
    return level == 0 ? 1 : level == 1 ? HFS_FANOUT : HFS_FANOUT * HFS_FANOUT;
}

u64 space_slot_block(u32 level, u32 index, u32 slot)
{
    return head_start(index * level_span(level)) + level * HFS_SLOTS + slot;
}

u32 space_entry_crc(u32 level, u32 index, u64 txg, const void *page)
{
    u64 who[2] = {(u64)level << 32 | index, txg};
    return os_crc32c(os_crc32c(0, who, sizeof(who)), page, HFS_BLOCK);
}

/* Sets the bits of [from, to) that lie in the group. */
static void mark_range(u32 group, u64 *bitmap, u64 from, u64 to)
{
    u64 start = (u64)group * HFS_GROUP;
    u64 lo = hx_max_u64(from, start), hi = hx_min_u64(to, start + HFS_GROUP);
    for (u64 b = lo; b < hi; b++) {
        bitmap[(b - start) / 64] |= HX_BIT((b - start) % 64);
    }
}

void space_fixed(const struct hfs_super *super, u32 group, u64 *bitmap)
{
    if (group == 0) {
        mark_range(group, bitmap, 0, HFS_LABEL_BLOCKS);
    }
    mark_range(group, bitmap, head_start(group), head_start(group) + head_blocks(group));
    mark_range(group, bitmap, super->log_start, super->log_start + super->log_blocks);
    mark_range(group, bitmap, super->label_b, (u64)(group + 1) * HFS_GROUP);
}

static bool nibble_is_clear(u64 word, u32 bit)
{
    return (word >> (bit & 60) & 15) == 0;
}

/* One bit for each nibble of zeros, at its lowest place. */
static u64 clear_nibbles(u64 word)
{
    u64 any = word | word >> 1;
    any |= any >> 2;
    return ~any & 0x1111111111111111ull;
}

void space_count(const u64 *bitmap, u64 *free, u64 *quads)
{
    u64 f = 0, q = 0;
    for (u32 i = 0; i < HFS_WORDS; i++) {
        f += 64 - (u32)__builtin_popcountll(bitmap[i]);
        q += (u32)__builtin_popcountll(clear_nibbles(bitmap[i]));
    }
    *free = f;
    *quads = q;
}

void space_fresh_count(const struct hfs_super *super, u32 group, u64 *free, u64 *quads)
{
    u64 start = (u64)group * HFS_GROUP;
    if (group != 0 && super->label_b >= start + HFS_GROUP &&
        super->log_start + super->log_blocks <= start) {
        *free = HFS_GROUP - head_blocks(group);
        *quads = *free / HFS_NODE_BLOCKS;
        return;
    }
    u64 lo = head_start(group) + head_blocks(group), hi = start + HFS_GROUP;
    hi = hx_min_u64(hi, super->label_b);
    if (super->log_start >= start && super->log_start < hi) {
        lo = super->log_start + super->log_blocks; /* the log follows the head */
    }
    *free = hi > lo ? hi - lo : 0;
    u64 first = hx_align_up(lo, HFS_NODE_BLOCKS), last = hx_align_down(hi, HFS_NODE_BLOCKS);
    *quads = last > first ? (last - first) / HFS_NODE_BLOCKS : 0;
}

void space_init(struct hfs *fs)
{
    struct hfs_space *sp = &fs->space;
    sp->group_count = space_group_count(fs->super.blocks);
    sp->free = fs->uber->free;
    sp->quads = fs->uber->quads;
    u64 slop = hx_max_u64(fs->super.blocks / 32, 256);
    slop = hx_min_u64(slop, HX_GIB(64) / HFS_BLOCK);
    sp->slop_quads = hx_min_u64(slop, fs->super.blocks / 4) / HFS_NODE_BLOCKS;
    sp->data_at = fs->super.log_start + fs->super.log_blocks;
    sp->node_at = fs->super.blocks / 2 % HFS_GROUP; /* opposite ends of the first group */
}

void space_fini(struct hfs *fs)
{
    struct hfs_space *sp = &fs->space;
    while (!list_is_empty(&sp->groups)) {
        struct space_group *g = LIST_FIRST(&sp->groups, struct space_group, link);
        list_remove(&g->link);
        os_free(g);
    }
    for (u32 level = 0; level < 2; level++) {
        while (!list_is_empty(&sp->pages[level])) {
            struct space_page *p = LIST_FIRST(&sp->pages[level], struct space_page, link);
            list_remove(&p->link);
            os_free(p);
        }
    }
}

/* Reads the durable copy of a bitmap or summary page into buf. Not for fresh ones. */
static enum hx_status page_read(struct hfs *fs, u32 level, u32 index,
                                const struct hfs_space_entry *entry, void *buf)
{
    if (entry->slot >= HFS_SLOTS) {
        return HX_ERR_CORRUPT;
    }
    enum hx_status status = bdev_read(fs->dev, space_slot_block(level, index, entry->slot), 1, buf);
    if (status == HX_OK && space_entry_crc(level, index, entry->txg, buf) != entry->crc) {
        status = HX_ERR_CORRUPT;
    }
    return status;
}

/* What an unwritten summary page says: every page below is unwritten too. */
static void page_fresh(struct hfs *fs, struct space_page *page)
{
    u32 span = level_span(page->level - 1);
    for (u32 i = 0; i < HFS_FANOUT; i++) {
        struct hfs_space_entry *e = &page->entry[i];
        *e = (struct hfs_space_entry){.slot = HFS_SLOT_FRESH};
        u64 first = ((u64)page->index * HFS_FANOUT + i) * span;
        for (u64 g = first; g < first + span && g < fs->space.group_count; g++) {
            u64 free, quads;
            space_fresh_count(&fs->super, (u32)g, &free, &quads);
            e->free += free;
            e->quads += quads;
        }
    }
}

/* The summary page, loaded when need be; level 1 or 2. */
static enum hx_status page_get(struct hfs *fs, u32 level, u32 index, struct space_page **out)
{
    struct hfs_space *sp = &fs->space;
    struct space_page *above = NULL;
    const struct hfs_space_entry *entry;
    void **place;
    if (level == 2) {
        if (index >= fs->uber->top_count) {
            return HX_ERR_CORRUPT;
        }
        entry = &fs->uber->top[index];
        place = (void **)&sp->top[index];
    } else {
        /* Two levels deep at most, so this is the only nesting. */
        if (sp->top[index / HFS_FANOUT] == NULL) {
            return HX_ERR_NOT_READY;
        }
        above = sp->top[index / HFS_FANOUT];
        entry = &above->entry[index % HFS_FANOUT];
        place = &above->child[index % HFS_FANOUT];
    }
    if (*place != NULL) {
        *out = *place;
        return HX_OK;
    }
    struct space_page *page = os_alloc(sizeof(*page));
    if (page == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    memset(page, 0, sizeof(*page));
    page->level = level;
    page->index = index;
    page->slot = (u8)entry->slot;
    if (entry->slot == HFS_SLOT_FRESH) {
        page_fresh(fs, page);
    } else {
        enum hx_status status = page_read(fs, level, index, entry, page->entry);
        if (status != HX_OK) {
            os_free(page);
            return status;
        }
    }
    list_add_tail(&sp->pages[level - 1], &page->link);
    *place = page;
    *out = page;
    return HX_OK;
}

/* The level-1 page of a group. */
static enum hx_status summary_get(struct hfs *fs, u32 group, struct space_page **out)
{
    enum hx_status status = page_get(fs, 2, group / (HFS_FANOUT * HFS_FANOUT), out);
    if (status == HX_OK) {
        status = page_get(fs, 1, group / HFS_FANOUT, out);
    }
    return status;
}

enum hx_status space_group_entry(struct hfs *fs, u32 index, struct hfs_space_entry *out)
{
    struct space_page *page;
    enum hx_status status = summary_get(fs, index, &page);
    if (status == HX_OK) {
        *out = page->entry[index % HFS_FANOUT];
    }
    return status;
}

enum hx_status space_group_get(struct hfs *fs, u32 index, struct space_group **out)
{
    struct space_page *page;
    enum hx_status status = summary_get(fs, index, &page);
    if (status != HX_OK) {
        return status;
    }
    const struct hfs_space_entry *entry = &page->entry[index % HFS_FANOUT];
    struct space_group *g = page->child[index % HFS_FANOUT];
    if (g != NULL) {
        *out = g;
        return HX_OK;
    }
    g = os_alloc(sizeof(*g));
    if (g == NULL) {
        return HX_ERR_NO_MEMORY;
    }
    memset(g, 0, sizeof(*g));
    g->index = index;
    g->slot = (u8)entry->slot;
    if (entry->slot != HFS_SLOT_FRESH) {
        status = page_read(fs, 0, index, entry, g->alloc);
        if (status != HX_OK) {
            os_free(g);
            return status;
        }
    }
    space_fixed(&fs->super, index, g->alloc); /* a bitmap that lies cannot hand these out */
    u64 free, quads;
    space_count(g->alloc, &free, &quads);
    g->free = (u32)free;
    g->quads = (u32)quads;
    list_add_tail(&fs->space.groups, &g->link);
    fs->space.group_loaded++;
    page->child[index % HFS_FANOUT] = g;
    *out = g;
    return HX_OK;
}

static u64 busy_word(const struct space_group *g, u32 i)
{
    return g->alloc[i] | g->pin[0][i] | g->pin[1][i];
}

static bool bit_is_busy(const struct space_group *g, u32 bit)
{
    return busy_word(g, bit / 64) >> (bit % 64) & 1;
}

static void take(struct hfs *fs, struct space_group *g, u32 bit)
{
    u64 busy = busy_word(g, bit / 64);
    if (nibble_is_clear(busy, bit % 64)) {
        g->quads--;
        fs->space.quads--;
    }
    g->alloc[bit / 64] |= HX_BIT(bit % 64);
    g->free--;
    fs->space.free--;
    g->dirty = true;
}

/* The block became neither allocated nor pinned. */
static void give_back(struct hfs *fs, struct space_group *g, u32 bit)
{
    g->free++;
    fs->space.free++;
    if (nibble_is_clear(busy_word(g, bit / 64), bit % 64)) {
        g->quads++;
        fs->space.quads++;
    }
}

bool space_fits(const struct hfs *fs, u64 nodes, u64 blocks, u64 floor)
{
    u64 quads = floor + nodes * fs->super.copies;
    return fs->space.quads >= quads && fs->space.free >= quads * HFS_NODE_BLOCKS + blocks;
}

/* First free quad at or after bit, HFS_GROUP when there is none. */
static u32 find_quad(const struct space_group *g, u32 bit)
{
    for (u32 i = bit / 64; i < HFS_WORDS; i++) {
        u64 clear = clear_nibbles(busy_word(g, i));
        if (i == bit / 64) {
            clear &= ~0ull << (bit % 64);
        }
        if (clear != 0) {
            return i * 64 + (u32)__builtin_ctzll(clear);
        }
    }
    return HFS_GROUP;
}

/* First free block at or after bit; whole: also in quads that are free entirely. */
static u32 find_block(const struct space_group *g, u32 bit, bool whole)
{
    for (u32 i = bit / 64; i < HFS_WORDS; i++) {
        u64 busy = busy_word(g, i);
        if (!whole) {
            busy |= clear_nibbles(busy) * 15;
        }
        u64 clear = ~busy;
        if (i == bit / 64) {
            clear &= ~0ull << (bit % 64);
        }
        if (clear != 0) {
            return i * 64 + (u32)__builtin_ctzll(clear);
        }
    }
    return HFS_GROUP;
}

/* Length of the free run at bit, at most max; whole as above. */
static u32 run_length(const struct space_group *g, u32 bit, u32 max, bool whole)
{
    u32 n = 0;
    while (n < max && bit + n < HFS_GROUP && !bit_is_busy(g, bit + n) &&
           (whole || !nibble_is_clear(busy_word(g, (bit + n) / 64), (bit + n) % 64))) {
        n++;
    }
    return n;
}

struct search {
    u32 want;
    u32 least; /* shortest run that will do */
    bool node;
    bool whole; /* data may break free quads */
};

static bool search_group(struct hfs *fs, struct space_group *g, u32 from, u32 to,
                         const struct search *s, u64 *out_addr, u32 *out_len)
{
    u64 start = (u64)g->index * HFS_GROUP;
    u32 bit = from;
    while (bit < to) {
        bit = s->node ? find_quad(g, bit) : find_block(g, bit, s->whole);
        if (bit >= to) {
            return false;
        }
        u32 n = s->node ? HFS_NODE_BLOCKS : run_length(g, bit, s->want, s->whole);
        if (n >= s->least) {
            for (u32 i = 0; i < n; i++) {
                take(fs, g, bit + i);
            }
            *out_addr = start + bit;
            *out_len = n;
            return true;
        }
        bit += n;
    }
    return false;
}

/* From *at around the device and back to it; groups that cannot serve are not loaded. */
static enum hx_status search_all(struct hfs *fs, const struct search *s, u64 *at, u64 *out_addr,
                                 u32 *out_len)
{
    struct hfs_space *sp = &fs->space;
    u32 first = (u32)(*at / HFS_GROUP);
    if (first >= sp->group_count) {
        first = 0;
    }
    for (u32 n = 0; n <= sp->group_count; n++) {
        u32 index = (first + n) % sp->group_count;
        struct space_page *page;
        enum hx_status status = summary_get(fs, index, &page);
        if (status != HX_OK) {
            return status;
        }
        struct space_group *g = page->child[index % HFS_FANOUT];
        const struct hfs_space_entry *entry = &page->entry[index % HFS_FANOUT];
        u64 has =
            g == NULL ? (s->node ? entry->quads : entry->free) : (s->node ? g->quads : g->free);
        if (has == 0) {
            continue;
        }
        status = space_group_get(fs, index, &g);
        if (status != HX_OK) {
            return status;
        }
        u32 from = n == 0 ? (u32)(*at % HFS_GROUP) : 0;
        u32 to = n == sp->group_count ? (u32)(*at % HFS_GROUP) : HFS_GROUP;
        if (search_group(fs, g, from, to, s, out_addr, out_len)) {
            *at = *out_addr + *out_len;
            return HX_OK;
        }
    }
    return HX_ERR_NO_SPACE;
}

enum hx_status space_alloc_node(struct hfs *fs, u64 *out_addr)
{
    struct search s = {.want = HFS_NODE_BLOCKS, .least = HFS_NODE_BLOCKS, .node = true};
    u32 len;
    return search_all(fs, &s, &fs->space.node_at, out_addr, &len);
}

enum hx_status space_alloc_data(struct hfs *fs, u32 want, bool exact, u64 *out_addr, u32 *out_len)
{
    struct hfs_space *sp = &fs->space;
    u32 steps[] = {want, want > 16 ? 16 : want, 1};
    for (u32 i = 0; i < (exact ? 1 : HX_ARRAY_SIZE(steps)); i++) {
        struct search s = {.want = want, .least = steps[i]};
        /* Above the reserve whole quads may go; each block taken breaks one at most. */
        s.whole = sp->quads > sp->slop_quads + want;
        enum hx_status status = search_all(fs, &s, &sp->data_at, out_addr, out_len);
        if (status != HX_ERR_NO_SPACE) {
            return status;
        }
    }
    /* Quads one after the other down to what deletes need. */
    struct search s = {.want = exact ? want : hx_min_u64(want, 4), .least = exact ? want : 1};
    s.whole = sp->quads > sp->slop_quads / 4 + s.want;
    return search_all(fs, &s, &sp->data_at, out_addr, out_len);
}

enum hx_status space_free(struct hfs *fs, u64 addr, u64 len, bool now)
{
    for (u64 b = addr; b < addr + len; b++) {
        struct space_group *g;
        enum hx_status status = b / HFS_GROUP < fs->space.group_count
                                    ? space_group_get(fs, (u32)(b / HFS_GROUP), &g)
                                    : HX_ERR_CORRUPT;
        if (status != HX_OK) {
            return status;
        }
        u32 bit = (u32)(b % HFS_GROUP);
        if ((g->alloc[bit / 64] >> (bit % 64) & 1) == 0) {
            return HX_ERR_CORRUPT; /* freed twice: an image that contradicts itself */
        }
        g->alloc[bit / 64] &= ~HX_BIT(bit % 64);
        g->dirty = true;
        if (now) {
            give_back(fs, g, bit);
        } else {
            g->pin[fs->txg & 1][bit / 64] |= HX_BIT(bit % 64);
            g->pinned[fs->txg & 1] = true;
            fs->space.pinned++;
        }
    }
    return HX_OK;
}

enum hx_status space_claim(struct hfs *fs, u64 addr, u64 len)
{
    for (u64 b = addr; b < addr + len; b++) {
        struct space_group *g;
        enum hx_status status = b / HFS_GROUP < fs->space.group_count
                                    ? space_group_get(fs, (u32)(b / HFS_GROUP), &g)
                                    : HX_ERR_CORRUPT;
        if (status != HX_OK) {
            return status;
        }
        u32 bit = (u32)(b % HFS_GROUP);
        if (bit_is_busy(g, bit)) {
            return HX_ERR_CORRUPT;
        }
        take(fs, g, bit);
    }
    return HX_OK;
}

static u32 slot_next(u8 slot)
{
    return slot == HFS_SLOT_FRESH ? 0 : (slot + 1u) % HFS_SLOTS;
}

static enum hx_status page_write(struct hfs *fs, u32 level, u32 index, u8 slot, const void *data,
                                 struct hfs_space_entry *entry)
{
    entry->slot = slot_next(slot);
    entry->txg = fs->txg;
    entry->crc = space_entry_crc(level, index, fs->txg, data);
    return bdev_write(fs->dev, space_slot_block(level, index, entry->slot), 1, data);
}

/* Sums of a summary page for the entry above it. */
static void page_sum(const struct space_page *page, struct hfs_space_entry *entry)
{
    entry->free = entry->quads = 0;
    for (u32 i = 0; i < HFS_FANOUT; i++) {
        entry->free += page->entry[i].free;
        entry->quads += page->entry[i].quads;
    }
}

enum hx_status space_write(struct hfs *fs, struct hfs_uber *uber)
{
    struct hfs_space *sp = &fs->space;
    struct space_group *g;
    LIST_FOREACH (&sp->groups, g, link) {
        if (!g->dirty) {
            continue;
        }
        struct space_page *above;
        enum hx_status status = summary_get(fs, g->index, &above);
        if (status != HX_OK) {
            return status;
        }
        struct hfs_space_entry *entry = &above->entry[g->index % HFS_FANOUT];
        space_count(g->alloc, &entry->free, &entry->quads);
        above->dirty = true;
        status = page_write(fs, 0, g->index, g->slot, g->alloc, entry);
        if (status != HX_OK) {
            return status;
        }
    }
    for (u32 level = 1; level <= 2; level++) {
        struct space_page *page;
        LIST_FOREACH (&sp->pages[level - 1], page, link) {
            if (!page->dirty) {
                continue;
            }
            struct hfs_space_entry *entry = &uber->top[page->index];
            if (level == 1) {
                struct space_page *above = sp->top[page->index / HFS_FANOUT];
                entry = &above->entry[page->index % HFS_FANOUT];
                above->dirty = true;
            }
            page_sum(page, entry);
            enum hx_status status =
                page_write(fs, level, page->index, page->slot, page->entry, entry);
            if (status != HX_OK) {
                return status;
            }
        }
    }
    uber->free = uber->quads = 0;
    for (u32 i = 0; i < uber->top_count; i++) {
        uber->free += uber->top[i].free;
        uber->quads += uber->top[i].quads;
    }
    return HX_OK;
}

static void group_unpin(struct hfs *fs, struct space_group *g, u32 side)
{
    for (u32 i = 0; i < HFS_WORDS; i++) {
        if (g->pin[side][i] == 0) {
            continue;
        }
        u64 before = busy_word(g, i);
        fs->space.pinned -= (u32)__builtin_popcountll(g->pin[side][i]);
        g->pin[side][i] = 0;
        u64 after = busy_word(g, i);
        u32 free = (u32)__builtin_popcountll(before & ~after);
        u32 quads = (u32)(__builtin_popcountll(clear_nibbles(after)) -
                          __builtin_popcountll(clear_nibbles(before)));
        g->free += free;
        g->quads += quads;
        fs->space.free += free;
        fs->space.quads += quads;
    }
    g->pinned[side] = false;
}

void space_committed(struct hfs *fs, const struct hfs_uber *uber)
{
    struct hfs_space *sp = &fs->space;
    u32 side = (uber->txg & 1) ^ 1; /* frees of the group before: nothing intact needs them now */
    struct space_group *g, *tmp;
    LIST_FOREACH_SAFE (&sp->groups, g, tmp, link) {
        if (g->dirty) {
            g->slot = (u8)slot_next(g->slot);
            g->dirty = false;
        }
        if (g->pinned[side]) {
            group_unpin(fs, g, side);
        }
        if (sp->group_loaded > GROUP_KEEP && !g->pinned[0] && !g->pinned[1]) {
            struct space_page *above = sp->top[g->index / (HFS_FANOUT * HFS_FANOUT)];
            above = above->child[g->index / HFS_FANOUT % HFS_FANOUT];
            above->child[g->index % HFS_FANOUT] = NULL;
            list_remove(&g->link);
            sp->group_loaded--;
            os_free(g);
        }
    }
    for (u32 level = 1; level <= 2; level++) {
        struct space_page *page;
        LIST_FOREACH (&sp->pages[level - 1], page, link) {
            if (page->dirty) {
                page->slot = (u8)slot_next(page->slot);
                page->dirty = false;
            }
        }
    }
}
