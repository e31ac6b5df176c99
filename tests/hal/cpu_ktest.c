/* SPDX-License-Identifier: MIT */
/* Contract of <hal/cpu.h>, <hal/port.h>, <hal/smp.h>, <hal/serial.h> and <hal/firmware.h>.
 */
#include <hal/cpu.h>
#include <hal/firmware.h>
#include <hal/irq.h>
#include <hal/mmu.h>
#include <hal/serial.h>
#include <hal/smp.h>
#include <hal/timer.h>
#include <ktest.h>

KTEST(hal_port, irq_save_masks_and_restore_gives_back)
{
    KTEST_ASSERT(hal_irq_is_enabled());
    u64 outer = hal_irq_save();
    bool in_outer = hal_irq_is_enabled();
    u64 inner = hal_irq_save();
    bool in_inner = hal_irq_is_enabled();
    hal_irq_restore(inner);
    bool after_inner = hal_irq_is_enabled();
    hal_irq_restore(outer);
    KTEST_ASSERT(!in_outer);
    KTEST_ASSERT(!in_inner);
    KTEST_ASSERT(!after_inner);
    KTEST_ASSERT(hal_irq_is_enabled());
}

KTEST(hal_port, irq_enable_and_disable_switch)
{
    hal_irq_disable();
    bool off = !hal_irq_is_enabled();
    hal_irq_disable();
    off = off && !hal_irq_is_enabled();
    hal_irq_enable();
    KTEST_ASSERT(off);
    KTEST_ASSERT(hal_irq_is_enabled());
}

KTEST(hal_port, counter_never_goes_back)
{
    u64 first = hal_counter_read(), last = first;
    for (u32 i = 0; i < 10000; i++) {
        u64 now = hal_counter_read();
        KTEST_ASSERT(now >= last);
        last = now;
    }
    KTEST_ASSERT(last > first);
}

KTEST(hal_port, cpu_number_is_in_its_local_data)
{
    u64 irqs = hal_irq_save(); /* or the task might be moved in between */
    cpu_id_t number = hal_cpu_number(), local = hal_cpu_local()->number;
    hal_irq_restore(irqs);
    KTEST_EQUAL(number, local);
    KTEST_ASSERT(number < HAL_CPUS_MAX);
}

static HX_NOINLINE vaddr_t frame_of_callee(vaddr_t *out_caller)
{
    vaddr_t fp = hal_frame_pointer();
    *out_caller = *(const vaddr_t *)fp;
    return fp;
}

KTEST(hal_port, frame_record_links_to_the_caller)
{
    vaddr_t linked, callee = frame_of_callee(&linked);
    KTEST_EQUAL(linked, hal_frame_pointer());
    KTEST_ASSERT(callee < linked); /* stacks grow down */
}

KTEST(hal_port, mmio_accesses_have_their_size)
{
    u64 memory = 0x1122334455667788;
    vaddr_t at = (vaddr_t)&memory;
    KTEST_EQUAL(hal_mmio_read8(at), 0x88);
    KTEST_EQUAL(hal_mmio_read16(at), 0x7788);
    KTEST_EQUAL(hal_mmio_read32(at), 0x55667788);
    KTEST_EQUAL(hal_mmio_read64(at), 0x1122334455667788);
    hal_mmio_write8(at, 0xff);
    hal_mmio_write16(at + 2, 0xeeee);
    KTEST_EQUAL(memory, 0x11223344eeee77ff);
    hal_mmio_write32(at + 4, 0xdddddddd);
    KTEST_EQUAL(memory, 0xddddddddeeee77ff);
    hal_mmio_write64(at, 1);
    KTEST_EQUAL(memory, 1);
}

