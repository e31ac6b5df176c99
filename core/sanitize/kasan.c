/* SPDX-License-Identifier: MIT */
/* Address sanitizer of the asan variant: every load and store of the layers from core up is checked
 * against a shadow byte for each 8 bytes.
 * Owns:      the shadow.       Callers: code that the compiler instrumented; the allocators.
 * Context:   any. Checks before kasan_init() and outside the covered ranges pass.
 * Covered:   the kernel image, whose globals the compiler surrounds with red zones, and whatever
 *            kasan_cover() adds.
 * Invariant: (1) a shadow byte is 0 when all 8 bytes may be used, 1 - 7 when only that many first
 *            ones may, and 0x80 and up when none may; the value says why not.
 * Built without sanitizers. Spec: the compiler's interface (GCC 12, -fsanitize=kernel-address).
 */
#include <core/sanitize.h>

#ifdef HX_KASAN

#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/log.h>
#include <helix/panic.h>
#include <helix/string.h>

#define GRANULE             8
#define RANGES_MAX          16
#define WHY_GLOBAL_RED_ZONE 0xf9

extern const char __image_start[], __image_end[];
extern void (*const __init_array_start[])(void);
extern void (*const __init_array_end[])(void);

static struct {
    struct {
        vaddr_t base, end;
    } ranges[RANGES_MAX];
    u32 count;     /* a: ranges are complete before it grows */
    bool reported; /* one report; its own accesses are not checked */
} kasan;

static u8 *shadow_of(vaddr_t address)
{
    return (u8 *)((address >> 3) + KASAN_SHADOW_OFFSET);
}

static bool is_covered(vaddr_t base, size_t size)
{
    u32 count = __atomic_load_n(&kasan.count, __ATOMIC_ACQUIRE);
    for (u32 i = 0; i < count; i++) {
        if (base >= kasan.ranges[i].base && base < kasan.ranges[i].end &&
            size <= kasan.ranges[i].end - base) {
            return true;
        }
    }
    return false;
}

/* The first byte of the range that must not be touched, or 0. */
static vaddr_t first_bad(vaddr_t base, size_t size)
{
    vaddr_t end = base + size;
    for (vaddr_t at = base & ~(vaddr_t)(GRANULE - 1); at < end; at += GRANULE) {
        u8 shadow = *shadow_of(at);
        vaddr_t good_end = shadow == 0 ? at + GRANULE : shadow < GRANULE ? at + shadow : at;
        vaddr_t used_end = at + GRANULE < end ? at + GRANULE : end;
        if (good_end < used_end) {
            return good_end > base ? good_end : base;
        }
    }
    return 0;
}

static void check(vaddr_t base, size_t size, bool write, vaddr_t pc)
{
    if (kasan.reported || size == 0 || !is_covered(base, size)) {
        return;
    }
    vaddr_t bad = first_bad(base, size);
    if (bad) {
        kasan.reported = true;
        u8 why = *shadow_of(bad);
        panic("KASAN: %s of %zu bytes at 0x%lx by 0x%lx: %s", write ? "write" : "read", size, base,
              pc,
              why < GRANULE                ? "beyond the end of an object"
              : why == WHY_GLOBAL_RED_ZONE ? "outside a global object"
              : why == KASAN_FREED         ? "the memory was freed"
              : why == KASAN_HEAP_RED_ZONE ? "outside a heap object"
                                           : "not to be touched");
    }
}

void kasan_check(const void *base, size_t size, bool write)
{
    check((vaddr_t)base, size, write, (vaddr_t)__builtin_return_address(0));
}

void kasan_poison(vaddr_t base, size_t size, u8 why)
{
    memset(shadow_of(base), why, hx_align_up(size, GRANULE) / GRANULE);
}

void kasan_unpoison(vaddr_t base, size_t size)
{
    memset(shadow_of(base), 0, size / GRANULE);
    if (size % GRANULE) {
        *shadow_of(base + size) = (u8)(size % GRANULE);
    }
}

