/* SPDX-License-Identifier: MIT */
/* ELF relocations of aarch64.
 * Owns:      nothing.      Callers: the module loader, on the host too.      Context: any.
 * Most fields are some bits of a value inside an instruction: a table says which value, which bits
 * of it, where they go, and the range it must lie in. Invariant: (1) a field is written only with a
 * value that it reads back as; types ending in _NC keep the low bits on purpose, and only those are
 * unchecked. Spec:      ELF for the Arm 64-bit Architecture (AAELF64), 5.7.
 */
#include <hal/reloc.h>

#include <helix/bits.h>
#include <helix/string.h>

#define R_NONE      0
#define R_NONE_OLD  256
#define R_ABS64     257
#define R_ABS32     258
#define R_ABS16     259
#define R_PREL64    260
#define R_PREL32    261
#define R_PREL16    262
#define TYPE_FIRST  263
#define TYPE_END    313
#define R_JUMP26    282
#define R_CALL26    283
#define INSN_BRANCH 26u         /* bits of B's and BL's offset */
#define MOVZ        0x40000000u /* MOVZ where it is set, MOVN where it is clear */

enum value { ABSOLUTE, RELATIVE, PAGE_RELATIVE };
enum field { NO_FIELD, ADR, IMM12, IMM14, IMM16, IMM19, IMM26, MOVW, MOVW_SIGNED };

struct type {
    u8 value, field;
    u8 shift; /* low bits that are left out; unless unchecked by `keep`, they are 0 */
    u8 bits;  /* the value must fit in so many, signed unless `is_unsigned`; 0: unchecked */
    bool is_unsigned;
    bool keep; /* low bits left out may be anything */
    bool indirect;
};

/* From R_AARCH64_MOVW_UABS_G0 on; what is not listed is refused. */
static const struct type types[TYPE_END - TYPE_FIRST] = {
    [263 - TYPE_FIRST] = {ABSOLUTE, MOVW, 0, 16, true, false, false},         /* MOVW_UABS_G0 */
    [264 - TYPE_FIRST] = {ABSOLUTE, MOVW, 0, 0, true, true, false},           /* _G0_NC */
    [265 - TYPE_FIRST] = {ABSOLUTE, MOVW, 16, 32, true, true, false},         /* _G1 */
    [266 - TYPE_FIRST] = {ABSOLUTE, MOVW, 16, 0, true, true, false},          /* _G1_NC */
    [267 - TYPE_FIRST] = {ABSOLUTE, MOVW, 32, 48, true, true, false},         /* _G2 */
    [268 - TYPE_FIRST] = {ABSOLUTE, MOVW, 32, 0, true, true, false},          /* _G2_NC */
    [269 - TYPE_FIRST] = {ABSOLUTE, MOVW, 48, 0, true, true, false},          /* _G3 */
    [270 - TYPE_FIRST] = {ABSOLUTE, MOVW_SIGNED, 0, 17, false, true, false},  /* MOVW_SABS_G0 */
    [271 - TYPE_FIRST] = {ABSOLUTE, MOVW_SIGNED, 16, 33, false, true, false}, /* _G1 */
    [272 - TYPE_FIRST] = {ABSOLUTE, MOVW_SIGNED, 32, 49, false, true, false}, /* _G2 */
    [273 - TYPE_FIRST] = {RELATIVE, IMM19, 2, 21, false, false, false},       /* LD_PREL_LO19 */
    [274 - TYPE_FIRST] = {RELATIVE, ADR, 0, 21, false, false, false},         /* ADR_PREL_LO21 */
    [275 - TYPE_FIRST] = {PAGE_RELATIVE, ADR, 12, 33, false, false, false},   /* ADR_PREL_PG_HI21 */
    [276 - TYPE_FIRST] = {PAGE_RELATIVE, ADR, 12, 0, false, false, false},    /* _NC */
    [277 - TYPE_FIRST] = {ABSOLUTE, IMM12, 0, 0, true, true, false},          /* ADD_ABS_LO12_NC */
    [278 - TYPE_FIRST] = {ABSOLUTE, IMM12, 0, 0, true, true, false},          /* LDST8 */
    [279 - TYPE_FIRST] = {RELATIVE, IMM14, 2, 16, false, false, false},       /* TSTBR14 */
    [280 - TYPE_FIRST] = {RELATIVE, IMM19, 2, 21, false, false, false},       /* CONDBR19 */
    [282 - TYPE_FIRST] = {RELATIVE, IMM26, 2, 28, false, false, false},       /* JUMP26 */
    [283 - TYPE_FIRST] = {RELATIVE, IMM26, 2, 28, false, false, false},       /* CALL26 */
    [284 - TYPE_FIRST] = {ABSOLUTE, IMM12, 1, 0, true, false, false},         /* LDST16 */
    [285 - TYPE_FIRST] = {ABSOLUTE, IMM12, 2, 0, true, false, false},         /* LDST32 */
    [286 - TYPE_FIRST] = {ABSOLUTE, IMM12, 3, 0, true, false, false},         /* LDST64 */
    [299 - TYPE_FIRST] = {ABSOLUTE, IMM12, 4, 0, true, false, false},         /* LDST128 */
    [311 - TYPE_FIRST] = {PAGE_RELATIVE, ADR, 12, 33, false, false, true},    /* ADR_GOT_PAGE */
    [312 - TYPE_FIRST] = {ABSOLUTE, IMM12, 3, 0, true, false, true},          /* LD64_GOT_LO12_NC */
};

