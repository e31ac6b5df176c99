/* SPDX-License-Identifier: MIT */
/* Hooks of the address sanitizer; nothing in the other variants.
 */
#ifndef CORE_SANITIZE_H
#define CORE_SANITIZE_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

/* Why memory must not be touched: shadow values. */
#define KASAN_FREED         0xfb
#define KASAN_HEAP_RED_ZONE 0xfa

#ifdef HX_KASAN
/* Maps the shadow of the kernel image and turns the checks on. Context: early, after
 * memory_init(). */
void kasan_init(void);

/* Has [base, base + size) checked too, all of it usable to begin with. base: 8-byte aligned.
 * Return: HX_OK, HX_ERR_NO_SPACE (too many ranges), what mapping the shadow returned. Thread. */
enum hx_status kasan_cover(vaddr_t base, size_t size) HX_MUST_CHECK;

/* Marks memory of a covered range as not to be touched, or as fine. base: 8-byte aligned. Any. */
void kasan_poison(vaddr_t base, size_t size, u8 why);
void kasan_unpoison(vaddr_t base, size_t size);

/* For code that the compiler does not instrument: memcpy and its kin. Any. */
void kasan_check(const void *base, size_t size, bool write);
#else
static inline void kasan_init(void)
{
}

static inline void kasan_check(const void *base, size_t size, bool write)
{
    (void)base;
    (void)size;
    (void)write;
}
#endif

#endif
