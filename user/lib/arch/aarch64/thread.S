/* SPDX-License-Identifier: MIT */
/* Where a thread begins.
 * In:        x0 = the argument of thread_create; sp = top of the thread's stack, aligned.
 * Does:      as _start, to hx_thread_main(), which does not return. Clobbers everything.
 */
    .section .text.hx_thread_entry, "ax", %progbits
    .globl hx_thread_entry
    .type hx_thread_entry, %function
hx_thread_entry:
    mov x29, xzr
    mov x30, xzr
    bl hx_thread_main
    brk #1
    .size hx_thread_entry, . - hx_thread_entry

    .section .note.GNU-stack, "", %progbits