static const struct type *type_of(u32 type)
{
    if (type < TYPE_FIRST || type >= TYPE_END || types[type - TYPE_FIRST].field == NO_FIELD) {
        return NULL;
    }
    return &types[type - TYPE_FIRST];
}

static u32 data_width(u32 type)
{
    switch (type) {
    case R_ABS64:
    case R_PREL64:
        return 8;
    case R_ABS32:
    case R_PREL32:
        return 4;
    case R_ABS16:
    case R_PREL16:
        return 2;
    default:
        return 0;
    }
}

enum hal_reloc_kind hal_reloc_kind(u32 type, u32 *out_width)
{
    *out_width = data_width(type);
    if (*out_width) {
        return RELOC_DIRECT;
    }
    if (type == R_NONE || type == R_NONE_OLD) {
        return RELOC_NOTHING;
    }
    const struct type *t = type_of(type);
    *out_width = 4;
    if (!t) {
        return RELOC_REFUSED;
    }
    return t->indirect                            ? RELOC_INDIRECT
           : type == R_JUMP26 || type == R_CALL26 ? RELOC_CALL
                                                  : RELOC_DIRECT;
}

static bool fits_signed(s64 value, u32 bits)
{
    return bits >= 64 || (value >= -((s64)1 << (bits - 1)) && value < (s64)1 << (bits - 1));
}

/* Data may be read as signed or unsigned: it fits when either does. */
static enum hx_status apply_data(u32 type, u32 width, void *place, u64 va, u64 value)
{
    if (type >= R_PREL64) {
        value -= va;
    }
    if (width < 8 && !fits_signed((s64)value, width * 8) &&
        (type >= R_PREL64 || value >> (width * 8) != 0)) {
        return HX_ERR_OVERFLOW;
    }
    memcpy(place, &value, width); /* little-endian */
    return HX_OK;
}

enum hx_status hal_reloc_apply(u32 type, void *place, u64 va, u64 symbol, s64 addend)
{
    u32 width = data_width(type);
    u64 value = symbol + (u64)addend;
    if (width) {
        return apply_data(type, width, place, va, value);
    }
    if (type == R_NONE || type == R_NONE_OLD) {
        return HX_OK;
    }
    const struct type *t = type_of(type);
    if (!t) {
        return HX_ERR_NOT_SUPPORTED;
    }
    if (t->value == RELATIVE) {
        value -= va;
    } else if (t->value == PAGE_RELATIVE) {
        value = hx_align_down(value, 4096) - hx_align_down(va, 4096);
    }
    if (t->field == IMM12) {
        value &= 0xfff;
    }
    if (t->bits && (t->is_unsigned ? value >> t->bits != 0 : !fits_signed((s64)value, t->bits))) {
        return HX_ERR_OVERFLOW; /* inv 1 */
    }
    if (!t->keep && (value & (HX_BIT(t->shift) - 1)) != 0) {
        return HX_ERR_OVERFLOW;
    }
    u32 insn, mask, bits;
    memcpy(&insn, place, 4);
    if (t->field == MOVW_SIGNED) {
        insn |= MOVZ;
        if ((s64)value < 0) {
            insn &= ~MOVZ;
            value = ~value;
        }
    }
    u32 v = (u32)(value >> t->shift);
    switch (t->field) {
    case ADR:
        mask = 0x60ffffe0u;
        bits = (v & 3) << 29 | (v >> 2 & 0x7ffff) << 5;
        break;
    case IMM12:
        mask = 0xfffu << 10;
        bits = v << 10;
        break;
    case IMM14:
        mask = 0x3fffu << 5;
        bits = v << 5;
        break;
    case IMM19:
        mask = 0x7ffffu << 5;
        bits = v << 5;
        break;
    case IMM26:
        mask = (1u << INSN_BRANCH) - 1;
        bits = v;
        break;
    default: /* MOVW, MOVW_SIGNED */
        mask = 0xffffu << 5;
        bits = v << 5;
        break;
    }
    insn = (insn & ~mask) | (bits & mask);
    memcpy(place, &insn, 4);
    return HX_OK;
}

/* ldr x16, .+8; br x16; and the address. The procedure call standard gives x16 to veneers. */
void hal_veneer_write(void *place, u64 target)
{
    static const u32 code[] = {0x58000050u, 0xd61f0200u};
    memcpy(place, code, sizeof(code));
    memcpy((u8 *)place + sizeof(code), &target, 8);
}
