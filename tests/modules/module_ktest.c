/* SPDX-License-Identifier: MIT */
/* Modules of the boot archive in a running kernel: loading, what stays behind, guards, slots.
 */
#include <core/log.h>
#include <core/slot.h>
#include <core/time.h>
#include <helix/format.h>
#include <ktest.h>
#include <memory/frame.h>
#include <memory/frame_alloc.h>
#include <memory/kernel_space.h>
#include <memory/trim.h>
#include <userspace/archive.h>

static enum hx_status load(const char *name, struct module_instance **out)
{
    char path[48];
    struct archive_file file;
    format_buffer(path, sizeof(path), "modules/%s.hxm", name);
    enum hx_status status = boot_archive_find(path, &file);
    return status == HX_OK ? module_load(file.data, file.size, MODULE_LOAD_TRUSTED, false, out)
                           : status;
}

static u64 free_frames(void)
{
    memory_trim();
    return frame_free_count();
}

KTEST(module, loading_and_unloading_gives_every_frame_back)
{
    struct module_instance *m;
    u64 before = free_frames();
    for (u32 i = 0; i < 20; i++) {
        KTEST_STATUS(load("large", &m), HX_OK);
        KTEST_ASSERT(free_frames() < before);
        KTEST_STATUS(module_unload(m), HX_OK);
    }
    KTEST_EQUAL(free_frames(), before);
}

KTEST(module, nothing_is_writable_and_executable_while_it_is_loaded)
{
    struct module_instance *m;
    u64 pages = 0, with = 0;
    KTEST_STATUS(memory_wx_check(&pages), HX_OK);
    KTEST_STATUS(load("large", &m), HX_OK);
    enum hx_status status = memory_wx_check(&with);
    KTEST_STATUS(module_probe(m), HX_OK); /* its code runs, and finds its constants */
    KTEST_STATUS(module_unload(m), HX_OK);
    KTEST_STATUS(status, HX_OK);
    KTEST_ASSERT(with > pages);
    KTEST_STATUS(memory_wx_check(&with), HX_OK);
    KTEST_EQUAL(with, pages);
}

KTEST(module, a_name_is_loaded_once)
{
    struct module_instance *m, *again;
    KTEST_STATUS(load("fifo", &m), HX_OK);
    KTEST_STATUS(load("fifo", &again), HX_ERR_EXISTS);
    KTEST_ASSERT(module_find("fifo") == m);
    KTEST_STATUS(module_unload(m), HX_OK);
    KTEST_ASSERT(module_find("fifo") == NULL);
}

KTEST(module, memory_is_held_found_and_reclaimed)
{
    struct module_instance *m;
    KTEST_STATUS(load("fifo", &m), HX_OK);
    u8 *a = module_alloc(&m->self, 100), *b = module_alloc(&m->self, 5000);
    KTEST_ASSERT(a && b && a[99] == 0);
    KTEST_EQUAL(ledger_count(&m->ledger), 2);
    module_free(&m->self, a);
    KTEST_EQUAL(ledger_count(&m->ledger), 1);
    enum log_level level = log_console_level(LOG_PANIC);
    module_free(&m->self, a); /* not any more: said, not done */
    KTEST_ASSERT(module_alloc(&m->self, ~(size_t)0) == NULL);
    KTEST_STATUS(module_unload(m), HX_OK);
    log_console_level(level);
}

static u64 answer(u64 a0, u64 a1, u64 a2, u64 a3)
{
    return a0 * 1000 + a1 * 100 + a2 * 10 + a3;
}

KTEST(guard, a_call_hands_on_what_goes_in_and_out)
{
    static struct guard_domain domain = {.name = "test"};
    u64 value = 0;
    KTEST_STATUS(guard_call(&domain, 4, answer, 1, 2, 3, 4, &value), HX_OK);
    KTEST_EQUAL(value, 1234);
    KTEST_ASSERT(task_current()->guard == NULL);
}

