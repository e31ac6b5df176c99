; SPDX-License-Identifier: MIT
; Entry to the kernel and the way back, x86_64.
; Vectors: each of the 256 pushes an error code where the CPU does not, and its number, and goes on
;          to trap_common, which saves the other registers as struct hal_trap_frame and calls
;          trap_entry(frame) with interrupts masked (all are interrupt gates).
; SYSCALL: builds the same frame, and leaves by SYSRET if nobody changed where it returns to.
; Stack:   the interrupted one, from user mode the thread's kernel stack, or the emergency stack
;          that the IDT names for #DB, NMI, #DF and #MC.
; GS:      the kernel's own while in C. Those four may interrupt the few instructions at which it
;          is still, or again, the user's: trap_paranoid asks the MSR. Programs cannot forge its
;          answer: they have no way to write a kernel address to it.
; Flags:   every entry clears DF, AC (or SMAP would be off in the handler), NT and TF.
; Back:    what user mode left in RIP may be no canonical address, at which IRET and SYSRET fault in
;          ring 0. Such a value is moved to the kernel's half, where user mode faults itself.
; Spec:    Intel SDM vol. 3, 6.14 (64-bit exceptions), 5.8.8 (SYSCALL); vol. 2, SYSRET, IRET.

%include "offsets.inc"

default rel
extern trap_entry
extern trap_entry_emergency
extern trap_syscall
extern trap_message_resumed
extern hal_event_channel_call
extern hal_event_channel_reply_receive

GS_BASE         equ 0xc0000101
FLAGS_CLEAR     equ 2
FLAGS_USER      equ 0x202               ; interrupts on
USER_BITS       equ 47
NOT_CANONICAL   equ 0xffff800000000000  ; or-ed to an address: the kernel's half

%macro push_registers 0
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
%endmacro

%macro pop_registers 0                  ; and vector and error code
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
        add     rsp, 16
%endmacro

section .text

%assign vector 0
%rep 256
align 16
trap_%+vector:
%if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
%elif vector == 21 || vector == 29 || vector == 30
%else
        push    0
%endif
        push    vector
%if vector == 1 || vector == 2 || vector == 8 || vector == 18
        jmp     trap_paranoid
%else
        jmp     trap_common
%endif
%assign vector vector + 1
%endrep

; The CPU aligns RSP to 16 before it pushes, and the frame is a multiple of 16.
global trap_common:function
trap_common:
        push_registers
        push    FLAGS_CLEAR
        popfq
        test    byte [rsp + FRAME_CS], 3
        jz      .call
        swapgs
.user:  xor     ebp, ebp                    ; ends backtraces
.call:  mov     rdi, rsp
        call    trap_entry
        test    byte [rsp + FRAME_CS], 3
        jz      trap_return.registers
trap_return:
        mov     rax, [rsp + FRAME_RIP]
        shr     rax, USER_BITS
        jnz     .not_canonical
.swap:  swapgs
.registers:
        pop_registers
        iretq
.not_canonical:
        mov     rax, NOT_CANONICAL
        or      [rsp + FRAME_RIP], rax
        jmp     .swap

; On an emergency stack. From user mode nothing is odd, so the frame moves to the thread's own
; stack, where it may be switched away.
global trap_paranoid:function
trap_paranoid:
        push_registers
        push    FLAGS_CLEAR
        popfq
        test    byte [rsp + FRAME_CS], 3
        jnz     .from_user
        xor     ebx, ebx
        mov     ecx, GS_BASE
        rdmsr
        test    edx, edx
        js      .call                       ; a kernel address
        swapgs
        inc     ebx
.call:  mov     rdi, rsp
        call    trap_entry_emergency
        test    ebx, ebx
        jz      trap_return.registers
        jmp     trap_return.swap
.from_user:
        swapgs
        mov     rsi, rsp
        mov     rdi, [gs:LOCAL_KERNEL_STACK]
        sub     rdi, FRAME_SIZE
        mov     rsp, rdi
        mov     ecx, FRAME_SIZE / 8
        rep movsq
        jmp     trap_common.user

; SYSCALL from user mode: RCX = return address, R11 = flags, RSP and GS the user's, interrupts and
; the flags of MSR FMASK off.
global port_syscall:function
port_syscall:
        swapgs
        mov     [gs:LOCAL_USER_SP], rsp
        mov     rsp, [gs:LOCAL_KERNEL_STACK]
        push    USER_DATA
        push    qword [gs:LOCAL_USER_SP]
        push    r11
        push    USER_CODE
        push    rcx
        push    0
        push    VECTOR_SYSCALL_NUMBER
        push_registers
        xor     ebp, ebp                    ; ends backtraces
        cmp     rax, SYSCALL_CHANNEL_CALL
        jae     .message                    ; these two numbers are the last
.any:   mov     rdi, rsp
        call    trap_syscall
