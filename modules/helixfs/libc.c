/* SPDX-License-Identifier: MIT */
/* What the parts from outside take for granted of a C library, beyond memory and string functions.
 * Owns:      nothing.      Callers: lz4, libzstd, libsodium.     Context: thread.
 * The compressors get their memory from the file system; malloc is for Argon2's work area.
 */
#include <fs/os.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <helix/string.h>

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void free(void *p);
void randombytes_buf(void *buf, size_t size);
void sodium_memzero(void *p, size_t size);
int sodium_memcmp(const void *a, const void *b, size_t size);
void sodium_misuse(void);
int __popcountdi2(u64 word);
extern int errno;

int errno;

void *malloc(size_t size)
{
    return os_alloc(size);
}

void *calloc(size_t count, size_t size)
{
    u64 bytes;
    void *p = hx_mul_checked(count, size, &bytes) ? os_alloc(bytes) : NULL;
    if (p) {
        memset(p, 0, bytes);
    }
    return p;
}

void free(void *p)
{
    os_free(p);
}

void randombytes_buf(void *buf, size_t size)
{
    os_random(buf, size);
}

void sodium_memzero(void *p, size_t size)
{
    memset(p, 0, size);
    __asm__ volatile("" ::"r"(p) : "memory"); /* not to be left out as a dead store */
}

/* In constant time. */
int sodium_memcmp(const void *a, const void *b, size_t size)
{
    const volatile u8 *x = a, *y = b;
    u8 differ = 0;
    for (size_t i = 0; i < size; i++) {
        differ |= x[i] ^ y[i];
    }
    return differ ? -1 : 0;
}

void sodium_misuse(void)
{
    HX_ASSERT(!"libsodium is called as it says");
}

/* Counted in parallel, for processors without an instruction (Hacker's Delight, 5-1). */
int __popcountdi2(u64 word)
{
    word -= word >> 1 & 0x5555555555555555ull;
    word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
    return (int)(word * 0x0101010101010101ull >> 56);
}
