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

/* What a module provides to show text in the consoles' place: the interface "console". */
#define CONSOLE_ABI 1u
struct console_ops {
    u32 abi_version; /* CONSOLE_ABI */
    u32 size;        /* sizeof(struct console_ops) */
    const char *name;
    /* Mandatory. One call at a time, interrupts masked; never blocks. */
    void (*write)(const char *text, size_t n);
};

/* What there is to show text on, for modules. */
struct console_hardware {
    void (*serial_write)(u8 byte); /* waits until the line takes it */
    struct boot_framebuffer screen;
    vaddr_t pixels; /* where the kernel has mapped them; 0: there is no screen */
};
extern struct console_hardware console_hardware;

/* Has `write` called instead of all consoles, one call at a time, with interrupts masked, until it
 * answers false: the consoles have shown nothing of that text then, and it is not called again.
 * NULL: the consoles again. Nobody is in the one before when this returns. A panic does not ask it.
 * Context: thread. */
void console_divert(bool (*write)(const char *text, size_t n));

/* Context: early or thread. The console lives for ever. */
void console_register(struct console *console);

/* Writes to every console. Context: any. After console_panic() it takes no lock. */
void console_write(const char *text, size_t n);
void console_printf(const char *fmt, ...) HX_PRINTF(1, 2);
void console_panic(void);

/* Registers the serial console. Context: early; needs hal_init_early(). */
void console_init(void);

/* Where the framebuffer's pixels are mapped. Return: what mapping returned. Context: thread. */
enum hx_status console_screen_map(const struct boot_framebuffer *fb, vaddr_t *out_va) HX_MUST_CHECK;

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
