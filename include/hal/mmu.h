/* SPDX-License-Identifier: MIT */
/* Page tables. One constant table per port, bound at link time, like <hal/cpu.h>.
 * An address space is a struct hal_space; the kernel's half is shared by all of them. The port
 * chooses the largest page size that fits each piece of a mapping, and splits a large page when a
 * part of it changes. Table frames come from hal_event_table_alloc().
 *
 * Locks: the caller serialises changes to one space; query and walk may race with nothing.
 *
 *   op        may block  IRQs  before memory            fails with
 *   map       no         any   with table frames        EXISTS INVALID NO_MEMORY NOT_SUPPORTED
 *   unmap     no         any   with table frames        INVALID NOT_FOUND NO_MEMORY (split)
 *   protect   no         any   with table frames        INVALID NOT_FOUND NO_MEMORY (split)
 *   query     no         any   yes                      NOT_FOUND
 *   walk      no         any   yes                      what the visitor returned
 *   activate  no         any   yes                      -
 *   flush     no         any   yes                      -
 */
#ifndef HAL_MMU_H
#define HAL_MMU_H

#include <hal/layout.h>
#include <hal/port.h>
#include <helix/status.h>

/* Permissions; all mappings are readable. HX_ERR_INVALID: writable and executable at once; both
 * memory types; executable memory of either type; user pages in the kernel's space. */
#define MAP_WRITE  (1u << 0) /* absent: read-only */
#define MAP_EXEC   (1u << 1) /* absent: not executable, at any privilege */
#define MAP_USER   (1u << 2) /* absent: the kernel's alone */
#define MAP_GLOBAL (1u << 3) /* absent: the mapping belongs to one address space */
/* Memory type; absent both: normal, write-back cached. */
#define MAP_DEVICE    (1u << 4) /* registers: no caching, no merging, no speculation, in order */
#define MAP_COMBINE   (1u << 5) /* write-combining: framebuffers */
#define MAP_FLAGS_ALL 0x3fu

/* Opaque outside the port but for its size. */
struct hal_space {
    paddr_t root; /* top-level table of the user half; 0 in the kernel's own space */
    u64 port[3];  /* the port's, e.g. an ASID */
};

struct hal_mapping {
    vaddr_t va;
    paddr_t pa;
    u64 size; /* bytes: 4 KiB, 2 MiB or 1 GiB */
    u32 flags;
};

/* Return: HX_OK to go on; anything else ends the walk and is returned from it. */
typedef enum hx_status hal_walk_fn(void *ctx, const struct hal_mapping *mapping);

struct hal_mmu_ops {
    /* All mandatory. */

    /* Builds the kernel space's empty top level; the loader's map stays active. Once. */
    enum hx_status (*init)(void);
    /* va, pa, size: page-aligned, size > 0, not wrapping, va in the half that the space has.
     * Nothing is mapped when it fails. EXISTS: part of the range is mapped already. */
    enum hx_status (*map)(struct hal_space *space, vaddr_t va, paddr_t pa, u64 size, u32 flags);
    /* The whole range must be mapped (NOT_FOUND, nothing done). Frees emptied tables. The caller
     * flushes. */
    enum hx_status (*unmap)(struct hal_space *space, vaddr_t va, u64 size);
    /* Changes permissions, keeping physical addresses. Memory-type bits are kept too. */
    enum hx_status (*protect)(struct hal_space *space, vaddr_t va, u64 size, u32 flags);
    /* The mapping that covers va. */
    enum hx_status (*query)(struct hal_space *space, vaddr_t va, struct hal_mapping *out);
    /* Visits every mapping in ascending order, one page-table leaf a call. */
    enum hx_status (*walk)(struct hal_space *space, hal_walk_fn *fn, void *ctx);
    /* Makes the space current on this CPU. The kernel's own space has no user half. */
    void (*activate)(struct hal_space *space);
    /* Forgets cached translations of the range on this CPU. */
    void (*flush)(vaddr_t va, u64 size);
    /* One past the largest physical address the CPU can form. Legal before init. */
    u64 (*phys_limit)(void);
};

extern const struct hal_mmu_ops hal_mmu;

/* The kernel's own address space. */
extern struct hal_space hal_kernel_space;

/* One zeroed frame for a page table, and its return. One implementer: memory.
 * Return: HX_OK, HX_ERR_NO_MEMORY. Context: that of the map operation. */
enum hx_status hal_event_table_alloc(paddr_t *out_frame) HX_MUST_CHECK;
void hal_event_table_free(paddr_t frame);

/* The kernel's address of a RAM frame. Valid for RAM and for what the loader mapped. */
static inline void *hal_phys_to_virt(paddr_t pa)
{
    return (void *)(uintptr_t)(pa + DIRECT_MAP_BASE);
}

/* The inverse; `p` is in the direct map, not in the kernel image. */
static inline paddr_t hal_virt_to_phys(const void *p)
{
    return (paddr_t)(uintptr_t)p - DIRECT_MAP_BASE;
}

/* Maps device registers for good and gives their address; pa and size need not be page-aligned.
 * Mappings of one page are shared. One implementer: memory.
 * Return: HX_OK, HX_ERR_INVALID (empty, wraps, above the CPU's limit, or RAM), HX_ERR_NO_MEMORY.
 * Context: thread or early, after memory_init(). flags: MAP_DEVICE or MAP_COMBINE, MAP_WRITE
 * is implied. */
enum hx_status hal_event_device_map(paddr_t pa, u64 size, u32 flags, vaddr_t *out_va) HX_MUST_CHECK;

#endif
