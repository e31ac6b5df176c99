/* SPDX-License-Identifier: MIT */
/* The part of the C library's strings that the kernel uses, with the standard's meaning, and two
 * bounded helpers. Context: any, early included.
 */
#ifndef HELIX_STRING_H
#define HELIX_STRING_H

#include <helix/compiler.h>
#include <helix/types.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/* Copies at most size - 1 bytes of src and always ends dst with NUL (size > 0). False when src
 * was cut. */
bool str_copy(char *dst, const char *src, size_t size);

static inline bool str_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static inline bool str_has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Parses all of s as an unsigned number: decimal, or hexadecimal after 0x. False on an empty
 * string, another character or overflow; *out is untouched then. */
bool str_to_u64(const char *s, u64 *out);

/* `*` any run, `?` any one character. */
bool str_glob_match(const char *pattern, const char *s);

#endif
