/* SPDX-License-Identifier: MIT */
/* Threads of control, as far as they differ by processor: saved registers, user mode, FPU state,
 * and what each CPU keeps at hand. Functions, not a table: each has one implementer per port and
 * is on a path that is counted in instructions.
 */
#ifndef HAL_CONTEXT_H
#define HAL_CONTEXT_H

#include <hal/mmu.h>
#include <hal/port.h>
#include <helix/status.h>

/* The kernel half of a suspended thread: everything that C does not save itself is on its stack. */
struct hal_context {
    vaddr_t sp;
};

/* Makes ctx start in entry(arg) on the stack that ends at stack_top (16-byte aligned), interrupts
 * masked, with a frame record that ends backtraces. entry never returns. Any. */
void hal_context_init(struct hal_context *ctx, vaddr_t stack_top, void (*entry)(void *arg),
                      void *arg);

/* Saves the caller in *from and continues *to. Returns when somebody switches back, on whatever
 * CPU that is. Interrupts masked. Neither FPU nor address space are touched. */
static inline void hal_context_switch(struct hal_context *from, const struct hal_context *to);

/* Where exceptions and system calls from user mode put their frame on this CPU: the top of the
 * current thread's kernel stack. Interrupts masked. */
void hal_kernel_stack_set(vaddr_t stack_top);

/* Leaves for user mode at `pc` with stack `sp`, arg0 and arg1 in the first two argument registers
 * of the C convention, every other register zero, FPU state as it is, interrupts enabled. The
 * kernel stack is left empty. pc and sp are checked by nobody but the CPU: a bad pc faults there.
 * Context: thread, interrupts masked. */
void hal_user_enter(vaddr_t pc, vaddr_t sp, u64 arg0, u64 arg1) HX_NORETURN;

/* The thread pointer register of user mode (FS base, TPIDR_EL0). A value that the register cannot
 * hold becomes 0. This CPU, interrupts masked. */
void hal_user_tls_set(u64 value);
u64 hal_user_tls_get(void);

/* FPU and SIMD registers of user mode. The kernel never uses them; while disabled, any use is
 * TRAP_FLOAT. The buffer has HAL_FPU_STATE_SIZE bytes (port's <port/inline.h>), 64-byte aligned.
 * This CPU, interrupts masked. */
void hal_fpu_init(void *state);          /* as after reset */
void hal_fpu_save(void *state);          /* enabled before and after */
void hal_fpu_restore(const void *state); /* enabled before and after */
void hal_fpu_enable(void);
void hal_fpu_disable(void);

/* Copies between user and kernel memory, stopping at the first byte that user mode could not
 * access itself. `user` is below USER_SPACE_END and user + n does not pass it: the caller checks.
 * Return: bytes not copied; 0 is success. Context: thread; page faults are taken on the way, so
 * interrupts are enabled and no spinlock is held. */
size_t hal_user_copy_in(void *dst, vaddr_t user, size_t n);
size_t hal_user_copy_out(vaddr_t user, const void *src, size_t n);

/* For hal_event_trap(): when `frame` interrupted one of the two copies above at an access to user
 * memory, makes it return how much was left, and answers true. */
bool hal_user_copy_covers(const struct hal_trap_frame *frame); /* only answers */
bool hal_user_copy_fixup(struct hal_trap_frame *frame);

/* A system call arrives as hal_event_syscall(frame); these read and answer it. Number and
 * arguments are in the registers of the ABI (x86_64: rax; rdi rsi rdx r10 r8 r9; aarch64: x8;
 * x0-x5), the result in the first (rax, x0). */
static inline u64 hal_syscall_number(const struct hal_trap_frame *frame);
static inline u64 hal_syscall_arg(const struct hal_trap_frame *frame, u32 index); /* index < 6 */
static inline void hal_syscall_result(struct hal_trap_frame *frame, s64 value);
static inline s64 hal_syscall_result_get(const struct hal_trap_frame *frame);

/* The frame with which a thread of a process entered the kernel from user mode, while it is there;
 * stack_top is what hal_kernel_stack_set() was told of it. */
static inline struct hal_trap_frame *hal_user_frame(vaddr_t stack_top);

/* A message of HAL_MESSAGE_WORDS words in registers that no other argument of a system call uses
 * (<abi/ipc.h>). Whoever writes to a frame makes all of its registers count on the way back to user
 * mode, also those that a system call otherwise leaves as C kept them. The frame is that of a
 * suspended thread or the caller's own. */
#define HAL_MESSAGE_WORDS 8
static inline void hal_message_move(struct hal_trap_frame *to, const struct hal_trap_frame *from);
static inline void hal_message_load(const struct hal_trap_frame *frame, u64 *words);
static inline void hal_message_store(struct hal_trap_frame *frame, const u64 *words);
/* The first three registers of a system call's result: its status, and two words about it. */
static inline void hal_message_result(struct hal_trap_frame *frame, s64 status, u64 header,
                                      u64 source);

/* A thread that leaves the CPU with nothing on its kernel stack but its frame parks: no C function
 * is resumed in it, so nothing of them is kept. Whoever switches to its context arrives at
 * hal_event_message_resumed(), and goes on to user mode from there.
 * parked: what its `context.sp` is then.
 * continue: goes on with *to, from a thread that parks and whose stack_top is given.
 * leave: goes on in user mode with a thread that has parked: status HX_OK, `header` and `source` in
 * the registers of a result, the message from the frame of the thread that parks. As soon as
 * nothing of that one is needed any more, *on_cpu becomes false and *lock one more, each with
 * release semantics. Context: on the kernel stack of the thread that parks, interrupts masked; they
 * do not return. */
static inline vaddr_t hal_context_parked(vaddr_t stack_top);
static inline HX_NORETURN void hal_context_continue(vaddr_t stack_top,
                                                    const struct hal_context *to);
static inline HX_NORETURN void hal_message_leave(vaddr_t stack_top, vaddr_t to_stack_top,
                                                 u64 header, u64 source, bool *on_cpu, u32 *lock);

/* What a handler of faults may read and change of any frame from user mode: the program counter is
 * hal_frame_pc() and hal_trap_frame_set_pc(), the stack pointer these, and the register that holds
 * the result of a function. */
static inline void hal_user_frame_set_sp(struct hal_trap_frame *frame, vaddr_t sp);
static inline u64 hal_user_frame_result(const struct hal_trap_frame *frame);
static inline void hal_user_frame_set_result(struct hal_trap_frame *frame, u64 value);

/* On a switch between threads of two processes: loads the tables of `space`, which has some. Else
 * as hal_mmu.activate(). */
static inline void hal_space_load(struct hal_space *space);

/* On a switch: keeps the thread pointer of the thread that leaves in *from, and loads `to`. */
static inline void hal_user_tls_switch(u64 *from, u64 to);

#include <port/context.h>

#endif
