/* SPDX-License-Identifier: MIT */
/* Kernel stacks inside the kernel.
 * Context: thread; each test leaves as many frames free as it found, once caches are trimmed.
 */
#include <core/memory.h>
#include <hal/layout.h>
#include <hal/mmu.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/stack.h>
#include <memory_settle.h>

static bool is_mapped(vaddr_t va)
{
    struct hal_mapping m;
    return hal_mmu.query(&hal_kernel_space, va, &m) == HX_OK;
}

KTEST(stack, whole_stack_is_writable_and_its_neighbours_are_not_mapped)
{
    vaddr_t bottom, named = 0;
    KTEST_STATUS(kernel_stack_alloc(&bottom), HX_OK);
    memset((void *)bottom, 0x77, KERNEL_STACK_SIZE);
    KTEST_ASSERT(!is_mapped(bottom - 1));
    KTEST_ASSERT(!is_mapped(bottom + KERNEL_STACK_SIZE));
    KTEST_ASSERT(kernel_stack_is_guard(bottom - 1, &named));
    KTEST_EQUAL(named, bottom);
    KTEST_ASSERT(kernel_stack_is_guard(bottom - HX_PAGE_SIZE, &named));
    KTEST_EQUAL(named, bottom);
    KTEST_ASSERT(!kernel_stack_is_guard(bottom, &named));
    KTEST_ASSERT(!kernel_stack_is_guard(bottom + KERNEL_STACK_SIZE - 1, &named));
    KTEST_ASSERT(!kernel_stack_is_guard(DIRECT_MAP_BASE, &named));
    kernel_stack_free(bottom);
}

KTEST(stack, many_come_and_go_and_leave_nothing)
{
    static vaddr_t stacks[300];
    u64 before = memory_settle(), tables = frame_count_owner(FRAME_PAGE_TABLE);
    u32 mapped = kernel_stack_count();
    for (u32 round = 0; round < 3; round++) {
        for (u32 i = 0; i < HX_ARRAY_SIZE(stacks); i++) {
            KTEST_STATUS(kernel_stack_alloc(&stacks[i]), HX_OK);
            *(u64 *)stacks[i] = i;
            *(u64 *)(stacks[i] + KERNEL_STACK_SIZE - 8) = i;
        }
        for (u32 i = 0; i < HX_ARRAY_SIZE(stacks); i++) {
            KTEST_EQUAL(*(u64 *)stacks[i], i);
            KTEST_EQUAL(*(u64 *)(stacks[i] + KERNEL_STACK_SIZE - 8), i);
            kernel_stack_free(stacks[i]);
        }
        KTEST_ASSERT(kernel_stack_count() < mapped + 100); /* idle ones are not kept for ever */
    }
    memory_trim();
    KTEST_EQUAL(kernel_stack_count(), mapped);
    KTEST_EQUAL(frame_count_owner(FRAME_PAGE_TABLE), tables);
    KTEST_EQUAL(frame_free_count(), before);
}

KTEST(stack, nth_failure_leaves_nothing_behind)
{
    u64 before = memory_settle();
    bool done = false;
    u32 n = 1;
    for (; !done; n++) {
        vaddr_t bottom;
        frame_fail_after(n);
        enum hx_status status = kernel_stack_alloc(&bottom);
        frame_fail_after(0);
        done = status == HX_OK;
        if (done) {
            kernel_stack_free(bottom);
        } else {
            KTEST_STATUS(status, HX_ERR_NO_MEMORY);
        }
        memory_trim();
        KTEST_EQUAL(frame_free_count(), before);
    }
    KTEST_ASSERT(n > 4); /* a stack has four pages */
}
