/* SPDX-License-Identifier: MIT */
/* Where a program begins.
 * In:        x0 = argument strings, x1 = their size in bytes; sp = top of the stack, aligned.
 * Does:      ends the chain of frames and hands both on to hx_start(), which does not return.
 *            Clobbers everything.
 */
    .section .text.start, "ax", %progbits
    .globl _start
    .type _start, %function
_start:
    mov x29, xzr
    mov x30, xzr
    bl hx_start
    brk #1
    .size _start, . - _start

    .section .note.GNU-stack, "", %progbits
