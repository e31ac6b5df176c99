/* SPDX-License-Identifier: MIT */
/* Switching threads, FPU registers, whole pages, user memory.
 * Context:   <hal/context.h> and <hal/port.h> say it for each.
 * Spec:      AAPCS64 6.1 (registers that a call keeps); Arm ARM D17.2.30, D17.2.39 (DCZID_EL0). */
#include <port/frame.h>

    .arch   armv8-a+fp+simd
    .text

/* Where hal_context_init() lets a new thread begin: its stack holds entry and argument, above them a
 * frame record of zeroes, to which x29 points already. */
    .globl port_context_begin
    .type port_context_begin, %function
port_context_begin:
    ldp     x1, x0, [sp], #16
    blr     x1
    brk     #0

/* void hal_fpu_save(void *state), void hal_fpu_restore(const void *state): x0. FPU enabled. */
    .globl hal_fpu_save
    .type hal_fpu_save, %function
hal_fpu_save:
    stp     q0, q1, [x0, #0]
    stp     q2, q3, [x0, #32]
    stp     q4, q5, [x0, #64]
    stp     q6, q7, [x0, #96]
    stp     q8, q9, [x0, #128]
    stp     q10, q11, [x0, #160]
    stp     q12, q13, [x0, #192]
    stp     q14, q15, [x0, #224]
    stp     q16, q17, [x0, #256]
    stp     q18, q19, [x0, #288]
    stp     q20, q21, [x0, #320]
    stp     q22, q23, [x0, #352]
    stp     q24, q25, [x0, #384]
    stp     q26, q27, [x0, #416]
    stp     q28, q29, [x0, #448]
    stp     q30, q31, [x0, #480]
    mrs     x1, fpsr
    mrs     x2, fpcr
    add     x0, x0, #FPU_CONTROL
    stp     x1, x2, [x0]
    ret

    .globl hal_fpu_restore
    .type hal_fpu_restore, %function
hal_fpu_restore:
    ldp     q0, q1, [x0, #0]
    ldp     q2, q3, [x0, #32]
    ldp     q4, q5, [x0, #64]
    ldp     q6, q7, [x0, #96]
    ldp     q8, q9, [x0, #128]
    ldp     q10, q11, [x0, #160]
    ldp     q12, q13, [x0, #192]
    ldp     q14, q15, [x0, #224]
    ldp     q16, q17, [x0, #256]
    ldp     q18, q19, [x0, #288]
    ldp     q20, q21, [x0, #320]
    ldp     q22, q23, [x0, #352]
    ldp     q24, q25, [x0, #384]
    ldp     q26, q27, [x0, #416]
    ldp     q28, q29, [x0, #448]
    ldp     q30, q31, [x0, #480]
    add     x0, x0, #FPU_CONTROL
    ldp     x1, x2, [x0]
    msr     fpsr, x1
    msr     fpcr, x2
    ret

/* void port_page_zero(void *page): x0. DC ZVA where it is allowed and four of its blocks fit;
 * clobbers x1 .. x3. */
    .globl port_page_zero
    .type port_page_zero, %function
port_page_zero:
    add     x3, x0, #4096
    mrs     x1, dczid_el0
    tbnz    x1, #4, 2f                 /* prohibited */
    and     x1, x1, #15
    cmp     x1, #8                     /* log2 of words: 1 KiB */
    b.hi    2f
    mov     x2, #4
    lsl     x2, x2, x1
1:  dc      zva, x0
    add     x0, x0, x2
    dc      zva, x0
    add     x0, x0, x2
    dc      zva, x0
    add     x0, x0, x2
    dc      zva, x0
    add     x0, x0, x2
    cmp     x0, x3
    b.lo    1b
    ret
2:  stp     xzr, xzr, [x0]
    stp     xzr, xzr, [x0, #16]
    stp     xzr, xzr, [x0, #32]
    stp     xzr, xzr, [x0, #48]
    stp     xzr, xzr, [x0, #64]
    stp     xzr, xzr, [x0, #80]
    stp     xzr, xzr, [x0, #96]
    stp     xzr, xzr, [x0, #112]
    add     x0, x0, #128
    cmp     x0, x3
    b.lo    2b
    ret

/* void port_page_copy(void *dst, const void *src): x0, x1; clobbers x2 .. x10. */
    .globl port_page_copy
    .type port_page_copy, %function
port_page_copy:
    add     x10, x0, #4096
1:  ldp     x2, x3, [x1]
    ldp     x4, x5, [x1, #16]
    ldp     x6, x7, [x1, #32]
    ldp     x8, x9, [x1, #48]
    stp     x2, x3, [x0]
    stp     x4, x5, [x0, #16]
    stp     x6, x7, [x0, #32]
    stp     x8, x9, [x0, #48]
    add     x1, x1, #64
    add     x0, x0, #64
    cmp     x0, x10
    b.lo    1b
    ret

/* size_t hal_user_copy_in(void *dst, vaddr_t user, size_t n): x0, x1, x2; returns what is left.
 * size_t hal_user_copy_out(vaddr_t user, const void *src, size_t n): likewise.
 * LDTR and STTR access memory as EL0 would, whatever PAN says. At any access x0, x1 and x2 say what
 * is still to do, so that a fault in the middle goes on byte by byte up to the very first byte that
 * is out of bounds, and ends there. Clobbers x3 .. x6. */
    .macro  fixup start, end, target
    .pushsection .rodata.copy_fixups, "a"
    .quad   \start, \end, \target
    .popsection
    .endm

    .pushsection .rodata.copy_fixups, "a"
    .balign 8
    .globl port_copy_fixups
port_copy_fixups:
    .popsection

    .globl hal_user_copy_in
    .type hal_user_copy_in, %function
hal_user_copy_in:
    cmp     x2, #32
    b.lo    2f
1:  ldtr    x3, [x1]
    ldtr    x4, [x1, #8]
    ldtr    x5, [x1, #16]
    ldtr    x6, [x1, #24]
11: sub     x2, x2, #32
    add     x1, x1, #32
    cmp     x2, #32
    stp     x3, x4, [x0], #16
    stp     x5, x6, [x0], #16
    b.hs    1b
2:  cmp     x2, #8
    b.lo    4f
3:  ldtr    x3, [x1]
33: sub     x2, x2, #8
    add     x1, x1, #8
    cmp     x2, #8
    str     x3, [x0], #8
    b.hs    3b
4:  cbz     x2, 6f
5:  ldtrb   w3, [x1]
55: sub     x2, x2, #1
    add     x1, x1, #1
    strb    w3, [x0], #1
    cbnz    x2, 5b
6:  mov     x0, x2
    ret
    fixup   1b, 11b, 4b
    fixup   3b, 33b, 4b
    fixup   5b, 55b, 6b

    .globl hal_user_copy_out
    .type hal_user_copy_out, %function
hal_user_copy_out:
    cmp     x2, #32
    b.lo    2f
1:  ldp     x3, x4, [x1]
    ldp     x5, x6, [x1, #16]
10: sttr    x3, [x0]
    sttr    x4, [x0, #8]
    sttr    x5, [x0, #16]
    sttr    x6, [x0, #24]
11: sub     x2, x2, #32
    add     x1, x1, #32
    add     x0, x0, #32
    cmp     x2, #32
    b.hs    1b
2:  cmp     x2, #8
    b.lo    4f
3:  ldr     x3, [x1]
30: sttr    x3, [x0]
33: sub     x2, x2, #8
    add     x1, x1, #8
    add     x0, x0, #8
    cmp     x2, #8
    b.hs    3b
4:  cbz     x2, 6f
5:  ldrb    w3, [x1]
50: sttrb   w3, [x0]
55: sub     x2, x2, #1
    add     x1, x1, #1
    add     x0, x0, #1
    cbnz    x2, 5b
6:  mov     x0, x2
    ret
    fixup   10b, 11b, 4b
    fixup   30b, 33b, 4b
    fixup   50b, 55b, 6b
    fixup   0, 0, 0

    .section .note.GNU-stack, "", %progbits
