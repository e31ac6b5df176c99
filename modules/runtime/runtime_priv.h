/* SPDX-License-Identifier: MIT */
/* What the files of the module runtime share.
 */
#ifndef RUNTIME_PRIV_H
#define RUNTIME_PRIV_H

#include <core/module.h>
#include <modules/object.h>

/* The memory of a loaded module: three parts in the module window, a guard page before each and one
 * behind the last. Code is written through the direct map before it is mapped, and never after. */
struct module_area {
    struct list_node node; /* areas by address */
    vaddr_t base, end;     /* guard pages included */
    u32 owner;             /* of its frames */
    struct {
        vaddr_t va;
        paddr_t pa;
        u32 pages; /* 0: there is none */
    } part[PART_COUNT];
};

/* The first run of code frames. Thread, once. Return: HX_OK, HX_ERR_NO_MEMORY. */
enum hx_status area_init(void) HX_MUST_CHECK;

/* Takes room in the window and zeroed frames for it; nothing is mapped yet. Return: HX_OK,
 * HX_ERR_NO_MEMORY, HX_ERR_NO_SPACE. Context of these: thread, one at a time. */
enum hx_status area_alloc(const u32 size[PART_COUNT], u32 owner,
                          struct module_area **out) HX_MUST_CHECK;
/* Where to write the parts before they are mapped. */
void area_memory(const struct module_area *area, struct module_memory out[PART_COUNT]);
/* Maps what has been written: code to execute, constants to read, data. Return: as kernel_map. */
enum hx_status area_map(struct module_area *area) HX_MUST_CHECK;
/* Gives it all back, mapped or not. */
void area_free(struct module_area *area);

/* The kernel's exports. For module_link(); ctx is the capabilities of the manifest, a u32. */
enum hx_status export_resolve(void *ctx, const char *name, u32 crc, u64 *out_address);

/* Is the file signed by module_public_key? Return: HX_OK, HX_ERR_SIGNATURE. */
enum hx_status signature_check(const void *file, size_t size) HX_MUST_CHECK;

#endif
