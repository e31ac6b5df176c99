/* SPDX-License-Identifier: MIT */
/* Module files taken apart and linked.
 * Owns:      nothing.      Callers: loader.c; hxpack, unit tests and the fuzz target on the host.
 * Context:   any; does not allocate.
 *
 *   file   -> module_file_check -> plan: every section, symbol and relocation looked at once, every
 *             offset, size and index proven to lie inside what it points into
 *   plan   -> memory of the sizes it says, by the caller
 *   memory -> module_link: sections copied, symbols placed, relocations written
 *
 * Invariant: (1) no byte outside the file is read, none outside the parts is written; every sum of
 *            numbers from the file is checked for overflow before use.
 *            (2) what module_file_check() accepted, module_link() can only refuse for what lies
 *            outside the file: a symbol that the kernel lacks, a distance that is too long.
 *            (3) the file does not change between the two: the caller has a copy of its own.
 * Spec:      System V gABI, chapter 4 (sections, symbols, relocations).
 */
#include <modules/object.h>

#include <hal/reloc.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/string.h>

#define HEADER_SIZE     64
#define SECTION_SIZE    64
#define SYMBOL_SIZE     24
#define RELA_SIZE       24
#define CLASS_64        2
#define DATA_LITTLE     1
#define VERSION_CURRENT 1
#define TYPE_REL        1
#define ALIGN_MAX       4096u

enum section_type {
    SHT_NULL,
    SHT_PROGBITS,
    SHT_SYMTAB,
    SHT_STRTAB,
    SHT_RELA,
    SHT_HASH,
    SHT_DYNAMIC,
    SHT_NOTE,
    SHT_NOBITS,
    SHT_REL
};
#define SHF_WRITE      0x1u
#define SHF_ALLOC      0x2u
#define SHF_EXEC       0x4u
#define SHF_TLS        0x400u
#define SHF_COMPRESSED 0x800u

#define SHN_UNDEF  0u
#define SHN_ABS    0xfff1u
#define STB_LOCAL  0u
#define STT_FUNC   2u
#define STT_TLS    6u
#define STT_IFUNC  10u
#define STT_COMMON 5u

struct header {
    u32 name, type;
    u64 flags, offset, size;
    u32 link, info;
    u64 align, entry_size;
};

struct symbol {
    u32 name;
    u8 type, bind;
    u16 section;
    u64 value;
};

struct rela {
    u64 offset;
    u32 type, symbol;
    s64 addend;
};

static enum hx_status refuse(struct module_reason *reason, enum hx_status status, const char *fmt,
                             ...) HX_PRINTF(3, 4);
static enum hx_status refuse(struct module_reason *reason, enum hx_status status, const char *fmt,
                             ...)
{
    va_list args;
    va_start(args, fmt);
    format_buffer_va(reason->text, sizeof(reason->text), fmt, args);
    va_end(args);
    return status;
}

static struct header header_read(const struct module_plan *plan, u32 index)
{
    const u8 *h = plan->object + plan->section_table + (size_t)index * SECTION_SIZE;
    return (struct header){
        .name = hx_load_le32(h),
        .type = hx_load_le32(h + 4),
        .flags = hx_load_le64(h + 8),
        .offset = hx_load_le64(h + 24),
        .size = hx_load_le64(h + 32),
        .link = hx_load_le32(h + 40),
        .info = hx_load_le32(h + 44),
        .align = hx_load_le64(h + 48),
        .entry_size = hx_load_le64(h + 56),
    };
}

static struct symbol symbol_read(const struct module_plan *plan, u32 index)
{
    const u8 *s = plan->symbols + (size_t)index * SYMBOL_SIZE;
    return (struct symbol){
        .name = hx_load_le32(s),
        .type = s[4] & 15,
        .bind = s[4] >> 4,
        .section = hx_load_le16(s + 6),
        .value = hx_load_le64(s + 8),
    };
}

static struct rela rela_read(const u8 *r)
{
    return (struct rela){
        .offset = hx_load_le64(r),
        .type = hx_load_le32(r + 8),
        .symbol = hx_load_le32(r + 12),
        .addend = (s64)hx_load_le64(r + 16),
    };
}

const char *module_symbol_name(const struct module_plan *plan, u32 index)
{
    return (const char *)plan->strings + symbol_read(plan, index).name;
}

bool module_symbol_is_undefined(const struct module_plan *plan, u32 index)
{
    return index != 0 && symbol_read(plan, index).section == SHN_UNDEF;
}

/* -- the manifest */

