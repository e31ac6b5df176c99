/* SPDX-License-Identifier: MIT */
/* See programs/crash.h. In and out: nothing; none of the crimes returns.
 */
    .text
    .macro begin name
    .globl \name
    .type \name, %function
\name:
    .endm

    begin crash_privileged
    msr vbar_el1, xzr               /* undefined at EL0 */
    ret

    begin crash_kernel_tables
    mrs x0, ttbr1_el1               /* undefined at EL0 */
    ret

    begin crash_undefined
    udf #0
    ret

    begin crash_breakpoint
    brk #0
    ret

    begin crash_unaligned_stack
    sub x1, sp, #24
    mov sp, x1
    ldr x0, [sp]                    /* SP alignment fault, exception class 0x26 */
    ret

    begin crash_kernel_stack
    movz x1, #0xffff, lsl #48
    movk x1, #0x8000, lsl #32
    movk x1, #0x0010, lsl #16
    mov sp, x1
    mov x8, #0                      /* HX_SYS_null */
    svc #0
    str x0, [sp, #-16]!
    ret

    .section .rodata
    .balign 4
    .globl code_begin, code_end
code_begin:
    mov w0, #42
    ret
code_end:

    .section .note.GNU-stack, "", %progbits
