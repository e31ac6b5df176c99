/* SPDX-License-Identifier: MIT */
/* Entry to EL1 and the way back.
 * Context:   entered by the CPU with DAIF masked. Each entry saves a struct hal_trap_frame on the
 *            stack, calls C with it in x0, restores, and returns from the exception.
 * From EL0 and EL1 the frame is the same; from EL0 the stack pointer is the program's SP_EL0, x29
 * is zero, so that backtraces end, and a system call is told from other exceptions first of all.
 * FIQ is open while C runs, for what watches over handlers that hang; it has a frame of its own and
 * is closed around the instructions that ELR and SPSR must survive.
 * PAN is set by the CPU on entry (SCTLR.SPAN is 0); user memory is reached by LDTR and STTR alone.
 * Stack overflow: pushing a frame on a stack that ran into its guard page would fault again, and
 * again. So the synchronous entry from EL1 asks the MMU, before it touches the stack, whether both
 * ends of the frame are writable (AT S1E1W), and takes this CPU's emergency stack if not.
 * Interrupts need no such check: their push faults, and arrives here.
 * TPIDRRO_EL0 is scratch at EL1 and zero for programs.
 * SP_EL0 holds the running thread at EL1: entries from EL0 save the program's and load it.
 * Spec:      Arm ARM D1.3; layout in <port/frame.h>. */
#include <port/frame.h>

