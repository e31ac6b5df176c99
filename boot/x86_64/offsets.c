/* SPDX-License-Identifier: MIT */
/* Numbers that entry.asm and C share; the build makes offsets.inc of them.
 */
#include <port/pc.h>

void offsets(void);
void offsets(void)
{
    ASM_CONST(STARTUP_CR3, offsetof(struct port_startup, cr3));
    ASM_CONST(STARTUP_STACK, offsetof(struct port_startup, stack_top));
    ASM_CONST(STARTUP_LOCAL, offsetof(struct port_startup, local));
    ASM_CONST(STARTUP_APIC_ID, offsetof(struct port_startup, apic_id));
}
