/* SPDX-License-Identifier: MIT */
/* Calls that can be ended from outside, aarch64; <hal/guard.h> for what each promises.
 * Spec:      AAPCS64 6.1.1: x19 to x29 and SP are the caller's, so those are what is kept. */
#define SAVED       96
#define GUARD_OUTER 16                  /* of struct hal_guard, where SP points during the call */
#define GUARD_SIZE  32

    .text

/* struct hal_guard_result hal_guard_call(head, domain, mark, fn, a0, a1, a2, a3): x0 .. x7; x0, x1 */
    .globl hal_guard_call
    .type hal_guard_call, %function
hal_guard_call:
    stp     x29, x30, [sp, #-SAVED]!
    mov     x29, sp
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    ldr     x9, [x0]
    stp     x9, x0, [sp, #-16]!
    stp     x1, x2, [sp, #-16]!
    mov     x9, sp
    str     x9, [x0]
    mov     x9, x3
    mov     x0, x4
    mov     x1, x5
    mov     x2, x6
    mov     x3, x7
    blr     x9
    mov     x1, xzr
land:
    ldp     x9, x10, [sp, #GUARD_OUTER]
    str     x9, [x10]
    add     sp, sp, #GUARD_SIZE
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #SAVED
    ret

/* void hal_guard_leave(struct hal_guard *guard): x0 */
    .globl hal_guard_leave
    .type hal_guard_leave, %function
hal_guard_leave:
    mov     sp, x0
    mov     x0, xzr
    mov     x1, #1
    b       land
