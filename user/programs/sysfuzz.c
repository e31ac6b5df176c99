/* SPDX-License-Identifier: MIT */
/* sysfuzz [CALLS [SEED]]: random and near-valid system calls, made from the table of
 * <abi/syscalls.h>, from several threads, while memory goes away under the kernel's feet.
 *
 *   the parent   starts batches, each in a process of its own, and beside each a neighbour
 *   a batch      BATCH calls by two threads with a seed of its own, then it exits with 0
 *   a neighbour  computes with memory and registers of its own meanwhile; it must come out right
 *
 * What a call may do is judged here: its result is a status or a value; no register and no byte of
 * an output buffer looks like an address of the kernel; nothing beyond the buffer is written. What
 * the kernel does is judged by its going on. A batch that ends early (the fuzz may hit its own code
 * or stack) is not counted and another takes its place.
 *
 * The grammar, by kind of argument: values are drawn by their names; handles from those that calls
 * gave, closed and invented ones among them; buffers lie in memory of the thread, in memory that
 * others map and unmap, at the end of the user's half, across it, in the kernel's.
 */
#include <abi/ipc.h>
#include <helix/string.h>
#include <hx/arch.h>
#include <hx/clock.h>
#include <hx/io.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/syscall.h>
#include <hx/thread.h>
#include "fuzz_regs.h"

#define BATCH         50000
#define THREADS_MAX   8
#define SHARED_SIZE   (16 * HX_PAGE_SIZE)
#define SHARED_MARGIN (4 * HX_PAGE_SIZE) /* behind it, so that nobody's memory follows */
#define OWN_SIZE      (4 * HX_PAGE_SIZE)
#define HANDLES       64
#define KERNEL_FIRST  0xffff800000000000ull
#define USER_END      0x0000800000000000ull
#define PATTERN       0x5a
#define NEIGHBOUR_FOR HX_NS_PER_SEC
#define PATIENCE      (30 * HX_NS_PER_SEC) /* the host may have other things to do */

s64 fuzz_call(u64 number, const u64 *args, const u64 *before, u64 *after);
s64 fuzz_call_other(u64 number, const u64 *args, const u64 *before, u64 *after);

struct arg {
    char kind; /* 0, or the letter of the table */
    const char *name, *length;
    u64 detail;
};

struct call {
    u64 number;
    const char *name;
    struct arg args[6];
};

#define N                                                                                          \
    {                                                                                              \
        0                                                                                          \
    }
#define V(arg)                                                                                     \
    {                                                                                              \
        .kind = 'V', .name = #arg                                                                  \
    }
#define F(arg, mask)                                                                               \
    {                                                                                              \
        .kind = 'F', .name = #arg, .detail = (mask)                                                \
    }
#define I(arg, len)                                                                                \
    {                                                                                              \
        .kind = 'I', .name = #arg, .length = #len                                                  \
    }
#define O(arg, len)                                                                                \
    {                                                                                              \
        .kind = 'O', .name = #arg, .length = #len                                                  \
    }
#define H(arg, type, rights)                                                                       \
    {                                                                                              \
        .kind = 'H', .name = #arg, .detail = (type)                                                \
    }
static const struct call calls[] = {
#define CALL(number_, name_, ...) {.number = (number_), .name = #name_, .args = {__VA_ARGS__}},
    HX_SYSCALLS(CALL)
#undef CALL
};
#undef N
#undef V
#undef F
#undef I
#undef O
#undef H

/* Calls that end the caller, or that the machine does not come back from: not at random. */
static const char *const excluded[] = {"process_exit", "thread_exit"};

static struct {
    char *memory;         /* SHARED_SIZE, that threads map, protect and unmap at will */
    u64 handles[HANDLES]; /* a: what calls gave */
    u64 counts[HX_ARRAY_SIZE(calls) + 1]; /* a: calls made; the last: of numbers that are none */
    u64 successes[HX_ARRAY_SIZE(calls) + 1];
    u64 per_thread, done; /* done: a */
    u64 seed;
    /* a: what a thread is at, so that one which does not come back can be named */
    struct {
        u64 begun; /* calls */
        u64 number, args[6];
    } at[THREADS_MAX];
} fuzz;

