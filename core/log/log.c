/* SPDX-License-Identifier: MIT */
/* The log ring.
 * Owns:      the last lines logged, up to LOG_RING_SIZE bytes.    Callers: everyone; dmesg, panic.
 * Context:   any. A panic switches the lock off: whoever held it is stopped or is the caller.
 * Locks:     log.lock (a leaf) around the ring; the console is written after it is released, so a
 *            slow console never holds up another CPU's logging.
 * Why bytes, not slots: lines differ in length by a factor of ten; fixed slots would keep a third.
 * Invariant: (1) [head, tail) holds whole records, in order, tail - head <= LOG_RING_SIZE.
 *            (2) the record at head has sequence first; at tail, next; next - first records lie
 *            between.
 */
#include <core/console.h>
#include <core/log.h>
#include <core/spinlock.h>
#include <core/time.h>
#include <helix/bits.h>
#include <helix/format.h>
#include <helix/panic.h>
#include <helix/string.h>

#define LOG_RING_SIZE 65536 /* bytes; a power of two */

struct record {
    u64 counter;      /* hal_counter_read(): its rate is not known yet in the first lines */
    const char *area; /* a literal; a module's literals are copied by whoever unloads it */
    u16 length;       /* bytes of text that follow */
    u8 level;
};

/* Apart from what has an initial value, so that the image does not carry its zeros. */
static u8 ring[LOG_RING_SIZE]; /* logs.lock */

static struct {
    struct spinlock lock;
    u64 head, tail;               /* l; byte positions, free-running, inv 1 */
    u64 first, next;              /* l; sequence numbers, inv 2 */
    enum log_level console_level; /* a */
    bool panicking;
} logs = {.lock = SPINLOCK_INIT("log", LOCK_RANK_LOG), .console_level = LOG_INFO};

static const char *const level_names[] = {
    [LOG_PANIC] = "panic", [LOG_ERROR] = "error", [LOG_WARN] = "warn",
    [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};
_Static_assert(HX_ARRAY_SIZE(level_names) == LOG_LEVEL_COUNT, "a level without a name");

static u64 lock(void)
{
    return logs.panicking ? 0 : spin_lock_irq(&logs.lock);
}

static void unlock(u64 state)
{
    if (!logs.panicking) {
        spin_unlock_irq(&logs.lock, state);
    }
}

static void ring_copy_in(u64 at, const void *src, size_t n)
{
    size_t offset = at % LOG_RING_SIZE, piece = hx_min_u64(n, LOG_RING_SIZE - offset);
    memcpy(ring + offset, src, piece);
    memcpy(ring, (const u8 *)src + piece, n - piece);
}

static void ring_copy_out(u64 at, void *dst, size_t n)
{
    size_t offset = at % LOG_RING_SIZE, piece = hx_min_u64(n, LOG_RING_SIZE - offset);
    memcpy(dst, ring + offset, piece);
    memcpy((u8 *)dst + piece, ring, n - piece);
}

static void append_locked(const struct record *record, const char *text)
{
    size_t need = sizeof(*record) + record->length;
    while (logs.tail - logs.head + need > LOG_RING_SIZE) {
        struct record oldest;
        ring_copy_out(logs.head, &oldest, sizeof(oldest));
        logs.head += sizeof(oldest) + oldest.length;
        logs.first++;
    }
    ring_copy_in(logs.tail, record, sizeof(*record));
    ring_copy_in(logs.tail + sizeof(*record), text, record->length);
    logs.tail += need;
    logs.next++;
}

void log_write(enum log_level level, const char *area, const char *fmt, ...)
{
    char text[LOG_LINE_MAX + 1];
    va_list args;
    va_start(args, fmt);
    size_t length = format_buffer_va(text, sizeof(text), fmt, args);
    va_end(args);
    length = hx_min_u64(length, LOG_LINE_MAX);

    struct record record = {
        .counter = hal_counter_read(), .area = area, .length = (u16)length, .level = (u8)level};
    u64 state = lock();
    append_locked(&record, text);
    unlock(state);

    if (level <= HX_READ_ONCE(logs.console_level)) {
        u64 us = time_from_counter_ns(record.counter) / HX_NS_PER_US;
        console_printf("[%4u.%06u] %s: %s%s\n", (u32)(us / 1000000), (u32)(us % 1000000), area,
                       level == LOG_WARN    ? "warning: "
                       : level == LOG_ERROR ? "error: "
                                            : "",
                       text);
    }
}

bool log_read(u64 *cursor, struct log_entry *out)
{
    u64 state = lock();
    u64 at = logs.head, sequence = logs.first;
    struct record record;
    bool found = false;
    while (at != logs.tail) {
        ring_copy_out(at, &record, sizeof(record));
        if (sequence >= *cursor) {
            found = true;
            out->sequence = sequence;
            out->time_ns = time_from_counter_ns(record.counter);
            out->level = record.level;
            out->area = record.area;
            ring_copy_out(at + sizeof(record), out->text, record.length);
            out->text[record.length] = '\0';
            *cursor = sequence + 1;
            break;
        }
        at += sizeof(record) + record.length;
        sequence++;
    }
    unlock(state);
    return found;
}

u64 log_next_sequence(void)
{
    u64 state = lock();
    u64 next = logs.next;
    unlock(state);
    return next;
}

enum log_level log_console_level(enum log_level level)
{
    return __atomic_exchange_n(&logs.console_level, level, __ATOMIC_RELAXED);
}

bool log_is_shown(enum log_level level)
{
    return level <= HX_READ_ONCE(logs.console_level);
}

const char *log_level_name(enum log_level level)
{
    return level < LOG_LEVEL_COUNT ? level_names[level] : "?";
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (u32 i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (str_equal(name, level_names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

void log_panic(void)
{
    logs.panicking = true;
}
