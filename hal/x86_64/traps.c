/* SPDX-License-Identifier: MIT */
/* Exceptions, interrupts and system calls, from vector to the kernel's terms.
 * Owns:      nothing.       Caller: entry.asm.
 * Context:   that of the interrupted code, IRQs off.
 * Spec:      Intel SDM vol. 3, 6.15 (exception reference), 4.7 (page-fault error code).
 */
#include <port/pc.h>

#include <hal/events.h>
#include <hal/mmu.h>
#include <port/x86.h>

#define VECTOR_NMI          2
#define VECTOR_PAGE_FAULT   14
#define VECTOR_DOUBLE_FAULT 8

#define PF_PRESENT (1u << 0)
#define PF_WRITE   (1u << 1)
#define PF_FETCH   (1u << 4)

static const struct {
    enum hal_trap_kind kind;
    const char *name;
} exceptions[32] = {
    {TRAP_DIVIDE, "#DE divide error"},
    {TRAP_DEBUG, "#DB debug"},
    {TRAP_NMI, "NMI"},
    {TRAP_BREAKPOINT, "#BP breakpoint"},
    {TRAP_OTHER, "#OF overflow"},
    {TRAP_OTHER, "#BR bound range"},
    {TRAP_UNDEFINED, "#UD invalid opcode"},
    {TRAP_FLOAT, "#NM device not available"},
    {TRAP_OTHER, "#DF double fault"},
    {TRAP_OTHER, "coprocessor segment overrun"},
    {TRAP_PROTECTION, "#TS invalid TSS"},
    {TRAP_PROTECTION, "#NP segment not present"},
    {TRAP_PROTECTION, "#SS stack fault"},
    {TRAP_PROTECTION, "#GP general protection"},
    {TRAP_PAGE_FAULT, "#PF page fault"},
    {TRAP_OTHER, "reserved exception 15"},
    {TRAP_FLOAT, "#MF x87 error"},
    {TRAP_ALIGNMENT, "#AC alignment check"},
    {TRAP_MACHINE, "#MC machine check"},
    {TRAP_FLOAT, "#XM SIMD error"},
    {TRAP_OTHER, "#VE virtualization"},
    {TRAP_PROTECTION, "#CP control protection"},
    {TRAP_OTHER, "reserved exception 22"},
    {TRAP_OTHER, "reserved exception 23"},
    {TRAP_OTHER, "reserved exception 24"},
    {TRAP_OTHER, "reserved exception 25"},
    {TRAP_OTHER, "reserved exception 26"},
    {TRAP_OTHER, "reserved exception 27"},
    {TRAP_OTHER, "#HV hypervisor injection"},
    {TRAP_OTHER, "#VC VMM communication"},
    {TRAP_OTHER, "#SX security"},
    {TRAP_OTHER, "reserved exception 31"},
};

/* A push to an unmapped stack faults, and the fault's own push faults again: that is what a stack
 * overflow looks like. CR2 holds the address of the first. */
static bool is_stack_overflow(const struct hal_trap_frame *frame)
{
    struct hal_mapping mapping;
    vaddr_t touched = cr2_read();
    return touched <= frame->rsp && frame->rsp - touched <= 2 * HX_PAGE_SIZE &&
           hal_mmu.query(&hal_kernel_space, touched, &mapping) == HX_ERR_NOT_FOUND;
}

/* The one exception that is part of normal work. */
static void page_fault(struct hal_trap_frame *frame)
{
    u64 error = frame->error;
    struct hal_trap trap = {
        .kind = TRAP_PAGE_FAULT,
        .name = exceptions[VECTOR_PAGE_FAULT].name,
        .access = error & PF_FETCH   ? ACCESS_EXECUTE
                  : error & PF_WRITE ? ACCESS_WRITE
                                     : ACCESS_READ,
        .present = error & PF_PRESENT,
        .user = hal_frame_is_user(frame),
        .address_valid = true,
        .address = cr2_read(),
        .code = error,
    };
    hal_event_trap(frame, &trap);
}

static void decode(const struct hal_trap_frame *frame, struct hal_trap *trap)
{
    *trap = (struct hal_trap){
        .kind = exceptions[frame->vector].kind,
        .name = exceptions[frame->vector].name,
        .user = hal_frame_is_user(frame),
        .code = frame->error,
    };
    if (frame->vector == VECTOR_DOUBLE_FAULT && is_stack_overflow(frame)) {
        trap->kind = TRAP_STACK_OVERFLOW;
        trap->address = cr2_read();
        trap->address_valid = true;
    }
}

void trap_entry(struct hal_trap_frame *frame);
void trap_entry_emergency(struct hal_trap_frame *frame);
void trap_syscall(struct hal_trap_frame *frame);
void trap_message_resumed(struct hal_trap_frame *frame);

static void exception(struct hal_trap_frame *frame)
{
    struct hal_trap trap;
    if (frame->vector == VECTOR_SYSCALL) {
        trap = (struct hal_trap){.kind = TRAP_OTHER, .name = "int 0x80 in the kernel"};
    } else {
        decode(frame, &trap);
    }
    hal_event_trap(frame, &trap);
}

/* On a stack that holds nothing but this frame, which the next exception of its kind overwrites: no
 * thread may be switched away from here. */
void trap_entry_emergency(struct hal_trap_frame *frame)
{
    exception(frame);
}

void trap_syscall(struct hal_trap_frame *frame)
{
    hal_irq_enable();
    hal_event_syscall(frame);
    hal_irq_disable();
    hal_event_return_user();
}

/* Of a thread that had parked: what is left of its system call. */
void trap_message_resumed(struct hal_trap_frame *frame)
{
    hal_event_message_resumed(frame);
    hal_irq_disable();
    hal_event_return(frame);
}

/* An NMI blocks the next one until an IRET, so it returns straight to what it interrupted. */
void trap_entry(struct hal_trap_frame *frame)
{
    if (frame->vector == VECTOR_PAGE_FAULT) {
        page_fault(frame);
        hal_event_return(frame);
        return;
    }
    if (frame->vector == VECTOR_SYSCALL && hal_frame_is_user(frame)) {
        trap_syscall(frame);
        return;
    }
    if (frame->vector >= VECTOR_IRQ_BASE && frame->vector != VECTOR_SYSCALL) {
        hal_event_irq(frame);
    } else {
        exception(frame);
    }
    if (frame->vector != VECTOR_NMI) {
        hal_event_return(frame);
    }
}

void hal_trap_frame_print(const struct hal_trap_frame *f,
                          void (*print)(void *ctx, const char *fmt, ...), void *ctx)
{
    print(ctx, "rip %016lx  rsp %016lx  rflags %08lx  cs %02lx ss %02lx", f->rip, f->rsp, f->rflags,
          f->cs, f->ss);
    print(ctx, "rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
    print(ctx, "rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
    print(ctx, "r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx", f->r9, f->r10, f->r11, f->r12);
    print(ctx, "r13 %016lx  r14 %016lx  r15 %016lx  vector %lu error %lx", f->r13, f->r14, f->r15,
          f->vector, f->error);
    print(ctx, "cr0 %08lx  cr2 %016lx  cr3 %08lx  cr4 %08lx", cr0_read(), cr2_read(), cr3_read(),
          cr4_read());
}

void hal_trap_frame_set_pc(struct hal_trap_frame *frame, vaddr_t pc)
{
    frame->rip = pc;
}