.back:  ; RCX in the frame is the return address as SYSCALL gave it: where they differ, the frame
        ; has been changed, and all of it counts. RBX and R12 to R15 are as C has kept them.
        mov     rcx, [rsp + FRAME_RIP]
        cmp     rcx, [rsp + FRAME_RCX]
        jne     syscall_return_all
        mov     rax, rcx
        shr     rax, USER_BITS
        jnz     trap_return
        mov     r11, [rsp + FRAME_RFLAGS]
        mov     r10, [rsp + FRAME_R10]
        mov     r9, [rsp + FRAME_R9]
        mov     r8, [rsp + FRAME_R8]
        mov     rbp, [rsp + FRAME_RBP]
        mov     rdi, [rsp + FRAME_RDI]
        mov     rsi, [rsp + FRAME_RSI]
        mov     rdx, [rsp + FRAME_RDX]
        mov     rax, [rsp + FRAME_RAX]
        mov     rsp, [rsp + FRAME_RSP]
        swapgs
        o64 sysret
.message:                                   ; RDI, RSI and RDX are the program's
        jne     .reply_receive
        call    hal_event_channel_call
        jmp     .any
.reply_receive:
        cmp     rax, SYSCALL_CHANNEL_REPLY_RECEIVE
        jne     .any
        call    hal_event_channel_reply_receive
        jmp     .any

; What a parked thread's stack holds below its frame is this address, and a word in place of RBP.
global port_message_resume:function
port_message_resume:
        add     rsp, 8
        xor     ebp, ebp
        mov     rdi, rsp
        call    trap_message_resumed
        jmp     port_syscall.back

; hal_context_continue(): RAX = frame of the thread that parks, RSI = the context that goes on.
global port_context_continue:function
port_context_continue:
        mov     qword [rax - 16], port_message_resume
        mov     rsp, [rsi]
        pop     rax
        jmp     rax

; hal_message_leave(): RAX = frame of the thread that parks, RBX = of the one that goes on, RSI and RDX
; as it shall see them, RCX = on_cpu, RDI = lock. Once that one is free its frame may change.
global port_message_leave:function
port_message_leave:
        mov     qword [rax - 16], port_message_resume
        mov     rsp, rbx
        mov     r10, [rax + FRAME_R10]
        mov     r8, [rax + FRAME_R8]
        mov     r9, [rax + FRAME_R9]
        mov     rbx, [rax + FRAME_RBX]
        mov     r12, [rax + FRAME_R12]
        mov     r13, [rax + FRAME_R13]
        mov     r14, [rax + FRAME_R14]
        mov     r15, [rax + FRAME_R15]
        mov     byte [rcx], 0
        inc     dword [rdi]
        mov     rcx, [rsp + FRAME_RIP]
        mov     rax, rcx
        shr     rax, USER_BITS
        jnz     .not_canonical
        mov     r11, [rsp + FRAME_RFLAGS]
        mov     rbp, [rsp + FRAME_RBP]
        mov     rdi, [rsp + FRAME_RDI]
        mov     rsp, [rsp + FRAME_RSP]
        swapgs
        o64 sysret
.not_canonical:
        mov     [rsp + FRAME_R15], r15
        mov     [rsp + FRAME_R14], r14
        mov     [rsp + FRAME_R13], r13
        mov     [rsp + FRAME_R12], r12
        mov     [rsp + FRAME_RBX], rbx
        mov     [rsp + FRAME_R9], r9
        mov     [rsp + FRAME_R8], r8
        mov     [rsp + FRAME_R10], r10
        mov     [rsp + FRAME_RSI], rsi
        mov     [rsp + FRAME_RDX], rdx
        mov     qword [rsp + FRAME_RAX], 0
        jmp     trap_return

; The frame of a system call was changed: by SYSRET where it can, since IRET takes many times as long.
; What SYSRET cannot load is RCX and R11, which a system call loses anyway.
syscall_return_all:
        cmp     dword [rsp + FRAME_VECTOR], VECTOR_SYSCALL_NUMBER
        jne     trap_return
        mov     rax, rcx
        shr     rax, USER_BITS
        jnz     trap_return
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        add     rsp, 8
        pop     r10
        pop     r9
        pop     r8
        pop     rbp
        pop     rdi
        pop     rsi
        pop     rdx
        add     rsp, 8
        pop     rbx
        pop     rax
        mov     r11, [rsp + FRAME_RFLAGS - FRAME_VECTOR]
        mov     rsp, [rsp + FRAME_RSP - FRAME_VECTOR]
        swapgs
        o64 sysret

; void hal_user_enter(vaddr_t pc, vaddr_t sp, u64 arg0, u64 arg1): RDI RSI RDX RCX.
; Interrupts masked.
global hal_user_enter:function
hal_user_enter:
        mov     rax, rdi
        shr     rax, USER_BITS
        jz      .go
        mov     rax, NOT_CANONICAL
        or      rdi, rax
.go:    push    USER_DATA
        push    rsi
        push    FLAGS_USER
        push    USER_CODE
        push    rdi
        mov     rdi, rdx
        mov     rsi, rcx
        xor     eax, eax
        xor     ebx, ebx
        xor     ecx, ecx
        xor     edx, edx
        xor     ebp, ebp
        xor     r8d, r8d
        xor     r9d, r9d
        xor     r10d, r10d
        xor     r11d, r11d
        xor     r12d, r12d
        xor     r13d, r13d
        xor     r14d, r14d
        xor     r15d, r15d
        swapgs
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