static bool text_is_plain(const char *text, size_t size, bool is_name, bool may_be_empty)
{
    size_t n = strnlen(text, size);
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool name_char = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
        if (c < ' ' || c > '~' || (is_name && !name_char)) {
            return false;
        }
    }
    return n < size && (n > 0 || may_be_empty);
}

enum hx_status module_manifest_check(const struct module_manifest *m, struct module_reason *reason)
{
    if (m->magic != MODULE_MAGIC) {
        return refuse(reason, HX_ERR_INVALID, "the manifest is not one");
    }
    if (m->abi != MODULE_ABI || m->size != sizeof(*m)) {
        return refuse(reason, HX_ERR_ABI, "manifest of version %u, %u bytes; this kernel reads %u",
                      m->abi, m->size, MODULE_ABI);
    }
    if (!text_is_plain(m->name, sizeof(m->name), true, false) ||
        !text_is_plain(m->summary, sizeof(m->summary), false, true)) {
        return refuse(reason, HX_ERR_INVALID, "the manifest's name or summary is not plain text");
    }
    if (m->capabilities & ~MODULE_CAP_ALL) {
        return refuse(reason, HX_ERR_INVALID, "capabilities 0x%x are unknown",
                      m->capabilities & ~MODULE_CAP_ALL);
    }
    for (u32 i = 0; i < MODULE_PROVIDES_MAX; i++) {
        if (!text_is_plain(m->provides[i].name, MODULE_NAME_MAX, true, true)) {
            return refuse(reason, HX_ERR_INVALID, "provided interface %u has no proper name", i);
        }
    }
    for (u32 i = 0; i < MODULE_REQUIRES_MAX; i++) {
        if (!text_is_plain(m->requires[i].name, MODULE_NAME_MAX, true, true)) {
            return refuse(reason, HX_ERR_INVALID, "required interface %u has no proper name", i);
        }
    }
    return HX_OK;
}

/* -- checking */

static enum hx_status check_header(struct module_plan *plan, u16 machine,
                                   struct module_reason *reason)
{
    const u8 *o = plan->object;
    if (plan->object_size < HEADER_SIZE || memcmp(o, "\177ELF", 4) != 0) {
        return refuse(reason, HX_ERR_INVALID, "not an ELF object");
    }
    if (o[4] != CLASS_64 || o[5] != DATA_LITTLE || o[6] != VERSION_CURRENT ||
        hx_load_le16(o + 16) != TYPE_REL) {
        return refuse(reason, HX_ERR_INVALID, "not a relocatable 64-bit little-endian object");
    }
    if (hx_load_le16(o + 18) != machine) {
        return refuse(reason, HX_ERR_INVALID, "built for another processor (ELF machine %u)",
                      hx_load_le16(o + 18));
    }
    plan->section_table = hx_load_le64(o + 40);
    plan->section_count = hx_load_le16(o + 60);
    if (hx_load_le16(o + 58) != SECTION_SIZE || plan->section_count == 0 ||
        plan->section_count > MODULE_SECTIONS_MAX) {
        return refuse(reason, HX_ERR_CORRUPT, "%u sections, of at most %u", plan->section_count,
                      MODULE_SECTIONS_MAX);
    }
    if (!hx_range_fits(plan->section_table, (u64)plan->section_count * SECTION_SIZE,
                       plan->object_size)) {
        return refuse(reason, HX_ERR_CORRUPT, "the section table lies outside the file");
    }
    return HX_OK;
}

/* Gives a section that is part of the running module its place. */
static enum hx_status place_section(struct module_plan *plan, u32 index, const struct header *h,
                                    struct module_reason *reason)
{
    struct module_section *s = &plan->sections[index];
    if (h->type != SHT_PROGBITS && h->type != SHT_NOBITS) {
        return refuse(reason, HX_ERR_NOT_SUPPORTED, "section %u is of type %u", index, h->type);
    }
    if ((h->flags & SHF_WRITE) && (h->flags & SHF_EXEC)) {
        return refuse(reason, HX_ERR_NOT_SUPPORTED, "section %u is writable and executable", index);
    }
    if (h->flags & (SHF_TLS | SHF_COMPRESSED)) {
        return refuse(reason, HX_ERR_NOT_SUPPORTED, "section %u is thread-local or compressed",
                      index);
    }
    u64 align = h->align ? h->align : 1;
    if (!hx_is_pow2(align) || align > ALIGN_MAX) {
        return refuse(reason, HX_ERR_CORRUPT, "section %u is aligned to %lu", index, h->align);
    }
    if (h->size > MODULE_PART_MAX) {
        return refuse(reason, HX_ERR_OVERFLOW, "section %u is %lu bytes", index, h->size);
    }
    s->part = h->flags & SHF_EXEC ? PART_CODE : h->flags & SHF_WRITE ? PART_DATA : PART_CONSTANT;
    s->zero = h->type == SHT_NOBITS;
    s->size = (u32)h->size;
    s->file_offset = (u32)h->offset;
    u64 offset = hx_align_up(plan->size[s->part], align);
    if (offset + h->size > MODULE_PART_MAX) {
        return refuse(reason, HX_ERR_OVERFLOW, "more than %lu bytes of code or data",
                      MODULE_PART_MAX);
    }
    s->offset = (u32)offset;
    plan->size[s->part] = (u32)(offset + h->size);
    return HX_OK;
}

