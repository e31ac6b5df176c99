/* SPDX-License-Identifier: MIT */
/* Byte offsets in structures, and sizes of what is saved, for C and assembly; each is checked
 * beside its structure. */
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

#define SYSCALL_CHANNEL_CALL          142
#define SYSCALL_CHANNEL_REPLY_RECEIVE 143

#define LOCAL_CURRENT      8
#define LOCAL_KERNEL_STACK 16
#define LOCAL_EMERGENCY    24
#define LOCAL_SCRATCH      32

#define STARTUP_ROOT  0
#define STARTUP_HW_ID 8
#define STARTUP_STACK 16
#define STARTUP_LOCAL 24

#define CONTEXT_SIZE 96  /* x19 .. x30 of a suspended thread, on its stack */
#define FPU_CONTROL  512 /* after q0 .. q31: FPSR, FPCR */
#define FPU_SIZE     528

#endif
