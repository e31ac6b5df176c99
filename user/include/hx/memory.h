/* SPDX-License-Identifier: MIT */
/* Memory: whole pages from the kernel, and a heap on top of them. Mapped memory reads as zero and
 * costs a frame only when it is touched. Nothing is writable and executable at once.
 */
#ifndef HX_MEMORY_H
#define HX_MEMORY_H

#include <abi/types.h>
#include <helix/compiler.h>

/* Maps `size` bytes, a multiple of HX_PAGE_SIZE. address: NULL or a wish; with HX_MAP_FIXED the
 * place itself, page aligned and free. flags: HX_MAP_*.
 * Return: HX_OK and the address; HX_ERR_INVALID; HX_ERR_EXISTS, something is mapped there;
 * HX_ERR_NO_MEMORY; HX_ERR_LIMIT. Context: any thread. */
enum hx_status hx_memory_map(void *address, size_t size, u64 flags,
                             void **out_address) HX_MUST_CHECK;

/* Gives pages back; their content is gone. address, size: multiples of HX_PAGE_SIZE.
 * Return: HX_OK; HX_ERR_INVALID; HX_ERR_NOT_FOUND, not all of it is mapped. Context: any thread. */
enum hx_status hx_memory_unmap(void *address, size_t size) HX_MUST_CHECK;

/* Makes mapped pages read-only (flags 0), writable (HX_MAP_WRITE) or executable (HX_MAP_EXECUTE);
 * code written before is then seen by all CPUs.
 * Return: HX_OK; HX_ERR_INVALID; HX_ERR_NOT_FOUND. Context: any thread. */
enum hx_status hx_memory_protect(void *address, size_t size, u64 flags) HX_MUST_CHECK;

/* The heap, with the C library's meaning. Memory is aligned to 16 bytes. NULL when there is none.
 * free() of what is not an allocation, or of one twice, ends the process. Context: any thread. */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void free(void *memory);

#endif