KTEST(guard, every_fault_returns_with_its_name)
{
    static struct guard_domain domain = {.name = "test"};
    static const enum guard_fault want[INJECT_COUNT] = {[INJECT_NULL] = GUARD_EXCEPTION,
                                                        [INJECT_WILD] = GUARD_EXCEPTION,
                                                        [INJECT_UNDEFINED] = GUARD_EXCEPTION,
                                                        [INJECT_DIVIDE] = GUARD_EXCEPTION,
                                                        [INJECT_ASSERT] = GUARD_ASSERT,
                                                        [INJECT_STACK] = GUARD_STACK,
                                                        [INJECT_HANG] = GUARD_HANG};
    struct module_instance *m;
    KTEST_STATUS(load("fifo", &m), HX_OK);
    domain.text = m->domain.text; /* a guard page lies before it */
    domain.text_end = m->domain.text_end;
    for (enum inject_fault fault = INJECT_NULL; fault < INJECT_COUNT; fault++) {
        u64 value = 7, begin = time_now_ns();
        inject(&domain, fault);
        KTEST_STATUS(guard_call(&domain, 3, answer, 0, 0, 0, 0, &value), HX_ERR_FAULT);
        KTEST_EQUAL(domain.report.fault, want[fault]);
        KTEST_EQUAL(domain.faults[want[fault]] > 0, 1);
        KTEST_ASSERT(hal_irq_is_enabled() && task_current()->guard == NULL);
        if (fault == INJECT_HANG) {
            KTEST_ASSERT(time_now_ns() - begin >= 3 * GUARD_TICK_NS);
        }
        KTEST_STATUS(guard_call(&domain, 3, answer, 0, 0, 4, 2, &value), HX_OK);
        KTEST_EQUAL(value, 42);
    }
    KTEST_STATUS(module_unload(m), HX_OK);
}

static bool is_watched_for(u64 ns)
{
    u64 end = time_now_ns() + ns;
    while (cpu_this()->guard_watched && time_now_ns() < end) {
        hal_cpu_relax();
    }
    return cpu_this()->guard_watched;
}

/* Any time may pass between arming the timer and entering: the ticks go on for it. */
KTEST(guard, a_tick_before_the_call_is_entered_does_not_stop_the_watch)
{
    guard_count_begin();
    bool watched = is_watched_for(10 * GUARD_TICK_NS);
    guard_count_end();
    KTEST_ASSERT(watched);
    KTEST_ASSERT(!is_watched_for(1000 * GUARD_TICK_NS)); /* and it does stop */
}

KTEST(slot, what_serves_cannot_be_unloaded)
{
    const struct slot *slot = slot_find("frame.alloc");
    struct module_instance *m;
    struct slot_report report;
    KTEST_STATUS(load("bitmap", &m), HX_OK);
    struct slot_wish wish = {.m = m}, own = {.file = NULL};
    KTEST_STATUS(slot_swap(slot, &wish, &report), HX_OK);
    KTEST_STRING(slot->ops->serving(), "bitmap");
    KTEST_STATUS(module_unload(m), HX_ERR_BUSY);
    KTEST_ASSERT(frame_allocator_check());
    KTEST_STATUS(slot_swap(slot, &own, &report), HX_OK);
    KTEST_STRING(slot->ops->serving(), "buddy");
    KTEST_ASSERT(module_find("bitmap") == NULL);
}

KTEST(slot, a_failpoint_in_each_phase_leaves_everything_as_it_was)
{
    const struct slot *slot = slot_find("frame.alloc");
    struct archive_file file;
    KTEST_STATUS(boot_archive_find("modules/bitmap.hxm", &file), HX_OK);
    u64 before = free_frames();
    for (enum slot_phase phase = SLOT_READ; phase <= SLOT_COMMIT; phase++) {
        struct slot_wish wish = {
            .file = file.data, .size = file.size, .flags = MODULE_LOAD_TRUSTED};
        struct slot_report report;
        slot_fail(phase, 1);
        KTEST_STATUS(slot_swap(slot, &wish, &report), HX_ERR_CANCELLED);
        KTEST_EQUAL(report.phase, phase);
        KTEST_STRING(slot->ops->serving(), "buddy");
        KTEST_EQUAL(free_frames(), before);
    }
}
