/* SPDX-License-Identifier: MIT */
/* Thread-local variables, as the linker script describes them, for what starts threads.
 */
#ifndef HX_LIB_TLS_H
#define HX_LIB_TLS_H

#include <helix/string.h>
#include <hx/arch.h>

#define TLS_ALIGN 64 /* of an area; program.ld sees to it that nothing needs more */

/* Set by program.ld: addresses, and numbers in the guise of addresses. */
extern char __tls_image[], __tls_image_size[], __tls_size[], __tls_main[];

/* A number from the linker script. The compiler believes that no address is 0, so it must not know
 * that this was one. */
static inline size_t tls_number(const char *symbol)
{
    __asm__("" : "+r"(symbol));
    return (size_t)symbol;
}

/* Bytes that a thread's variables need; 0 when the program has none. */
static inline size_t tls_size(void)
{
    return tls_number(__tls_size);
}

/* Gives an area of hx_tls_area_size(tls_size()) bytes its first values.
 * Return: what the thread's pointer is to be. */
static inline u64 tls_init(void *area)
{
    void *block;
    u64 pointer = hx_tls_area_init(area, tls_size(), &block);
    size_t image = tls_number(__tls_image_size);
    memcpy(block, __tls_image, image);
    memset((char *)block + image, 0, tls_size() - image);
    return pointer;
}

#endif
