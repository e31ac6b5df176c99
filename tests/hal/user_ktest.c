/* SPDX-License-Identifier: MIT */
/* Contract of <hal/context.h>, as far as it needs a real CPU: registers, user mode, copies, FPU.
 * Owns:      one address space with a page of code, a page of data and nothing behind it.
 * Context:   thread. The tests take the place of the scheduler for some instructions: preemption is
 *            off from before the first switch until after the last.
 */
#include <core/task.h>
#include <core/trap.h>
#include <hal/context.h>
#include <hal/cpu.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <ktest.h>

#include "probe.h"
#include "user.h"

#define STACK_SIZE  8192
#define CODE_PAGE   0x10000ul
#define DATA_PAGE   0x20000ul
#define DATA_END    (DATA_PAGE + HX_PAGE_SIZE)
#define LAST_PAGE   (USER_SPACE_END - HX_PAGE_SIZE)
#define PATTERN(i)  ((u8)((i)*7 + 3))
#define USER_PC(at) (CODE_PAGE + (vaddr_t)((at)-user_code))

/* For the assembly beside: the switch itself is in line. */
void probe_context_switch(struct hal_context *from, const struct hal_context *to);
HX_NOINLINE void probe_context_switch(struct hal_context *from, const struct hal_context *to)
{
    hal_context_switch(from, to);
}

static struct {
    u8 stack[STACK_SIZE] HX_ALIGNED(16);
    u8 page[2 * HX_PAGE_SIZE] HX_ALIGNED(4096);
    u8 fpu[2][HAL_FPU_STATE_SIZE] HX_ALIGNED(64);
    struct hal_context test, other;
    struct hal_space space;
    paddr_t code, data;
    u32 faults; /* taken in a copy */
    /* What ended the user program. */
    struct hal_trap trap;
    struct hal_trap_frame frame;
    /* How to go on the next time, if there is one. */
    vaddr_t resume_pc;
    s64 resume_value;
    /* What user mode starts with. */
    vaddr_t pc;
    u64 args[2];
    u64 kept;
    vaddr_t sp, depth;
} self;

/* Switching */

static void switch_away(void)
{
    hal_context_switch(&self.test, &self.other);
}

static void keep_registers(void *arg)
{
    (void)arg;
    for (u64 seed = 1000;; seed++) {
        self.kept += user_registers_switch(&self.other, &self.test, seed);
    }
}

KTEST(hal_context, registers_survive_a_switch)
{
    u64 kept = 0;
    self.kept = 0;
    hal_context_init(&self.other, (vaddr_t)self.stack + STACK_SIZE, keep_registers, NULL);
    u64 state = hal_irq_save();
    for (u64 i = 0; i < 10; i++) {
        kept += user_registers_switch(&self.test, &self.other, i << 32);
    }
    hal_irq_restore(state);
    KTEST_EQUAL(kept, 10);
    KTEST_EQUAL(self.kept, 9); /* it has not come back from its last one */
}

static void measure_start(void *arg)
{
    (void)arg;
    const vaddr_t *record = (const vaddr_t *)hal_frame_pointer();
    self.sp = (vaddr_t)record;
    for (self.depth = 0; record[1] && self.depth < 10; self.depth++) {
        record = (const vaddr_t *)record[0];
    }
    hal_context_switch(&self.other, &self.test);
}

KTEST(hal_context, a_new_thread_begins_on_its_stack_and_ends_backtraces)
{
    hal_context_init(&self.other, (vaddr_t)self.stack + STACK_SIZE, measure_start, NULL);
    u64 state = hal_irq_save();
    switch_away();
    hal_irq_restore(state);
    KTEST_ASSERT(self.sp > (vaddr_t)self.stack && self.sp < (vaddr_t)self.stack + STACK_SIZE);
    KTEST_ASSERT(hx_is_aligned(self.sp, 16));
    KTEST_ASSERT(self.depth >= 1 && self.depth <= 3);
}

/* User mode */

/* Ends the user program, or mends a copy. */
static bool on_trap(void *ctx, struct hal_trap_frame *frame, const struct hal_trap *trap)
{
    (void)ctx;
    if (trap->user) {
        self.trap = *trap;
        self.frame = *frame;
        hal_context_switch(&self.other, &self.test);
        hal_syscall_result(frame, self.resume_value);
        hal_trap_frame_set_pc(frame, self.resume_pc);
        return true;
    }
    if (trap->kind == TRAP_PAGE_FAULT && trap->address < USER_SPACE_END &&
        hal_user_copy_fixup(frame)) {
        self.faults++;
        return true;
    }
    return false;
}

static void go_to_user_mode(void *arg)
{
    (void)arg;
    hal_kernel_stack_set((vaddr_t)self.stack + STACK_SIZE);
    hal_user_enter(self.pc, DATA_END - 64, self.args[0], self.args[1]);
}