KTEST(hal_cpu, name_is_words_within_the_buffer)
{
    char name[64], cut[4] = {'x', 'x', 'x', 'x'};
    memset(name, 'x', sizeof(name));
    hal_cpu.name(name, sizeof(name));
    size_t length = strnlen(name, sizeof(name));
    KTEST_ASSERT(length > 0 && length < sizeof(name));
    for (size_t i = 0; i < length; i++) {
        KTEST_ASSERT(name[i] >= ' ' && name[i] <= '~');
    }
    hal_cpu.name(cut, 3);
    KTEST_EQUAL(strnlen(cut, sizeof(cut)), 2);
    KTEST_EQUAL(cut[3], 'x');
}

KTEST(hal_cpu, answers_every_feature_question)
{
    for (u32 i = 0; i < CPU_FEATURE_COUNT; i++) {
        KTEST_EQUAL(hal_cpu.has(i), hal_cpu.has(i));
    }
    KTEST_ASSERT(hal_cpu.has(CPU_NO_EXECUTE)); /* Helix does not start without */
}

KTEST(hal_cpu, names_architecture_and_board)
{
    KTEST_ASSERT(hal_arch_name[0] != '\0');
    KTEST_ASSERT(hal_board_name() && hal_board_name()[0] != '\0');
}

KTEST(hal_smp, has_at_least_one_cpu_and_distinct_ids)
{
    u32 count = hal_smp.count();
    KTEST_ASSERT(hal_smp.name != NULL);
    KTEST_ASSERT(count >= 1 && count <= HAL_CPUS_MAX);
    for (u32 a = 0; a < count; a++) {
        for (u32 b = a + 1; b < count; b++) {
            KTEST_ASSERT(hal_smp.hw_id(a) != hal_smp.hw_id(b));
        }
    }
}

KTEST(hal_firmware, unknown_blob_is_not_found)
{
    u8 buf[4] = {1, 2, 3, 4};
    size_t size = 77;
    KTEST_STATUS(hal_firmware.blob_read("opt/helix/no-such-blob", buf, sizeof(buf), &size),
                 HX_ERR_NOT_FOUND);
    KTEST_EQUAL(size, 77); /* results are untouched on failure */
    KTEST_EQUAL(buf[0], 1);
}

KTEST(hal_mmu, phys_and_virt_are_inverse)
{
    for (paddr_t pa = 0; pa < DIRECT_MAP_SIZE; pa = pa * 3 + 0x1234) {
        KTEST_EQUAL(hal_virt_to_phys(hal_phys_to_virt(pa)), pa);
        KTEST_ASSERT((vaddr_t)hal_phys_to_virt(pa) >= DIRECT_MAP_BASE);
    }
}

KTEST(hal_registry, a_second_registration_exists)
{
    static const struct hal_irq_ops irq;
    static const struct hal_timer_ops timer;
    static const struct hal_firmware_ops firmware;
    const char *before = hal_irq.name;
    KTEST_STATUS(hal_irq_register(&irq), HX_ERR_EXISTS);
    KTEST_STATUS(hal_timer_register(&timer), HX_ERR_EXISTS);
    KTEST_STATUS(hal_firmware_register(&firmware), HX_ERR_EXISTS);
    KTEST_ASSERT(hal_irq.name == before);
}

KTEST(hal_registry, every_entry_of_the_bound_tables_is_there)
{
    KTEST_ASSERT(hal_irq.lines > 0 && hal_irq.lines <= HAL_IRQ_LINES_MAX);
    KTEST_ASSERT(hal_irq.init_cpu && hal_irq.enable && hal_irq.mask && hal_irq.unmask);
    KTEST_ASSERT(hal_irq.ack && hal_irq.eoi && hal_irq.set_cpu && hal_irq.send_ipi);
    KTEST_ASSERT(hal_irq.ipi_irq && hal_timer.refine && hal_serial.rx_enable);
    KTEST_ASSERT(hal_firmware.exit && hal_firmware.blob_read && hal_firmware.poweroff);
}

KTEST(hal_irq, ipi_lines_are_lines_or_none)
{
    for (u32 i = 0; i < IPI_COUNT; i++) {
        irq_t line = hal_irq.ipi_irq(i);
        KTEST_ASSERT(line == HX_IRQ_NONE || line < hal_irq.lines);
    }
}