enum hx_status kasan_cover(vaddr_t base, size_t size)
{
    if (kasan.count == RANGES_MAX) {
        return HX_ERR_NO_SPACE;
    }
    vaddr_t at = hx_align_down((vaddr_t)shadow_of(base), HX_PAGE_SIZE);
    vaddr_t end = hx_align_up((vaddr_t)shadow_of(base + size), HX_PAGE_SIZE);
    for (; at < end; at += HX_PAGE_SIZE) {
        struct hal_mapping mapping;
        paddr_t frame;
        if (hal_mmu.query(&hal_kernel_space, at, &mapping) == HX_OK) {
            continue; /* the page of a neighbour */
        }
        enum hx_status status = hal_event_table_alloc(&frame); /* zeroed: all may be used */
        if (status == HX_OK) {
            status =
                hal_mmu.map(&hal_kernel_space, at, frame, HX_PAGE_SIZE, MAP_WRITE | MAP_GLOBAL);
        }
        if (status != HX_OK) {
            return status;
        }
    }
    kasan.ranges[kasan.count].base = base;
    kasan.ranges[kasan.count].end = base + size;
    __atomic_store_n(&kasan.count, kasan.count + 1, __ATOMIC_RELEASE);
    return HX_OK;
}

void kasan_init(void)
{
    enum hx_status status =
        kasan_cover((vaddr_t)__image_start, (size_t)(__image_end - __image_start));
    if (status != HX_OK) {
        log_warn("kasan", "off: no memory for the shadow: %s", hx_status_words(status));
        return;
    }
    for (void (*const *constructor)(void) = __init_array_start; constructor < __init_array_end;
         constructor++) {
        (*constructor)();
    }
    log_info("kasan", "on, %zu globals with red zones",
             (size_t)(__init_array_end - __init_array_start));
}

/* Called by the compiler's code. */

struct global {
    vaddr_t base;
    size_t size, size_with_red_zone;
    const char *name, *file;
    size_t dynamic;
    const void *location;
    size_t odr;
};

void __asan_register_globals(const struct global *globals, size_t count);
HX_USED void __asan_register_globals(const struct global *globals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct global *g = &globals[i];
        size_t whole = hx_align_up(g->size, GRANULE);
        kasan_poison(g->base + whole, g->size_with_red_zone - whole, WHY_GLOBAL_RED_ZONE);
        kasan_unpoison(g->base, g->size);
    }
}

void __asan_unregister_globals(const struct global *globals, size_t count);
HX_USED void __asan_unregister_globals(const struct global *globals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kasan_unpoison(globals[i].base, globals[i].size_with_red_zone);
    }
}

void __asan_handle_no_return(void);
HX_USED void __asan_handle_no_return(void)
{
}

#define ACCESS(size)                                                                               \
    void __asan_load##size##_noabort(vaddr_t at);                                                  \
    HX_USED void __asan_load##size##_noabort(vaddr_t at)                                           \
    {                                                                                              \
        check(at, size, false, (vaddr_t)__builtin_return_address(0));                              \
    }                                                                                              \
    void __asan_store##size##_noabort(vaddr_t at);                                                 \
    HX_USED void __asan_store##size##_noabort(vaddr_t at)                                          \
    {                                                                                              \
        check(at, size, true, (vaddr_t)__builtin_return_address(0));                               \
    }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
#undef ACCESS

void __asan_loadN_noabort(vaddr_t at, size_t size);
HX_USED void __asan_loadN_noabort(vaddr_t at, size_t size)
{
    check(at, size, false, (vaddr_t)__builtin_return_address(0));
}

void __asan_storeN_noabort(vaddr_t at, size_t size);
HX_USED void __asan_storeN_noabort(vaddr_t at, size_t size)
{
    check(at, size, true, (vaddr_t)__builtin_return_address(0));
}

#endif