/* Runs the program until it stops. */
static void user_run(vaddr_t pc, u64 arg0, u64 arg1)
{
    u64 state = hal_irq_save();
    self.pc = pc;
    self.args[0] = arg0;
    self.args[1] = arg1;
    self.trap = (struct hal_trap){.kind = TRAP_KIND_COUNT};
    hal_context_init(&self.other, (vaddr_t)self.stack + STACK_SIZE, go_to_user_mode, NULL);
    switch_away();
    hal_irq_restore(state);
}

static void user_go_on(vaddr_t pc, s64 value)
{
    u64 state = hal_irq_save();
    self.resume_pc = pc;
    self.resume_value = value;
    switch_away();
    hal_irq_restore(state);
}

static void user_map(vaddr_t va, paddr_t frame, u32 flags)
{
    KTEST_STATUS(hal_mmu.map(&self.space, va, frame, HX_PAGE_SIZE, MAP_USER | flags), HX_OK);
}

static void user_begin(void)
{
    size_t size = (size_t)(user_code_end - user_code);
    KTEST_STATUS(hal_event_table_alloc(&self.code), HX_OK);
    KTEST_STATUS(hal_event_table_alloc(&self.data), HX_OK);
    KTEST_STATUS(hal_mmu.space_init(&self.space), HX_OK);
    u8 *code = hal_phys_to_virt(self.code);
    memcpy(code, user_code, size);
    /* The program's end is also the end of the last page that a program can have. */
    memcpy(code + HX_PAGE_SIZE - (user_code_end - user_resume), user_resume,
           (size_t)(user_code_end - user_resume));
    hal_cpu.sync_icache((vaddr_t)code, HX_PAGE_SIZE);
    KTEST_CALL(user_map(CODE_PAGE, self.code, MAP_EXEC));
    KTEST_CALL(user_map(LAST_PAGE, self.code, MAP_EXEC));
    KTEST_CALL(user_map(DATA_PAGE, self.data, MAP_WRITE));
    KTEST_ASSERT(trap_handler_push(on_trap, NULL));
    self.faults = 0;
    preempt_disable();
    u64 state = hal_irq_save();
    hal_mmu.activate(&self.space);
    hal_irq_restore(state);
}

static void user_end(void)
{
    u64 state = hal_irq_save();
    hal_mmu.activate(&hal_kernel_space);
    hal_irq_restore(state);
    preempt_enable();
    trap_handler_pop(on_trap);
    KTEST_STATUS(hal_mmu.unmap(&self.space, CODE_PAGE, HX_PAGE_SIZE), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(&self.space, LAST_PAGE, HX_PAGE_SIZE), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(&self.space, DATA_PAGE, HX_PAGE_SIZE), HX_OK);
    hal_mmu.flush(CODE_PAGE, HX_PAGE_SIZE);
    hal_mmu.flush(LAST_PAGE, HX_PAGE_SIZE);
    hal_mmu.flush(DATA_PAGE, HX_PAGE_SIZE);
    hal_mmu.space_fini(&self.space);
    hal_page_zero(hal_phys_to_virt(self.code));
    hal_page_zero(hal_phys_to_virt(self.data));
    hal_event_table_free(self.code);
    hal_event_table_free(self.data);
}

static void check_arguments(void)
{
    KTEST_EQUAL(self.trap.kind, TRAP_UNDEFINED);
    KTEST_ASSERT(self.trap.user && hal_frame_is_user(&self.frame));
    KTEST_ASSERT(hal_frame_irqs_enabled(&self.frame));
    KTEST_EQUAL(hal_frame_pc(&self.frame), USER_PC(user_arguments_stop));
    KTEST_EQUAL(hal_frame_sp(&self.frame), DATA_END - 64);
    KTEST_EQUAL(hal_syscall_number(&self.frame), 0x1234567890);
    KTEST_EQUAL(hal_syscall_arg(&self.frame, 0), 0x1234567890);
    KTEST_EQUAL(hal_syscall_arg(&self.frame, 1), 77);
    KTEST_EQUAL(hal_syscall_arg(&self.frame, 2), 0);
    KTEST_EQUAL(hal_syscall_arg(&self.frame, 3), 4);
    KTEST_EQUAL(hal_syscall_arg(&self.frame, 4), 5);
    KTEST_EQUAL(hal_syscall_arg(&self.frame, 5), 6);
}

KTEST(hal_user, begins_with_two_arguments_and_zeroes)
{
    KTEST_CALL(user_begin());
    user_run(USER_PC(user_arguments), 0x1234567890, 77);
    check_arguments();
    user_end();
}

