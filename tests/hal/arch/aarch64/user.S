/* SPDX-License-Identifier: MIT */
/* The contract suite's user program, and a switch with all registers filled; see ../../user.h.
 * Owns:      nothing.      Callers: tests/hal/context_ktest.c. */
    .arch   armv8-a+fp
    .section .rodata.user, "a"
    .balign 16
    .globl user_code, user_code_end, user_arguments, user_arguments_stop, user_resume
    .globl user_resume_stop, user_float, user_float_stop, user_read, user_privileged

user_code:
user_arguments:
    .irp    n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25
    orr     x2, x2, x\n
    .endr
    .irp    n, 26, 27, 28, 29, 30
    orr     x2, x2, x\n
    .endr
    mov     x8, x0
    mov     x3, #4
    mov     x4, #5
    mov     x5, #6
user_arguments_stop:
    udf     #0
user_resume:
    add     x1, x1, #1
user_resume_stop:
    udf     #0
user_float:
    fmov    x1, d7
    fmov    d7, x0
user_float_stop:
    udf     #0
user_read:
    ldr     x0, [x0]
    udf     #0
user_privileged:
    msr     daifset, #2
    udf     #0
user_code_end:

    .text
/* x0, x1: as hal_context_switch; x2: seed. Out: x0. */
    .globl user_registers_switch
    .type user_registers_switch, %function
user_registers_switch:
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x2, [sp, #96]
    .irp    n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
    add     x\n, x2, #\n
    .endr
    bl      probe_context_switch
    ldr     x2, [sp, #96]
    mov     x0, #0
    .irp    n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
    sub     x\n, x\n, #\n
    cmp     x\n, x2
    b.ne    1f
    .endr
    mov     x0, #1
1:  ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #112
    ret

    .section .note.GNU-stack, "", %progbits