static enum hx_status check_sections(struct module_plan *plan, struct module_reason *reason)
{
    plan->symbol_section = 0;
    for (u32 i = 0; i < plan->section_count; i++) {
        struct header h = header_read(plan, i);
        struct module_section *s = &plan->sections[i];
        *s = (struct module_section){.part = PART_NONE};
        if (i == 0 || h.type == SHT_NULL) {
            continue;
        }
        if (h.type != SHT_NOBITS && !hx_range_fits(h.offset, h.size, plan->object_size)) {
            return refuse(reason, HX_ERR_CORRUPT, "section %u reaches beyond the file", i);
        }
        if (h.flags & SHF_ALLOC) {
            enum hx_status status = place_section(plan, i, &h, reason);
            if (status != HX_OK) {
                return status;
            }
            for (u32 j = 1; j < i && !s->zero && s->size; j++) {
                const struct module_section *other = &plan->sections[j];
                if (other->part != PART_NONE && !other->zero &&
                    s->file_offset < other->file_offset + other->size &&
                    other->file_offset < s->file_offset + s->size) {
                    return refuse(reason, HX_ERR_CORRUPT, "sections %u and %u overlap", j, i);
                }
            }
        } else if (h.type == SHT_SYMTAB) {
            if (plan->symbol_section) {
                return refuse(reason, HX_ERR_CORRUPT, "more than one symbol table");
            }
            plan->symbol_section = i;
        }
    }
    return HX_OK;
}

static enum hx_status check_symbol(const struct module_plan *plan, u32 index,
                                   struct module_reason *reason)
{
    struct symbol s = symbol_read(plan, index);
    if (s.name >= plan->string_size) {
        return refuse(reason, HX_ERR_CORRUPT, "symbol %u has its name outside the table", index);
    }
    const char *name = (const char *)plan->strings + s.name;
    if (s.type == STT_TLS || s.type == STT_IFUNC || s.type == STT_COMMON) {
        return refuse(reason, HX_ERR_NOT_SUPPORTED,
                      "symbol %.40s is thread-local, common or chosen at run time", name);
    }
    if (s.section == SHN_UNDEF) {
        return s.bind != STB_LOCAL && *name
                   ? HX_OK
                   : refuse(reason, HX_ERR_CORRUPT, "symbol %u is neither here nor named", index);
    }
    if (s.section == SHN_ABS) {
        return HX_OK;
    }
    if (s.section >= plan->section_count) {
        return refuse(reason, HX_ERR_CORRUPT, "symbol %.40s is in section %u, which is not there",
                      name, s.section);
    }
    const struct module_section *section = &plan->sections[s.section];
    if (section->part != PART_NONE && s.value > section->size) {
        return refuse(reason, HX_ERR_CORRUPT, "symbol %.40s lies outside its section", name);
    }
    return HX_OK;
}

static enum hx_status check_symbols(struct module_plan *plan, struct module_reason *reason)
{
    if (!plan->symbol_section) {
        return refuse(reason, HX_ERR_CORRUPT, "no symbol table");
    }
    struct header h = header_read(plan, plan->symbol_section);
    if (h.entry_size != SYMBOL_SIZE || h.size % SYMBOL_SIZE || h.size == 0 ||
        h.size / SYMBOL_SIZE > MODULE_SYMBOLS_MAX || h.link >= plan->section_count) {
        return refuse(reason, HX_ERR_CORRUPT, "the symbol table makes no sense");
    }
    struct header strings = header_read(plan, h.link);
    if (strings.type != SHT_STRTAB || strings.size == 0 ||
        !hx_range_fits(strings.offset, strings.size, plan->object_size) ||
        plan->object[strings.offset + strings.size - 1] != 0) {
        return refuse(reason, HX_ERR_CORRUPT, "the symbols' names do not end");
    }
    plan->symbols = plan->object + h.offset;
    plan->symbol_count = (u32)(h.size / SYMBOL_SIZE);
    plan->strings = plan->object + strings.offset;
    plan->string_size = (u32)strings.size;
    for (u32 i = 1; i < plan->symbol_count; i++) {
        enum hx_status status = check_symbol(plan, i, reason);
        if (status != HX_OK) {
            return status;
        }
        plan->undefined += symbol_read(plan, i).section == SHN_UNDEF;
    }
    return HX_OK;
}

