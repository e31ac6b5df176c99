; SPDX-License-Identifier: MIT
; The contract suite's user program, and a switch with all registers filled; see ../../user.h.
; Owns:      nothing.      Callers: tests/hal/context_ktest.c.
bits 64
section .rodata
align 16
global user_code:data
global user_code_end:data
global user_arguments:data
global user_arguments_stop:data
global user_resume:data
global user_resume_stop:data
global user_float:data
global user_float_stop:data
global user_read:data
global user_privileged:data

user_code:
user_arguments:
    mov rdx, rax
    or rdx, rbx
    or rdx, rcx
    or rdx, rbp
    or rdx, r8
    or rdx, r9
    or rdx, r10
    or rdx, r11
    or rdx, r12
    or rdx, r13
    or rdx, r14
    or rdx, r15
    mov rax, rdi
    mov r10d, 4
    mov r8d, 5
    mov r9d, 6
user_arguments_stop:
    ud2
user_resume:
    mov rdi, rax
    inc rsi
user_resume_stop:
    ud2
user_float:
    movq rsi, xmm7
    movq xmm7, rdi
user_float_stop:
    ud2
user_read:
    mov rax, [rdi]
    ud2
user_privileged:
    cli
    ud2
user_code_end:

section .text
extern probe_context_switch

; rdi, rsi: as hal_context_switch; rdx: seed. Out: rax.
global user_registers_switch:function
user_registers_switch:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rdx
    lea rbx, [rdx + 1]
    lea rbp, [rdx + 2]
    lea r12, [rdx + 3]
    lea r13, [rdx + 4]
    lea r14, [rdx + 5]
    lea r15, [rdx + 6]
    call probe_context_switch
    pop rdx
    sub rbx, 1
    sub rbp, 2
    sub r12, 3
    sub r13, 4
    sub r14, 5
    sub r15, 6
    xor eax, eax
    cmp rbx, rdx
    jne .out
    cmp rbp, rdx
    jne .out
    cmp r12, rdx
    jne .out
    cmp r13, rdx
    jne .out
    cmp r14, rdx
    jne .out
    cmp r15, rdx
    jne .out
    inc eax
.out:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
