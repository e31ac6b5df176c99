/* SPDX-License-Identifier: MIT */
/* Threads of a process. Each has a stack of HX_STACK_SIZE bytes with a guard page below, and its
 * own copy of every _Thread_local variable. Every thread is joined by one other: that is when its
 * stack is given back. When main() returns, all threads end with the process.
 */
#ifndef HX_THREAD_H
#define HX_THREAD_H

#include <abi/types.h>
#include <helix/compiler.h>
#include <hx/syscall.h>

/* What a thread runs; the result goes to whoever joins it. */
typedef u64 hx_thread_fn(void *arg);

struct hx_thread {
    hx_handle_t handle;
    void *stack; /* the lowest usable byte */
};

/* Starts fn(arg). Return: HX_OK, and *out_thread to be joined; HX_ERR_NO_MEMORY, HX_ERR_LIMIT.
 * Context: any thread. */
enum hx_status hx_thread_create(hx_thread_fn *fn, void *arg,
                                struct hx_thread *out_thread) HX_MUST_CHECK;

/* Waits for a thread's end until deadline_ns, and gives back all that it had.
 * Return: HX_OK, *out_value is what it returned, and *thread is not to be used again;
 * HX_ERR_TIMED_OUT, join it later; HX_ERR_BAD_HANDLE. out_value: may be NULL.
 * Context: any other thread; blocks. */
enum hx_status hx_thread_join(struct hx_thread *thread, u64 deadline_ns,
                              u64 *out_value) HX_MUST_CHECK;

/* Ends the calling thread, as returning `value` from its function does. The first thread may call
 * it: the process then lives until its last thread ends. */
void hx_thread_exit(u64 value) HX_NORETURN;

/* Lets others that are ready run first. */
static inline void hx_yield(void)
{
    hx_sys_yield();
}

/* Mutual exclusion for a few instructions: who waits yields instead of sleeping, so nothing that
 * blocks belongs inside. All zero is free. */
struct hx_lock {
    u32 taken;
};

static inline void hx_lock_acquire(struct hx_lock *lock)
{
    while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE)) {
        hx_yield();
    }
}

static inline void hx_lock_release(struct hx_lock *lock)
{
    __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

#endif
