/* SPDX-License-Identifier: MIT */
/* The host's side of the ports: memory, locks, time, random numbers, log, assertions.
 * Owns:      the switches below.      Callers: host programs.      Context: any thread; the
 * switches are set before threads start.
 */
#define _GNU_SOURCE
#include "hostport.h"

#include <fs/os.h>
#include <helix/format.h>
#include <helix/panic.h>
#include <helix/status.h>
#include <helix/string.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static struct {
    u64 allocs, live, fail_at;
    bool seeded;
    u64 random;
    s64 time_ns;
    enum log_level level;
    void (*sink)(enum log_level level, const char *area, const char *line);
} host = {.level = LOG_WARN};

/* Memory */

void *os_alloc(size_t size)
{
    u64 n = __atomic_add_fetch(&host.allocs, 1, __ATOMIC_RELAXED);
    if (n == host.fail_at) {
        return NULL;
    }
    void *p = size % 4096 == 0 && size > 0 ? aligned_alloc(4096, size) : malloc(size);
    if (p != NULL) {
        __atomic_add_fetch(&host.live, 1, __ATOMIC_RELAXED);
    }
    return p;
}

void os_free(void *p)
{
    if (p != NULL) {
        __atomic_sub_fetch(&host.live, 1, __ATOMIC_RELAXED);
        free(p);
    }
}

void hostport_fail_alloc(u64 n)
{
    host.fail_at = n == 0 ? 0 : host.allocs + n;
}

u64 hostport_alloc_count(void)
{
    return host.allocs;
}

u64 hostport_alloc_live(void)
{
    return host.live;
}

/* Locks */

struct os_mutex {
    pthread_mutex_t lock;
};

struct os_mutex *os_mutex_create(void)
{
    struct os_mutex *mutex = os_alloc(sizeof(*mutex));
    if (mutex != NULL) {
        pthread_mutexattr_t attr;
        pthread_mutexattr_init(&attr);
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
        pthread_mutex_init(&mutex->lock, &attr);
        pthread_mutexattr_destroy(&attr);
    }
    return mutex;
}

void os_mutex_destroy(struct os_mutex *mutex)
{
    pthread_mutex_destroy(&mutex->lock);
    os_free(mutex);
}

void os_mutex_acquire(struct os_mutex *mutex)
{
    HX_ASSERT(pthread_mutex_lock(&mutex->lock) == 0);
}

void os_mutex_release(struct os_mutex *mutex)
{
    HX_ASSERT(pthread_mutex_unlock(&mutex->lock) == 0);
}

/* Time and chance */

void hostport_seed(u64 seed)
{
    host.seeded = true;
    host.random = seed;
    host.time_ns = 1700000000ll * 1000000000;
}

s64 os_time_ns(void)
{
    if (host.seeded) {
        return host.time_ns += 1000;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (s64)now.tv_sec * 1000000000 + now.tv_nsec;
}

void os_random(void *buf, size_t n)
{
    u8 *b = buf;
    for (size_t i = 0; host.seeded && i < n; i++) {
        u64 z = host.random += 0x9e3779b97f4a7c15ull; /* splitmix64 */
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        b[i] = (u8)(z ^ z >> 31);
    }
    for (size_t done = 0; !host.seeded && done < n;) {
        ssize_t got = getrandom(b + done, n - done, 0);
        done += got > 0 ? (size_t)got : 0;
    }
}

/* CRC-32C, eight bytes at a time by tables: the same code on every host. */

static u32 crc_tables[8][256];

static __attribute__((constructor)) void crc_tables_fill(void)
{
    for (u32 i = 0; i < 256; i++) {
        u32 crc = i;
        for (u32 bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
        }
        crc_tables[0][i] = crc;
    }
    for (u32 i = 0; i < 256; i++) {
        for (u32 t = 1; t < 8; t++) {
            u32 before = crc_tables[t - 1][i];
            crc_tables[t][i] = before >> 8 ^ crc_tables[0][before & 0xff];
        }
    }
}

u32 os_crc32c(u32 crc, const void *data, size_t n)
{
    const u8 *p = data;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        u64 word;
        memcpy(&word, p, 8);
        word ^= crc;
        crc = 0;
        for (u32 i = 0; i < 8; i++) {
            crc ^= crc_tables[7 - i][word >> 8 * i & 0xff];
        }
    }
    for (; n > 0; n--) {
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *p++) & 0xff];
    }
    return ~crc;
}

/* Log and assertions */

void hostport_log_level(enum log_level level)
{
    host.level = level;
}

void hostport_log_sink(void (*sink)(enum log_level level, const char *area, const char *line))
{
    host.sink = sink;
}

void log_write(enum log_level level, const char *area, const char *fmt, ...)
{
    char line[LOG_LINE_MAX + 1];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (host.sink != NULL) {
        host.sink(level, area, line);
    } else if (level <= host.level) {
        fprintf(stderr, "%s: %s\n", area, line);
    }
}

void hx_assert_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expr);
    abort();
}

bool str_copy(char *dst, const char *src, size_t size)
{
    return (size_t)snprintf(dst, size, "%s", src) < size;
}

#define STATUS_NAME(name, number, words)  [-(number)] = #name,
#define STATUS_WORDS(name, number, words) [-(number)] = words,
static const char *const names[] = {HX_STATUS_LIST(STATUS_NAME)};
static const char *const sentences[] = {HX_STATUS_LIST(STATUS_WORDS)};

const char *hx_status_name(enum hx_status status)
{
    return status <= 0 && -status <= HX_STATUS_LAST ? names[-status] : "HX_ERR_?";
}

const char *hx_status_words(enum hx_status status)
{
    return status <= 0 && -status <= HX_STATUS_LAST ? sentences[-status] : "an unknown error";
}

size_t format_buffer_va(char *buf, size_t size, const char *fmt, va_list args)
{
    int n = vsnprintf(buf, size, fmt, args);
    return n > 0 ? (size_t)n : 0;
}

size_t format_buffer(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t n = format_buffer_va(buf, size, fmt, args);
    va_end(args);
    return n;
}