struct worker {
    u64 random;
    u64 index;                  /* of the thread */
    hx_handle_t process;        /* what handles are made of */
    struct hx_message *message; /* for the calls that send and receive */
    char *own; /* OWN_SIZE; nobody else is told of it, and its last page is no buffer's */
};

static u64 draw(struct worker *w)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return w->random * 0x2545f4914f6cdd1dull;
}

static u64 below(struct worker *w, u64 n)
{
    return draw(w) % n;
}

static void fail(const struct call *call, const char *what, u64 value)
{
    hx_printf("sysfuzz: %s: %s 0x%llx, seed %llu\n", call ? call->name : "(no call)", what,
              (unsigned long long)value, (unsigned long long)fuzz.seed);
    hx_exit(2);
}

static u64 edge(struct worker *w)
{
    static const u64 edges[] = {0,
                                1,
                                7,
                                8,
                                4095,
                                4096,
                                4097,
                                65536,
                                0x7fffffff,
                                0x80000000,
                                0xffffffff,
                                0x100000000,
                                USER_END - 4096,
                                USER_END - 1,
                                USER_END,
                                USER_END + 1,
                                KERNEL_FIRST,
                                0xffffffff80200000,
                                0x8000000000000000,
                                UINT64_MAX - 4095,
                                UINT64_MAX - 1,
                                UINT64_MAX};
    u64 value = edges[below(w, HX_ARRAY_SIZE(edges))];
    return below(w, 4) ? value : value + below(w, 17) - 8;
}

static u64 scalar(struct worker *w)
{
    switch (below(w, 5)) {
    case 0:
        return draw(w);
    case 1:
        return edge(w);
    case 2:
        return 1ull << below(w, 64);
    default:
        return below(w, 16);
    }
}

/* Where memory may be mapped, protected and unmapped: the shared part, or nowhere that is ours. */
static u64 target(struct worker *w)
{
    switch (below(w, 8)) {
    case 0:
        return edge(w) | KERNEL_FIRST; /* never a place of ours */
    case 1:
        return (u64)(uintptr_t)fuzz.memory + below(w, SHARED_SIZE); /* mostly not aligned */
    default:
        return (u64)(uintptr_t)fuzz.memory + below(w, SHARED_SIZE / HX_PAGE_SIZE) * HX_PAGE_SIZE;
    }
}

static void nothing(void)
{
    hx_sys_thread_exit(0);
}

/* Messages to and from whom threads of ours happen to hold; with a deadline, always. */
static u64 message_make(struct worker *w)
{
    struct hx_message *m = w->message;
    m->deadline_ns = hx_deadline_after(below(w, 20000));
    for (u32 i = 0; i < HX_MESSAGE_HANDLES; i++) {
        m->handles[i] = (u32)HX_READ_ONCE(fuzz.handles[below(w, HANDLES)]);
    }
    return below(w, 4) ? (u64)(uintptr_t)m : below(w, 2) ? edge(w) | KERNEL_FIRST : below(w, 4096);
}

static u64 header_make(struct worker *w)
{
    u64 header = below(w, 8) ? HX_MESSAGE_HEADER(below(w, HX_MESSAGE_TYPES + 1), below(w, 16),
                                                 below(w, 5), below(w, 300))
                             : draw(w);
    return header | HX_MESSAGE_HEADER(0, HX_MESSAGE_TIMED, 0, 0);
}

