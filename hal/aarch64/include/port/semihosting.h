/* SPDX-License-Identifier: MIT */
/* Arm semihosting: calls to a debugger or emulator by HLT 0xf000. Where nobody listens the
 * instruction is undefined; the vectors know its address and make the call answer -1.
 * Spec: Arm Semihosting for AArch32 and AArch64, 2.0.
 */
#ifndef PORT_SEMIHOSTING_H
#define PORT_SEMIHOSTING_H

#define SEMIHOSTING_WRITEC        0x03 /* argument: address of the byte */
#define SEMIHOSTING_EXIT_EXTENDED 0x20 /* argument: {0x20026, status} */

#ifndef __ASSEMBLER__
#include <helix/types.h>

/* Position-independent; legal with the MMU off. Any context at EL1. */
u64 semihosting_call(u64 operation, const void *argument);

/* The HLT inside it. */
extern const char semihosting_hlt[];
#endif

#endif
