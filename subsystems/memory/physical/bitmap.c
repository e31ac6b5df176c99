/* SPDX-License-Identifier: MIT */
/* The bitmap allocator: a bit for each frame of RAM, set while it is free. Less code and no links
 * to corrupt; a large block costs a scan.
 * Owns:      the bits and a hint for each zone.      Callers: frame.c.     Context: frame lock
 * held. Invariant: (1) the bits of a range begin at its first frame rounded down to the largest
 * block, so a block's bits are as aligned as the block, and a block of up to 64 frames has its bits
 *            in one word.  (2) no word of a zone below its hint has a bit set.
 */
#include <helix/bits.h>
#include <helix/string.h>
#include <memory/frame_alloc.h>

#define CHUNK      (1u << FRAME_ORDER_MAX)
#define WORD_BITS  64
#define RANGES_MAX 128

struct bitmap {
    const struct frame_range *ranges;
    u32 range_count;
    u32 hint[FRAME_ZONE_COUNT]; /* no free frame of the zone lies below; frame number */
    u32 word_of[RANGES_MAX];    /* where the range's bits begin */
    u64 words[];
};

static u32 range_base(const struct frame_range *r)
{
    return r->first & ~(CHUNK - 1);
}

static u32 range_words(const struct frame_range *r)
{
    return (r->end - range_base(r) + WORD_BITS - 1) / WORD_BITS;
}

static size_t bitmap_footprint(const struct frame_range *ranges, u32 count)
{
    size_t words = 0;
    for (u32 i = 0; i < count; i++) {
        words += range_words(&ranges[i]);
    }
    return sizeof(struct bitmap) + words * sizeof(u64);
}

static void bitmap_init(void *index, const struct frame_range *ranges, u32 count)
{
    struct bitmap *b = index;
    b->ranges = ranges;
    b->range_count = count < RANGES_MAX ? count : RANGES_MAX;
    u32 words = 0;
    for (u32 i = 0; i < b->range_count; i++) {
        b->word_of[i] = words;
        words += range_words(&ranges[i]);
    }
    memset(b->words, 0, words * sizeof(u64));
    for (u32 zone = 0; zone < FRAME_ZONE_COUNT; zone++) {
        b->hint[zone] = frame_zone_range(zone).end;
    }
}

/* The words of the range that holds pfn, biased so that bit pfn is at [pfn / 64] of them. */
static u64 *words_at(struct bitmap *b, u32 pfn)
{
    u32 i = 0;
    while (i + 1 < b->range_count && pfn >= b->ranges[i].end) {
        i++;
    }
    return b->words + b->word_of[i] - range_base(&b->ranges[i]) / WORD_BITS;
}

/* `n` bits from bit `pfn % 64` on, n at most what is left of the word. */
static u64 mask(u32 pfn, u32 n)
{
    return (n == WORD_BITS ? ~0ull : (1ull << n) - 1) << pfn % WORD_BITS;
}

static void bits_set(struct bitmap *b, u32 first, u32 count, bool value)
{
    u64 *words = words_at(b, first);
    while (count > 0) {
        u32 n = (u32)hx_min_u64(count, WORD_BITS - first % WORD_BITS);
        if (value) {
            words[first / WORD_BITS] |= mask(first, n);
        } else {
            words[first / WORD_BITS] &= ~mask(first, n);
        }
        first += n;
        count -= n;
    }
}

static void bitmap_add(void *index, u32 first, u32 count)
{
    struct bitmap *b = index;
    bits_set(b, first, count, true);
    u32 last = first + count - 1;
    for (enum frame_zone zone = frame_zone_of(first); zone <= frame_zone_of(last); zone++) {
        u32 low = (u32)hx_max_u64(first, frame_zone_range(zone).first);
        b->hint[zone] = low < b->hint[zone] ? low : b->hint[zone];
    }
}

static void bitmap_remove(void *index, u32 first, u32 count)
{
    struct bitmap *b = index;
    for (u32 i = 0; i < b->range_count; i++) {
        u32 low = (u32)hx_max_u64(first, b->ranges[i].first);
        u32 high = (u32)hx_min_u64((u64)first + count, b->ranges[i].end);
        if (low < high) {
            bits_set(b, low, high - low, false);
        }
    }
}

/* Start of a run of n set bits at a multiple of n in a word, or 64. */
static u32 word_find(u64 word, u32 n)
{
    if (n == 1) {
        return word ? (u32)__builtin_ctzll(word) : WORD_BITS;
    }
    for (u32 at = 0; at < WORD_BITS; at += n) {
        if ((word >> at & mask(0, n)) == mask(0, n)) {
            return at;
        }
    }
    return WORD_BITS;
}

static u32 search(const u64 *words, u32 first, u32 end, u32 order)
{
    u32 size = 1u << order;
    if (order <= 6) {
        for (u32 w = first / WORD_BITS; w * WORD_BITS < end; w++) {
            u32 bit = words[w] ? word_find(words[w], size) : WORD_BITS;
            if (bit < WORD_BITS) {
                return w * WORD_BITS + bit;
            }
        }
        return FRAME_NO_PFN;
    }
    for (u64 at = hx_align_up(first, size); at + size <= end; at += size) {
        u32 n = size / WORD_BITS;
        while (n > 0 && words[at / WORD_BITS + n - 1] == ~0ull) {
            n--;
        }
        if (n == 0) {
            return (u32)at;
        }
    }
    return FRAME_NO_PFN;
}

static u32 bitmap_alloc(void *index, enum frame_zone zone, u32 order)
{
    struct bitmap *b = index;
    struct frame_range limits = frame_zone_range(zone);
    for (u32 i = 0; i < b->range_count; i++) {
        u32 first =
            (u32)hx_max_u64(range_base(&b->ranges[i]), hx_align_down(b->hint[zone], WORD_BITS));
        first = (u32)hx_max_u64(first, limits.first);
        u32 end = (u32)hx_min_u64(b->ranges[i].end, limits.end);
        if (first >= end) {
            continue;
        }
        const u64 *words = b->words + b->word_of[i] - range_base(&b->ranges[i]) / WORD_BITS;
        u32 found = search(words, first, end, order);
        if (found != FRAME_NO_PFN) {
            bits_set(b, found, 1u << order, false);
            if (order == 0) {
                b->hint[zone] = found; /* inv 2: the lowest is taken first */
            }
            return found;
        }
    }
    return FRAME_NO_PFN;
}

static bool bitmap_selfcheck(void *index)
{
    struct bitmap *b = index;
    for (u32 r = 0; r < b->range_count; r++) {
        for (u32 at = b->ranges[r].first; at < b->ranges[r].end; at++) {
            bool set = words_at(b, at)[at / WORD_BITS] >> at % WORD_BITS & 1;
            if (set != (frame_table[at].owner == FRAME_FREE) ||
                (set && at < b->hint[frame_zone_of(at)])) { /* inv 2 */
                return false;
            }
        }
    }
    return true;
}

const struct frame_alloc_ops frame_bitmap_ops = {
    .abi_version = FRAME_ALLOC_ABI,
    .size = sizeof(struct frame_alloc_ops),
    .name = "bitmap",
    .footprint = bitmap_footprint,
    .init = bitmap_init,
    .add = bitmap_add,
    .remove = bitmap_remove,
    .alloc = bitmap_alloc,
    .selfcheck = bitmap_selfcheck,
};
