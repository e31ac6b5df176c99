/* SPDX-License-Identifier: MIT */
/* What the checking variants must punish, each as a command of the test kernel: `crime NAME`. The
 * end of each is a panic, so a boot serves for one; tests/boot/crimes.py says which panic. A leak
 * alone is found later, by who looks.
 * Owns:      nothing worth keeping.      Context: the shell's thread.
 * Operands are read from volatile memory: the compiler must not see the crime coming.
 */
#include <core/memory.h>
#include <core/shell.h>
#include <core/spinlock.h>
#include <core/sync.h>
#include <core/task.h>
#include <core/time.h>
#include <hal/mmu.h>
#include <helix/panic.h>
#include <helix/string.h>

static struct {
    struct spinlock low, high;
    volatile s32 largest, zero, forty;
    volatile u32 three;
    volatile u8 two;
    void *volatile null;
    volatile s32 sink;
} crime = {
    .low = SPINLOCK_INIT("low", LOCK_RANK_IRQ),
    .high = SPINLOCK_INIT("high", LOCK_RANK_LOG),
    .largest = INT32_MAX,
    .forty = 40,
    .three = 3,
    .two = 2,
};

static void lock_order(void)
{
    spin_lock_irq(&crime.high);
    spin_lock(&crime.low);
}

static void lock_twice(void)
{
    spin_lock_irq(&crime.low);
    spin_lock(&crime.low);
}

static void lock_foreign(void)
{
    spin_unlock(&crime.low);
}

static void assertion(void)
{
    HX_ASSERT(crime.two == 3);
}

static void debug_assertion(void)
{
    HX_DEBUG_ASSERT(crime.two == 3);
}

static HX_NOINLINE void scribble(u8 *at, u32 size)
{
    for (u32 i = 0; i < size; i++) {
        ((volatile u8 *)at)[i] = 0x5a;
    }
}

/* Over the canary, but not over the return address' page: the epilogue must notice. */
static HX_NOINLINE void smash(void)
{
    u8 buffer[16];
    scribble(buffer, 8 * crime.three + 8);
    crime.sink = buffer[0];
}

static void overflow(void)
{
    crime.sink = crime.largest + 1;
}

static void negate(void)
{
    s32 least = -crime.largest - 1;
    crime.sink = -least;
}

static void divide(void)
{
    crime.sink = crime.largest / crime.zero;
}

static void shift(void)
{
    crime.sink = 1 << crime.forty;
}

static void array_index(void)
{
    static s32 table[3];
    crime.sink = table[crime.three];
}

static void null_member(void)
{
    crime.sink = (s32)((struct spinlock *)crime.null)->next;
}

static void misaligned(void)
{
    u32 words[2] = {0};
    crime.sink = *(s32 *)((uintptr_t)words + crime.two);
}

static void bad_bool(void)
{
    bool value;
    u8 two = crime.two;
    memcpy(&value, &two, 1);
    crime.sink = *(volatile bool *)&value ? 1 : 0;
}

static void global_overflow(void)
{
    static u8 buffer[13];
    u8 *volatile at = buffer;
    crime.sink = at[13];
}

static void copy_overflow(void)
{
    static u8 from[64], to[13];
    u8 *volatile at = to;
    memcpy(at, from, 11 + crime.three);
}

static void heap_overflow(void)
{
    u8 *at = kmalloc(40);
    scribble(at, 41);
    kfree(at);
}

static void heap_double_free(void)
{
    void *volatile at = kmalloc(100);
    kfree(at);
    kfree(at);
}

/* Nobody notices until the memory is handed out again: at once, on this CPU. */
static void heap_use_after_free(void)
{
    u8 *volatile at = kmalloc(200);
    u64 irqs = hal_irq_save(); /* or the task might be moved to another CPU */
    kfree(at);
    scribble(at, 1);
    at = kmalloc(200);
    hal_irq_restore(irqs);
}

static void heap_foreign_free(void)
{
    u8 *volatile at = kmalloc(300);
    kfree(at + 16);
}

static void heap_frame_free(void)
{
    static u8 page[4096];
    void *volatile at = page;
    struct hal_mapping m;
    HX_IGNORE(hal_mmu.query(&hal_kernel_space, (vaddr_t)at, &m), "the image is mapped");
    kfree(hal_phys_to_virt(m.pa));
}

static HX_NOINLINE void heap_leak(void)
{
    for (u32 i = 0; i < crime.three; i++) {
        crime.null = kmalloc(77);
    }
}

static void mutex_foreign(void)
{
    static struct mutex mutex = MUTEX_INIT(mutex);
    mutex_release(&mutex);
}

static void sleep_in_timer(struct timer *timer)
{
    (void)timer;
    HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it does not come back");
}

static void sleep_in_interrupt(void)
{
    static struct timer timer = {.expired = sleep_in_timer};
    timer_start(&timer, time_now_ns());
    HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_SEC), "the timer comes first");
}

static void sleep_with_lock(void)
{
    spin_lock_irq(&crime.low);
    HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it does not come back");
}

static void sleep_without_preemption(void)
{
    preempt_disable();
    HX_IGNORE(task_sleep_until(time_now_ns() + HX_NS_PER_MS), "it does not come back");
}

/* Deep enough for any stack, and not a tail call. */
static HX_NOINLINE u32 dig(u32 depth)
{
    volatile u8 hole[256];
    hole[depth % sizeof(hole)] = (u8)depth;
    return depth == 0 ? 0 : dig(depth - 1) + hole[depth % sizeof(hole)];
}

static void dig_main(void *arg)
{
    (void)arg;
    crime.sink = (s32)dig(1000000);
}

static void stack_of_task(void)
{
    struct task *task;
    s64 value;
    if (task_create("digger", dig_main, NULL, &task) == HX_OK) {
        task_start(task);
        HX_IGNORE(task_join(task, WAIT_FOREVER, &value), "it does not end");
    }
}

static const struct {
    const char *name;
    void (*commit)(void);
} crimes[] = {
    {"lock-order", lock_order},
    {"lock-twice", lock_twice},
    {"lock-foreign", lock_foreign},
    {"assertion", assertion},
    {"debug-assertion", debug_assertion},
    {"smash", smash},
    {"overflow", overflow},
    {"negate", negate},
    {"divide", divide},
    {"shift", shift},
    {"index", array_index},
    {"null", null_member},
    {"misaligned", misaligned},
    {"bool", bad_bool},
    {"global-overflow", global_overflow},
    {"copy-overflow", copy_overflow},
    {"heap-overflow", heap_overflow},
    {"heap-double-free", heap_double_free},
    {"heap-use-after-free", heap_use_after_free},
    {"heap-foreign-free", heap_foreign_free},
    {"heap-frame-free", heap_frame_free},
    {"heap-leak", heap_leak},
    {"mutex-foreign", mutex_foreign},
    {"sleep-in-interrupt", sleep_in_interrupt},
    {"sleep-with-lock", sleep_with_lock},
    {"sleep-without-preemption", sleep_without_preemption},
    {"stack-of-task", stack_of_task},
};

static int command_crime(int argc, char **argv)
{
    for (u32 i = 0; argc == 2 && i < HX_ARRAY_SIZE(crimes); i++) {
        if (str_equal(crimes[i].name, argv[1])) {
            crimes[i].commit();
            shell_printf("crime: %s went unpunished\n", argv[1]);
            return SHELL_FAILED;
        }
    }
    return shell_usage("crime");
}

SHELL_COMMAND(crime, "crime", "NAME", "do what the checking variants punish",
              "Test kernels only. Names: see tests/kernel/crimes.c.", command_crime);
