/* SPDX-License-Identifier: MIT */
/* What the core's bring-up asks of upper layers, one implementer each, and what it tells them.
 * Everything else is a component: <core/orchestrator.h>.
 */
#ifndef CORE_INIT_H
#define CORE_INIT_H

#include <helix/boot_info.h>
#include <helix/compiler.h>
#include <helix/status.h>

/* The kernel's own address space, active when it returns, and its check for pages that are both
 * writable and executable. By subsystems/memory. Context: early, interrupts masked.
 * Return: HX_OK; HX_ERR_NO_MEMORY; HX_ERR_BAD_STATE when the check fails. */
enum hx_status memory_init(const struct boot_info *info) HX_MUST_CHECK;

/* What was written during boot only becomes read-only. By subsystems/memory. */
enum hx_status memory_seal(void) HX_MUST_CHECK;

/* What the loader said, valid for ever. */
const struct boot_info *boot_info_get(void);

#endif
