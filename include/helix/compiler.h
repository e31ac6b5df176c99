/* SPDX-License-Identifier: MIT */
/* What the compiler is told beyond the language: attributes, checks and annotations by one name
 * each, so that a reader meets no __attribute__ elsewhere.
 */
#ifndef HELIX_COMPILER_H
#define HELIX_COMPILER_H

#define HX_MUST_CHECK         __attribute__((warn_unused_result))
#define HX_NORETURN           __attribute__((noreturn))
#define HX_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define HX_UNUSED             __attribute__((unused))
#define HX_USED               __attribute__((used))
#define HX_PACKED             __attribute__((packed))
#define HX_ALIGNED(n)         __attribute__((aligned(n)))
#define HX_SECTION(name)      __attribute__((section(name)))
#define HX_WEAK               __attribute__((weak))
#define HX_NOINLINE           __attribute__((noinline))
#define HX_ALWAYS_INLINE      inline __attribute__((always_inline))
#define HX_FLATTEN            __attribute__((flatten)) /* all that it calls in line, where it can be */
#define HX_COLD               __attribute__((cold)) /* built for size, and apart from what runs often */
#define HX_RO_AFTER_INIT      __attribute__((section(".data.ro_after_init")))
#define HX_NO_SANITIZE        __attribute__((no_sanitize("undefined", "address", "kernel-address")))

#define hx_likely(x)   __builtin_expect(!!(x), 1)
#define hx_unlikely(x) __builtin_expect(!!(x), 0)

#define HX_ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define HX_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Order of memory accesses as the compiler sees it. CPU barriers are in <hal/port.h>. */
#define hx_compiler_barrier() __asm__ volatile("" ::: "memory")
#define HX_READ_ONCE(x)       (*(const volatile __typeof__(x) *)&(x))
#define HX_WRITE_ONCE(x, v)   (*(volatile __typeof__(x) *)&(x) = (v))

/* A status that is dropped on purpose, with the reason in words: GCC takes no (void) cast here. */
#define HX_IGNORE(expr, reason)                                                                    \
    do {                                                                                           \
        __typeof__(expr) hx_ignored_ HX_UNUSED = (expr);                                           \
        _Static_assert(sizeof(reason) > 1, "say why");                                             \
    } while (0)

/* Thread-safety annotations: checked when clang reads the code, nothing under GCC. */
#if defined(__clang__)
#define HX_CAPABILITY(x) __attribute__((capability(x)))
#define HX_GUARDED_BY(x) __attribute__((guarded_by(x)))
#define HX_REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define HX_ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define HX_RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#else
#define HX_CAPABILITY(x)
#define HX_GUARDED_BY(x)
#define HX_REQUIRES(...)
#define HX_ACQUIRES(...)
#define HX_RELEASES(...)
#endif

/* Linker sets: objects of one type that any file adds to and one place walks. The linker script
 * gathers the sections hx_set_NAME between the symbols that HX_SET_DECLARE names. */
#define HX_SET_ADD(set, object)                                                                    \
    HX_USED HX_SECTION("hx_set_" #set) static const __typeof__(object) *const hx_set_##object =    \
        &object
#define HX_SET_DECLARE(set, type)                                                                  \
    extern const type *const __start_hx_set_##set[];                                               \
    extern const type *const __stop_hx_set_##set[]
#define HX_SET_FOREACH(set, it)                                                                    \
    for (__typeof__(&__start_hx_set_##set[0]) it = __start_hx_set_##set; it < __stop_hx_set_##set; \
         it++)

#endif
