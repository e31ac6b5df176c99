; SPDX-License-Identifier: MIT
; Exception and interrupt entry, x86_64.
; Each of the 256 vectors pushes an error code where the CPU does not, and its number, and goes on
; to trap_common, which saves the other registers as struct hal_trap_frame and calls trap_entry(frame)
; with interrupts masked (all are interrupt gates) and the direction flag clear.
; Stack:   the interrupted one, or the emergency stack that the IDT names for double fault, NMI and
;          machine check. GS is the kernel's own while in here.
; Spec:    Intel SDM vol. 3, 6.14 (64-bit exception handling).

%include "offsets.inc"

default rel
extern trap_entry

section .text

%assign vector 0
%rep 256
align 16
trap_%+vector:
%if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
%else
        push    0
%endif
        push    vector
        jmp     trap_common
%assign vector vector + 1
%endrep

global trap_common:function
trap_common:
        push    rax
        push    rbx
        push    rcx
        push    rdx
        push    rsi
        push    rdi
        push    rbp
        push    r8
        push    r9
        push    r10
        push    r11
        push    r12
        push    r13
        push    r14
        push    r15
        cld
        test    byte [rsp + FRAME_CS], 3
        jz      .from_kernel
        swapgs
.from_kernel:
        mov     rdi, rsp
        mov     rbx, rsp                    ; kept over the call
        and     rsp, -16
        call    trap_entry
        mov     rsp, rbx
        test    byte [rsp + FRAME_CS], 3
        jz      .to_kernel
        swapgs
.to_kernel:
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     r11
        pop     r10
        pop     r9
        pop     r8
        pop     rbp
        pop     rdi
        pop     rsi
        pop     rdx
        pop     rcx
        pop     rbx
        pop     rax
        add     rsp, 16                     ; vector and error code
        iretq

; void hal_trap_frame_capture(struct hal_trap_frame *frame): the caller's registers, as they are
; after the return. RAX, RCX and RDX hold nothing of value there and are left as zero.
global hal_trap_frame_capture:function
hal_trap_frame_capture:
        xor     eax, eax
        mov     [rdi + FRAME_RAX], rax
        mov     [rdi + FRAME_RCX], rax
        mov     [rdi + FRAME_RDX], rax
        mov     [rdi + FRAME_VECTOR], rax
        mov     [rdi + FRAME_ERROR], rax
        mov     [rdi + FRAME_RBX], rbx
        mov     [rdi + FRAME_RSI], rsi
        mov     [rdi + FRAME_RDI], rdi
        mov     [rdi + FRAME_RBP], rbp
        mov     [rdi + FRAME_R8], r8
        mov     [rdi + FRAME_R9], r9
        mov     [rdi + FRAME_R10], r10
        mov     [rdi + FRAME_R11], r11
        mov     [rdi + FRAME_R12], r12
        mov     [rdi + FRAME_R13], r13
        mov     [rdi + FRAME_R14], r14
        mov     [rdi + FRAME_R15], r15
        mov     rax, [rsp]                  ; return address
        mov     [rdi + FRAME_RIP], rax
        lea     rax, [rsp + 8]
        mov     [rdi + FRAME_RSP], rax
        mov     eax, cs
        mov     [rdi + FRAME_CS], rax
        mov     eax, ss
        mov     [rdi + FRAME_SS], rax
        pushfq
        pop     rax
        mov     [rdi + FRAME_RFLAGS], rax
        ret

section .rodata
align 8
global trap_vectors:data
trap_vectors:
%assign vector 0
%rep 256
        dq      trap_%+vector
%assign vector vector + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
