/* SPDX-License-Identifier: MIT */
/* Names as bytes: hashing, comparing and copying a few of them, by words where there are eight,
 * since each is done several times for every name of every path. All of it is pure.
 */
#ifndef FS_NAME_H
#define FS_NAME_H

#include <helix/types.h>

static inline u64 name_word(const char *at)
{
    u64 word;
    __builtin_memcpy(&word, at, sizeof(word));
    return word;
}

/* The last up to eight bytes of a name; none of it is read beyond its end. */
static inline u64 name_tail(const char *name, u32 size)
{
    if (size >= 8) {
        return name_word(name + size - 8);
    }
    u64 word = 0;
    for (u32 i = 0; i < size; i++) {
        word = word << 8 | (u8)name[i];
    }
    return word;
}

static inline u32 name_hash(u64 seed, const char *name, u32 size)
{
    u64 hash = seed ^ size;
    for (u32 i = 0; i + 8 < size; i += 8) {
        hash = (hash ^ name_word(name + i)) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 32;
    }
    hash = (hash ^ name_tail(name, size)) * 0x9e3779b97f4a7c15ull;
    return (u32)(hash >> 32) ^ (u32)(hash >> 13);
}

static inline bool name_equal(const char *a, const char *b, u32 size)
{
    for (u32 i = 0; i + 8 < size; i += 8) {
        if (name_word(a + i) != name_word(b + i)) {
            return false;
        }
    }
    return name_tail(a, size) == name_tail(b, size);
}

static inline void name_copy(char *to, const char *from, u32 size)
{
    if (size < 8) {
        for (u32 i = 0; i < size; i++) {
            to[i] = from[i];
        }
        return;
    }
    for (u32 i = 0; i + 8 < size; i += 8) {
        __builtin_memcpy(to + i, from + i, 8);
    }
    __builtin_memcpy(to + size - 8, from + size - 8, 8);
}

#endif