static enum hx_status check_relocation(struct module_plan *plan,
                                       const struct module_section *target, const struct rela *r,
                                       struct module_reason *reason)
{
    u32 width;
    enum hal_reloc_kind kind = hal_reloc_kind(r->type, &width);
    if (kind == RELOC_REFUSED) {
        return refuse(reason, HX_ERR_NOT_SUPPORTED, "relocation type %u is unknown", r->type);
    }
    if (r->symbol >= plan->symbol_count) {
        return refuse(reason, HX_ERR_CORRUPT, "a relocation names symbol %u of %u", r->symbol,
                      plan->symbol_count);
    }
    if (!hx_range_fits(r->offset, width, target->size)) {
        return refuse(reason, HX_ERR_CORRUPT, "a relocation lies outside its section");
    }
    struct symbol s = symbol_read(plan, r->symbol);
    if (r->symbol != 0 && s.section != SHN_UNDEF && s.section != SHN_ABS &&
        plan->sections[s.section].part == PART_NONE) {
        return refuse(reason, HX_ERR_CORRUPT, "a relocation names a symbol that is not loaded");
    }
    plan->indirect += kind == RELOC_INDIRECT;
    return HX_OK;
}

static enum hx_status check_relocations(struct module_plan *plan, u32 manifest_section,
                                        struct module_reason *reason)
{
    for (u32 i = 1; i < plan->section_count; i++) {
        struct header h = header_read(plan, i);
        if (h.type != SHT_RELA && h.type != SHT_REL) {
            continue;
        }
        if (h.info >= plan->section_count || plan->sections[h.info].part == PART_NONE) {
            continue; /* of what is not loaded */
        }
        const struct module_section *target = &plan->sections[h.info];
        if (h.type == SHT_REL || h.entry_size != RELA_SIZE || h.size % RELA_SIZE ||
            h.link != plan->symbol_section || target->zero || h.info == manifest_section) {
            return refuse(reason, HX_ERR_CORRUPT, "the relocations in section %u make no sense", i);
        }
        for (u64 at = 0; at < h.size; at += RELA_SIZE) {
            struct rela r = rela_read(plan->object + h.offset + at);
            enum hx_status status = check_relocation(plan, target, &r, reason);
            if (status != HX_OK) {
                return status;
            }
        }
    }
    return HX_OK;
}

/* The one section of this name that is loaded as constants; 0: there is none. */
static u32 section_find(const struct module_plan *plan, const char *name)
{
    u32 names = hx_load_le16(plan->object + 62);
    if (names >= plan->section_count) {
        return 0;
    }
    struct header table = header_read(plan, names);
    if (table.type != SHT_STRTAB || table.size == 0 ||
        !hx_range_fits(table.offset, table.size, plan->object_size)) {
        return 0;
    }
    size_t n = strlen(name) + 1;
    u32 found = 0;
    for (u32 i = 1; i < plan->section_count; i++) {
        struct header h = header_read(plan, i);
        if (plan->sections[i].part == PART_CONSTANT && !plan->sections[i].zero &&
            hx_range_fits(h.name, n, table.size) &&
            memcmp(plan->object + table.offset + h.name, name, n) == 0) {
            if (found) {
                return 0;
            }
            found = i;
        }
    }
    return found;
}

