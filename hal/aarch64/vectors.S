/* SPDX-License-Identifier: MIT */
/* Exception vectors of EL1.
 * Context:   entered by the CPU with DAIF masked. Each entry saves a struct hal_trap_frame on the
 *            stack, calls C with it in x0, restores, and returns from the exception.
 * From EL0 and EL1 the frame is the same; from EL0 the stack pointer is the process's SP_EL0, and
 * the frame record is null, so that backtraces end there.
 * Stack overflow: pushing a frame on a stack that ran into its guard page would fault again, and
 * again. So the synchronous entry from EL1 asks the MMU, before it touches the stack, whether both
 * ends of the frame are writable (AT S1E1W), and takes this CPU's emergency stack if not.
 * Interrupts need no such check: their push faults, and arrives here.
 * TPIDRRO_EL0 and SP_EL0 are scratch at EL1: the first is zero for programs, the second is in the
 * frame when the exception came from one.     Spec: Arm ARM D1.3; layout in <port/frame.h>. */
#include <port/frame.h>

    .macro  regs_save                  /* all but SP, PC and what follows; sp = frame */
    stp     x0, x1, [sp, #FRAME_X + 0]
    stp     x2, x3, [sp, #FRAME_X + 16]
    stp     x4, x5, [sp, #FRAME_X + 32]
    stp     x6, x7, [sp, #FRAME_X + 48]
    stp     x8, x9, [sp, #FRAME_X + 64]
    stp     x10, x11, [sp, #FRAME_X + 80]
    stp     x12, x13, [sp, #FRAME_X + 96]
    stp     x14, x15, [sp, #FRAME_X + 112]
    stp     x16, x17, [sp, #FRAME_X + 128]
    stp     x18, x19, [sp, #FRAME_X + 144]
    stp     x20, x21, [sp, #FRAME_X + 160]
    stp     x22, x23, [sp, #FRAME_X + 176]
    stp     x24, x25, [sp, #FRAME_X + 192]
    stp     x26, x27, [sp, #FRAME_X + 208]
    stp     x28, x29, [sp, #FRAME_X + 224]
    str     x30, [sp, #FRAME_X + 240]
    .endm

    .macro  regs_restore               /* x2 .. x30 */
    ldp     x2, x3, [sp, #FRAME_X + 16]
    ldp     x4, x5, [sp, #FRAME_X + 32]
    ldp     x6, x7, [sp, #FRAME_X + 48]
    ldp     x8, x9, [sp, #FRAME_X + 64]
    ldp     x10, x11, [sp, #FRAME_X + 80]
    ldp     x12, x13, [sp, #FRAME_X + 96]
    ldp     x14, x15, [sp, #FRAME_X + 112]
    ldp     x16, x17, [sp, #FRAME_X + 128]
    ldp     x18, x19, [sp, #FRAME_X + 144]
    ldp     x20, x21, [sp, #FRAME_X + 160]
    ldp     x22, x23, [sp, #FRAME_X + 176]
    ldp     x24, x25, [sp, #FRAME_X + 192]
    ldp     x26, x27, [sp, #FRAME_X + 208]
    ldp     x28, x29, [sp, #FRAME_X + 224]
    ldr     x30, [sp, #FRAME_X + 240]
    .endm

    .macro  state_save                 /* PC, state, ESR, FAR, record; clobbers x22 .. x25 */
    mrs     x22, elr_el1
    mrs     x23, spsr_el1
    mrs     x24, esr_el1
    mrs     x25, far_el1
    stp     x22, x23, [sp, #FRAME_PC]
    stp     x24, x25, [sp, #FRAME_ESR]
    .endm

    .macro  entry_el1 handler          /* the stack has room for a frame */
    sub     sp, sp, #FRAME_SIZE
    regs_save
    add     x21, sp, #FRAME_SIZE
    str     x21, [sp, #FRAME_SP]
    state_save
    stp     x29, x22, [sp, #FRAME_RECORD]
    add     x29, sp, #FRAME_RECORD
    mov     x0, sp
    mov     w1, wzr
    bl      \handler
    b       return_el1
    .endm

    .macro  entry_el0 handler
    sub     sp, sp, #FRAME_SIZE
    regs_save
    mrs     x21, sp_el0
    str     x21, [sp, #FRAME_SP]
    state_save
    stp     xzr, xzr, [sp, #FRAME_RECORD]
    add     x29, sp, #FRAME_RECORD
    mov     x0, sp
    mov     w1, wzr
    bl      \handler
    b       return_el0
    .endm

    .macro  vector target
    .balign 128
    b       \target
    .endm

    .section .text.vectors, "ax"
    .balign 2048
    .globl port_vectors
    .type port_vectors, %function
port_vectors:
    vector  el1_bad                    /* EL1 on SP_EL0: the kernel never runs there */
    vector  el1_bad
    vector  el1_bad
    vector  el1_bad
    vector  el1_sync
    vector  el1_irq
    vector  el1_fiq
    vector  el1_serror
    vector  el0_sync
    vector  el0_irq
    vector  el0_fiq
    vector  el0_serror
    vector  el0_aarch32                /* 32-bit programs: Helix has none */
    vector  el0_irq
    vector  el0_fiq
    vector  el0_serror

    .type el1_sync, %function
el1_sync:
    msr     tpidrro_el0, x0
    sub     x0, sp, #FRAME_SIZE
    tst     x0, #15
    b.ne    el1_sync_emergency
    at      s1e1w, x0
    isb
    mrs     x0, par_el1
    tbnz    x0, #0, el1_sync_emergency
    sub     x0, sp, #16
    at      s1e1w, x0
    isb
    mrs     x0, par_el1
    tbnz    x0, #0, el1_sync_emergency
    mrs     x0, tpidrro_el0
    msr     tpidrro_el0, xzr
    entry_el1 port_trap_sync

    .type el1_sync_emergency, %function
el1_sync_emergency:
    msr     sp_el0, x1
    mrs     x0, tpidr_el1
    adrp    x1, port_emergency_tops
    add     x1, x1, :lo12:port_emergency_tops
    ldr     x0, [x1, x0, lsl #3]
    sub     x0, x0, #FRAME_SIZE
    mov     x1, sp
    mov     sp, x0
    str     x1, [sp, #FRAME_SP]
    mrs     x1, sp_el0
    mrs     x0, tpidrro_el0
    msr     tpidrro_el0, xzr
    regs_save
    state_save
    stp     x29, x22, [sp, #FRAME_RECORD]
    add     x29, sp, #FRAME_RECORD
    mov     x0, sp
    mov     w1, #1
    bl      port_trap_sync
    /* A handler that resumed an overflow left the old stack to go on with. */
    ldp     x0, x1, [sp, #FRAME_PC]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    regs_restore
    ldp     x0, x1, [sp, #FRAME_X]
    msr     tpidrro_el0, x0
    ldr     x0, [sp, #FRAME_SP]
    mov     sp, x0
    mrs     x0, tpidrro_el0
    msr     tpidrro_el0, xzr
    eret

    .type el1_irq, %function
el1_irq:
    entry_el1 hal_event_irq

    .type el1_fiq, %function
el1_fiq:
    entry_el1 port_trap_fiq

    .type el1_serror, %function
el1_serror:
    entry_el1 port_trap_serror

    .type el1_bad, %function
el1_bad:                               /* SP_EL1 holds what it held; better than nothing */
    msr     spsel, #1
    entry_el1 port_trap_bad_stack

    .type return_el1, %function
return_el1:
    ldp     x0, x1, [sp, #FRAME_PC]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    regs_restore
    ldp     x0, x1, [sp, #FRAME_X]
    add     sp, sp, #FRAME_SIZE
    eret

    .type el0_sync, %function
el0_sync:
    entry_el0 port_trap_sync

    .type el0_irq, %function
el0_irq:
    entry_el0 hal_event_irq

    .type el0_fiq, %function
el0_fiq:
    entry_el0 port_trap_fiq

    .type el0_serror, %function
el0_serror:
    entry_el0 port_trap_serror

    .type el0_aarch32, %function
el0_aarch32:
    entry_el0 port_trap_aarch32

    .type return_el0, %function
return_el0:
    ldr     x0, [sp, #FRAME_SP]
    msr     sp_el0, x0
    ldp     x0, x1, [sp, #FRAME_PC]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    regs_restore
    ldp     x0, x1, [sp, #FRAME_X]
    add     sp, sp, #FRAME_SIZE
    eret

    .section .note.GNU-stack, "", %progbits
