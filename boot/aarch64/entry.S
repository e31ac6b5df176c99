/* SPDX-License-Identifier: MIT */
/* From the loader to C.
 * Context:   boot CPU, EL2 or EL1, MMU off, at any 2 MiB aligned address; x0 = device tree.
 * Registers: x19 physical image base, x20 device tree, x21 counter at entry: kept to boot_main.
 * Position-independent (ADR, ADRP) until the branch to `linked`; the loader's page tables are
 * built by C with the MMU off on the boot stack.
 * Spec:      Linux Documentation/arm64/booting.rst; Arm ARM for A-profile (DDI 0487). */
#include "boot_priv.h"

#include <port/mmu.h>

/* The address of a symbol where this code runs. */
    .macro  adr_l reg, symbol
    adrp    \reg, \symbol
    add     \reg, \reg, :lo12:\symbol
    .endm

#define HCR_RW        (1 << 31)        /* EL1 is AArch64 */
#define HCR_PAC       (3 << 40)        /* pointer authentication does not trap */
#define CNTHCTL_OPEN  3                /* EL1 may use the physical counter and timer */
#define CPTR_OPEN     0x33ff           /* bits that are one; no floating-point trap to EL2 */
#define ICC_SRE_OPEN  9                /* system registers here and at EL1 */
#define SPSR_EL1H     0x3c5            /* EL1, own stack pointer, DAIF masked */

    .section .head.text, "ax"
    .globl _start
    .type _start, %function
_start:
    b       entry
    .long   0
    .quad   0                          /* offset from a 2 MiB boundary */
    .quad   __image_size
    .quad   0xa                        /* little endian, 4 KiB pages, anywhere in memory */
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

    .type entry, %function
entry:
    mrs     x21, cntvct_el0
    mov     x20, x0
    mrs     x0, CurrentEL
    cmp     x0, #2 << 2
    b.lo    at_el1
    b.eq    at_el2
1:  wfe                                /* EL3: not a state that a loader may enter in */
    b       1b

    .type at_el2, %function
at_el2:
    mrs     x21, cntpct_el0            /* the virtual counter's offset is unknown yet */
    mov     x0, #HCR_RW
    mrs     x1, id_aa64isar1_el1
    ldr     x2, =0xff000ff0            /* any kind of pointer authentication */
    tst     x1, x2
    b.eq    1f
    orr     x0, x0, #HCR_PAC
1:  msr     hcr_el2, x0                /* VHE off, if it was on */
    isb
    mov     x0, #CNTHCTL_OPEN
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mov     x0, #CPTR_OPEN
    msr     cptr_el2, x0
    msr     hstr_el2, xzr
    msr     vttbr_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0

    mrs     x0, id_aa64dfr0_el1        /* all event counters to EL1, where there is a PMU */
    ubfx    x0, x0, #8, #4
    mov     x1, xzr
    sub     x0, x0, #1
    cmp     x0, #0xe
    b.hs    1f
    mrs     x1, pmcr_el0
    ubfx    x1, x1, #11, #5
1:  msr     mdcr_el2, x1

    mrs     x0, id_aa64pfr0_el1        /* the GIC's registers, where there are such */
    ubfx    x0, x0, #24, #4
    cbz     x0, 1f
    mrs     x0, S3_4_C12_C9_5          /* ICC_SRE_EL2 */
    mov     x1, #ICC_SRE_OPEN
    orr     x0, x0, x1
    msr     S3_4_C12_C9_5, x0
    isb
    mrs     x0, S3_4_C12_C9_5
    tbz     x0, #0, 1f
    msr     S3_4_C12_C11_0, xzr        /* ICH_HCR_EL2 */
1:
    mrs     x0, id_aa64mmfr0_el1       /* fine-grained traps off */
    ubfx    x0, x0, #56, #4
    cbz     x0, 1f
    msr     S3_4_C1_C1_4, xzr          /* HFGRTR_EL2, HFGWTR_EL2, HFGITR_EL2 */
    msr     S3_4_C1_C1_5, xzr
    msr     S3_4_C1_C1_6, xzr
    msr     S3_4_C3_C1_4, xzr          /* HDFGRTR_EL2, HDFGWTR_EL2 */
    msr     S3_4_C3_C1_5, xzr