static u64 named_value(struct worker *w, const struct call *call, const struct arg *arg)
{
    if (str_equal(arg->name, "header")) {
        return header_make(w);
    }
    if (str_equal(arg->name, "buffer")) {
        return message_make(w);
    }
    if (str_equal(arg->name, "expires_ns")) {
        return below(w, 2) ? HX_DEADLINE_NEVER : hx_deadline_after(below(w, HX_NS_PER_SEC));
    }
    if (str_equal(arg->name, "deadline_ns")) {
        return below(w, 8) ? below(w, 1000) : hx_deadline_after(below(w, 50000));
    }
    if (str_equal(arg->name, "version") || str_equal(arg->name, "features")) {
        return scalar(w) & INT64_MAX; /* name_query gives them back: not to be taken for a leak */
    }
    if (str_equal(arg->name, "limit")) {
        return draw(w) | 1ull << 50; /* what the other batches still fit in */
    }
    if (str_equal(call->name, "thread_create")) {
        static char stack[256] HX_ALIGNED(16); /* for a thread that only ends */
        if (str_equal(arg->name, "entry")) {
            return below(w, 3) ? (u64)(uintptr_t)nothing : KERNEL_FIRST | draw(w);
        }
        if (str_equal(arg->name, "stack")) {
            /* Or what is refused: not aligned, or beyond the end. */
            return below(w, 3) ? (u64)(uintptr_t)(stack + sizeof(stack)) : edge(w) | USER_END | 1;
        }
    }
    if (strncmp(call->name, "memory_", 7) == 0) {
        if (str_equal(arg->name, "address")) {
            return target(w);
        }
        if (str_equal(arg->name, "size")) {
            return below(w, 8) ? below(w, 4) * HX_PAGE_SIZE : draw(w) | 1ull << 47;
        }
    }
    return scalar(w);
}

static u64 handle(struct worker *w)
{
    u64 known = HX_READ_ONCE(fuzz.handles[below(w, HANDLES)]);
    switch (below(w, 8)) {
    case 0:
        return draw(w);
    case 1:
        return edge(w);
    case 2:
        return known ^ 1ull << below(w, 64);
    case 3:
        return below(w, 64) << 10 | below(w, 4);
    default:
        return known;
    }
}

/* A buffer and, in *out_room, how long it may be without touching what is not for it. */
static u64 buffer(struct worker *w, u64 *out_room)
{
    u64 at;
    *out_room = 0;
    switch (below(w, 10)) {
    case 0:
        return edge(w) | KERNEL_FIRST;
    case 1:
        return USER_END - below(w, 4096);
    case 2:
        return below(w, 4096);
    case 3:
        return draw(w) | 1ull << 46 | KERNEL_FIRST * below(w, 2);
    case 4:
    case 5:
    case 6:
        *out_room = below(w, 3 * HX_PAGE_SIZE);
        return (u64)(uintptr_t)fuzz.memory + below(w, SHARED_SIZE - 4 * HX_PAGE_SIZE);
    default:
        at = below(w, 2 * HX_PAGE_SIZE);
        *out_room = below(w, 4) ? below(w, 512) : below(w, HX_PAGE_SIZE);
        return (u64)(uintptr_t)w->own + (below(w, 4) ? at & ~7ull : at);
    }
}

/* Draws the arguments. A length that the buffer's memory has no room for only ever goes with
 * addresses at which nobody of ours lives. */
/* Paths and names that mean something, more often than not; all changes stay below one folder. */
static void name_files(struct worker *w, const struct call *call, u64 *args)
{
    static const char *const paths[] = {
        "fuzz",   "fuzz/a",  "fuzz/b",  "fuzz/b/c", "fuzz/b/d",     "/fuzz/../fuzz/a", "fuzz/b/..",
        "fuzz/l", "fuzz/b/", "fuzz/l/", "dev/null", "proc/version", "proc/processes",  "dev/zero"};
    static const char *const names[] = {"ramfs", "procfs", "user.a", "user.b"};
    for (u32 i = 0; i + 1 < 6; i++) {
        const struct arg *arg = &call->args[i];
        bool path =
            arg->kind == 'I' && (str_equal(arg->name, "path") || str_equal(arg->name, "to"));
        bool name = arg->kind == 'I' && str_equal(arg->name, "name") &&
                    !str_equal(call->name, "process_spawn");
        if ((path || name) && below(w, 4)) {
            const char *text = path ? paths[below(w, HX_ARRAY_SIZE(paths))]
                                    : names[below(w, HX_ARRAY_SIZE(names))];
            args[i] = (u64)(uintptr_t)text;
            args[i + 1] = strlen(text);
        }
        if (arg->kind == 'V' && below(w, 4) &&
            (str_equal(arg->name, "directory") || str_equal(arg->name, "directories"))) {
            args[i] = HX_HANDLE_NONE;
        }
    }
    if (str_equal(call->name, "pipe_create")) {
        args[1] |= HX_PIPE_NOWAIT; /* one that waits waits for ever */
    }
}

