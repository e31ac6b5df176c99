/* SPDX-License-Identifier: MIT */
/* printf-class formatting, to a sink.
 * Owns:      nothing; the caller's sink takes the pieces.      Context: any, panic included.
 * Invariant: (1) a number is converted in a buffer that holds the longest one (64 bits in octal);
 *            padding and precision zeros go to the sink directly, so no width can overflow it.
 *            (2) an unknown conversion is printed as it stands and takes no argument.
 */
#include <helix/format.h>
#include <helix/string.h>

#define DIGITS_MAX 24 /* 2^64 in octal is 22 digits */

struct output {
    format_sink_fn *sink;
    void *ctx;
    size_t total;
};

struct spec {
    bool left, zero, plus, space, alt;
    bool has_precision;
    size_t width, precision;
    char length; /* 'H' hh, 'h', 'l' (also ll, z, j, t), 0 int */
};

static void put(struct output *out, const char *text, size_t n)
{
    if (n) {
        out->sink(out->ctx, text, n);
        out->total += n;
    }
}

static void put_repeated(struct output *out, char c, size_t n)
{
    char run[16];
    memset(run, c, sizeof(run));
    while (n) {
        size_t piece = n < sizeof(run) ? n : sizeof(run);
        put(out, run, piece);
        n -= piece;
    }
}

static void put_padded(struct output *out, const struct spec *spec, const char *s, size_t n)
{
    size_t pad = spec->width > n ? spec->width - n : 0;
    if (!spec->left) {
        put_repeated(out, ' ', pad);
    }
    put(out, s, n);
    if (spec->left) {
        put_repeated(out, ' ', pad);
    }
}

static void put_string(struct output *out, const struct spec *spec, const char *s)
{
    if (!s) {
        s = "(null)";
    }
    put_padded(out, spec, s, spec->has_precision ? strnlen(s, spec->precision) : strlen(s));
}

static void put_number(struct output *out, const struct spec *spec, u64 value, u32 base, bool upper,
                       const char *prefix)
{
    char digits[DIGITS_MAX];
    size_t n = 0;
    while (value) {
        // cppcheck-suppress zerodivcond
        digits[DIGITS_MAX - ++n] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
        value /= base;
    }
    size_t want = spec->has_precision ? spec->precision : 1;
    if (base == 8 && spec->alt && want <= n) {
        want = n + 1; /* `#` asks for a leading zero, not for one more */
    }
    size_t zeros = want > n ? want - n : 0;
    size_t head = strlen(prefix);
    size_t used = head + zeros + n;
    size_t pad = spec->width > used ? spec->width - used : 0;
    if (spec->zero && !spec->left && !spec->has_precision) {
        zeros += pad;
        pad = 0;
    }
    if (!spec->left) {
        put_repeated(out, ' ', pad);
    }
    put(out, prefix, head);
    put_repeated(out, '0', zeros);
    put(out, digits + DIGITS_MAX - n, n);
    if (spec->left) {
        put_repeated(out, ' ', pad);
    }
}

static const char *parse_spec(const char *fmt, struct spec *spec, va_list *args)
{
    memset(spec, 0, sizeof(*spec));
    for (;; fmt++) {
        if (*fmt == '-') {
            spec->left = true;
        } else if (*fmt == '0') {
            spec->zero = true;
        } else if (*fmt == '+') {
            spec->plus = true;
        } else if (*fmt == ' ') {
            spec->space = true;
        } else if (*fmt == '#') {
            spec->alt = true;
        } else {
            break;
        }
    }
    if (*fmt == '*') {
        int width = va_arg(*args, int);
        spec->left |= width < 0;
        spec->width = width < 0 ? 0u - (unsigned)width : (unsigned)width;
        fmt++;
    }
    for (; *fmt >= '0' && *fmt <= '9'; fmt++) {
        spec->width = spec->width * 10 + (size_t)(*fmt - '0');
    }
    if (*fmt == '.') {
        spec->has_precision = true;
        fmt++;
        if (*fmt == '*') {
            int precision = va_arg(*args, int);
            spec->has_precision = precision >= 0;
            spec->precision = precision < 0 ? 0 : (size_t)precision;
            fmt++;
        }
        for (; *fmt >= '0' && *fmt <= '9'; fmt++) {
            spec->precision = spec->precision * 10 + (size_t)(*fmt - '0');
        }
    }
    for (;; fmt++) {
        if (*fmt == 'h') {
            spec->length = spec->length == 'h' ? 'H' : 'h';
        } else if (*fmt == 'l' || *fmt == 'z' || *fmt == 'j' || *fmt == 't') {
            spec->length = 'l'; /* all of them are 64 bits here */
        } else {
            return fmt;
        }
    }
}

