; SPDX-License-Identifier: MIT
; Switching threads, and copying to and from user memory, x86_64.
; Calls:   System V ABI. Spec: Intel SDM vol. 3, 4.6 (SMAP); <hal/context.h> for what each promises.

%include "offsets.inc"

default rel

section .text

; Where hal_context_init() lets a new thread begin: its stack holds entry and argument, above them a
; frame record of zeroes, at which RBP shall point.
global port_context_begin:function
port_context_begin:
        pop     rax
        pop     rdi
        mov     rbp, rsp
        call    rax
        ud2

; void port_page_zero(void *page): RDI, page-aligned; clobbers RAX, RCX. Interrupts are masked for its
; 256 stores, so that nobody sees XMM0, which is given back, or CR0.TS cleared.
global port_page_zero:function
port_page_zero:
        pushfq
        cli
        mov     rax, cr0
        clts
        sub     rsp, 16
        movups  [rsp], xmm0
        xorps   xmm0, xmm0
        mov     ecx, 4096 / 512
.block:
%assign at 0
%rep 32
        movaps  [rdi + at], xmm0
%assign at at + 16
%endrep
        add     rdi, 512
        dec     ecx
        jnz     .block
        movups  xmm0, [rsp]
        add     rsp, 16
        test    al, 8                       ; CR0.TS
        jz      .out
        mov     cr0, rax
.out:   popfq
        ret

; size_t hal_user_copy_in(void *dst, vaddr_t user, size_t n)
; size_t hal_user_copy_out(vaddr_t user, const void *src, size_t n)
; One body: RDI = where to, RSI = where from, RDX = bytes; returns in RAX what is left of them. At
; any access RDI, RSI and RDX say what is still to do, so that a fault in the middle goes on byte by
; byte up to the very first byte that is out of bounds, and ends there. AC lets the kernel touch
; user pages where the CPU has SMAP; where not, the instructions that set it do not exist either.
REP_MIN         equ 128                     ; shorter ones lose by the start of REP MOVS

extern port_has_smap
global hal_user_copy_in:function
global hal_user_copy_out:function
hal_user_copy_in:
hal_user_copy_out:
        cmp     byte [port_has_smap], 0
        je      .start
        stac
.start: cmp     rdx, 32
        jb      copy_words
        cmp     rdx, REP_MIN
        jae     copy_with_rep
copy_block:
        mov     rax, [rsi]
        mov     rcx, [rsi + 8]
        mov     r8, [rsi + 16]
        mov     r9, [rsi + 24]
        mov     [rdi], rax
        mov     [rdi + 8], rcx
        mov     [rdi + 16], r8
        mov     [rdi + 24], r9
copy_block_end:
        add     rsi, 32
        add     rdi, 32
        sub     rdx, 32
        cmp     rdx, 32
        jae     copy_block
copy_words:
        cmp     rdx, 8
        jb      copy_bytes
copy_word:
        mov     rax, [rsi]
        mov     [rdi], rax
copy_word_end:
        add     rsi, 8
        add     rdi, 8
        sub     rdx, 8
        cmp     rdx, 8
        jae     copy_word
copy_bytes:
        test    rdx, rdx
        jz      copy_done
copy_byte:
        mov     al, [rsi]
        mov     [rdi], al
copy_byte_end:
        inc     rsi
        inc     rdi
        dec     rdx
        jnz     copy_byte
copy_done:
        cmp     byte [port_has_smap], 0
        je      .out
        clac
.out:   mov     rax, rdx
        ret
copy_with_rep:
        mov     rcx, rdx
        shr     rcx, 3
        and     edx, 7
copy_many:
        rep movsq
copy_many_end:
        jmp     copy_bytes
copy_many_fault:
        lea     rdx, [rdx + rcx * 8]
        jmp     copy_bytes

section .rodata
; Where a fault is one of the copies', and where it goes on: start, end, target; ends with zeroes.
align 8
global port_copy_fixups:data
port_copy_fixups:
        dq      copy_block, copy_block_end, copy_bytes
        dq      copy_word, copy_word_end, copy_bytes
        dq      copy_byte, copy_byte_end, copy_done
        dq      copy_many, copy_many_end, copy_many_fault
        dq      0, 0, 0

section .note.GNU-stack noalloc noexec nowrite progbits
