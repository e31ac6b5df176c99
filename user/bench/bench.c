/* SPDX-License-Identifier: MIT */
/* bench-user [--json] [NAME...]: what a program pays for the system, by name or glob.
 *
 * Each sample is counted with hx_counter(), which under QEMU's instruction clock counts guest
 * instructions. What two readings cost with an empty loop in between is subtracted, and nothing
 * else: the stub, the entry, the checks and all work of the kernel are in the figure. Where the
 * counter goes in steps, a sample repeats the operation until a step is small against it, and is
 * the mean. bench-user yield COUNT   the other process of process.switch
 */
#include "bench.h"

#include <helix/string.h>
#include <hx/clock.h>
#include <hx/file.h>
#include <hx/io.h>
#include <hx/ipc.h>
#include <hx/memory.h>
#include <hx/process.h>
#include <hx/thread.h>

#define SAMPLES       1000
#define SAMPLES_SPAWN 100
#define WARM_UP       20
#define REPEAT        64 /* operations a sample, when the counter goes in steps */
#define PROGRAM       "bin/bench-user"

struct benchmark {
    const char *name;
    u32 samples, divisor; /* divisor: operations in what sample() repeats */
    /* Before and after the samples; either may be absent. False: it cannot be measured. */
    bool (*begin)(u32 rounds);
    bool (*end)(void);
    /* Does the operation `repeat` times; what surrounds it is not counted. Return: the count. */
    u64 (*sample)(u32 repeat);
};

static struct {
    u64 overhead; /* of two readings and the loop */
    u64 values[SAMPLES];
    hx_handle_t partner;
    char *page;
    const char *why; /* the first thing that went wrong */
    hx_handle_t channel, to_echo, from_echo, topic, subscriptions[8];
    struct hx_message message;
} bench;

static void fail(const char *why)
{
    bench.why = bench.why ? bench.why : why;
}

static void need(enum hx_status status, const char *why)
{
    if (status != HX_OK) {
        fail(why);
    }
}

/* The instructions of `operation`, `repeat` times. One loop for all, so that it costs the same. */
#define COUNT(repeat, operation)                                                                   \
    ({                                                                                             \
        u64 begin_ = hx_counter();                                                                 \
        for (u32 i_ = 0; i_ < (repeat); i_++) {                                                    \
            operation;                                                                             \
            hx_compiler_barrier();                                                                 \
        }                                                                                          \
        hx_counter() - begin_;                                                                     \
    })

static u64 sample_nothing(u32 repeat)
{
    return COUNT(repeat, (void)0);
}

static u64 sample_null(u32 repeat)
{
    return COUNT(repeat, hx_sys_null());
}

static u64 sample_clock(u32 repeat)
{
    return COUNT(repeat, (void)hx_clock(HX_CLOCK_MONOTONIC));
}

/* process.switch: two processes that yield to each other. That they really alternate shows in the
 * end: the partner yields as often as we do and then exits, so it has nothing left to do. */
static bool begin_switch(u32 rounds)
{
    char count[24];
    u32 at = sizeof(count) - 1;
    count[at] = '\0';
    for (u32 left = rounds; left; left /= 10) {
        count[--at] = (char)('0' + left % 10);
    }
    const char *argv[] = {PROGRAM, "yield", count + at};
    return hx_process_spawn(PROGRAM, 3, argv, &bench.partner) == HX_OK;
}

static u64 sample_switch(u32 repeat)
{
    return COUNT(repeat, hx_yield());
}

static bool end_switch(void)
{
    u64 status = 0;
    s64 result = hx_process_wait(bench.partner, hx_deadline_after(HX_NS_PER_MS), &status);
    if (result != HX_OK) {
        fail("the two processes did not take turns");
        need(hx_process_kill(bench.partner), "kill");
    }
    need(hx_handle_close(bench.partner), "close");
    return result == HX_OK && status == 0;
}

static u64 thread_of_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void create_and_join(void)
{
    struct hx_thread thread;
    enum hx_status status = hx_thread_create(thread_of_nothing, NULL, &thread);
    if (status == HX_OK) {
        status = hx_thread_join(&thread, HX_DEADLINE_NEVER, NULL);
    }
    need(status, "a thread");
}

