/* SPDX-License-Identifier: MIT */
/* Both ports' relocations in one program: the build compiles hal/<arch>/reloc.c with its functions
 * renamed, and this file is <hal/reloc.h> for whichever machine is chosen.
 * Owns:      the choice.      Callers: hxpack, the loader's unit tests and its fuzz target.
 */
#include "hxpack.h"

#include <hal/reloc.h>

enum hal_reloc_kind x86_64_reloc_kind(u32 type, u32 *out_width);
enum hx_status x86_64_reloc_apply(u32 type, void *place, u64 va, u64 symbol, s64 addend);
void x86_64_veneer_write(void *place, u64 target);
enum hal_reloc_kind aarch64_reloc_kind(u32 type, u32 *out_width);
enum hx_status aarch64_reloc_apply(u32 type, void *place, u64 va, u64 symbol, s64 addend);
void aarch64_veneer_write(void *place, u64 target);

static u16 chosen = MACHINE_X86_64;

void machine_set(u16 machine)
{
    chosen = machine;
}

enum hal_reloc_kind hal_reloc_kind(u32 type, u32 *out_width)
{
    return chosen == MACHINE_AARCH64 ? aarch64_reloc_kind(type, out_width)
                                     : x86_64_reloc_kind(type, out_width);
}

enum hx_status hal_reloc_apply(u32 type, void *place, u64 va, u64 symbol, s64 addend)
{
    return chosen == MACHINE_AARCH64 ? aarch64_reloc_apply(type, place, va, symbol, addend)
                                     : x86_64_reloc_apply(type, place, va, symbol, addend);
}

void hal_veneer_write(void *place, u64 target)
{
    if (chosen == MACHINE_AARCH64) {
        aarch64_veneer_write(place, target);
    } else {
        x86_64_veneer_write(place, target);
    }
}
