/* SPDX-License-Identifier: MIT */
/* See programs/simd.h. Both are called from C and keep what the ABI wants kept.
 */
    .text

    .macro save
    stp d8, d9, [sp, #-64]!
    stp d10, d11, [sp, #16]
    stp d12, d13, [sp, #32]
    stp d14, d15, [sp, #48]
    .endm
    .macro restore
    ldp d10, d11, [sp, #16]
    ldp d12, d13, [sp, #32]
    ldp d14, d15, [sp, #48]
    ldp d8, d9, [sp], #64
    .endm

    .macro each_register
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, \
        24, 25, 26, 27, 28, 29, 30, 31
    action \n
    .endr
    .endm

/* In: x0 = seed, x1 = spins, x2 = yields. Out: x0. Clobbers vectors and what a call may. */
    .globl simd_hold
    .type simd_hold, %function
simd_hold:
    save
    mov x9, x0
    mov x10, x1
    mov x11, x2
    .macro action n
    add x3, x9, #\n * 64
    mvn x4, x3
    fmov d\n, x3
    mov v\n\().d[1], x4
    .endm
    each_register
    .purgem action
1:  mov x3, x10
2:  yield
    subs x3, x3, #1
    b.ne 2b
    mov x8, #3                      /* HX_SYS_yield */
    svc #0
    subs x11, x11, #1
    b.ne 1b

    mov x0, #0
    .macro action n
    add x3, x9, #\n * 64
    mvn x4, x3
    fmov x5, d\n
    mov x6, v\n\().d[1]
    cmp x3, x5
    ccmp x4, x6, #0, eq
    cinc x0, x0, ne
    .endm
    each_register
    .purgem action
    restore
    ret
    .size simd_hold, . - simd_hold

/* Out: x0. Clobbers x5, x6. */
    .globl simd_count_nonzero
    .type simd_count_nonzero, %function
simd_count_nonzero:
    mov x0, #0
    .macro action n
    fmov x5, d\n
    mov x6, v\n\().d[1]
    orr x5, x5, x6
    cmp x5, #0
    cinc x0, x0, ne
    .endm
    each_register
    .purgem action
    ret
    .size simd_count_nonzero, . - simd_count_nonzero

    .section .note.GNU-stack, "", %progbits
