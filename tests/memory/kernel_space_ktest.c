/* SPDX-License-Identifier: MIT */
/* The kernel's address space as subsystems/memory made it, and the check for writable code, with
 * each crime that it must find.
 */
#include <core/cpu.h>
#include <core/init.h>
#include <core/log.h>
#include <core/sched.h>
#include <core/task.h>
#include <core/time.h>
#include <hal/irq.h>
#include <hal/mmu.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/string.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/kernel_space.h>

#define VA (HEAP_BASE + HX_GIB(300)) /* nothing of the kernel lies there */

extern const char __text_start[], __text_end[];

static struct hal_space *const space = &hal_kernel_space;

static paddr_t phys(const void *p)
{
    struct hal_mapping m = {0};
    HX_IGNORE(hal_mmu.query(space, (vaddr_t)p, &m), "the image is mapped; 0 fails the test");
    return m.pa + ((vaddr_t)p - m.va);
}

/* True when a line logged since `cursor` holds `text`. */
static bool log_has(u64 cursor, const char *text)
{
    static struct log_entry entry;
    size_t n = strlen(text);
    while (log_read(&cursor, &entry)) {
        for (const char *p = entry.text; strlen(p) >= n; p++) {
            if (strncmp(p, text, n) == 0) {
                return true;
            }
        }
    }
    return false;
}

KTEST(kernel_space, nothing_is_writable_and_executable)
{
    u64 pages = 0;
    KTEST_STATUS(memory_wx_check(&pages), HX_OK);
    KTEST_EQUAL(pages, (u64)(__text_end - __text_start) / HX_PAGE_SIZE);
}

KTEST(kernel_space, a_writable_alias_of_code_is_found_and_named)
{
    u64 pages = 77, cursor = log_next_sequence();
    char name[32];
    format_buffer(name, sizeof(name), "writable at 0x%lx", VA);
    KTEST_STATUS(hal_mmu.map(space, VA, phys(__text_start), HX_PAGE_SIZE, MAP_WRITE | MAP_GLOBAL),
                 HX_OK);
    enum log_level level = log_console_level(LOG_PANIC);
    enum hx_status status = memory_wx_check(&pages);
    log_console_level(level);
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_PAGE_SIZE), HX_OK);
    hal_mmu.flush(VA, HX_PAGE_SIZE);
    KTEST_STATUS(status, HX_ERR_BAD_STATE);
    KTEST_EQUAL(pages, 77);
    KTEST_ASSERT(log_has(cursor, name));
    KTEST_STATUS(memory_wx_check(&pages), HX_OK);
}

KTEST(kernel_space, an_executable_alias_of_data_is_found)
{
    static u8 data[HX_PAGE_SIZE] HX_ALIGNED(4096);
    u64 pages;
    KTEST_STATUS(hal_mmu.map(space, VA, phys(data), HX_PAGE_SIZE, MAP_EXEC | MAP_GLOBAL), HX_OK);
    enum log_level level = log_console_level(LOG_PANIC);
    enum hx_status status = memory_wx_check(&pages);
    log_console_level(level);
    KTEST_STATUS(hal_mmu.unmap(space, VA, HX_PAGE_SIZE), HX_OK);
    hal_mmu.flush(VA, HX_PAGE_SIZE);
    KTEST_STATUS(status, HX_ERR_BAD_STATE);
    KTEST_STATUS(memory_wx_check(&pages), HX_OK);
}

KTEST(kernel_space, bound_tables_are_sealed)
{
    struct hal_mapping m;
    KTEST_STATUS(hal_mmu.query(space, (vaddr_t)&hal_irq, &m), HX_OK);
    KTEST_EQUAL(m.flags & (MAP_WRITE | MAP_EXEC), 0);
}

KTEST(kernel_space, all_ram_is_in_the_direct_map)
{
    const struct boot_info *info = boot_info_get();
    for (u32 i = 0; i < info->region_count; i++) {
        const struct boot_region *r = &info->regions[i];
        if (r->kind == BOOT_REGION_RESERVED) {
            continue;
        }
        paddr_t ends[] = {r->base, r->base + r->size / 2, r->base + r->size - 1};
        for (u32 e = 0; e < HX_ARRAY_SIZE(ends); e++) {
            struct hal_mapping m;
            vaddr_t va = (vaddr_t)hal_phys_to_virt(ends[e]);
            KTEST_STATUS(hal_mmu.query(space, va, &m), HX_OK);
            KTEST_EQUAL(m.pa + (va - m.va), ends[e]);
            KTEST_EQUAL(m.flags & (MAP_DEVICE | MAP_COMBINE | MAP_USER | MAP_EXEC), 0);
            KTEST_ASSERT(r->kind != BOOT_REGION_RAM || (m.flags & MAP_WRITE));
        }
    }
}

KTEST(kernel_space, the_boot_stack_has_its_guard)
{
    extern const char __boot_stack_guard[], __boot_stack_bottom[];
    struct hal_mapping m;
    vaddr_t sp = hal_stack_pointer();
    KTEST_EQUAL(__boot_stack_bottom - __boot_stack_guard, HX_PAGE_SIZE);
    KTEST_STATUS(hal_mmu.query(space, (vaddr_t)__boot_stack_guard, &m), HX_ERR_NOT_FOUND);
    KTEST_STATUS(hal_mmu.query(space, (vaddr_t)__boot_stack_bottom, &m), HX_OK);
    KTEST_EQUAL(m.flags & (MAP_WRITE | MAP_EXEC), MAP_WRITE);
    KTEST_ASSERT(sp > (vaddr_t)__boot_stack_bottom);
}

