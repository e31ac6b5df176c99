/* SPDX-License-Identifier: MIT */
/* The in-kernel units that need no hardware, as a program of this machine: the contract suite and
 * parts of core, over the do-nothing port. Proof that the contract can be met by its shortest form,
 * and a run of the same tests under the sanitizers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/console.h>
#include <core/log.h>
#include <core/time.h>
#include <hal/cpu.h>
#include <hal/hal.h>
#include <hal/irq.h>
#include <fixture.h>
#include <ktest.h>
#include <port/fake.h>

#define TESTS_MAX 256

void fixture_tables_limit(u32 frames)
{
    port_tables.limit = port_tables.used + frames;
}

void fixture_tables_unlimit(void)
{
    port_tables.limit = UINT32_MAX;
}

/* The order of kernel_main, as far as there is something to bring up. */
static int start(void **unused)
{
    (void)unused;
    hal_cpu.init_early();
    hal_init_early(NULL);
    console_init();
    log_console_level(LOG_PANIC);
    if (hal_mmu.init() != HX_OK || hal_cpu.init(0) != HX_OK || hal_init_platform(NULL) != HX_OK) {
        return -1;
    }
    hal_irq.init_cpu(0);
    if (time_init(hal_counter_read()) != HX_OK) {
        return -1;
    }
    hal_irq_enable();
    hal_init_devices();
    return 0;
}

/* Some mapping before the kernel's own tables: walks see more than a test's. */
static int run_setup(void **state)
{
    (void)state;
    return hal_mmu.map(&hal_kernel_space, DIRECT_MAP_BASE, 0, HX_MIB(64), MAP_GLOBAL) == HX_OK ? 0
                                                                                               : -1;
}

/* A test that passes has returned every table frame. */
static int run_teardown(void **state)
{
    (void)state;
    return hal_mmu.unmap(&hal_kernel_space, DIRECT_MAP_BASE, HX_MIB(64)) == HX_OK &&
                   port_tables.used == 0
               ? 0
               : -1;
}

static void run(void **state)
{
    const char *why;
    switch (ktest_run(*state, &why)) {
    case KTEST_OK:
        break;
    case KTEST_SKIPPED:
        skip();
        break;
    default:
        fail_msg("%s", why);
    }
}

int main(void)
{
    static struct CMUnitTest tests[TESTS_MAX];
    static char names[TESTS_MAX][128];
    size_t count = 0;
    HX_SET_FOREACH (ktests, it) {
        if (count == TESTS_MAX) {
            return 1;
        }
        snprintf(names[count], sizeof(names[count]), "%s.%s", (*it)->suite, (*it)->name);
        tests[count] =
            (struct CMUnitTest){names[count], run, run_setup, run_teardown, (void *)(uintptr_t)*it};
        count++;
    }
    return _cmocka_run_group_tests("contract", tests, count, start, NULL);
}
