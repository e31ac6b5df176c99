/* SPDX-License-Identifier: MIT */
/* crash KIND: commits one crime, and must not live to tell. `crash list` names the kinds.
 */
#include <helix/string.h>
#include <hx/io.h>
#include <hx/memory.h>
#include <hx/process.h>
#include "crash.h"

#define KERNEL_ADDRESS ((uintptr_t)0xffff800000100000) /* in the direct map */
#define WILD_ADDRESS   ((uintptr_t)0x0123456789abcdef) /* of no half: not canonical */

typedef int code_fn(void);

static volatile int sink; /* so that nothing read is thrown away */

static volatile unsigned char *at(uintptr_t address)
{
    __asm__ volatile("" : "+r"(address)); /* a number that the compiler knows nothing of */
    return (volatile unsigned char *)address;
}

static void jump_to(uintptr_t address)
{
    __asm__ volatile("" : "+r"(address));
    sink = ((code_fn *)address)();
}

static void null_read(void)
{
    sink = *at(0);
}

static void null_write(void)
{
    *at(0) = 1;
}

static void jump_null(void)
{
    jump_to(0);
}

static void kernel_read(void)
{
    sink = *at(KERNEL_ADDRESS);
}

static void kernel_write(void)
{
    *at(KERNEL_ADDRESS) = 1;
}

static void jump_kernel(void)
{
    jump_to(KERNEL_ADDRESS);
}

static void wild_read(void)
{
    sink = *at(WILD_ADDRESS);
}

static void jump_wild(void)
{
    jump_to(WILD_ADDRESS);
}

static void text_write(void)
{
    *at((uintptr_t)&main) = 1;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static HX_NOINLINE int deeper(volatile unsigned char *above)
{
    volatile unsigned char frame[512];
    frame[0] = frame[1] = above[0];
    return deeper(frame) + frame[1];
}
#pragma GCC diagnostic pop

static void stack(void)
{
    volatile unsigned char first = 1;
    sink = deeper(&first);
}

static void divide(void)
{
    sink = (int)((uintptr_t)at(100) / (uintptr_t)at(0));
}

/* Code in data: on the stack, and in pages that were asked for as writable. */
static void execute_stack(void)
{
    char code[64];
    memcpy(code, code_begin, (size_t)(code_end - code_begin));
    jump_to((uintptr_t)code);
}

static void execute_data(void)
{
    void *page;
    if (hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, &page) == HX_OK) {
        memcpy(page, code_begin, (size_t)(code_end - code_begin));
        jump_to((uintptr_t)page);
    }
}

static void double_free(void)
{
    void *memory = malloc(100);
    volatile unsigned char *same = at((uintptr_t)memory);
    free(memory);
    free((void *)(uintptr_t)same);
}

static const struct {
    const char *name;
    void (*commit)(void);
} crimes[] = {
    {"null-read", null_read},
    {"null-write", null_write},
    {"jump-null", jump_null},
    {"kernel-read", kernel_read},
    {"kernel-write", kernel_write},
    {"jump-kernel", jump_kernel},
    {"wild-read", wild_read},
    {"jump-wild", jump_wild},
    {"text-write", text_write},
    {"stack", stack},
    {"divide", divide},
    {"execute-stack", execute_stack},
    {"execute-data", execute_data},
    {"privileged", crash_privileged},
    {"kernel-tables", crash_kernel_tables},
    {"undefined", crash_undefined},
    {"breakpoint", crash_breakpoint},
    {"unaligned-stack", crash_unaligned_stack},
    {"kernel-stack", crash_kernel_stack},
    {"double-free", double_free},
};

int main(int argc, char **argv)
{
    bool list = argc == 2 && str_equal(argv[1], "list");
    for (u32 i = 0; i < HX_ARRAY_SIZE(crimes); i++) {
        if (list) {
            hx_printf("%s\n", crimes[i].name);
        } else if (argc == 2 && str_equal(argv[1], crimes[i].name)) {
            crimes[i].commit();
            hx_printf("crash: still alive after %s\n", argv[1]);
            return 1;
        }
    }
    if (!list) {
        hx_printf("usage: crash KIND; `crash list` names the kinds\n");
        return 2;
    }
    return 0;
}
