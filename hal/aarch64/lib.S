/* SPDX-License-Identifier: MIT */
/* What C cannot say, apart from the vectors.
 * Context:   any, unless said otherwise.     State: none. */
#include <port/frame.h>
#include <port/semihosting.h>

    .text

/* u64 semihosting_call(u64 operation, const void *argument): x0, x1 in, x0 out. Nothing else
 * changes. Position-independent. */
    .globl semihosting_call, semihosting_hlt
    .type semihosting_call, %function
semihosting_call:
semihosting_hlt:
    hlt     #0xf000
    ret

/* u64 port_smccc(u32 function, u64 a, u64 b, u64 c, bool smc): SMC Calling Convention 1.1; x4..x17
 * are the other side's. */
    .globl port_smccc
    .type port_smccc, %function
port_smccc:
    cbnz    w4, 1f
    hvc     #0
    ret
1:  smc     #0
    ret

/* void port_ttbr1_replace(root, empty, code): x0 new TTBR1, x1 new TTBR0, x2 physical address of
 * port_ttbr1_replace_code, which TTBR0 maps one to one. Between two TTBR1s that map the same pages
 * in other sizes there must be a moment without any (break before make), so that moment is spent
 * in TTBR0. Interrupts masked. Clobbers x3. */
    .globl port_ttbr1_replace, port_ttbr1_replace_code
    .type port_ttbr1_replace, %function
port_ttbr1_replace:
    adr     x3, 1f
    br      x2
1:  msr     ttbr0_el1, x1
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    ret
    .type port_ttbr1_replace_code, %function
port_ttbr1_replace_code:
    msr     ttbr1_el1, x1
    isb
    tlbi    vmalle1
    dsb     nsh
    isb
    msr     ttbr1_el1, x0
    isb
    br      x3

/* void hal_trap_frame_capture(struct hal_trap_frame *frame): as if the caller had been interrupted
 * where it continues. Changes no register. */
    .globl hal_trap_frame_capture
    .type hal_trap_frame_capture, %function
hal_trap_frame_capture:
    stp     x0, x1, [x0, #FRAME_X + 0]
    stp     x2, x3, [x0, #FRAME_X + 16]
    stp     x4, x5, [x0, #FRAME_X + 32]
    stp     x6, x7, [x0, #FRAME_X + 48]
    stp     x8, x9, [x0, #FRAME_X + 64]
    stp     x10, x11, [x0, #FRAME_X + 80]
    stp     x12, x13, [x0, #FRAME_X + 96]
    stp     x14, x15, [x0, #FRAME_X + 112]
    stp     x16, x17, [x0, #FRAME_X + 128]
    stp     x18, x19, [x0, #FRAME_X + 144]
    stp     x20, x21, [x0, #FRAME_X + 160]
    stp     x22, x23, [x0, #FRAME_X + 176]
    stp     x24, x25, [x0, #FRAME_X + 192]
    stp     x26, x27, [x0, #FRAME_X + 208]
    stp     x28, x29, [x0, #FRAME_X + 224]
    mov     x1, sp
    stp     x30, x1, [x0, #FRAME_X + 240]
    mrs     x1, nzcv
    mov     x2, #5                     /* EL1h */
    orr     x1, x1, x2
    mrs     x2, daif
    orr     x1, x1, x2
    stp     x30, x1, [x0, #FRAME_PC]
    stp     xzr, xzr, [x0, #FRAME_ESR]
    stp     x29, x30, [x0, #FRAME_RECORD]
    ldp     x1, x2, [x0, #FRAME_X + 8]
    ret

    .section .note.GNU-stack, "", %progbits
