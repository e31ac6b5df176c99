/* SPDX-License-Identifier: MIT */
/* Instructions that the contract suite needs and C cannot say; see probe.h two folders up.
 * Owns:      nothing.      Callers: tests/hal.      Context: any, on any kernel stack.
 * Each is a leaf without a frame: x30 is the return address wherever one can fault, so that a
 * handler resumes at probe_return and the probe is left. */
    .text

.macro function name
    .global \name
    .type \name, %function
    .balign 16
\name:
.endm

function probe_return
    ret

/* x0: address. Out: x0, the byte there. */
function probe_read
    ldrb w0, [x0]
    ret

/* x0: address; w1: byte. */
function probe_write
    strb w1, [x0]
    ret

/* x0: address to continue at, with the caller's return address. Out: x0 as left there. */
function probe_execute
    br x0

function probe_breakpoint
    brk #0
    ret

function probe_undefined
    udf #0

function probe_float
    .arch_extension fp
    fmov d0, xzr
    ret

/* PROBE_CODE_SIZE bytes each, that return 42 and 43 wherever they lie. */
    .global probe_code, probe_code_other
    .balign 16
probe_code:
    mov x0, #42
    ret
    .balign 16
probe_code_other:
    mov x0, #43
    ret
    .balign 16

/* Clobbers all that a function may clobber. */
function probe_scramble
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18
    mov x\n, #-1
    .endr
    cmn x0, #0 /* carry too: clear */
    ret

.macro pattern reg, n
    movz \reg, #(0x1100 + \n)
    movk \reg, #(0x2200 + \n), lsl #48
.endm

.macro save
    stp x29, x30, [sp, #-112]!
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
.endm

/* All but x0, x1 and sp. */
.macro fill
    .irp n, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    pattern x\n, \n
    .endr
.endm

/* Out: x0, 1 when every register and the carry flag survived a breakpoint. */
function probe_registers_trap
    save
    fill
    pattern x0, 0
    pattern x1, 1
    cmp xzr, xzr /* sets carry */
    brk #0
    b.cc changed
    stp x0, x1, [sp, #96] /* two registers to compare with */
    pattern x0, 1
    cmp x0, x1
    b.ne changed
    pattern x1, 0
    ldr x0, [sp, #96]
    cmp x0, x1
    b.ne changed
    b compare

/* x0: address of a u32 that an interrupt handler makes non-zero. Out: as above, x0 and x1
 * excepted. */
function probe_registers_wait
    save
    fill
1:  yield
    ldr w1, [x0]
    cbz w1, 1b

compare:
    .irp n, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    pattern x0, \n
    cmp x0, x\n
    b.ne changed
    .endr
    mov x0, #1
    b restore
changed:
    mov x0, #0
restore:
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp x29, x30, [sp], #112
    ret

    .section .note.GNU-stack, "", %progbits