1:
    ldr     x0, =SCTLR_OFF
    msr     sctlr_el1, x0
    mov     x0, #SPSR_EL1H
    msr     spsr_el2, x0
    adr     x0, at_el1
    msr     elr_el2, x0
    eret

    .type at_el1, %function
at_el1:
    ldr     x0, =SCTLR_OFF
    msr     sctlr_el1, x0
    msr     cpacr_el1, xzr             /* any use of floating point traps */
    msr     spsel, #1
    adr_l   x0, early_vectors
    msr     vbar_el1, x0
    isb
    adr_l   x0, __boot_stack_top
    mov     sp, x0
    mov     x29, xzr
    mov     x30, xzr

    adr_l   x0, boot_tables
    adr_l   x1, boot_tables_end
    bl      zero
    adrp    x19, __image_start
    mov     x0, x19
    ldr     x1, =__image_size
    mov     x2, x20
    bl      boot_map_init

    /* The tables went to memory past the caches: drop lines that were fetched before. */
    mrs     x0, ctr_el0
    ubfx    x0, x0, #16, #4
    mov     x1, #4
    lsl     x1, x1, x0
    adr_l   x2, boot_tables
    adr_l   x3, boot_tables_end
1:  dc      ivac, x2
    add     x2, x2, x1
    cmp     x2, x3
    b.lo    1b
    dsb     sy

    ldr     x0, =MAIR_VALUE
    msr     mair_el1, x0
    ldr     x0, =TCR_VALUE
    mrs     x1, id_aa64mmfr0_el1
    ubfx    x1, x1, #0, #4             /* physical size; 48 bits are all that descriptors hold */
    mov     x2, #5
    cmp     x1, x2
    csel    x1, x1, x2, lo
    orr     x0, x0, x1, lsl #TCR_IPS_SHIFT
    msr     tcr_el1, x0
    adr_l   x0, boot_tables
    msr     ttbr0_el1, x0
    add     x0, x0, #BOOT_TABLE_SIZE
    msr     ttbr1_el1, x0
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x0, =SCTLR_ON
    msr     sctlr_el1, x0
    isb
    ldr     x0, =linked
    br      x0

    .type linked, %function
linked:
    adr_l   x0, early_vectors
    msr     vbar_el1, x0
    isb
    msr     tpidr_el1, xzr             /* logical CPU 0 */
    adr_l   x0, __boot_stack_top
    mov     sp, x0
    adr_l   x0, __bss_start
    adr_l   x1, __bss_end
    bl      zero
    mov     x0, x20
    mov     x1, x21
    mov     x2, x19
    bl      boot_main

/* x0 start, x1 end, both 64-byte aligned, start < end. Clobbers x0. */
    .type zero, %function
zero:
    stp     xzr, xzr, [x0]
    stp     xzr, xzr, [x0, #16]
    stp     xzr, xzr, [x0, #32]
    stp     xzr, xzr, [x0, #48]
    add     x0, x0, #64
    cmp     x0, x1
    b.lo    zero
    ret
    .ltorg

/* Until the kernel has its own vectors nothing but a fault may arrive. All sixteen entries lead to
 * one report, on a fresh boot stack; only an unanswered semihosting call goes on. */
    .section .text.early_vectors, "ax"
    .balign 2048
    .globl early_vectors
early_vectors:
    .rept 16
    b       early_exception
    .balign 128
    .endr

    .type early_exception, %function
early_exception:
    msr     tpidr_el0, x0
    adr_l   x0, semihosting_hlt
    msr     tpidrro_el0, x1
    mrs     x1, elr_el1
    cmp     x0, x1
    b.ne    1f
    add     x0, x0, #4
    msr     elr_el1, x0
    mrs     x1, tpidrro_el0
    mov     x0, #-1
    eret
1:  adr_l   x0, __boot_stack_top
    mov     sp, x0
    adr_l   x0, exception_text
    mrs     x2, esr_el1
    bl      boot_fatal                 /* x1 is where it happened */

    .section .rodata.early_text, "a"
exception_text:
    .asciz  "exception before the console: address and syndrome"

    .section .boot.tables, "aw", %nobits
    .balign BOOT_TABLE_SIZE
    .globl boot_tables, boot_tables_used
boot_tables:
    .space  BOOT_TABLE_SIZE * BOOT_TABLE_COUNT
boot_tables_used:
    .space  64
boot_tables_end:

    .section .note.GNU-stack, "", %progbits