static u64 sample_create_join(u32 repeat)
{
    return COUNT(repeat, create_and_join());
}

static void spawn_and_wait(void)
{
    static const char *const argv[] = {"true"};
    hx_handle_t process;
    u64 exit_status = 1;
    enum hx_status status = hx_process_spawn("bin/true", 1, argv, &process);
    if (status == HX_OK) {
        status = hx_process_wait(process, HX_DEADLINE_NEVER, &exit_status);
        need(hx_handle_close(process), "close");
    }
    need(status, "spawn");
    if (exit_status != 0) {
        fail("bin/true failed");
    }
}

static u64 sample_spawn_wait(u32 repeat)
{
    return COUNT(repeat, spawn_and_wait());
}

/* mem.page_fault: the first write to a page of fresh memory, `repeat` pages in a row. */
static u64 sample_page_fault(u32 repeat)
{
    void *memory;
    size_t size = repeat * HX_PAGE_SIZE;
    if (hx_memory_map(NULL, size, HX_MAP_WRITE, &memory) != HX_OK) {
        fail("map");
        return 0;
    }
    volatile char *at = memory;
    u64 count = COUNT(repeat, (*at = 1, at += HX_PAGE_SIZE));
    need(hx_memory_unmap(memory, size), "unmap");
    return count;
}

/* mem.map_unmap_4k: a page that is really there, so it is touched. */
static void map_and_unmap(void)
{
    void *memory;
    enum hx_status status = hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, &memory);
    if (status == HX_OK) {
        *(volatile char *)memory = 1;
        status = hx_memory_unmap(memory, HX_PAGE_SIZE);
    }
    need(status, "map and unmap");
}

static u64 sample_map_unmap(u32 repeat)
{
    return COUNT(repeat, map_and_unmap());
}

/* mem.protect_4k: one change of a touched page, to read-only and back by turns. */
static bool begin_protect(u32 rounds)
{
    void *memory;
    (void)rounds;
    if (hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, &memory) != HX_OK) {
        return false;
    }
    bench.page = memory;
    bench.page[0] = 1;
    return true;
}

static void protect_twice(void)
{
    enum hx_status first = hx_memory_protect(bench.page, HX_PAGE_SIZE, 0);
    enum hx_status second = hx_memory_protect(bench.page, HX_PAGE_SIZE, HX_MAP_WRITE);
    need(first != HX_OK ? first : second, "protect");
}

static u64 sample_protect(u32 repeat)
{
    u64 count = COUNT(repeat, protect_twice());
    ((volatile char *)bench.page)[0]++;
    return count;
}

static bool end_protect(void)
{
    return hx_memory_unmap(bench.page, HX_PAGE_SIZE) == HX_OK;
}

/* ipc.call_*: calls to another process, which gives back as many bytes as it gets. */
#define SERVICE "bench.echo"

/* The name has served once it has been found; while it is there the channel stays open. */
static enum hx_status receive_first(hx_handle_t server, struct hx_message *m)
{
    enum hx_status status = hx_channel_receive(server, m);
    return status == HX_OK ? hx_name_remove(HX_HANDLE_NONE, SERVICE) : status;
}

static int serve(void)
{
    static struct hx_message m;
    hx_handle_t server, client, receiver, sender;
    if (hx_channel_create(&server, &client) != HX_OK ||
        hx_name_register(HX_HANDLE_NONE, SERVICE, client, 1, 0) != HX_OK ||
        hx_handle_close(client) != HX_OK) {
        return 1;
    }
    enum hx_status status = receive_first(server, &m);
    while (status == HX_OK) {
        if (HX_MESSAGE_HANDLE_COUNT(m.header) == 2) { /* from here on by queues */
            receiver = m.handles[0], sender = m.handles[1];
            hx_message_begin(&m, HX_MESSAGE_RESPONSE, 0);
            status = hx_channel_reply(&m);
            while (status == HX_OK && hx_queue_receive(receiver, &m) == HX_OK) {
                status = hx_queue_send(sender, &m);
            }
            return status == HX_OK ? 0 : 1;
        }
        m.header = HX_MESSAGE_HEADER(HX_MESSAGE_RESPONSE, 0, 0, HX_MESSAGE_LENGTH(m.header));
        status = hx_channel_reply_receive(server, &m);
    }
    return status == HX_ERR_CLOSED ? 0 : 1;
}

