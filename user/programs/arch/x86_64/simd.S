/* SPDX-License-Identifier: MIT */
/* See programs/simd.h. Both are called from C and keep what the ABI wants kept.
 */
    .text

/* In: rdi = seed, rsi = spins, rdx = yields. Out: rax. Clobbers xmm0-15 and what a call may. */
    .globl simd_hold
    .type simd_hold, %function
simd_hold:
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    leaq 0x101 * \n(%rdi), %rax
    movq %rax, %xmm\n
    notq %rax
    movq %rax, %xmm15
    .if \n < 15
    punpcklqdq %xmm15, %xmm\n
    .else
    punpcklqdq %xmm15, %xmm15
    .endif
    .endr
1:  movq %rsi, %rcx
2:  pause
    decq %rcx
    jnz 2b
    movl $3, %eax                   /* HX_SYS_yield; it loses rcx and r11 */
    syscall
    decq %rdx
    jnz 1b

    xorl %eax, %eax
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    leaq 0x101 * \n(%rdi), %rcx
    .if \n == 15
    notq %rcx
    .endif
    movq %xmm\n, %rdx
    cmpq %rcx, %rdx
    jne 3f
    psrldq $8, %xmm\n
    .if \n < 15
    notq %rcx
    .endif
    movq %xmm\n, %rdx
    cmpq %rcx, %rdx
    je 4f
3:  incq %rax
4:
    .endr
    ret
    .size simd_hold, . - simd_hold

/* Out: rax. Clobbers xmm0-15, rdx. */
    .globl simd_count_nonzero
    .type simd_count_nonzero, %function
simd_count_nonzero:
    xorl %eax, %eax
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movq %xmm\n, %rdx
    testq %rdx, %rdx
    jnz 1f
    psrldq $8, %xmm\n
    movq %xmm\n, %rdx
    testq %rdx, %rdx
    jz 2f
1:  incq %rax
2:
    .endr
    ret
    .size simd_count_nonzero, . - simd_count_nonzero

    .section .note.GNU-stack, "", %progbits
