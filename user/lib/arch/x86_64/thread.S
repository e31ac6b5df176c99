/* SPDX-License-Identifier: MIT */
/* Where a thread begins.
 * In:        rdi = the argument of thread_create; rsp = top of the thread's stack.
 * Does:      as _start, to hx_thread_main(), which does not return. Clobbers everything.
 */
    .section .text.hx_thread_entry, "ax", %progbits
    .globl hx_thread_entry
    .type hx_thread_entry, %function
hx_thread_entry:
    xorl %ebp, %ebp
    andq $-16, %rsp
    call hx_thread_main
    ud2
    .size hx_thread_entry, . - hx_thread_entry

    .section .note.GNU-stack, "", %progbits
