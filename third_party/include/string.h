/* SPDX-License-Identifier: MIT */
/* <string.h> as far as the third-party headers that the kernel includes ask for it. The kernel's
 * core/lib defines each of these with the C standard's meaning (ISO C17 7.24, POSIX strnlen). */
#ifndef THIRD_PARTY_STRING_H
#define THIRD_PARTY_STRING_H

#include <stddef.h>

void *memchr(const void *s, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
char *strchr(const char *s, int c);
int strcmp(const char *a, const char *b);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
char *strrchr(const char *s, int c);

#endif