KTEST(kernel_space, device_map_refuses_nonsense)
{
    vaddr_t va = 77;
    u64 limit = hal_mmu.phys_limit();
    paddr_t ram = boot_info_get()->kernel_base;
    KTEST_STATUS(hal_event_device_map(limit - 4096, 0, MAP_DEVICE, &va), HX_ERR_INVALID);
    KTEST_STATUS(hal_event_device_map(UINT64_MAX, 2, MAP_DEVICE, &va), HX_ERR_INVALID);
    KTEST_STATUS(hal_event_device_map(limit, 4096, MAP_DEVICE, &va), HX_ERR_INVALID);
    KTEST_STATUS(hal_event_device_map(limit - 1, 2, MAP_DEVICE, &va), HX_ERR_INVALID);
    KTEST_STATUS(hal_event_device_map(ram, 4, MAP_DEVICE, &va), HX_ERR_INVALID);
    KTEST_STATUS(hal_event_device_map(limit - 4096, 4, 0, &va), HX_ERR_INVALID);
    KTEST_STATUS(hal_event_device_map(limit - 4096, 4, MAP_DEVICE | MAP_COMBINE, &va),
                 HX_ERR_INVALID);
    KTEST_STATUS(hal_event_device_map(limit - 4096, 4, MAP_DEVICE | MAP_EXEC, &va), HX_ERR_INVALID);
    KTEST_EQUAL(va, 77);
}

/* The last pages that the CPU can form an address of: no machine has devices there, and nothing
 * touches them. */
KTEST(kernel_space, device_maps_of_one_page_are_shared)
{
    paddr_t pa = hal_mmu.phys_limit() - 2 * HX_PAGE_SIZE;
    vaddr_t first, second, both;
    struct hal_mapping m;
    KTEST_STATUS(hal_event_device_map(pa + 0x10, 4, MAP_DEVICE, &first), HX_OK);
    KTEST_EQUAL(first & HX_PAGE_MASK, 0x10);
    KTEST_ASSERT(first >= DEVICE_BASE && first < DEVICE_BASE + DEVICE_SIZE);
    KTEST_STATUS(hal_mmu.query(space, first, &m), HX_OK);
    KTEST_EQUAL(m.pa + (first - m.va), pa + 0x10);
    KTEST_EQUAL(m.flags, MAP_DEVICE | MAP_WRITE | MAP_GLOBAL);
    KTEST_STATUS(hal_event_device_map(pa + 0x20, 8, MAP_DEVICE, &second), HX_OK);
    KTEST_EQUAL(second, first + 0x10);
    KTEST_STATUS(hal_event_device_map(pa + 0xffc, 8, MAP_DEVICE, &both), HX_OK);
    KTEST_ASSERT(both != first + 0xfec);
    KTEST_STATUS(hal_mmu.query(space, both + 4, &m), HX_OK);
    KTEST_EQUAL(m.pa + (both + 4 - m.va), pa + HX_PAGE_SIZE);
}

#define PAGE        HX_PAGE_SIZE
#define READERS_MAX 8

static struct {
    volatile u64 *words; /* of the block */
    u32 running;         /* a */
    u32 stop;            /* a */
    u64 wrong;           /* a */
} reading;

static void read_all_the_time(void *arg)
{
    u64 own = (u64)arg;
    __atomic_fetch_add(&reading.running, 1, __ATOMIC_RELEASE);
    for (u64 round = 0; !__atomic_load_n(&reading.stop, __ATOMIC_ACQUIRE); round++) {
        volatile u64 *word = &reading.words[own + round % 512 * (PAGE / 8)];
        if (*word != own) {
            __atomic_fetch_add(&reading.wrong, 1, __ATOMIC_RELAXED);
        }
    }
}

KTEST(kernel_space, a_large_page_is_split_while_other_cpus_use_it)
{
    struct task *tasks[READERS_MAX];
    u32 count = 0;
    paddr_t block;
    s64 value;
    memset(&reading, 0, sizeof(reading));
    KTEST_STATUS(frame_alloc_block(9, 0, FRAME_TEST, &block), HX_OK);
    vaddr_t va = (vaddr_t)hal_phys_to_virt(block);
    reading.words = (volatile u64 *)va;
    for (u64 i = 0; i < HX_MIB(2) / 8; i++) {
        reading.words[i] = i % (PAGE / 8);
    }
    for (u64 mask = cpu_online_mask() & ~1ull; mask && count < READERS_MAX; mask &= mask - 1) {
        KTEST_STATUS(
            task_create("reader", read_all_the_time, (void *)(u64)(count + 1), &tasks[count]),
            HX_OK);
        KTEST_STATUS(sched_affinity_set(tasks[count], mask & -mask), HX_OK);
        task_start(tasks[count++]);
    }
    u64 end = time_now_ns() + 10 * HX_NS_PER_SEC;
    while (__atomic_load_n(&reading.running, __ATOMIC_ACQUIRE) < count && time_now_ns() < end) {
        task_yield();
    }
    /* Its whole 2 MiB first, then pages here and there: each is a border that is made. */
    enum hx_status status = HX_OK;
    for (u32 i = 0; i < 16 && status == HX_OK; i++) {
        vaddr_t at = va + i * 31 * PAGE;
        status = kernel_protect(at, PAGE, 0);
        if (status == HX_OK) {
            status = kernel_protect(at, PAGE, MAP_WRITE);
        }
    }
    __atomic_store_n(&reading.stop, 1, __ATOMIC_RELEASE);
    for (u32 i = 0; i < count; i++) {
        KTEST_STATUS(task_join(tasks[i], time_now_ns() + 10 * HX_NS_PER_SEC, &value), HX_OK);
        task_put(tasks[i]);
    }
    frame_free_run(block, 512);
    KTEST_STATUS(status, HX_OK);
    KTEST_EQUAL(reading.running, count);
    KTEST_EQUAL(reading.wrong, 0);
}
