/* SPDX-License-Identifier: MIT */
/* Where text goes and typed bytes come from. Consoles (serial, framebuffer) register a write
 * function; every one shows everything. Input of all keyboards and lines is one stream.
 */
#ifndef CORE_CONSOLE_H
#define CORE_CONSOLE_H

#include <helix/boot_info.h>
#include <helix/compiler.h>
#include <helix/list.h>
#include <helix/status.h>

struct console {
    const char *name;
    void (*write)(const char *text, size_t n); /* any context, panic included; never blocks */
    struct list_node node;
};

/* Context: early or thread. The console lives for ever. */
void console_register(struct console *console);

/* Writes to every console. Context: any. After console_panic() it takes no lock. */
void console_write(const char *text, size_t n);
void console_printf(const char *fmt, ...) HX_PRINTF(1, 2);
void console_panic(void);

/* Registers the serial console. Context: early; needs hal_init_early(). */
void console_init(void);

/* Registers the framebuffer as a text console when there is one that can be mapped. Needs device
 * mappings. Return: HX_OK, HX_ERR_NOT_FOUND (no framebuffer), what mapping returned. */
enum hx_status console_framebuffer_init(const struct boot_framebuffer *fb) HX_MUST_CHECK;

/* Lets the serial line interrupt on input, or else has it polled by console_read. Thread. */
void console_input_init(void);

/* The next typed byte; sleeps until there is one, or until the deadline (ns; 0: does not wait).
 * Return: HX_OK; HX_ERR_TIMED_OUT; HX_ERR_CANCELLED, the task was killed. Context: thread,
 * interrupts enabled. */
enum hx_status console_read_until(u8 *out, u64 deadline_ns) HX_MUST_CHECK;

/* The same without a deadline, for a task that is never killed. */
u8 console_read(void);

/* A listing of the consoles' names for `separator`-joined display: "serial 16550, framebuffer". */
void console_names(char *buf, size_t size);

#endif
