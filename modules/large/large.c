/* SPDX-License-Identifier: MIT */
/* 64 KiB of code and constants with relocations between them, and nothing to do: what loading is
 * measured with (module.load_64k).
 */
#include <helix/module.h>

#define FOUR(m, n)    m(n##0) m(n##1) m(n##2) m(n##3)
#define SIXTEEN(m, n) FOUR(m, n##0) FOUR(m, n##1) FOUR(m, n##2) FOUR(m, n##3)
#define ALL(m)        SIXTEEN(m, 0) SIXTEEN(m, 1) SIXTEEN(m, 2) SIXTEEN(m, 3)

#define TEXT_SIZE 768

/* A string, and a function that looks through it: a relocation each in code and in the table. */
#define PIECE(n)                                                                                   \
    static const char text_##n[TEXT_SIZE] = "piece " #n;                                           \
    static u64 piece_##n(u64 value)                                                                \
    {                                                                                              \
        for (u32 i = 0; i < TEXT_SIZE; i += 8) {                                                   \
            value = (value ^ (u64)text_##n[i]) * 0x100000001b3ull + (value >> 7) + 0x1##n;         \
            value ^= (u64)text_##n[i + 1] << 8 | (u64)text_##n[i + 2] << 16;                       \
            value += (u64)text_##n[i + 3] * 3 + (u64)text_##n[i + 4] * 5;                          \
            value = (value << 13 | value >> 51) ^ (u64)text_##n[i + 5] * 0x9e3779b97f4a7c15ull;    \
            value -= (u64)text_##n[i + 6] * 11 + (u64)text_##n[i + 7] * 17;                        \
            value = (value << 29 | value >> 35) * 0xd6e8feb86659fd93ull;                           \
        }                                                                                          \
        return value;                                                                              \
    }
ALL(PIECE)

#define ENTRY(n) {text_##n, piece_##n},
static const struct {
    const char *text;
    u64 (*piece)(u64 value);
} pieces[] = {ALL(ENTRY)};

static enum hx_status large_health(struct module *self)
{
    (void)self;
    u64 value = 1;
    for (u32 i = 0; i < HX_ARRAY_SIZE(pieces); i++) {
        value = pieces[i].piece(value);
    }
    return value != 0 ? HX_OK : HX_ERR_CORRUPT;
}

static const u64 table[1];

MODULE(large, .version = {1, 0, 0}, .summary = "64 KiB to measure loading with",
       .provides = {{"test.large", 1, 0}});
MODULE_CODE(large, .interfaces = {table}, .ops = {.health = large_health});