KTEST(hal_user, goes_on_where_the_frame_says_with_the_result)
{
    KTEST_CALL(user_begin());
    user_run(USER_PC(user_arguments), 1, 99);
    user_go_on(USER_PC(user_resume), -5);
    struct hal_trap trap = self.trap;
    struct hal_trap_frame frame = self.frame;
    user_end();
    KTEST_EQUAL(trap.kind, TRAP_UNDEFINED);
    KTEST_EQUAL(hal_frame_pc(&frame), USER_PC(user_resume_stop));
    KTEST_EQUAL(hal_syscall_arg(&frame, 0), (u64)-5);
    KTEST_EQUAL(hal_syscall_arg(&frame, 1), 100);
    KTEST_EQUAL(hal_syscall_arg(&frame, 5), 6);
}

static void check_fault(enum hal_trap_kind kind, enum hal_access access, vaddr_t address)
{
    KTEST_EQUAL(self.trap.kind, kind);
    KTEST_ASSERT(self.trap.user);
    if (kind == TRAP_PAGE_FAULT) {
        KTEST_EQUAL(self.trap.access, access);
        KTEST_EQUAL(self.trap.address, address);
    }
}

KTEST(hal_user, faults_belong_to_user_mode)
{
    const vaddr_t kernel = (vaddr_t)&self;
    KTEST_CALL(user_begin());
    user_run(USER_PC(user_read), 0, 0);
    check_fault(TRAP_PAGE_FAULT, ACCESS_READ, 0);
    user_run(USER_PC(user_read), kernel, 0);
    check_fault(TRAP_PAGE_FAULT, ACCESS_READ, kernel);
    user_run(kernel, 0, 0);
    check_fault(TRAP_PAGE_FAULT, ACCESS_EXECUTE, kernel);
    user_run(DATA_PAGE, 0, 0);
    check_fault(TRAP_PAGE_FAULT, ACCESS_EXECUTE, DATA_PAGE);
    user_end();
}

KTEST(hal_user, privileged_instructions_are_refused)
{
    KTEST_CALL(user_begin());
    user_run(USER_PC(user_privileged), 0, 0);
    struct hal_trap trap = self.trap;
    vaddr_t pc = hal_frame_pc(&self.frame);
    user_end();
    KTEST_ASSERT(trap.kind == TRAP_PROTECTION || trap.kind == TRAP_UNDEFINED);
    KTEST_ASSERT(trap.user);
    KTEST_EQUAL(pc, USER_PC(user_privileged));
}

/* The reported address may differ: what no register can hold is moved to what one can. */
KTEST(hal_user, a_program_counter_that_is_no_address_faults_there)
{
    static const u64 bad[] = {USER_SPACE_END, USER_SPACE_END | CODE_PAGE, 1ull << 62 | CODE_PAGE};
    KTEST_CALL(user_begin());
    for (u32 i = 0; i < HX_ARRAY_SIZE(bad); i++) {
        user_run(bad[i], 0, 0);
        check_fault(self.trap.kind == TRAP_PROTECTION ? TRAP_PROTECTION : TRAP_PAGE_FAULT,
                    ACCESS_EXECUTE, self.trap.address);
        KTEST_ASSERT(self.trap.address >= USER_SPACE_END);
        user_run(USER_PC(user_arguments), 1, 1);
        user_go_on(bad[i], 0);
        check_fault(self.trap.kind == TRAP_PROTECTION ? TRAP_PROTECTION : TRAP_PAGE_FAULT,
                    ACCESS_EXECUTE, self.trap.address);
        KTEST_ASSERT(self.trap.address >= USER_SPACE_END);
    }
    user_end();
}

/* Copies */

static void check_copy(u32 size, u32 offset)
{
    u8 *in = self.page + HX_PAGE_SIZE;
    memset(in, 0xee, HX_PAGE_SIZE);
    KTEST_EQUAL(hal_user_copy_out(DATA_PAGE + offset, self.page + 5, size), 0);
    KTEST_EQUAL(hal_user_copy_in(in + offset, DATA_PAGE + offset, size), 0);
    KTEST_ASSERT(memcmp(in + offset, self.page + 5, size) == 0);
    KTEST_EQUAL(in[offset + size], 0xee);
    KTEST_ASSERT(offset == 0 || in[offset - 1] == 0xee);
}

KTEST(hal_user, copies_of_every_size_and_alignment_are_exact)
{
    for (u32 i = 0; i < HX_PAGE_SIZE; i++) {
        self.page[i] = PATTERN(i);
    }
    KTEST_CALL(user_begin());
    for (u32 size = 0; size < 1200; size += size < 140 ? 1 : 97) {
        for (u32 offset = 0; offset < 9; offset++) {
            check_copy(size, offset);
        }
    }
    user_end();
    KTEST_EQUAL(self.faults, 0);
}