static void make_args(struct worker *w, const struct call *call, u64 *args)
{
    for (u32 i = 0; i < 6; i++) {
        const struct arg *arg = &call->args[i];
        u64 room, fixed = 0;
        switch (arg->kind) {
        case 'V':
            args[i] = named_value(w, call, arg);
            break;
        case 'F':
            args[i] = below(w, 4) ? draw(w) & arg->detail & draw(w) : scalar(w);
            if (str_equal(call->name, "pipe_create")) {
                args[i] |= arg->detail; /* nobody waits for ever at a pipe */
            }
            break;
        case 'H':
            args[i] = handle(w);
            break;
        case 'I':
        case 'O':
            args[i] = buffer(w, &room);
            if (str_to_u64(arg->length, &fixed)) {
                break;
            }
            i++;
            args[i] = room ? room : scalar(w);
            if (room && below(w, 16) == 0) {
                args[i] = KERNEL_FIRST | draw(w);
            }
            if (str_equal(call->name, "log_write") && args[i] < USER_END) {
                args[i] = 0; /* the console is for people */
            }
            break;
        default:
            args[i] = draw(w);
        }
    }
    name_files(w, call, args);
    if (str_equal(call->name, "process_spawn") && below(w, 200) == 0) {
        static const char name[] = "bin/true", arguments[] = "true";
        args[0] = (u64)(uintptr_t)name;
        args[1] = sizeof(name) - 1;
        args[2] = (u64)(uintptr_t)arguments;
        args[3] = sizeof(arguments);
        args[4] = 0;
    }
}

