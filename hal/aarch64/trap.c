/* SPDX-License-Identifier: MIT */
/* From syndrome to struct hal_trap.
 * Owns:      the emergency stacks.      Callers: vectors.S.      Locks: none.
 * Context:   that of the interrupted code, DAIF masked.
 * Invariant: the local block of every CPU that runs names a usable emergency stack.
 * Spec:      Arm ARM D17.2.37 (ESR_EL1), D17.2.40 (FAR_EL1); data fault codes in table D17-2. */
#include <abi/syscalls.h>
#include <hal/events.h>
#include <hal/smp.h>
#include <hal/trap.h>
#include <helix/bits.h>
#include <helix/panic.h>
#include <port/semihosting.h>

#define ESR_CLASS(esr)    ((u32)((esr) >> 26) & 0x3f)
#define ESR_WRITE         (1u << 6)  /* data abort: by a store */
#define ESR_FAR_NOT_VALID (1u << 10) /* external abort: FAR says nothing */
#define ESR_FAULT(esr)    ((u32)(esr)&0x3f)

#define CLASS_UNKNOWN         0x00
#define CLASS_FETCH_ABORT_EL0 0x20
#define CLASS_FETCH_ABORT     0x21
#define CLASS_PC_ALIGNMENT    0x22
#define CLASS_DATA_ABORT_EL0  0x24
#define CLASS_DATA_ABORT      0x25
#define CLASS_WATCHPOINT_EL0  0x34
#define CLASS_WATCHPOINT      0x35
#define CLASS_BRK             0x3c
#define BRK_COMPILER_TRAP     1000 /* GCC's __builtin_trap() */

#define FAULT_EXTERNAL  0x10
#define FAULT_ALIGNMENT 0x21

#define EMERGENCY_SIZE 16384

static u8 boot_emergency[EMERGENCY_SIZE] HX_ALIGNED(16);

/* From boot/aarch64/entry.S until core sets its own. */
struct hal_cpu_local port_boot_local = {.emergency = (vaddr_t)boot_emergency + EMERGENCY_SIZE};

/* Called by vectors.S; emergency says that the stack pointer was of no use. */
void port_syscall(struct hal_trap_frame *frame);
void port_message_resumed(struct hal_trap_frame *frame);
void port_trap_sync(struct hal_trap_frame *frame, u32 emergency);
void port_trap_irq(struct hal_trap_frame *frame);
void port_trap_fiq(struct hal_trap_frame *frame);
void port_trap_serror(struct hal_trap_frame *frame);
void port_trap_bad_stack(struct hal_trap_frame *frame);
void port_trap_aarch32(struct hal_trap_frame *frame);

static const struct {
    u8 kind;
    const char *name; /* NULL: none that the manual names */
} classes[64] = {
    [CLASS_UNKNOWN] = {TRAP_UNDEFINED, "undefined instruction"},
    [0x01] = {TRAP_UNDEFINED, "trapped WFI or WFE"},
    [0x07] = {TRAP_FLOAT, "floating point while disabled"},
    [0x0d] = {TRAP_PROTECTION, "branch target exception"},
    [0x0e] = {TRAP_PROTECTION, "illegal execution state"},
    [0x11] = {TRAP_OTHER, "SVC (AArch32)"},
    [0x15] = {TRAP_OTHER, "SVC in the kernel"},
    [0x16] = {TRAP_UNDEFINED, "HVC"},
    [0x17] = {TRAP_UNDEFINED, "SMC"},
    [0x18] = {TRAP_UNDEFINED, "trapped system register access"},
    [0x19] = {TRAP_FLOAT, "SVE while disabled"},
    [0x1c] = {TRAP_PROTECTION, "pointer authentication failure"},
    [0x1d] = {TRAP_FLOAT, "SME while disabled"},
    [CLASS_FETCH_ABORT_EL0] = {TRAP_PAGE_FAULT, "instruction abort"},
    [CLASS_FETCH_ABORT] = {TRAP_PAGE_FAULT, "instruction abort"},
    [CLASS_PC_ALIGNMENT] = {TRAP_ALIGNMENT, "PC alignment fault"},
    [CLASS_DATA_ABORT_EL0] = {TRAP_PAGE_FAULT, "data abort"},
    [CLASS_DATA_ABORT] = {TRAP_PAGE_FAULT, "data abort"},
    [0x26] = {TRAP_ALIGNMENT, "SP alignment fault"},
    [0x28] = {TRAP_FLOAT, "floating-point exception (AArch32)"},
    [0x2c] = {TRAP_FLOAT, "floating-point exception"},
    [0x2f] = {TRAP_MACHINE, "SError"},
    [0x30] = {TRAP_DEBUG, "hardware breakpoint"},
    [0x31] = {TRAP_DEBUG, "hardware breakpoint"},
    [0x32] = {TRAP_DEBUG, "software step"},
    [0x33] = {TRAP_DEBUG, "software step"},
    [CLASS_WATCHPOINT_EL0] = {TRAP_DEBUG, "watchpoint"},
    [CLASS_WATCHPOINT] = {TRAP_DEBUG, "watchpoint"},
    [0x38] = {TRAP_DEBUG, "BKPT (AArch32)"},
    [CLASS_BRK] = {TRAP_BREAKPOINT, "breakpoint (BRK)"},
};

