/* SPDX-License-Identifier: MIT */
/* Contract of <hal/context.h> and <hal/port.h> about threads and whole pages, and of IPIs, as far
 * as it needs no user mode; that is in user_ktest.c.
 */
#include <core/time.h>
#include <hal/context.h>
#include <hal/irq.h>
#include <helix/irq.h>
#include <ktest.h>

#define STACK_SIZE 16384
#define WAIT_NS    (500 * HX_NS_PER_MS)
#define PATTERN(i) ((u8)((i)*7 + 3))

static struct {
    u8 stack[STACK_SIZE] HX_ALIGNED(16);
    u8 page[2 * HX_PAGE_SIZE] HX_ALIGNED(4096);
    struct hal_context test, other;
    u32 count;
} self;

static void count_and_return(void *arg)
{
    for (;;) {
        ++*(u32 *)arg;
        hal_context_switch(&self.other, &self.test);
    }
}

KTEST(hal_context, switching_goes_there_and_back)
{
    self.count = 0;
    hal_context_init(&self.other, (vaddr_t)self.stack + STACK_SIZE, count_and_return, &self.count);
    u64 state = hal_irq_save();
    for (u32 i = 0; i < 1000; i++) {
        hal_context_switch(&self.test, &self.other);
    }
    bool masked = !hal_irq_is_enabled();
    hal_irq_restore(state);
    KTEST_EQUAL(self.count, 1000);
    KTEST_ASSERT(masked);
}

KTEST(hal_context, thread_pointer_is_kept)
{
    u64 state = hal_irq_save();
    u64 before = hal_user_tls_get();
    hal_user_tls_set(0x12345678);
    u64 during = hal_user_tls_get();
    hal_user_tls_set(before);
    hal_irq_restore(state);
    KTEST_EQUAL(during, 0x12345678);
    KTEST_EQUAL(hal_user_tls_get(), before);
}

KTEST(hal_port, current_is_what_was_set)
{
    u64 state = hal_irq_save();
    void *before = hal_current();
    hal_current_set(&self);
    void *during = hal_current();
    hal_current_set(before);
    hal_irq_restore(state);
    KTEST_ASSERT(during == &self);
    KTEST_ASSERT(hal_current() == before);
}

KTEST(hal_port, local_block_has_the_number)
{
    u64 state = hal_irq_save();
    u64 number = hal_cpu_local()->number;
    cpu_id_t cpu = hal_cpu_number();
    hal_irq_restore(state);
    KTEST_EQUAL(number, cpu);
}

KTEST(hal_port, whole_pages_are_zeroed_and_copied_and_nothing_else)
{
    u8 *first = self.page, *second = self.page + HX_PAGE_SIZE;
    for (u32 i = 0; i < HX_PAGE_SIZE; i++) {
        first[i] = PATTERN(i);
    }
    memset(second, 0xee, HX_PAGE_SIZE);
    hal_page_copy(second, first);
    KTEST_ASSERT(memcmp(first, second, HX_PAGE_SIZE) == 0);
    hal_page_zero(first);
    for (u32 i = 0; i < HX_PAGE_SIZE; i++) {
        KTEST_EQUAL(first[i], 0);
        KTEST_EQUAL(second[i], PATTERN(i));
    }
    memset(first, 0x11, HX_PAGE_SIZE);
    hal_page_zero(second);
    for (u32 i = 0; i < HX_PAGE_SIZE; i++) {
        KTEST_EQUAL(first[i], 0x11);
        KTEST_EQUAL(second[i], 0);
    }
}

static bool on_ipi(void *ctx, irq_t irq)
{
    (void)irq;
    __atomic_fetch_add((u32 *)ctx, 1, __ATOMIC_RELAXED);
    return true;
}

KTEST(hal_irq, an_ipi_to_itself_arrives)
{
    u32 arrived = 0;
    struct irq_action action = {.handler = on_ipi, .ctx = &arrived, .name = "ktest"};
    irq_t line = hal_irq.ipi_irq(IPI_CALL);
    if (line == HX_IRQ_NONE) {
        KTEST_SKIP("this interrupt controller has none");
    }
    KTEST_STATUS(irq_register(line, &action, IRQ_TRIGGER_DEFAULT), HX_OK);
    u64 state = hal_irq_save(); /* stay on this CPU */
    hal_irq.send_ipi(hal_cpu_number(), IPI_CALL);
    hal_irq_restore(state);
    u64 until = time_now_ns() + WAIT_NS;
    while (__atomic_load_n(&arrived, __ATOMIC_RELAXED) == 0 && time_now_ns() < until) {
        hal_cpu_relax();
    }
    KTEST_STATUS(irq_unregister(&action), HX_OK);
    KTEST_EQUAL(arrived, 1);
}
