/* SPDX-License-Identifier: MIT */
/* Exceptions, as the port decodes them for the rest of the kernel. The port saves all registers in
 * a struct hal_trap_frame, fills a struct hal_trap and calls hal_event_trap(); no caller ever reads
 * a syndrome register.
 */
#ifndef HAL_TRAP_H
#define HAL_TRAP_H

#include <hal/port.h>
#include <helix/types.h>

enum hal_trap_kind {
    TRAP_PAGE_FAULT,     /* address translation or permission; address and access are valid */
    TRAP_UNDEFINED,      /* not an instruction here, or not allowed at this privilege */
    TRAP_DIVIDE,         /* integer division by zero or overflow */
    TRAP_BREAKPOINT,     /* a breakpoint instruction; resuming continues after it */
    TRAP_DEBUG,          /* single step, watchpoint */
    TRAP_ALIGNMENT,      /* address is valid where the hardware gives it */
    TRAP_PROTECTION,     /* privilege or descriptor violation */
    TRAP_FLOAT,          /* floating-point or SIMD exception, or use while disabled */
    TRAP_STACK_OVERFLOW, /* a kernel stack ran into its guard page; runs on an emergency stack */
    TRAP_NMI,            /* non-maskable interrupt */
    TRAP_MACHINE,        /* hardware error: machine check, SError */
    TRAP_OTHER,          /* the name says which */
    TRAP_KIND_COUNT
};

enum hal_access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE };

struct hal_trap {
    enum hal_trap_kind kind;
    enum hal_access access;
    bool user;          /* taken from user mode */
    bool address_valid; /* `address` is what was accessed */
    bool present;       /* page fault: a mapping was there but forbids the access */
    vaddr_t address;
    u64 code;         /* error code or ESR, for the report */
    const char *name; /* the manual's name of the exception */
};

/* Prints the registers through `print`, a line a call, without newlines. Panic context. */
void hal_trap_frame_print(const struct hal_trap_frame *frame,
                          void (*print)(void *ctx, const char *fmt, ...), void *ctx);

/* Captures the caller's registers as if it had been interrupted. */
void hal_trap_frame_capture(struct hal_trap_frame *frame);

/* Makes the interrupted context continue at pc. */
void hal_trap_frame_set_pc(struct hal_trap_frame *frame, vaddr_t pc);

#endif
