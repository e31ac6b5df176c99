/* SPDX-License-Identifier: MIT */
/* Consoles and their input.
 * Owns:      the list of consoles, the input ring.      Callers: log, panic, shell.
 * Context:   any for output; input bytes arrive in IRQ context.
 * Locks:     console.lock around output, so that lines of two CPUs do not mix; input.lock for the
 *            ring. A panic stops taking the former: its holder may be the one that panicked.
 * Invariant: (1) ring: tail - head <= INPUT_SIZE; bytes that do not fit are counted, not blocked
 * on.
 */
#include <core/console.h>
#include <core/spinlock.h>
#include <core/sync.h>
#include <core/task.h>
#include <core/time.h>
#include <hal/events.h>
#include <hal/serial.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/irq.h>
#include <helix/log.h>
#include <helix/string.h>

#define INPUT_SIZE 256 /* bytes; a power of two */
#define POLL_NS    (10 * HX_NS_PER_MS)

static struct {
    struct spinlock lock;
    struct list_node consoles;                  /* l; only ever grows */
    bool (*divert)(const char *text, size_t n); /* l: who serves in their place, or NULL */
    bool panicking;
} console = {
    .lock = SPINLOCK_INIT("console", LOCK_RANK_CONSOLE),
    .consoles = LIST_INIT(console.consoles),
};

struct console_hardware console_hardware;

static struct {
    struct spinlock lock;
    u8 ring[INPUT_SIZE]; /* l */
    u32 head, tail;      /* l; free-running, inv 1 */
    u64 dropped;         /* l */
    bool polled;         /* serial line without an interrupt */
    struct event arrived;
    struct irq_action action;
} input = {
    .lock = SPINLOCK_INIT("console input", LOCK_RANK_INPUT),
    .arrived = {.auto_reset = true, .queue = WAIT_QUEUE_INIT(input.arrived.queue)},
};

void console_register(struct console *c)
{
    u64 state = spin_lock_irq(&console.lock);
    list_add_tail(&console.consoles, &c->node);
    spin_unlock_irq(&console.lock, state);
}

void console_divert(bool (*write)(const char *text, size_t n))
{
    u64 state = spin_lock_irq(&console.lock);
    console.divert = write;
    spin_unlock_irq(&console.lock, state);
}

void console_panic(void)
{
    console.panicking = true;
}

static void write_all(const char *text, size_t n)
{
    struct console *c;
    if (console.divert && !console.panicking) {
        if (console.divert(text, n)) {
            return;
        }
        console.divert = NULL;
    }
    LIST_FOREACH (&console.consoles, c, node) {
        c->write(text, n);
    }
}

void console_write(const char *text, size_t n)
{
    if (console.panicking) {
        write_all(text, n);
        return;
    }
    u64 state = spin_lock_irq(&console.lock);
    write_all(text, n);
    spin_unlock_irq(&console.lock, state);
}

static void sink(void *ctx, const char *text, size_t n)
{
    (void)ctx;
    write_all(text, n);
}

void console_printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (console.panicking) {
        format_to(sink, NULL, fmt, args);
    } else {
        u64 state = spin_lock_irq(&console.lock);
        format_to(sink, NULL, fmt, args);
        spin_unlock_irq(&console.lock, state);
    }
    va_end(args);
}

void console_names(char *buf, size_t size)
{
    size_t used = 0;
    struct console *c;
    buf[0] = '\0';
    LIST_FOREACH (&console.consoles, c, node) {
        used += format_buffer(buf + used, size - used, "%s%s", used ? ", " : "", c->name);
        if (used >= size) {
            return;
        }
    }
}

static void serial_write(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            hal_serial.write('\r');
        }
        hal_serial.write((u8)text[i]);
    }
}

void console_init(void)
{
    console_hardware.serial_write = hal_serial.write;
    static struct console serial = {.name = "serial", .write = serial_write};
    console_register(&serial);
}

void hal_event_input(u8 byte)
{
    u64 state = spin_lock_irq(&input.lock);
    if (input.tail - input.head < INPUT_SIZE) {
        input.ring[input.tail++ % INPUT_SIZE] = byte;
    } else {
        input.dropped++;
    }
    spin_unlock_irq(&input.lock, state);
    event_set(&input.arrived);
}

static bool serial_received(void *ctx, irq_t irq)
{
    (void)ctx;
    (void)irq;
    u8 byte;
    while (hal_serial.read_try(&byte)) {
        hal_event_input(byte);
    }
    return true; /* also for a second interrupt whose bytes the first has taken */
}

void console_input_init(void)
{
    irq_t irq;
    enum hx_status status = hal_serial.rx_enable(&irq);
    if (status == HX_OK) {
        input.action = (struct irq_action){.handler = serial_received, .name = "serial"};
        status = irq_register(irq, &input.action, IRQ_TRIGGER_DEFAULT);
    }
    if (status != HX_OK) {
        log_warn("console", "serial input is polled: %s", hx_status_words(status));
        input.polled = true;
    }
}

enum hx_status console_read_until(u8 *out, u64 deadline_ns)
{
    for (;;) {
        u64 state = spin_lock_irq(&input.lock);
        bool found = input.tail != input.head;
        if (found) {
            *out = input.ring[input.head++ % INPUT_SIZE];
        }
        spin_unlock_irq(&input.lock, state);
        if (found) {
            return HX_OK;
        }
        u64 now = time_now_ns();
        enum hx_status status = HX_ERR_TIMED_OUT;
        if (deadline_ns > now && input.polled) {
            status = task_sleep_until(hx_min_u64(deadline_ns, now + POLL_NS));
            serial_received(NULL, HX_IRQ_NONE);
        } else if (deadline_ns > now) {
            status = event_wait(&input.arrived, deadline_ns);
        }
        if (status != HX_OK) {
            return status;
        }
    }
}

u8 console_read(void)
{
    u8 byte;
    while (console_read_until(&byte, WAIT_FOREVER) != HX_OK) {
        /* without a deadline only a kill ends a wait, and this is for tasks that nobody kills */
    }
    return byte;
}