/* `over` bytes of `size` lie behind the last page. */
static void check_copy_over_the_end(u32 size, u32 over)
{
    u8 *in = self.page + HX_PAGE_SIZE;
    vaddr_t at = DATA_END - (size - over);
    memset(in, 0xee, size + 1);
    KTEST_EQUAL(hal_user_copy_out(at, self.page, size), over);
    KTEST_EQUAL(hal_user_copy_in(in, at, size), over);
    KTEST_ASSERT(memcmp(in, self.page, size - over) == 0);
    KTEST_EQUAL(in[size - over], 0xee);
}

KTEST(hal_user, copies_stop_at_the_first_byte_out_of_bounds)
{
    for (u32 i = 0; i < HX_PAGE_SIZE; i++) {
        self.page[i] = PATTERN(i);
    }
    KTEST_CALL(user_begin());
    for (u32 size = 1; size < 600; size += size < 80 ? 1 : 53) {
        for (u32 over = 1; over <= size; over += 7) {
            check_copy_over_the_end(size, over);
        }
    }
    KTEST_EQUAL(hal_user_copy_out(CODE_PAGE, self.page, 8), 8); /* read-only */
    KTEST_EQUAL(hal_user_copy_in(self.page, CODE_PAGE, 8), 0);
    KTEST_EQUAL(hal_user_copy_in(self.page, 0, 100), 100);
    user_end();
    KTEST_ASSERT(self.faults > 0);
}

/* FPU */

static u64 float_swap(u64 value)
{
    user_run(USER_PC(user_float), value, 0);
    return self.trap.kind == TRAP_UNDEFINED ? hal_syscall_arg(&self.frame, 1) : ~0ull;
}

KTEST(hal_fpu, user_mode_traps_while_disabled)
{
    KTEST_CALL(user_begin());
    hal_fpu_disable();
    user_run(USER_PC(user_float), 1, 0);
    struct hal_trap trap = self.trap;
    vaddr_t pc = hal_frame_pc(&self.frame);
    user_end();
    KTEST_EQUAL(trap.kind, TRAP_FLOAT);
    KTEST_ASSERT(trap.user);
    KTEST_EQUAL(pc, USER_PC(user_float));
}

KTEST(hal_fpu, registers_are_kept_saved_and_restored)
{
    KTEST_CALL(user_begin());
    u64 state = hal_irq_save();
    hal_fpu_init(self.fpu[0]);
    hal_fpu_enable();
    hal_fpu_restore(self.fpu[0]);
    u64 fresh = float_swap(0x1122334455667788);
    u64 kept = float_swap(0x99);
    hal_fpu_save(self.fpu[1]);
    hal_fpu_restore(self.fpu[0]);
    u64 wiped = float_swap(0x55);
    hal_fpu_restore(self.fpu[1]);
    u64 restored = float_swap(0);
    hal_fpu_disable();
    hal_irq_restore(state);
    user_end();
    KTEST_EQUAL(fresh, 0);
    KTEST_EQUAL(kept, 0x1122334455667788);
    KTEST_EQUAL(wiped, 0);
    KTEST_EQUAL(restored, 0x99);
}

/* SMAP and SMEP, PAN and PXN: the pages are there and user mode may use them, the kernel may not.
 */
KTEST(hal_user, the_kernel_does_not_touch_user_pages_by_accident)
{
    if (!hal_cpu.has(CPU_NO_ACCESS_USER)) {
        KTEST_SKIP("this CPU cannot keep the kernel from user pages");
    }
    u64 value = 1;
    KTEST_CALL(user_begin());
    struct probe_seen read = probe_try_read(DATA_PAGE);
    struct probe_seen write = probe_try_write(DATA_PAGE, 1);
    size_t left = hal_user_copy_in(&value, DATA_PAGE, sizeof(value));
    struct probe_seen again = probe_try_read(DATA_PAGE);
    user_end();
    KTEST_EQUAL(read.traps, 1);
    KTEST_EQUAL(read.trap.kind, TRAP_PAGE_FAULT);
    KTEST_ASSERT(read.trap.present);
    KTEST_EQUAL(write.traps, 1);
    KTEST_EQUAL(left, 0); /* the copies are how it is done */
    KTEST_EQUAL(value, 0);
    KTEST_EQUAL(again.traps, 1);
}

KTEST(hal_user, the_kernel_does_not_execute_user_pages)
{
    if (!hal_cpu.has(CPU_NO_EXEC_USER)) {
        KTEST_SKIP("this CPU cannot keep the kernel from executing user pages");
    }
    KTEST_CALL(user_begin());
    struct probe_seen seen = probe_try_execute(CODE_PAGE);
    user_end();
    KTEST_EQUAL(seen.traps, 1);
    KTEST_EQUAL(seen.trap.kind, TRAP_PAGE_FAULT);
    KTEST_EQUAL(seen.trap.access, ACCESS_EXECUTE);
}