static enum hx_status check_object(struct module_plan *plan, u16 machine,
                                   struct module_reason *reason)
{
    enum hx_status status = check_header(plan, machine, reason);
    if (status == HX_OK) {
        status = check_sections(plan, reason);
    }
    if (status != HX_OK) {
        return status;
    }
    u32 manifest = section_find(plan, ".hx_manifest"), code = section_find(plan, ".hx_module");
    if (!manifest || plan->sections[manifest].size != sizeof(struct module_manifest)) {
        return refuse(reason, HX_ERR_INVALID, "no manifest: not a module");
    }
    if (!code || plan->sections[code].size != sizeof(struct module_descriptor)) {
        return refuse(reason, HX_ERR_INVALID, "no descriptor of one module");
    }
    memcpy(&plan->manifest, plan->object + plan->sections[manifest].file_offset,
           sizeof(plan->manifest));
    plan->manifest_at = plan->sections[manifest].offset;
    plan->descriptor_at = plan->sections[code].offset;
    status = module_manifest_check(&plan->manifest, reason);
    if (status == HX_OK) {
        status = check_symbols(plan, reason);
    }
    if (status == HX_OK) {
        status = check_relocations(plan, manifest, reason);
    }
    if (status != HX_OK) {
        return status;
    }
    plan->veneers = (u32)hx_align_up(plan->size[PART_CODE], 8);
    plan->words = (u32)hx_align_up(plan->size[PART_CONSTANT], 8);
    u64 code_size = plan->veneers + (u64)plan->undefined * HAL_VENEER_SIZE;
    u64 constant_size = plan->words + (u64)plan->indirect * 8;
    if (code_size > MODULE_PART_MAX || constant_size > MODULE_PART_MAX) {
        return refuse(reason, HX_ERR_OVERFLOW, "more than %lu bytes of code or data",
                      MODULE_PART_MAX);
    }
    plan->size[PART_CODE] = (u32)code_size;
    plan->size[PART_CONSTANT] = (u32)constant_size;
    return HX_OK;
}

static enum hx_status check_imports(const struct module_plan *plan, struct module_reason *reason)
{
    u32 import = 0;
    for (u32 i = 1; i < plan->symbol_count; i++) {
        if (symbol_read(plan, i).section != SHN_UNDEF) {
            continue;
        }
        if (import >= plan->import_count || hx_load_le32(plan->imports + import * 8) != i) {
            return refuse(reason, HX_ERR_CORRUPT, "%.60s has no prototype checksum",
                          module_symbol_name(plan, i));
        }
        import++;
    }
    return import == plan->import_count
               ? HX_OK
               : refuse(reason, HX_ERR_CORRUPT, "imports of what is not called");
}

const struct module_trailer *module_file_trailer(const void *file, size_t size)
{
    /* Files are padded so that this is aligned; one that is not is refused, not read. */
    const u8 *at = (const u8 *)file + size - sizeof(struct module_trailer);
    return size < sizeof(struct module_trailer) || (uintptr_t)at % 4
               ? NULL
               : (const struct module_trailer *)(const void *)at;
}

enum hx_status module_object_check(const void *object, size_t size, u16 machine,
                                   struct module_plan *out, struct module_reason *reason)
{
    memset(out, 0, offsetof(struct module_plan, sections));
    if (size > MODULE_FILE_MAX) {
        return refuse(reason, HX_ERR_OVERFLOW, "%lu bytes; a module has at most %lu", size,
                      MODULE_FILE_MAX);
    }
    out->object = object;
    out->object_size = (u32)size;
    return check_object(out, machine, reason);
}

enum hx_status module_file_check(const void *file, size_t size, u16 machine,
                                 struct module_plan *out, struct module_reason *reason)
{
    if (size > MODULE_FILE_MAX) {
        return refuse(reason, HX_ERR_OVERFLOW, "%lu bytes; a module has at most %lu", size,
                      MODULE_FILE_MAX);
    }
    const struct module_trailer *t = module_file_trailer(file, size);
    if (!t || t->magic != MODULE_TRAILER_MAGIC) {
        return refuse(reason, HX_ERR_CORRUPT, "no trailer: truncated, or not made by hxpack");
    }
    if (t->abi != MODULE_ABI) {
        return refuse(reason, HX_ERR_ABI, "file format %u; this kernel reads %u", t->abi,
                      MODULE_ABI);
    }
    u64 body = size - sizeof(*t);
    if ((t->flags & ~MODULE_SIGNED) || t->zero || t->object_size > body || t->object_size % 8 ||
        (u64)t->import_count * 8 != body - t->object_size) {
        return refuse(reason, HX_ERR_CORRUPT, "the trailer does not describe the file");
    }
    enum hx_status status = module_object_check(file, t->object_size, machine, out, reason);
    if (status == HX_OK) {
        out->imports = (const u8 *)file + t->object_size;
        out->import_count = t->import_count;
        status = check_imports(out, reason);
    }
    return status;
}

/* -- linking */

