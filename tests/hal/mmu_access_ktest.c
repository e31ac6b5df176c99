/* SPDX-License-Identifier: MIT */
/* Contract of <hal/mmu.h> and hal_cpu.sync_icache as the CPU keeps it: what a mapping allows, what
 * it forbids, and when a change is seen. Frames are pages of this file's own memory.
 */
#include "probe.h"

#include <core/init.h>
#include <hal/cpu.h>
#include <helix/bits.h>
#include <fixture.h>
#include <ktest.h>

#define VA   FIXTURE_BASE
#define PAGE HX_PAGE_SIZE

static struct hal_space *const space = &hal_kernel_space;
static u8 pages[2][HX_PAGE_SIZE] HX_ALIGNED(4096);

static paddr_t phys(const void *p)
{
    struct hal_mapping m = {0};
    HX_IGNORE(hal_mmu.query(space, (vaddr_t)p, &m), "the image is mapped; 0 fails the test");
    return m.pa + ((vaddr_t)p - m.va);
}

static void expect_fault(const struct probe_seen *seen, enum hal_access access, vaddr_t at,
                         bool present)
{
    KTEST_EQUAL(seen->traps, 1);
    KTEST_EQUAL(seen->trap.kind, TRAP_PAGE_FAULT);
    KTEST_EQUAL(seen->trap.access, access);
    KTEST_ASSERT(seen->trap.address_valid);
    KTEST_EQUAL(seen->trap.address, at);
    KTEST_EQUAL(seen->trap.present, present);
    KTEST_ASSERT(!seen->trap.user);
    KTEST_ASSERT(seen->trap.name && seen->trap.name[0]);
}

/* Tries, and expects a page fault. */
static void expect_no_read(vaddr_t at, bool present)
{
    struct probe_seen seen = probe_try_read(at);
    KTEST_CALL(expect_fault(&seen, ACCESS_READ, at, present));
    KTEST_EQUAL(seen.pc, (vaddr_t)probe_read);
}

static void expect_no_write(vaddr_t at, bool present)
{
    struct probe_seen seen = probe_try_write(at, 0xee);
    KTEST_CALL(expect_fault(&seen, ACCESS_WRITE, at, present));
    KTEST_EQUAL(seen.pc, (vaddr_t)probe_write);
}

static void expect_no_execute(vaddr_t at, bool present)
{
    struct probe_seen seen = probe_try_execute(at);
    KTEST_CALL(expect_fault(&seen, ACCESS_EXECUTE, at, present));
    KTEST_EQUAL(seen.pc, at);
}

static void expect_value(vaddr_t at, u8 value)
{
    struct probe_seen seen = probe_try_read(at);
    KTEST_EQUAL(seen.traps, 0);
    KTEST_EQUAL(seen.value, value);
}

static void map_page(paddr_t pa, u32 flags)
{
    KTEST_STATUS(hal_mmu.map(space, VA, pa, PAGE, flags | MAP_GLOBAL), HX_OK);
    hal_mmu.flush(VA, PAGE);
}

static void unmap_page(void)
{
    KTEST_STATUS(hal_mmu.unmap(space, VA, PAGE), HX_OK);
    hal_mmu.flush(VA, PAGE);
}

KTEST(hal_mmu_access, what_is_not_mapped_faults)
{
    KTEST_CALL(expect_no_read(VA + 5, false));
    KTEST_CALL(expect_no_write(VA + PAGE - 1, false));
    KTEST_CALL(expect_no_execute(VA + 16, false));
}

KTEST(hal_mmu_access, a_writable_page_is_the_frame)
{
    pages[0][7] = 0x11;
    KTEST_CALL(map_page(phys(pages[0]), MAP_WRITE));
    KTEST_CALL(expect_value(VA + 7, 0x11));
    struct probe_seen seen = probe_try_write(VA + 8, 0x22);
    KTEST_CALL(expect_no_execute(VA, true));
    KTEST_CALL(unmap_page());
    KTEST_EQUAL(seen.traps, 0);
    KTEST_EQUAL(pages[0][8], 0x22);
}

KTEST(hal_mmu_access, a_read_only_page_refuses_writes)
{
    pages[0][9] = 0x33;
    KTEST_CALL(map_page(phys(pages[0]), 0));
    KTEST_CALL(expect_value(VA + 9, 0x33));
    KTEST_CALL(expect_no_write(VA + 9, true));
    KTEST_CALL(expect_no_execute(VA, true));
    KTEST_CALL(unmap_page());
    KTEST_EQUAL(pages[0][9], 0x33);
}

KTEST(hal_mmu_access, flush_makes_an_unmap_and_a_new_frame_visible)
{
    pages[0][0] = 0x44;
    pages[1][0] = 0x55;
    for (u32 i = 0; i < 4; i++) {
        KTEST_CALL(map_page(phys(pages[i & 1]), MAP_WRITE));
        KTEST_CALL(expect_value(VA, i & 1 ? 0x55 : 0x44));
        KTEST_CALL(unmap_page());
        KTEST_CALL(expect_no_read(VA, false));
    }
}

KTEST(hal_mmu_access, flush_makes_a_protection_visible)
{
    KTEST_CALL(map_page(phys(pages[0]), MAP_WRITE));
    for (u32 i = 0; i < 4; i++) {
        struct probe_seen seen = probe_try_write(VA, (u8)i);
        KTEST_EQUAL(seen.traps, 0);
        KTEST_STATUS(hal_mmu.protect(space, VA, PAGE, MAP_GLOBAL), HX_OK);
        hal_mmu.flush(VA, PAGE);
        KTEST_CALL(expect_no_write(VA, true));
        KTEST_CALL(expect_value(VA, (u8)i));
        KTEST_STATUS(hal_mmu.protect(space, VA, PAGE, MAP_GLOBAL | MAP_WRITE), HX_OK);
        hal_mmu.flush(VA, PAGE);
    }
    KTEST_CALL(unmap_page());
}

