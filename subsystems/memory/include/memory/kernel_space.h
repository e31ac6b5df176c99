/* SPDX-License-Identifier: MIT */
/* The kernel's own address space: the check that nothing in it is both writable and executable.
 * Setting it up is memory_init() of <core/init.h>.
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

#endif
