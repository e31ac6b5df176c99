/* SPDX-License-Identifier: MIT */
/* Numbers that entry.asm and C share; the build makes offsets.inc of them.
 */
#include <port/pc.h>

#include <abi/syscalls.h>
#include <hal/layout.h>
#include <port/inline.h>
#include <port/x86.h>

void offsets(void);
void offsets(void)
{
    ASM_CONST(FRAME_RAX, offsetof(struct hal_trap_frame, rax));
    ASM_CONST(FRAME_RBX, offsetof(struct hal_trap_frame, rbx));
    ASM_CONST(FRAME_RCX, offsetof(struct hal_trap_frame, rcx));
    ASM_CONST(FRAME_RDX, offsetof(struct hal_trap_frame, rdx));
    ASM_CONST(FRAME_RSI, offsetof(struct hal_trap_frame, rsi));
    ASM_CONST(FRAME_RDI, offsetof(struct hal_trap_frame, rdi));
    ASM_CONST(FRAME_RBP, offsetof(struct hal_trap_frame, rbp));
    ASM_CONST(FRAME_R8, offsetof(struct hal_trap_frame, r8));
    ASM_CONST(FRAME_R9, offsetof(struct hal_trap_frame, r9));
    ASM_CONST(FRAME_R10, offsetof(struct hal_trap_frame, r10));
    ASM_CONST(FRAME_R11, offsetof(struct hal_trap_frame, r11));
    ASM_CONST(FRAME_R12, offsetof(struct hal_trap_frame, r12));
    ASM_CONST(FRAME_R13, offsetof(struct hal_trap_frame, r13));
    ASM_CONST(FRAME_R14, offsetof(struct hal_trap_frame, r14));
    ASM_CONST(FRAME_R15, offsetof(struct hal_trap_frame, r15));
    ASM_CONST(FRAME_VECTOR, offsetof(struct hal_trap_frame, vector));
    ASM_CONST(FRAME_ERROR, offsetof(struct hal_trap_frame, error));
    ASM_CONST(FRAME_RIP, offsetof(struct hal_trap_frame, rip));
    ASM_CONST(FRAME_CS, offsetof(struct hal_trap_frame, cs));
    ASM_CONST(FRAME_RFLAGS, offsetof(struct hal_trap_frame, rflags));
    ASM_CONST(FRAME_RSP, offsetof(struct hal_trap_frame, rsp));
    ASM_CONST(FRAME_SS, offsetof(struct hal_trap_frame, ss));
    ASM_CONST(FRAME_SIZE, sizeof(struct hal_trap_frame));
    ASM_CONST(LOCAL_KERNEL_STACK, offsetof(struct hal_cpu_local, kernel_stack));
    ASM_CONST(LOCAL_USER_SP, offsetof(struct hal_cpu_local, user_sp));
    ASM_CONST(USER_CODE, SELECTOR_USER_CODE);
    ASM_CONST(USER_DATA, SELECTOR_USER_DATA);
    ASM_CONST(VECTOR_SYSCALL_NUMBER, VECTOR_SYSCALL);
    ASM_CONST(SYSCALL_CHANNEL_CALL, HX_SYS_channel_call);
    ASM_CONST(SYSCALL_CHANNEL_REPLY_RECEIVE, HX_SYS_channel_reply_receive);
}