#define ESR_CLASS_SHIFT 26
#define ESR_CLASS_SVC   0x15           /* from AArch64 */
#define ESR_32BIT       (1 << 25)      /* length of the instruction: always, for SVC */
#define DAIF_FIQ        1
#define DAIF_ALL        7              /* but for debug exceptions */

    .macro  regs_save                  /* x2 .. x29; sp = frame */
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
    .endm

    .macro  regs_restore               /* x2 .. x29 */
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
    .endm

    /* x30, SP, PC, state, ESR, FAR and the record of code at EL1; x21 = its SP. x22 .. x25 are
     * clobbered, as everywhere below. */
    .macro  state_save_el1
    mrs     x22, elr_el1
    mrs     x23, spsr_el1
    mrs     x24, esr_el1
    mrs     x25, far_el1
    stp     x30, x21, [sp, #FRAME_X + 240]
    stp     x22, x23, [sp, #FRAME_PC]
    stp     x24, x25, [sp, #FRAME_ESR]
    stp     x29, x22, [sp, #FRAME_RECORD]
    add     x29, sp, #FRAME_RECORD
    .endm

    .macro  entry_el1 handler          /* the stack has room for a frame */
    stp     x0, x1, [sp, #-FRAME_SIZE]!
    regs_save
    add     x21, sp, #FRAME_SIZE
    state_save_el1
    mov     x0, sp
    mov     w1, wzr
    msr     daifclr, #DAIF_FIQ
    bl      \handler
    b       return_el1
    .endm

    /* All but ESR and FAR; leaves ESR in x24. */
    .macro  save_el0
    stp     x0, x1, [sp, #-FRAME_SIZE]!
    regs_save
    mrs     x21, sp_el0
    mrs     x22, elr_el1
    mrs     x23, spsr_el1
    mrs     x24, esr_el1
    mrs     x25, tpidr_el1
    ldr     x25, [x25, #LOCAL_CURRENT]
    stp     x30, x21, [sp, #FRAME_X + 240]
    stp     x22, x23, [sp, #FRAME_PC]
    msr     sp_el0, x25
    mov     x29, xzr
    .endm

    .macro  entry_el0 handler
    save_el0
    mrs     x25, far_el1
    stp     x24, x25, [sp, #FRAME_ESR]
    mov     x0, sp
    mov     w1, wzr
    msr     daifclr, #DAIF_FIQ
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
    mrs     x0, tpidr_el1
    str     x1, [x0, #LOCAL_SCRATCH]
    ldr     x1, [x0, #LOCAL_EMERGENCY]
    sub     x1, x1, #FRAME_SIZE
    mov     x0, sp
    mov     sp, x1
    str     x0, [sp, #FRAME_SP]
    mrs     x0, tpidr_el1
    ldr     x1, [x0, #LOCAL_SCRATCH]
    mrs     x0, tpidrro_el0
    msr     tpidrro_el0, xzr
    stp     x0, x1, [sp, #FRAME_X]
    regs_save
    ldr     x21, [sp, #FRAME_SP]
    state_save_el1
    mov     x0, sp
    mov     w1, #1
    bl      port_trap_sync
    /* A handler that resumed an overflow left the old stack to go on with. */
    ldp     x0, x1, [sp, #FRAME_PC]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    regs_restore
    ldr     x30, [sp, #FRAME_X + 240]
    ldp     x0, x1, [sp, #FRAME_X]
    msr     tpidrro_el0, x0
    ldr     x0, [sp, #FRAME_SP]
    mov     sp, x0
    mrs     x0, tpidrro_el0
    msr     tpidrro_el0, xzr
    eret

    .type el1_irq, %function
el1_irq:
    entry_el1 port_trap_irq

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
    msr     daifset, #DAIF_ALL
    ldp     x0, x1, [sp, #FRAME_PC]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    regs_restore
    ldr     x30, [sp, #FRAME_X + 240]
    ldp     x0, x1, [sp], #FRAME_SIZE
    eret

    .type el0_sync, %function
el0_sync:
    save_el0
    mov     w25, #(ESR_CLASS_SVC << ESR_CLASS_SHIFT | ESR_32BIT)
    cmp     w24, w25
    b.ne    el0_other
    str     x24, [sp, #FRAME_ESR]
el0_syscall:
    mov     x0, sp
    msr     daifclr, #DAIF_ALL
    bl      port_syscall

    .type return_el0, %function
return_el0:
    msr     daifset, #DAIF_ALL
    ldp     x30, x21, [sp, #FRAME_X + 240]
    ldp     x22, x23, [sp, #FRAME_PC]
    msr     sp_el0, x21
    msr     elr_el1, x22
    msr     spsr_el1, x23
    regs_restore
    ldp     x0, x1, [sp], #FRAME_SIZE
    eret

    /* SVC with an immediate says that there may be a message in the registers. x0 to x2 are the
     * program's. */
    .type el0_other, %function
el0_other:
    lsr     x25, x24, #ESR_CLASS_SHIFT
    cmp     x25, #ESR_CLASS_SVC
    b.ne    el0_fault
    str     x24, [sp, #FRAME_ESR]
    cmp     x8, #SYSCALL_CHANNEL_CALL
    b.ne    1f
    bl      hal_event_channel_call
    b       el0_syscall
1:  cmp     x8, #SYSCALL_CHANNEL_REPLY_RECEIVE
    b.ne    el0_syscall
    bl      hal_event_channel_reply_receive
    b       el0_syscall

    /* What a parked thread's stack holds below its frame is a zero for x29 and this address. */
    .type port_message_resume, %function
port_message_resume:
    mov     x0, sp
    bl      port_message_resumed
    b       return_el0

    /* hal_context_continue(): x3 = frame of the thread that parks, x1 = the context that goes on. */
    .globl port_context_continue
    .type port_context_continue, %function
port_context_continue:
    adr     x6, port_message_resume
    stp     xzr, x6, [x3, #-16]
    ldr     x4, [x1]
    mov     sp, x4
    ldp     x29, x2, [sp], #16
    br      x2

    /* hal_message_leave(): x0 = frame of the thread that goes on, x1 and x2 as it shall see them,
     * x3 = frame of the one that parks, x4 = on_cpu, x5 = lock. Once that one is free its frame may
     * change. */
    .globl port_message_leave
    .type port_message_leave, %function
port_message_leave:
    adr     x6, port_message_resume
    stp     xzr, x6, [x3, #-16]
    mov     sp, x0
    ldp     x10, x11, [x3, #FRAME_X + 80]
    ldp     x12, x13, [x3, #FRAME_X + 96]
    ldp     x14, x15, [x3, #FRAME_X + 112]
    ldp     x16, x17, [x3, #FRAME_X + 128]
    ldp     x30, x21, [sp, #FRAME_X + 240]
    ldp     x22, x23, [sp, #FRAME_PC]
    msr     sp_el0, x21
    msr     elr_el1, x22
    msr     spsr_el1, x23
    stlrb   wzr, [x4]
    ldr     w6, [x5]
    add     w6, w6, #1
    stlr    w6, [x5]
    ldr     x3, [sp, #FRAME_X + 24]
    ldp     x4, x5, [sp, #FRAME_X + 32]
    ldp     x6, x7, [sp, #FRAME_X + 48]
    ldp     x8, x9, [sp, #FRAME_X + 64]
    ldp     x18, x19, [sp, #FRAME_X + 144]
    ldp     x20, x21, [sp, #FRAME_X + 160]
    ldp     x22, x23, [sp, #FRAME_X + 176]
    ldp     x24, x25, [sp, #FRAME_X + 192]
    ldp     x26, x27, [sp, #FRAME_X + 208]
    ldp     x28, x29, [sp, #FRAME_X + 224]
    mov     x0, xzr
    add     sp, sp, #FRAME_SIZE
    eret

    .type el0_fault, %function
el0_fault:
    mrs     x25, far_el1
    stp     x24, x25, [sp, #FRAME_ESR]
    mov     x0, sp
    mov     w1, wzr
    msr     daifclr, #DAIF_FIQ
    bl      port_trap_sync
    b       return_el0

    .type el0_irq, %function
el0_irq:
    entry_el0 port_trap_irq

    .type el0_fiq, %function
el0_fiq:
    entry_el0 port_trap_fiq

    .type el0_serror, %function
el0_serror:
    entry_el0 port_trap_serror

    .type el0_aarch32, %function
el0_aarch32:
    entry_el0 port_trap_aarch32

/* void hal_user_enter(vaddr_t pc, vaddr_t sp, u64 arg0, u64 arg1): x0 .. x3, interrupts masked. */
    .globl hal_user_enter
    .type hal_user_enter, %function
hal_user_enter:
    msr     daifset, #DAIF_ALL
    msr     elr_el1, x0
    msr     sp_el0, x1
    msr     spsr_el1, xzr              /* EL0, AArch64, nothing masked */
    mrs     x4, tpidr_el1
    ldr     x4, [x4, #LOCAL_KERNEL_STACK]
    mov     sp, x4
    mov     x0, x2
    mov     x1, x3
    .irp    n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24
    mov     x\n, xzr
    .endr
    .irp    n, 25, 26, 27, 28, 29, 30
    mov     x\n, xzr
    .endr
    eret

    .section .note.GNU-stack, "", %progbits
