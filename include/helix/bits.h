/* SPDX-License-Identifier: MIT */
/* Alignment, bit and overflow arithmetic. All of it is pure; every function is legal anywhere. */
#ifndef HELIX_BITS_H
#define HELIX_BITS_H

#include <helix/types.h>

#define HX_BIT(n) ((u64)1 << (n))

static inline bool hx_is_pow2(u64 v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

/* `align` is a power of two. hx_align_up wraps to 0 past the top; check with hx_align_up_checked
 * whatever came from outside. */
static inline u64 hx_align_down(u64 v, u64 align)
{
    return v & ~(align - 1);
}

static inline u64 hx_align_up(u64 v, u64 align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline bool hx_is_aligned(u64 v, u64 align)
{
    return (v & (align - 1)) == 0;
}

/* True and *out set when the result fits in 64 bits. */
static inline bool hx_align_up_checked(u64 v, u64 align, u64 *out)
{
    u64 sum;
    if (__builtin_add_overflow(v, align - 1, &sum)) {
        return false;
    }
    *out = sum & ~(align - 1);
    return true;
}

static inline bool hx_add_checked(u64 a, u64 b, u64 *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool hx_mul_checked(u64 a, u64 b, u64 *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* True when [base, base + size) lies in [0, limit): the form in which a hostile offset and length
 * are checked without overflow. */
static inline bool hx_range_fits(u64 base, u64 size, u64 limit)
{
    return base <= limit && size <= limit - base;
}

/* a * b / divisor with a 128-bit product, rounded down; UINT64_MAX when that does not fit or the
 * divisor is 0. A hundred instructions and more: for setting up, not for hot paths. */
u64 hx_mul_div(u64 a, u64 b, u64 divisor);

/* Index of the highest set bit; v is not 0. */
static inline u32 hx_log2_floor(u64 v)
{
    return 63 - (u32)__builtin_clzll(v);
}

/* Unaligned loads and stores of little-endian fields: the compiler makes them single
 * instructions on both architectures once unaligned access is legal. */
static inline u16 hx_load_le16(const void *p)
{
    const u8 *b = p;
    return (u16)(b[0] | b[1] << 8);
}

static inline u32 hx_load_le32(const void *p)
{
    const u8 *b = p;
    return (u32)b[0] | (u32)b[1] << 8 | (u32)b[2] << 16 | (u32)b[3] << 24;
}

static inline u64 hx_load_le64(const void *p)
{
    const u8 *b = p;
    return (u64)hx_load_le32(b) | (u64)hx_load_le32(b + 4) << 32;
}

static inline u32 hx_load_be32(const void *p)
{
    return __builtin_bswap32(hx_load_le32(p));
}

static inline u64 hx_load_be64(const void *p)
{
    return __builtin_bswap64(hx_load_le64(p));
}

static inline u64 hx_min_u64(u64 a, u64 b)
{
    return a < b ? a : b;
}

static inline u64 hx_max_u64(u64 a, u64 b)
{
    return a > b ? a : b;
}

#endif
