/* SPDX-License-Identifier: MIT */
/* System calls as no compiler makes them: every register known before, and looked at after. */
#include "fuzz_regs.h"

    .text

/* x0 = number, x1 = six arguments, x2 = before[FUZZ_REGISTERS], x3 = after[FUZZ_REGISTERS]; the
 * result in x0. Order: x1 .. x29, in `before` the first five are not used. */
    .globl  fuzz_call
    .type   fuzz_call, %function
    .globl  fuzz_call_other
    .type   fuzz_call_other, %function
fuzz_call:
fuzz_call_other:
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    str     x3, [sp, #96]
    mov     x8, x0
    mov     x30, x2
    ldp     x6, x7, [x30, #40]
    ldp     x9, x10, [x30, #64]
    ldp     x11, x12, [x30, #80]
    ldp     x13, x14, [x30, #96]
    ldp     x15, x16, [x30, #112]
    ldp     x17, x18, [x30, #128]
    ldp     x19, x20, [x30, #144]
    ldp     x21, x22, [x30, #160]
    ldp     x23, x24, [x30, #176]
    ldp     x25, x26, [x30, #192]
    ldp     x27, x28, [x30, #208]
    ldr     x29, [x30, #224]
    mov     x30, x1
    ldp     x0, x1, [x30]
    ldp     x2, x3, [x30, #16]
    ldp     x4, x5, [x30, #32]
    svc     #0
    ldr     x30, [sp, #96]
    stp     x1, x2, [x30]
    stp     x3, x4, [x30, #16]
    stp     x5, x6, [x30, #32]
    stp     x7, x8, [x30, #48]
    stp     x9, x10, [x30, #64]
    stp     x11, x12, [x30, #80]
    stp     x13, x14, [x30, #96]
    stp     x15, x16, [x30, #112]
    stp     x17, x18, [x30, #128]
    stp     x19, x20, [x30, #144]
    stp     x21, x22, [x30, #160]
    stp     x23, x24, [x30, #176]
    stp     x25, x26, [x30, #192]
    stp     x27, x28, [x30, #208]
    str     x29, [x30, #224]
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #112
    ret
    .size   fuzz_call, . - fuzz_call

    .section .note.GNU-stack, "", %progbits
