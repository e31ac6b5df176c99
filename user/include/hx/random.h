/* SPDX-License-Identifier: MIT */
/* Random bytes from the kernel, fit for keys.
 */
#ifndef HX_RANDOM_H
#define HX_RANDOM_H

#include <helix/compiler.h>
#include <hx/syscall.h>

/* Fills a buffer. Return: HX_OK; HX_ERR_NOT_READY, the machine has not gathered enough yet;
 * HX_ERR_FAULT. Context: any thread. */
static inline HX_MUST_CHECK enum hx_status hx_random_fill(void *buffer, size_t size)
{
    s64 result = hx_sys_random_read(buffer, size);
    return result < 0 ? (enum hx_status)result : HX_OK;
}

#endif