/* Faults that come as aborts but are no question of mapping. */
static void abort_decode(struct hal_trap *trap, u64 esr)
{
    u32 fault = ESR_FAULT(esr);
    trap->address_valid = true;
    if (fault == FAULT_ALIGNMENT) {
        trap->kind = TRAP_ALIGNMENT;
        trap->name = "alignment fault";
    } else if (fault >= FAULT_EXTERNAL && fault < 0x20) {
        trap->kind = TRAP_MACHINE;
        trap->name = "external abort";
        trap->address_valid = (esr & ESR_FAR_NOT_VALID) == 0;
    } else {
        trap->present = fault >= 0x08 && fault < 0x10; /* access flag or permission */
    }
}

static void trap_decode(const struct hal_trap_frame *frame, struct hal_trap *trap)
{
    u32 exception_class = ESR_CLASS(frame->esr);
    *trap = (struct hal_trap){.kind = TRAP_OTHER,
                              .user = hal_frame_is_user(frame),
                              .address = frame->far,
                              .code = frame->esr,
                              .name = "exception of an unknown class"};
    if (classes[exception_class].name != NULL) {
        trap->kind = classes[exception_class].kind;
        trap->name = classes[exception_class].name;
    }
    switch (exception_class) {
    case CLASS_FETCH_ABORT_EL0:
    case CLASS_FETCH_ABORT:
        trap->access = ACCESS_EXECUTE;
        abort_decode(trap, frame->esr);
        break;
    case CLASS_DATA_ABORT_EL0:
    case CLASS_DATA_ABORT:
        trap->access = (frame->esr & ESR_WRITE) != 0 ? ACCESS_WRITE : ACCESS_READ;
        abort_decode(trap, frame->esr);
        break;
    case CLASS_WATCHPOINT_EL0:
    case CLASS_WATCHPOINT:
        trap->access = (frame->esr & ESR_WRITE) != 0 ? ACCESS_WRITE : ACCESS_READ;
        trap->address_valid = true;
        break;
    case CLASS_PC_ALIGNMENT:
        trap->access = ACCESS_EXECUTE;
        trap->address_valid = true;
        break;
    }
}

/* vectors.S has unmasked everything. */
void port_syscall(struct hal_trap_frame *frame)
{
    hal_event_syscall(frame);
    hal_irq_disable();
    hal_event_return_user();
}

_Static_assert(SYSCALL_CHANNEL_CALL == HX_SYS_channel_call &&
                   SYSCALL_CHANNEL_REPLY_RECEIVE == HX_SYS_channel_reply_receive,
               "vectors.S compares with them");

/* Of a thread that had parked: what is left of its system call. */
void port_message_resumed(struct hal_trap_frame *frame)
{
    hal_event_message_resumed(frame);
    hal_irq_disable();
    hal_event_return(frame);
}

void port_trap_irq(struct hal_trap_frame *frame)
{
    hal_event_irq(frame);
    hal_event_return(frame);
}

/* The emergency stack holds nothing but this frame: no thread may be switched away from there. */
void port_trap_sync(struct hal_trap_frame *frame, u32 emergency)
{
    struct hal_trap trap;
    if (ESR_CLASS(frame->esr) == CLASS_UNKNOWN && frame->pc == (vaddr_t)semihosting_hlt) {
        frame->pc += 4;
        frame->x[0] = UINT64_MAX; /* nobody answered */
        return;
    }
    trap_decode(frame, &trap);
    if (emergency != 0 && trap.kind != TRAP_ALIGNMENT) {
        trap.kind = TRAP_STACK_OVERFLOW;
        trap.name = "kernel stack overflow";
    }
    if (trap.kind == TRAP_BREAKPOINT && (frame->esr & 0xffff) == BRK_COMPILER_TRAP) {
        trap.kind = TRAP_UNDEFINED; /* code that must not be reached: there is nothing behind it */
        trap.name = "undefined instruction (trap of the compiler)";
    } else if (trap.kind == TRAP_BREAKPOINT) {
        frame->pc += 4; /* ELR names the BRK itself */
    }
    hal_event_trap(frame, &trap);
    if (emergency == 0) {
        hal_event_return(frame);
    }
}

static void trap_report(struct hal_trap_frame *frame, enum hal_trap_kind kind, const char *name)
{
    struct hal_trap trap = {
        .kind = kind, .user = hal_frame_is_user(frame), .code = frame->esr, .name = name};
    hal_event_trap(frame, &trap);
}

void port_trap_fiq(struct hal_trap_frame *frame)
{
    trap_report(frame, TRAP_OTHER, "unexpected FIQ");
}

void port_trap_serror(struct hal_trap_frame *frame)
{
    trap_report(frame, TRAP_MACHINE, "SError");
}

void port_trap_bad_stack(struct hal_trap_frame *frame)
{
    trap_report(frame, TRAP_OTHER, "exception on the wrong stack pointer");
    panic_trap(frame, "cannot return to code on SP_EL0");
}

void port_trap_aarch32(struct hal_trap_frame *frame)
{
    trap_report(frame, TRAP_UNDEFINED, "AArch32 code");
    hal_event_return(frame);
}

void hal_trap_frame_print(const struct hal_trap_frame *frame,
                          void (*print)(void *ctx, const char *fmt, ...), void *ctx)
{
    for (u32 i = 0; i < 30; i += 3) {
        print(ctx, "x%-2u %016lx  x%-2u %016lx  x%-2u %016lx", i, frame->x[i], i + 1,
              frame->x[i + 1], i + 2, frame->x[i + 2]);
    }
    print(ctx, "x30 %016lx  sp  %016lx  pc  %016lx", frame->x[30], frame->sp, frame->pc);
    print(ctx, "spsr %016lx  esr %016lx  far %016lx", frame->state, frame->esr, frame->far);
}

void hal_trap_frame_set_pc(struct hal_trap_frame *frame, vaddr_t pc)
{
    frame->pc = pc;
}
