/* SPDX-License-Identifier: MIT */
/* memtest: mapping, unmapping and protection of pages, demand-zero memory, what is refused, and the
 * heap. What must end a process is done by a child: memtest CRIME.
 */
#include <helix/string.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/syscall.h>
#include "crash.h"
#include "expect.h"

#define PAGE HX_PAGE_SIZE
#define BIG  HX_MIB(64)

typedef u64 code_fn(void);

static bool is_zero(const void *memory, size_t size)
{
    const u64 *words = memory;
    for (size_t i = 0; i < size / sizeof(*words); i++) {
        if (words[i]) {
            return false;
        }
    }
    return true;
}

static void *map(size_t size, u64 flags)
{
    void *address = NULL;
    EXPECT_STATUS(HX_OK, hx_memory_map(NULL, size, flags, &address));
    return address;
}

/* The exit status of `memtest CRIME`. */
static u64 child(const char *crime)
{
    const char *argv[] = {"memtest", crime};
    hx_handle_t process;
    u64 status = 0;
    EXPECT_STATUS(HX_OK, hx_process_spawn("bin/memtest", 2, argv, &process));
    EXPECT_STATUS(HX_OK, hx_process_wait(process, HX_DEADLINE_NEVER, &status));
    EXPECT_STATUS(HX_OK, hx_handle_close(process));
    return status;
}

static int commit(const char *crime)
{
    char *page = map(2 * PAGE, HX_MAP_WRITE);
    volatile char *target = page;
    *target = 1;
    if (str_equal(crime, "write-readonly")) {
        EXPECT_STATUS(HX_OK, hx_memory_protect(page, PAGE, 0));
    } else if (str_equal(crime, "read-unmapped")) {
        EXPECT_STATUS(HX_OK, hx_memory_unmap(page, PAGE));
    } else if (str_equal(crime, "read-guard")) {
        target = map(PAGE, HX_MAP_GUARD);
    } else if (str_equal(crime, "write-code")) {
        EXPECT_STATUS(HX_OK, hx_memory_protect(page, PAGE, HX_MAP_EXECUTE));
    } else {
        hx_printf("memtest: no crime '%s'\n", crime);
        return 2;
    }
    if (str_has_prefix(crime, "read")) {
        return *target;
    }
    *target = 2;
    return 1;
}

static void test_map(void)
{
    u64 *memory = map(3 * PAGE, HX_MAP_WRITE);
    EXPECT((uintptr_t)memory % PAGE == 0, "mapped at %p", (void *)memory);
    EXPECT(is_zero(memory, 3 * PAGE), "fresh memory is not zero");
    for (u32 i = 0; i < 3 * PAGE / 8; i++) {
        memory[i] = i * 3;
    }
    EXPECT(memory[1000] == 3000, "memory forgets");
    /* A hole in the middle: the neighbours stay, and the hole comes back as zeros. */
    char *middle = (char *)memory + PAGE;
    void *again = NULL;
    EXPECT_STATUS(HX_OK, hx_memory_unmap(middle, PAGE));
    EXPECT(memory[1] == 3 && memory[2 * PAGE / 8] == 2 * PAGE / 8 * 3, "a neighbour went too");
    EXPECT_STATUS(HX_OK, hx_memory_map(middle, PAGE, HX_MAP_WRITE | HX_MAP_FIXED, &again));
    EXPECT(again == (void *)middle, "fixed at %p, got %p", (void *)middle, again);
    EXPECT(is_zero(middle, PAGE), "old content came back");
    EXPECT_STATUS(HX_OK, hx_memory_unmap(memory, 3 * PAGE));

    char *big = map(BIG, HX_MAP_WRITE); /* touched here and there */
    for (size_t at = 0; at < BIG; at += HX_MIB(1)) {
        EXPECT(big[at] == 0, "demand-zero memory is not zero");
        big[at] = 1;
    }
    EXPECT_STATUS(HX_OK, hx_memory_unmap(big, BIG));

    for (u32 i = 0; i < 300; i++) { /* whatever is given back can be had again */
        void *part = map(HX_MIB(1), HX_MAP_WRITE);
        memset(part, (int)i, HX_MIB(1));
        EXPECT_STATUS(HX_OK, hx_memory_unmap(part, HX_MIB(1)));
    }
}

static void test_large(void)
{
    const size_t large = HX_MIB(2);
    char *memory = map(3 * large, HX_MAP_WRITE | HX_MAP_LARGE);
    EXPECT((uintptr_t)memory % large == 0, "large pages at %p", (void *)memory);
    for (size_t at = 0; at < 3 * large; at += PAGE) {
        EXPECT(memory[at] == 0, "a fresh large page is not zero at %zu", at);
        memory[at] = (char)(at / PAGE);
    }
    EXPECT_STATUS(HX_OK, hx_memory_unmap(memory + large + 3 * PAGE, 2 * PAGE));
    EXPECT_STATUS(HX_OK, hx_memory_protect(memory + PAGE, PAGE, 0));
    for (size_t at = 0; at < 3 * large; at += PAGE) {
        if (at != large + 3 * PAGE && at != large + 4 * PAGE) {
            EXPECT(memory[at] == (char)(at / PAGE), "a split page lost its content at %zu", at);
        }
    }
    EXPECT_STATUS(HX_OK, hx_memory_unmap(memory, 3 * large));
}

