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
    hlt                             /* #GP at CPL 3 */
    ret

    begin crash_kernel_tables
    sgdt -16(%rsp)                  /* #GP at CPL 3 with CR4.UMIP */
    ret

    begin crash_undefined
    ud2
    ret

    begin crash_breakpoint
    int3
    ret

    begin crash_unaligned_stack
    leaq -25(%rsp), %rsp
    movaps %xmm0, (%rsp)            /* #GP: not on 16 bytes */
    ret

    begin crash_kernel_stack
    movabsq $0xffff800000100000, %rsp
    movl $0, %eax                   /* HX_SYS_null */
    syscall
    pushq %rax
    ret

    .section .rodata
    .globl code_begin, code_end
code_begin:
    movl $42, %eax
    ret
code_end:

    .section .note.GNU-stack, "", %progbits
