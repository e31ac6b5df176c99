/* SPDX-License-Identifier: MIT */
/* Where a program begins.
 * In:        rdi = argument strings, rsi = their size in bytes; rsp = top of the stack.
 * Does:      ends the chain of frames, aligns the stack as the ABI wants it before a call, and
 *            hands both on to hx_start(), which does not return. Clobbers everything.
 */
    .section .text.start, "ax", %progbits
    .globl _start
    .type _start, %function
_start:
    xorl %ebp, %ebp
    andq $-16, %rsp
    call hx_start
    ud2
    .size _start, . - _start

    .section .note.GNU-stack, "", %progbits
