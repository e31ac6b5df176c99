/* SPDX-License-Identifier: MIT */
/* Module files: what is in one, checked without trusting a byte of it, and put into memory. Pure
 * computation: the host's hxpack, unit tests and fuzz target use the same code.
 *
 * A file is a relocatable ELF64 object, then the imports, then the trailer, back to back.
 */
#ifndef MODULES_OBJECT_H
#define MODULES_OBJECT_H

#include <helix/module.h>

#define MODULE_FILE_MAX     HX_MIB(4)  /* bytes of a file */
#define MODULE_PART_MAX     HX_MIB(16) /* bytes of a part in memory */
#define MODULE_SECTIONS_MAX 128
#define MODULE_SYMBOLS_MAX  65536u

#define MODULE_TRAILER_MAGIC  0x54584d48u /* "HMXT" */
#define MODULE_SIGNED         (1u << 0)   /* absent: the signature is zeroes */
#define MODULE_SIGNATURE_SIZE 64          /* Ed25519, RFC 8032, over the file up to it */

struct module_import {
    u32 symbol; /* index in the object's symbol table; ascending */
    u32 crc;    /* of the prototype that the module was built against */
};

struct module_trailer {
    u32 magic; /* MODULE_TRAILER_MAGIC */
    u32 abi;   /* MODULE_ABI */
    u32 flags; /* MODULE_SIGNED */
    u32 object_size;
    u32 import_count;
    u32 zero;
    u8 signature[MODULE_SIGNATURE_SIZE];
};

_Static_assert(sizeof(struct module_trailer) == 88, "a file format");

/* Where sections go: by what may be done to them. */
enum module_part { PART_CODE, PART_CONSTANT, PART_DATA, PART_COUNT, PART_NONE = PART_COUNT };

struct module_section {
    u8 part;         /* enum module_part */
    bool zero;       /* takes no place in the file */
    u32 offset;      /* in its part */
    u32 size;        /* bytes */
    u32 file_offset; /* of the object */
};

struct module_plan {
    const u8 *object;
    u32 object_size;
    const u8 *symbols, *strings, *imports; /* in the file */
    u32 symbol_count, string_size, import_count;
    u32 section_count, symbol_section;
    u64 section_table;              /* its offset */
    u32 size[PART_COUNT];           /* bytes, without what follows */
    u32 undefined;                  /* symbols that the kernel has to provide */
    u32 indirect;                   /* relocations that need a word of their own */
    u32 veneers;                    /* offset in PART_CODE of a veneer for each undefined symbol */
    u32 words;                      /* offset in PART_CONSTANT of the words */
    u32 manifest_at, descriptor_at; /* offsets in PART_CONSTANT */
    struct module_manifest manifest;
    struct module_section sections[MODULE_SECTIONS_MAX];
};

/* Where a symbol is, while a module is being put into memory; one for each of the table. */
struct module_symbol {
    u64 address;
    u32 veneer; /* offset in PART_CODE; MODULE_NO_VENEER: none was needed so far */
};
#define MODULE_NO_VENEER 0xffffffffu

/* Memory of a part: written at `data`, used at `va`. */
struct module_memory {
    u8 *data;
    u64 va;
};

/* Where the kernel's function or object `name` is. Return: HX_OK; HX_ERR_NOT_FOUND; HX_ERR_ABI, its
 * prototype is another; HX_ERR_ACCESS, the manifest lacks the capability. */
typedef enum hx_status module_resolve_fn(void *ctx, const char *name, u32 crc, u64 *out_address);

/* Why a file was refused, in words, with the name that it is about. */
struct module_reason {
    char text[120];
};

/* Takes a whole file apart into *out. Return: HX_OK; HX_ERR_CORRUPT, truncated or contradictory;
 * HX_ERR_INVALID, no module or for another machine; HX_ERR_ABI, of another version of the format;
 * HX_ERR_OVERFLOW, too large; HX_ERR_NOT_SUPPORTED, has what no module may have. */
enum hx_status module_file_check(const void *file, size_t size, u16 machine,
                                 struct module_plan *out,
                                 struct module_reason *reason) HX_MUST_CHECK;

/* The same for an object without imports and trailer, as the compiler made it. */
enum hx_status module_object_check(const void *object, size_t size, u16 machine,
                                   struct module_plan *out,
                                   struct module_reason *reason) HX_MUST_CHECK;

/* Is a manifest one that this kernel can use? Return: HX_OK, HX_ERR_INVALID, HX_ERR_ABI. */
enum hx_status module_manifest_check(const struct module_manifest *manifest,
                                     struct module_reason *reason) HX_MUST_CHECK;

/* Copies the sections of a checked file to `memory` and relocates them. `symbols` has room for
 * plan->symbol_count. Return: HX_OK; HX_ERR_OVERFLOW, a relocation does not reach; what `resolve`
 * answered. On failure the memory holds nothing of use. */
enum hx_status module_link(const struct module_plan *plan,
                           const struct module_memory memory[PART_COUNT],
                           struct module_symbol *symbols, module_resolve_fn *resolve, void *ctx,
                           struct module_reason *reason) HX_MUST_CHECK;

/* Name of symbol `index` of a checked file. */
const char *module_symbol_name(const struct module_plan *plan, u32 index);
bool module_symbol_is_undefined(const struct module_plan *plan, u32 index);

/* The trailer of a file that module_file_check() accepted, or NULL when there is no room for one.
 */
const struct module_trailer *module_file_trailer(const void *file, size_t size);

#endif
