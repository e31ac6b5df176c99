/* SPDX-License-Identifier: MIT */
/* badptr: hands every sort of bad pointer, length, flag, handle and number to every system call.
 * Each must give a status, and the program must live to count them. Which arguments are pointers is
 * read from the table of calls, so a new call is covered when it is added.
 */
#include <helix/string.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/thread.h>
#include "expect.h"

#define ARGS 6
#define PAGE HX_PAGE_SIZE

enum kind { KIND_N, KIND_V, KIND_F, KIND_I, KIND_O, KIND_H };

static const struct call {
    u64 number;
    const char *name;
    u8 kinds[ARGS];
    u64 masks[ARGS]; /* of flags */
} calls[] = {
#define KIND_OF_N                     KIND_N
#define KIND_OF_V(name)               KIND_V
#define KIND_OF_F(name, mask)         KIND_F
#define KIND_OF_I(name, length)       KIND_I
#define KIND_OF_O(name, length)       KIND_O
#define KIND_OF_H(name, type, rights) KIND_H
#define MASK_OF_N                     0
#define MASK_OF_V(name)               0
#define MASK_OF_F(name, mask)         (mask)
#define MASK_OF_I(name, length)       0
#define MASK_OF_O(name, length)       0
#define MASK_OF_H(name, type, rights) 0
#define CALL(call_number, call_name, a, b, c, d, e, f)                                             \
    {.number = (call_number),                                                                      \
     .name = #call_name,                                                                           \
     .kinds = {KIND_OF_##a, KIND_OF_##b, KIND_OF_##c, KIND_OF_##d, KIND_OF_##e, KIND_OF_##f},      \
     .masks = {MASK_OF_##a, MASK_OF_##b, MASK_OF_##c, MASK_OF_##d, MASK_OF_##e, MASK_OF_##f}},
    HX_SYSCALLS(CALL)
#undef CALL
};

static struct {
    char *page;  /* writable, an unmapped one behind it */
    char *gone;  /* unmapped */
    char *guard; /* never accessible */
} places;

static struct {
    const char *what;
    u64 address;
} bad[16];
static u32 bad_count;

static void add(const char *what, const void *address)
{
    bad[bad_count].what = what;
    bad[bad_count++].address = (u64)(uintptr_t)address;
}

static void set_up(void)
{
    void *pages = NULL, *guard = NULL;
    EXPECT_STATUS(HX_OK, hx_memory_map(NULL, 3 * PAGE, HX_MAP_WRITE, &pages));
    places.page = pages;
    places.gone = places.page + PAGE;
    EXPECT_STATUS(HX_OK, hx_memory_unmap(places.gone, 2 * PAGE));
    EXPECT_STATUS(HX_OK, hx_memory_map(NULL, PAGE, HX_MAP_GUARD, &guard));
    places.guard = guard;
    add("null", NULL);
    add("one", (void *)1);
    add("unmapped", places.gone);
    add("last byte of a mapping", places.gone - 1);
    add("guard", places.guard);
    add("end of user space", (void *)0x7ffffffffff8);
    add("first above user space", (void *)0x800000000000);
    add("no half", (void *)0x0123456789abcdef);
    add("sign", (void *)0x8000000000000000);
    add("first of the kernel's", (void *)0xffff800000000000);
    add("kernel memory", (void *)0xffff800000100000);
    add("kernel image", (void *)0xffffffff80200000);
    add("wrapping", (void *)0xfffffffffffffff8);
}

static bool is_pointer(u8 kind)
{
    return kind == KIND_I || kind == KIND_O;
}

static s64 call6(u64 number, const u64 *args)
{
    return hx_syscall6(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* Arguments that would do, were the pointers good: 16 bytes each, no flags, no handle. */
static void fill(const struct call *call, u64 *args)
{
    for (u32 i = 0; i < ARGS; i++) {
        args[i] = is_pointer(call->kinds[i])                ? (u64)(uintptr_t)places.page
                  : i > 0 && is_pointer(call->kinds[i - 1]) ? 16
                  : call->kinds[i] == KIND_H                ? HX_HANDLE_NONE
                                                            : 0;
    }
}

/* Every pointer of every call, one at a time, everything else harmless. */
static void test_pointers(void)
{
    static const u64 lengths[] = {16, PAGE, 1ull << 47, 1ull << 63, UINT64_MAX};
    u64 args[ARGS];
    for (u32 c = 0; c < HX_ARRAY_SIZE(calls); c++) {
        const struct call *call = &calls[c];
        for (u32 i = 0; i < ARGS; i++) {
            if (!is_pointer(call->kinds[i])) {
                continue;
            }
            bool sized = i + 1 < ARGS && call->kinds[i + 1] == KIND_V;
            for (u32 b = 0; b < bad_count; b++) {
                for (u32 l = 0; l < (sized ? HX_ARRAY_SIZE(lengths) : 1); l++) {
                    fill(call, args);
                    args[i] = bad[b].address;
                    if (sized) {
                        args[i + 1] = lengths[l];
                    }
                    EXPECT_REFUSED(call6(call->number, args), "%s, argument %u %s, %#llx bytes",
                                   call->name, i, bad[b].what, (unsigned long long)lengths[l]);
                }
            }
            fill(call, args);
            if (call->kinds[i] == KIND_O) {
                args[i] = (u64)(uintptr_t)&main; /* read-only */
                EXPECT_REFUSED(call6(call->number, args), "%s writes to code", call->name);
            }
        }
    }
}

static void test_flags_and_numbers(void)
{
    static const u64 numbers[] = {HX_SYSCALL_COUNT, 1000, 1ull << 32, 1ull << 63, UINT64_MAX};
    u64 args[ARGS] = {0};
    for (u32 i = 0; i < HX_ARRAY_SIZE(numbers); i++) {
        EXPECT_STATUS(HX_ERR_BAD_SYSCALL, call6(numbers[i], args));
    }
    for (u32 c = 0; c < HX_ARRAY_SIZE(calls); c++) {
        for (u32 i = 0; i < ARGS; i++) {
            for (u32 bit = 0; calls[c].kinds[i] == KIND_F && bit < 64; bit++) {
                if (!(calls[c].masks[i] >> bit & 1)) {
                    fill(&calls[c], args);
                    args[i] = 1ull << bit;
                    EXPECT(call6(calls[c].number, args) == HX_ERR_INVALID, "%s takes flag %u",
                           calls[c].name, bit);
                }
            }
        }
    }
}

static u64 return_at_once(void *arg)
{
    return (u64)(uintptr_t)arg;
}

/* Bad results' places for handles that are good: refused, and the handle is as good as before. */
static void test_good_handles(void)
{
    const char *argv[] = {"true"};
    hx_handle_t process = HX_HANDLE_NONE;
    struct hx_thread thread;
    u64 value = 0;
    EXPECT_STATUS(HX_OK, hx_process_spawn("bin/true", 1, argv, &process));
    EXPECT_STATUS(HX_OK, hx_thread_create(return_at_once, (void *)5, &thread));
    for (u32 b = 0; b < bad_count; b++) {
        void *place = (void *)(uintptr_t)bad[b].address;
        EXPECT(hx_sys_process_wait(process, HX_DEADLINE_NEVER, place) == HX_ERR_FAULT,
               "process_wait to %s", bad[b].what);
        EXPECT(hx_sys_thread_join(thread.handle, HX_DEADLINE_NEVER, place) == HX_ERR_FAULT,
               "thread_join to %s", bad[b].what);
    }
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_sys_thread_join(process, 0, &value));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_sys_process_wait(thread.handle, 0, &value));
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_sys_process_kill(thread.handle, 0));
    EXPECT_STATUS(HX_OK, hx_process_wait(process, HX_DEADLINE_NEVER, &value));
    EXPECT(value == 0, "true exits with %llu", (unsigned long long)value);
    EXPECT_STATUS(HX_OK, hx_thread_join(&thread, HX_DEADLINE_NEVER, &value));
    EXPECT(value == 5, "the thread returned %llu", (unsigned long long)value);
    EXPECT_STATUS(HX_OK, hx_handle_close(process));
    for (u32 bit = 0; bit < 32; bit++) { /* stale and invented ones */
        EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_sys_process_wait(process ^ 1u << bit, 0, &value));
    }
    EXPECT_STATUS(HX_ERR_BAD_HANDLE, hx_sys_process_wait(process, 0, &value));
}

/* Threads that would begin nowhere, or with a thread pointer that no register takes. */
static void test_thread_places(void)
{
    u64 entry = (u64)(uintptr_t)&main, stack = (u64)(uintptr_t)places.gone;
    for (u32 b = 0; b < bad_count; b++) {
        u64 address = bad[b].address;
        if (address >= 0x800000000000) {
            EXPECT_REFUSED(hx_sys_thread_create(address, stack, 0, 0), "entry %s", bad[b].what);
            EXPECT_REFUSED(hx_sys_thread_create(entry, address | PAGE, 0, 0), "stack %s",
                           bad[b].what);
            EXPECT_REFUSED(hx_sys_thread_create(entry, stack, 0, address), "tls %s", bad[b].what);
            EXPECT_REFUSED(hx_sys_thread_tls_set(address), "tls %s", bad[b].what);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    set_up();
    test_pointers();
    test_flags_and_numbers();
    test_good_handles();
    test_thread_places();
    return expect_result("badptr");
}