static s64 signed_argument(const struct spec *spec, va_list *args)
{
    if (spec->length == 'l') {
        return va_arg(*args, s64);
    }
    int value = va_arg(*args, int);
    return spec->length == 'H' ? (s8)value : spec->length == 'h' ? (s16)value : value;
}

static u64 unsigned_argument(const struct spec *spec, va_list *args)
{
    if (spec->length == 'l') {
        return va_arg(*args, u64);
    }
    unsigned value = va_arg(*args, unsigned);
    return spec->length == 'H' ? (u8)value : spec->length == 'h' ? (u16)value : value;
}

size_t format_to(format_sink_fn *sink, void *ctx, const char *fmt, va_list args_in)
{
    struct output out = {.sink = sink, .ctx = ctx};
    va_list args;
    va_copy(args, args_in);
    while (*fmt) {
        const char *start = fmt;
        while (*fmt && *fmt != '%') {
            fmt++;
        }
        put(&out, start, (size_t)(fmt - start));
        if (!*fmt) {
            break;
        }
        start = fmt++;
        struct spec spec;
        fmt = parse_spec(fmt, &spec, &args);
        switch (*fmt) {
        case 'd':
        case 'i': {
            s64 value = signed_argument(&spec, &args);
            u64 magnitude = value < 0 ? 0 - (u64)value : (u64)value;
            put_number(&out, &spec, magnitude, 10, false,
                       value < 0    ? "-"
                       : spec.plus  ? "+"
                       : spec.space ? " "
                                    : "");
            break;
        }
        case 'u':
            put_number(&out, &spec, unsigned_argument(&spec, &args), 10, false, "");
            break;
        case 'o':
            put_number(&out, &spec, unsigned_argument(&spec, &args), 8, false, "");
            break;
        case 'x':
        case 'X': {
            u64 value = unsigned_argument(&spec, &args);
            bool upper = *fmt == 'X';
            put_number(&out, &spec, value, 16, upper,
                       spec.alt && value ? (upper ? "0X" : "0x") : "");
            break;
        }
        case 'p':
            put_number(&out, &spec, (u64)(uintptr_t)va_arg(args, void *), 16, false, "0x");
            break;
        case 'c': {
            char c = (char)va_arg(args, int);
            put_padded(&out, &spec, &c, 1); /* NUL is a character too */
            break;
        }
        case 's':
            put_string(&out, &spec, va_arg(args, const char *));
            break;
        case '%':
            put(&out, "%", 1);
            break;
        default: /* inv 2 */
            put(&out, start, (size_t)(fmt - start) + (*fmt != '\0'));
            break;
        }
        if (*fmt) {
            fmt++;
        }
    }
    va_end(args);
    return out.total;
}

struct buffer {
    char *buf;
    size_t size, used;
};

static void buffer_sink(void *ctx, const char *text, size_t n)
{
    struct buffer *b = ctx;
    if (b->used < b->size) {
        size_t room = b->size - b->used;
        memcpy(b->buf + b->used, text, n < room ? n : room);
    }
    b->used += n;
}

size_t format_buffer_va(char *buf, size_t size, const char *fmt, va_list args)
{
    struct buffer b = {.buf = buf, .size = size ? size - 1 : 0};
    size_t total = format_to(buffer_sink, &b, fmt, args);
    if (size) {
        buf[total < size ? total : size - 1] = '\0';
    }
    return total;
}

size_t format_buffer(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t total = format_buffer_va(buf, size, fmt, args);
    va_end(args);
    return total;
}
