/* SPDX-License-Identifier: MIT */
/* System calls as no compiler makes them: every register known before, and looked at after. */
#include "fuzz_regs.h"

    .text

/* RDI = number, RSI = six arguments, RDX = before[FUZZ_REGISTERS], RCX = after[FUZZ_REGISTERS];
 * the result in RAX. Order: rbx rbp r12 r13 r14 r15 rdi rsi rdx r10 r8 r9 rcx r11. */
    .macro  fuzz_entry name, instruction
    .globl  \name
    .type   \name, @function
\name:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    push    %rcx
    mov     %rdi, %rax
    mov     %rdx, %rcx
    mov     (%rcx), %rbx
    mov     8(%rcx), %rbp
    mov     16(%rcx), %r12
    mov     24(%rcx), %r13
    mov     32(%rcx), %r14
    mov     40(%rcx), %r15
    mov     %rsi, %r11
    mov     (%r11), %rdi
    mov     8(%r11), %rsi
    mov     16(%r11), %rdx
    mov     24(%r11), %r10
    mov     32(%r11), %r8
    mov     40(%r11), %r9
    \instruction
    push    %rcx
    push    %r11
    mov     16(%rsp), %rcx
    mov     %rbx, (%rcx)
    mov     %rbp, 8(%rcx)
    mov     %r12, 16(%rcx)
    mov     %r13, 24(%rcx)
    mov     %r14, 32(%rcx)
    mov     %r15, 40(%rcx)
    mov     %rdi, 48(%rcx)
    mov     %rsi, 56(%rcx)
    mov     %rdx, 64(%rcx)
    mov     %r10, 72(%rcx)
    mov     %r8, 80(%rcx)
    mov     %r9, 88(%rcx)
    pop     %r11
    pop     %rdx
    mov     %rdx, 96(%rcx)
    mov     %r11, 104(%rcx)
    pop     %rcx
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret
    .size   \name, . - \name
    .endm

    fuzz_entry fuzz_call, syscall
    fuzz_entry fuzz_call_other, "int $0x80"

    .section .note.GNU-stack, "", @progbits
