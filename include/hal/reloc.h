/* SPDX-License-Identifier: MIT */
/* Relocations of ELF objects, which differ by processor: what a type means, and how its field is
 * written. Pure computation on memory that the caller has checked; also built for the host, where
 * the port's code runs on any machine.
 */
#ifndef HAL_RELOC_H
#define HAL_RELOC_H

#include <helix/compiler.h>
#include <helix/status.h>
#include <helix/types.h>

enum hal_reloc_kind {
    RELOC_REFUSED, /* unknown here: not one that the compiler emits for the kernel's flags */
    RELOC_NOTHING, /* nothing to do */
    RELOC_DIRECT,  /* of the symbol's address */
    RELOC_CALL,    /* a branch: where it does not reach, one to a veneer does as well */
    RELOC_INDIRECT /* of the address of a word that holds the symbol's address */
};

#define HAL_VENEER_SIZE 16 /* bytes, aligned to 8 */

/* What relocation `type` (ELF64_R_TYPE) is, and how many bytes it writes. */
enum hal_reloc_kind hal_reloc_kind(u32 type, u32 *out_width);

/* Writes the field of `type` at `place`, which will be executed or read at address `va`, for
 * `symbol` + `addend`. Return: HX_OK; HX_ERR_OVERFLOW, the value does not fit the field or is not
 * aligned as it must be, nothing written; HX_ERR_NOT_SUPPORTED, RELOC_REFUSED. */
enum hx_status hal_reloc_apply(u32 type, void *place, u64 va, u64 symbol, s64 addend) HX_MUST_CHECK;

/* Writes code that jumps to `target`, wherever that is. Keeps every argument register. */
void hal_veneer_write(void *place, u64 target);

#endif