static bool begin_call(size_t length)
{
    const char *argv[] = {PROGRAM, "serve"};
    enum hx_status status = hx_process_spawn(PROGRAM, 2, argv, &bench.partner);
    if (status == HX_OK) {
        do {
            hx_yield();
            status = hx_name_find(HX_HANDLE_NONE, SERVICE, 1, &bench.channel);
        } while (status == HX_ERR_NOT_FOUND);
    }
    hx_message_begin(&bench.message, HX_MESSAGE_REQUEST, length);
    memset(bench.message.data, 0x5a, length);
    return status == HX_OK;
}

static bool begin_call_64(u32 rounds)
{
    (void)rounds;
    return begin_call(HX_MESSAGE_SHORT);
}

static bool begin_call_256(u32 rounds)
{
    (void)rounds;
    return begin_call(HX_MESSAGE_MAX);
}

static void call(void)
{
    need(hx_channel_call(bench.channel, &bench.message), "a call");
}

static u64 sample_call(u32 repeat)
{
    return COUNT(repeat, call());
}

static bool partner_ended(void)
{
    u64 status = 1;
    need(hx_process_wait(bench.partner, HX_DEADLINE_NEVER, &status), "wait");
    need(hx_handle_close(bench.partner), "close");
    return status == 0;
}

static bool end_call(void)
{
    for (u32 i = 0; i < HX_MESSAGE_LENGTH(bench.message.header); i++) {
        if (bench.message.data[i] != 0x5a) {
            fail("the bytes changed on the way");
        }
    }
    need(hx_handle_close(bench.channel), "close");
    return partner_ended();
}

/* ipc.channel_256: there and back through two queues. */
static bool begin_queues(u32 rounds)
{
    hx_handle_t receiver, sender;
    (void)rounds;
    if (!begin_call(0) || hx_queue_create(8, HX_QUEUE_BLOCK, &receiver, &bench.to_echo) != HX_OK ||
        hx_queue_create(8, HX_QUEUE_BLOCK, &bench.from_echo, &sender) != HX_OK) {
        return false;
    }
    hx_message_add_handle(&bench.message, receiver);
    hx_message_add_handle(&bench.message, sender);
    return hx_channel_call(bench.channel, &bench.message) == HX_OK;
}

static void there_and_back(void)
{
    hx_message_begin(&bench.message, HX_MESSAGE_EVENT, HX_MESSAGE_MAX);
    need(hx_queue_send(bench.to_echo, &bench.message), "send");
    need(hx_queue_receive(bench.from_echo, &bench.message), "receive");
}

static u64 sample_queues(u32 repeat)
{
    return COUNT(repeat, there_and_back());
}

static bool end_queues(void)
{
    need(hx_handle_close(bench.channel), "close");
    need(hx_handle_close(bench.to_echo), "close");
    need(hx_handle_close(bench.from_echo), "close");
    return partner_ended();
}

/* ipc.publish_*: 64 bytes for so many subscribers, none of which waits. */
static bool begin_publish(u32 subscribers)
{
    if (hx_topic_create(64, &bench.topic) != HX_OK) {
        return false;
    }
    for (u32 i = 0; i < subscribers; i++) {
        if (hx_topic_subscribe(bench.topic, HX_DELIVER_DROP_OLDEST, &bench.subscriptions[i]) !=
            HX_OK) {
            return false;
        }
    }
    return true;
}

static bool begin_publish_1(u32 rounds)
{
    (void)rounds;
    return begin_publish(1);
}

static bool begin_publish_8(u32 rounds)
{
    (void)rounds;
    return begin_publish(8);
}

static void publish(void)
{
    need(hx_topic_publish_words(bench.topic, 1, HX_MESSAGE_SHORT,
                                (const u64 *)(const void *)bench.message.data),
         "publish");
}

static u64 sample_publish(u32 repeat)
{
    return COUNT(repeat, publish());
}

