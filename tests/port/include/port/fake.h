/* SPDX-License-Identifier: MIT */
/* How a host test drives the do-nothing port: raise interrupt lines, read what was sent to the
 * serial line, ration page tables, expect a panic. The CPU's own state is struct port_cpu of
 * <port/inline.h>. One thread.
 */
#ifndef PORT_FAKE_H
#define PORT_FAKE_H

#include <hal/irq.h>
#include <helix/types.h>
#include <setjmp.h>

#define PORT_IRQ_TIMER  0u
#define PORT_IRQ_SERIAL 1u
#define PORT_IRQ_LINES  64u

/* The interrupt controller. A line that is raised stays pending until it is acked. */
struct port_line {
    bool enabled, pending;
    enum hal_irq_trigger trigger;
    u32 acks, eois;
};
extern struct port_line port_lines[PORT_IRQ_LINES];

/* Raises a line and takes the interrupt at once when it can be taken. */
void port_irq_raise(irq_t irq);

/* Interrupts the CPU with nothing pending. */
void port_irq_raise_spurious(void);

/* The serial line: what was sent, NUL-terminated; and bytes to be received. */
#define PORT_SERIAL_MAX 65536
struct port_serial {
    char sent[PORT_SERIAL_MAX + 1];
    size_t sent_count; /* further bytes are lost */
    const char *to_receive;
};
extern struct port_serial port_serial;

/* Page-table frames: how many are out, and how many there are. */
struct port_tables {
    u32 used, limit;
};
extern struct port_tables port_tables;

/* The answer to blob_read, and how the machine was ended; -1: not. */
struct port_firmware {
    const char *blob_name, *blob_text;
    int poweroffs, resets, exit_status;
};
extern struct port_firmware port_firmware;

/* A panic prints and aborts, unless a test set `jump`: then the reason is kept and control goes
 * there. */
struct port_panic {
    jmp_buf *jump;
    char reason[256];
};
extern struct port_panic port_panic;

#endif
