/* SPDX-License-Identifier: MIT */
/* What the compiler's undefined-behaviour checks call. Every report is a panic: behaviour that is
 * undefined has no safe way on, and a report that scrolls by is no report.
 * Owns:      nothing.      Context: any.      Built without sanitizers and without LTO.
 * Spec:      the handlers' names and records are the compiler's (GCC 12, -fsanitize=undefined).
 */
#include <helix/compiler.h>
#include <helix/panic.h>
#include <helix/types.h>

#ifdef HX_UBSAN

struct location {
    const char *file;
    u32 line, column;
};

/* Every record starts with the location, but for those with their own handlers below. */
static HX_NORETURN void report(const struct location *at, const char *what)
{
    panic("undefined behaviour: %s at %s:%u:%u", what, at->file ? at->file : "?", at->line,
          at->column);
}

#define HANDLER_1(name, words)                                                                     \
    void __ubsan_handle_##name(const struct location *at);                                         \
    HX_USED void __ubsan_handle_##name(const struct location *at)                                  \
    {                                                                                              \
        report(at, words);                                                                         \
    }
#define HANDLER_2(name, words)                                                                     \
    void __ubsan_handle_##name(const struct location *at, uintptr_t a);                            \
    HX_USED void __ubsan_handle_##name(const struct location *at, uintptr_t a)                     \
    {                                                                                              \
        (void)a;                                                                                   \
        report(at, words);                                                                         \
    }
#define HANDLER_3(name, words)                                                                     \
    void __ubsan_handle_##name(const struct location *at, uintptr_t a, uintptr_t b);               \
    HX_USED void __ubsan_handle_##name(const struct location *at, uintptr_t a, uintptr_t b)        \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        report(at, words);                                                                         \
    }

HANDLER_3(add_overflow, "signed addition overflows")
HANDLER_3(sub_overflow, "signed subtraction overflows")
HANDLER_3(mul_overflow, "signed multiplication overflows")
HANDLER_2(negate_overflow, "negation overflows")
HANDLER_3(divrem_overflow, "division by zero, or overflow")
HANDLER_3(pointer_overflow, "pointer arithmetic wraps")
HANDLER_3(shift_out_of_bounds, "shift by too much or of a negative")
HANDLER_2(load_invalid_value, "a value that its type cannot have")
HANDLER_1(builtin_unreachable, "unreachable code reached")
HANDLER_1(missing_return, "no value returned")
HANDLER_1(invalid_builtin, "zero passed to a bit scan")
HANDLER_1(nonnull_arg, "null passed where it must not be")
HANDLER_2(vla_bound_not_positive, "array size not positive")

void __ubsan_handle_out_of_bounds(const struct location *at, uintptr_t index);
HX_USED void __ubsan_handle_out_of_bounds(const struct location *at, uintptr_t index)
{
    panic("undefined behaviour: array index out of bounds (%lu) at %s:%u:%u", index,
          at->file ? at->file : "?", at->line, at->column);
}

struct type_record {
    struct location at;
    const void *type;
    u8 log2_alignment;
    u8 kind;
};

void __ubsan_handle_type_mismatch_v1(const struct type_record *record, uintptr_t pointer);
HX_USED void __ubsan_handle_type_mismatch_v1(const struct type_record *record, uintptr_t pointer)
{
    report(&record->at, pointer == 0 ? "null pointer used"
                        : pointer & (((uintptr_t)1 << record->log2_alignment) - 1)
                            ? "misaligned pointer used"
                            : "object too small for its type");
}

void __ubsan_handle_nonnull_return_v1(const void *record, const struct location *at);
HX_USED void __ubsan_handle_nonnull_return_v1(const void *record, const struct location *at)
{
    (void)record;
    report(at, "null returned where it must not be");
}

#endif
