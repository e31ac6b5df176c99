/* SPDX-License-Identifier: MIT */
/* User address spaces: regions of addresses, each with what its pages are made of and what the
 * program may do with them. Pages appear at the first touch (space_fault() of <core/memory.h>).
 * Context unless said otherwise: thread, no spinlock held; may sleep for the space's lock. The
 * caller keeps the space alive.
 */
#ifndef MEMORY_SPACE_H
#define MEMORY_SPACE_H

#include <abi/types.h>
#include <core/memory.h>
#include <memory/object.h>

#define SPACES_MAX         4096
#define SPACE_REGIONS_MAX  4096      /* of one space */
#define SPACE_LOWEST       0x10000ul /* nothing is mapped below: null pointers and fields off them */
#define SPACE_CHOOSE_FIRST 0x0000200000000000ul /* chosen addresses go up from here */

/* What a program may do; reading is always allowed but in guards. What a program asks for comes
 * down as it is: those flags are the ABI's. */
#define SPACE_WRITE   HX_MAP_WRITE   /* absent: writes are faults. Not together with SPACE_EXEC */
#define SPACE_EXEC    HX_MAP_EXECUTE /* absent: execution is a fault */
#define SPACE_PRIVATE (1u << 2)      /* objects: writes go to a copy. Absent: to the object */
/* space_map_anonymous(): each aligned 2 MiB that lie in the region as a whole appear as one page at
 * the first touch, if there is memory in one piece for it. Absent: single pages. */
#define SPACE_LARGE (1u << 3)
_Static_assert(((SPACE_PRIVATE | SPACE_LARGE) & HX_MAP_PROTECT_FLAGS) == 0, "a bit for each");

enum space_backing {
    SPACE_ANONYMOUS, /* zeroes, the space's own */
    SPACE_OBJECT,    /* a memory object from `offset` on */
    SPACE_DATA,      /* a copy of kernel memory that stays: `data`, then zeroes */
    SPACE_GUARD,     /* nothing: every access is a fault that says "guard" */
    SPACE_BACKINGS
};

struct space_request {
    vaddr_t address; /* page-aligned; 0: chosen by the space */
    u64 size;        /* bytes, rounded up to pages */
    u32 flags;       /* SPACE_WRITE, SPACE_EXEC, SPACE_PRIVATE */
    enum space_backing backing;
    struct memory_object *object; /* SPACE_OBJECT; the region takes a reference of its own */
    u64 offset;                   /* bytes into it, page-aligned */
    const void *data;             /* SPACE_DATA */
    u64 data_size;                /* bytes of it */
};

struct space_info {
    vaddr_t start;
    u64 size;
    u32 flags;
    enum space_backing backing;
};

/* An empty space that may hold at most `limit_pages` pages of its own at a time.
 * Return: HX_OK, HX_ERR_NO_MEMORY, HX_ERR_LIMIT (SPACES_MAX exist). */
enum hx_status space_create(u64 limit_pages, struct space **out_space) HX_MUST_CHECK;

/* Ends it: every frame, table and reference goes back. Nobody runs in it or will; CPUs that still
 * have its tables loaded are sent back to the kernel's. */
void space_destroy(struct space *space);

/* Return: HX_OK and where; HX_ERR_INVALID (size 0, odd address or offset, unknown flag, beyond the
 * object, writable and executable); HX_ERR_EXISTS, something is there; HX_ERR_NO_SPACE, no gap is
 * large enough; HX_ERR_LIMIT; HX_ERR_NO_MEMORY, also when the machine could not provide all that
 * has been promised by then: memory that was mapped is there when it is touched. */
enum hx_status space_map(struct space *space, const struct space_request *request,
                         vaddr_t *out_address) HX_MUST_CHECK;

/* The same for zeroes of the space's own, at `address` (0: chosen, for SPACE_LARGE at a multiple of
 * 2 MiB). flags: SPACE_WRITE, SPACE_EXEC, SPACE_LARGE. */
enum hx_status space_map_anonymous(struct space *space, vaddr_t address, u64 size, u32 flags,
                                   vaddr_t *out_address) HX_MUST_CHECK;

/* Takes out what is mapped in the range; holes are fine, but HX_ERR_NOT_FOUND when that is all
 * there is. When it returns nothing reaches the pages any more. Return: HX_OK, HX_ERR_INVALID,
 * HX_ERR_NOT_FOUND, HX_ERR_LIMIT or HX_ERR_NO_MEMORY (a region or a large page would have to be
 * split). Nothing is changed when it fails. */
enum hx_status space_unmap(struct space *space, vaddr_t address, u64 size) HX_MUST_CHECK;

/* Gives all of the range SPACE_WRITE and SPACE_EXEC as in `flags`. Return: as unmap; NOT_FOUND when
 * any of it is not mapped, or a guard. */
enum hx_status space_protect(struct space *space, vaddr_t address, u64 size,
                             u32 flags) HX_MUST_CHECK;

/* The region that holds `address`, or the next above. Return: HX_OK, HX_ERR_NOT_FOUND. */
enum hx_status space_query(struct space *space, vaddr_t address,
                           struct space_info *out) HX_MUST_CHECK;

/* The page that is present at `address`: what programs cannot tell, reports and tests want to know.
 * Return: HX_OK, HX_ERR_NOT_FOUND. */
struct space_page {
    paddr_t frame;
    u64 size; /* bytes */
};
enum hx_status space_page_query(struct space *space, vaddr_t address,
                                struct space_page *out) HX_MUST_CHECK;

/* Copies all regions of a range of one space to the same addresses of another, which has nothing
 * there: private pages are shared until one side writes. Return: HX_OK; as map. On failure `to` is
 * as before. */
enum hx_status space_copy(struct space *from, struct space *to, vaddr_t address,
                          u64 size) HX_MUST_CHECK;

/* Pages that count against the limit. Any. */
u64 space_resident_pages(const struct space *space);

/* Pages that may come to count: those of its regions that hold memory of its own. Any. */
u64 space_committed_pages(const struct space *space);

/* Its number in the frame table (enum frame_owner). Any. */
u32 space_owner(const struct space *space);

/* Makes a page present, as an access would. Return: HX_OK; HX_ERR_FAULT, and *out_reason in words.
 */
enum hx_status space_touch(struct space *space, vaddr_t address, u32 access,
                           const char **out_reason) HX_MUST_CHECK;

#endif
