; SPDX-License-Identifier: MIT
; From the boot loader to C, x86_64.
; Entry:   boot_entry, 32-bit protected mode, paging off, EAX = Multiboot2 magic, EBX = physical
;          address of the boot information. BIOS and UEFI loaders leave other bits of CR0, CR4 and
;          EFER in different states, so all three are written whole, never or-ed.
; Leaves:  long mode, interrupts off, the first 4 GiB at 0 and at DIRECT_MAP_BASE, the first GiB at
;          KERNEL_IMAGE_BASE; calls boot_main(mbi, counter) on the boot stack.
; Fails:   one line on COM1 and on the VGA text screen, and a halt.
; Spec:    Multiboot2 1.6 sections 3.1 and 3.3; Intel SDM vol. 3, 9.8.5 (entering IA-32e mode).

DIRECT_MAP_SLOT     equ 256         ; PML4 index of DIRECT_MAP_BASE
KERNEL_IMAGE_SLOT   equ 510         ; PDPT index of KERNEL_IMAGE_BASE
MB2_MAGIC_HEADER    equ 0xe85250d6
MB2_MAGIC_LOADER    equ 0x36d76289
COM1                equ 0x3f8
VGA_TEXT            equ 0xb8000

PAGE_TABLE          equ 3           ; present, writable
PAGE_LARGE          equ 0x83        ; and 2 MiB

section .boot.header progbits alloc noexec nowrite align=8
header:
        dd      MB2_MAGIC_HEADER
        dd      0                                   ; i386 protected mode
        dd      header_end - header
        dd      -(MB2_MAGIC_HEADER + 0 + (header_end - header))
align 8
        dw      5, 1                                ; framebuffer, optional
        dd      20
        dd      800, 600, 32
align 8
        dw      6, 1                                ; align modules to pages, optional
        dd      8
align 8
        dw      0, 0                                ; end
        dd      8
header_end:

section .boot.bss nobits alloc noexec write align=4096
pml4:           resb 4096
pdpt_low:       resb 4096
pdpt_high:      resb 4096
page_dirs:      resb 4 * 4096                       ; 4 GiB in 2 MiB pages
loader_magic:   resd 1
loader_info:    resd 1
entry_counter:  resq 1
                resb 1024
early_stack:

section .boot.text progbits alloc exec nowrite align=16
bits 32
global boot_entry:function
boot_entry:
        cli
        cld
        mov     esp, early_stack
        mov     [loader_magic], eax
        mov     [loader_info], ebx

        pushfd                                      ; CPUID exists iff EFLAGS.ID can be flipped
        pop     eax
        mov     ecx, eax
        xor     eax, 1 << 21
        push    eax
        popfd
        pushfd
        pop     eax
        push    ecx
        popfd
        cmp     eax, ecx
        mov     esi, no_long_mode
        je      fail

        rdtsc
        mov     [entry_counter], eax
        mov     [entry_counter + 4], edx

        mov     esi, no_magic
        cmp     dword [loader_magic], MB2_MAGIC_LOADER
        jne     fail
        mov     eax, 0x80000000
        cpuid
        mov     esi, no_long_mode
        cmp     eax, 0x80000001
        jb      fail
        mov     eax, 0x80000001
        cpuid
        bt      edx, 29
        jnc     fail
        mov     esi, no_nx
        bt      edx, 20
        jnc     fail

        mov     dword [pml4], pdpt_low + PAGE_TABLE
        mov     dword [pml4 + DIRECT_MAP_SLOT * 8], pdpt_low + PAGE_TABLE
        mov     dword [pml4 + 511 * 8], pdpt_high + PAGE_TABLE
        mov     dword [pdpt_high + KERNEL_IMAGE_SLOT * 8], page_dirs + PAGE_TABLE
        mov     eax, page_dirs + PAGE_TABLE
        mov     edi, pdpt_low
        mov     ecx, 4
.link:  mov     [edi], eax
        add     eax, 4096
        add     edi, 8
        loop    .link
        mov     eax, PAGE_LARGE
        mov     edi, page_dirs
        mov     ecx, 4 * 512
.fill:  mov     [edi], eax
        add     eax, 0x200000
        add     edi, 8
        loop    .fill

        mov     eax, 1 << 5                         ; CR4: PAE alone
        mov     cr4, eax
        mov     eax, pml4
        mov     cr3, eax
        mov     ecx, 0xc0000080                     ; EFER: LME, NXE
        mov     eax, 1 << 8 | 1 << 11
        xor     edx, edx
        wrmsr
        mov     eax, 0x8001003b                     ; CR0: PG WP NE ET TS MP PE
        mov     cr0, eax
        lgdt    [gdt_pointer]
        jmp     0x08:long_entry

; ESI = the line to print. Does not return.
fail:
        mov     edx, COM1 + 3                       ; 115200 8N1, no interrupts
        mov     al, 0x80
        out     dx, al
        mov     edx, COM1
        mov     al, 1
        out     dx, al
        inc     edx
        xor     eax, eax
        out     dx, al
        mov     edx, COM1 + 3
        mov     al, 3
        out     dx, al
        mov     edi, VGA_TEXT
.next:  lodsb
        test    al, al
        jz      .halt
        mov     ah, 0x4f                            ; white on red
        cmp     al, ' '
        jb      .serial
        stosw
.serial:
        mov     bl, al
        mov     ecx, 100000                         ; a port that is not there never gets ready
        mov     edx, COM1 + 5
.wait:  in      al, dx
        test    al, 0x20
        loopz   .wait
        mov     edx, COM1
        mov     al, bl
        out     dx, al
        jmp     .next
.halt:  cli
        hlt
        jmp     .halt

bits 64
long_entry:
        xor     eax, eax
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     fs, eax
        mov     gs, eax
        mov     edi, [abs loader_info]
        mov     rsi, [abs entry_counter]
        mov     rax, high_entry
        jmp     rax

align 8
gdt:    dq      0
        dq      0x00209b0000000000                  ; 64-bit code, ring 0
gdt_pointer:
        dw      $ - gdt - 1
        dd      gdt

no_magic:       db "Helix cannot start: not loaded by a Multiboot2 boot loader", 13, 10, 0
no_long_mode:   db "Helix cannot start: this CPU has no 64-bit mode", 13, 10, 0
no_nx:          db "Helix cannot start: this CPU cannot mark pages as not executable (NX)", 13, 10, 0

section .text
extern boot_main
extern __boot_stack_top
; RDI = physical address of the boot information, RSI = counter at entry.
global high_entry:function
high_entry:
        mov     rsp, __boot_stack_top
        push    0                                   ; a frame record of zeroes ends backtraces
        push    0
        mov     rbp, rsp
        call    boot_main
        ud2

section .note.GNU-stack noalloc noexec nowrite progbits
