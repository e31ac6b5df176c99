; SPDX-License-Identifier: MIT
; Instructions that the contract suite needs and C cannot say; see ../../probe.h.
; Owns:      nothing.      Callers: tests/hal.      Context: any, on any kernel stack.
; Each is a leaf without a frame: the return address is on top of the stack wherever one can fault,
; so that a handler resumes at probe_return and the probe is left.
bits 64
section .text

global probe_return:function
global probe_read:function
global probe_write:function
global probe_execute:function
global probe_breakpoint:function
global probe_undefined:function
global probe_float:function
global probe_code:data
global probe_code_other:data
global probe_scramble:function
global probe_registers_trap:function
global probe_registers_wait:function

probe_return:
    ret

; rdi: address. Out: rax, the byte there.
probe_read:
    movzx eax, byte [rdi]
    ret

; rdi: address; sil: byte.
probe_write:
    mov [rdi], sil
    ret

; rdi: address to continue at, with the caller's return address. Out: rax as left there.
probe_execute:
    jmp rdi

probe_breakpoint:
    int3
    ret

probe_undefined:
    ud2

probe_float:
    movaps xmm0, xmm1
    ret

; PROBE_CODE_SIZE bytes each, that return 42 and 43 wherever they lie.
align 16
probe_code:
    mov eax, 42
    ret
align 16
probe_code_other:
    mov eax, 43
    ret
align 16

%define PATTERN(n) (-0x12345600 - n)

; Clobbers all that a function may clobber.
probe_scramble:
    mov rax, -1
    mov rcx, rax
    mov rdx, rax
    mov rsi, rax
    mov rdi, rax
    mov r8, rax
    mov r9, rax
    mov r10, rax
    mov r11, rax
    cmp rax, rax ; carry too
    ret

%macro save 0
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
%endmacro

; All but rax and rsp.
%macro fill 0
    mov rbx, PATTERN(1)
    mov rcx, PATTERN(2)
    mov rdx, PATTERN(3)
    mov rsi, PATTERN(4)
    mov rdi, PATTERN(5)
    mov rbp, PATTERN(6)
    mov r8, PATTERN(8)
    mov r9, PATTERN(9)
    mov r10, PATTERN(10)
    mov r11, PATTERN(11)
    mov r12, PATTERN(12)
    mov r13, PATTERN(13)
    mov r14, PATTERN(14)
    mov r15, PATTERN(15)
%endmacro

%macro expect 2
    cmp %1, PATTERN(%2)
    jne changed
%endmacro

%macro check 0
    expect rbx, 1
    expect rcx, 2
    expect rdx, 3
    expect rsi, 4
    expect rdi, 5
    expect rbp, 6
    expect r8, 8
    expect r9, 9
    expect r10, 10
    expect r11, 11
    expect r12, 12
    expect r13, 13
    expect r14, 14
    expect r15, 15
%endmacro

; Out: rax, 1 when every register and the carry flag survived a breakpoint.
probe_registers_trap:
    save
    fill
    mov rax, PATTERN(7)
    stc
    int3
    jnc changed
    expect rax, 7
    jmp compare

; rdi: address of a u32 that an interrupt handler makes non-zero. Out: as above, but for rax.
probe_registers_wait:
    save
    mov rax, rdi
    fill
.spin:
    pause
    cmp dword [rax], 0
    je .spin

compare:
    check
    mov eax, 1
    jmp restore
changed:
    xor eax, eax
restore:
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
