/* SPDX-License-Identifier: MIT */
/* Last words of a boot that fails before there is a console.
 * Owns:      nothing.      Callers: entry.S (exceptions), map.c, main.c.      Locks: none.
 * Context:   any point of the boot path at EL1, MMU on or off; so: no .bss, no calls out, no tables
 *            of pointers, compiled position-independent and without link-time optimisation.
 * The only console that needs no address is semihosting. On real hardware its instruction is
 * undefined; the early vectors step over it, and the machine waits silently. */
#include "boot_priv.h"

#include <port/semihosting.h>

static void put_byte(char byte)
{
    semihosting_call(SEMIHOSTING_WRITEC, &byte);
}

static void put_text(const char *text)
{
    while (*text != '\0') {
        put_byte(*text++);
    }
}

static void put_number(const char *label, u64 value)
{
    put_text(label);
    for (int shift = 60; shift >= 0; shift -= 4) {
        u32 digit = (value >> shift) & 0xf;
        put_byte((char)(digit < 10 ? '0' + digit : 'a' + digit - 10));
    }
}

void boot_fatal(const char *why, u64 a, u64 b)
{
    u64 status[2] = {0x20026, 125}; /* ADP_Stopped_ApplicationExit; the status that means a panic */
    put_text("helix: cannot boot: ");
    put_text(why);
    put_number(": 0x", a);
    put_number(" 0x", b);
    put_byte('\n');
    semihosting_call(SEMIHOSTING_EXIT_EXTENDED, status);
    for (;;) {
        __asm__ volatile("wfi");
    }
}