/* What was published is there to be read, or counted as lost. */
static bool end_publish(void)
{
    need(hx_handle_close(bench.topic), "close");
    for (u32 i = 0; i < HX_ARRAY_SIZE(bench.subscriptions) && bench.subscriptions[i]; i++) {
        struct hx_event event = {0};
        u64 seen = 0;
        while (hx_topic_read(bench.subscriptions[i], 0, &event) == HX_OK) {
            seen += 1 + event.gap;
        }
        if (seen < SAMPLES) {
            fail("events vanished");
        }
        need(hx_handle_close(bench.subscriptions[i]), "close");
        bench.subscriptions[i] = HX_HANDLE_NONE;
    }
    return true;
}

/* fault.user_handler: another process is asked what becomes of an undefined instruction, and says
 * that it is to be skipped. */
static int handle_faults(void)
{
    static struct hx_message m;
    hx_handle_t server, client;
    if (hx_channel_create(&server, &client) != HX_OK ||
        hx_name_register(HX_HANDLE_NONE, SERVICE, client, 1, 0) != HX_OK ||
        hx_handle_close(client) != HX_OK) {
        return 1;
    }
    enum hx_status status = receive_first(server, &m);
    while (status == HX_OK) {
        const struct hx_fault *fault = (const struct hx_fault *)(const void *)m.data;
        struct hx_fault_answer answer = {.resume = fault->kind == HX_FAULT_INSTRUCTION,
                                         .pc = fault->pc + HX_UNDEFINED_SIZE,
                                         .sp = fault->sp,
                                         .result = fault->result};
        hx_message_set(&m, HX_MESSAGE_RESPONSE, &answer, sizeof(answer));
        status = hx_channel_reply_receive(server, &m);
    }
    return status == HX_ERR_CLOSED ? 0 : 1;
}

static bool begin_fault(u32 rounds)
{
    const char *argv[] = {PROGRAM, "handle-faults"};
    (void)rounds;
    if (hx_process_spawn(PROGRAM, 2, argv, &bench.partner) != HX_OK) {
        return false;
    }
    enum hx_status status;
    do {
        hx_yield();
        status = hx_name_find(HX_HANDLE_NONE, SERVICE, 1, &bench.channel);
    } while (status == HX_ERR_NOT_FOUND);
    return status == HX_OK && hx_fault_handler_set(HX_HANDLE_NONE, bench.channel) == HX_OK;
}

static u64 sample_fault(u32 repeat)
{
    return COUNT(repeat, hx_undefined());
}

static bool end_fault(void)
{
    need(hx_fault_handler_set(HX_HANDLE_NONE, HX_HANDLE_NONE), "no handler");
    need(hx_handle_close(bench.channel), "close");
    return partner_ended();
}

/* fs.ramfs_*: files of the RAM file system, in a directory of their own. Every create makes a new
 * name and closes what it opened; stat and unlink go through names that exist. */
#define FILES_DIR "bench-files"

static struct {
    char paths[REPEAT][32]; /* FILES_DIR "/f", then a number of fixed length */
    u32 next;
    hx_handle_t file;
} files;

/* Readies the paths of the next `count` files: what naming them costs is not the system's. */
static void next_paths(u32 count)
{
    for (u32 i = 0; i < count; i++) {
        char *at = files.paths[i] + sizeof(FILES_DIR "/f") - 1;
        u32 number = files.next++;
        memcpy(files.paths[i], FILES_DIR "/f", sizeof(FILES_DIR "/f"));
        at[6] = '\0';
        for (u32 digit = 6; digit-- > 0; number /= 10) {
            at[digit] = (char)('0' + number % 10);
        }
    }
}

static bool begin_files(u32 rounds)
{
    (void)rounds;
    files.next = 0;
    return hx_mkdir(HX_HANDLE_NONE, FILES_DIR, 0755) == HX_OK;
}

static void create_file(const char *path)
{
    hx_handle_t file;
    enum hx_status status = hx_open(
        HX_HANDLE_NONE, path, HX_OPEN_WRITE | HX_OPEN_CREATE | HX_OPEN_EXCLUSIVE, 0644, &file);
    if (status == HX_OK) {
        status = hx_handle_close(file);
    }
    need(status, "create");
}

static bool begin_existing(u32 rounds)
{
    bool begun = begin_files(rounds);
    for (u32 i = 0; begun && i < rounds; i++) {
        next_paths(1);
        create_file(files.paths[0]);
    }
    files.next = 0;
    return begun;
}

