; SPDX-License-Identifier: MIT
; Calls that can be ended from outside, x86_64; <hal/guard.h> for what each promises.
; Calls:   System V ABI: RBX, RBP, R12 to R15 and RSP are the caller's, so those are what is kept.

default rel

section .text

; On the stack, where RSP points during the call, is struct hal_guard.
GUARD_OUTER     equ 16
GUARD_HEAD      equ 24
GUARD_SIZE      equ 40                      ; with what keeps RSP aligned
GUARD_ARGS      equ GUARD_SIZE + 7 * 8      ; behind six registers and the return address

; struct hal_guard_result hal_guard_call(head, domain, mark, fn, a0, a1, a2, a3):
; RDI RSI RDX RCX R8 R9 and two on the stack; RAX and RDX
global hal_guard_call:function
hal_guard_call:
        push    rbp                         ; backtraces leave this frame out
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        push    rax
        push    rdi
        push    qword [rdi]
        push    rdx
        push    rsi
        mov     [rdi], rsp
        mov     rax, rcx
        mov     rdi, r8
        mov     rsi, r9
        mov     rdx, [rsp + GUARD_ARGS]
        mov     rcx, [rsp + GUARD_ARGS + 8]
        call    rax
        xor     edx, edx
land:   mov     rcx, [rsp + GUARD_OUTER]
        mov     rdi, [rsp + GUARD_HEAD]
        mov     [rdi], rcx
        add     rsp, GUARD_SIZE
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

; void hal_guard_leave(struct hal_guard *guard): RDI
global hal_guard_leave:function
hal_guard_leave:
        mov     rsp, rdi
        xor     eax, eax
        mov     edx, 1
        jmp     land

section .note.GNU-stack noalloc noexec nowrite progbits
