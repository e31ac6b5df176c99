/* SPDX-License-Identifier: MIT */
/* The CPUs of the machine: logical numbers are 0 and up, and each CPU knows its own. On one CPU
 * too. Context: thread; the calls run in IRQ context of the CPU that is asked.
 */
#include <core/cpu.h>
#include <hal/smp.h>
#include <ktest.h>

static void note_number(void *arg)
{
    *(cpu_id_t *)arg = hal_cpu_number();
}

KTEST(hal_smp, every_cpu_knows_its_number_and_the_boot_cpu_is_0)
{
    u64 mask = cpu_online_mask();
    u32 asked = 0;
    KTEST_ASSERT(mask & 1);
    for (cpu_id_t cpu = 0; cpu < HAL_CPUS_MAX; cpu++) {
        cpu_id_t number = HAL_CPUS_MAX;
        if (!(mask >> cpu & 1)) {
            continue;
        }
        cpu_call(1ull << cpu, note_number, &number);
        KTEST_EQUAL(number, cpu);
        asked++;
    }
    KTEST_EQUAL(asked, cpu_online_count());
}
