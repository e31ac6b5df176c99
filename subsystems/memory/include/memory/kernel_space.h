/* SPDX-License-Identifier: MIT */
/* The kernel's own address space: mappings that come and go while the system runs, and the check
 * that nothing is both writable and executable. Setting it up is memory_init() of <core/init.h>.
 */
#ifndef MEMORY_KERNEL_SPACE_H
#define MEMORY_KERNEL_SPACE_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

/* Walks all of the kernel's mappings. Return: HX_OK and the number of executable pages;
 * HX_ERR_BAD_STATE when a page, or a frame through two mappings, is writable and executable (the
 * log names it); HX_ERR_NO_SPACE when executable frames are too scattered to keep track of.
 * Context: thread or early; the space does not change meanwhile. */
enum hx_status memory_wx_check(u64 *out_exec_pages) HX_MUST_CHECK;

/* Maps frames at va for all address spaces; flags: MAP_* of <hal/mmu.h>. Return: as hal_mmu.map.
 * Context: thread or interrupts masked. */
enum hx_status kernel_map(vaddr_t va, paddr_t pa, u64 size, u32 flags) HX_MUST_CHECK;

/* Changes what may be done to mapped pages, and makes every CPU know it. Return: as
 * hal_mmu.protect. Context: as unmap. */
enum hx_status kernel_protect(vaddr_t va, u64 size, u32 flags) HX_MUST_CHECK;

/* Takes a mapping out; when it returns no CPU translates by it any more, so that its frames may be
 * freed. Return: as hal_mmu.unmap. Context: thread, interrupts enabled, no spinlock held. */
enum hx_status kernel_unmap(vaddr_t va, u64 size) HX_MUST_CHECK;

/* The two halves of it, for who unmaps several ranges of single pages with one flush: begin adds
 * emptied page tables to the list (0: empty), end flushes a range that holds all of them and frees
 * the tables.
 */
enum hx_status kernel_unmap_begin(vaddr_t va, u64 size, paddr_t *tables) HX_MUST_CHECK;
void kernel_unmap_end(vaddr_t va, u64 size, paddr_t *tables);

/* The physical address behind a kernel address. False: nothing is mapped there. Context: as map. */
bool kernel_query(vaddr_t va, paddr_t *out_pa);

/* Makes every CPU forget its translations of the range. Context: as unmap. */
void kernel_flush(vaddr_t va, u64 size);

/* Frees page tables of the kernel's that a change without a flush of its own has emptied. As unmap.
 */
void kernel_space_trim(void);

/* Frees the emptied page tables on a struct hal_space's list, once no CPU walks them any more. */
void tables_release(paddr_t *list);

#endif