KTEST(hal_mmu_access, a_large_flush_reaches_every_page)
{
    const u64 count = 300; /* more than any port flushes one by one */
    for (u32 round = 0; round < 2; round++) {
        pages[round][0] = (u8)(0x70 + round);
        for (u64 i = 0; i < count; i++) {
            KTEST_STATUS(hal_mmu.map(space, VA + i * PAGE, phys(pages[round]), PAGE, MAP_GLOBAL),
                         HX_OK);
            KTEST_CALL(expect_value(VA + i * PAGE, (u8)(0x70 + round)));
        }
        KTEST_STATUS(hal_mmu.unmap(space, VA, count * PAGE), HX_OK);
        hal_mmu.flush(VA, count * PAGE);
        for (u64 i = 0; i < count; i++) {
            KTEST_CALL(expect_no_read(VA + i * PAGE, false));
        }
    }
}

/* The image's first 2 MiB are RAM that may be read, on every machine. */
KTEST(hal_mmu_access, a_split_keeps_the_neighbours)
{
    paddr_t pa = hx_align_down(boot_info_get()->kernel_base, HX_MIB(2));
    u64 offset = boot_info_get()->kernel_base - pa + PAGE;
    const u8 *image = hal_phys_to_virt(pa + offset);
    KTEST_STATUS(hal_mmu.map(space, VA, pa, HX_MIB(2), MAP_GLOBAL), HX_OK);
    KTEST_CALL(expect_value(VA + offset, image[0]));
    KTEST_CALL(expect_value(VA + offset + PAGE, image[PAGE]));
    KTEST_CALL(expect_value(VA + offset + 2 * PAGE, image[2 * PAGE]));
    KTEST_STATUS(hal_mmu.unmap(space, VA + offset + PAGE, PAGE), HX_OK);
    hal_mmu.flush(VA + offset + PAGE, PAGE);
    KTEST_CALL(expect_value(VA + offset, image[0]));
    KTEST_CALL(expect_no_read(VA + offset + PAGE, false));
    KTEST_CALL(expect_value(VA + offset + 2 * PAGE, image[2 * PAGE]));
    KTEST_STATUS(hal_mmu.unmap(space, VA, offset + PAGE), HX_OK);
    KTEST_STATUS(hal_mmu.unmap(space, VA + offset + 2 * PAGE, HX_MIB(2) - offset - 2 * PAGE),
                 HX_OK);
    hal_mmu.flush(VA, HX_MIB(2));
    KTEST_CALL(expect_no_read(VA + offset, false));
}

static void expect_code(const u8 *code, u64 value)
{
    KTEST_STATUS(hal_mmu.protect(space, VA, PAGE, MAP_GLOBAL | MAP_WRITE), HX_OK);
    hal_mmu.flush(VA, PAGE);
    for (u32 i = 0; i < PROBE_CODE_SIZE; i++) {
        probe_write(VA + i, code[i]);
    }
    KTEST_CALL(expect_no_execute(VA, true));
    hal_cpu.sync_icache(VA, PROBE_CODE_SIZE);
    KTEST_STATUS(hal_mmu.protect(space, VA, PAGE, MAP_GLOBAL | MAP_EXEC), HX_OK);
    hal_mmu.flush(VA, PAGE);
    struct probe_seen seen = probe_try_execute(VA);
    KTEST_EQUAL(seen.traps, 0);
    KTEST_EQUAL(seen.value, value);
    KTEST_CALL(expect_no_write(VA, true));
}

KTEST(hal_mmu_access, new_code_runs_after_sync_icache)
{
    KTEST_CALL(map_page(phys(pages[0]), MAP_WRITE));
    for (u32 i = 0; i < 3; i++) {
        KTEST_CALL(expect_code(probe_code, 42));
        KTEST_CALL(expect_code(probe_code_other, 43));
    }
    KTEST_CALL(unmap_page());
}

KTEST(hal_mmu_access, null_page_is_not_mapped)
{
    KTEST_CALL(expect_no_read(0, false));
    KTEST_CALL(expect_no_write(8, false));
    KTEST_CALL(expect_no_execute(0, false));
    KTEST_CALL(expect_no_read(PAGE - 1, false));
}

KTEST(hal_mmu_access, image_has_the_permissions_of_its_parts)
{
    extern const char __text_start[], __rodata_start[], __boot_stack_guard[];
    static u8 data = 1;
    KTEST_CALL(expect_no_write((vaddr_t)__text_start, true));
    KTEST_CALL(expect_no_write((vaddr_t)__rodata_start, true));
    KTEST_CALL(expect_no_execute((vaddr_t)__rodata_start, true));
    KTEST_CALL(expect_no_execute((vaddr_t)&data, true));
    KTEST_CALL(expect_no_read((vaddr_t)__boot_stack_guard, false));
    KTEST_CALL(expect_no_write((vaddr_t)__boot_stack_guard + PAGE - 1, false));
    /* By the direct map neither. */
    KTEST_CALL(expect_no_write((vaddr_t)hal_phys_to_virt(phys(__text_start)), true));
    KTEST_CALL(expect_no_execute((vaddr_t)hal_phys_to_virt(phys(__text_start)), true));
}
