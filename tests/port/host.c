/* SPDX-License-Identifier: MIT */
/* What stands above the HAL in the kernel and is not linked into host tests: panic, page-table
 * frames, and the names of a build.
 * Owns:      port_panic, port_tables.      Callers: the kernel's files under test.
 */
#include <hal/mmu.h>
#include <helix/format.h>
#include <helix/panic.h>
#include <port/fake.h>
#include <stdio.h>

struct port_panic port_panic;
struct port_tables port_tables = {.limit = UINT32_MAX};

static HX_NORETURN void panic_va(const char *fmt, va_list args)
{
    format_buffer_va(port_panic.reason, sizeof(port_panic.reason), fmt, args);
    if (port_panic.jump) {
        longjmp(*port_panic.jump, 1);
    }
    fprintf(stderr, "PANIC: %s\n", port_panic.reason);
    abort();
}

void panic(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    panic_va(fmt, args);
}

void panic_trap(const struct hal_trap_frame *frame, const char *fmt, ...)
{
    (void)frame;
    va_list args;
    va_start(args, fmt);
    panic_va(fmt, args);
}

void hx_assert_failed(const char *expr, const char *file, int line)
{
    panic("assertion failed: %s at %s:%d", expr, file, line);
}

enum hx_status hal_event_table_alloc(paddr_t *out_frame)
{
    if (port_tables.used >= port_tables.limit) {
        return HX_ERR_NO_MEMORY;
    }
    *out_frame = (paddr_t)++port_tables.used << HX_PAGE_SHIFT;
    return HX_OK;
}

void hal_event_table_free(paddr_t frame)
{
    (void)frame;
    port_tables.used--;
}