static enum hx_status symbols_place(const struct module_plan *plan,
                                    const struct module_memory memory[PART_COUNT],
                                    struct module_symbol *symbols, module_resolve_fn *resolve,
                                    void *ctx, struct module_reason *reason)
{
    const u8 *import = plan->imports;
    symbols[0] = (struct module_symbol){0, MODULE_NO_VENEER};
    for (u32 i = 1; i < plan->symbol_count; i++) {
        struct symbol s = symbol_read(plan, i);
        struct module_symbol *out = &symbols[i];
        *out = (struct module_symbol){s.value, MODULE_NO_VENEER};
        if (s.section == SHN_UNDEF) {
            const char *name = (const char *)plan->strings + s.name;
            u32 crc = import ? hx_load_le32(import + 4) : 0; /* NULL: a bare object */
            enum hx_status status = resolve(ctx, name, crc, &out->address);
            import = import ? import + 8 : NULL;
            if (status != HX_OK) {
                return refuse(reason, status, "%.60s: %s", name,
                              status == HX_ERR_ABI      ? "built against another prototype"
                              : status == HX_ERR_ACCESS ? "the manifest lacks the capability"
                                                        : "the kernel does not export it");
            }
        } else if (s.section != SHN_ABS && plan->sections[s.section].part != PART_NONE) {
            const struct module_section *section = &plan->sections[s.section];
            out->address += memory[section->part].va + section->offset;
        }
    }
    return HX_OK;
}

/* The next free veneer and word. */
struct extra {
    u32 veneer, word;
};

static enum hx_status relocate(const struct module_plan *plan,
                               const struct module_memory memory[PART_COUNT],
                               struct module_symbol *symbols, const struct module_section *target,
                               const struct rela *r, struct extra *extra)
{
    u32 width;
    enum hal_reloc_kind kind = hal_reloc_kind(r->type, &width);
    struct module_symbol *symbol = &symbols[r->symbol];
    u64 offset = target->offset + r->offset, address = symbol->address;
    u8 *place = memory[target->part].data + offset;
    u64 va = memory[target->part].va + offset;
    s64 addend = r->addend;
    if (kind == RELOC_INDIRECT) {
        u64 value = address;
        memcpy(memory[PART_CONSTANT].data + extra->word, &value, 8);
        address = memory[PART_CONSTANT].va + extra->word;
        extra->word += 8;
    }
    enum hx_status status = hal_reloc_apply(r->type, place, va, address, addend);
    if (status != HX_ERR_OVERFLOW || kind != RELOC_CALL ||
        symbol_read(plan, r->symbol).section != SHN_UNDEF) {
        return status;
    }
    if (symbol->veneer == MODULE_NO_VENEER) {
        symbol->veneer = extra->veneer;
        hal_veneer_write(memory[PART_CODE].data + extra->veneer, address);
        extra->veneer += HAL_VENEER_SIZE;
    }
    return hal_reloc_apply(r->type, place, va, memory[PART_CODE].va + symbol->veneer, addend);
}

enum hx_status module_link(const struct module_plan *plan,
                           const struct module_memory memory[PART_COUNT],
                           struct module_symbol *symbols, module_resolve_fn *resolve, void *ctx,
                           struct module_reason *reason)
{
    for (u32 i = 1; i < plan->section_count; i++) {
        const struct module_section *s = &plan->sections[i];
        if (s->part == PART_NONE) {
            continue;
        }
        u8 *to = memory[s->part].data + s->offset;
        if (s->zero) {
            memset(to, 0, s->size);
        } else {
            memcpy(to, plan->object + s->file_offset, s->size);
        }
    }
    enum hx_status status = symbols_place(plan, memory, symbols, resolve, ctx, reason);
    if (status != HX_OK) {
        return status;
    }
    struct extra extra = {plan->veneers, plan->words};
    for (u32 i = 1; i < plan->section_count; i++) {
        struct header h = header_read(plan, i);
        if (h.type != SHT_RELA || h.info >= plan->section_count ||
            plan->sections[h.info].part == PART_NONE) {
            continue;
        }
        for (u64 at = 0; at < h.size; at += RELA_SIZE) {
            struct rela r = rela_read(plan->object + h.offset + at);
            status = relocate(plan, memory, symbols, &plan->sections[h.info], &r, &extra);
            if (status != HX_OK) {
                return refuse(reason, status, "relocation type %u of %.60s does not reach", r.type,
                              module_symbol_name(plan, r.symbol));
            }
        }
    }
    return HX_OK;
}
