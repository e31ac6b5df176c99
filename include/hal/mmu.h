/* SPDX-License-Identifier: MIT */
/* Page tables. One constant table per port, bound at link time, like <hal/cpu.h>.
 * An address space is a struct hal_space; the kernel's half is shared by all of them. The port
 * chooses the largest page size that fits each piece of a mapping, and splits a large page when a
 * part of it changes. Table frames come from hal_event_table_alloc().
 *
 * Locks: the caller serialises changes to one space; query and walk may race with nothing.
 *
 *   op        may block  IRQs  before memory            fails with
 *   map       no         any   with table frames        EXISTS INVALID NO_MEMORY NO_SPACE
 *   unmap     no         any   with table frames        INVALID NOT_FOUND NO_MEMORY (split)
 *   protect   no         any   with table frames        INVALID NOT_FOUND NO_MEMORY (split)
 *   query     no         any   yes                      NOT_FOUND
 *   walk      no         any   yes                      what the visitor returned
 *   replace   no         any   with table frames        INVALID NOT_FOUND
 *   update    no         any   with table frames        INVALID
 *   split     no         any   with table frames        NO_MEMORY
 *   page_map  no         any   with table frames        EXISTS NOT_FOUND
 *   page_unmap no        any   with table frames        NOT_FOUND
 *   space_*   no         any   with table frames        NO_MEMORY
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
    /* Tables that unmap and update emptied, and that a failed map had begun: linked by their first
     * word, all other words 0; 0 ends the list. A CPU may still walk through them until the range
     * has been flushed everywhere, so the caller frees them after that. The link's bit 0 is clear:
     * to a walk it is an absent entry. */
    paddr_t freed;
};

struct hal_mapping {
    vaddr_t va;
    paddr_t pa;
    u64 size; /* bytes: 4 KiB, 2 MiB or 1 GiB */
    u32 flags;
};

/* Return: HX_OK to go on; anything else ends the walk and is returned from it. */
typedef enum hx_status hal_walk_fn(void *ctx, const struct hal_mapping *mapping);

/* Return: what becomes of the mapping: permission flags as for protect, or one of these. */
typedef u32 hal_update_fn(void *ctx, const struct hal_mapping *mapping);
#define UPDATE_KEEP   0xffffffffu
#define UPDATE_REMOVE 0xfffffffeu

struct hal_mmu_ops {
    /* All mandatory. */

    /* Builds the kernel space's empty top level; the loader's map stays active. Once. */
    enum hx_status (*init)(void);
    /* va, pa, size: page-aligned, size > 0, not wrapping, va in the half that the space has.
     * Nothing is mapped when it fails. EXISTS: part of the range is mapped already. */
    enum hx_status (*map)(struct hal_space *space, vaddr_t va, paddr_t pa, u64 size, u32 flags);
    /* The whole range must be mapped (NOT_FOUND, nothing done). Emptied tables go to space->freed.
     * The caller flushes. */
    enum hx_status (*unmap)(struct hal_space *space, vaddr_t va, u64 size);
    /* Changes permissions, keeping physical addresses. Memory-type bits are kept too. */
    enum hx_status (*protect)(struct hal_space *space, vaddr_t va, u64 size, u32 flags);
    /* The mapping that covers va. */
    enum hx_status (*query)(struct hal_space *space, vaddr_t va, struct hal_mapping *out);
    /* Visits every mapping in ascending order, one page-table leaf a call. */
    enum hx_status (*walk)(struct hal_space *space, hal_walk_fn *fn, void *ctx);
    /* Gives the single page at va another frame and permissions. The caller flushes. NOT_FOUND: no
     * page, or a large one. */
    enum hx_status (*replace)(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags);
    /* Asks fn about every mapping in the range, in ascending order, holes being skipped, and does
     * what it answers. Emptied tables go to space->freed. The caller flushes. INVALID, and nothing
     * from there on done: a large page reaches out of the range. */
    enum hx_status (*update)(struct hal_space *space, vaddr_t va, u64 size, hal_update_fn *fn,
                             void *ctx);
    /* Makes va, page-aligned, the border of pages: a large page that it lies in is split. The
     * translations stay what they are; see split_hides. */
    enum hx_status (*split)(struct hal_space *space, vaddr_t va);
    /* map and unmap of one page of a user space by a caller that vouches for its arguments, which
     * are not checked: aligned, va in the user's half, pa and flags as for map. They are what page
     * faults and small system calls are made of, so they do the common case and leave the others to
     * map and update, by NOT_FOUND: there is no last-level table; for page_unmap also, no page, or
     * the last in its table. The caller of page_unmap flushes. */
    enum hx_status (*page_map)(struct hal_space *space, vaddr_t va, paddr_t pa, u32 flags);
    enum hx_status (*page_unmap)(struct hal_space *space, vaddr_t va, paddr_t *out_pa);
    /* Makes an empty user address space that shares the kernel's half. From the first one on the
     * kernel's half may not need another entry in its top level: map answers NO_SPACE. */
    enum hx_status (*space_init)(struct hal_space *space);
    /* Frees what is left of an empty one: nothing is mapped in it, and no CPU has it active. */
    void (*space_fini)(struct hal_space *space);
    /* Makes the space current on this CPU. The kernel's own space has no user half. */
    void (*activate)(struct hal_space *space);
    /* Forgets cached translations of the range, on this CPU or, where flush_is_global, on all: in
     * whatever space is active, or with ASIDs in all of them. */
    void (*flush)(vaddr_t va, u64 size);
    /* While a page is split its translations are absent for some instructions: no other CPU may
     * touch it meanwhile, or be ready to wait for the fault. Absent: a split cannot be noticed. */
    bool split_hides;
    bool flush_is_global; /* absent: other CPUs have to be asked one by one */
    /* One past the largest physical address the CPU can form. Legal before init. */
    u64 (*phys_limit)(void);
};

extern const struct hal_mmu_ops hal_mmu;

/* The kernel's own address space. */
extern struct hal_space hal_kernel_space;

/* One zeroed frame for a page table, and its return, zeroed again: most tables are empty when they
 * go, so clearing each for the next use would be wasted. One implementer: memory.
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
