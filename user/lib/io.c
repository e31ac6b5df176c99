/* SPDX-License-Identifier: MIT */
/* Output: text is gathered in a buffer on the stack, so that a line arrives in one piece.
 * Owns: nothing.   Context: any thread.
 */
#include <helix/format.h>
#include <helix/string.h>
#include <hx/file.h>
#include <hx/io.h>
#include <hx/process.h>
#include <hx/syscall.h>

struct gather {
    size_t used;
    char text[HX_WRITE_MAX];
};

void hx_write(const char *text, size_t length)
{
    hx_handle_t out = hx_standard(HX_STDOUT);
    if (out != HX_HANDLE_NONE) {
        HX_IGNORE(hx_write_all(out, text, length), "there is nobody to tell");
        return;
    }
    while (length) {
        size_t piece = length < HX_WRITE_MAX ? length : HX_WRITE_MAX;
        hx_sys_log_write(text, piece);
        text += piece;
        length -= piece;
    }
}

static void flush(struct gather *gather)
{
    if (gather->used) {
        hx_write(gather->text, gather->used);
        gather->used = 0;
    }
}

static void gather_sink(void *ctx, const char *text, size_t n)
{
    struct gather *gather = ctx;
    while (n) {
        if (gather->used == sizeof(gather->text)) {
            flush(gather);
        }
        size_t room = sizeof(gather->text) - gather->used;
        size_t piece = n < room ? n : room;
        memcpy(gather->text + gather->used, text, piece);
        gather->used += piece;
        text += piece;
        n -= piece;
    }
}

void hx_vprintf(const char *fmt, va_list args)
{
    struct gather gather;
    gather.used = 0;
    format_to(gather_sink, &gather, fmt, args);
    flush(&gather);
}

void hx_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    hx_vprintf(fmt, args);
    va_end(args);
}