static bool end_files(void)
{
    u8 entries[1024];
    hx_handle_t d;
    enum hx_status status =
        hx_open(HX_HANDLE_NONE, FILES_DIR, HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_DIRECTORY, 0, &d);
    s64 n = 0;
    while (status == HX_OK && (n = hx_directory_read(d, entries, sizeof(entries))) > 0) {
        for (s64 at = 0; at < n && status == HX_OK;) {
            const struct hx_dirent *e = (const void *)(entries + at);
            status = hx_unlink(d, e->name, 0);
            at += e->size;
        }
    }
    return status == HX_OK && n == 0 && hx_handle_close(d) == HX_OK &&
           hx_unlink(HX_HANDLE_NONE, FILES_DIR, HX_UNLINK_DIRECTORY) == HX_OK;
}

static u64 sample_create(u32 repeat)
{
    next_paths(repeat);
    const char(*path)[32] = files.paths;
    return COUNT(repeat, create_file(*path++));
}

static u64 sample_stat(u32 repeat)
{
    struct hx_stat stat;
    next_paths(repeat);
    const char(*path)[32] = files.paths;
    return COUNT(repeat, need(hx_stat(HX_HANDLE_NONE, *path++, 0, &stat), "stat"));
}

static u64 sample_unlink(u32 repeat)
{
    next_paths(repeat);
    const char(*path)[32] = files.paths;
    return COUNT(repeat, need(hx_unlink(HX_HANDLE_NONE, *path++, 0), "unlink"));
}

/* Reads and writes of a page at a fixed offset of an open file. */
static bool begin_content(u32 rounds)
{
    next_paths(1);
    return begin_files(rounds) &&
           hx_open(HX_HANDLE_NONE, files.paths[0], HX_OPEN_READ | HX_OPEN_WRITE | HX_OPEN_CREATE,
                   0644, &files.file) == HX_OK &&
           hx_memory_map(NULL, HX_PAGE_SIZE, HX_MAP_WRITE, (void **)&bench.page) == HX_OK &&
           hx_write_at(files.file, bench.page, HX_PAGE_SIZE, 0) == HX_PAGE_SIZE;
}

static bool end_content(void)
{
    return hx_memory_unmap(bench.page, HX_PAGE_SIZE) == HX_OK &&
           hx_handle_close(files.file) == HX_OK && end_files();
}

static void need_page(s64 n)
{
    if (n != HX_PAGE_SIZE) {
        fail("not a whole page");
    }
}

static u64 sample_read(u32 repeat)
{
    return COUNT(repeat, need_page(hx_read_at(files.file, bench.page, HX_PAGE_SIZE, 0)));
}

static u64 sample_write(u32 repeat)
{
    return COUNT(repeat, need_page(hx_write_at(files.file, bench.page, HX_PAGE_SIZE, 0)));
}

static const struct benchmark benchmarks[] = {
    {"syscall.null", SAMPLES, 1, NULL, NULL, sample_null},
    {"syscall.clock", SAMPLES, 1, NULL, NULL, sample_clock},
    {"process.switch", SAMPLES, 2, begin_switch, end_switch, sample_switch},
    {"ipc.call_64", SAMPLES, 1, begin_call_64, end_call, sample_call},
    {"ipc.call_256", SAMPLES, 1, begin_call_256, end_call, sample_call},
    {"ipc.channel_256", SAMPLES, 1, begin_queues, end_queues, sample_queues},
    {"ipc.publish_1", SAMPLES, 1, begin_publish_1, end_publish, sample_publish},
    {"ipc.publish_8", SAMPLES, 1, begin_publish_8, end_publish, sample_publish},
    {"fault.user_handler", SAMPLES, 1, begin_fault, end_fault, sample_fault},
    {"thread.create_join", SAMPLES, 1, NULL, NULL, sample_create_join},
    {"process.spawn_wait", SAMPLES_SPAWN, 1, NULL, NULL, sample_spawn_wait},
    {"mem.page_fault", SAMPLES, 1, NULL, NULL, sample_page_fault},
    {"mem.map_unmap_4k", SAMPLES, 1, NULL, NULL, sample_map_unmap},
    {"mem.protect_4k", SAMPLES, 2, begin_protect, end_protect, sample_protect},
    {"fs.ramfs_create", SAMPLES, 1, begin_files, end_files, sample_create},
    {"fs.ramfs_stat", SAMPLES, 1, begin_existing, end_files, sample_stat},
    {"fs.ramfs_unlink", SAMPLES, 1, begin_existing, end_files, sample_unlink},
    {"fs.ramfs_read_4k", SAMPLES, 1, begin_content, end_content, sample_read},
    {"fs.ramfs_write_4k", SAMPLES, 1, begin_content, end_content, sample_write},
};

