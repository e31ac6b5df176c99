/* SPDX-License-Identifier: MIT */
/* Byte offsets in struct hal_trap_frame, for C and assembly; <port/inline.h> checks them. */
#ifndef PORT_FRAME_H
#define PORT_FRAME_H

#define FRAME_X      0   /* x0 .. x30 */
#define FRAME_SP     248 /* SP at the exception, of the level that it came from */
#define FRAME_PC     256 /* ELR_EL1 */
#define FRAME_STATE  264 /* SPSR_EL1 */
#define FRAME_ESR    272
#define FRAME_FAR    280
#define FRAME_RECORD 288 /* frame record {x29, pc}: backtraces go on through an exception */
#define FRAME_SIZE   304 /* a multiple of 16 */

#endif
