/* SPDX-License-Identifier: MIT */
/* Threads: stacks, and what lies on top of them.
 * Owns:      the stacks of all threads but the first; those of joined threads are kept, up to
 *            KEPT_MAX, because mapping one costs more than all else that a thread needs.
 * Context:   any thread.     Lock: stacks.lock, for the list of kept stacks.
 *
 *     guard page | stack, grows down ... | struct start | thread-local variables
 *                ^ stack                 ^ what thread_create is told
 *
 * Invariant: (1) a stack is used by one thread at most: it is kept only after the join, when the
 *            kernel says that its thread runs no more.
 *            (2) in place of the argument, a kept stack's start links to the next: that page has
 *            been touched already.
 */
#include <hx/memory.h>
#include <hx/thread.h>
#include "tls.h"

#define KEPT_MAX 64
#define RETRIES  8

struct start {
    hx_thread_fn *fn;
    void *arg;
} HX_ALIGNED(16);

static struct {
    struct hx_lock lock;
    void *kept;
    u32 kept_count;
} stacks;

/* thread.S */
void hx_thread_entry(void *arg);
void hx_thread_main(const struct start *start) HX_NORETURN;

static size_t top_size(void)
{
    size_t area = tls_size() ? hx_tls_area_size(tls_size()) : 0;
    return (sizeof(struct start) + area + 2 * TLS_ALIGN) & ~(size_t)(TLS_ALIGN - 1);
}

static size_t stack_size(void)
{
    return (HX_STACK_SIZE + top_size() + HX_PAGE_MASK) & ~HX_PAGE_MASK;
}

/* A new stack. The guard takes the place of the lowest page; should another thread map something
 * into the gap in that moment, all is tried again elsewhere. */
static enum hx_status stack_map(void **out_stack)
{
    enum hx_status status = HX_ERR_BUSY;
    for (u32 i = 0; i < RETRIES && status != HX_OK; i++) {
        void *base, *guard;
        status = hx_memory_map(NULL, HX_PAGE_SIZE + stack_size(), HX_MAP_WRITE, &base);
        if (status != HX_OK) {
            return status;
        }
        char *stack = (char *)base + HX_PAGE_SIZE;
        status = hx_memory_unmap(base, HX_PAGE_SIZE);
        if (status == HX_OK) {
            status = hx_memory_map(base, HX_PAGE_SIZE, HX_MAP_GUARD | HX_MAP_FIXED, &guard);
        }
        if (status == HX_OK) {
            *out_stack = stack;
        } else {
            HX_IGNORE(hx_memory_unmap(stack, stack_size()), "the first failure is what counts");
        }
    }
    return status;
}

static struct start *start_of(void *stack)
{
    return (struct start *)(void *)((char *)stack + stack_size() - top_size());
}

static enum hx_status stack_get(void **out_stack)
{
    hx_lock_acquire(&stacks.lock);
    void *stack = stacks.kept;
    if (stack) {
        stacks.kept = start_of(stack)->arg; /* inv 2 */
        stacks.kept_count--;
    }
    hx_lock_release(&stacks.lock);
    if (!stack) {
        return stack_map(out_stack);
    }
    *out_stack = stack;
    return HX_OK;
}

static void stack_put(void *stack)
{
    hx_lock_acquire(&stacks.lock);
    bool keep = stacks.kept_count < KEPT_MAX;
    if (keep) {
        start_of(stack)->arg = stacks.kept;
        stacks.kept = stack;
        stacks.kept_count++;
    }
    hx_lock_release(&stacks.lock);
    if (!keep) {
        HX_IGNORE(hx_memory_unmap((char *)stack - HX_PAGE_SIZE, HX_PAGE_SIZE + stack_size()),
                  "a failure would only keep it");
    }
}

void hx_thread_main(const struct start *start)
{
    hx_thread_exit(start->fn(start->arg));
}

enum hx_status hx_thread_create(hx_thread_fn *fn, void *arg, struct hx_thread *out_thread)
{
    void *stack;
    enum hx_status status = stack_get(&stack);
    if (status != HX_OK) {
        return status;
    }
    struct start *start = start_of(stack);
    start->fn = fn;
    start->arg = arg;
    u64 tls = tls_size() ? tls_init((char *)start + TLS_ALIGN) : 0;
    s64 result = hx_sys_thread_create((u64)(uintptr_t)hx_thread_entry, (u64)(uintptr_t)start,
                                      (u64)(uintptr_t)start, tls);
    if (result < 0) {
        stack_put(stack);
        return (enum hx_status)result;
    }
    *out_thread = (struct hx_thread){.handle = (hx_handle_t)result, .stack = stack};
    return HX_OK;
}

enum hx_status hx_thread_join(struct hx_thread *thread, u64 deadline_ns, u64 *out_value)
{
    u64 value = 0;
    s64 result = hx_sys_thread_join(thread->handle, deadline_ns, &value);
    if (result < 0) {
        return (enum hx_status)result;
    }
    if (out_value) {
        *out_value = value;
    }
    stack_put(thread->stack); /* inv 1 */
    return (enum hx_status)hx_sys_handle_close(thread->handle);
}

void hx_thread_exit(u64 value)
{
    hx_sys_thread_exit(value);
    __builtin_trap();
}