/* A MAC is as random as random bytes, and so is what our threads send each other. */
static bool is_random(const struct call *call)
{
    static const char *const names[] = {"random_read", "token_export", "channel_", "reply_",
                                        "queue_",      "topic_",       "file_",    "xattr_"};
    for (u32 i = 0; call && i < HX_ARRAY_SIZE(names); i++) {
        if (strncmp(call->name, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_argument(u64 word, const u64 *args)
{
    for (u32 i = 0; i < 6; i++) {
        if (args[i] == word) {
            return true;
        }
    }
    return false;
}

/* The bytes of the thread's own memory around output buffers: what the call says it may write, and
 * nothing that looks like an address of the kernel. */
static void judge_memory(struct worker *w, const struct call *call, const u64 *args)
{
    u64 from = UINT64_MAX, to = 0, length = 0;
    for (u32 i = 0; call && i < 6; i++) {
        u64 at = args[i] - (u64)(uintptr_t)w->own;
        if (call->args[i].kind == 'O' && at < OWN_SIZE) {
            if (!str_to_u64(call->args[i].length, &length)) {
                length = args[i + 1];
            }
            from = at < from ? at : from;
            to = length < OWN_SIZE && at + length > to ? at + length : to;
            to = length < OWN_SIZE ? to : OWN_SIZE;
        }
    }
    u64 unwritten;
    memset(&unwritten, PATTERN, sizeof(unwritten));
    for (u64 at = 0; at < OWN_SIZE; at += 8) {
        u64 word;
        memcpy(&word, w->own + at, sizeof(word));
        for (u64 i = at; word != unwritten && i < at + 8; i++) {
            if ((i < from || i >= to) && w->own[i] != PATTERN) {
                fail(call, "wrote beyond its buffer, at offset", i);
            }
        }
    }
    bool random = is_random(call);
    for (u64 i = from; !random && i + 8 <= to; i += 8) { /* as structures lie */
        u64 word;
        memcpy(&word, w->own + i, sizeof(word));
        if (word >= KERNEL_FIRST && word < UINT64_MAX - 4096 && !is_argument(word, args)) {
            fail(call, "gave out what looks like an address of the kernel:", word);
        }
    }
    if (from < OWN_SIZE) {
        memset(w->own, PATTERN, OWN_SIZE);
    }
}

static void judge_registers(const struct call *call, const u64 *args, const u64 *after, s64 result)
{
    for (u32 i = 0; i < FUZZ_REGISTERS; i++) {
        if (after[i] >= KERNEL_FIRST && after[i] < (u64)-HX_STATUS_LAST && !is_random(call) &&
            !is_argument(after[i], args)) {
            fail(call, "left in a register", after[i]);
        }
    }
    if (result < -HX_STATUS_LAST ||
        (result < 0 && hx_status_name((enum hx_status)result) == NULL)) {
        fail(call, "gave", (u64)result);
    }
}

static bool is_excluded(const struct call *call)
{
    for (u32 i = 0; i < HX_ARRAY_SIZE(excluded); i++) {
        if (str_equal(call->name, excluded[i])) {
            return true;
        }
    }
    return false;
}

/* Something for the calls that take handles: a process by another name, or another process when
 * that one has been closed or claimed. */
static void refill(struct worker *w)
{
    static const char *const argv[] = {"true"};
    for (u32 i = 0; i < 8; i++) {
        s64 made = hx_sys_handle_duplicate(w->process, HX_RIGHTS_ALL);
        if (made >= 0) {
            hx_sys_handle_close((hx_handle_t)__atomic_exchange_n(&fuzz.handles[below(w, HANDLES)],
                                                                 (u64)made, __ATOMIC_RELAXED));
        } else if (hx_process_spawn("bin/true", 1, argv, &w->process) != HX_OK) {
            return;
        }
    }
}

static void one_call(struct worker *w)
{
    u64 args[6], before[FUZZ_REGISTERS], after[FUZZ_REGISTERS] = {0}, index, number;
    const struct call *call = NULL;
    if (below(w, 50) == 0) {
        do { /* a number that is none */
            number = below(w, 2) ? below(w, 512) : draw(w);
            index = HX_ARRAY_SIZE(calls);
            for (u32 i = 0; i < HX_ARRAY_SIZE(calls); i++) {
                index = calls[i].number == number ? i : index;
            }
        } while (index != HX_ARRAY_SIZE(calls));
        for (u32 i = 0; i < 6; i++) {
            args[i] = draw(w);
        }
    } else {
        do {
            index = below(w, HX_ARRAY_SIZE(calls));
            call = &calls[index];
        } while (is_excluded(call));
        number = call->number;
        make_args(w, call, args);
    }
    for (u32 i = 0; i < FUZZ_REGISTERS; i++) {
        before[i] = 0x1000 + i;
    }
    fuzz.at[w->index].number = number;
    memcpy(fuzz.at[w->index].args, args, sizeof(args));
    __atomic_fetch_add(&fuzz.at[w->index].begun, 1, __ATOMIC_RELEASE);
    s64 result = below(w, 8) ? fuzz_call(number, args, before, after)
                             : fuzz_call_other(number, args, before, after);
    if (call && str_equal(call->name, "thread_tls_set") && result == HX_OK) {
        hx_sys_thread_tls_set(0);
    }
    judge_registers(call, args, after, result);
    judge_memory(w, call, args);
    if (!call && result != HX_ERR_BAD_SYSCALL) {
        fail(call, "a number that is none gave", (u64)result);
    }
    __atomic_fetch_add(&fuzz.counts[index], 1, __ATOMIC_RELAXED);
    if (result >= 0) {
        __atomic_fetch_add(&fuzz.successes[index], 1, __ATOMIC_RELAXED);
        if (result > 1024 && result < 0x100000000) {
            /* Handles do not only grow in number. */
            hx_sys_handle_close((hx_handle_t)__atomic_exchange_n(&fuzz.handles[below(w, HANDLES)],
                                                                 (u64)result, __ATOMIC_RELAXED));
        }
    }
    if (below(w, 64) == 0) { /* so that the shared part is there again, now and then */
        u64 at = target(w) & ~(u64)(HX_PAGE_SIZE - 1);
        hx_sys_memory_map(at, HX_PAGE_SIZE, HX_MAP_WRITE | HX_MAP_FIXED);
    }
    if (below(w, 64) == 0) {
        refill(w);
    }
}

static u64 work(void *arg)
{
    void *own;
    struct worker w = {.random = (fuzz.seed + (u64)(uintptr_t)arg) * 0x9e3779b97f4a7c15ull | 1,
                       .index = (u64)(uintptr_t)arg};
    if (hx_memory_map(NULL, OWN_SIZE, HX_MAP_WRITE, &own) != HX_OK) {
        fail(NULL, "no memory for thread", (u64)(uintptr_t)arg);
        return 1;
    }
    w.own = own;
    if (hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, &own) != HX_OK) {
        fail(NULL, "no memory for thread", (u64)(uintptr_t)arg);
    }
    w.message = own;
    memset(w.own, PATTERN, OWN_SIZE);
    for (u64 i = 0; i < fuzz.per_thread; i++) {
        one_call(&w);
    }
    __atomic_fetch_add(&fuzz.done, 1, __ATOMIC_RELEASE);
    return 0;
}

/* Says what every thread is at, since who waits may not be who is to blame. */
static void stuck(u64 threads, u64 who)
{
    hx_printf("sysfuzz: thread %llu does not come back, seed %llu\n", (unsigned long long)who,
              (unsigned long long)fuzz.seed);
    for (u64 i = 0; i < threads; i++) {
        const u64 *args = fuzz.at[i].args;
        hx_printf("sysfuzz: thread %llu, its %llu. call: %llu (0x%llx, 0x%llx, 0x%llx, 0x%llx, "
                  "0x%llx, 0x%llx)\n",
                  (unsigned long long)i, (unsigned long long)fuzz.at[i].begun,
                  (unsigned long long)fuzz.at[i].number, (unsigned long long)args[0],
                  (unsigned long long)args[1], (unsigned long long)args[2],
                  (unsigned long long)args[3], (unsigned long long)args[4],
                  (unsigned long long)args[5]);
    }
}

/* Until all threads are done; not by joining, since their handles may have been closed. One that
 * does not come back from a call is named, with what it called. */
static void watch(u64 threads)
{
    u64 seen[THREADS_MAX] = {0}, since[THREADS_MAX] = {0};
    while (__atomic_load_n(&fuzz.done, __ATOMIC_ACQUIRE) < threads) {
        hx_sleep(5 * HX_NS_PER_MS);
        u64 now = hx_clock(HX_CLOCK_MONOTONIC);
        for (u64 i = 0; i < threads; i++) {
            u64 begun = __atomic_load_n(&fuzz.at[i].begun, __ATOMIC_ACQUIRE);
            if (begun != seen[i] || since[i] == 0) {
                seen[i] = begun;
                since[i] = now;
            } else if (begun < fuzz.per_thread && now - since[i] > PATIENCE) {
                stuck(threads, i);
                hx_exit(2);
            }
        }
    }
}

static int batch(u64 seed, u64 count, u64 threads, bool verbose)
{
    struct hx_thread made[THREADS_MAX];
    void *memory;
    fuzz.seed = seed;
    fuzz.per_thread = count / threads;
    if (hx_memory_map(NULL, SHARED_SIZE + SHARED_MARGIN, HX_MAP_WRITE, &memory) != HX_OK) {
        return 3;
    }
    fuzz.memory = memory;
    for (u64 i = 0; i < threads; i++) {
        if (hx_thread_create(work, (void *)(uintptr_t)i, &made[i]) != HX_OK) {
            return 3;
        }
    }
    watch(threads);
    for (u32 i = 0; verbose && i < HX_ARRAY_SIZE(calls); i++) {
        hx_printf("%-20s %8llu calls %8llu succeeded\n", calls[i].name,
                  (unsigned long long)fuzz.counts[i], (unsigned long long)fuzz.successes[i]);
    }
    return 0;
}

/* Computes the same thing over and over in a page and in registers, with harmless calls between. */
static int neighbour(void)
{
    u64 end = hx_deadline_after(NEIGHBOUR_FOR), first = 0;
    static u64 page[512];
    for (u32 round = 0; hx_clock(HX_CLOCK_MONOTONIC) < end; round++) {
        u64 value = 88172645463325252ull, sum = 0;
        for (u32 i = 0; i < 20000; i++) {
            value ^= value << 13;
            value ^= value >> 7;
            value ^= value << 17;
            sum += page[i % 512];
            page[i % 512] = value;
        }
        first = round == 0 ? value : first;
        if (value != first || hx_sys_null() != HX_OK) {
            return 1;
        }
        for (u32 i = 0; round && i < 512; i++) {
            sum += page[i];
        }
        static u64 sums[2];
        if (round >= 2 && sums[0] != sum) {
            return 1;
        }
        sums[0] = round ? sum : 0;
        hx_yield();
    }
    return 0;
}

static const char *decimal(u64 value, char text[24])
{
    char *at = text + 23;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return at;
}

/* One batch and its neighbour. A batch gets no handles: who finds out what the console is called
 * reads from it, and nobody types; what it has to say goes to the log's console. Return: the calls
 * it made, 0 if it ended early; *bad when something is wrong. */
static u64 run_batch(u64 seed, u64 threads, bool verbose, bool *bad)
{
    char seed_text[24], threads_text[24];
    const char *argv[] = {"sysfuzz", verbose ? "verbose" : "batch", decimal(seed, seed_text),
                          decimal(threads, threads_text)};
    const char *neighbour_argv[] = {"sysfuzz", "neighbour"};
    hx_handle_t child, beside;
    u64 status = 0, beside_status = 0;
    if (hx_process_spawn("bin/sysfuzz", 2, neighbour_argv, &beside) != HX_OK) {
        hx_printf("sysfuzz: cannot start a neighbour\n");
        *bad = true;
        return 0;
    }
    if (hx_process_spawn_with("bin/sysfuzz", 4, argv, NULL, 0, &child) != HX_OK) {
        hx_printf("sysfuzz: cannot start a batch\n");
        *bad = true;
        return 0;
    }
    enum hx_status waited = hx_process_wait(child, hx_deadline_after(120 * HX_NS_PER_SEC), &status);
    if (waited != HX_OK) {
        hx_printf("sysfuzz: seed %llu hangs\n", (unsigned long long)seed);
        HX_IGNORE(hx_process_kill(child), "it is waited for next");
        HX_IGNORE(hx_process_wait(child, HX_DEADLINE_NEVER, &status), "it ends");
        *bad = true;
    }
    if (hx_process_wait(beside, hx_deadline_after(120 * HX_NS_PER_SEC), &beside_status) != HX_OK ||
        beside_status != 0) {
        hx_printf("sysfuzz: seed %llu disturbed its neighbour\n", (unsigned long long)seed);
        *bad = true;
    }
    *bad |= status == 2 || status == 3;
    HX_IGNORE(hx_handle_close(child), "it was given");
    HX_IGNORE(hx_handle_close(beside), "it was given");
    return waited == HX_OK && status == 0 ? BATCH : 0;
}

int main(int argc, char **argv)
{
    u64 wanted = 200000, seed = 1, threads = 2;
    if (argc == 2 && str_equal(argv[1], "neighbour")) {
        return neighbour();
    }
    if (argc == 4 && str_to_u64(argv[2], &seed) && str_to_u64(argv[3], &threads) && threads &&
        threads <= THREADS_MAX) {
        return batch(seed, BATCH, threads, str_equal(argv[1], "verbose"));
    }
    if ((argc > 1 && !str_to_u64(argv[1], &wanted)) || (argc > 2 && !str_to_u64(argv[2], &seed)) ||
        argc > 3) {
        hx_printf("usage: sysfuzz [CALLS [SEED]]\n");
        return 2;
    }
    u64 made = 0, batches = 0, early = 0;
    bool bad = false;
    for (; made < wanted && !bad; batches++) {
        u64 n = run_batch(seed + batches, threads, batches == 0, &bad);
        made += n;
        early += n == 0;
        if (early > 8 + batches / 4) {
            hx_printf("sysfuzz: too many batches end early\n");
            bad = true;
        }
    }
    hx_printf("sysfuzz: %llu calls in %llu batches from seed %llu, %llu ended early, %s\n",
              (unsigned long long)made, (unsigned long long)batches, (unsigned long long)seed,
              (unsigned long long)early, bad ? "FAILED" : "nothing found");
    return bad ? 1 : 0;
}