static void sort(u64 *values, u32 n)
{
    for (u32 gap = n / 2; gap; gap /= 2) {
        for (u32 i = gap; i < n; i++) {
            u64 value = values[i];
            u32 at = i;
            for (; at >= gap && values[at - gap] > value; at -= gap) {
                values[at] = values[at - gap];
            }
            values[at] = value;
        }
    }
}

/* Takes the samples of one. Return: whether bench.values holds them. */
static bool measure(const struct benchmark *b, u32 repeat)
{
    u64 operations = (u64)repeat * b->divisor;
    bench.why = NULL;
    if (b->begin && !b->begin((b->samples + WARM_UP) * repeat)) {
        fail("cannot be set up");
        return false;
    }
    for (u32 i = 0; i < WARM_UP; i++) {
        b->sample(repeat);
    }
    for (u32 i = 0; i < b->samples; i++) {
        u64 count = b->sample(repeat);
        bench.values[i] = (count > bench.overhead ? count - bench.overhead : 0) / operations;
    }
    if (b->end && !b->end()) {
        fail("did not end well");
    }
    return !bench.why;
}

void bench_print(const char *name, u64 *v, u32 n, bool json)
{
    sort(v, n);
    const char *fmt = json ? "{\"name\":\"%s\",\"arch\":\"%s\",\"unit\":\"instructions\","
                             "\"min\":%llu,\"p50\":%llu,\"p99\":%llu,\"max\":%llu,\"n\":%u}\n"
                           : "%-20s %-8s min %llu p50 %llu p99 %llu max %llu n %u\n";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    hx_printf(fmt, name, HX_ARCH_NAME, (unsigned long long)v[0], (unsigned long long)v[n / 2],
              (unsigned long long)v[n * 99 / 100], (unsigned long long)v[n - 1], n);
#pragma GCC diagnostic pop
}

bool bench_is_wanted(const char *name, int argc, char **argv)
{
    bool any = false, wanted = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            any = true;
            wanted |= str_glob_match(argv[i], name);
        }
    }
    return wanted || !any;
}

int main(int argc, char **argv)
{
    u64 count = 0;
    bool json = false;
    if (argc == 3 && str_equal(argv[1], "yield") && str_to_u64(argv[2], &count)) {
        while (count--) {
            hx_yield();
        }
        return 0;
    }
    if (argc == 2 && str_equal(argv[1], "serve")) {
        return serve();
    }
    if (argc == 2 && str_equal(argv[1], "handle-faults")) {
        return handle_faults();
    }
    for (int i = 1; i < argc; i++) {
        json |= str_equal(argv[i], "--json");
        if (argv[i][0] == '-' && !str_equal(argv[i], "--json")) {
            hx_printf("usage: bench-user [--json] [NAME...]\n");
            return 2;
        }
    }
    u32 repeat = hx_counter_step() == 1 ? 1 : REPEAT;
    bench.overhead = UINT64_MAX;
    for (u32 i = 0; i < WARM_UP; i++) {
        u64 nothing = sample_nothing(repeat);
        bench.overhead = nothing < bench.overhead ? nothing : bench.overhead;
    }
    int result = 0;
    for (u32 i = 0; i < HX_ARRAY_SIZE(benchmarks); i++) {
        const struct benchmark *b = &benchmarks[i];
        if (!bench_is_wanted(b->name, argc, argv)) {
            continue;
        }
        if (measure(b, repeat)) {
            bench_print(b->name, bench.values, b->samples, json);
        } else {
            hx_printf("bench-user: %s: %s\n", b->name, bench.why);
            result = 1;
        }
    }
    return bench_disk(argc, argv, json) || result ? 1 : 0;
}
