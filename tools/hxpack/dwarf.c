/* SPDX-License-Identifier: MIT */
/* Checksums of prototypes, from debug information: what a function takes and gives, and what every
 * type in that consists of, members and their offsets included, as one text, and its CRC-32. So a
 * module that was built when a structure looked different is refused, which comparing the text of
 * declarations would not do.
 * Owns:      the tables of one object.      Caller: main.c.
 * Reads one compiler's output (GCC, -gdwarf-4, not link-time optimised) of our own build, so what
 * it does not know is an error that ends it, and nothing here is exposed to a stranger's file.
 * Spec:      DWARF 4: 7.5 (units, abbreviations, forms), 5 (types).
 */
#include "hxpack.h"

#include <helix/bits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum tag {
    TAG_ARRAY = 0x01,
    TAG_ENUM = 0x04,
    TAG_PARAMETER = 0x05,
    TAG_MEMBER = 0x0d,
    TAG_POINTER = 0x0f,
    TAG_COMPILE_UNIT = 0x11,
    TAG_STRUCT = 0x13,
    TAG_SUBROUTINE = 0x15,
    TAG_TYPEDEF = 0x16,
    TAG_UNION = 0x17,
    TAG_VARIADIC = 0x18,
    TAG_SUBRANGE = 0x21,
    TAG_BASE = 0x24,
    TAG_CONST = 0x26,
    TAG_ENUMERATOR = 0x28,
    TAG_VARIABLE = 0x34,
    TAG_VOLATILE = 0x35,
    TAG_RESTRICT = 0x37,
    TAG_ATOMIC = 0x47
};

enum attribute {
    AT_NAME = 0x03,
    AT_BYTE_SIZE = 0x0b,
    AT_BIT_SIZE = 0x0d,
    AT_CONST_VALUE = 0x1c,
    AT_UPPER_BOUND = 0x2f,
    AT_COUNT = 0x37,
    AT_MEMBER_AT = 0x38,
    AT_DECLARATION = 0x3c,
    AT_ENCODING = 0x3e,
    AT_TYPE = 0x49,
    AT_DATA_BIT_AT = 0x6b,
    AT_BIT_OFFSET = 0x0c
};

#define ABBREVIATIONS_MAX 1024
#define ENTRIES_MAX       65536
#define DEPTH_MAX         64

struct entry {
    u32 at, parent, next; /* offset; index of parent; index of the next sibling, 0: none */
    u32 tag, type;        /* offset of the type, 0: void */
    const char *name;
    u64 byte_size, bit_size, bit_at, member_at, bound, value, encoding;
    bool has_children, has_bound, declaration;
    bool expanded; /* in the text that is being made */
};

static struct {
    const u8 *info, *abbrev, *str;
    size_t info_size, abbrev_size, str_size;
    size_t abbreviations[ABBREVIATIONS_MAX];
    struct entry *entries; /* in the order of their offsets */
    u32 count;
    char *text;
    size_t used, room;
} dwarf;

static u64 uleb(const u8 **p)
{
    u64 value = 0;
    u32 shift = 0;
    do {
        value |= (u64)(**p & 0x7f) << shift;
        shift += 7;
    } while (*(*p)++ & 0x80);
    return value;
}

