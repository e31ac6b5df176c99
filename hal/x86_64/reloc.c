/* SPDX-License-Identifier: MIT */
/* ELF relocations of x86_64.
 * Owns:      nothing.      Callers: the module loader, on the host too.      Context: any.
 * Invariant: (1) a field is written only with a value that it reads back as.
 * Spec:      System V psABI for AMD64, 4.4.1 (relocation types).
 */
#include <hal/reloc.h>

#include <helix/bits.h>
#include <helix/string.h>

#define R_NONE          0
#define R_64            1  /* S + A */
#define R_PC32          2  /* S + A - P */
#define R_PLT32         4  /* the same: nothing is bound late */
#define R_GOTPCREL      9  /* G + A - P */
#define R_32            10 /* S + A, zero-extended */
#define R_32S           11 /* S + A, sign-extended */
#define R_PC64          24
#define R_GOTPCRELX     41
#define R_REX_GOTPCRELX 42

enum hal_reloc_kind hal_reloc_kind(u32 type, u32 *out_width)
{
    *out_width = 4;
    switch (type) {
    case R_NONE:
        *out_width = 0;
        return RELOC_NOTHING;
    case R_64:
    case R_PC64:
        *out_width = 8;
        return RELOC_DIRECT;
    case R_PC32:
    case R_32:
    case R_32S:
        return RELOC_DIRECT;
    case R_PLT32:
        return RELOC_CALL;
    case R_GOTPCREL:
    case R_GOTPCRELX:
    case R_REX_GOTPCRELX:
        return RELOC_INDIRECT;
    default:
        return RELOC_REFUSED;
    }
}

enum hx_status hal_reloc_apply(u32 type, void *place, u64 va, u64 symbol, s64 addend)
{
    u64 value = symbol + (u64)addend;
    switch (type) {
    case R_NONE:
        return HX_OK;
    case R_PC64:
        value -= va;
        memcpy(place, &value, 8);
        return HX_OK;
    case R_64:
        memcpy(place, &value, 8);
        return HX_OK;
    case R_32:
        if (value != (u32)value) { /* inv 1 */
            return HX_ERR_OVERFLOW;
        }
        break;
    case R_PC32:
    case R_PLT32:
    case R_GOTPCREL:
    case R_GOTPCRELX:
    case R_REX_GOTPCRELX:
        value -= va;
        if (value != (u64)(s32)value) {
            return HX_ERR_OVERFLOW;
        }
        break;
    case R_32S:
        if (value != (u64)(s32)value) {
            return HX_ERR_OVERFLOW;
        }
        break;
    default:
        return HX_ERR_NOT_SUPPORTED;
    }
    u32 field = (u32)value;
    memcpy(place, &field, 4);
    return HX_OK;
}

/* jmp *0(%rip), and the address behind it. */
void hal_veneer_write(void *place, u64 target)
{
    static const u8 jump[] = {0xff, 0x25, 0, 0, 0, 0};
    memset(place, 0xcc, HAL_VENEER_SIZE);
    memcpy(place, jump, sizeof(jump));
    memcpy((u8 *)place + sizeof(jump), &target, 8);
}
