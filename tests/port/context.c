/* SPDX-License-Identifier: MIT */
/* Threads of the do-nothing port: the C library's contexts, kept on the stacks that they belong to.
 * There is no user mode: its memory is the program's own, and nothing enters it.
 * Owns:      the local block, the thread pointer.      Callers: core.
 */
#include <hal/context.h>
#include <helix/string.h>
#include <stdlib.h>
#include <ucontext.h>

struct hal_cpu_local *port_local = &(struct hal_cpu_local){0};

static u64 user_tls;

/* makecontext() passes ints, so a pointer comes in two. */
static void begin(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
    void (*entry)(void *) = (void (*)(void *))((u64)entry_high << 32 | entry_low);
    entry((void *)((u64)arg_high << 32 | arg_low));
    abort();
}

void hal_context_init(struct hal_context *ctx, vaddr_t stack_top, void (*entry)(void *arg),
                      void *arg)
{
    ucontext_t *saved = (ucontext_t *)((stack_top - sizeof(*saved)) & ~(vaddr_t)63);
    u64 e = (u64)entry, a = (u64)arg;
    getcontext(saved);
    /* Where the stack begins nobody says; what is below `saved` is enough for what runs on it. */
    saved->uc_stack.ss_sp = (u8 *)saved - PORT_STACK_MIN;
    saved->uc_stack.ss_size = PORT_STACK_MIN;
    makecontext(saved, (void (*)(void))begin, 4, (unsigned)(e >> 32), (unsigned)e,
                (unsigned)(a >> 32), (unsigned)a);
    ctx->sp = (vaddr_t)saved;
}

/* What <port/context.h> calls: the C library's contexts. */
void port_context_switch(struct hal_context *from, const struct hal_context *to)
{
    ucontext_t here;
    from->sp = (vaddr_t)&here;
    swapcontext(&here, (const ucontext_t *)to->sp);
}

void hal_kernel_stack_set(vaddr_t stack_top)
{
    (void)stack_top;
}

void hal_user_enter(vaddr_t pc, vaddr_t sp, u64 arg0, u64 arg1)
{
    (void)pc;
    (void)sp;
    (void)arg0;
    (void)arg1;
    abort();
}

void hal_user_tls_set(u64 value)
{
    user_tls = value;
}

u64 hal_user_tls_get(void)
{
    return user_tls;
}

void hal_fpu_init(void *state)
{
    memset(state, 0, HAL_FPU_STATE_SIZE);
}

void hal_fpu_save(void *state)
{
    memset(state, 0, HAL_FPU_STATE_SIZE);
}

void hal_fpu_restore(const void *state)
{
    (void)state;
}

void hal_fpu_enable(void)
{
}

void hal_fpu_disable(void)
{
}

size_t hal_user_copy_in(void *dst, vaddr_t user, size_t n)
{
    memcpy(dst, (const void *)user, n);
    return 0;
}

size_t hal_user_copy_out(vaddr_t user, const void *src, size_t n)
{
    memcpy((void *)user, src, n);
    return 0;
}

bool hal_user_copy_fixup(struct hal_trap_frame *frame)
{
    (void)frame;
    return false;
}