static s64 sleb(const u8 **p)
{
    s64 value = 0;
    u32 shift = 0;
    u8 byte;
    do {
        byte = *(*p)++;
        value |= (s64)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return shift < 64 && (byte & 0x40) ? value | -((s64)1 << shift) : value;
}

/* -- sections, with the relocations of debug information applied */

static const u8 *section(const struct file *o, const char *name, size_t *out_size, u32 *out_index)
{
    u64 table = hx_load_le64(o->data + 40);
    u32 count = hx_load_le16(o->data + 60), names = hx_load_le16(o->data + 62);
    const u8 *strings = o->data + hx_load_le64(o->data + table + names * 64 + 24);
    for (u32 i = 1; i < count; i++) {
        const u8 *h = o->data + table + i * 64;
        if (strcmp((const char *)strings + hx_load_le32(h), name) == 0) {
            *out_size = hx_load_le64(h + 32);
            *out_index = i;
            return o->data + hx_load_le64(h + 24);
        }
    }
    die("the object has no %s: compile it with -g -gdwarf-4 -fno-lto", name);
}

/* References into other debug sections are section symbols plus an addend. */
static void relocate(const struct file *o, u8 *info)
{
    size_t size, symbols_size;
    u32 index;
    const u8 *rela = section(o, ".rela.debug_info", &size, &index);
    const u8 *symbols = section(o, ".symtab", &symbols_size, &index);
    for (size_t at = 0; at < size; at += 24) {
        u64 offset = hx_load_le64(rela + at), addend = hx_load_le64(rela + at + 16);
        u32 type = hx_load_le32(rela + at + 8), symbol = hx_load_le32(rela + at + 12);
        u64 value = addend + hx_load_le64(symbols + symbol * 24 + 8);
        bool wide = type == 1 || type == 257; /* R_X86_64_64, R_AARCH64_ABS64 */
        if (!wide && type != 10 && type != 258) {
            die("relocation type %u in debug information", type);
        }
        memcpy(info + offset, &value, wide ? 8 : 4);
    }
}

/* -- entries */

static u64 form_read(const u8 **p, u32 form, u32 unit, const char **out_text)
{
    u64 value;
    switch (form) {
    case 0x01: /* addr */
    case 0x07: /* data8 */
        value = hx_load_le64(*p);
        *p += 8;
        return value;
    case 0x06: /* data4 */
    case 0x17: /* sec_offset */
        value = hx_load_le32(*p);
        *p += 4;
        return value;
    case 0x13: /* ref4 */
        value = unit + hx_load_le32(*p);
        *p += 4;
        return value;
    case 0x05: /* data2 */
        value = hx_load_le16(*p);
        *p += 2;
        return value;
    case 0x0b: /* data1 */
    case 0x0c: /* flag */
        return *(*p)++;
    case 0x19: /* flag_present */
        return 1;
    case 0x0d: /* sdata */
        return (u64)sleb(p);
    case 0x0f: /* udata */
        return uleb(p);
    case 0x08: /* string */
        *out_text = (const char *)*p;
        *p += strlen(*out_text) + 1;
        return 0;
    case 0x0e: /* strp */
        *out_text = (const char *)dwarf.str + hx_load_le32(*p);
        *p += 4;
        return 0;
    case 0x18: /* exprloc */
        value = uleb(p);
        *p += value;
        return 0;
    case 0x0a: /* block1 */
        value = *(*p)++;
        *p += value;
        return 0;
    default:
        die("debug information has form 0x%x", form);
    }
}

static void attribute_set(struct entry *e, u32 attribute, u64 value, const char *text)
{
    switch (attribute) {
    case AT_NAME:
        e->name = text;
        break;
    case AT_TYPE:
        e->type = (u32)value;
        break;
    case AT_BYTE_SIZE:
        e->byte_size = value;
        break;
    case AT_BIT_SIZE:
        e->bit_size = value;
        break;
    case AT_BIT_OFFSET:
    case AT_DATA_BIT_AT:
        e->bit_at = value;
        break;
    case AT_MEMBER_AT:
        e->member_at = value;
        break;
    case AT_UPPER_BOUND:
        e->bound = value + 1;
        e->has_bound = true;
        break;
    case AT_COUNT:
        e->bound = value;
        e->has_bound = true;
        break;
    case AT_CONST_VALUE:
        e->value = value;
        break;
    case AT_ENCODING:
        e->encoding = value;
        break;
    case AT_DECLARATION:
        e->declaration = value != 0;
        break;
    default:
        break;
    }
}

static void abbreviations_read(const u8 *p)
{
    for (u64 code = uleb(&p); code != 0; code = uleb(&p)) {
        if (code >= ABBREVIATIONS_MAX) {
            die("abbreviation %lu", code);
        }
        dwarf.abbreviations[code] = (size_t)(p - dwarf.abbrev);
        uleb(&p);
        p++;
        for (bool more = true; more;) {
            u64 attribute = uleb(&p), form = uleb(&p);
            more = attribute != 0 || form != 0;
        }
    }
}

static void unit_read(u32 unit)
{
    const u8 *p = dwarf.info + unit;
    u32 length = hx_load_le32(p);
    if (hx_load_le16(p + 4) != 4) {
        die("debug information of version %u: compile with -gdwarf-4", hx_load_le16(p + 4));
    }
    const u8 *end = p + 4 + length;
    abbreviations_read(dwarf.abbrev + hx_load_le32(p + 6));
    p += 11;
    u32 parents[DEPTH_MAX] = {0}, last[DEPTH_MAX] = {0}, depth = 0;
    while (p < end) {
        u32 at = (u32)(p - dwarf.info);
        u64 code = uleb(&p);
        if (code == 0) {
            depth -= depth > 0;
            continue;
        }
        if (dwarf.count == ENTRIES_MAX || depth + 1 == DEPTH_MAX) {
            die("too much debug information");
        }
        u32 index = dwarf.count++;
        struct entry *e = &dwarf.entries[index];
        const u8 *a = dwarf.abbrev + dwarf.abbreviations[code];
        e->at = at;
        e->tag = (u32)uleb(&a);
        e->has_children = *a++;
        e->parent = depth ? parents[depth - 1] : 0;
        for (;;) {
            u32 attribute = (u32)uleb(&a), form = (u32)uleb(&a);
            if (attribute == 0 && form == 0) {
                break;
            }
            const char *text = NULL;
            u64 value = form_read(&p, form, unit, &text);
            attribute_set(e, attribute, value, text);
        }
        if (last[depth]) {
            dwarf.entries[last[depth]].next = index;
        }
        last[depth] = index;
        if (e->has_children) {
            parents[depth++] = index;
            last[depth] = 0;
        }
    }
}

static struct entry *entry_at(u32 at)
{
    u32 low = 0, high = dwarf.count;
    while (low < high) {
        u32 middle = (low + high) / 2;
        if (dwarf.entries[middle].at < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == dwarf.count || dwarf.entries[low].at != at) {
        die("debug information refers to 0x%x, where nothing is", at);
    }
    return &dwarf.entries[low];
}

/* -- text of a type */

static void put(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void put(const char *fmt, ...)
{
    char piece[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(piece, sizeof(piece), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(piece)) {
        die("a name is too long");
    }
    if (dwarf.used + (size_t)n + 1 > dwarf.room) {
        dwarf.room = 2 * dwarf.room + 65536;
        dwarf.text = realloc(dwarf.text, dwarf.room);
        if (!dwarf.text) {
            die("out of memory");
        }
    }
    memcpy(dwarf.text + dwarf.used, piece, (size_t)n + 1);
    dwarf.used += (size_t)n;
}

static struct entry *first_child(struct entry *e)
{
    return e->has_children && e + 1 < dwarf.entries + dwarf.count &&
                   (e + 1)->parent == (u32)(e - dwarf.entries)
               ? e + 1
               : NULL;
}

static struct entry *next_sibling(struct entry *e)
{
    return e->next ? &dwarf.entries[e->next] : NULL;
}

static void put_type(u32 at);

static void put_composite(struct entry *e, const char *word)
{
    put("%s %s", word, e->name ? e->name : "");
    if (e->expanded || e->declaration) {
        return; /* said before, or nobody knows more */
    }
    e->expanded = true;
    put(" %lu {", e->byte_size);
    for (struct entry *m = first_child(e); m; m = next_sibling(m)) {
        if (m->tag == TAG_MEMBER) {
            put("%lu", m->member_at);
            if (m->bit_size) {
                put(".%lu:%lu", m->bit_at, m->bit_size);
            }
            put(" %s ", m->name ? m->name : "");
            put_type(m->type);
            put(";");
        } else if (m->tag == TAG_ENUMERATOR) {
            put("%s=%ld,", m->name, (long)m->value);
        }
    }
    put("}");
}

static void put_function(struct entry *e)
{
    put_type(e->type);
    put("(");
    for (struct entry *m = first_child(e); m; m = next_sibling(m)) {
        if (m->tag == TAG_PARAMETER) {
            put_type(m->type);
            put(",");
        } else if (m->tag == TAG_VARIADIC) {
            put("...");
        }
    }
    put(")");
}

static void put_array(struct entry *e)
{
    for (struct entry *m = first_child(e); m; m = next_sibling(m)) {
        if (m->tag == TAG_SUBRANGE) {
            put("[%lu]", m->has_bound ? m->bound : 0);
        }
    }
    put_type(e->type);
}

static void put_type(u32 at)
{
    if (at == 0) {
        put("void");
        return;
    }
    struct entry *e = entry_at(at);
    switch (e->tag) {
    case TAG_TYPEDEF:
        put_type(e->type);
        break;
    case TAG_POINTER:
        put("*");
        put_type(e->type);
        break;
    case TAG_CONST:
        put("const ");
        put_type(e->type);
        break;
    case TAG_VOLATILE:
        put("volatile ");
        put_type(e->type);
        break;
    case TAG_RESTRICT:
    case TAG_ATOMIC:
        put_type(e->type);
        break;
    case TAG_BASE:
        put("%lu.%lu", e->byte_size, e->encoding);
        break;
    case TAG_STRUCT:
        put_composite(e, "struct");
        break;
    case TAG_UNION:
        put_composite(e, "union");
        break;
    case TAG_ENUM:
        put_composite(e, "enum");
        break;
    case TAG_ARRAY:
        put_array(e);
        break;
    case TAG_SUBROUTINE:
        put_function(e);
        break;
    default:
        die("debug information has a type with tag 0x%x", e->tag);
    }
}

void dwarf_prototypes(const struct file *object, const char *prefix,
                      void (*visit)(void *ctx, const char *name, u32 crc), void *ctx)
{
    u32 index;
    u8 *info;
    {
        size_t size;
        const u8 *original = section(object, ".debug_info", &size, &index);
        info = malloc(size);
        if (!info) {
            die("out of memory");
        }
        memcpy(info, original, size);
        dwarf.info = info;
        dwarf.info_size = size;
    }
    relocate(object, info);
    dwarf.abbrev = section(object, ".debug_abbrev", &dwarf.abbrev_size, &index);
    dwarf.str = section(object, ".debug_str", &dwarf.str_size, &index);
    dwarf.entries = calloc(ENTRIES_MAX, sizeof(struct entry));
    if (!dwarf.entries) {
        die("out of memory");
    }
    dwarf.count = 1; /* 0 means none */
    for (u32 unit = 0; unit < dwarf.info_size; unit += 4 + hx_load_le32(info + unit)) {
        unit_read(unit);
    }
    for (u32 i = 1; i < dwarf.count; i++) {
        struct entry *e = &dwarf.entries[i];
        if (e->tag != TAG_VARIABLE || !e->name || strncmp(e->name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        struct entry *type = entry_at(e->type);
        while (type->tag == TAG_CONST) {
            type = entry_at(type->type);
        }
        if (type->tag != TAG_POINTER) {
            die("%s is no pointer", e->name);
        }
        for (u32 j = 1; j < dwarf.count; j++) {
            dwarf.entries[j].expanded = false;
        }
        dwarf.used = 0;
        put_type(type->type);
        if (getenv("HXPACK_TYPES")) {
            fprintf(stderr, "%s: %s\n", e->name, dwarf.text);
        }
        visit(ctx, e->name + strlen(prefix), crc32(dwarf.text, dwarf.used));
    }
    free(info);
    free(dwarf.entries);
    free(dwarf.text);
}