static void test_protect(void)
{
    char *page = map(PAGE, HX_MAP_WRITE);
    memcpy(page, code_begin, (size_t)(code_end - code_begin));
    EXPECT_STATUS(HX_OK, hx_memory_protect(page, PAGE, HX_MAP_EXECUTE));
    EXPECT(((code_fn *)(uintptr_t)page)() == 42, "code that was written does not run");
    EXPECT_STATUS(HX_OK, hx_memory_protect(page, PAGE, HX_MAP_WRITE));
    page[0] = 0;
    EXPECT_STATUS(HX_OK, hx_memory_protect(page, PAGE, 0));
    EXPECT(page[0] == 0, "not readable");
    EXPECT_STATUS(HX_OK, hx_memory_unmap(page, PAGE));

    EXPECT_STATUS(HX_EXIT_FAULT, child("write-readonly"));
    EXPECT_STATUS(HX_EXIT_FAULT, child("read-unmapped"));
    EXPECT_STATUS(HX_EXIT_FAULT, child("read-guard"));
    EXPECT_STATUS(HX_EXIT_FAULT, child("write-code"));
}

static void test_refused(void)
{
    static const u64 sizes[] = {0,          1,          PAGE - 1,   PAGE + 1,
                                1ull << 47, 1ull << 63, UINT64_MAX, ~(u64)HX_PAGE_MASK};
    static const u64 places[] = {
        0, 1, 0x800000000000ull, 0xffff800000000000ull, ~(u64)HX_PAGE_MASK, 0x0123456789abc000ull};
    u64 flags = HX_MAP_WRITE;
    for (u32 i = 0; i < HX_ARRAY_SIZE(sizes); i++) {
        EXPECT_REFUSED(hx_sys_memory_map(0, sizes[i], flags), "map of %#llx bytes",
                       (unsigned long long)sizes[i]);
    }
    for (u32 i = 0; i < HX_ARRAY_SIZE(places); i++) {
        unsigned long long place = places[i];
        EXPECT_REFUSED(hx_sys_memory_map(place, PAGE, flags | HX_MAP_FIXED), "map at %#llx", place);
        EXPECT_REFUSED(hx_sys_memory_protect(place, PAGE, 0), "protect at %#llx", place);
        EXPECT_REFUSED(hx_sys_memory_unmap(place, PAGE), "unmap at %#llx", place);
    }
    char *page = map(PAGE, flags);
    page[7] = 7;
    u64 address = (u64)(uintptr_t)page;
    for (u32 i = 0; i < HX_ARRAY_SIZE(sizes); i++) {
        EXPECT_REFUSED(hx_sys_memory_unmap(address, sizes[i]), "unmap of %#llx bytes",
                       (unsigned long long)sizes[i]);
        EXPECT_REFUSED(hx_sys_memory_protect(address, sizes[i], 0), "protect of %#llx bytes",
                       (unsigned long long)sizes[i]);
    }
    EXPECT_REFUSED(hx_sys_memory_map(address, PAGE, flags | HX_MAP_FIXED), "map on a mapping");
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_memory_map(0, PAGE, HX_MAP_WRITE | HX_MAP_EXECUTE));
    EXPECT_STATUS(HX_ERR_INVALID,
                  hx_sys_memory_protect(address, PAGE, HX_MAP_WRITE | HX_MAP_EXECUTE));
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_memory_map(0, PAGE, 1ull << 40));
    EXPECT_STATUS(HX_ERR_INVALID, hx_sys_memory_protect(address, PAGE, HX_MAP_GUARD));
    EXPECT(page[7] == 7, "a refused call changed the page");
    EXPECT_STATUS(HX_OK, hx_memory_unmap(page, PAGE));
    EXPECT_REFUSED(hx_sys_memory_unmap(address, PAGE), "unmap of what is not mapped");
    EXPECT_REFUSED(hx_sys_memory_protect(address, PAGE, 0), "protect of what is not mapped");
}

static void test_heap(void)
{
    static unsigned char *blocks[200];
    for (u32 round = 0; round < 4; round++) {
        for (u32 i = 0; i < HX_ARRAY_SIZE(blocks); i++) {
            size_t size = (size_t)i * i * (i % 16 ? 1 : 10) + 1;
            blocks[i] = malloc(size);
            EXPECT(blocks[i] && (uintptr_t)blocks[i] % 16 == 0, "malloc(%zu)", size);
            memset(blocks[i], (int)i, size);
        }
        for (u32 i = 0; i < HX_ARRAY_SIZE(blocks); i++) {
            size_t size = (size_t)i * i * (i % 16 ? 1 : 10) + 1;
            blocks[i] = realloc(blocks[i], size + 100);
            EXPECT(blocks[i] && blocks[i][0] == i && blocks[i][size - 1] == i,
                   "a block of %zu bytes lost its content", size);
        }
        for (u32 i = 0; i < HX_ARRAY_SIZE(blocks); i++) {
            free(blocks[i]);
        }
    }
    unsigned char *zeros = calloc(10, 100);
    EXPECT(zeros && is_zero(zeros, 1000), "calloc");
    free(zeros);
    void *impossible[] = {malloc(SIZE_MAX), malloc(1ull << 60), calloc(1ull << 33, 1ull << 33)};
    EXPECT(!impossible[0] && !impossible[1] && !impossible[2], "the impossible was allocated");
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        return commit(argv[1]);
    }
    test_map();
    test_large();
    test_protect();
    test_refused();
    test_heap();
    return expect_result("memtest");
}
